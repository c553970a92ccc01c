"""Lending callback numbers from a real SQLite file."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core.lease import LeaseState, state
from holdfast.core.model import CallKind, Pool
from holdfast.edge.store import EdgeStore, connect
from unit.edge_rows import POOL, REST_S, TENANT, WINDOW_S, Clocks, caller, journal, own, pool, provision, row

EMERGENCY = CallKind.EMERGENCY
NUMBERS = ("+12025550101", "+12025550102", "+12025550103")
SHARED = "+12025550199"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "edge.db")
    provision(connection)
    yield connection
    connection.close()


@pytest.fixture
def store(db: sqlite3.Connection) -> EdgeStore:
    return EdgeStore(db)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def lent(store: EdgeStore, call_id: str, who: int, clocks: Clocks, *pools: Pool) -> str | None:
    lease = store.begin_call(call_id, EMERGENCY, caller(who), pools or (POOL,), clocks.now())
    return lease.number if lease else None


def call(store: EdgeStore, who: int, clocks: Clocks) -> str | None:
    """A call that ends at once."""
    number = lent(store, f"of-{who}-at-{clocks.true_s}", who, clocks)
    store.end_call(f"of-{who}-at-{clocks.true_s}", clocks.now(), reason="bye")
    return number


def test_a2_the_lease_says_who_holds_which_number_and_where(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    lease = store.begin_call("call", EMERGENCY, caller(1), (POOL,), clocks.now())
    assert lease is not None
    assert (lease.number, lease.caller_key, lease.aor) == (NUMBERS[0], "subscriber:1", "user1@example.org")
    assert (lease.contact_uri, lease.source_uri) == ("sip:user1@10.0.0.1", "sip:10.0.0.1:5060;transport=udp")
    assert lease.first_dial_at == lease.marked_at == clocks.now().wall_s
    assert store.leases_on(NUMBERS[0], clocks.now()) == (lease,)
    assert [open_call.lease_id for open_call in store.open_calls()] == [lease.id]


def test_the_same_caller_gets_the_same_number_within_the_window(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    assert call(store, 1, clocks) == NUMBERS[0]
    clocks.passes(WINDOW_S - 1)
    assert call(store, 1, clocks) == NUMBERS[0]
    clocks.passes(WINDOW_S + REST_S - 1)  # it rests: its holder may still have it
    assert call(store, 1, clocks) == NUMBERS[0]
    assert len(store.leases(clocks.now())) == 1


def test_the_lease_follows_the_caller_to_the_device_of_the_last_call(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    lent(store, "first", 1, clocks)
    elsewhere = replace(caller(1), contact_uri="sip:user1@10.9.9.9", source_uri="sip:10.9.9.9:5062;transport=tcp")
    lease = store.begin_call("second", EMERGENCY, elsewhere, (POOL,), clocks.passes(60))
    assert lease is not None
    assert (lease.contact_uri, lease.source_uri) == (elsewhere.contact_uri, elsewhere.source_uri)
    assert lease.marked_at == clocks.now().wall_s
    assert store.leases_on(lease.number, clocks.now()) == (lease,)


def test_the_number_that_rested_longest_is_lent_first(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, reversed(NUMBERS))
    assert [lent(store, str(who), who, clocks) for who in (1, 2, 3)] == list(reversed(NUMBERS))


def test_a_number_of_an_earlier_store_is_not_lent_before_it_rested(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS[:1])
    db.execute("update number_state set rested_until = ?", (clocks.now().wall_s + 1,))
    assert lent(store, "early", 1, clocks) is None
    clocks.passes(1)
    assert lent(store, "late", 1, clocks) == NUMBERS[0]


def test_the_resting_number_nearest_its_end_is_lent_before_a_shared_one(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    row(db, "pool_number", number=SHARED, pool_id=1, shared=1)
    for who in (2, 1, 3):  # so that the second caller's number is nearest its end
        assert call(store, who, clocks)
        clocks.passes(1)
    clocks.passes(WINDOW_S)
    assert lent(store, "dry", 4, clocks) == NUMBERS[0]
    assert {lease.caller_key for lease in store.leases(clocks.now())} == {
        "subscriber:1",
        "subscriber:3",
        "subscriber:4",
    }


def test_n3_a_shared_number_is_lent_last_and_to_many(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS[:1])
    row(db, "pool_number", number=SHARED, pool_id=1, shared=1)
    assert [lent(store, str(who), who, clocks) for who in (1, 2, 3)] == [NUMBERS[0], SHARED, SHARED]
    holders = store.leases_on(SHARED, clocks.now())
    assert {lease.caller_key for lease in holders} == {"subscriber:2", "subscriber:3"}
    assert all(lease.shared for lease in holders)


def test_n3_the_shared_number_with_the_fewest_holders_is_taken(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    for number in NUMBERS:
        row(db, "pool_number", number=number, pool_id=1, shared=1)
    assert [lent(store, str(who), who, clocks) for who in range(1, 7)] == [*NUMBERS, *NUMBERS]


def test_the_pools_are_used_in_the_order_given_and_idle_numbers_of_all_before_resting_ones(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    second = replace(POOL, id=2, name="second")
    pool(db, second)
    own(db, NUMBERS[:1])
    own(db, NUMBERS[1:2], pool_id=2)
    call(store, 1, clocks)
    clocks.passes(WINDOW_S)  # the first pool's only number rests now
    assert lent(store, "a", 2, clocks, POOL, second) == NUMBERS[1]
    assert lent(store, "b", 3, clocks, POOL, second) == NUMBERS[0]
    assert lent(store, "c", 4, clocks, POOL, second) is None


def test_only_numbers_that_this_node_owns_are_lent(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    row(db, "pool_number", number=NUMBERS[0], pool_id=1, shared=0, owner_node_id=8)
    row(db, "pool_number", number=NUMBERS[1], pool_id=1, shared=0, owner_node_id=None)
    for number in NUMBERS[:2]:
        row(db, "number_state", number=number, rested_since=0)
    assert lent(store, "call", 1, clocks) is None


@pytest.mark.parametrize("gone", ["caught_up = 0", "node_id = null"])
def test_nothing_is_lent_before_everything_came_down(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks, gone: str
) -> None:
    own(db, NUMBERS)
    row(db, "pool_number", number=SHARED, pool_id=1, shared=1)
    db.execute(f"update store set {gone}")
    assert lent(store, "call", 1, clocks) is None
    assert ("alarm", {"name": "pool_empty", "tenant_id": 1}) in journal(db)
    assert [open_call.call_id for open_call in store.open_calls()] == ["call"]


def test_what_was_lent_before_is_renewed_while_things_come_down_anew(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    number = call(store, 1, clocks)
    db.execute("update store set caught_up = 0")
    assert lent(store, "again", 1, clocks) == number


def test_n3_an_empty_pool_lends_nothing_and_alarms(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS[:1])
    lent(store, "first", 1, clocks)
    assert lent(store, "second", 2, clocks) is None
    assert store.begin_call("third", EMERGENCY, caller(3), (), clocks.now()) is None
    assert [payload for kind, payload in journal(db) if kind == "alarm"] == [{"name": "pool_empty", "tenant_id": 1}] * 2
    assert {open_call.call_id for open_call in store.open_calls()} == {"first", "second", "third"}


def test_a_retransmitted_call_gets_the_same_lease_and_is_journalled_once(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    first = store.begin_call("call", EMERGENCY, caller(1), (POOL,), clocks.now())
    before = journal(db)
    again = store.begin_call("call", EMERGENCY, caller(1), (POOL,), clocks.passes(1))
    assert again == first
    assert journal(db) == before
    assert len(store.open_calls()) == 1


def test_n3_a_caller_cannot_get_anothers_number_by_its_call_id(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    assert lent(store, "call", 1, clocks) == NUMBERS[0]
    assert lent(store, "call", 2, clocks) == NUMBERS[1]
    assert lent(store, "call", 1, clocks) == NUMBERS[0]


def test_a_callers_two_calls_hold_one_number(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS)
    assert lent(store, "one", 1, clocks) == lent(store, "two", 1, clocks)
    assert store.leases(clocks.now())[0].calls == 2
    store.end_call("one", clocks.now(), reason="bye")
    assert store.leases(clocks.now())[0].calls == 1


def test_n3_two_callers_never_hold_one_number(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS)
    numbers = [lent(store, str(who), who, clocks) for who in range(1, 6)]
    assert numbers == [*NUMBERS, None, None]
    values = dict(db.execute("select * from lease").fetchone())
    with pytest.raises(sqlite3.IntegrityError):
        row(db, "lease", **{**values, "id": "other", "caller_key": "subscriber:9"})


def test_leases_that_are_over_are_lent_again_though_the_agent_was_gone_for_a_week(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    for who in (1, 2, 3):
        call(store, who, clocks)
        clocks.passes(1)
    old = {lease.id for lease in store.leases(clocks.now())}
    clocks.passes(7 * 86400)
    assert [lent(store, f"new {who}", who, clocks) for who in (4, 5, 6)] == list(NUMBERS)
    assert {payload["id"] for kind, payload in journal(db) if kind == "lease_erased"} == old
    assert lent(store, "seventh", 7, clocks) is None


def test_a_caller_who_comes_back_after_a_week_gets_a_new_lease(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS[:1])
    call(store, 1, clocks)
    old = store.leases(clocks.now())[0]
    clocks.passes(7 * 86400)
    lease = store.begin_call("new", EMERGENCY, caller(1), (POOL,), clocks.now())
    assert lease is not None
    assert lease.id != old.id
    assert lease.first_dial_at == clocks.now().wall_s
    assert store.leases(clocks.now()) == (lease,)


def test_a_number_taken_from_the_pool_is_not_renewed(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    """Nobody could call it back here any more."""
    own(db, NUMBERS)
    assert call(store, 1, clocks) == NUMBERS[0]
    db.execute("delete from pool_number where number = ?", (NUMBERS[0],))
    assert lent(store, "again", 1, clocks) == NUMBERS[1]


def test_a_caller_with_a_tenant_and_one_without_are_both_lent_numbers(
    db: sqlite3.Connection, store: EdgeStore, clocks: Clocks
) -> None:
    own(db, NUMBERS)
    stranger = replace(caller(1), caller_key="contact:udp:10.0.0.1:5060", subscriber=None, tenant=None)
    lease = store.begin_call("call", EMERGENCY, stranger, (POOL,), clocks.now())
    assert lease is not None
    assert (lease.tenant_id, lease.subscriber_id, lease.aor) == (None, None, None)
    assert lent(store, "other", 1, clocks) == NUMBERS[1]
    assert store.leases_on(NUMBERS[1], clocks.now())[0].tenant_id == TENANT.id


def test_hostile_text_is_kept_as_it_is(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS)
    hostile = "'; drop table lease; --\x00\u2028\U0001f4a3|%s{}"
    who = replace(caller(1), caller_key=hostile, display_name=hostile, contact_uri=hostile, source_uri=hostile)
    lease = store.begin_call(hostile, EMERGENCY, who, (POOL,), clocks.now())
    assert store.leases(clocks.now()) == (lease,)
    assert store.end_call(hostile, clocks.now(), reason=hostile)
    assert journal(db)[-1][1]["contact_uri"] == hostile


def test_n2_the_states_follow_the_window_and_the_rest(db: sqlite3.Connection, store: EdgeStore, clocks: Clocks) -> None:
    own(db, NUMBERS)
    call(store, 1, clocks)
    lease = store.leases(clocks.now())[0]
    assert state(lease, clocks.passes(WINDOW_S - 1)) is LeaseState.LIVE
    assert state(lease, clocks.passes(1)) is LeaseState.RESTING
    assert store.leases_on(NUMBERS[0], clocks.now())
    assert state(lease, clocks.passes(REST_S)) is LeaseState.OVER
    assert not store.leases_on(NUMBERS[0], clocks.now())
