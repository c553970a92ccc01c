"""Numbers and leases of a node: which are idle, which must rest, what is put back, what is erased."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.lease import MAX_CALL_S, Lease
from holdfast.core.model import Caller, CallKind
from holdfast.edge.replica import PRESUME_EARLY_S, Change, Replica
from holdfast.edge.store import connect
from unit.edge_rows import Clocks, take

NODE = 7
START_S = Clocks().now().wall_s
HOUR = 3600.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "edge.db")
    yield connection
    connection.close()


@pytest.fixture
def node(db: sqlite3.Connection, clocks: Clocks) -> Replica:
    replica = Replica(db, clocks.now)
    replica.start(NODE, "database", anew=False)
    return replica


def settle(replica: Replica) -> None:
    waiting = replica.unsettled()
    while waiting:
        waiting = waiting[replica.settle(waiting) :]


def pool(revision: int, key: int = 1, *, window_s: int = 7200, rest_s: int = 600) -> Change:
    row = {"id": key, "name": f"pool-{key}", "trunk_group_id": 1, "country": "US", "tenant_id": None,
           "window_s": window_s, "rest_s": rest_s, "target_idle": 3}  # fmt: skip
    return Change(revision, "pool", str(key), row)


def number(revision: int, name: str, *, owner: int | None = NODE, store: str | None, shared: bool = False) -> Change:
    row = {"number": name, "pool_id": 1, "shared": shared, "owner_node_id": owner, "owner_store_id": store}
    return Change(revision, "pool_number", name, row)


def states(db: sqlite3.Connection) -> dict[str, tuple[float, float]]:
    rows = db.execute("select number, rested_since, rested_until from number_state").fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def dial(replica: Replica, clocks: Clocks, call_id: str = "a", who: str = "one") -> Lease:
    caller = Caller(who, display_name="Alice", contact_uri="sip:alice@192.0.2.9", source_uri="sip:192.0.2.9")
    lease = replica.store.begin_call(call_id, CallKind.EMERGENCY, caller, replica.store.pools(), clocks.now())
    assert lease is not None
    return lease


def journal(db: sqlite3.Connection, kind: str) -> list[dict[str, Any]]:
    rows = db.execute("select payload from journal where kind = ? order by seq", (kind,)).fetchall()
    return [json.loads(row[0]) for row in rows]


def test_a_number_that_this_store_claimed_is_idle_at_once(db: sqlite3.Connection, node: Replica) -> None:
    take(node, pool(1), number(2, "+12025550101", store=node.store_id))
    assert states(db) == {"+12025550101": (START_S, 0.0)}
    assert node.count_pools()[0].idle == 1


def test_n3_a_number_of_an_earlier_store_rests_as_long_as_a_lease_of_it_could_last(
    db: sqlite3.Connection, node: Replica, clocks: Clocks
) -> None:
    take(node, pool(1), number(2, "+12025550101", store="an-earlier-one"), number(3, "+12025550102", store=None))
    ends = START_S + 7200 + 600
    assert states(db) == {"+12025550101": (START_S, ends), "+12025550102": (START_S, ends)}
    assert node.count_pools()[0].idle == 0
    clocks.passes(7800)
    assert node.count_pools()[0].idle == 2


def test_a_number_that_came_before_its_pool_is_taken_note_of_when_the_pool_comes(
    db: sqlite3.Connection, node: Replica
) -> None:
    take(node, number(1, "+12025550101", store="an-earlier-one"))
    settle(node)
    assert states(db) == {}, "without its pool nobody knows how long it must rest"
    take(node, pool(2, window_s=90_000))
    settle(node)
    assert states(db)["+12025550101"][1] == START_S + 90_000 + 600


def test_a_number_known_already_keeps_its_rest(db: sqlite3.Connection, node: Replica, clocks: Clocks) -> None:
    take(node, pool(1), number(2, "+12025550101", store="an-earlier-one"))
    before = states(db)
    clocks.passes(60)
    take(node, number(3, "+12025550101", store="an-earlier-one"), pool(4, window_s=90_000))
    settle(node)
    assert states(db) == before


@pytest.mark.parametrize(
    "gone",
    [
        number(9, "+12025550101", owner=8, store="other"),
        number(9, "+12025550101", owner=None, store=None),
        number(9, "+12025550101", store="x", shared=True),
        Change(9, "pool_number", "+12025550101", None),
    ],
)
def test_a_number_that_is_no_longer_ours_alone_is_forgotten(
    db: sqlite3.Connection, node: Replica, gone: Change
) -> None:
    take(node, pool(1), number(2, "+12025550101", store=node.store_id), gone)
    assert states(db) == {}


def test_numbers_of_other_nodes_and_shared_ones_are_not_counted(db: sqlite3.Connection, node: Replica) -> None:
    take(node, pool(1), number(2, "+1001", owner=8, store="x"), number(3, "+1002", owner=None, store=None),
         number(4, "+1003", store=node.store_id, shared=True))  # fmt: skip
    assert states(db) == {}
    assert node.count_pools()[0].idle == 0


def test_a_node_that_got_another_id_settles_its_numbers_anew(db: sqlite3.Connection, node: Replica) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id), number(3, "+1002", owner=8, store="x"))
    again = Replica(db, node._now)  # noqa: SLF001  the same clock
    again.start(8, "database", anew=True)
    settle(again)
    assert set(states(db)) == {"+1002"}


def test_counts_tell_idle_live_and_resting_apart(node: Replica, clocks: Clocks) -> None:
    take(node, pool(1), *(number(2 + i, f"+100{i}", store=node.store_id) for i in range(5)))
    node.finish()
    dial(node, clocks)
    node.store.end_call("a", clocks.now(), reason="bye")
    clocks.passes(7200 + 1)
    dial(node, clocks, "b", "two")
    count = node.count_pools()[0]
    assert (count.idle, count.live, count.resting) == (3, 1, 1)
    assert (count.name, count.target_idle) == ("pool-1", 3)


def test_n2_a_lease_is_erased_only_after_its_window_and_rest_and_its_number_is_idle_again(
    db: sqlite3.Connection, node: Replica, clocks: Clocks
) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id))
    node.finish()
    lease = dial(node, clocks)
    clocks.passes(7800 + 1)
    assert node.reap() == 0, "the call is still in progress"
    node.store.end_call("a", clocks.now(), reason="bye")
    clocks.passes(7800 - 1)
    assert node.reap() == 0
    clocks.passes(1)
    assert node.reap() == 1
    assert journal(db, "lease_erased") == [{"id": lease.id}]
    assert states(db)["+1001"][0] == clocks.now().wall_s
    assert node.count_pools()[0].idle == 1
    assert node.reap() == 0


def test_n2_a_wall_clock_that_jumps_ahead_erases_nothing(node: Replica, clocks: Clocks) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id))
    node.finish()
    dial(node, clocks)
    node.store.end_call("a", clocks.now(), reason="bye")
    clocks.is_set_by(100 * HOUR)
    assert node.reap() == 0


def test_n2_a_call_whose_end_nobody_saw_is_closed_before_its_number_could_seem_idle(
    db: sqlite3.Connection, node: Replica, clocks: Clocks
) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id))
    node.finish()
    lease = dial(node, clocks, "lost")
    clocks.passes(MAX_CALL_S - PRESUME_EARLY_S - 1)
    assert node.presume_ended() == 0
    clocks.passes(1)
    assert node.presume_ended() == 1
    assert node.store.open_calls() == ()
    assert [(end["call_id"], end["reason"]) for end in journal(db, "call_ended")] == [("lost", "presumed")]
    clocks.passes(7199)
    assert node.store.leases_on("+1001", clocks.now())[0].id == lease.id, "the window runs from the presumed end"
    assert node.reap() == 0


def test_an_earlier_stores_leases_are_put_back_unchanged_and_hold_their_numbers(
    db: sqlite3.Connection, tmp_path: Path, node: Replica, clocks: Clocks
) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id), number(3, "+1002", store=node.store_id))
    node.finish()
    dial(node, clocks)
    row = dict(db.execute("select * from lease").fetchone())
    shipped = {**row, "shared": False, "node_id": NODE, "store_id": node.store_id, "seq": 1}

    fresh = connect(tmp_path / "new.db")
    later = Replica(fresh, clocks.now)
    later.start(NODE, "database", anew=False)
    take(later, pool(1), number(2, "+1001", store=node.store_id), number(3, "+1002", store=later.store_id))
    assert later.restore_leases([shipped]) == 1
    assert later.restore_leases([shipped]) == 1, "twice is harmless"
    later.finish()
    assert dict(fresh.execute("select * from lease").fetchone()) == row
    assert dial(later, clocks, "b", "two").number == "+1002"
    fresh.close()


def test_a_lease_that_this_store_erased_does_not_come_back(db: sqlite3.Connection, node: Replica) -> None:
    shipped = {"id": "x", "store_id": node.store_id, "number": "+1001"}
    assert node.restore_leases([shipped]) == 1
    assert db.execute("select count(*) from lease").fetchone()[0] == 0
    assert journal(db, "alarm") == []


def test_a_lease_that_cannot_be_put_back_is_alarmed_and_the_others_go_on(db: sqlite3.Connection, node: Replica) -> None:
    good = {"id": "good", "number": "+1001", "pool_id": 1, "shared": False, "caller_key": "k", "tenant_id": None,
            "subscriber_id": None, "aor": None, "display_name": "", "contact_uri": "", "source_uri": "",
            "window_s": 3600, "rest_s": 0, "first_dial_at": 1.0, "last_end_at": None, "marked_at": 1.0,
            "boot_id": "b", "boottime_s": 1.0, "store_id": "earlier"}  # fmt: skip
    rows = [{**good, "id": "bad", "window_s": 5}, {**good, "id": "worse", "window_s": "x"}, good]
    while rows:
        rows = rows[node.restore_leases(rows) :]
    assert [row[0] for row in db.execute("select id from lease")] == ["good"]
    assert journal(db, "alarm") == [
        {"name": "lease_not_restored", "lease_id": "bad"},
        {"name": "lease_not_restored", "lease_id": "worse"},
    ]


def test_leases_are_journalled_again_as_they_are_now(db: sqlite3.Connection, node: Replica, clocks: Clocks) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id))
    node.finish()
    dial(node, clocks)
    assert node.rejournal(node.lease_ids()) == 1
    first, second = journal(db, "lease")
    assert first == second


def test_a_store_that_is_an_old_copy_of_itself_becomes_another_whose_numbers_rest(
    db: sqlite3.Connection, node: Replica
) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id))
    node.finish()
    former = node.store_id
    node.become_another_store()
    settle(node)
    info = node.store.info()
    assert (info.store_id, info.caught_up) == (node.store_id, False)
    assert node.store_id != former
    assert states(db) == {"+1001": (START_S, START_S + 7800)}
    assert not node.caught_up


def test_numbers_that_did_not_arrive_are_missed(node: Replica) -> None:
    take(node, pool(1), number(2, "+1001", store=node.store_id), number(3, "+1002", owner=8, store="x"))
    assert node.missing(["+1001", "+1002", "+1003"]) == 2
