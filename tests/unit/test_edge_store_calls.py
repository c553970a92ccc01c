"""Calls on a lent number: while one lasts the window cannot end, and its end starts the window again."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.lease import Lease, LeaseState, state
from holdfast.core.model import CallKind
from holdfast.edge.store import EdgeStore, connect
from unit.edge_rows import POOL, REST_S, WINDOW_S, Clocks, caller, journal, own, provision, row

NUMBER = "+12025550101"
SHARED = "+12025550199"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "edge.db")
    provision(connection)
    own(connection, [NUMBER])
    yield connection
    connection.close()


@pytest.fixture
def store(db: sqlite3.Connection) -> EdgeStore:
    return EdgeStore(db)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def dial(store: EdgeStore, clocks: Clocks, call_id: str = "call", who: int = 1) -> Lease:
    lease = store.begin_call(call_id, CallKind.EMERGENCY, caller(who), (POOL,), clocks.now())
    assert lease is not None
    return lease


def hang_up(store: EdgeStore, clocks: Clocks, call_id: str = "call") -> None:
    assert store.end_call(call_id, clocks.now(), reason="bye")


def on_number(store: EdgeStore, clocks: Clocks, number: str = NUMBER) -> LeaseState:
    leases = [lease for lease in store.leases(clocks.now()) if lease.number == number]
    return state(leases[0], clocks.now()) if leases else LeaseState.OVER


def test_n2_the_window_runs_from_the_end_of_the_call(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    clocks.passes(2 * WINDOW_S)
    hang_up(store, clocks)
    lease = store.leases(clocks.now())[0]
    assert lease.last_end_at == lease.marked_at == clocks.now().wall_s
    clocks.passes(WINDOW_S - 1)
    assert on_number(store, clocks) is LeaseState.LIVE
    clocks.passes(1)
    assert on_number(store, clocks) is LeaseState.RESTING
    clocks.passes(REST_S)
    assert on_number(store, clocks) is LeaseState.OVER


def test_n2_the_window_never_ends_during_a_call(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    for _ in range(23):
        clocks.passes(3600)
        assert on_number(store, clocks) is LeaseState.LIVE
        assert store.begin_call("other", CallKind.EMERGENCY, caller(2), (POOL,), clocks.now()) is None


def test_n2_a_clock_set_forward_does_not_end_the_window_during_a_call(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    clocks.is_set_by(10 * 365 * 86400.0)  # a machine whose battery is dead learns the time from the net
    clocks.passes(2 * WINDOW_S)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_n2_of_two_calls_the_last_to_end_counts(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks, "one")
    dial(store, clocks, "two")
    clocks.passes(WINDOW_S)
    hang_up(store, clocks, "one")
    clocks.passes(5 * WINDOW_S)
    assert on_number(store, clocks) is LeaseState.LIVE
    hang_up(store, clocks, "two")
    clocks.passes(WINDOW_S - 1)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_a_call_whose_end_nobody_saw_counts_for_a_day(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    clocks.passes(86400 - 1)
    assert on_number(store, clocks) is LeaseState.LIVE
    clocks.passes(1)
    assert on_number(store, clocks) is LeaseState.OVER
    assert dial(store, clocks, "next", 2).number == NUMBER


def test_ending_a_call_twice_changes_nothing(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    hang_up(store, clocks)
    before, rows = store.leases(clocks.now()), journal(db)
    clocks.passes(60)
    assert not store.end_call("call", clocks.now(), reason="dialog")
    assert not store.end_call("never begun", clocks.now(), reason="bye")
    assert (store.leases(clocks.now()), journal(db)) == (before, rows)


def test_a_call_without_a_number_can_be_ended(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    assert store.begin_call("call", CallKind.EMERGENCY, caller(1), (), clocks.now()) is None
    hang_up(store, clocks)
    assert store.open_calls() == ()
    assert [kind for kind, _ in journal(db)] == ["call_started", "alarm", "call_ended"]


def test_the_end_of_a_call_whose_lease_was_erased_is_recorded(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    dial(store, clocks)
    db.execute("delete from lease")
    hang_up(store, clocks)
    assert [kind for kind, _ in journal(db)] == ["lease", "call_started", "call_ended"]


def test_l6_a_callback_finds_the_holder_and_keeps_the_window_open(store: EdgeStore, clocks: Clocks) -> None:
    lease = dial(store, clocks)
    hang_up(store, clocks)
    clocks.passes(WINDOW_S - 1)
    assert [held.id for held in store.begin_callback("psap", NUMBER, clocks.now())] == [lease.id]
    clocks.passes(3 * WINDOW_S)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_n2_a_callback_extends_the_window(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    hang_up(store, clocks)
    for _ in range(5):
        clocks.passes(WINDOW_S - 1)
        assert store.begin_callback("psap", NUMBER, clocks.now())
        hang_up(store, clocks, "psap")
    clocks.passes(WINDOW_S - 1)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_n3_a_callback_to_a_resting_number_does_not_revive_its_lease(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    dial(store, clocks)
    hang_up(store, clocks)
    clocks.passes(WINDOW_S)
    holder = store.begin_callback("psap", NUMBER, clocks.now())[0]
    assert state(holder, clocks.now()) is LeaseState.RESTING
    assert on_number(store, clocks) is LeaseState.RESTING
    hang_up(store, clocks, "psap")
    assert on_number(store, clocks) is LeaseState.RESTING
    told = journal(db)[-2:]
    assert [kind for kind, _ in told] == ["call_started", "call_ended"]
    assert told[0][1] == {"call_id": "psap", "kind": "callback", "tenant_id": 1, "lease_id": None, "number": NUMBER}


@pytest.mark.parametrize("number", ["+12025559999", "", "12025550101", "'; --"])
def test_a_callback_to_a_number_that_is_not_lent_finds_nobody(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks, number: str
) -> None:
    dial(store, clocks)
    before = journal(db)
    assert store.begin_callback("psap", number, clocks.now()) == ()
    assert journal(db) == before
    assert [call.call_id for call in store.open_calls()] == ["call"]


def test_a_callback_to_a_number_whose_lease_is_over_finds_nobody(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    hang_up(store, clocks)
    clocks.passes(WINDOW_S + REST_S)
    assert store.begin_callback("psap", NUMBER, clocks.now()) == ()


def test_a_retransmitted_callback_is_one_callback(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    store.begin_callback("psap", NUMBER, clocks.now())
    before = journal(db)
    assert len(store.begin_callback("psap", NUMBER, clocks.passes(0.5))) == 1
    assert journal(db) == before
    assert len(store.open_calls()) == 2


def test_n3_a_callback_to_a_shared_number_is_a_call_of_every_holder(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    row(db, "pool_number", number=SHARED, pool_id=1, shared=1)
    dial(store, clocks)
    for who in (2, 3):
        assert dial(store, clocks, str(who), who).number == SHARED
        hang_up(store, clocks, str(who))
    assert len(store.begin_callback("psap", SHARED, clocks.now())) == 2
    clocks.passes(WINDOW_S + REST_S)
    assert [lease.calls for lease in store.leases_on(SHARED, clocks.now())] == [1, 1]
    hang_up(store, clocks, "psap")
    assert {lease.last_end_at for lease in store.leases_on(SHARED, clocks.now())} == {clocks.now().wall_s}


def test_n2_the_windows_of_a_caller_who_moved_on_to_another_kind_of_call_are_one(
    store: EdgeStore, clocks: Clocks
) -> None:
    """933, then 911: the number that was read back is the number that the PSAP sees (A7)."""
    first = store.begin_call("933", CallKind.READBACK, caller(1), (POOL,), clocks.now())
    hang_up(store, clocks, "933")
    clocks.passes(WINDOW_S + 1)
    second = dial(store, clocks, "911")
    assert first is not None
    assert (second.id, second.number) == (first.id, NUMBER)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_every_transition_is_journalled_in_order_with_the_whole_lease(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    lease = dial(store, clocks)
    hang_up(store, clocks)
    store.begin_callback("psap", NUMBER, clocks.passes(60))
    store.end_call("psap", clocks.passes(60), reason="gone")
    store.note("refusal", {"reason": "no_outbound_number", "code": 403, "tenant_id": 1}, clocks.now())
    told = journal(db)
    assert [kind for kind, _ in told] == [
        "lease", "call_started", "call_ended", "lease", "call_started", "call_ended", "lease", "refusal",
    ]  # fmt: skip
    stored = dict(db.execute("select * from lease").fetchone())
    assert told[6][1] == stored
    assert told[0][1].keys() == stored.keys()
    assert told[1][1] == {
        "call_id": "call", "kind": "emergency", "tenant_id": 1, "lease_id": lease.id, "number": NUMBER,
    }  # fmt: skip
    assert told[5][1] == {
        "call_id": "psap", "kind": "callback", "lease_id": lease.id, "tenant_id": 1, "reason": "gone",
        "started_at": clocks.now().wall_s - 60,
    }  # fmt: skip
    sequence = [row["seq"] for row in db.execute("select seq from journal order by seq")]
    assert sequence == list(range(1, len(told) + 1))


def test_a_clock_set_back_does_not_shorten_the_window(store: EdgeStore, clocks: Clocks) -> None:
    marked = dial(store, clocks).marked_at
    clocks.is_set_by(-1800)
    clocks.passes(60)
    hang_up(store, clocks)
    lease = store.leases(clocks.now())[0]
    assert lease.marked_at == marked
    assert lease.boottime_s == clocks.now().boottime_s
    clocks.passes(WINDOW_S - 1)
    assert on_number(store, clocks) is LeaseState.LIVE


def test_a_reboot_in_the_window_keeps_it(store: EdgeStore, clocks: Clocks) -> None:
    dial(store, clocks)
    hang_up(store, clocks)
    clocks.passes(WINDOW_S - 60)
    clocks.reboots()
    assert on_number(store, clocks) is LeaseState.LIVE
    clocks.passes(60)
    assert on_number(store, clocks) is LeaseState.RESTING
