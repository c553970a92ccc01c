"""Importing locations and network elements from CSV: all rows, or none, with every wrong row named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from psycopg.types.json import Jsonb

from holdfast.core.place import CIVIC_ELEMENTS, CIVIC_EXTENSIONS, civic_text
from holdfast.errors import InputError
from holdfast.plane import db, values
from holdfast.plane.address_validation import Verdict, validate
from holdfast.plane.civic_checks import checked_civic, country_of_place
from holdfast.plane.csv_file import Column, CsvFile, Row, WrongRow
from holdfast.plane.location_values import MANUAL, VALIDATED, latitude, longitude, provider_id, validation
from holdfast.plane.lookup import id_of
from holdfast.plane.lost_xml import Whereof
from holdfast.plane.network_elements import KINDS, canonical_key
from holdfast.plane.staging import TENANT_EXISTS, Check, Kind, Progress, import_file, tenant_column
from holdfast.plane.values import shown

#: CSV's headings are read in lower case
_CIVIC_COLUMNS = {name.lower(): name for name in (*CIVIC_ELEMENTS, *CIVIC_EXTENSIONS) if name != "country"}


_LOCATIONS = Kind(
    staged={
        "line": "integer", "tenant": "text", "name": "text", "site": "text", "country": "text", "civic": "jsonb",
        "latitude": "double precision", "longitude": "double precision", "validation": "text", "provider_id": "text",
    },
    checks=(
        TENANT_EXISTS,
        Check(
            "name",
            """select line, quote_literal(name) || ' stands in line ' || first || ' already'
               from (select line, name, min(line) over (partition by tenant, name) as first from staged) s
               where line > first""",
            "give a location once",
        ),
        Check(
            "name",
            """select s.line, 'there is a location ' || quote_literal(s.name) || ' already'
               from staged s join tenant t on t.name = s.tenant
                    join location l on l.tenant_id = t.id and l.name = s.name""",
            "take the row out, or change that location with 'holdfast location set'",
        ),
        Check(
            "site",
            """select s.line, 'tenant ' || quote_literal(s.tenant) || ' has no site ' || quote_literal(s.site)
               from staged s join tenant t on t.name = s.tenant
               where s.site is not null and not exists (
                   select from site i where i.tenant_id = t.id and i.name = s.site)""",
            "make it first ('holdfast site create'), or correct the name",
        ),
    ),
    insert="""insert into location (tenant_id, site_id, name, country, civic, latitude, longitude, validation,
                                    provider_location_id)
              select t.id, i.id, s.name, s.country, s.civic, s.latitude, s.longitude, s.validation, s.provider_id
              from staged s join tenant t on t.name = s.tenant
                   left join site i on i.tenant_id = t.id and i.name = s.site
              order by s.line""",
)  # fmt: skip

_ELEMENTS = Kind(
    staged={"line": "integer", "tenant": "text", "kind": "text", "key": "text", "location": "text"},
    checks=(
        TENANT_EXISTS,
        Check(
            "location",
            """select s.line, 'tenant ' || quote_literal(s.tenant) || ' has no location ' || quote_literal(s.location)
               from staged s join tenant t on t.name = s.tenant
               where not exists (select from location l where l.tenant_id = t.id and l.name = s.location)""",
            "make it first ('holdfast location create'), or correct the name",
        ),
        Check(
            "key",
            """select line, replace(kind, '_', ' ') || ' ' || key || ' stands in line ' || first || ' already'
               from (select line, kind, key, min(line) over (partition by tenant, kind, key) as first from staged) s
               where line > first""",
            "a device must be in one place: give it once",
        ),
        Check(
            "key",
            """select s.line, replace(s.kind, '_', ' ') || ' ' || s.key || ' is at location ' || quote_literal(l.name)
                              || ' already'
               from staged s join tenant t on t.name = s.tenant
                    join network_element e on e.tenant_id = t.id and e.kind = s.kind and e.element_key = s.key
                    join location l on l.id = e.location_id""",
            "take the row out, or remove it there first ('holdfast network-element remove')",
        ),
    ),
    insert="""insert into network_element (tenant_id, kind, element_key, location_id)
              select t.id, s.kind, s.key, l.id
              from staged s join tenant t on t.name = s.tenant
                   join location l on l.tenant_id = t.id and l.name = s.location
              order by s.line""",
)


@dataclass(frozen=True)
class _Rows:
    """Rows that were read and judged already."""

    good: Sequence[Row]
    wrong: Sequence[WrongRow]

    def rows(self) -> Iterator[Row]:
        return iter(self.good)


def import_locations(
    connection: db.Connection, file: BinaryIO, *, tenant: str | None, ask: bool, progress: Progress
) -> int:
    """Import locations; returns how many. With `ask`, LoST servers validate the addresses, as for a single one.

    Columns: name, country; tenant, site, latitude, longitude, validation, provider_id, and RFC 5139's and RFC 6848's
    element names, such as a1, a3, rd, sts, hno, pc.
    """
    columns = (
        Column("name", values.name, required=True),
        Column("country", country_of_place, required=True),
        tenant_column(connection, tenant),
        Column("site", values.name),
        Column("latitude", latitude),
        Column("longitude", longitude),
        Column("validation", validation),
        Column("provider_id", provider_id),
        *(Column(column, partial(civic_text, name)) for column, name in _CIVIC_COLUMNS.items()),
    )
    source = CsvFile(file, columns, progress, partial(_check_address, ask=ask))
    good = [Row(row.line, _with_civic(row.values)) for row in source.rows()]
    wrong = list(source.wrong)
    judged = list(_judged(connection, good, wrong)) if ask else good
    return import_file(connection, _Rows(judged, wrong), _LOCATIONS, "location import", _as_stored)


def _check_address(row: Mapping[str, object], *, ask: bool) -> Iterator[tuple[str, InputError]]:
    try:
        civic = checked_civic(str(row["country"]), _civic(row))
    except InputError as error:
        yield "", error
        return
    if (row["latitude"] is None) != (row["longitude"] is None):
        yield "latitude", InputError("half of the point is missing", mend="give both latitude and longitude")
    elif not civic and row["latitude"] is None:
        yield "", InputError("the row says not where the location is", mend="give an address, a point, or both")
    if row["validation"] == VALIDATED and not ask:
        yield (
            "validation",
            InputError("an address cannot be claimed to be valid and not be validated", mend=f"write {MANUAL}"),
        )


def _civic(row: Mapping[str, object]) -> dict[str, str]:
    return {name: str(row[column]) for column, name in _CIVIC_COLUMNS.items() if row[column] is not None}


def _with_civic(row: Mapping[str, object]) -> dict[str, object]:
    return {**row, "civic": checked_civic(str(row["country"]), _civic(row))}


def _as_stored(row: Mapping[str, object]) -> dict[str, object]:
    return {**row, "civic": Jsonb(row["civic"]), "validation": row["validation"] or MANUAL}


def _judged(connection: db.Connection, good: Sequence[Row], wrong: list[WrongRow]) -> Iterator[Row]:
    """The rows with what the servers make of them; what they refuse goes to `wrong`."""
    by_tenant: dict[str, list[Row]] = {}
    for row in good:
        by_tenant.setdefault(str(row.values["tenant"]), []).append(row)
    for tenant, of_tenant in by_tenant.items():
        try:
            owner = id_of(connection, "tenant", tenant)
        except InputError:
            yield from of_tenant  # the check of tenants will say so, for each row
            continue
        verdicts = validate(connection, owner, [_whereof(row.values) for row in of_tenant])
        for row, verdict in zip(of_tenant, verdicts, strict=True):
            if isinstance(verdict, InputError):
                wrong.append(WrongRow(row.line, "", str(verdict), verdict.mend))
            confirmed = not isinstance(verdict, InputError) and verdict.verdict is Verdict.CONFIRMED
            said = row.values["validation"]
            yield Row(row.line, {**row.values, "validation": said or (VALIDATED if confirmed else MANUAL)})


def _whereof(row: Mapping[str, object]) -> Whereof:
    civic, north, east = row["civic"], row["latitude"], row["longitude"]
    return Whereof(
        str(row["country"]),
        civic if isinstance(civic, Mapping) else {},
        north if isinstance(north, float) else None,
        east if isinstance(east, float) else None,
    )


def import_network_elements(
    connection: db.Connection, file: BinaryIO, *, tenant: str | None, progress: Progress
) -> int:
    """Import network elements; returns how many. Columns: kind, key, location; tenant."""
    columns = (
        Column("kind", _kind, required=True),
        Column("key", str, required=True),
        Column("location", values.name, required=True),
        tenant_column(connection, tenant),
    )
    source = CsvFile(file, columns, progress, _check_key)
    return import_file(connection, source, _ELEMENTS, "network-element import", _with_key)


def _kind(text: str) -> str:
    word = text.lower().replace("-", "_").replace(" ", "_")
    if word not in KINDS:
        raise InputError(f"{shown(text)} is not a kind of network element", mend=f"write one of {', '.join(KINDS)}")
    return word


def _check_key(row: Mapping[str, object]) -> Iterator[tuple[str, InputError]]:
    try:
        canonical_key(str(row["kind"]), str(row["key"]))
    except InputError as error:
        yield "key", error


def _with_key(row: Mapping[str, object]) -> dict[str, object]:
    return {**row, "key": canonical_key(str(row["kind"]), str(row["key"]))}
