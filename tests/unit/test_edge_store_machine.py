"""Any order of calls, callbacks, ends, passing time, jumping clocks and reboots keeps what was promised to callers."""

import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast.core.lease import LeaseState, state
from holdfast.core.model import CallKind
from holdfast.edge.store import EdgeStore, connect
from unit.edge_rows import POOL, WINDOW_S, Clocks, caller, journal, own, provision

OWNED = ("+12025550101", "+12025550102", "+12025550103")
SHARED = "+12025550199"
CALLERS = range(1, 7)
#: Calls are held to be in progress for a day; here none is asked to be for longer than this.
LONGEST_CALL_S = 6 * 3600.0


@dataclass
class Promise:
    """That a caller's number is theirs alone: what the clocks said when its window was last started, and its calls."""

    number: str
    marked_s: float  # true time
    offset_s: float
    boot: int
    calls: set[str] = field(default_factory=set)

    def binds(self, clocks: Clocks) -> bool:
        return bool(self.calls) or clocks.true_s - self.marked_s < WINDOW_S

    def is_kept(self, clocks: Clocks) -> bool:
        """After a reboot there is only the wall clock; nobody can know that it was set forward meanwhile."""
        return self.boot == clocks.boot or clocks.offset_s <= self.offset_s


class Lending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "edge.db"
        self.clocks = Clocks()
        self.promises: dict[int, Promise] = {}
        self.calls = 0
        self.db: sqlite3.Connection
        self.open()
        provision(self.db, shared=SHARED)
        own(self.db, OWNED)

    def open(self) -> None:
        self.db = connect(self.path)
        self.store = EdgeStore(self.db)

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()

    # What callers, PSAPs and clocks do

    @rule(who=st.sampled_from(CALLERS), kind=st.sampled_from([CallKind.EMERGENCY, CallKind.READBACK]))
    def dial(self, who: int, kind: CallKind) -> None:
        self.calls += 1
        call_id = f"{who}-{self.calls}"
        now = self.clocks.now()
        held = self.store.leases(now)
        live = {lease.number for lease in held if state(lease, now) is LeaseState.LIVE}
        had = {lease.number for lease in held if lease.subscriber_id == who}
        lease = self.store.begin_call(call_id, kind, caller(who), (POOL,), self.clocks.now())
        assert lease is not None, "a pool with a shared number refuses nobody"
        mine = self.promises.get(who)
        if mine:
            assert lease.number == mine.number
        elif lease.number != SHARED:
            assert lease.number not in {promise.number for promise in self.promises.values()}
        else:
            assert SHARED in had or live >= set(OWNED), "a shared number is the last that is lent"
        assert (lease.caller_key, lease.shared) == (f"subscriber:{who}", lease.number == SHARED)
        self._restart(who, lease.number, {*(mine.calls if mine else ()), call_id})

    @precondition(lambda self: self.open_calls())
    @rule(data=st.data())
    def retransmit(self, data: st.DataObject) -> None:
        who, call_id = data.draw(st.sampled_from(self.open_calls()))
        number, before = self.promises[who].number, journal(self.db)
        if call_id.startswith("psap"):
            assert self.store.begin_callback(call_id, number, self.clocks.now())
        else:
            lease = self.store.begin_call(call_id, CallKind.EMERGENCY, caller(who), (POOL,), self.clocks.now())
            assert lease is not None
            assert lease.number == number
        # a shared number may have got another holder meanwhile, whom the callback rings too
        assert journal(self.db) == before or number == SHARED

    @precondition(lambda self: self.promises)
    @rule(data=st.data())
    def call_back(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.promises)))
        number = self.promises[who].number
        self.calls += 1
        call_id = f"psap-{self.calls}"
        rung = {lease.caller_key for lease in self.store.begin_callback(call_id, number, self.clocks.now())}
        holders = {holder for holder, promise in self.promises.items() if promise.number == number}
        assert rung >= {f"subscriber:{holder}" for holder in holders}
        assert number == SHARED or len(rung) == 1
        for holder in holders:
            promise = self.promises[holder]
            promise.calls.add(call_id)
            promise.offset_s = min(promise.offset_s, self.clocks.offset_s)

    @precondition(lambda self: self.open_calls())
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        _, call_id = data.draw(st.sampled_from(self.open_calls()))
        assert self.store.end_call(call_id, self.clocks.now(), reason="bye")
        for who, promise in self.promises.items():
            if call_id in promise.calls:
                self._restart(who, promise.number, promise.calls - {call_id})
        assert not self.store.end_call(call_id, self.clocks.now(), reason="bye")

    @rule(seconds=st.sampled_from([1.0, 600.0, 1800.0, WINDOW_S - 1.0, float(WINDOW_S), WINDOW_S + 600.0]))
    def wait(self, seconds: float) -> None:
        self.clocks.passes(seconds)
        for promise in self.promises.values():
            if self.clocks.true_s - promise.marked_s > LONGEST_CALL_S:
                promise.calls.clear()
        self._forget()

    @rule(seconds=st.sampled_from([-(10**8), -86400, -3600, -1, 1, 3600, 86400, 10**8]))
    def set_clock(self, seconds: int) -> None:
        self.clocks.is_set_by(seconds)
        self._forget()

    @rule()
    def reboot(self) -> None:
        self.db.close()
        self.clocks.reboots()
        self.open()
        self._forget()

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.open()

    # What must always hold

    @invariant()
    def every_promise_is_kept(self) -> None:
        now = self.clocks.now()
        for who, promise in self.promises.items():
            held = [lease for lease in self.store.leases_on(promise.number, now) if lease.subscriber_id == who]
            assert [state(lease, now) for lease in held] == [LeaseState.LIVE]

    @invariant()
    def no_number_has_two_holders(self) -> None:
        held = [lease.number for lease in self.store.leases(self.clocks.now()) if not lease.shared]
        assert len(held) == len(set(held))

    @invariant()
    def the_journal_tells_all(self) -> None:
        leases: dict[str, Any] = {}
        calls: set[tuple[str, str | None]] = set()
        for kind, payload in journal(self.db):
            if kind == "lease":
                leases[payload["id"]] = payload
            elif kind == "lease_erased":
                del leases[payload["id"]]
            elif kind == "call_started":
                calls.add((payload["call_id"], payload["lease_id"]))
            elif kind == "call_ended":
                calls.remove((payload["call_id"], payload["lease_id"]))
        assert leases == {stored["id"]: dict(stored) for stored in self.db.execute("select * from lease")}
        assert calls == {(call.call_id, call.lease_id) for call in self.store.open_calls()}

    # Book-keeping

    def open_calls(self) -> list[tuple[int, str]]:
        return [(who, call_id) for who, promise in sorted(self.promises.items()) for call_id in sorted(promise.calls)]

    def _restart(self, who: int, number: str, calls: set[str]) -> None:
        before = self.promises.get(who)
        offset_s = self.clocks.offset_s
        if before and before.calls & calls:  # what goes on began when the clock may have stood elsewhere
            offset_s = min(offset_s, before.offset_s)
        self.promises[who] = Promise(number, self.clocks.true_s, offset_s, self.clocks.boot, calls)

    def _forget(self) -> None:
        self.promises = {
            who: promise
            for who, promise in self.promises.items()
            if promise.binds(self.clocks) and promise.is_kept(self.clocks)
        }


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=30, stateful_step_count=30, deadline=None, derandomize=True)
