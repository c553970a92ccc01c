"""The agent is killed as by kill -9 at each stage of its work; the next one ends where an undisturbed one would."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.plane import db
from integration.agents import EdgeNode, journal_above, leases_above, leases_here, provision, same_above_and_here
from integration.postgres import Database
from lab.ports import Ports

FIRST_SYNC = [
    "Replica.start:after:1",
    "Commit:before:1",
    "Commit:before:2",
    "Replica.apply:after:1",
    "Uplink.leases:after:1",
    "Replica.finish:after:1",
    "Uplink.claim:before:1",
    "Uplink.claim:after:1",
]
SHIPPING = [
    "Uplink.ship:before:2",
    "Uplink.ship:after:2",
    "Outbox.confirm:after:1",
    "Outbox.put_aside:before:1",
    "Outbox.put_aside:after:1",
]
RESYNC = [
    "Replica.start:after:1",
    "Replica.apply:after:1",
    "Replica.leftovers:after:1",
    "Replica.rejournal:after:1",
    "Replica.finish:before:1",
]


@pytest.fixture
def node(database: Database, tmp_path: Path, ports: Ports) -> Iterator[EdgeNode]:
    provision(database, users=300, numbers=200, target=40)
    with EdgeNode(tmp_path, database.dsn(db.AGENT), ports) as edge:
        yield edge


def test_a_first_sync_killed_anywhere_ends_complete_with_no_number_claimed_in_vain(
    database: Database, node: EdgeNode
) -> None:
    for stage in FIRST_SYNC:
        node.run_until_it_dies(stage)
    node.start()
    node.has_idle(40)
    same_above_and_here(database, node)
    assert node.asks("select count(*) from pool_number where owner_node_id = 1") == [(40,)]


def test_shipping_killed_anywhere_loses_and_doubles_nothing(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(40)
    node.stop()
    for count, stage in enumerate(SHIPPING):
        assert node.calls(f"caller-{count}", f"call-{count}")
        node.hangs_up(f"call-{count}")
        with node.store() as connection:
            connection.execute("insert into journal (at, kind, payload) values (1, 'lease', 'no json')")
        node.run_until_it_dies(stage)
    node.start()
    node.ships_everything()
    calls = {f"call-{count}" for count in range(len(SHIPPING))}
    for kind in ("call_started", "call_ended"):
        shipped = [row["call_id"] for row in journal_above(database, kind)]
        assert (len(shipped), set(shipped)) == (len(calls), calls)
    assert leases_above(database) == leases_here(node)
    assert node.asks("select count(*) from journal_refused") == [(len(SHIPPING),)]


def test_a_resync_killed_anywhere_begins_again_and_ends_complete(database: Database, node: EdgeNode) -> None:
    node.start()
    node.has_idle(40)
    lease = node.calls("caller", "call")
    assert lease is not None
    node.stop()
    with node.store() as connection:
        connection.execute("update store set database_id = 'another'")
        connection.execute(
            "insert into tenant (id, name, country, max_emergency_calls) values (99, 'of another', 'US', 1)"
        )
    for stage in RESYNC:
        node.run_until_it_dies(stage)
        assert node.asks("select count(*) from subscriber") == [(300,)], "the store is never without its data"
        assert [row["id"] for row in leases_here(node)] == [lease.id]
    node.start()
    node.comes_to("the other database's row to be gone", "select count(*) from tenant where id = 99", 0)
    node.ships_everything()
    same_above_and_here(database, node)


@pytest.mark.parametrize("stage", ["Commit:before:1", "Commit:after:1"])
def test_n2_erasing_killed_anywhere_leaves_the_number_once_and_idle(
    database: Database, node: EdgeNode, stage: str
) -> None:
    node.start()
    node.has_idle(40)
    lease = node.calls("caller", "call")
    assert lease is not None
    node.hangs_up("call")
    node.ships_everything()
    node.stop()
    with node.store() as connection:
        connection.execute("update lease set marked_at = 1, boot_id = 'earlier'")
    node.run_until_it_dies(stage)
    node.start()
    node.comes_to("the lease to be erased", "select count(*) from lease", 0)
    node.ships_everything()
    assert journal_above(database, "lease_erased") == [{"id": lease.id}]
    assert leases_above(database) == []
    assert node.asks(f"select count(*) from number_state where number = '{lease.number}'") == [(1,)]
