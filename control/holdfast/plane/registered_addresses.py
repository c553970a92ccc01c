"""The registered addresses of numbers (C1, C2), what their carriers let others do with them (O2), and what nobody can
know of them (C4).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.core.country import country_of_number
from holdfast.plane import db, rows
from holdfast.plane.lookup import Pointers, id_of, with_own_ids

#: C4, told where an address is set: what the service cannot see, and what to do about it.
CANNOT_KNOW: tuple[str, ...] = (
    "Without power or network the phone cannot call, and nothing here notices: give it a backup supply.",
    "A phone that is moved keeps this address: change it here before somebody calls from the new place.",
    "Whether this address leads to the right PSAP was not tried: dial the test number (933 in the US) from there.",
)

_LOCATION: Pointers = {"location": ("location_id", "location")}


def stored_columns(connection: db.Connection, tenant: str, columns: Mapping[str, object]) -> dict[str, object]:
    """Columns of platform_number, with ids in place of the names of a carrier (its trunk group) and a location."""
    stored = with_own_ids(connection, tenant, columns, _LOCATION)
    if "carrier" in stored:
        carrier = stored.pop("carrier")
        stored["trunk_group_id"] = None if carrier is None else id_of(connection, "trunk_group", str(carrier))
    return stored


def concerns_address(columns: Mapping[str, object]) -> bool:
    """Whether somebody should be told what the service cannot know: an address is set, or made to be used."""
    return columns.get("location") is not None or columns.get("enhanced") is True


def notes(connection: db.Connection, numbers: Sequence[str], columns: Mapping[str, object]) -> tuple[str, ...]:
    """What else to know of the addresses of these numbers after a change of `columns`, each said once."""
    if not concerns_address(columns):
        return ()
    found = rows.select(
        connection,
        _Addressed,
        """select n.number, n.enhanced, l.name as location, l.country, l.validation
           from platform_number n join location l on l.id = n.location_id
           where n.number = any (%s::text[]) order by n.number""",
        (list(numbers),),
    )
    return tuple(dict.fromkeys(note for row in found for note in _notes_on(row, columns)))


def _notes_on(row: "_Addressed", columns: Mapping[str, object]) -> Iterator[str]:
    if row.enhanced and columns.get("enhanced") is True:
        yield "Enhanced service is on: calls go to the local PSAP with the registered address, and it is billed."
    if row.enhanced and row.validation != "validated":
        yield f"Nobody but who typed it vouches for address {row.location!r}, and enhanced calls are not screened."
    countries = country_of_number(row.number)
    if countries and row.country not in countries:
        some = " or ".join(sorted(countries)[:4])
        yield f"{row.number} is a number of {some}, and its address {row.location!r} is in {row.country}."


@dataclass(frozen=True, slots=True)
class _Addressed:
    number: str
    enhanced: bool
    location: str
    country: str
    validation: str
