"""Locations: where a tenant's people can be, and the registered addresses of numbers. Names are keys within a tenant.

Every function that writes is one transaction (see db.change). LoST servers are asked before it begins: while it lasts
nobody else can provision.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from holdfast.errors import InputError
from holdfast.plane import db, rows
from holdfast.plane.address_validation import Verdict, validate
from holdfast.plane.carriers import act_for
from holdfast.plane.civic_checks import CHECKED_COUNTRIES, checked_civic, country_of_place, one_line
from holdfast.plane.location_values import MANUAL, VALIDATED
from holdfast.plane.lookup import Pointers, id_of, own_id, with_own_ids
from holdfast.plane.lost_xml import Whereof
from holdfast.plane.translation import translated


@dataclass(frozen=True, slots=True)
class LocationRecord:
    """A location. `psaps` as found ahead of time, one for each trunk group; `valid_until` in UTC seconds."""

    id: int
    tenant: str
    site: str | None
    name: str
    country: str
    address: str
    civic: dict[str, str]
    latitude: float | None
    longitude: float | None
    validation: str
    provider_location_id: str | None
    numbers: int
    network_elements: int
    psaps: list[dict[str, Any]]
    revision: int


@dataclass(frozen=True, slots=True)
class Written:
    """A location that was stored: what vouches for it now, whether its address is another, and what to know of it."""

    location_id: int
    validation: str
    address_changed: bool
    notes: tuple[str, ...]


_LOCATIONS = """
    select l.id, t.name as tenant, s.name as site, l.name, l.country, '' as address, l.civic, l.latitude, l.longitude,
           l.validation, l.provider_location_id, l.revision,
           (select count(*) from platform_number n where n.location_id = l.id) as numbers,
           (select count(*) from network_element e where e.location_id = l.id) as network_elements,
           (select coalesce(jsonb_agg(jsonb_build_object(
                       'trunk_group', g.name, 'psap_uri', p.psap_uri, 'found_by', p.found_by,
                       'valid_until', p.valid_until) order by g.name), '[]')
            from location_psap p join trunk_group g on g.id = p.trunk_group_id where p.location_id = l.id) as psaps
    from location l join tenant t on t.id = l.tenant_id left join site s on s.id = l.site_id """
_SITE: Pointers = {"site": ("site_id", "site")}


def locations(
    connection: db.Connection, *, tenant: str | None = None, limit: int | None = None
) -> tuple[LocationRecord, ...]:
    """Every location (of one tenant), by tenant and name; at most `limit` of them."""
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    found = rows.select(
        connection,
        LocationRecord,
        _LOCATIONS
        + """where %(tenant)s::integer is null or l.tenant_id = %(tenant)s order by t.name, l.name limit %(limit)s""",
        {"tenant": of_tenant, "limit": limit},
    )
    return tuple(map(_readable, found))


def location(connection: db.Connection, tenant: str, name: str) -> LocationRecord:
    """One location; InputError if the tenant has none of that name."""
    found = own_id(connection, "location", tenant, name)
    return _readable(rows.select(connection, LocationRecord, _LOCATIONS + "where l.id = %s", (found,))[0])


def _readable(record: LocationRecord) -> LocationRecord:
    return dataclasses.replace(record, address=one_line(record.civic))


def create_location(
    connection: db.Connection, tenant: str, columns: Mapping[str, object], *, ask: bool = True
) -> Written:
    """Store a place: name and country, `civic` (element names and texts), latitude and longitude, `site` by name …

    `validation` is the operator's claim. InputError for an address that its country, or a LoST server, does not know;
    with `ask` False no server is asked, and nothing vouches for the address but who typed it.
    """
    owner = id_of(connection, "tenant", tenant)
    country = country_of_place(str(columns["country"]))
    civic = checked_civic(country, _mapping(columns.get("civic")))
    place = Whereof(country, civic, _degrees(columns.get("latitude")), _degrees(columns.get("longitude")))
    validation, notes = _vouched(connection, owner, place, _claim(columns), ask=ask)
    with db.change(connection, f"location create {columns['name']} of {tenant}"):
        stored = with_own_ids(connection, tenant, _without_address(columns), _SITE)
        rows.insert(connection, "location", {"tenant_id": owner, **stored, **_columns(place, validation)})
        location_id = own_id(connection, "location", tenant, str(columns["name"]))
    return Written(location_id, validation, address_changed=True, notes=notes)


def change_location(
    connection: db.Connection,
    tenant: str,
    name: str,
    columns: Mapping[str, object],
    *,
    ask: bool = True,
    for_carrier: str | None = None,
) -> Written:
    """As create_location. `civic` replaces the address; `civic_elements` changes single elements ("" removes one).

    An address that changes is validated anew. `for_carrier`: the carrier (its trunk group) that wants it so (O2).
    """
    before = location(connection, tenant, name)
    place = _changed_place(before, columns)
    moved = place != Whereof(before.country, before.civic, before.latitude, before.longitude)
    validation = before.validation
    notes: tuple[str, ...] = ()
    if moved or _claim(columns) == VALIDATED:
        owner = id_of(connection, "tenant", tenant)
        validation, notes = _vouched(connection, owner, place, _claim(columns), ask=ask)
    elif "validation" in columns:
        validation = str(columns["validation"])
    with db.change(connection, f"location set {name} of {tenant}: {', '.join(columns)}"):
        if for_carrier is not None:
            act_for(connection, for_carrier)
        stored = with_own_ids(connection, tenant, _without_address(columns), _SITE)
        _update(connection, before, {**stored, **_columns(place, validation)})
        if moved:
            notes += _kept_elsewhere(connection, before.id)
    return Written(before.id, validation, address_changed=moved, notes=notes)


def delete_location(connection: db.Connection, tenant: str, name: str) -> None:
    """InputError, which names them, while numbers, network elements, pools or users refer to it."""
    with db.change(connection, f"location delete {name} of {tenant}"):
        location_id = own_id(connection, "location", tenant, name)
        references = [str(text) for text, _ in rows.pairs(connection, _REFERENCES, {"location": location_id})]
        if references:
            more = f" and {len(references) - 4} more" if len(references) > 4 else ""
            raise InputError(
                f"location {name!r} is still needed: {', '.join(references[:4])}{more}",
                mend="give these another location first, or none",
            )
        rows.delete(connection, "location", "id", location_id)


_REFERENCES = """
    select what, which from (
        select 'the emergency address of ' || number as what, 1 as which
        from platform_number where location_id = %(location)s
        union all
        select replace(kind, '_', ' ') || ' ' || element_key || ' is there', 2
        from network_element where location_id = %(location)s
        union all
        select 'pool ' || name || ' is lent to its callers', 3 from pool where location_id = %(location)s
        union all
        select 'user ' || username || '@' || realm || ' confirmed it', 4
        from subscriber where confirmed_location_id = %(location)s
    ) as found order by which, what"""


def _kept_elsewhere(connection: db.Connection, location_id: int) -> tuple[str, ...]:
    """L7: a provider that looks addresses up by a number, or by its own id, must be told of a change."""
    kept = rows.pairs(
        connection,
        """select 'by the numbers of pool ' || name, 1 from pool where location_id = %(location)s
           union all
           select 'as ' || provider_location_id, 2 from location
           where id = %(location)s and provider_location_id is not null order by 2, 1""",
        {"location": location_id},
    )
    return tuple(f"the provider keeps this address itself ({how}): change it there, too" for how, _ in kept)


# What is typed, and what vouches for it


def _claim(columns: Mapping[str, object]) -> str | None:
    claimed = columns.get("validation")
    return None if claimed is None else str(claimed)


def _vouched(
    connection: db.Connection, owner: int, place: Whereof, claimed: str | None, *, ask: bool
) -> tuple[str, tuple[str, ...]]:
    """What the address counts as (L3), and notes for people. InputError if it is refused."""
    unchecked: tuple[str, ...] = ()
    if place.civic and place.country not in CHECKED_COUNTRIES:
        unchecked = (
            f"the form of addresses in {place.country} is not known here: nothing but its element names was checked",
        )
    if not ask:
        if claimed == VALIDATED:
            raise InputError(
                "an address cannot be claimed to be valid and not be validated", mend="leave out one of the two options"
            )
        return claimed or MANUAL, unchecked
    (verdict,) = validate(connection, owner, [place])
    if isinstance(verdict, InputError):
        raise verdict
    notes = (*unchecked, *([verdict.note] if verdict.note else []))
    if verdict.verdict is Verdict.CONFIRMED:
        return claimed or VALIDATED, notes
    return claimed or MANUAL, notes


def _mapping(civic: object) -> Mapping[str, str]:
    return civic if isinstance(civic, Mapping) else {}


def _degrees(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


_ADDRESS = ("country", "civic", "civic_elements", "latitude", "longitude", "validation")


def _without_address(columns: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in columns.items() if name not in _ADDRESS}


def _columns(place: Whereof, validation: str) -> dict[str, object]:
    return {
        "country": place.country,
        "civic": Jsonb(dict(place.civic)),
        "latitude": place.latitude,
        "longitude": place.longitude,
        "validation": validation,
    }


def _changed_place(before: LocationRecord, columns: Mapping[str, object]) -> Whereof:
    country = country_of_place(str(columns.get("country", before.country)))
    given = _mapping(columns["civic"]) if "civic" in columns else before.civic
    civic = checked_civic(country, _merged(given, _mapping(columns.get("civic_elements"))))
    latitude = columns.get("latitude", before.latitude)
    return Whereof(country, civic, _degrees(latitude), _degrees(columns.get("longitude", before.longitude)))


def _merged(civic: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Names are taken in any case, as civic_from_mapping takes them."""
    changed = {name.lower() for name in changes}
    return {**{name: text for name, text in civic.items() if name.lower() not in changed}, **changes}


def _update(connection: db.Connection, before: LocationRecord, columns: Mapping[str, object]) -> None:
    """Store the columns, unless somebody else changed the row since it was read: half of two addresses is none."""
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in columns]
    query = sql.SQL("update location set {} where id = %s and revision = %s").format(sql.SQL(", ").join(assignments))
    with translated():
        updated = connection.execute(query, [*columns.values(), before.id, before.revision]).rowcount
    if not updated:
        raise InputError(
            f"location {before.name!r} was changed by somebody else meanwhile", mend="look at it, and try again"
        )
