"""The edge store: a node's own SQLite file, read and written while calls wait, so everything here is short.

Every transition of a lease or a call is one transaction that also writes the journal; it is durable
(`synchronous=FULL`) before the INVITE leaves the node. sql/edge.sql explains the tables.
"""

import dataclasses
import json
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.core import lease as rules
from holdfast.core.lease import Lease, LeaseState, Moment
from holdfast.core.model import Caller, CallKind, Pool
from holdfast.edge.store_file import BUSY_TIMEOUT_S, committed
from holdfast.edge.store_file import connect as connect
from holdfast.edge.store_reads import ProvisionedStore
from holdfast.errors import EdgeStoreUnavailable, TooManyCalls

#: How soon a process that found the writer lock taken asks for it again, in seconds; a transaction takes about as long.
ASK_AGAIN_S = (0.0003, 0.0015)
#: What other nodes said of their calls counts for so long, in seconds; then they cannot be heard, and only ours count.
HEARD_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call in progress. `started_at` in UTC seconds; `lease_id` None when no number could be lent."""

    call_id: str
    lease_id: str | None
    kind: CallKind
    tenant_id: int | None
    started_at: float


@dataclass(frozen=True, slots=True)
class CallLimit:
    """How many calls of a kind a tenant may have at once (A9).

    `counted_since`, in UTC seconds: when this Kamailio started. Calls before that ended with its predecessor, as far as
    anybody can tell; what is still lent for them stays lent.
    """

    most: int
    counted_since: float


class EdgeStore(ProvisionedStore):
    """What the routing code asks of the store. Raises EdgeStoreUnavailable; the caller then relays without it."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._begin()
            with committed(self._db):
                yield
        except sqlite3.Error as error:
            raise EdgeStoreUnavailable(f"edge store: {error}") from error

    def _begin(self) -> None:
        """Take SQLite's writer lock. Its own busy handler sleeps up to 100 ms at a time, and so starves under load."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        self._db.execute("pragma busy_timeout = 0")
        try:
            while True:
                try:
                    self._db.execute("begin immediate")
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(random.uniform(*ASK_AGAIN_S))  # noqa: S311  nothing secret: so that two do not keep step
                else:
                    return
        finally:
            self._db.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")

    # Leases and calls

    def leases(self, now: Moment) -> tuple[Lease, ...]:
        return self._leases("true", (), now)

    def leases_on(self, number: str, now: Moment) -> tuple[Lease, ...]:
        """Who holds this number, live or resting: one lease, or several on a shared number."""
        found = self._leases("l.number = ?", (number,), now)
        return tuple(lease for lease in found if rules.state(lease, now) is not LeaseState.OVER)

    def numbers_held_by(self, caller_key: str, now: Moment) -> tuple[str, ...]:
        """The callback numbers that this caller's live leases are on."""
        held = self._leases("l.caller_key = ?", (caller_key,), now)
        return tuple(lease.number for lease in held if rules.state(lease, now) is LeaseState.LIVE)

    def open_calls(self) -> tuple[OpenCall, ...]:
        rows = self.rows(
            "select call_id, lease_id, kind, tenant_id, started_at from emergency_call order by started_at"
        )
        return tuple(OpenCall(row[0], row[1], CallKind(row[2]), row[3], row[4]) for row in rows)

    def _leases(self, condition: str, parameters: tuple[object, ...], now: Moment) -> tuple[Lease, ...]:
        # A call whose end nobody saw counts as in progress for MAX_CALL_S (see core.lease) by both clocks: a wall clock
        # that is set forward ends no call. The lease was last marked when its call began, or not long before.
        rows = self.rows(
            f"""select l.*, (select count(*) from emergency_call c
                             where c.lease_id = l.id
                               and (c.started_at > ? or (l.boot_id = ? and l.boottime_s > ?))) as calls
                from lease l where {condition}""",  # noqa: S608  conditions are this module's own constants
            (now.wall_s - rules.MAX_CALL_S, now.boot_id, now.boottime_s - rules.MAX_CALL_S, *parameters),
        )
        return tuple(Lease(**{**dict(row), "shared": bool(row["shared"])}) for row in rows)

    def begin_call(
        self,
        call_id: str,
        kind: CallKind,
        caller: Caller,
        pools: tuple[Pool, ...],
        now: Moment,
        *,
        limit: CallLimit | None = None,
        decision: Mapping[str, object] | None = None,
        passed_on: bool = False,
    ) -> Lease | None:
        """Lend the caller a callback number and open the call, durably. `pools` in the order they may be used.

        None when no pool has a number to lend: the call goes on with the caller's own number, and the journal says so.
        `decision` is journalled with the call. TooManyCalls, and nothing is changed: the caller's tenant has as many in
        progress as it may have. `passed_on`: beside the caller's call to a screening centre this one does not count.
        """
        tenant_id = caller.tenant.id if caller.tenant else None
        with self._transaction():
            # A retransmission that a second worker took up, or a fork of the same call. Not somebody else's: whoever
            # learns a Call-ID must not get the number that was lent for it (N3).
            of_call = "l.caller_key = ? and l.id in (select lease_id from emergency_call where call_id = ?)"
            already = self._leases(of_call, (caller.caller_key, call_id), now)
            if already:
                return already[0]
            if limit is not None and tenant_id is not None and not self._is_open_without_number(call_id, kind):
                self._refuse_beyond(limit, tenant_id, kind, now)
            lease = self._lend(caller, pools, now)
            if lease is None:
                if self._open(call_id, kind, None, None, tenant_id, now, decision):
                    self.write_journal("alarm", {"name": "pool_empty", "tenant_id": tenant_id}, now)
                return None
            counts = not (passed_on and self._is_counted(lease.id, kind))
            self._open(call_id, kind, lease.id, lease.number, tenant_id, now, decision, counts=counts)
            return self._leases("l.id = ?", (lease.id,), now)[0]

    def begin_callback(self, call_id: str, number: str, now: Moment) -> tuple[Lease, ...]:
        """Open a PSAP's call to a leased number: while it lasts the window of every holder it rings cannot end.

        A call to a number that rests is the security desk's (N3): it is recorded, but makes nobody's lease live again.
        """
        with self._transaction():
            leases = self.leases_on(number, now)
            for lease in leases:
                live = rules.state(lease, now) is LeaseState.LIVE
                self._open(call_id, CallKind.CALLBACK, lease.id if live else None, number, lease.tenant_id, now)
        return leases

    def end_call(self, call_id: str, now: Moment, *, reason: str) -> bool:
        """Close a call, however it ended, and restart its lease's window (N2). False: it was not open."""
        if not self.rows("select 1 from emergency_call where call_id = ? limit 1", (call_id,)):
            return False
        with self._transaction():
            rows = self.rows("delete from emergency_call where call_id = ? returning *", (call_id,))
            for row in rows:
                details = {"call_id": call_id, "kind": row["kind"], "lease_id": row["lease_id"], "reason": reason,
                           "tenant_id": row["tenant_id"], "started_at": row["started_at"]}  # fmt: skip
                self.write_journal("call_ended", details, now)
                if row["lease_id"] is not None:
                    self._mark(row["lease_id"], now, ended=True)
                    self._count_in_its_place(row)
        return bool(rows)

    def note(self, kind: str, payload: Mapping[str, Any], now: Moment) -> None:
        """Write one journal row that belongs to no lease, such as a refusal or an alarm."""
        with self._transaction():
            self.write_journal(kind, payload, now)

    def calls_in_progress(self, counted_since: float) -> dict[tuple[int, str], int]:
        """Emergency and test calls in progress here, by tenant and kind (see CallLimit)."""
        rows = self.rows(
            """select tenant_id, kind, count(*) from emergency_call
               where tenant_id is not null and kind <> 'callback' and started_at >= ? group by tenant_id, kind""",
            (counted_since,),
        )
        return {(row[0], row[1]): row[2] for row in rows}

    # Steps of a transaction

    def _is_open_without_number(self, call_id: str, kind: CallKind) -> bool:
        # one with a number is known again by its holder; its Call-ID alone gets nobody past the limit
        of_call = "select 1 from emergency_call where call_id = ? and kind = ? and lease_id is null"
        return bool(self.rows(of_call, (call_id, kind.value)))

    def _is_counted(self, lease_id: str, kind: CallKind) -> bool:
        """Whether a call of this lease's holder counts towards their tenant's limit."""
        query = "select 1 from emergency_call where lease_id = ? and kind = ? and tenant_id is not null limit 1"
        return bool(self.rows(query, (lease_id, kind.value)))

    def _count_in_its_place(self, ended: sqlite3.Row) -> None:
        """A call that counted is over: one that was passed on, if there is any, counts instead."""
        self._db.execute(
            """update emergency_call set tenant_id = ?1 where ?1 is not null and rowid =
               (select rowid from emergency_call where lease_id = ?2 and kind = ?3 and tenant_id is null limit 1)""",
            (ended["tenant_id"], ended["lease_id"], ended["kind"]),
        )

    def _refuse_beyond(self, limit: CallLimit, tenant_id: int, kind: CallKind, now: Moment) -> None:
        """TooManyCalls if the tenant's calls here and on other nodes, as last heard of, are as many as may be (A9)."""
        [row] = self.rows(
            """select (select count(*) from emergency_call where tenant_id = ?1 and kind = ?2 and started_at >= ?3),
                      (select calls from calls_elsewhere
                       where tenant_id = ?1 and kind = ?2 and abs(?4 - reported_at) < ?5)""",
            (tenant_id, kind.value, limit.counted_since, now.wall_s, HEARD_WITHIN_S),
        )
        in_progress = row[0] + (row[1] or 0)
        if in_progress >= limit.most:
            raise TooManyCalls(f"{in_progress} calls are in progress, {limit.most} may be")

    def _renew(self, caller: Caller, pool: Pool, now: Moment) -> Lease | None:
        """Same caller and pool: same number, while it is live or rests, and while calls to it still come here."""
        ours = """l.caller_key = ? and l.pool_id = ? and l.number in (select number from pool_number where shared = 1
                  or owner_node_id = (select node_id from store))"""
        held = self._leases(ours, (caller.caller_key, pool.id), now)
        if not held or rules.state(held[0], now) is LeaseState.OVER:
            return None
        self._db.execute(
            "update lease set contact_uri = ?, source_uri = ?, display_name = ? where id = ?",
            (caller.contact_uri, caller.source_uri, caller.display_name, held[0].id),
        )
        self._mark(held[0].id, now, ended=False)
        return held[0]

    def _lend(self, caller: Caller, pools: tuple[Pool, ...], now: Moment) -> Lease | None:
        """Pool by pool the caller's own number, else the one idle for longest; then a resting, then a shared one."""
        info = self.info()
        # before it is caught up, an earlier store's leases may still be on their way down
        node_id = info.node_id if info.caught_up else None
        for pool in pools:
            held = self._renew(caller, pool, now)
            if held is not None:
                return held
            number = self._idle_number(pool, node_id, now) if node_id is not None else None
            if number is not None:
                return self._insert(caller, pool, number, now, shared=False)
        if node_id is None:
            return None
        for find in (self._resting_number, self._shared_number):
            for pool in pools:
                number = find(pool, node_id, now)
                if number is not None:
                    return self._insert(caller, pool, number, now, shared=find == self._shared_number)
        return None

    def _idle_number(self, pool: Pool, node_id: int, now: Moment) -> str | None:
        rows = self.rows(
            """select s.number from number_state s cross join pool_number p on p.number = s.number
               where p.pool_id = ? and p.owner_node_id = ? and p.shared = 0 and s.rested_until <= ?
                 and not exists (select 1 from lease l where l.number = s.number)
               order by s.rested_since limit 1""",
            (pool.id, node_id, now.wall_s),
        )
        if rows:
            return str(rows[0][0])
        # The agent erases leases that are over; when it is gone, their numbers are idle all the same.
        over = self._lapsing(pool, node_id, now)
        return over.number if over and rules.state(over, now) is LeaseState.OVER else None

    def _resting_number(self, pool: Pool, node_id: int, now: Moment) -> str | None:
        lease = self._lapsing(pool, node_id, now)
        return lease.number if lease and rules.state(lease, now) is LeaseState.RESTING else None

    def _lapsing(self, pool: Pool, node_id: int, now: Moment) -> Lease | None:
        """The lease of this pool that is nearest its end (or furthest past it), live ones left aside."""
        # SQLite looks through a pool of thousands for the few that are furthest on; core.lease decides about these.
        rows = self.rows(
            """select l.id from lease l join pool_number p on p.number = l.number
               where l.shared = 0 and p.pool_id = ?1 and p.owner_node_id = ?2 and p.shared = 0
                 and ?3 - l.marked_at >= l.window_s
                 and not exists (select 1 from emergency_call c where c.lease_id = l.id and c.started_at > ?4)
               order by min(?3 - l.marked_at, iif(l.boot_id = ?5, ?6 - l.boottime_s, ?3 - l.marked_at))
                        - l.window_s - l.rest_s desc limit 20""",
            (pool.id, node_id, now.wall_s, now.wall_s - rules.MAX_CALL_S, now.boot_id, now.boottime_s),
        )
        furthest = self._leases(
            "l.id in (select value from json_each(?))", (json.dumps([row[0] for row in rows]),), now
        )
        leases = [lease for lease in furthest if rules.state(lease, now) is not LeaseState.LIVE]
        return max(leases, key=lambda lease: rules.age_s(lease, now) - lease.window_s - lease.rest_s, default=None)

    def _shared_number(self, pool: Pool, _node_id: int, _now: Moment) -> str | None:
        """The shared number that the fewest callers hold."""
        rows = self.rows(
            """select p.number from pool_number p left join lease l on l.number = p.number
               where p.pool_id = ? and p.shared = 1 group by p.number order by count(l.id), p.number limit 1""",
            (pool.id,),
        )
        return str(rows[0][0]) if rows else None

    def _insert(self, caller: Caller, pool: Pool, number: str, now: Moment, *, shared: bool) -> Lease:
        # What still stands under this caller or number is over, or a resting lease that gives way.
        gone = self.rows(
            "delete from lease where (caller_key = ? and pool_id = ?) or (number = ? and not ?) returning id, number",
            (caller.caller_key, pool.id, number, shared),
        )
        for row in gone:
            self.write_erased(row["id"], row["number"], now)
        lease = Lease(
            id=uuid.uuid4().hex, number=number, pool_id=pool.id, shared=shared, caller_key=caller.caller_key,
            tenant_id=caller.tenant.id if caller.tenant else None,
            subscriber_id=caller.subscriber.id if caller.subscriber else None,
            aor=caller.subscriber.aor if caller.subscriber else None,
            display_name=caller.display_name, contact_uri=caller.contact_uri, source_uri=caller.source_uri,
            window_s=pool.window_s, rest_s=pool.rest_s, first_dial_at=now.wall_s, last_end_at=None,
            marked_at=now.wall_s, boot_id=now.boot_id, boottime_s=now.boottime_s,
        )  # fmt: skip
        values = _lease_row(lease)
        marks = ", ".join("?" * len(values))
        self._db.execute(f"insert into lease ({', '.join(values)}) values ({marks})", tuple(values.values()))  # noqa: S608
        self.write_journal("lease", values, now)
        return lease

    def _mark(self, lease_id: str, now: Moment, *, ended: bool) -> None:
        """Restart the window now, in both clocks; a clock that stands behind the last mark does not shorten it."""
        rows = self.rows(
            """update lease set marked_at = max(marked_at, ?1), boot_id = ?2, boottime_s = ?3,
                                last_end_at = case when ?4 then max(ifnull(last_end_at, 0), ?1) else last_end_at end
               where id = ?5 returning *""",
            (now.wall_s, now.boot_id, now.boottime_s, ended, lease_id),
        )
        for row in rows:
            self.write_journal("lease", dict(row), now)

    def _open(
        self,
        call_id: str,
        kind: CallKind,
        lease_id: str | None,
        number: str | None,
        tenant_id: int | None,
        now: Moment,
        decision: Mapping[str, object] | None = None,
        *,
        counts: bool = True,
    ) -> bool:
        """False: it was open already. `counts`: towards its tenant's limit."""
        opened = self.rows(
            "insert or ignore into emergency_call (call_id, lease_id, kind, tenant_id, started_at)"
            " values (?, ?, ?, ?, ?) returning call_id",
            (call_id, lease_id, kind.value, tenant_id if counts else None, now.wall_s),
        )
        if opened:
            details = {"call_id": call_id, "kind": kind.value, "tenant_id": tenant_id, "lease_id": lease_id,
                       "number": number, **(decision or {})}  # fmt: skip
            self.write_journal("call_started", details, now)
        return bool(opened)

    def write_erased(self, lease_id: str, number: str, now: Moment) -> None:
        """Within a transaction that deleted a lease: say so, and let its number rest from now. sqlite3's errors."""
        self.write_journal("lease_erased", {"id": lease_id}, now)
        self._db.execute("update number_state set rested_since = ? where number = ?", (now.wall_s, number))

    def write_journal(self, kind: str, payload: Mapping[str, Any], now: Moment) -> None:
        """Within a transaction: one journal row. Errors are sqlite3's own."""
        self._db.execute(
            "insert into journal (at, kind, payload) values (?, ?, ?)", (now.wall_s, kind, json.dumps(payload))
        )


def _lease_row(lease: Lease) -> dict[str, object]:
    row = dataclasses.asdict(lease)
    del row["calls"]  # counted, not stored
    return {**row, "shared": int(lease.shared)}
