"""Acting for a carrier: what only the carrier that owns a number may change (O2)."""

from holdfast.plane import db
from holdfast.plane.lookup import id_of
from holdfast.plane.translation import translated


def act_for(connection: db.Connection, carrier: str) -> int:
    """For the rest of this transaction, PostgreSQL takes changes of that carrier's numbers as the carrier's own.

    Returns the id of its trunk group; InputError if there is none of that name.
    """
    group_id = id_of(connection, "trunk_group", carrier)
    with translated():
        connection.execute("select set_config('holdfast.for_carrier', %s, true)", (str(group_id),))
    return group_id
