"""The areas that PSAPs serve, by trunk group: stored, listed and removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.errors import InputError
from holdfast.plane import db, rows
from holdfast.plane.geojson import Area, AreasRefused, overlaps, stored_area
from holdfast.plane.lookup import id_of
from holdfast.plane.translation import translated


@dataclass(frozen=True, slots=True)
class BoundaryRecord:
    """One area as shown to people: its bounding box in degrees, not its vertices."""

    trunk_group: str
    name: str
    psap_uri: str
    vertices: int
    min_latitude: float
    max_latitude: float
    min_longitude: float
    max_longitude: float


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did to a group's areas. `psap_method`: how the group finds its PSAPs, by these or otherwise."""

    added: int
    changed: int
    removed: int
    psap_method: str


@dataclass(frozen=True, slots=True)
class _Stored:
    trunk_group_id: int
    name: str
    psap_uri: str
    polygons: Any


def boundaries(connection: db.Connection, group: str | None = None) -> tuple[BoundaryRecord, ...]:
    """Every area (of one trunk group), by name."""
    of_group = id_of(connection, "trunk_group", group) if group else None
    return rows.select(
        connection,
        BoundaryRecord,
        """select g.name as trunk_group, b.name, b.psap_uri,
                  (select sum(jsonb_array_length(ring))::integer
                   from jsonb_array_elements(b.polygons) as polygon, jsonb_array_elements(polygon) as ring) as vertices,
                  b.min_latitude, b.max_latitude, b.min_longitude, b.max_longitude
           from boundary b join trunk_group g on g.id = b.trunk_group_id
           where %(group)s::integer is null or g.id = %(group)s order by g.name, b.name""",
        {"group": of_group},
    )


def areas_of(connection: db.Connection, group_ids: Sequence[int]) -> dict[int, tuple[Area, ...]]:
    """The areas of each of these trunk groups, by name."""
    found: dict[int, list[Area]] = {group_id: [] for group_id in group_ids}
    stored = rows.select(
        connection,
        _Stored,
        """select trunk_group_id, name, psap_uri, polygons from boundary
           where trunk_group_id = any(%s::integer[]) order by name""",
        (list(group_ids),),
    )
    for row in stored:
        found[row.trunk_group_id].append(stored_area(row.name, row.psap_uri, row.polygons))
    return {group_id: tuple(areas) for group_id, areas in found.items()}


def import_areas(connection: db.Connection, group: str, areas: Sequence[Area], *, replace: bool) -> Imported:
    """Give a trunk group areas; with `replace` these and no others, else beside those it has.

    All of them, or none: AreasRefused names areas that overlap, and names that are taken.
    """
    with db.change(
        connection, f"boundary import {group}: {len(areas)} areas{', all others removed' if replace else ''}"
    ):
        group_id = id_of(connection, "trunk_group", group)
        names = [area.name for area in areas]
        with translated():
            # takes the lock on all provisioning, also when it deletes nothing: what is read below stays true
            removed = connection.execute(
                "delete from boundary where trunk_group_id = %s and %s and name <> all (%s::text[])",
                (group_id, replace, names),
            ).rowcount
        present = areas_of(connection, [group_id])[group_id]
        known = {area.name: area for area in present}
        wrong = (
            []
            if replace
            else [f"{name!r} is there already; use --replace, or another name" for name in names if name in known]
        )
        beside = [] if replace else [area for area in present if area.name not in names]
        wrong += overlaps([*areas, *beside])
        if wrong:
            raise AreasRefused(wrong)
        changed = [area for area in areas if area.name in known and _differs(area, known[area.name])]
        added = [area for area in areas if area.name not in known]
        with translated(), connection.cursor() as cursor:
            cursor.executemany(_UPSERT, [_row(group_id, area) for area in (*changed, *added)])
        method = rows.value(connection, "select psap_method from trunk_group where id = %s", (group_id,))
    return Imported(len(added), len(changed), removed, str(method))


_UPSERT = """insert into boundary (trunk_group_id, name, psap_uri, polygons, min_latitude, max_latitude, min_longitude,
                                   max_longitude)
             values (%s, %s, %s, %s, %s, %s, %s, %s)
             on conflict (trunk_group_id, name) do update
             set psap_uri = excluded.psap_uri, polygons = excluded.polygons, min_latitude = excluded.min_latitude,
                 max_latitude = excluded.max_latitude, min_longitude = excluded.min_longitude,
                 max_longitude = excluded.max_longitude"""


def _row(group_id: int, area: Area) -> tuple[object, ...]:
    return (group_id, area.name, area.psap_uri, Jsonb(area.polygons), *area.box)


def _differs(area: Area, other: Area) -> bool:
    return (area.psap_uri, area.polygons) != (other.psap_uri, other.polygons)


def remove_areas(connection: db.Connection, group: str, name: str | None) -> int:
    """Remove one area of a trunk group, or (name None) all it has; returns how many. InputError if there is none."""
    with db.change(connection, f"boundary remove {group}: {'all' if name is None else name}"):
        group_id = id_of(connection, "trunk_group", group)
        with translated():
            removed = connection.execute(
                "delete from boundary where trunk_group_id = %(group)s and (%(name)s::text is null or name = %(name)s)",
                {"group": group_id, "name": name},
            ).rowcount
        if not removed:
            what = "no boundaries" if name is None else f"no boundary {name!r}"
            raise InputError(f"trunk group {group!r} has {what}", mend="'holdfast boundary list' shows all")
    return removed
