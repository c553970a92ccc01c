"""Trunks' health: every enabled trunk is sent OPTIONS, and the edge store keeps what came of it for the routing code.

The store is written only when a state changes, and once a minute so that what it says does not become stale. No call
waits for any of this, and when the agent is gone its results expire (core.health).
"""

import asyncio
import logging
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass

from holdfast import metrics
from holdfast.core.headers import is_address
from holdfast.core.health import Health, State, is_stale
from holdfast.edge.keeper import OpenStore, StoreKeeper
from holdfast.edge.ping import ANSWERS_WITHIN_S, CannotAskError, Outcome, Peer, ask
from holdfast.edge.steps import not_durable, transaction

log = logging.getLogger(__name__)

#: How old a result in the store may become before it is written again though nothing changed, in seconds.
WRITE_AGAIN_S = 60.0
#: So many trunks are asked at the same time; if all of them are silent, the next ones wait for ANSWERS_WITHIN_S.
ASKED_AT_ONCE = 64

_SHOWN = {State.UP: 1.0, State.DOWN: 0.0, State.UNKNOWN: math.nan}


_TRUNKS = """select t.id, t.name, t.host, ifnull(a.address, t.host) as address, t.port, t.transport
             from trunk t left join trunk_address a on a.host = t.host where t.enabled = 1"""
_COLUMNS = "trunk_id, address, port, transport, state, changed_at, checked_at, failures, reason"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of trunk_health (sql/edge.sql)."""

    trunk_id: int
    address: str
    port: int
    transport: str
    state: str
    changed_at: float
    checked_at: float
    failures: int
    reason: str

    @property
    def destination(self) -> tuple[str, int, str]:
        return self.address, self.port, self.transport


@dataclass(slots=True)
class _Watched:
    """A trunk as it is known to this process; `found_at` is when an OPTIONS last came to anything, None if never."""

    name: str
    peer: Peer
    health: Health
    changed_at: float
    found_at: float | None = None
    why: str = ""


class TrunkWatch:
    """Asks the trunks of one edge store round by round. `from_address` is the node's own SIP address."""

    def __init__(
        self,
        keeper: StoreKeeper,
        from_address: str,
        *,
        answers_within_s: float = ANSWERS_WITHIN_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keeper = keeper
        self._from_address = from_address
        self._answers_within_s = answers_within_s
        self._now = now
        self._watched: dict[int, _Watched] = {}

    async def round(self) -> list[str]:
        """Ask every enabled trunk once and store what changed; which ones could not be asked, and why.

        EdgeStoreUnavailable: nothing was stored; what was found is kept for the next round.
        """
        trunks, stored = await self._keeper.do(_read)
        self._look_at(trunks, stored)
        slots = asyncio.Semaphore(ASKED_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._ask(watched, slots)) for watched in self._watched.values()]
        await self._keeper.do(lambda store: self._write(store))
        return [complaint for task in asked if (complaint := task.result())]

    def _look_at(self, trunks: Iterable[sqlite3.Row], stored: Mapping[int, Row]) -> None:
        """Take up new trunks where the store left them, and forget what is too old or about another destination."""
        now = self._now()
        known, self._watched = self._watched, {}
        formerly = {watched.name for watched in known.values()}
        for trunk_id, name, *where in trunks:
            peer = Peer(*where)
            watched = known.get(trunk_id) or _taken_up(name, peer, stored.get(trunk_id), now)
            moved = watched.peer.destination != peer.destination
            if moved or (watched.found_at is not None and is_stale(watched.found_at, now)):
                watched = _Watched(name, peer, watched.health.forgotten(), now)
            watched.name, watched.peer = name, peer
            self._watched[trunk_id] = watched
        _show(self._watched.values(), formerly)

    async def _ask(self, watched: _Watched, slots: asyncio.Semaphore) -> str | None:
        """Ask one trunk; why it could not be asked, or None."""
        if not is_address(watched.peer.address):
            return None  # DNS has never known its name, which the agent says elsewhere
        async with slots:
            try:
                outcome = await ask(watched.peer, self._from_address, self._answers_within_s)
            except CannotAskError as error:
                return f"trunk {watched.name}: {error} ({error.mend})"
        self._found(watched, outcome)
        return None

    def _found(self, watched: _Watched, outcome: Outcome) -> None:
        before, watched.health = watched.health.state, watched.health.after(outcome.finding)
        watched.why, watched.found_at = outcome.why, self._now()
        state, name = watched.health.state, watched.name
        if state is before:
            return
        watched.changed_at = watched.found_at
        metrics.trunk_up.labels(name).set(_SHOWN[state])
        metrics.trunk_transitions.labels(name, state.value).inc()
        if state is State.DOWN:
            log.error("trunk %s is down: %s; it is tried last", name, outcome.why)
        else:
            log.info("trunk %s is up: %s", name, outcome.why)

    # The store

    def _write(self, store: OpenStore) -> None:
        stored = _stored(store)
        rows = [row for i, watched in self._watched.items() if (row := _due(i, watched, stored.get(i)))]
        known = {i for i, watched in self._watched.items() if watched.health.state is not State.UNKNOWN}
        gone = stored.keys() - known
        if not rows and not gone:
            return
        after = {i: row for i, row in stored.items() if i in known} | {row.trunk_id: row for row in rows}
        with not_durable(store.connection), transaction(store.connection):
            store.connection.executemany("delete from trunk_health where trunk_id = ?", ((i,) for i in gone))
            store.connection.executemany(
                f"insert or replace into trunk_health ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                [astuple(row) for row in rows],
            )
            if _down(after) != _down(stored):
                # the routing code keeps its trunks in memory; up and unknown are the same to it
                store.connection.execute("update store set network_version = network_version + 1")


def _down(rows: Mapping[int, Row]) -> set[tuple[int, tuple[str, int, str]]]:
    return {(row.trunk_id, row.destination) for row in rows.values() if row.state == State.DOWN}


def _due(trunk_id: int, watched: _Watched, old: Row | None) -> Row | None:
    """The row to write for a trunk, if the store does not say the same or has not said so for a while."""
    health = watched.health
    if watched.found_at is None or health.state is State.UNKNOWN:
        return None
    row = Row(
        trunk_id, *watched.peer.destination, health.state.value, watched.changed_at, watched.found_at, health.failures,
        watched.why,
    )  # fmt: skip
    if old is None or (old.destination, old.state) != (row.destination, row.state):
        return row
    return row if row.checked_at - old.checked_at >= WRITE_AGAIN_S else None


def pause_s(every_s: float) -> float:
    """How long to wait for the next round: with jitter, so that a fleet's agents do not all ask a trunk at once."""
    return every_s * random.uniform(0.8, 1.2)  # noqa: S311  no secret


def _read(store: OpenStore) -> tuple[list[sqlite3.Row], dict[int, Row]]:
    return store.connection.execute(_TRUNKS).fetchall(), _stored(store)


def _stored(store: OpenStore) -> dict[int, Row]:
    rows = store.connection.execute(f"select {_COLUMNS} from trunk_health")  # noqa: S608  our own constant
    return {row["trunk_id"]: Row(*row) for row in rows}


def _taken_up(name: str, peer: Peer, row: Row | None, now: float) -> _Watched:
    """A trunk that is new to this process, with what an agent that ran before it has found of that destination."""
    if row is None or row.destination != peer.destination:
        return _Watched(name, peer, Health(), now)
    health = Health(State(row.state), failures=row.failures)
    return _Watched(name, peer, health, row.changed_at, row.checked_at, row.reason)


def _show(every: Iterable[_Watched], formerly: set[str]) -> None:
    """Show the state of these trunks, and take away what was shown of others."""
    names = set()
    for watched in every:
        names.add(watched.name)
        metrics.trunk_up.labels(watched.name).set(_SHOWN[watched.health.state])
        for state in (State.UP, State.DOWN):
            metrics.trunk_transitions.labels(watched.name, state.value)  # from the start, at 0
    for gone in formerly - names:
        metrics.trunk_up.remove(gone)
        for state in (State.UP, State.DOWN):
            metrics.trunk_transitions.remove(gone, state.value)
