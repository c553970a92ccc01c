"""Provisioning comes down by revision: in order of commit, with tombstones, and with one wake-up for a statement."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from holdfast.plane import db
from integration.postgres import Database
from integration.sql_rows import pool_number, provision
from lab.waiting import wait_until

DEADLINE_S = 20.0
Change = tuple[int, str, str, dict[str, Any] | None]


def changes(agent: db.Connection, after: int = 0, limit: int = 1000) -> list[Change]:
    rows: list[Any] = agent.execute("select * from changes_since(%s, %s)", (after, limit)).fetchall()
    return rows


def last_revision(agent: db.Connection) -> int:
    found = changes(agent)
    return found[-1][0] if found else 0


@pytest.fixture
def writer(database: Database) -> Iterator[db.Connection]:
    with database.connect() as connection:
        yield connection


def test_rows_come_down_with_the_edge_stores_columns_in_order_of_revision(
    admin: db.Connection, agent: db.Connection
) -> None:
    provision(admin, pool_numbers=1)
    admin.execute(
        """insert into trunk (trunk_group_id, name, host, port, source_addresses)
           values (1, 'psap-1', 'psap.example', 5090, '{192.0.2.7,198.51.100.0/24}')"""
    )
    admin.execute("insert into platform_number (number, tenant_id) values ('+12025550101', 1)")
    admin.execute(
        "insert into subscriber (tenant_id, username, realm, ha1, number) values (1, 'a', 'example.com', md5('a'), %s)",
        ("+12025550101",),
    )
    found = changes(agent)
    assert [row[0] for row in found] == sorted({row[0] for row in found})
    rows = {(relation, key): row for _, relation, key, row in found}
    assert rows["node", "1"] == {"id": 1, "name": "edge-1", "sip_address": "192.0.2.1", "sip_port": 5061}
    assert rows["trunk", "1"] == {
        "id": 1, "trunk_group_id": 1, "name": "psap-1", "host": "psap.example", "port": 5090, "transport": "udp",
        "priority": 1, "weight": 1, "source_addresses": ["192.0.2.7", "198.51.100.0/24"], "enabled": True,
        "certificate_name": None,
    }  # fmt: skip
    assert rows["pool", "1"] == {
        "id": 1, "name": "us", "trunk_group_id": 1, "country": "US", "tenant_id": None, "window_s": 3600,
        "rest_s": 3600, "target_idle": 10, "site_id": None, "location_id": None,
    }  # fmt: skip
    assert rows["pool_number", pool_number(1)] == {
        "number": pool_number(1), "pool_id": 1, "shared": False, "owner_node_id": None, "owner_store_id": None,
    }  # fmt: skip
    assert rows["subscriber", "1"] == {
        "id": 1, "tenant_id": 1, "username": "a", "realm": "example.com", "ha1": "0cc175b9c0f1b6a831c399e269772661",
        "display_name": "", "number": "+12025550101", "country": None, "outbound_enabled": True,
        "inbound_enabled": True, "do_not_disturb": False, "forward_to": None, "site_id": None, "policy_id": None,
        "common_area": False, "confirmed_location_id": None, "pbx": False,
    }  # fmt: skip
    assert set(rows) >= {("tenant", "1"), ("tenant", "2"), ("trunk_group", "1"), ("platform_number", "+12025550101")}


def test_batches_join_without_a_gap(admin: db.Connection, agent: db.Connection) -> None:
    provision(admin, pool_numbers=50)
    whole, pieces, after = changes(agent), [], 0
    while piece := changes(agent, after, 7):
        pieces += piece
        after = piece[-1][0]
    assert pieces == whole


def test_a_deleted_row_comes_down_as_a_tombstone_and_a_new_row_of_its_key_after_it(
    admin: db.Connection, agent: db.Connection
) -> None:
    provision(admin, pool_numbers=2)
    before = last_revision(agent)
    admin.execute("delete from pool_number where number = %s", (pool_number(1),))
    (deleted,) = changes(agent, before)
    assert deleted[1:] == ("pool_number", pool_number(1), None)
    admin.execute("insert into pool_number (number, pool_id) values (%s, 1)", (pool_number(1),))
    (again,) = changes(agent, deleted[0])
    assert again[2] == pool_number(1)
    assert again[3] is not None
    admin.execute("delete from pool_number where number = %s", (pool_number(1),))
    assert changes(agent, again[0])[0][3] is None


def test_a_change_takes_a_new_revision_whatever_the_writer_says(database: Database, agent: db.Connection) -> None:
    with database.connect("postgres") as superuser:
        provision(superuser)
        before = last_revision(agent)
        superuser.execute("update tenant set revision = 1 where id = 1")
    ((revision, relation, key, _),) = changes(agent, before)
    assert (relation, key) == ("tenant", "1")
    assert revision > before


def test_one_statement_wakes_the_agents_once_however_many_rows_it_writes(
    admin: db.Connection, agent: db.Connection
) -> None:
    provision(admin)
    agent.execute("listen holdfast_changes")
    admin.execute("insert into platform_number select '+1' || (2120000000 + n), 1 from generate_series(1, 500) n")
    heard = list(agent.notifies(timeout=DEADLINE_S, stop_after=1))
    heard += list(agent.notifies(timeout=0.2))
    assert [(one.channel, int(one.payload)) for one in heard] == [("holdfast_changes", last_revision(agent))]
    # PostgreSQL would hide repetitions within a transaction, but not what 500 of them cost (1: for each row)
    for_each_row = "select count(*) from pg_trigger where tgname = 'notify' and tgtype & 1 = 1"
    assert admin.execute(for_each_row).fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "truncate tenant cascade",
        "update pool_number set number = '+13129999999'",
        "update platform_number set number = '+13129999999'",
    ],
)
def test_what_would_leave_no_tombstone_is_refused_even_to_the_owner(database: Database, statement: str) -> None:
    with database.connect("postgres") as superuser:
        provision(superuser, pool_numbers=1)
        superuser.execute("insert into platform_number (number, tenant_id) values ('+12025550101', 1)")
        with pytest.raises(psycopg.Error, match=r"cannot be (truncated|changed)"):
            superuser.execute(statement.encode())


def test_an_isolation_level_that_would_be_blind_is_refused(admin: db.Connection) -> None:
    admin.execute("begin isolation level repeatable read")
    with pytest.raises(psycopg.Error, match="read committed"):
        admin.execute("insert into tenant (name, country) values ('late', 'US')")
    admin.execute("rollback")


def test_a_later_writer_waits_until_an_earlier_one_has_committed(
    database: Database, admin: db.Connection, writer: db.Connection, agent: db.Connection
) -> None:
    provision(admin)
    before = last_revision(agent)
    admin.execute("begin")
    admin.execute("update tenant set name = 'first' where id = 1")
    with ThreadPoolExecutor() as pool:
        second = pool.submit(writer.execute, "update tenant set name = 'second' where id = 2")
        with database.connect("postgres") as watcher:
            waits = "select true from pg_locks where locktype = 'advisory' and not granted"
            wait_until("the second writer to wait", lambda: watcher.execute(waits).fetchone(), within_s=DEADLINE_S)
        # had the second one committed first, this reader would go on from its revision and never see the first
        assert changes(agent, before) == []
        admin.execute("commit")
        second.result(DEADLINE_S)
    assert [row[3] and row[3]["name"] for row in changes(agent, before)] == ["first", "second"]


class Reader:
    """An agent in little: polls while the writers write, and keeps the tenants it was told of."""

    def __init__(self, connection: db.Connection) -> None:
        self._connection = connection
        self.tenants: dict[str, str] = {}
        self.revisions: list[int] = []

    def poll(self) -> bool:
        """Take what is new, a little at a time; False: there was nothing."""
        found = changes(self._connection, self.revisions[-1] if self.revisions else 0, 10)
        for revision, relation, key, row in found:
            self.revisions.append(revision)
            if relation == "tenant" and row is None:
                self.tenants.pop(key, None)
            elif relation == "tenant" and row is not None:
                self.tenants[key] = f"{row['name']}/{row['max_emergency_calls']}"
        return bool(found)


def write_and_delete(database: Database, writer: int) -> None:
    count = """insert into tenant (name, country) values (%s, 'US')
               on conflict (name) do update set max_emergency_calls = tenant.max_emergency_calls + 1"""
    with database.connect() as connection:
        for turn in range(60):
            with connection.transaction():
                connection.execute(count, (f"w{writer}-{turn % 7}",))
                connection.execute(count, (f"w{writer}-{turn % 5}",))
                if turn % 3 == 0:
                    connection.execute("delete from tenant where name = %s", (f"w{writer}-{turn % 7}",))


def test_a_reader_that_polls_misses_nothing_that_concurrent_writers_commit(
    database: Database, admin: db.Connection, agent: db.Connection
) -> None:
    provision(admin)
    reader = Reader(agent)
    deadline = time.monotonic() + DEADLINE_S
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write_and_delete, database, number) for number in range(4)]
        while not all(writer.done() for writer in writers):
            assert time.monotonic() < deadline
            reader.poll()
        for writer in writers:
            writer.result()
    while reader.poll():
        pass
    truth: Any = admin.execute("select id::text, name || '/' || max_emergency_calls from tenant").fetchall()
    assert reader.tenants == dict(truth)
    assert reader.revisions == sorted(set(reader.revisions))
