"""Callback numbers: claimed by one node alone, kept while they are held, and of one use."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from holdfast.plane import db
from integration.postgres import Database
from integration.sql_rows import NODES, entry, lease_row, pool_number, provision, ship
from lab.waiting import wait_until

DEADLINE_S = 20.0


def claim(agent: db.Connection, node: int, wanted: int, *, store: str = "store-1", pool: int = 1) -> list[str]:
    rows = agent.execute("select * from claim_numbers(%s, %s, %s, %s)", (node, store, pool, wanted)).fetchall()
    return [str(row[0]) for row in rows]


def owners(admin: db.Connection) -> dict[str, object]:
    rows = admin.execute("select number, owner_node_id from pool_number where owner_node_id is not null").fetchall()
    return {str(row[0]): row[1] for row in rows}


def test_n3_nodes_that_claim_at_once_never_get_the_same_number(database: Database, admin: db.Connection) -> None:
    provision(admin, pool_numbers=200)
    barrier = threading.Barrier(2 * NODES)

    def claim_again_and_again(worker: int) -> list[tuple[int, str]]:
        node, got = worker % NODES + 1, []
        with database.connect(db.AGENT) as connection:
            barrier.wait(DEADLINE_S)
            while numbers := claim(connection, node, 7, store=f"store-{worker}"):
                got += [(node, number) for number in numbers]
        return got

    with ThreadPoolExecutor(2 * NODES) as pool:
        futures = [pool.submit(claim_again_and_again, worker) for worker in range(2 * NODES)]
        claimed = [one for future in futures for one in future.result(DEADLINE_S)]
    assert len(claimed) == 200
    assert {number: node for node, number in claimed} == owners(admin)


def test_claims_and_an_administrators_changes_do_not_wait_for_each_other_for_ever(
    database: Database, admin: db.Connection
) -> None:
    provision(admin, pool_numbers=40)

    def administer() -> None:
        with database.connect() as connection:
            for _ in range(40):
                connection.execute("update pool_number set pool_id = pool_id where not shared")

    def claim_all() -> int:
        with database.connect(db.AGENT) as connection:
            return sum(len(claim(connection, 1, 1)) for _ in range(40))

    with ThreadPoolExecutor() as pool:
        working = [pool.submit(administer), pool.submit(administer)]
        assert pool.submit(claim_all).result(DEADLINE_S) == 40
        for one in working:
            one.result(DEADLINE_S)


def test_a_claim_comes_down_as_a_change_with_owner_and_store(admin: db.Connection, agent: db.Connection) -> None:
    provision(admin, pool_numbers=2)
    before: int = agent.execute("select max(revision) from changes_since(0, 100)").fetchall()[0][0]  # type: ignore[assignment]
    numbers = claim(agent, 2, 1, store="store-9")
    ((row,),) = agent.execute("select row_data from changes_since(%s, 10)", (before,)).fetchall()
    assert row == {
        "number": numbers[0], "pool_id": 1, "shared": False, "owner_node_id": 2, "owner_store_id": "store-9",
    }  # fmt: skip


def test_shared_foreign_and_held_numbers_are_not_claimed(admin: db.Connection, agent: db.Connection) -> None:
    provision(admin, pool_numbers=4)
    admin.execute("insert into pool (name, trunk_group_id, country) values ('other', 1, 'US')")
    admin.execute("update pool_number set shared = true where number = %s", (pool_number(1),))
    admin.execute("update pool_number set pool_id = 2 where number = %s", (pool_number(2),))
    ship(agent, entry(1, "lease", lease_row("L1", pool_number(3))))
    assert claim(agent, 1, 10) == [pool_number(4)]
    assert claim(agent, 1, 10) == []


@pytest.mark.parametrize("wanted", [0, -1])
def test_a_claim_of_nothing_gets_nothing(admin: db.Connection, agent: db.Connection, wanted: int) -> None:
    provision(admin, pool_numbers=1)
    assert claim(agent, 1, wanted) == []


def test_an_unknown_node_can_claim_nothing(admin: db.Connection, agent: db.Connection) -> None:
    provision(admin, pool_numbers=1)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        claim(agent, 99, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from pool_number where number = %s",
        "update pool_number set pool_id = 2 where number = %s",
        "update pool_number set shared = true where number = %s",
    ],
)
def test_n3_a_number_that_is_lent_or_rests_stays_as_it_is(
    admin: db.Connection, agent: db.Connection, statement: str
) -> None:
    provision(admin, pool_numbers=1)
    admin.execute("insert into pool (name, trunk_group_id, country) values ('other', 1, 'US')")
    lease = lease_row("L1", pool_number(1))
    for seq, marked_s_ago in ((1, 0), (2, 3600 + 1800)):  # live, then resting
        ship(agent, entry(seq, "lease", {**lease, "marked_at": lease["marked_at"] - marked_s_ago}))
        with pytest.raises(psycopg.Error, match="is lent to an emergency caller"):
            admin.execute(statement.encode(), (pool_number(1),))
    ship(agent, entry(3, "lease", {**lease, "marked_at": lease["marked_at"] - 7201}))  # over
    admin.execute(statement.encode(), (pool_number(1),))


def test_n3_a_held_number_does_not_change_its_owner_whoever_tries(database: Database, agent: db.Connection) -> None:
    with database.connect("postgres") as superuser:
        provision(superuser, pool_numbers=1)
        claim(agent, 1, 1)
        ship(agent, entry(1, "lease", lease_row("L1", pool_number(1))))
        with pytest.raises(psycopg.Error, match="is lent to an emergency caller"):
            superuser.execute("update pool_number set owner_node_id = 2")


def test_n2_a_number_is_held_while_a_call_is_in_progress_on_its_lease(
    admin: db.Connection, agent: db.Connection
) -> None:
    provision(admin, pool_numbers=1)
    lease = lease_row("L1", pool_number(1))
    call = {"call_id": "c1", "kind": "emergency", "lease_id": "L1", "number": pool_number(1), "tenant_id": 1}
    long_ago = {**lease, "marked_at": lease["marked_at"] - 9999}
    ship(agent, entry(1, "lease", long_ago), entry(2, "call_started", call))
    with pytest.raises(psycopg.Error, match="is lent to an emergency caller"):
        admin.execute("delete from pool_number")
    ship(agent, entry(3, "call_ended", call))
    admin.execute("delete from pool_number")


def test_a_number_has_one_use_even_if_two_give_it_one_at_once(database: Database, admin: db.Connection) -> None:
    provision(admin)
    admin.execute("begin")
    admin.execute("insert into platform_number (number, tenant_id) values ('+13120000001', 1)")
    with database.connect() as other, database.connect("postgres") as watcher, ThreadPoolExecutor() as pool:
        second = pool.submit(other.execute, "insert into pool_number (number, pool_id) values ('+13120000001', 1)")
        waits = "select true from pg_locks where locktype = 'advisory' and not granted"
        wait_until("the second writer to wait", lambda: watcher.execute(waits).fetchone(), within_s=DEADLINE_S)
        admin.execute("commit")
        with pytest.raises(psycopg.Error, match="is a platform number"):
            second.result(DEADLINE_S)


def test_a_platform_number_cannot_be_a_callback_number(admin: db.Connection) -> None:
    provision(admin, pool_numbers=1)
    with pytest.raises(psycopg.Error, match="is a callback number of a pool"):
        admin.execute("insert into platform_number (number, tenant_id) values (%s, 1)", (pool_number(1),))
