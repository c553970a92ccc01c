"""What the edge store holds after provisioning rows came down: kept, replaced, deleted, refused."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.lease import Moment
from holdfast.edge import replica as module
from holdfast.edge.replica import RELATIONS, Change, Replica
from holdfast.edge.store import connect
from unit.edge_rows import take

NOW = Moment(wall_s=1_700_000_000.0, boot_id="boot", boottime_s=1000.0)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "edge.db")
    yield connection
    connection.close()


@pytest.fixture
def copy(db: sqlite3.Connection) -> Replica:
    return following(db)


def following(db: sqlite3.Connection, *, node: int = 7, database: str = "database-a", reached: bool = True) -> Replica:
    replica = Replica(db, lambda: NOW)
    replica.start(node, database, anew=replica.must_start_over(node, database, reached=reached))
    return replica


def tenant(revision: int, key: int, name: str = "Acme", **more: Any) -> Change:
    row = {"id": key, "name": name, "country": "US", "max_emergency_calls": 10, "security_desk": None, **more}
    return Change(revision, "tenant", str(key), row)


def subscriber(revision: int, key: int, username: str) -> Change:
    row = {"id": key, "tenant_id": 1, "username": username, "realm": "example.org", "ha1": "0" * 32,
           "display_name": "Zoë \u0000 Müller", "number": None, "country": None, "outbound_enabled": True,
           "inbound_enabled": False, "do_not_disturb": False, "forward_to": None}  # fmt: skip
    return Change(revision, "subscriber", str(key), row)


def alarms(db: sqlite3.Connection) -> list[dict[str, Any]]:
    return [json.loads(row[0]) for row in db.execute("select payload from journal where kind = 'alarm' order by seq")]


def test_booleans_and_arrays_are_stored_as_the_edge_columns_hold_them(db: sqlite3.Connection, copy: Replica) -> None:
    row = {"id": 1, "trunk_group_id": 1, "name": "carrier", "host": "192.0.2.1", "port": 5060, "transport": "udp",
           "priority": 1, "weight": 1, "source_addresses": ["192.0.2.1", "2001:db8::/32"], "enabled": True}  # fmt: skip
    take(copy, Change(5, "trunk", "1", row), subscriber(6, 2, "alice"))
    assert json.loads(db.execute("select source_addresses from trunk").fetchone()[0]) == row["source_addresses"]
    assert db.execute("select enabled from trunk").fetchone()[0] == 1
    stored = copy.store.subscriber("alice", "example.org")
    assert stored is not None
    assert stored.display_name == "Zoë \u0000 Müller"
    assert stored.inbound_enabled is False


def test_the_revision_is_stored_with_the_rows(copy: Replica) -> None:
    take(copy, tenant(41, 1), tenant(42, 2))
    assert copy.store.info().revision == 42
    assert not copy.store.info().caught_up
    copy.finish()
    assert copy.store.info().caught_up


def test_a_batch_is_cut_when_its_time_is_up_and_its_revision_says_where(
    copy: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_S", 0.0)
    assert copy.apply([tenant(41, 1), tenant(42, 2)]) == 1
    assert copy.store.info().revision == 41


def test_a_deletion_removes_the_row_and_deleting_twice_is_harmless(db: sqlite3.Connection, copy: Replica) -> None:
    take(copy, tenant(1, 1), tenant(2, 2), Change(3, "tenant", "1", None), Change(4, "tenant", "1", None))
    assert [row[0] for row in db.execute("select id from tenant")] == [2]


def test_a_unique_value_that_moved_between_rows_arrives_in_any_order(db: sqlite3.Connection, copy: Replica) -> None:
    take(copy, subscriber(1, 1, "alice"), subscriber(2, 2, "bob"))
    # in PostgreSQL: 1 became carol, 2 became alice, 1 became bob; only the last state of each is sent
    take(copy, subscriber(4, 2, "alice"), subscriber(5, 1, "bob"))
    assert dict(db.execute("select username, id from subscriber").fetchall()) == {"alice": 2, "bob": 1}


def test_a_newer_schemas_relations_and_columns_are_left_out_with_one_warning(
    db: sqlite3.Connection, copy: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    for revision in (1, 3):
        take(copy, tenant(revision, revision, colour="red"), Change(revision + 1, "weather", "x", {"id": "x"}))
    assert db.execute("select count(*) from tenant").fetchone()[0] == 2
    assert copy.store.info().revision == 4
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "row",
    [
        {"id": 9},  # an older PostgreSQL: columns that must have a value are missing
        {"id": 9, "name": "x", "country": "US", "max_emergency_calls": "many", "security_desk": None},
        {"id": 9, "name": "x", "country": "US", "max_emergency_calls": 2**70, "security_desk": None},
        {},
    ],
)
def test_a_row_that_cannot_be_stored_is_alarmed_and_the_others_go_on(
    db: sqlite3.Connection, copy: Replica, row: dict[str, Any]
) -> None:
    take(copy, tenant(1, 1), Change(2, "tenant", "9", row), tenant(3, 2))
    assert [each[0] for each in db.execute("select id from tenant order by id")] == [1, 2]
    assert copy.store.info().revision == 3
    assert alarms(db) == [{"name": "provisioning_refused", "relation": "tenant", "row_key": "9", "revision": 2}]


def test_another_database_sends_everything_again_and_what_did_not_come_is_swept_out(db: sqlite3.Connection) -> None:
    first = following(db)
    take(first, tenant(1, 1), tenant(2, 2), subscriber(3, 5, "alice"))
    first.finish()

    second = following(db, database="database-b")
    assert second.cursor == 0
    take(second, tenant(1, 2, "renamed"), tenant(2, 3))
    assert {row[0] for row in db.execute("select id from tenant")} == {1, 2, 3}, "nothing is missed meanwhile"
    assert second.store.info().caught_up, "the routing code goes on with what there is"
    take(second, *second.leftovers())
    second.finish()
    assert dict(db.execute("select id, name from tenant").fetchall()) == {2: "renamed", 3: "Acme"}
    assert db.execute("select count(*) from subscriber").fetchone()[0] == 0
    assert second.store.info().revision == 2
    assert following(db, database="database-b").cursor == 2


@pytest.mark.parametrize(("node", "database", "reached"), [(7, "b", True), (8, "a", True), (7, "a", False)])
def test_a_resync_that_was_cut_off_begins_again(
    db: sqlite3.Connection, node: int, database: str, reached: bool
) -> None:
    first = following(db, database="a")
    take(first, tenant(5, 1))
    first.finish()
    cut_off = following(db, node=node, database=database, reached=reached)
    take(cut_off, tenant(1, 2), tenant(7, 3))
    again = following(db, node=node, database=database)
    assert again.cursor == 0
    take(again, tenant(1, 2))
    take(again, *again.leftovers())
    again.finish()
    assert [row[0] for row in db.execute("select id from tenant")] == [2]
    assert following(db, node=node, database=database).cursor == 1


def test_a_first_sync_that_was_cut_off_goes_on_where_it_was(db: sqlite3.Connection) -> None:
    take(following(db), tenant(1, 1), tenant(2, 2))
    assert following(db).cursor == 2


def test_a_database_that_went_back_is_told_again_what_it_had_confirmed(db: sqlite3.Connection) -> None:
    first = following(db)
    take(first, tenant(9, 1))
    first.alarm("x")
    db.execute("update store set shipped_seq = 1")
    following(db)
    assert first.store.info().shipped_seq == 1
    following(db, reached=False)
    assert first.store.info().shipped_seq == 0


def test_the_routing_code_is_told_to_read_again_though_the_revision_is_the_same(db: sqlite3.Connection) -> None:
    first = following(db)
    take(first, tenant(1, 1))
    first.finish()
    before = first.store.info()
    second = following(db, database="another")
    take(second, tenant(1, 1, "renamed"))
    second.finish()
    after = second.store.info()
    assert after.revision == before.revision
    assert after.network_version != before.network_version


_STATES = st.dictionaries(st.integers(1, 6), st.sampled_from(["a", "b", "c", "d", "e", "f"]))


@given(states=st.lists(_STATES, min_size=1, max_size=6), seen=st.lists(st.booleans(), min_size=6, max_size=6))
def test_whatever_was_missed_the_copy_ends_as_the_original(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[int, str]], seen: list[bool]
) -> None:
    """PostgreSQL goes through `states` (id → unique name); the agent looks after some, always after the last."""
    db = connect(tmp_path_factory.mktemp("store") / "edge.db")
    replica = following(db)
    revision, latest = 0, dict[int, tuple[int, str | None]]()
    for at, state in enumerate(states):
        unique = {key: name for key, name in state.items() if name not in [n for k, n in state.items() if k < key]}
        for key in set(latest) | set(unique):
            if latest.get(key, (0, None))[1] != unique.get(key):
                revision += 1
                latest[key] = (revision, unique.get(key))
        if seen[at] or at == len(states) - 1:
            news = sorted((rev, key, name) for key, (rev, name) in latest.items() if rev > replica.cursor)
            take(
                replica,
                *(
                    subscriber(rev, key, name) if name else Change(rev, "subscriber", str(key), None)
                    for rev, key, name in news
                ),
            )
    expected = {key: name for key, (_, name) in latest.items() if name}
    assert dict(db.execute("select id, username from subscriber").fetchall()) == expected
    db.close()


def test_every_provisioning_table_of_the_edge_store_is_known(db: sqlite3.Connection) -> None:
    tables = {row[0] for row in db.execute("select name from sqlite_schema where type = 'table'")}
    others = {"store", "number_state", "lease", "emergency_call", "journal", "journal_refused"}
    others |= {"trunk_address", "trunk_health", "calls_elsewhere", "sqlite_sequence"}
    assert tables - others == set(RELATIONS)
