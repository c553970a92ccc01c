"""What nodes ship: once, twice, late or out of order, PostgreSQL ends up with the same leases and the same journal."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from holdfast.plane import db
from integration.postgres import Database
from integration.sql_rows import entry, lease_row, pool_number, provision, ship

DEADLINE_S = 20.0


@pytest.fixture
def agent(database: Database) -> Iterator[db.Connection]:
    with database.connect() as admin:
        provision(admin, pool_numbers=3)
    with database.connect(db.AGENT) as connection:
        yield connection


def leases(agent: db.Connection, node: int = 1) -> dict[str, dict[str, Any]]:
    rows: list[Any] = agent.execute("select to_jsonb(l) from leases_of_node(%s) l", (node,)).fetchall()
    return {row["id"]: row for (row,) in rows}


def journal(admin: db.Connection) -> list[Any]:
    return admin.execute("select store_id, seq, kind, payload from journal order by store_id, seq").fetchall()


def test_a_lease_is_kept_as_the_edge_store_has_it(agent: db.Connection) -> None:
    row = lease_row("L1", pool_number(1), last_end_at=None, aor=None, display_name='Zoë "☎"')
    assert ship(agent, entry(7, "lease", row)) == 7
    assert leases(agent) == {"L1": {**row, "shared": False, "node_id": 1, "store_id": "store-1", "seq": 7}}


def test_a3_the_journal_keeps_nothing_of_who_held_a_number(agent: db.Connection, admin: db.Connection) -> None:
    ship(agent, entry(1, "lease", lease_row("L1", pool_number(1))), entry(2, "lease_erased", {"id": "L1"}))
    assert leases(agent) == {}
    assert journal(admin) == [("store-1", 1, "lease", {"id": "L1"}), ("store-1", 2, "lease_erased", {"id": "L1"})]


def test_a3_leases_are_erased_when_they_are_over_also_those_of_a_node_that_is_gone(
    agent: db.Connection, admin: db.Connection
) -> None:
    now = time.time()
    ship(
        agent,
        entry(1, "lease", lease_row("over", pool_number(1), marked_at=now - 7201)),
        entry(2, "lease", lease_row("resting", pool_number(2), marked_at=now - 7100)),
        entry(3, "lease", lease_row("in call", pool_number(3), marked_at=now - 9000)),
        entry(4, "call_started", {"call_id": "c", "kind": "emergency", "lease_id": "in call"}),
    )
    assert admin.execute("select erase_ended_leases()").fetchone() == (1,)
    assert set(leases(agent)) == {"resting", "in call"}


def test_any_order_and_any_repetition_of_shipping_ends_alike(agent: db.Connection, admin: db.Connection) -> None:
    first = lease_row("L1", pool_number(1))
    entries = [
        entry(1, "lease", first),
        entry(2, "call_started", {"call_id": "c1", "kind": "emergency", "lease_id": "L1"}),
        entry(3, "lease", {**first, "display_name": "second"}),
        entry(4, "lease_erased", {"id": "L1"}),
        entry(5, "lease", lease_row("L2", pool_number(1))),
    ]
    batches = [entries[:2], entries[1:4], entries[4:], entries[2:3]]
    for number, order in enumerate(itertools.permutations(batches)):
        store = f"store-{number}"
        # each store lends anew: its own lease ids
        renamed = [[renamed_entry(one, store) for one in batch] for batch in order]
        for batch in [*renamed, *reversed(renamed)]:
            ship(agent, *batch, store=store)
        assert set(leases(agent)) == {f"L2 {store}"}, order
        assert [row[1] for row in journal(admin) if row[0] == store] == [1, 2, 3, 4, 5]


def renamed_entry(one: dict[str, Any], store: str) -> dict[str, Any]:
    payload = dict(one["payload"])
    for key in ("id", "lease_id"):
        if key in payload:
            payload[key] = f"{payload[key]} {store}"
    return {**one, "payload": payload}


def test_an_older_state_of_a_lease_never_replaces_a_newer_one(agent: db.Connection) -> None:
    row = lease_row("L1", pool_number(1))
    assert ship(agent, entry(5, "lease", {**row, "display_name": "new"})) == 5
    assert ship(agent, entry(4, "lease", {**row, "display_name": "old"})) == 5
    assert leases(agent)["L1"]["display_name"] == "new"


def test_a_lease_that_comes_after_its_own_end_is_not_brought_back(agent: db.Connection) -> None:
    ship(agent, entry(4, "lease_erased", {"id": "L1"}))
    ship(agent, entry(3, "lease", lease_row("L1", pool_number(1))))
    assert leases(agent) == {}


def test_an_end_that_comes_after_a_newer_state_does_not_erase_it(agent: db.Connection) -> None:
    ship(agent, entry(4, "lease", lease_row("L1", pool_number(1))))
    ship(agent, entry(3, "lease_erased", {"id": "L1"}))
    assert set(leases(agent)) == {"L1"}


def test_a3_what_was_erased_here_does_not_come_back_when_it_is_shipped_again(
    agent: db.Connection, admin: db.Connection
) -> None:
    over = entry(1, "lease", lease_row("L1", pool_number(1), marked_at=time.time() - 7201))
    ship(agent, over)
    admin.execute("select erase_ended_leases()")
    ship(agent, over)
    assert leases(agent) == {}


def test_two_agents_of_one_node_may_ship_the_same_rows_at_once(database: Database, agent: db.Connection) -> None:
    row = lease_row("L1", pool_number(1))
    entries = [entry(seq, "lease", {**row, "display_name": str(seq)}) for seq in range(1, 101)]

    def ship_all(step: int) -> None:
        with database.connect(db.AGENT) as connection:
            for start in range(0, 100, step):
                ship(connection, *entries[start : start + step])

    with ThreadPoolExecutor() as pool:
        for one in [pool.submit(ship_all, step) for step in (3, 5, 7)]:
            one.result(DEADLINE_S)
    assert leases(agent)["L1"]["display_name"] == "100"


def test_a_rebuilt_store_counts_from_one_again_and_goes_on_with_its_leases(agent: db.Connection) -> None:
    row = lease_row("L1", pool_number(1))
    ship(agent, entry(900, "lease", row))
    assert ship(agent, entry(1, "lease", {**row, "marked_at": row["marked_at"] + 5}), store="store-2") == 1
    assert leases(agent)["L1"]["store_id"] == "store-2"
    # what the old store still reports is older
    ship(agent, entry(901, "lease", row), entry(902, "lease_erased", {"id": "gone"}))
    assert leases(agent)["L1"]["store_id"] == "store-2"
    ship(agent, entry(2, "lease_erased", {"id": "L1"}), store="store-2")
    assert leases(agent) == {}


def test_a_number_that_rested_passes_to_its_next_holder(agent: db.Connection) -> None:
    earlier = lease_row("L1", pool_number(1), marked_at=time.time() - 8000)
    # the end of L1 was lost with the store that knew it
    ship(agent, entry(1, "lease", earlier), entry(2, "lease", lease_row("L2", pool_number(1))))
    assert set(leases(agent)) == {"L2"}


def test_n3_two_nodes_that_lent_one_number_are_recorded_and_the_later_holder_is_kept(
    agent: db.Connection, admin: db.Connection
) -> None:
    now = time.time()
    first = lease_row("L1", pool_number(1), marked_at=now - 60)
    ship(agent, entry(1, "lease", first), node=1)
    for _ in range(2):
        ship(agent, entry(1, "lease", lease_row("L2", pool_number(1), marked_at=now)), node=2, store="store-2")
        ship(agent, entry(2, "lease", first), node=1)
    assert leases(agent) == {}
    assert set(leases(agent, node=2)) == {"L2"}
    conflict = "select number, kept_lease_id, kept_node_id, dropped_lease_id, dropped_node_id from lease_conflict"
    assert admin.execute(conflict).fetchall() == [(pool_number(1), "L2", 2, "L1", 1)]


def test_n3_a_shared_number_has_many_holders(agent: db.Connection) -> None:
    rows = [lease_row(f"L{holder}", pool_number(1), shared=1) for holder in range(5)]
    ship(agent, *(entry(seq, "lease", row) for seq, row in enumerate(rows, start=1)))
    assert len(leases(agent)) == 5


def test_a_call_is_in_progress_until_its_end_on_the_same_lease_is_shipped(
    agent: db.Connection, admin: db.Connection
) -> None:
    def calls() -> list[Any]:
        return admin.execute("select lease_id, kind, number from call_in_progress order by lease_id").fetchall()

    def of(lease: str, number: int) -> dict[str, Any]:
        return {"call_id": "c1", "kind": "callback", "lease_id": lease, "number": pool_number(number), "tenant_id": 1}

    ship(agent, entry(1, "call_started", of("L1", 1)), entry(2, "call_started", of("L2", 1)))
    ship(agent, entry(3, "call_ended", of("L1", 1)))
    assert calls() == [("L2", "callback", pool_number(1))]
    ship(agent, entry(4, "call_ended", of("L2", 1)))
    assert calls() == []


def test_a_row_that_cannot_be_stored_leaves_its_whole_batch_out(agent: db.Connection, admin: db.Connection) -> None:
    good = entry(1, "alarm", {"name": "pool_empty"})
    for bad in (
        {**entry(2, "alarm", {}), "payload": ["no object"]},
        entry(2, "lease", {**lease_row("L1", pool_number(1)), "window_s": 60}),
        entry(0, "alarm", {}),
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            ship(agent, good, bad)
    assert journal(admin) == []


def test_an_unknown_node_can_ship_nothing(agent: db.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ship(agent, entry(1, "alarm", {}), node=99)


def test_a_thousand_rows_are_stored_at_once(agent: db.Connection) -> None:
    entries = [entry(seq, "lease", lease_row(f"L{seq}", f"+1{4100000000 + seq}")) for seq in range(1, 1001)]
    assert ship(agent, *entries) == 1000
