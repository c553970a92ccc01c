"""Provisioning comes down, leases and the journal go up, and an empty store gets all of it back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.plane import db
from integration.agents import (
    EdgeNode,
    journal_above,
    leases_above,
    leases_here,
    provision,
    provisioning_above,
    provisioning_here,
    same_above_and_here,
)
from integration.postgres import Database
from lab.ports import Ports
from lab.waiting import wait_until


@pytest.fixture
def node(database: Database, tmp_path: Path, ports: Ports) -> Iterator[EdgeNode]:
    provision(database)
    with EdgeNode(tmp_path, database.dsn(db.AGENT), ports) as edge:
        yield edge


def test_everything_comes_down_and_the_pools_target_is_claimed(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    node.catches_up()
    same_above_and_here(database, node)
    owned = node.asks("select count(*), count(distinct owner_store_id) from pool_number where owner_node_id = 1")
    assert owned == [(5, 1)]
    node.shows("holdfast_pool_numbers{pool=us,state=idle}", 5)


def test_changes_and_deletions_come_down_on_a_notification(database: Database, tmp_path: Path, ports: Ports) -> None:
    provision(database)
    with EdgeNode(tmp_path, database.dsn(db.AGENT), ports, poll_s=60.0) as edge:
        edge.start()
        edge.has_idle(5)
        with database.connect() as connection:
            connection.execute("delete from subscriber where id <= 10")
            connection.execute("update tenant set name = 'Renamed' where id = 2")
            connection.execute(
                "insert into pool (name, trunk_group_id, country, target_idle) values ('late', 1, 'PR', 0)"
            )
        same_above_and_here(database, edge)
        assert edge.asks("select count(*) from subscriber") == [(10,)]


def test_polling_finds_what_no_notification_told_of(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    with database.connect("postgres") as connection:
        connection.execute("alter table tenant disable trigger notify")
        connection.execute("update tenant set name = 'Quietly' where id = 1")
    node.comes_to("the tenant's new name", "select name from tenant where id = 1", "Quietly")


def test_an_empty_store_comes_to_the_state_of_the_one_that_was_lost(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    for caller in "abc":
        assert node.calls(caller, f"call-{caller}")
    node.hangs_up("call-a")
    node.ships_everything()
    node.has_idle(5)
    node.stop()
    provisioning, leases = provisioning_here(node), leases_here(node)
    assert len(leases) == 3
    delete_store(node)

    node.start()
    node.catches_up()
    assert leases_here(node) == leases
    node.has_idle(5)  # new ones: what the lost store owned rests first
    same_above_and_here(database, node)
    kept = {key: row for key, row in provisioning_here(node).items() if key != "pool_number"}
    assert kept == {key: row for key, row in provisioning.items() if key != "pool_number"}
    resting = {row[0] for row in node.asks("select number from number_state where rested_until > unixepoch() + 7000")}
    assert resting == {key for key, row in provisioning["pool_number"].items() if row["owner_node_id"] == 1}


def test_n3_no_number_of_a_lost_store_is_lent_while_it_may_be_held(node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    former = {row[0] for row in node.asks("select number from number_state")}
    node.stop()
    delete_store(node)
    node.start()
    node.has_idle(5)
    lent = {lease.number for caller in "abcde" if (lease := node.calls(caller, caller))}
    assert len(lent) == 5
    assert not lent & former


def test_a_store_deleted_under_a_running_agent_is_made_anew(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    lease = node.calls("a", "call-a")
    assert lease is not None
    node.ships_everything()
    first = node.asks("select store_id from store")
    delete_store(node)
    node.comes_to("a new store with the lease", "select id from lease", lease.id)
    node.catches_up()
    assert node.asks("select store_id from store") != first
    same_above_and_here(database, node)


def test_shipping_twice_changes_nothing(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    assert node.calls("a", "call-a")
    node.hangs_up("call-a")
    node.ships_everything()
    node.stop()
    before = [journal_above(database, kind) for kind in ("lease", "call_started", "call_ended")]
    assert [len(rows) for rows in before] == [2, 1, 1]
    leases = leases_above(database)
    with node.store() as connection:
        connection.execute("update store set shipped_seq = 0")
    node.start()
    node.ships_everything()
    assert [journal_above(database, kind) for kind in ("lease", "call_started", "call_ended")] == before
    assert leases_above(database) == leases


def test_a_row_that_postgresql_refuses_is_put_aside_and_the_rest_goes_up(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    with node.store() as connection:
        for payload in ('{"id": "x", "pool_id": "no number"}', "no json", '{"id": "y"}'):
            connection.execute("insert into journal (at, kind, payload) values (1, 'lease', ?)", (payload,))
        connection.execute("insert into journal (at, kind, payload) values (1, 'refusal', ?)", ('{"who": "\\u0000"}',))
    assert node.calls("a", "call-a")
    node.ships_everything()
    assert [row["who"] for row in journal_above(database, "refusal")] == ["\ufffd"]
    assert len(journal_above(database, "call_started")) == 1
    aside = node.asks("select payload from journal_refused order by seq")
    assert aside == [('{"id": "x", "pool_id": "no number"}',), ("no json",), ('{"id": "y"}',)]
    wait_until(
        "three alarms", lambda: [a["name"] for a in journal_above(database, "alarm")] == ["journal_refused"] * 3,
        within_s=5,
    )  # fmt: skip
    node.shows("holdfast_journal_refused_rows", 3)
    assert "no number" not in node.log(), "what people said or are called stays out of the log"


def test_a_dry_pool_is_alarmed_once_and_filled_when_it_can_be(database: Database, node: EdgeNode) -> None:
    with database.connect() as connection:
        connection.execute("update pool set target_idle = 30")
    node.start()
    node.has_idle(20)
    node.shows("holdfast_pool_dry{pool=us}", 1)
    rounds = node.metrics()["holdfast_sync_last_success_timestamp_seconds"]
    wait_until(
        "more rounds",
        lambda: node.metrics()["holdfast_sync_last_success_timestamp_seconds"] > rounds + 1.5,
        within_s=10,
    )
    node.ships_everything()
    assert journal_above(database, "alarm") == [
        {"name": "pool_dry", "pool": "us", "pool_id": 1, "idle": 20, "target_idle": 30}
    ]
    with database.connect() as connection:
        connection.execute(
            "insert into pool_number (number, pool_id) select '+1505' || (5000000 + i), 1 from generate_series(1, 99) i"
        )
    node.has_idle(30)
    node.shows("holdfast_pool_dry{pool=us}", 0)


def test_an_old_copy_of_a_store_does_not_lend_what_was_lent_since(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    node.stop()
    copy = node.folder / "copy.db"
    shutil.copy(node.path, copy)
    node.start()
    lease = node.calls("a", "call-a")
    assert lease is not None
    node.ships_everything()
    node.stop()
    copy.replace(node.path)
    node.start()
    node.comes_to("the lease to be back", "select id from lease", lease.id)
    node.has_idle(5)
    other = node.calls("b", "call-b")
    assert other is not None
    assert other.number != lease.number
    node.ships_everything()
    assert {row["call_id"] for row in journal_above(database, "call_started")} == {"call-a", "call-b"}
    same_above_and_here(database, node)


def test_metrics_show_the_agents_work_and_nobodys_number(node: EdgeNode) -> None:
    node.start()
    node.has_idle(5)
    assert node.calls("a", "call-a")
    node.ships_everything()
    node.shows("holdfast_pool_numbers{pool=us,state=live}", 1)
    node.shows("holdfast_journal_backlog_rows", 0)
    node.shows("holdfast_sync_caught_up", 1)
    shown = node.metrics()
    assert shown["holdfast_agent_postgres_connected"] == 1
    assert shown["holdfast_sync_lag_revisions"] == 0
    assert shown["holdfast_sync_revision"] > 0
    assert shown["holdfast_numbers_claimed_total{pool=us}"] >= 5
    assert shown["holdfast_sync_batch_seconds_count"] > 0
    assert not [name for name in shown if "+1" in name or "user-" in name or "call-a" in name]


def test_rows_above_and_here_are_really_compared(database: Database, node: EdgeNode) -> None:
    node.start()
    node.catches_up()
    assert len(provisioning_above(database)["subscriber"]) == 20
    with node.store() as connection:
        connection.execute("update subscriber set display_name = '' where id = 3")
    assert provisioning_above(database) != provisioning_here(node)


def delete_store(node: EdgeNode) -> None:
    for path in node.folder.glob("edge.db*"):
        if path.name != "edge.db.agent":
            path.unlink()
