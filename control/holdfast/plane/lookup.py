"""From the names that people use to the ids that rows point with."""

from collections.abc import Mapping
from typing import LiteralString

from psycopg import sql

from holdfast.errors import InputError
from holdfast.plane import db, rows

#: A name people give → (the column that points at it, the table it stands in)
Pointers = Mapping[str, tuple[str, LiteralString]]


def id_of(connection: db.Connection, table: LiteralString, name: str) -> int:
    """The id of the row with that name; InputError if there is none."""
    query = sql.SQL("select id from {} where name = %s").format(sql.Identifier(table))
    found = rows.value(connection, query, (name,))
    if found is None:
        raise InputError(
            f"there is no {_words(table)} {name!r}", mend=f"'holdfast {_command(table)} list' shows the names there are"
        )
    return int(found)


def own_id(connection: db.Connection, table: LiteralString, tenant: str, name: str) -> int:
    """The id of a tenant's own row with that name; InputError if it has none, whoever else may have one."""
    owner = id_of(connection, "tenant", tenant)
    query = sql.SQL("select id from {} where tenant_id = %s and name = %s").format(sql.Identifier(table))
    found = rows.value(connection, query, (owner, name))
    if found is None:
        raise InputError(
            f"tenant {tenant!r} has no {_words(table)} {name!r}",
            mend=f"'holdfast {_command(table)} list --tenant {tenant}' shows those it has",
        )
    return int(found)


def with_own_ids(
    connection: db.Connection, tenant: str | None, columns: Mapping[str, object], pointers: Pointers
) -> dict[str, object]:
    """The columns, with the id of the tenant's own row in place of each name that `pointers` knows; None stays None.

    InputError where something is named and there is no tenant that could own it.
    """
    stored: dict[str, object] = {}
    for column, value in columns.items():
        if column not in pointers:
            stored[column] = value
            continue
        pointing, table = pointers[column]
        if value is not None and tenant is None:
            raise InputError(
                f"the {_words(table)} {value!r} would be a tenant's, and this is every tenant's",
                mend="name a tenant's, or make one with --tenant",
            )
        stored[pointing] = None if value is None else own_id(connection, table, str(tenant), str(value))
    return stored


def _words(table: str) -> str:
    return table.replace("_", " ")


def _command(table: str) -> str:
    return table.replace("_", "-")
