"""A9 across nodes: each says how many calls its tenants have in progress, and hears what the others said."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.types.json import Jsonb

from holdfast.plane import db
from integration.postgres import Database, make
from integration.sql_rows import NODES, provision
from lab.postgres import PrivatePostgres

DEADLINE_S = 20.0
Counts = dict[tuple[int, str], int]


def tell(agent: db.Connection, node: int, counts: Counts) -> Counts:
    said = [{"tenant_id": tenant, "kind": kind, "calls": calls} for (tenant, kind), calls in counts.items()]
    return say(agent, node, said)


def say(agent: db.Connection, node: int, document: object) -> Counts:
    rows = agent.execute("select * from exchange_call_counts(%s, %s)", (node, Jsonb(document))).fetchall()
    return {(int(str(tenant)), str(kind)): int(str(calls)) for tenant, kind, calls in rows}


@pytest.fixture(autouse=True)
def _nodes(admin: db.Connection) -> None:
    provision(admin)


@pytest.fixture
def superuser(database: Database) -> Iterator[db.Connection]:
    """Who may look into the table, and make it older."""
    with database.connect("postgres") as connection:
        yield connection


def age(superuser: db.Connection, node: int, seconds: float) -> None:
    superuser.execute(
        "update holdfast.node_calls set reported_at = clock_timestamp() - make_interval(secs => %s) where node_id = %s",
        (seconds, node),
    )


def test_a9_a_node_hears_the_sum_of_what_the_others_said_by_tenant_and_kind(
    superuser: db.Connection, agent: db.Connection
) -> None:
    assert tell(agent, 1, {(1, "emergency"): 4, (1, "readback"): 1}) == {}
    assert tell(agent, 2, {(1, "emergency"): 3, (2, "emergency"): 2}) == {(1, "emergency"): 4, (1, "readback"): 1}
    heard = {(1, "emergency"): 7, (1, "readback"): 1, (2, "emergency"): 2}
    assert tell(agent, 3, {}) == heard
    assert tell(agent, 1, {}) == {(1, "emergency"): 3, (2, "emergency"): 2}
    assert tell(agent, 3, {}) == {(1, "emergency"): 3, (2, "emergency"): 2}
    assert superuser.execute("select count(*) from holdfast.node_calls").fetchone() == (NODES,)


def test_a9_what_a_silent_node_said_counts_for_ten_seconds(superuser: db.Connection, agent: db.Connection) -> None:
    tell(agent, 1, {(1, "emergency"): 4})
    age(superuser, 1, 9)
    assert tell(agent, 2, {}) == {(1, "emergency"): 4}
    age(superuser, 1, 11)
    assert tell(agent, 2, {}) == {}
    assert tell(agent, 1, {(1, "emergency"): 4}) == {}
    assert tell(agent, 2, {}) == {(1, "emergency"): 4}, "it is heard again"


def test_a9_a_server_whose_clock_was_set_back_does_not_believe_the_past_for_long(
    superuser: db.Connection, agent: db.Connection
) -> None:
    tell(agent, 1, {(1, "emergency"): 4})
    age(superuser, 1, -3600)
    assert tell(agent, 2, {}) == {}
    tell(agent, 1, {(1, "emergency"): 4})
    assert tell(agent, 2, {}) == {(1, "emergency"): 4}, "the same counts are written again"


def test_what_nobody_needs_to_be_told_is_not_written(superuser: db.Connection, agent: db.Connection) -> None:
    def versions() -> list[tuple[object, ...]]:
        return superuser.execute("select node_id, xmin::text from holdfast.node_calls order by node_id").fetchall()

    tell(agent, 1, {})
    tell(agent, 2, {(1, "emergency"): 1, (2, "emergency"): 1})
    before = versions()
    age_of_nothing = "update holdfast.node_calls set reported_at = reported_at - interval '1 day' where node_id = 1"
    superuser.execute(age_of_nothing)
    before[0] = versions()[0]
    tell(agent, 1, {})
    tell(agent, 2, {(2, "emergency"): 1, (1, "emergency"): 1})
    assert versions() == before
    age(superuser, 2, 3)
    tell(agent, 2, {(1, "emergency"): 1, (2, "emergency"): 1})
    assert superuser.execute(
        "select clock_timestamp() - reported_at < interval '2 seconds' from holdfast.node_calls where node_id = 2"
    ).fetchone() == (True,)


@pytest.mark.parametrize(
    "document",
    [
        {}, "calls", 7, {"tenant_id": 1, "kind": "emergency", "calls": 1}, [7], ["x"], [[]], [None],
        [{"tenant_id": 1, "kind": "emergency", "calls": "many"}],
        [{"tenant_id": 1, "kind": "emergency", "calls": 1.5}],
        [{"tenant_id": 1, "kind": "emergency", "calls": 10**12}],
        [{"tenant_id": "acme", "kind": "emergency", "calls": 1}],
        [{"tenant_id": 1, "kind": "emergency", "calls": {"calls": 1}}],
    ],
)  # fmt: skip
def test_a9_nonsense_is_refused_to_the_node_that_said_it_and_to_nobody_else(
    agent: db.Connection, document: object
) -> None:
    tell(agent, 1, {(1, "emergency"): 2})
    with pytest.raises(psycopg.DataError):
        say(agent, 1, document)
    assert tell(agent, 2, {}) == {(1, "emergency"): 2}, "what it said before counts for its ten seconds"


@pytest.mark.parametrize(
    "odd",
    [
        {"tenant_id": 99, "kind": "emergency", "calls": 1},  # nobody's
        {"tenant_id": 1, "kind": "callback", "calls": 1},  # has no limit
        {"tenant_id": 1, "kind": "x" * 10_000, "calls": 1},
        {"tenant_id": 1, "kind": "emergency", "calls": -5},  # would take from what others said
        {"tenant_id": 1, "kind": "emergency", "calls": 0},
        {"tenant_id": None, "kind": "emergency", "calls": 1},
        {"tenant_id": 1, "kind": None, "calls": 1},
        {"tenant_id": 1, "kind": "emergency", "calls": None},
        {},
    ],
)  # fmt: skip
def test_a9_counts_that_mean_nothing_are_left_out(
    superuser: db.Connection, agent: db.Connection, odd: dict[str, object]
) -> None:
    tell(agent, 1, {(1, "emergency"): 5})
    say(agent, 2, [odd, {"tenant_id": 1, "kind": "readback", "calls": 1, "since": "what a later node may add"}])
    assert tell(agent, 3, {}) == {(1, "emergency"): 5, (1, "readback"): 1}
    assert superuser.execute(
        "select counts from holdfast.node_calls where node_id = 2"
    ).fetchone() == ([{"tenant_id": 1, "kind": "readback", "calls": 1}],)  # fmt: skip


def test_a9_no_sum_is_too_large_for_the_nodes_that_hear_it(agent: db.Connection) -> None:
    most = 2**31 - 1
    say(agent, 1, [{"tenant_id": 1, "kind": "emergency", "calls": most}] * 3)
    tell(agent, 2, {(1, "emergency"): most})
    assert tell(agent, 3, {}) == {(1, "emergency"): 1_000_000}


def test_an_unknown_node_can_say_nothing_and_a_deleted_one_is_forgotten(
    admin: db.Connection, agent: db.Connection
) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        tell(agent, 99, {})
    tell(agent, 3, {(1, "emergency"): 1})
    admin.execute("delete from node where id = 3")
    assert tell(agent, 1, {}) == {}


@pytest.mark.parametrize("statement", ["select * from node_calls", "delete from node_calls"])
def test_an_agent_may_not_touch_what_other_nodes_said(agent: db.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(statement.encode())


def test_nobody_but_an_agent_says_what_a_node_does(admin: db.Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tell(admin, 1, {})


def test_a9_nodes_that_tell_at_once_never_wait_for_each_other_and_none_is_missed(database: Database) -> None:
    """Two agents of each node, too: one that was thought dead may still be telling."""
    rounds, barrier = 60, threading.Barrier(2 * NODES)

    def tell_again_and_again(worker: int) -> None:
        with database.connect(db.AGENT) as connection:
            connection.execute("set lock_timeout = '2s'")
            barrier.wait(DEADLINE_S)
            for calls in range(rounds, 0, -1):
                heard = tell(connection, worker % NODES + 1, {(1, "emergency"): calls})
                assert heard.get((1, "emergency"), 0) <= (NODES - 1) * rounds

    with ThreadPoolExecutor(2 * NODES) as pool:
        for future in [pool.submit(tell_again_and_again, worker) for worker in range(2 * NODES)]:
            future.result(DEADLINE_S)
    with database.connect(db.AGENT) as connection:
        assert tell(connection, 1, {(1, "emergency"): 1}) == {(1, "emergency"): NODES - 1}


def test_a9_a_node_that_hangs_in_the_middle_of_telling_holds_up_no_other(
    database: Database, agent: db.Connection
) -> None:
    tell(agent, 1, {(1, "emergency"): 1})
    with database.connect(db.AGENT) as hanging:
        hanging.execute("begin")
        tell(hanging, 1, {(1, "emergency"): 9})
        agent.execute("set lock_timeout = '1s'")
        assert tell(agent, 2, {}) == {(1, "emergency"): 1}, "what was not committed was not said"


def test_a9_telling_wakes_nobody_who_listens_for_changes(
    database: Database, superuser: db.Connection, agent: db.Connection
) -> None:
    with database.connect(db.AGENT) as listener:
        listener.execute("listen holdfast_changes")
        tell(agent, 1, {(1, "emergency"): 1})
        tell(listener, 2, {(1, "emergency"): 1})
        superuser.execute("update holdfast.tenant set name = 'news' where id = 1")
        tell(listener, 2, {(1, "emergency"): 2})  # what is notified meanwhile is not lost
        heard = list(listener.notifies(timeout=DEADLINE_S, stop_after=1))
        revision = superuser.execute("select revision from holdfast.tenant where id = 1").fetchone()
        assert [(int(one.payload),) for one in heard] == [revision]


def test_a9_after_a_crash_nothing_is_known_until_each_node_says_it_again() -> None:
    with PrivatePostgres() as cluster:
        database = Database(cluster, "crashing")
        make(database)
        with database.connect() as admin:
            provision(admin)
        with database.connect(db.AGENT) as agent:
            tell(agent, 1, {(1, "emergency"): 4})
        cluster.kill()
        cluster.start()
        with database.connect(db.AGENT) as agent:
            assert tell(agent, 2, {}) == {}
            tell(agent, 1, {(1, "emergency"): 4})
            assert tell(agent, 2, {}) == {(1, "emergency"): 4}
