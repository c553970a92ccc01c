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
from holdfast.edge.store_leases import LeasedStore, LoanKind
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


class EdgeStore(LeasedStore):
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

    def open_calls(self) -> tuple[OpenCall, ...]:
        rows = self.rows(
            "select call_id, lease_id, kind, tenant_id, started_at from emergency_call order by started_at"
        )
        return tuple(OpenCall(row[0], row[1], CallKind(row[2]), row[3], row[4]) for row in rows)

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

    def calls_counted(self, tenant_id: int, kind: CallKind, counted_since: float, now: Moment) -> tuple[int, int]:
        """The tenant's calls of this kind here, and on other nodes as last heard of, as its limit counts them (A9)."""
        [row] = self.rows(
            """select (select count(*) from emergency_call where tenant_id = ?1 and kind = ?2 and started_at >= ?3),
                      (select calls from calls_elsewhere
                       where tenant_id = ?1 and kind = ?2 and abs(?4 - reported_at) < ?5)""",
            (tenant_id, kind.value, counted_since, now.wall_s, HEARD_WITHIN_S),
        )
        return row[0], row[1] or 0

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
        """TooManyCalls if the tenant has as many calls as may be (A9)."""
        in_progress = sum(self.calls_counted(tenant_id, kind, limit.counted_since, now))
        if in_progress >= limit.most:
            raise TooManyCalls(f"{in_progress} calls are in progress, {limit.most} may be")

    def _lend(self, caller: Caller, pools: tuple[Pool, ...], now: Moment) -> Lease | None:
        loan = self.loan(caller, pools, now)
        if loan is None:
            return None
        if loan.lease is None:
            return self._insert(caller, loan.pool, loan.number, now, shared=loan.kind is LoanKind.SHARED)
        self._db.execute(
            "update lease set contact_uri = ?, source_uri = ?, display_name = ? where id = ?",
            (caller.contact_uri, caller.source_uri, caller.display_name, loan.lease.id),
        )
        self._mark(loan.lease.id, now, ended=False)
        return loan.lease

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
