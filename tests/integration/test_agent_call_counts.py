"""A9 across nodes: two agents and edge stores, one PostgreSQL; a node knows of the others' calls, and forgets them."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.lease import Moment
from holdfast.core.model import CallKind
from holdfast.edge import clock
from holdfast.edge.store import HEARD_WITHIN_S
from holdfast.plane import db
from integration.agents import provision
from integration.counting_nodes import SOON_S, Node, running
from integration.postgres import Database, make
from lab.ports import Ports
from lab.postgres import PrivatePostgres
from lab.waiting import wait_until

EMERGENCY, READBACK = CallKind.EMERGENCY, CallKind.READBACK
#: Somebody's silence, and what it takes to be noticed.
SILENCE_S = HEARD_WITHIN_S + 10.0
NAMES = itertools.count(1)


@pytest.fixture
def pair(database: Database, tmp_path: Path, ports: Ports) -> Iterator[list[Node]]:
    provision(database)
    with running(tmp_path, database.dsn(db.AGENT), ports) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PrivatePostgres]:
    """A cluster that may be stopped and killed."""
    with PrivatePostgres() as cluster:
        yield cluster


@pytest.fixture
def frail(own_postgres: PrivatePostgres) -> Database:
    database = Database(own_postgres, f"frail_{next(NAMES)}")
    make(database)
    provision(database)
    return database


def test_a9_a_call_on_one_node_is_known_on_the_other_and_its_end_too(pair: list[Node]) -> None:
    for here, there in (pair, reversed(pair)):
        call_id = here.dials()
        there.comes_to_know_of(1)
        assert here.knows_of() == 0
        assert there.is_refused(most=1)
        here.edge.shows("holdfast_calls_in_progress{kind=emergency}", 1)
        there.edge.shows("holdfast_calls_elsewhere{kind=emergency}", 1)
        here.edge.hangs_up(call_id)
        there.comes_to_know_of(0)
        assert not there.is_refused(most=1)


def test_a9_ten_calls_over_two_nodes_are_as_many_as_there_may_be(pair: list[Node]) -> None:
    one, two = pair
    first = [one.dials() for _ in range(6)]
    for _ in range(4):
        two.dials()
    one.comes_to_know_of(4)
    two.comes_to_know_of(6)
    assert one.is_refused()
    assert two.is_refused()
    one.edge.hangs_up(first[0])
    two.comes_to_know_of(5)
    assert not two.is_refused()


def test_a9_test_calls_are_told_apart(pair: list[Node]) -> None:
    one, two = pair
    one.dials(READBACK)
    one.dials(READBACK)
    two.comes_to_know_of(2, READBACK)
    assert two.knows_of(EMERGENCY) == 0
    assert two.is_refused(READBACK, most=2)
    assert not two.is_refused(EMERGENCY, most=1)


def test_a9_news_stay_fresh_for_as_long_as_the_calls_last(pair: list[Node]) -> None:
    one, two = pair
    one.dials()
    two.comes_to_know_of(1)
    heard = "select reported_at from calls_elsewhere"
    for _ in range(2):
        [(at,)] = two.edge.asks(heard)
        two.edge.comes_to("the same to be written again", f"select reported_at > {at} from calls_elsewhere", 1)
        assert two.is_refused(most=1)


def test_a9_the_calls_of_a_node_that_fell_silent_are_counted_off(pair: list[Node]) -> None:
    one, two = pair
    one.dials()
    two.comes_to_know_of(1)
    one.edge.daemon.kill()
    assert two.is_refused(most=1), "its Kamailio may well go on without the agent"
    two.comes_to_know_of(0, within_s=SILENCE_S)
    assert not two.is_refused(most=1)
    one.edge.start()
    two.comes_to_know_of(1)


def test_a9_calls_that_ended_with_kamailio_are_counted_off(pair: list[Node]) -> None:
    one, two = pair
    now = clock.now()
    one.dials(now=Moment(now.wall_s - 60, now.boot_id, now.boottime_s - 60))
    one.dials()
    dialled_at = int(time.time())
    two.comes_to_know_of(1)
    assert one.edge.asks("select count(*) from emergency_call") == [(2,)], "the other began before this Kamailio"
    one.stops_kamailio()
    two.comes_to_know_of(0)
    one.edge.shows("holdfast_agent_kamailio_up", 0)
    # it knows its start to the second
    wait_until("the next second", lambda: int(time.time()) > dialled_at, within_s=SOON_S)
    one.starts_kamailio()
    one.edge.shows("holdfast_agent_kamailio_up", 1)
    one.dials()
    two.comes_to_know_of(1)
    assert "calls in progress here are counted" in one.edge.log()


def test_a9_an_agent_that_is_up_before_kamailio_counts_once_it_is_there(
    database: Database, tmp_path: Path, ports: Ports
) -> None:
    provision(database)
    with running(tmp_path, database.dsn(db.AGENT), ports) as (one, two):
        one.stop()
        one.edge.start()
        assert one.edge.log().count("ERROR") == 0, "that is no fault of the agent's"
        one.starts_kamailio()
        one.dials()
        two.comes_to_know_of(1)


def test_a9_while_postgresql_is_away_a_node_comes_to_count_its_own_calls_alone(
    own_postgres: PrivatePostgres, frail: Database, tmp_path: Path, ports: Ports
) -> None:
    with running(tmp_path, frail.dsn(db.AGENT), ports) as (one, two):
        one.dials()
        two.comes_to_know_of(1)
        own_postgres.kill()
        try:
            two.edge.shows("holdfast_agent_postgres_connected", 0)
            written = two.edge.asks("select * from calls_elsewhere")
            assert two.is_refused(most=1), "what was just heard still counts"
            wait_until("old news not to count", lambda: not two.is_refused(most=1), within_s=SILENCE_S, every_s=0.2)
            assert two.edge.asks("select * from calls_elsewhere") == written
            two.dials()
            assert two.is_refused(most=1), "its own calls count"
            assert one.is_refused(most=1)
        finally:
            own_postgres.start()
        two.comes_to_know_of(1, within_s=4 * SOON_S)
        one.comes_to_know_of(1)
        wait_until("them to count again", lambda: two.is_refused(most=2), within_s=SOON_S)


def test_a9_a_postgresql_that_hangs_is_waited_for_and_nothing_else_is_held_up(
    frail: Database, tmp_path: Path, ports: Ports
) -> None:
    with running(tmp_path, frail.dsn(db.AGENT), ports) as (one, two):
        pids = agents_servers(frail)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            one.dials()
            assert one.is_refused(most=1)
            one.edge.shows("holdfast_calls_in_progress{kind=emergency}", 1)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        two.comes_to_know_of(1, within_s=4 * SOON_S)


def test_a9_postgresql_refusing_counts_is_said_once_and_the_rest_goes_on(database: Database, pair: list[Node]) -> None:
    one, two = pair
    with database.connect("postgres") as superuser:
        superuser.execute("revoke execute on function holdfast.exchange_call_counts from holdfast_agent")
        one.dials()
        refused = "holdfast_agent_postgres_failures_total{reason=42501}"
        wait_until("two refusals", lambda: one.edge.metrics().get(refused, 0) >= 2, within_s=2 * SOON_S)
        assert one.edge.log().count("refused a statement: 42501") == 1
        superuser.execute("update holdfast.tenant set name = 'came down' where id = 1")
        one.edge.comes_to("the tenant's new name", "select name from tenant where id = 1", "came down")
        one.edge.ships_everything()
        superuser.execute("grant execute on function holdfast.exchange_call_counts to holdfast_agent")
    two.comes_to_know_of(1)
    assert "the calls on other nodes are heard of again" in one.edge.log()


def test_a9_nonsense_that_one_node_says_is_no_trouble_to_another(database: Database, pair: list[Node]) -> None:
    one, two = pair
    one.dials()
    two.comes_to_know_of(1)
    with database.connect("postgres") as superuser:
        superuser.execute("insert into holdfast.node (name, sip_address, sip_port) values ('odd', '127.0.0.3', 5060)")
    with database.connect(db.AGENT) as odd:
        said = """select exchange_call_counts(3, '[{"tenant_id": 1, "kind": "emergency", "calls": -9},
                  {"tenant_id": 1, "kind": "emergency", "calls": 2147483647}, {"tenant_id": 77, "kind": "x"}]')"""
        odd.execute(said.encode())
    two.comes_to_know_of(1_000_000)
    two.comes_to_know_of(1, within_s=SILENCE_S)


def test_a9_wake_ups_are_heard_while_calls_are_counted(database: Database, pair: list[Node]) -> None:
    """Polling would find these after a minute."""
    one, two = pair
    with database.connect() as admin:
        for turn in range(5):
            one.dials()
            admin.execute("update tenant set name = %s where id = 1", (f"turn {turn}",))
            for node in pair:
                node.edge.comes_to("the news", "select name from tenant where id = 1", f"turn {turn}", within_s=SOON_S)
            two.comes_to_know_of(turn + 1)


def test_a9_an_import_in_a_transaction_of_its_own_delays_no_count(database: Database, pair: list[Node]) -> None:
    one, two = pair
    with database.connect() as admin, admin.transaction():
        admin.execute("update tenant set name = 'long' where id = 1")
        one.dials()
        two.comes_to_know_of(1)


def agents_servers(database: Database) -> list[int]:
    with database.connect("postgres") as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity where usename = %s and datname = %s", (db.AGENT, database.name)
        ).fetchall()
    pids = [int(str(row[0])) for row in rows]
    assert len(pids) == 2, "one connection each"
    return pids
