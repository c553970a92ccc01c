"""A9: how many emergency calls, and how many test calls, a tenant may have at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from holdfast.core.lease import Lease
from holdfast.core.model import Caller, CallKind, Pool
from holdfast.edge import clock
from holdfast.edge.store import HEARD_WITHIN_S, CallLimit, EdgeStore, connect
from holdfast.errors import TooManyCalls
from unit.edge_rows import POOL, TENANT, Clocks, caller, own, provision, row

EMERGENCY, READBACK = CallKind.EMERGENCY, CallKind.READBACK
MOST = 10
NUMBERS = [f"+12025550{number:03}" for number in range(101, 131)]
OTHER_TENANT = replace(TENANT, id=2, name="Other")
SPAWN = get_context("spawn")
DEADLINE_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(connect(tmp_path / "edge.db")) as connection:
        provision(connection)
        own(connection, NUMBERS)
    return tmp_path / "edge.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        yield connection


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


class Edge:
    """The store as the routing code of one Kamailio uses it."""

    def __init__(self, db: sqlite3.Connection, clocks: Clocks) -> None:
        self.store = EdgeStore(db)
        self.clocks = clocks
        self.db = db
        self.kamailio_started = clocks.now().wall_s - 60

    def dial(
        self, index: int, kind: CallKind = EMERGENCY, *, who: Caller | None = None, pools: tuple[Pool, ...] = (POOL,),
        most: int = MOST,
    ) -> Lease | None:  # fmt: skip
        limit = CallLimit(most, self.kamailio_started)
        return self.store.begin_call(
            f"{kind}-{index}", kind, who or caller(index), pools, self.clocks.now(), limit=limit
        )

    def hang_up(self, index: int, kind: CallKind = EMERGENCY) -> None:
        assert self.store.end_call(f"{kind}-{index}", self.clocks.now(), reason="bye")

    def fill(self, kind: CallKind = EMERGENCY, calls: int = MOST) -> None:
        for index in range(1, calls + 1):
            assert self.dial(index, kind)

    def is_refused(self, index: int, kind: CallKind = EMERGENCY, *, most: int = MOST) -> bool:
        """Whether one call more is one too many. If not it is over at once."""
        try:
            self.dial(index, kind, most=most)
        except TooManyCalls:
            return True
        self.hang_up(index, kind)
        return False

    def hears(self, calls: int, kind: CallKind = EMERGENCY, *, tenant_id: int = 1) -> None:
        """What the agent writes of other nodes, now."""
        row(self.db, "calls_elsewhere", tenant_id=tenant_id, kind=kind.value, calls=calls,
            reported_at=self.clocks.now().wall_s)  # fmt: skip


@pytest.fixture
def edge(db: sqlite3.Connection, clocks: Clocks) -> Edge:
    return Edge(db, clocks)


def everything(db: sqlite3.Connection) -> list[str]:
    return list(db.iterdump())


def test_a9_ten_calls_at_once_go_through_and_the_eleventh_is_refused(edge: Edge) -> None:
    edge.fill()
    assert len(edge.store.open_calls()) == MOST
    with pytest.raises(TooManyCalls, match="10 calls are in progress, 10 may be"):
        edge.dial(11)
    edge.hang_up(3)
    assert edge.dial(11)
    assert edge.is_refused(12)


@pytest.mark.parametrize("most", [1, 2, 3, 25])
def test_a9_the_limit_is_the_tenants(edge: Edge, most: int) -> None:
    for index in range(1, most + 1):
        assert edge.dial(index, most=most)
    assert edge.is_refused(most + 1, most=most)


def test_a9_a_refused_call_leaves_no_trace(db: sqlite3.Connection, edge: Edge) -> None:
    edge.fill()
    before = everything(db)
    for who in (caller(11), caller(1)):  # a new caller, and one who holds a number already
        with pytest.raises(TooManyCalls):
            edge.dial(11, who=who)
    assert everything(db) == before
    assert not db.in_transaction


def test_a9_a_call_without_a_number_counts_as_well(edge: Edge) -> None:
    for index in range(1, MOST + 1):
        assert edge.dial(index, pools=()) is None
    with pytest.raises(TooManyCalls):
        edge.dial(11, pools=())


def test_a9_a_call_that_is_open_is_not_refused_when_its_invite_comes_again(db: sqlite3.Connection, edge: Edge) -> None:
    first = edge.dial(1)
    assert first is not None
    assert edge.dial(2, pools=()) is None
    for index in range(3, MOST + 1):
        edge.dial(index)
    before = everything(db)
    again = edge.dial(1)
    assert again is not None
    assert again.id == first.id
    assert edge.dial(2, pools=()) is None
    assert everything(db) == before


def test_a9_the_call_id_of_an_open_call_lets_nobody_else_through(db: sqlite3.Connection, edge: Edge) -> None:
    edge.fill()
    before = everything(db)
    with pytest.raises(TooManyCalls):
        edge.dial(1, who=caller(2))
    with pytest.raises(TooManyCalls):
        edge.dial(1, who=caller(11))
    assert everything(db) == before


def test_a9_test_calls_have_a_limit_of_their_own(edge: Edge) -> None:
    edge.fill(READBACK, 3)
    assert edge.is_refused(4, READBACK, most=3)
    edge.fill(EMERGENCY)
    assert edge.is_refused(11, EMERGENCY)
    edge.hang_up(1, READBACK)
    assert not edge.is_refused(4, READBACK, most=3)
    assert edge.is_refused(11, EMERGENCY)


def test_a9_callbacks_do_not_count(edge: Edge) -> None:
    edge.fill(calls=MOST - 1)
    for lease in edge.store.leases(edge.clocks.now()):
        assert edge.store.begin_callback(f"psap-{lease.number}", lease.number, edge.clocks.now())
    assert len(edge.store.open_calls()) == 2 * (MOST - 1)
    assert edge.dial(10)
    assert edge.is_refused(11)


def test_a9_other_tenants_calls_and_those_of_nobody_known_do_not_count(edge: Edge) -> None:
    stranger = replace(caller(20), caller_key="contact:192.0.2.9:5060", tenant=None, subscriber=None)
    for index in range(30, 42):
        assert edge.dial(index, who=replace(stranger, caller_key=f"contact:{index}"))
    edge.fill()
    assert edge.dial(50, who=replace(caller(50), tenant=OTHER_TENANT))
    assert edge.is_refused(11)
    assert edge.dial(51, who=stranger, most=1), "whose tenant is not known, no tenant's limit holds back"


def test_a9_a_call_without_a_limit_is_counted_and_never_refused(edge: Edge) -> None:
    for index in range(1, 15):
        edge.store.begin_call(f"free-{index}", EMERGENCY, caller(index), (POOL,), edge.clocks.now())
    assert edge.is_refused(15, most=14)
    assert not edge.is_refused(15, most=15)


def test_a9_calls_that_ended_with_an_earlier_kamailio_do_not_count(edge: Edge) -> None:
    edge.fill()
    edge.clocks.passes(5)
    assert edge.is_refused(11)
    edge.kamailio_started = edge.clocks.now().wall_s
    assert edge.dial(11), "the tenant is not shut out until those calls are presumed ended"
    assert edge.store.calls_in_progress(edge.kamailio_started) == {(1, "emergency"): 1}
    assert len(edge.store.open_calls()) == MOST + 1, "what was lent for them stays lent"


def test_a9_a_call_of_the_very_second_that_kamailio_started_in_counts(edge: Edge) -> None:
    edge.kamailio_started = edge.clocks.now().wall_s
    edge.fill()
    assert edge.is_refused(11)


def test_a9_what_is_told_to_other_nodes_is_what_is_counted_here(edge: Edge) -> None:
    edge.fill(calls=3)
    edge.fill(READBACK, 2)
    edge.dial(50, who=replace(caller(50), tenant=OTHER_TENANT))
    edge.dial(51, who=replace(caller(51), tenant=None))
    lease = edge.store.leases(edge.clocks.now())[0]
    edge.store.begin_callback("psap", lease.number, edge.clocks.now())
    edge.hears(7)
    counted = {(1, "emergency"): 3, (1, "readback"): 2, (2, "emergency"): 1}
    assert edge.store.calls_in_progress(edge.kamailio_started) == counted
    assert edge.store.calls_in_progress(edge.clocks.now().wall_s + 1) == {}


# Other nodes


def test_a9_calls_on_other_nodes_count(edge: Edge) -> None:
    edge.hears(7)
    edge.fill(calls=3)
    assert edge.is_refused(11)
    edge.hang_up(1)
    assert not edge.is_refused(11)


def test_a9_calls_on_other_nodes_count_for_their_own_tenant_and_kind(edge: Edge) -> None:
    edge.hears(10, READBACK)
    edge.hears(10, tenant_id=2)
    assert not edge.is_refused(1)
    assert edge.is_refused(1, READBACK)


def test_a9_more_calls_elsewhere_than_there_may_be_refuse_the_first_here(edge: Edge) -> None:
    edge.hears(11)
    with pytest.raises(TooManyCalls, match="11 calls are in progress, 10 may be"):
        edge.dial(1)


def test_a9_what_was_heard_of_other_nodes_counts_for_ten_seconds(edge: Edge) -> None:
    edge.hears(10)
    edge.clocks.passes(HEARD_WITHIN_S - 0.1)
    assert edge.is_refused(1)
    edge.clocks.passes(0.1)
    assert not edge.is_refused(1)


@pytest.mark.parametrize("jump_s", [HEARD_WITHIN_S, -HEARD_WITHIN_S, 86400.0, -86400.0])
def test_a9_a_clock_that_was_set_does_not_make_old_news_count_for_long(edge: Edge, jump_s: float) -> None:
    edge.kamailio_started -= 10 * 86400
    edge.hears(10)
    edge.clocks.is_set_by(jump_s)
    assert not edge.is_refused(1)


@pytest.mark.parametrize("jump_s", [1.0, -1.0])
def test_a9_a_clock_that_was_set_by_a_little_changes_nothing(edge: Edge, jump_s: float) -> None:
    edge.hears(10)
    edge.clocks.is_set_by(jump_s)
    assert edge.is_refused(1)


# Processes


def _dial_at_once(path: Path, ready: Barrier, pipe: Connection, callers: list[int]) -> None:
    with closing(connect(path)) as connection:
        store = EdgeStore(connection)
        ready.wait(DEADLINE_S)
        limit, went = CallLimit(MOST, 0.0), []
        for who in callers:
            try:
                store.begin_call(f"call-{who}", EMERGENCY, caller(who), (POOL,), clock.now(), limit=limit)
            except TooManyCalls:
                went.append(False)
            else:
                went.append(True)
        pipe.send(went)


def test_a9_workers_that_take_calls_at_once_never_let_an_eleventh_through(path: Path, db: sqlite3.Connection) -> None:
    workers, calls_each = 3, 8
    ready = SPAWN.Barrier(workers)
    receivers, processes = [], []
    for first in range(workers):
        receiver, sender = SPAWN.Pipe(duplex=False)
        callers = list(range(first + 1, workers * calls_each + 1, workers))
        process = SPAWN.Process(target=_dial_at_once, args=(path, ready, sender, callers), daemon=True)
        process.start()
        sender.close()
        receivers.append(receiver)
        processes.append(process)
    went = []
    for receiver, process in zip(receivers, processes, strict=True):
        assert receiver.poll(DEADLINE_S), "a process gave no answer in time"
        went += receiver.recv()
        process.join(DEADLINE_S)
    assert went.count(True) == MOST
    assert went.count(False) == workers * calls_each - MOST
    assert len(EdgeStore(db).open_calls()) == MOST
