"""Real processes on one edge store at once, and processes killed in the middle of what they do."""

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from holdfast.core.model import CallKind
from holdfast.edge import clock
from holdfast.edge.store import EdgeStore, connect
from unit.edge_rows import POOL, caller, own, provision

PROCESSES = 4
CALLS_EACH = 20
NUMBERS = [f"+12025550{number:03}" for number in range(50)]
DEADLINE_S = 30.0
SPAWN = get_context("spawn")
FORK = get_context("fork")

Told = list[tuple[str, str | None]]  # call id or caller, and the number that was lent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(connect(tmp_path / "edge.db")) as connection:
        provision(connection)
        own(connection, NUMBERS)
    return tmp_path / "edge.db"


@pytest.fixture
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        yield connection


def _lend(path: Path, ready: Barrier, pipe: Connection, callers: list[int], hang_up: bool) -> None:
    with closing(connect(path)) as connection:
        store = EdgeStore(connection)
        ready.wait(DEADLINE_S)
        told: Told = []
        for who in callers:
            call_id = f"{os.getpid()}-{who}"
            lease = store.begin_call(call_id, CallKind.EMERGENCY, caller(who), (POOL,), clock.now())
            if hang_up:
                store.end_call(call_id, clock.now(), reason="bye")
            told.append((f"subscriber:{who}", lease.number if lease else None))
        pipe.send(told)


def at_once(path: Path, callers: list[list[int]], *, hang_up: bool) -> Told:
    """What each process was lent for its callers, all processes having begun together."""
    ready = SPAWN.Barrier(len(callers))
    pipes, processes = [], []
    for mine in callers:
        receiver, sender = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=_lend, args=(path, ready, sender, mine, hang_up), daemon=True)
        process.start()
        sender.close()
        pipes.append(receiver)
        processes.append(process)
    told: Told = []
    for receiver, process in zip(pipes, processes, strict=True):
        assert receiver.poll(DEADLINE_S), "a process gave no answer in time"
        told += receiver.recv()
        process.join(DEADLINE_S)
        assert process.exitcode == 0
    return told


def test_n3_processes_that_lend_at_once_never_lend_one_number_twice(path: Path, opened: sqlite3.Connection) -> None:
    callers = [list(range(first, PROCESSES * CALLS_EACH, PROCESSES)) for first in range(PROCESSES)]
    told = at_once(path, callers, hang_up=False)
    lent = Counter(number for _, number in told if number is not None)
    assert set(lent) == set(NUMBERS)
    assert set(lent.values()) == {1}
    assert sum(number is None for _, number in told) == PROCESSES * CALLS_EACH - len(NUMBERS)
    store = EdgeStore(opened)
    held = {(lease.caller_key, lease.number) for lease in store.leases(clock.now())}
    assert held == {(who, number) for who, number in told if number is not None}
    assert len(store.open_calls()) == PROCESSES * CALLS_EACH
    assert [row[0] for row in opened.execute("select seq from journal order by seq")] == list(
        range(1, 2 * len(NUMBERS) + 2 * (PROCESSES * CALLS_EACH - len(NUMBERS)) + 1)
    )


def test_one_caller_who_calls_through_every_process_at_once_holds_one_number(
    path: Path, opened: sqlite3.Connection
) -> None:
    told = at_once(path, [[1, 2, 3] * 5] * PROCESSES, hang_up=True)
    assert len(set(told)) == 3
    leases = EdgeStore(opened).leases(clock.now())
    assert {(lease.caller_key, lease.number) for lease in leases} == set(told)
    assert [lease.calls for lease in leases] == [0, 0, 0]


def _die_before(path: Path, statement: int) -> None:
    connection = connect(path)
    seen = iter(range(statement))

    def count(_sql: str) -> None:
        if next(seen, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(count)
    store = EdgeStore(connection)
    store.begin_call("doomed", CallKind.EMERGENCY, caller(1), (POOL,), clock.now())
    store.end_call("doomed", clock.now(), reason="bye")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_before_any_statement_leaves_a_whole_store(path: Path) -> None:
    ended = 0
    for statement in range(60):
        process = FORK.Process(target=_die_before, args=(path, statement), daemon=True)
        process.start()
        process.join(DEADLINE_S)
        assert process.exitcode == -signal.SIGKILL
        with closing(connect(path)) as connection:
            store = EdgeStore(connection)
            kinds = [row[0] for row in connection.execute("select kind from journal order by seq")]
            begun = ["lease", "call_started"]
            assert kinds in ([], begun, [*begun, "call_ended", "lease"])
            assert len(store.leases(clock.now())) == bool(kinds)
            assert len(store.open_calls()) == (kinds == begun)
            assert store.begin_call("next", CallKind.EMERGENCY, caller(2), (POOL,), clock.now())
            ended += len(kinds) == 4
            for table in ("lease", "emergency_call", "journal", "sqlite_sequence"):
                connection.execute(f"delete from {table}")
        if ended:
            return
    pytest.fail("the process was never let to its end")


def _lend_for_ever(path: Path, pipe: Connection) -> None:
    store = EdgeStore(connect(path))
    for count in range(10**6):
        lease = store.begin_call(f"call {count}", CallKind.EMERGENCY, caller(count % 20), (POOL,), clock.now())
        pipe.send((f"call {count}", lease.number if lease else None))


def test_a_lease_that_was_told_survives_the_kill_of_its_process(path: Path) -> None:
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_lend_for_ever, args=(path, sender), daemon=True)
    process.start()
    sender.close()
    told = []
    for _ in range(50):
        assert receiver.poll(DEADLINE_S)
        told.append(receiver.recv())
    process.kill()
    process.join(DEADLINE_S)
    with closing(connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
        store = EdgeStore(connection)
        number_of = {lease.id: lease.number for lease in store.leases(clock.now())}
        stored = {call.call_id: number_of[call.lease_id or ""] for call in store.open_calls()}
    assert {call_id: stored[call_id] for call_id, _ in told} == dict(told)
