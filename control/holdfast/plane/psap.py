"""Which PSAP serves each location, found ahead of time: no call ever waits for a LoST server or for geometry.

Every trunk group that wants the PSAP named (psap_method 'lost' or 'boundary') has one for each location whose calls it
may carry. An answer that fails leaves the last one standing; one that says "nowhere" takes it away.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import shapely

from holdfast.plane import db, lost, rows
from holdfast.plane.boundaries import areas_of
from holdfast.plane.geojson import Area
from holdfast.plane.lookup import id_of
from holdfast.plane.lost_xml import Found, Whereof
from holdfast.plane.translation import translated

#: An answer that is valid for less is asked for again, so that an hourly run never lets one expire.
ASK_BEFORE_S = 2 * 3600.0


class Outcome(StrEnum):
    """What became of one location's PSAP with one trunk group."""

    SAME = "same"
    NEW = "new"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"  # the group does not serve the location any more, or no area holds it
    FAILED = "failed"  # nothing is known, or no more than was known before


@dataclass(frozen=True, slots=True)
class Routed:
    """One location and trunk group: the PSAP that now stands, the one before, and what went wrong if anything did."""

    tenant: str
    location: str
    trunk_group: str
    outcome: Outcome
    psap_uri: str | None
    before: str | None
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """A location and a trunk group that wants its PSAP, as they were when they were read."""

    location_id: int
    location_revision: int
    location: str
    tenant: str
    country: str
    civic: dict[str, str]
    latitude: float | None
    longitude: float | None
    trunk_group_id: int
    group_revision: int
    trunk_group: str
    psap_method: str
    lost_url: str | None
    psap_uri: str | None

    @property
    def key(self) -> tuple[int, int]:
        return self.location_id, self.trunk_group_id

    @property
    def whereof(self) -> Whereof:
        return Whereof(self.country, self.civic, self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found for a pair. `psap_uri` None: `problem` says why; `nowhere`: that is an answer, not a failure."""

    psap_uri: str | None = None
    valid_until: float | None = None
    problem: str = ""
    nowhere: bool = False
    notes: tuple[str, ...] = ()


#: Which pairs there must be: a group of any country or the location's, the platform's or the location's tenant's own.
_WANTED = """g.psap_method in ('lost', 'boundary') and (g.country is null or g.country = l.country)
             and (g.tenant_id is null or g.tenant_id = l.tenant_id)"""
_SCOPE = """(%(tenant)s::integer is null or l.tenant_id = %(tenant)s)
            and (%(locations)s::integer[] is null or l.id = any (%(locations)s))
            and (%(group)s::integer is null or g.id = %(group)s)"""


def route(
    connection: db.Connection,
    *,
    tenant: str | None = None,
    location_ids: Sequence[int] | None = None,
    group: str | None = None,
    everything: bool = True,
) -> tuple[Routed, ...]:
    """Find the PSAPs of locations (of one tenant, or these; with one trunk group), and store them as one change.

    With `everything` all are asked for again; else what is missing, and what a LoST server said that expires soon.
    """
    scope = {
        "tenant": id_of(connection, "tenant", tenant) if tenant else None,
        "locations": None if location_ids is None else list(location_ids),
        "group": id_of(connection, "trunk_group", group) if group else None,
    }
    now = time.time()
    pairs = rows.select(connection, _Pair, _PAIRS, {**scope, "everything": everything, "due": now + ASK_BEFORE_S})
    found = dict(zip((pair.key for pair in pairs), _find(connection, pairs, now), strict=True))
    if not pairs and not rows.value(connection, _UNWANTED, scope):
        return ()
    return _store(connection, scope, pairs, found)


_PAIRS = f"""
    select l.id as location_id, l.revision as location_revision, l.name as location, t.name as tenant, l.country,
           l.civic, l.latitude, l.longitude, g.id as trunk_group_id, g.revision as group_revision,
           g.name as trunk_group, g.psap_method, g.lost_url, p.psap_uri
    from location l join tenant t on t.id = l.tenant_id
         cross join trunk_group g
         left join location_psap p on p.location_id = l.id and p.trunk_group_id = g.id
    where {_WANTED} and {_SCOPE}
      and (%(everything)s or p.id is null or g.psap_method = 'boundary' or p.valid_until < %(due)s)
    order by t.name, l.name, g.name"""  # noqa: S608  constants


# Finding


def _find(connection: db.Connection, pairs: Sequence[_Pair], now: float) -> list[_Finding]:
    by_lost = [pair for pair in pairs if pair.psap_method == "lost"]
    answers = lost.ask([lost.Question(str(pair.lost_url), pair.whereof) for pair in by_lost]) if by_lost else []
    findings = {pair.key: _of_lost(answer, now) for pair, answer in zip(by_lost, answers, strict=True)}
    by_boundary = [pair for pair in pairs if pair.psap_method == "boundary"]
    areas = areas_of(connection, sorted({pair.trunk_group_id for pair in by_boundary}))
    for group_id, group_areas in areas.items():
        of_group = [pair for pair in by_boundary if pair.trunk_group_id == group_id]
        findings |= {pair.key: found for pair, found in zip(of_group, _in_areas(of_group, group_areas), strict=True)}
    return [findings[pair.key] for pair in pairs]


def _of_lost(answer: lost.Answer, now: float) -> _Finding:
    if isinstance(answer, Found):
        until = answer.valid_until
        # what must not be kept is old at once, and asked for again by the next run
        return _Finding(answer.psap_uri, None if until is None else max(until, now), notes=answer.notes)
    return _Finding(problem=f"{answer} — {answer.mend}")


def _in_areas(pairs: Sequence[_Pair], areas: Sequence[Area]) -> Iterator[_Finding]:
    tree = shapely.STRtree([area.shape for area in areas])
    for pair in pairs:
        if pair.latitude is None:
            yield _Finding(
                problem="it has an address and no point, and a boundary needs one — 'holdfast location set' with"
                " --latitude and --longitude", nowhere=True,
            )  # fmt: skip
            continue
        # a point on a border belongs to both; the first by name, always the same
        holding = sorted(tree.query(shapely.Point(pair.longitude, pair.latitude), predicate="intersects").tolist())
        if holding:
            yield _Finding(areas[holding[0]].psap_uri)
        else:
            yield _Finding(
                problem=f"none of the group's {len(areas)} areas holds it — 'holdfast boundary list' shows them",
                nowhere=True,
            )


# Storing


def _store(
    connection: db.Connection, scope: dict[str, Any], pairs: Sequence[_Pair], found: dict[tuple[int, int], _Finding]
) -> tuple[Routed, ...]:
    with db.change(connection, f"location route: {len(pairs)} PSAPs asked for"):
        withdrawn = _withdraw(connection, scope)
        current = set(_still_the_same(connection, pairs))
        stored = [pair for pair in pairs if pair.key in current and found[pair.key].psap_uri]
        nowhere = [pair for pair in pairs if pair.key in current and found[pair.key].nowhere]
        _upsert(connection, [(pair, found[pair.key]) for pair in stored])
        _delete(connection, nowhere)
    return (*withdrawn, *(_routed(pair, found[pair.key], is_current=pair.key in current) for pair in pairs))


def _routed(pair: _Pair, finding: _Finding, *, is_current: bool) -> Routed:
    now, problem = finding.psap_uri, finding.problem
    if not is_current:
        now, problem = pair.psap_uri, "it was changed meanwhile — run it again"
    if problem:
        now = None if finding.nowhere and is_current else pair.psap_uri
        outcome = Outcome.FAILED
    elif pair.psap_uri is None:
        outcome = Outcome.NEW
    else:
        outcome = Outcome.SAME if now == pair.psap_uri else Outcome.CHANGED
    return Routed(
        pair.tenant, pair.location, pair.trunk_group, outcome, now, pair.psap_uri, problem, finding.notes
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Withdrawn:
    tenant: str
    location: str
    trunk_group: str
    psap_uri: str


def _withdraw(connection: db.Connection, scope: dict[str, Any]) -> tuple[Routed, ...]:
    """Take away what no pair wants any more. This comes first: it waits for all other provisioning to end."""
    gone = rows.select(connection, _Withdrawn, _WITHDRAW, scope)
    return tuple(
        Routed(row.tenant, row.location, row.trunk_group, Outcome.WITHDRAWN, None, row.psap_uri) for row in gone
    )


_UNWANTED = f"""
    select true from location_psap p, location l, trunk_group g
    where l.id = p.location_id and g.id = p.trunk_group_id and not ({_WANTED}) and {_SCOPE} limit 1"""  # noqa: S608  constants
_WITHDRAW = f"""
    with gone as (
        delete from location_psap p using location l, trunk_group g
        where l.id = p.location_id and g.id = p.trunk_group_id and not ({_WANTED}) and {_SCOPE}
        returning p.location_id, p.trunk_group_id, p.psap_uri
    )
    select t.name as tenant, l.name as location, g.name as trunk_group, gone.psap_uri
    from gone join location l on l.id = gone.location_id join tenant t on t.id = l.tenant_id
         join trunk_group g on g.id = gone.trunk_group_id
    order by t.name, l.name, g.name"""  # noqa: S608  constants


def _still_the_same(connection: db.Connection, pairs: Sequence[_Pair]) -> Iterator[tuple[int, int]]:
    """The pairs that nobody changed since they were read: an answer for another address must not be stored."""
    locations = dict(rows.pairs(connection, "select id, revision from location where id = any (%s::integer[])",
                                ([pair.location_id for pair in pairs],)))  # fmt: skip
    groups = dict(rows.pairs(connection, "select id, revision from trunk_group where id = any (%s::integer[])",
                             ([pair.trunk_group_id for pair in pairs],)))  # fmt: skip
    for pair in pairs:
        same_location = locations.get(pair.location_id) == pair.location_revision
        if same_location and groups.get(pair.trunk_group_id) == pair.group_revision:
            yield pair.key


def _upsert(connection: db.Connection, answers: Sequence[tuple[_Pair, _Finding]]) -> None:
    columns: tuple[list[object], ...] = ([], [], [], [], [])
    for pair, finding in answers:
        row = (pair.location_id, pair.trunk_group_id, finding.psap_uri, pair.psap_method, finding.valid_until)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    with translated():
        connection.execute(
            """insert into location_psap as p (location_id, trunk_group_id, psap_uri, found_by, valid_until)
               select * from unnest(%s::integer[], %s::integer[], %s::text[], %s::text[], %s::double precision[])
               on conflict (location_id, trunk_group_id) do update
               set psap_uri = excluded.psap_uri, found_by = excluded.found_by, valid_until = excluded.valid_until
               where (p.psap_uri, p.found_by, p.valid_until)
                     is distinct from (excluded.psap_uri, excluded.found_by, excluded.valid_until)""",
            columns,
        )


def _delete(connection: db.Connection, pairs: Sequence[_Pair]) -> None:
    with translated():
        connection.execute(
            """delete from location_psap p using unnest(%s::integer[], %s::integer[]) as n (location_id, trunk_group_id)
               where p.location_id = n.location_id and p.trunk_group_id = n.trunk_group_id""",
            ([pair.location_id for pair in pairs], [pair.trunk_group_id for pair in pairs]),
        )
