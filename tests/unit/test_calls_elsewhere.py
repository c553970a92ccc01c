"""A9 across nodes, the agent's side: what it tells PostgreSQL, what it stores of the answer, and whose calls count."""

import asyncio
import contextlib
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from psycopg import errors

from holdfast.core.model import CallKind
from holdfast.edge import calls_elsewhere, clock, kamailio_rpc
from holdfast.edge.calls_elsewhere import CallExchange, CallsHere, store_heard
from holdfast.edge.kamailio_rpc import KamailioRefused, KamailioSilent, KamailioUnavailable
from holdfast.edge.keeper import OpenStore, StoreBusyError, StoreKeeper
from holdfast.edge.outbox import Outbox
from holdfast.edge.replica import Replica
from holdfast.edge.store import HEARD_WITHIN_S, EdgeStore, connect
from holdfast.edge.uplink import LISTEN_S, CallCounts, Identity, StatementRefusedError
from holdfast.errors import HoldfastError
from unit.edge_rows import caller, provision

NOW_S = 1_700_000_000.0
EMERGENCY, READBACK = "emergency", "readback"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(connect(tmp_path / "edge.db")) as connection:
        provision(connection)
    return tmp_path / "edge.db"


@pytest.fixture
def opened(path: Path) -> Iterator[OpenStore]:
    with closing(connect(path)) as connection:
        yield OpenStore(Replica(connection), Outbox(connection), connection, (0, 0))


def stored(path: Path) -> dict[tuple[int, str], tuple[int, float]]:
    with closing(connect(path)) as connection:
        rows = connection.execute("select tenant_id, kind, calls, reported_at from calls_elsewhere").fetchall()
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


# What is stored


def test_a9_what_was_heard_takes_the_place_of_what_was_heard_before(path: Path, opened: OpenStore) -> None:
    store_heard(opened, {(1, EMERGENCY): 3, (1, READBACK): 1, (2, EMERGENCY): 5}, NOW_S)
    store_heard(opened, {(1, EMERGENCY): 4, (2, EMERGENCY): 5}, NOW_S + 1)
    assert stored(path) == {(1, EMERGENCY): (4, NOW_S + 1), (2, EMERGENCY): (5, NOW_S)}
    store_heard(opened, {}, NOW_S + 2)
    assert stored(path) == {}


@pytest.mark.parametrize(
    ("passed_s", "written"), [(0.0, False), (2.9, False), (3.0, True), (3600.0, True), (-2.9, False), (-3600.0, True)]
)
def test_a9_news_that_are_the_same_are_written_only_when_the_old_ones_grow_stale_or_the_clock_was_set(
    path: Path, opened: OpenStore, passed_s: float, written: bool
) -> None:
    heard = {(1, EMERGENCY): 3}
    store_heard(opened, heard, NOW_S)
    before = opened.connection.total_changes
    store_heard(opened, heard, NOW_S + passed_s)
    assert (opened.connection.total_changes > before) == written
    assert stored(path) == {(1, EMERGENCY): (3, NOW_S + (passed_s if written else 0))}


def test_a9_nothing_heard_is_written_never(opened: OpenStore) -> None:
    before = opened.connection.total_changes
    for passed_s in (0, 5, 3600):
        store_heard(opened, {}, NOW_S + passed_s)
    assert opened.connection.total_changes == before


def test_a9_what_an_agent_before_this_one_stored_is_corrected(path: Path, opened: OpenStore) -> None:
    query = "insert into calls_elsewhere values (1, 'emergency', 9, ?), (7, 'readback', 2, 5)"
    opened.connection.execute(query, (NOW_S,))
    store_heard(opened, {(1, EMERGENCY): 1}, NOW_S)
    assert stored(path) == {(1, EMERGENCY): (1, NOW_S)}


# What is told, and when


class Uplink:
    """PostgreSQL as far as these tests ask it."""

    def __init__(self) -> None:
        self.node: int | None = 4
        self.told: list[CallCounts] = []
        self.elsewhere: CallCounts = {}
        self.refuses = False
        self.standby = False

    async def identity(self) -> Identity:
        return Identity("database", self.standby)

    async def node_id(self, name: str) -> int | None:
        assert name == "edge-1"
        return self.node

    async def exchange_call_counts(self, node_id: int, here: CallCounts) -> CallCounts:
        assert node_id == self.node
        assert not self.standby
        if self.refuses:
            raise StatementRefusedError(errors.ReadOnlySqlTransaction())
        self.told.append(here)
        return self.elsewhere


class Node:
    """An agent's counting, step by step; its Kamailio started an hour ago."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, loop: asyncio.Runner) -> None:
        self.path = path
        self.uplink = Uplink()
        self._keeper = StoreKeeper(path)
        self._here = CallsHere(self._keeper, path.with_name("kamailio.rpc"))
        self._exchange = CallExchange(self._here, self._keeper, self.uplink, "edge-1")  # type: ignore[arg-type]
        self._monkeypatch = monkeypatch
        self._loop = loop
        self.exchanges_every(1000)
        self.asks_kamailio(clock.now().wall_s - 3600)

    def close(self) -> None:
        self._loop.run(self._keeper.close())

    def exchanges_every(self, seconds: float) -> None:
        self._monkeypatch.setattr(calls_elsewhere, "EXCHANGE_EVERY_S", seconds)

    def asks_kamailio(self, answer: float | HoldfastError) -> None:
        """Ask, with this as the answer."""

        def started_at(rpc_socket: Path) -> float:
            assert rpc_socket == self.path.with_name("kamailio.rpc")
            if isinstance(answer, HoldfastError):
                raise answer
            return answer

        self._monkeypatch.setattr(kamailio_rpc, "started_at", started_at)
        with contextlib.suppress(KamailioUnavailable, KamailioRefused):
            self._loop.run(self._here.ask_kamailio())

    def looks(self) -> list[CallCounts]:
        """Look once; what was told in it."""
        before = len(self.uplink.told)
        self._loop.run(self._exchange.look())
        return self.uplink.told[before:]

    def dials(self, index: int, kind: CallKind = CallKind.EMERGENCY) -> None:
        with closing(connect(self.path)) as connection:
            EdgeStore(connection).begin_call(f"call-{index}", kind, caller(index), (), clock.now())

    def hangs_up(self, index: int) -> None:
        with closing(connect(self.path)) as connection:
            assert EdgeStore(connection).end_call(f"call-{index}", clock.now(), reason="bye")


@pytest.fixture
def node(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    with asyncio.Runner() as loop, closing(Node(path, monkeypatch, loop)) as one:
        yield one


def shown(metric: str, kind: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"kind": kind})


def test_a9_a_change_is_told_at_the_next_look_and_only_once(node: Node) -> None:
    assert node.looks() == [{}], "that there is none is told, too"
    assert node.looks() == []
    node.dials(1)
    node.dials(2, CallKind.READBACK)
    assert node.looks() == [{(1, EMERGENCY): 1, (1, READBACK): 1}]
    assert shown("holdfast_calls_in_progress", EMERGENCY) == 1
    assert node.looks() == []
    node.hangs_up(1)
    assert node.looks() == [{(1, READBACK): 1}]
    assert shown("holdfast_calls_in_progress", EMERGENCY) == 0


def test_a9_others_are_asked_again_though_nothing_changed_here(node: Node, path: Path) -> None:
    node.exchanges_every(0)
    assert node.looks() == [{}]
    node.uplink.elsewhere = {(1, EMERGENCY): 3}
    assert node.looks() == [{}]
    assert stored(path)[1, EMERGENCY][0] == 3
    assert shown("holdfast_calls_elsewhere", EMERGENCY) == 3


def test_a9_the_two_rhythms_and_two_turns_on_the_connection_are_less_than_a_second() -> None:
    look_s = calls_elsewhere.LOOK_EVERY_S
    until_asked_s = math.ceil(calls_elsewhere.EXCHANGE_EVERY_S / look_s) * look_s
    assert look_s + until_asked_s + 2 * LISTEN_S < 0.9, "the rest is for the statements"


def test_a9_what_was_refused_is_told_again_by_whatever_the_node_is_called_then(node: Node) -> None:
    node.looks()
    node.uplink.refuses = True
    node.dials(1)
    with pytest.raises(StatementRefusedError):
        node.looks()
    node.uplink.refuses = False
    node.uplink.node = 5
    assert node.looks() == [{(1, EMERGENCY): 1}]


def test_a9_a_refusal_leaves_what_was_heard_before(node: Node, path: Path) -> None:
    node.exchanges_every(0)
    node.uplink.elsewhere = {(1, EMERGENCY): 3}
    node.looks()
    before = stored(path)
    node.uplink.refuses = True
    with pytest.raises(StatementRefusedError):
        node.looks()
    assert stored(path) == before


def test_a_node_that_postgresql_does_not_know_tells_nothing(node: Node) -> None:
    node.uplink.node = None
    assert node.looks() == []
    node.uplink.node = 4
    assert node.looks() == [{}]


def test_a9_a_standby_is_told_nothing_until_it_is_promoted(node: Node) -> None:
    node.uplink.standby = True
    assert node.looks() == []
    node.uplink.standby = False
    assert node.looks() == [{}]


def test_a9_what_postgresql_says_is_held_to_what_can_be(node: Node, path: Path) -> None:
    node.uplink.elsewhere = {(1, EMERGENCY): 10**15, (1, "callback"): 4, (2, EMERGENCY): 0, (3, EMERGENCY): -4,
                             (2, READBACK): 1}  # fmt: skip
    node.looks()
    assert {of: calls for of, (calls, _) in stored(path).items()} == {(1, EMERGENCY): 1_000_000, (2, READBACK): 1}


def test_a9_what_could_not_be_stored_is_heard_again(node: Node, path: Path) -> None:
    node.exchanges_every(0)
    node.uplink.elsewhere = {(1, EMERGENCY): 3}
    with closing(connect(path)) as connection:
        connection.execute("begin immediate")
        with pytest.raises(StoreBusyError):
            node.looks()
    node.looks()
    assert stored(path)[1, EMERGENCY][0] == 3


# Whose calls count


def test_a9_calls_that_an_earlier_kamailio_began_are_not_told(node: Node) -> None:
    node.dials(1)
    assert node.looks() == [{(1, EMERGENCY): 1}]
    node.asks_kamailio(clock.now().wall_s + 1)
    assert node.looks() == [{}]


@pytest.mark.parametrize("gone", [KamailioUnavailable("not running"), KamailioRefused("knows no uptime")])
def test_a9_while_no_kamailio_is_there_none_of_its_calls_is_in_progress(node: Node, gone: HoldfastError) -> None:
    node.dials(1)
    assert node.looks() == [{(1, EMERGENCY): 1}]
    node.asks_kamailio(gone)
    assert node.looks() == [{}]
    assert REGISTRY.get_sample_value("holdfast_agent_kamailio_up") == 0
    node.asks_kamailio(clock.now().wall_s - 3600)
    assert node.looks() == [{(1, EMERGENCY): 1}]
    assert REGISTRY.get_sample_value("holdfast_agent_kamailio_up") == 1


def test_a9_calls_of_a_kamailio_that_is_busy_count_for_ten_seconds_more(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.dials(1)
    node.looks()
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + HEARD_WITHIN_S - 1)
    node.asks_kamailio(KamailioSilent("said nothing"))
    assert node.looks() == []
    monkeypatch.setattr(time, "monotonic", lambda: now_s + HEARD_WITHIN_S + 1)
    node.asks_kamailio(KamailioSilent("said nothing"))
    assert node.looks() == [{}]


def test_a9_an_agent_that_starts_before_kamailio_counts_nothing_until_it_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asyncio.Runner() as loop, closing(Node(path, monkeypatch, loop)) as node:
        node.asks_kamailio(KamailioUnavailable("not running"))
        node.dials(1)  # by a Kamailio that started since
        assert node.looks() == [{}]
        node.asks_kamailio(clock.now().wall_s - 1)
        assert node.looks() == [{(1, EMERGENCY): 1}]


# When Kamailio started


@contextlib.contextmanager
def kamailio(path: Path, uptime: object) -> Iterator[Path]:
    """Somebody who answers one RPC request with that."""

    def answer() -> None:
        request, sender = server.recvfrom(65536)
        asked = json.loads(request)
        assert asked["method"] == "core.uptime"
        server.sendto(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": uptime}).encode(), sender)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield path
        thread.join(5)


def uptime(now_s: int, seconds: int) -> dict[str, object]:
    """As Kamailio 5.6.3 answers."""
    return {"now": time.ctime(now_s), "up_since": time.ctime(now_s - seconds), "uptime": seconds}


@pytest.mark.parametrize("behind_s", [0, 1])
@pytest.mark.parametrize("at", [NOW_S, NOW_S + 40, NOW_S + 40.999])  # the second is at the end of a minute
def test_when_kamailio_started_is_reckoned_by_its_own_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: float, behind_s: int
) -> None:
    """Its clock is read a moment before ours, or in the middle of our two readings."""
    monkeypatch.setattr(time, "time", lambda: at)
    with kamailio(tmp_path / "rpc", uptime(int(at) - behind_s, 4000)) as rpc_socket:
        assert kamailio_rpc.started_at(rpc_socket) == int(at) - behind_s - 4000


@pytest.mark.parametrize(
    "nonsense",
    [None, "up", 7, [], {}, {"now": "Wed Nov 25 08:45:20 2026"}, {"now": "late", "uptime": 5}, {"now": 8, "uptime": 5},
     {"now": "Wed Nov 25 08:45:20 2026", "uptime": "x"}, {"now": "Wed Nov 25 08:45:20 2026", "uptime": None}],
)  # fmt: skip
def test_an_uptime_that_is_none_is_refused_in_words(tmp_path: Path, nonsense: object) -> None:
    with kamailio(tmp_path / "rpc", nonsense) as rpc_socket, pytest.raises(KamailioRefused, match="of its uptime"):
        kamailio_rpc.started_at(rpc_socket)


def test_a_clock_that_is_set_meanwhile_is_asked_again(tmp_path: Path) -> None:
    now = int(time.time())
    with kamailio(tmp_path / "rpc", uptime(now - 1800 - 30, 4000)) as rpc_socket, pytest.raises(KamailioSilent):
        kamailio_rpc.started_at(rpc_socket)


def test_nobody_there_and_nobody_who_answers_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(KamailioUnavailable) as caught:
        kamailio_rpc.started_at(tmp_path / "rpc")
    assert not isinstance(caught.value, KamailioSilent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind(str(tmp_path / "rpc"))
        with pytest.raises(KamailioSilent):
            kamailio_rpc.started_at(tmp_path / "rpc", deadline_s=0.1)
