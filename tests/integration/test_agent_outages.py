"""PostgreSQL goes away and comes back; the store's disk and file misbehave; the agent goes on."""

import itertools
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from holdfast.core.model import Caller, CallKind
from holdfast.edge import clock
from holdfast.edge.store import EdgeStore, connect
from holdfast.errors import EdgeStoreUnavailable
from holdfast.plane import db
from integration.agents import (
    EdgeNode,
    journal_above,
    leases_above,
    leases_here,
    provision,
    same_above_and_here,
)
from integration.postgres import Database, make
from lab.errors import NotStarted
from lab.ports import Ports
from lab.postgres import PrivatePostgres
from lab.waiting import wait_until

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PrivatePostgres]:
    """A cluster that may be stopped and killed."""
    with PrivatePostgres() as cluster:
        yield cluster


@pytest.fixture
def frail(own_postgres: PrivatePostgres) -> Database:
    """A database on it, which goes with it."""
    database = Database(own_postgres, f"frail_{next(NUMBERS)}")
    make(database)
    provision(database)
    return database


@pytest.fixture
def node(database: Database, tmp_path: Path, ports: Ports) -> Iterator[EdgeNode]:
    provision(database)
    with EdgeNode(tmp_path, database.dsn(db.AGENT), ports) as edge:
        yield edge


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_n1_an_outage_of_postgresql_is_waited_out_and_made_good(
    own_postgres: PrivatePostgres, frail: Database, tmp_path: Path, ports: Ports, end: str
) -> None:
    with EdgeNode(tmp_path, frail.dsn(db.AGENT), ports) as node:
        node.start()
        node.has_idle(5)
        if end == "killed":
            own_postgres.kill()
        else:
            own_postgres.stop()
        try:
            node.shows("holdfast_agent_postgres_connected", 0)
            assert node.calls("a", "call-a"), "numbers are lent all the same"
            node.hangs_up("call-a")
            node.has_a_backlog()
        finally:
            own_postgres.start()
        node.ships_everything()
        with frail.connect() as connection:
            connection.execute("update tenant set name = 'afterwards' where id = 1")
        same_above_and_here(frail, node)
        node.has_idle(5)


def test_n1_postgresql_absent_at_the_start_is_waited_for(
    own_postgres: PrivatePostgres, frail: Database, tmp_path: Path, ports: Ports
) -> None:
    with EdgeNode(tmp_path, frail.dsn(db.AGENT), ports) as node:
        own_postgres.stop()
        try:
            node.start()
            node.comes_to("an empty store", "select caught_up from store", 0)
            failures = "holdfast_agent_postgres_failures_total{reason=connection}"
            wait_until("three attempts", lambda: node.metrics().get(failures, 0) >= 3, within_s=5)
            assert node.log().count("ERROR") == 1, "said once"
        finally:
            own_postgres.start()
        node.has_idle(5)
        same_above_and_here(frail, node)


def test_a_read_only_postgresql_still_brings_changes_down(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    read_only(database, "on")
    assert node.calls("a", "call-a")
    with database.connect("postgres") as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute("update tenant set name = 'came down' where id = 1")
    node.comes_to("the tenant's new name", "select name from tenant where id = 1", "came down")
    wait_until(
        "refusals to be counted",
        lambda: node.metrics().get("holdfast_journal_ship_failures_total{reason=25006}", 0) > 0,
        within_s=5,
    )
    read_only(database, "off")
    node.ships_everything()
    assert leases_above(database) == leases_here(node)
    assert node.asks("select count(*) from journal_refused") == [(0,)], "no row is to blame"


def read_only(database: Database, switch: str) -> None:
    """Make new connections read-only (or not), and end those of the agent."""
    with database.connect("postgres") as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(f"alter database {database.name} set default_transaction_read_only = {switch}")
        connection.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{db.AGENT}'")


def test_a_database_that_was_replaced_is_fetched_whole_and_told_of_the_leases(
    frail: Database, tmp_path: Path, ports: Ports
) -> None:
    with EdgeNode(tmp_path, frail.dsn(db.AGENT), ports) as node:
        node.start()
        node.has_idle(5)
        lease = node.calls("a", "call-a")
        assert lease is not None
        node.ships_everything()
        make(frail)
        provision(frail, users=3)
        node.comes_to("the users of the new database", "select count(*) from subscriber", 3, within_s=20)
        node.ships_everything()
        wait_until("the lease to be known there", lambda: leases_above(frail) == leases_here(node) != [], within_s=10)
        assert node.asks("select id from lease") == [(lease.id,)]


def test_an_unknown_node_is_said_and_waited_for(database: Database, tmp_path: Path, ports: Ports) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    provision(database)
    with EdgeNode(folder, database.dsn(db.AGENT), ports, name="edge-9") as node:
        node.start()
        wait_until(
            "the complaint", lambda: "knows no node 'edge-9' (holdfast node create edge-9," in node.log(), within_s=5
        )
        with database.connect() as connection:
            connection.execute("insert into node (name, sip_address, sip_port) values ('edge-9', '127.0.0.9', 5060)")
        node.catches_up()
        assert node.asks("select node_id from store") == [(3,)]


def test_a_postgresql_that_hangs_does_not_hold_up_the_agents_end(frail: Database, tmp_path: Path, ports: Ports) -> None:
    with EdgeNode(tmp_path, frail.dsn(db.AGENT), ports) as node:
        node.start()
        node.has_idle(5)
        with frail.connect("postgres") as connection:
            rows = connection.execute(f"select pid from pg_stat_activity where usename = '{db.AGENT}'").fetchall()
            connection.execute("update tenant set name = name")  # wakes it
        pids = [int(str(row[0])) for row in rows]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert node.calls("a", "call-a")
            node.has_a_backlog()
            node.daemon.send(signal.SIGTERM)
            assert node.daemon.wait(within_s=10) == 0
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def test_a_second_agent_of_the_same_store_refuses_to_start(node: EdgeNode) -> None:
    node.start()
    first = node.daemon.pid
    second = node._daemon({})  # noqa: SLF001  as by start()
    with pytest.raises(NotStarted, match="another edge agent"):
        second.start(lambda: False, within_s=10)
    assert f"process {first}" in node.log()
    assert node.daemon.running


def test_a_locked_store_delays_the_agent_and_no_more(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    with node.store() as connection:
        connection.execute("begin immediate")
        with database.connect() as above:
            above.execute("update tenant set name = 'later' where id = 1")
        busy = "holdfast_agent_edge_store_failures_total{reason=sqlite_busy}"
        wait_until("it to be found locked", lambda: node.metrics().get(busy, 0) > 0, within_s=5)
        connection.execute("rollback")
    node.comes_to("the tenant's new name", "select name from tenant where id = 1", "later")
    assert node.metrics()["holdfast_agent_up"] == 1


def test_a_store_that_is_no_database_is_complained_of_until_it_is_moved_away(
    database: Database, node: EdgeNode
) -> None:
    node.path.write_bytes(b"\xff" * 8192)
    node.start()
    wait_until("the complaint", lambda: "file is not a database" in node.log(), within_s=5)
    node.path.unlink()
    node.has_idle(5)
    same_above_and_here(database, node)


def test_a_full_disk_is_waited_out(database: Database, node: EdgeNode) -> None:
    """A store that may not grow: SQLite answers as it does when the disk is full."""
    os.environ["AGENT_STORE_PAGES"] = "60"
    try:
        node.start()
        node.catches_up()
    finally:
        del os.environ["AGENT_STORE_PAGES"]
    with database.connect() as connection:
        connection.execute(
            "insert into platform_number (number, tenant_id)"
            " select '+1606' || (5000000 + i), 1 from generate_series(1, 9000) i"
        )
    full = "holdfast_agent_edge_store_failures_total{reason=sqlite_full}"
    wait_until("it to be full", lambda: node.metrics().get(full, 0) > 0, within_s=10)
    assert node.metrics()["holdfast_agent_up"] == 1
    node.stop()
    node.start()
    same_above_and_here(database, node)


def test_a_port_that_is_taken_is_said_clearly(node: EdgeNode, tmp_path: Path, database: Database, ports: Ports) -> None:
    node.start()
    folder = tmp_path / "other"
    folder.mkdir()
    other = EdgeNode(folder, database.dsn(db.AGENT), ports, name="edge-2")
    other.config.write_text(other.config.read_text().replace(str(other.port), str(node.port)))
    with pytest.raises(NotStarted, match=f"cannot be served on 127.0.0.1:{node.port}"):
        other.daemon.start(lambda: False, within_s=10)


def test_n3_calls_beside_the_agent_never_get_one_number_twice_and_none_is_lost(
    database: Database, node: EdgeNode
) -> None:
    with database.connect() as connection:
        connection.execute(
            "insert into pool_number (number, pool_id)"
            " select '+1707' || (5000000 + i), 1 from generate_series(1, 400) i"
        )
        connection.execute("update pool set target_idle = 25")
    node.start()
    node.has_idle(25)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    callers = [context.Process(target=call_until, args=(str(node.path), name, stop), daemon=True) for name in "ab"]
    for process in callers:
        process.start()
    node.comes_to("sixty leases", "select count(*) >= 60 from lease", 1, within_s=20)
    with database.connect() as connection:  # provisioning comes down in between
        connection.execute("update subscriber set display_name = 'X'")
    node.comes_to("a hundred leases", "select count(*) >= 100 from lease", 1, within_s=20)
    stop.set()
    for process in callers:
        process.join(10)
        assert process.exitcode == 0
    node.ships_everything()
    node.has_idle(25)
    assert leases_above(database) == leases_here(node)
    leases = [lease for lease in leases_here(node) if not lease["shared"]]
    assert len({lease["number"] for lease in leases}) == len(leases)
    owned = node.asks("select count(*) from pool_number where owner_node_id = 1 and not shared")[0][0]
    assert owned == len(leases) + 25
    assert node.asks("select count(*) from number_state") == [(owned,)]
    assert len(journal_above(database, "call_ended")) == len(journal_above(database, "call_started"))
    same_above_and_here(database, node)


def call_until(path: str, name: str, stop: Event) -> None:
    """Begin and end calls of ever new callers, as the routing code does; wait for numbers like a patient caller."""
    with closing(connect(Path(path), create=False)) as connection:
        store = EdgeStore(connection)
        count = 0
        while not stop.wait(0.01):
            if not idle(connection):
                continue
            count += 1
            who = Caller(f"{name}-{count}", "", contact_uri="sip:a@192.0.2.9", source_uri="sip:b")
            one_call(store, f"{name}-{count}", who)


def one_call(store: EdgeStore, call_id: str, who: Caller) -> None:
    """Begin and end it. On a machine with far too much to do the store may be locked for longer than a call waits."""
    begun = False
    deadline = time.monotonic() + 10
    while True:
        try:
            if not begun:
                assert store.begin_call(call_id, CallKind.EMERGENCY, who, store.pools(), clock.now()) is not None
                begun = True
            store.end_call(call_id, clock.now(), reason="bye")
        except EdgeStoreUnavailable:
            assert time.monotonic() < deadline
        else:
            return


def idle(connection: sqlite3.Connection) -> int:
    query = "select count(*) from number_state where number not in (select number from lease)"
    return int(connection.execute(query).fetchone()[0])
