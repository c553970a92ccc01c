"""The agent's side of the edge store: provisioning comes down, numbers are counted, leases that are over are erased.

The routing code waits for SQLite's one writer lock, so nothing here holds it for longer than STEP_S and a row: work is
given as a list, a call does what fits into one short transaction and says how much that was. Errors are sqlite3's own;
the agent translates them in one place.
"""

import json
import logging
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast import metrics
from holdfast.core import lease as rules
from holdfast.core.lease import Lease, LeaseState, Moment
from holdfast.edge import clock
from holdfast.edge.steps import STEP_S, not_durable, transaction, while_there_is_time
from holdfast.edge.store import EdgeStore

log = logging.getLogger(__name__)

#: A call is presumed ended this much before the routing code stops counting it, in seconds, so that the lease's window
#: restarts before anybody could think the number idle.
PRESUME_EARLY_S = 60.0

#: Provisioning tables and their keys.
RELATIONS = {
    "node": "id",
    "tenant": "id",
    "subscriber": "id",
    "platform_number": "number",
    "trunk_group": "id",
    "trunk": "id",
    "pool": "id",
    "pool_number": "number",
    "site": "id",
    "location": "id",
    "network_element": "id",
    "policy": "id",
    "policy_mask": "id",
    "routing_rule": "id",
    "dial_rule": "id",
    "country_rule": "id",
    "boundary": "id",
    "location_psap": "id",
}

#: What SQLite says of one row that it cannot hold; the rest of the transaction stands.
_UNSTORABLE = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)

_ADOPT = """
    insert into number_state (number, rested_since, rested_until)
    select n.number, :now,
           -- an earlier store of this node may have lent it a moment before it was lost
           case when n.owner_store_id = :store_id then 0 else :now + max(p.window_s, :window_s) + p.rest_s end
    from pool_number n join pool p on p.id = n.pool_id
    where n.number = :number and n.owner_node_id = :node_id and n.shared = 0
    on conflict (number) do nothing
"""
_OWNED = "select 1 from pool_number where number = :number and owner_node_id = :node_id and shared = 0"
_DISOWN = f"delete from number_state where number = :number and not exists ({_OWNED})"  # noqa: S608  a constant
_UNSETTLED = """
    select n.number from pool_number n left join number_state s on s.number = n.number
    where n.owner_node_id = :node_id and n.shared = 0 and s.number is null and n.pool_id in (select id from pool)
    union all
    select s.number from number_state s left join pool_number n on n.number = s.number
    where n.owner_node_id is not :node_id or n.shared <> 0
"""
_IDLE = """
    select p.id, p.name, p.target_idle, (
        select count(*) from pool_number n join number_state s on s.number = n.number
        where n.pool_id = p.id and n.owner_node_id = :node_id and n.shared = 0 and s.rested_until <= :now
          and not exists (select 1 from lease l where l.number = n.number)
    ) as idle from pool p order by p.id
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One provisioning row as PostgreSQL has it now; `row` None: it was deleted. `key` is its primary key as text."""

    revision: int
    relation: str
    key: str
    row: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PoolCount:
    """How many numbers of a pool this node could lend (`idle`), and how many are lent or rest."""

    pool_id: int
    name: str
    target_idle: int
    idle: int
    live: int
    resting: int


class Replica:
    """The provisioning copy and the numbers of one open edge store. Not for use by two threads at once."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], Moment] = clock.now) -> None:
        self._db = connection
        self._now = now
        self.store = EdgeStore(connection)
        self.store_id = self.store.info().store_id
        self.node_id = self.store.info().node_id
        #: the last revision that was applied, of the copy that is being made
        self.cursor = 0
        self._columns = {relation: self._columns_of(relation) for relation in (*RELATIONS, "lease")}
        # the keys that came down in a full resync, by relation; None outside one
        self._seen: dict[str, set[str]] | None = None
        #: whether the store holds all that there was when last asked
        self.caught_up = False
        self._database_id = ""
        self._must_settle = True
        self._warned: set[str] = set()

    # Coming down

    def must_start_over(self, node_id: int, database_id: str, *, reached: bool) -> bool:
        """Whether what is here cannot be a part of a database's history. `reached`: it knows our revision."""
        revision, known_node, known_database = self._db.execute(
            "select revision, node_id, database_id from store"
        ).fetchone()
        return bool(revision > 0 and (known_database != database_id or known_node != node_id or not reached))

    def start(self, node_id: int, database_id: str, *, anew: bool) -> None:
        """Begin to follow a database: ask it for what changed after `cursor`.

        With `anew` that is everything. What is here stays in use meanwhile, and is swept out at the end (`leftovers`)
        if it did not come. What this database had confirmed may be gone there too: the journal is shipped again, and
        the leases as they are now (`rejournal`).
        """
        with transaction(self._db):
            # null until the copy is whole: a resync that is cut off begins again
            self._db.execute("update store set node_id = ?, database_id = ?", (node_id, None if anew else database_id))
            if anew:
                self._db.execute("update store set shipped_seq = 0")
        info = self.store.info()
        self.node_id, self.caught_up = node_id, info.caught_up and not anew
        self.cursor = 0 if anew else info.revision
        self._database_id = database_id
        self._seen = defaultdict(set) if anew else None
        self._must_settle = True

    def become_another_store(self) -> None:
        """This file is an old copy: what it lent since is known to PostgreSQL at best.

        Under a new store_id its numbers rest first, the leases that PostgreSQL knows are put back before any is lent,
        and sequence numbers that were shipped already are not used for other rows.
        """
        self.store_id = uuid.uuid4().hex
        with transaction(self._db):
            self._db.execute("update store set store_id = ?, caught_up = 0", (self.store_id,))
            self._db.execute("delete from number_state")
        self.caught_up = False
        self._must_settle = True

    def apply(self, changes: Sequence[Change]) -> int:
        """Take the first of these changes, in order of revision, in one short transaction; returns how many."""
        refused: list[tuple[Change, Exception]] = []
        applied = 0
        with not_durable(self._db), transaction(self._db):
            began = time.monotonic()
            for change in changes:
                try:
                    self._apply(change)
                except _UNSTORABLE as error:
                    refused.append((change, error))
                applied += 1
                if time.monotonic() - began >= STEP_S:
                    break
            if applied and self._seen is None:
                self._db.execute("update store set revision = ?", (changes[applied - 1].revision,))
        metrics.sync_batch.observe(time.monotonic() - began)
        if applied:
            self.cursor = changes[applied - 1].revision
        for change, reason in refused:
            self._refused(change, reason)
        return applied

    def _apply(self, change: Change) -> None:
        if change.relation not in RELATIONS:
            self._warn_once(f"PostgreSQL sends {change.relation!r} rows, which this version does not know")
            return
        if change.row is None:
            key = RELATIONS[change.relation]
            self._db.execute(f"delete from {change.relation} where {key} = ?", (change.key,))  # noqa: S608  RELATIONS'
        else:
            self._put(change.relation, change.key, change.row)
        if change.relation == "pool_number":
            self._settle(change.key, self._now().wall_s)

    def _put(self, relation: str, key: str, row: Mapping[str, Any]) -> None:
        unknown = row.keys() - self._columns[relation]
        if unknown - {"revision"}:
            self._warn_once(f"PostgreSQL sends {relation} columns that this version does not know: {sorted(unknown)}")
        if relation == "pool" and not self._db.execute("select 1 from pool where id = ?", (key,)).fetchone():
            self._must_settle = True  # its numbers may have come before it
        # Another row may still hold a unique value that has moved on to this one: it was changed too, later, and comes
        # again. So it gives way.
        self._insert("insert or replace", relation, row)
        if self._seen is not None:
            self._seen[relation].add(key)

    def _insert(self, verb: str, table: str, row: Mapping[str, Any]) -> int:
        columns = [column for column in row if column in self._columns[table]]
        if not columns:
            raise sqlite3.IntegrityError("the row has none of the table's columns")
        marks = ", ".join("?" * len(columns))
        statement = f"{verb} into {table} ({', '.join(columns)}) values ({marks})"
        return self._db.execute(statement, [_stored(row[column]) for column in columns]).rowcount

    def _refused(self, change: Change, error: Exception) -> None:
        metrics.sync_refused.labels(change.relation).inc()
        log.error("a %s row at revision %d cannot be stored: %s", change.relation, change.revision, error)
        self.alarm("provisioning_refused", relation=change.relation, row_key=change.key, revision=change.revision)

    def leftovers(self) -> list[Change]:
        """After everything came down again: what is here and did not come, as deletions to apply."""
        if self._seen is None:
            return []
        return [
            Change(self.cursor, relation, str(row[0]), None)
            for relation, key in RELATIONS.items()
            for row in self._db.execute(f"select {key} from {relation}").fetchall()  # noqa: S608  RELATIONS'
            if str(row[0]) not in self._seen[relation]
        ]

    def finish(self) -> None:
        """Everything has come down, and an earlier store's leases with it: the routing code may lend numbers."""
        with transaction(self._db):
            self._db.execute(
                # the routing code keeps some rows of one revision in memory; another database may be at the same one
                """update store set revision = ?, database_id = ?, caught_up = 1,
                                    network_version = network_version + ?""",
                (self.cursor, self._database_id, self._seen is not None),
            )
        self.caught_up = True
        self._seen = None

    # Numbers

    def unsettled(self) -> list[str]:
        """Numbers that this node has come to own, or owns no more, without the store having taken note."""
        if not self._must_settle:
            return []
        self._must_settle = False
        return [row[0] for row in self._db.execute(_UNSETTLED, {"node_id": self.node_id})]

    def settle(self, numbers: Sequence[str]) -> int:
        """Take note of the first of these numbers' owners in one short transaction; returns how many."""
        now = self._now().wall_s
        with not_durable(self._db), transaction(self._db):
            return while_there_is_time(numbers, lambda number: self._settle(number, now))

    def _settle(self, number: str, now: float) -> None:
        values = {"number": number, "node_id": self.node_id, "store_id": self.store_id, "now": now}
        self._db.execute(_DISOWN, values)
        self._db.execute(_ADOPT, {**values, "window_s": rules.MIN_WINDOW_S})

    def restore_leases(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Put back the first of an earlier store's leases, unchanged, in one short transaction; returns how many."""
        refused: list[str] = []

        def restore(row: Mapping[str, Any]) -> None:
            known = self._db.execute("select 1 from lease where id = ?", (row["id"],)).fetchone()
            if known or row.get("store_id") == self.store_id:
                return  # its own: here, or erased since it was shipped
            try:
                stored = self._insert("insert or ignore", "lease", row)
            except _UNSTORABLE as error:
                log.error("an earlier store's lease cannot be put back: %s", error)  # noqa: TRY400  no rows in logs
                stored = 0
            if not stored:
                refused.append(row["id"])

        with transaction(self._db):
            done = while_there_is_time(rows, restore)
        for lease_id in refused:
            self.alarm("lease_not_restored", lease_id=lease_id)
        return done

    def missing(self, numbers: Sequence[str]) -> int:
        """How many of these numbers are not this node's here."""
        values = [{"number": number, "node_id": self.node_id} for number in numbers]
        return sum(self._db.execute(_OWNED, value).fetchone() is None for value in values)

    def lease_ids(self) -> list[str]:
        """Every lease of this store."""
        return [row["id"] for row in self._db.execute("select id from lease")]

    def rejournal(self, lease_ids: Sequence[str]) -> int:
        """Journal the first of these leases as they are now, in one short transaction; returns how many."""
        now = self._now()

        def write(lease_id: str) -> None:
            for row in self._db.execute("select * from lease where id = ?", (lease_id,)).fetchall():
                self.store.write_journal("lease", dict(row), now)

        with transaction(self._db):
            return while_there_is_time(lease_ids, write)

    def count_pools(self) -> tuple[PoolCount, ...]:
        """Every pool's numbers on this node. A shared number counts once for each of its holders."""
        now = self._now()
        lent: dict[tuple[int, LeaseState], int] = defaultdict(int)
        for lease in self.store.leases(now):
            lent[lease.pool_id, rules.state(lease, now)] += 1
        return tuple(
            PoolCount(pool_id, name, target, idle, lent[pool_id, LeaseState.LIVE], lent[pool_id, LeaseState.RESTING])
            for pool_id, name, target, idle in self._db.execute(_IDLE, {"node_id": self.node_id, "now": now.wall_s})
        )

    # Leases and calls that are over

    def presume_ended(self) -> int:
        """Close the calls whose end nobody saw for as long as a call may last; their windows restart now (N2)."""
        now = self._now()
        latest_start = now.wall_s - rules.MAX_CALL_S + PRESUME_EARLY_S
        lost = self._db.execute("select call_id from emergency_call where started_at <= ?", (latest_start,)).fetchall()
        closed = sum(self.store.end_call(row["call_id"], now, reason="presumed") for row in lost)
        metrics.calls_presumed_ended.inc(closed)
        return closed

    def reap(self) -> int:
        """Erase leases whose window and rest are over, in one short transaction; returns how many.

        Their numbers are idle from now. What did not fit in can wait: the routing code knows itself what is over.
        """
        now = self._now()
        if not self._db.execute(
            "select 1 from lease where marked_at + window_s + rest_s <= ? limit 1", (now.wall_s,)
        ).fetchone():
            return 0
        over = [lease for lease in self.store.leases(now) if rules.state(lease, now) is LeaseState.OVER]
        erased = 0

        def erase(lease: Lease) -> None:
            nonlocal erased
            erased += self._erase(lease.id, lease.number, lease.marked_at, now)

        with transaction(self._db):
            while_there_is_time(over, erase)
        metrics.leases_erased.inc(erased)
        return erased

    def _erase(self, lease_id: str, number: str, marked_at: float, now: Moment) -> int:
        gone = self._db.execute(
            """delete from lease where id = ? and marked_at = ?  -- or its holder has called again since we looked
               and not exists (select 1 from emergency_call c where c.lease_id = lease.id)""",
            (lease_id, marked_at),
        ).rowcount
        if gone:
            self.store.write_erased(lease_id, number, now)
        return gone

    # Tools

    def alarm(self, name: str, **details: object) -> None:
        """Write an alarm into the journal, durably."""
        self.store.note("alarm", {"name": name, **details}, self._now())

    def _columns_of(self, table: str) -> frozenset[str]:
        return frozenset(row["name"] for row in self._db.execute("select name from pragma_table_info(?)", (table,)))

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s: they are left out until Holdfast is brought up to date here", message)


def _stored(value: object) -> object:
    """A JSON value as the edge store's columns hold it: arrays as JSON text, booleans as 0 and 1."""
    if isinstance(value, list | dict):
        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value
