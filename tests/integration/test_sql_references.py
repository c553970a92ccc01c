"""Location URIs in PostgreSQL: what a node reports is found by the token's digest alone, until it expires."""

import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast.plane import db, schema
from integration.agents import EdgeNode
from integration.agents import provision as provision_nodes
from integration.command import on_node
from integration.location_api import Reference, pidf_lo
from integration.postgres import Database
from integration.sql_rows import entry, provision, ship
from lab.ports import Ports
from lab.postgres import PrivatePostgres, postgres_program
from lab.waiting import wait_until


@pytest.fixture
def agent(database: Database) -> Iterator[db.Connection]:
    with database.connect() as admin:
        provision(admin)
    with database.connect(db.AGENT) as connection:
        yield connection


@pytest.fixture
def api(database: Database) -> Iterator[db.Connection]:
    with database.connect(db.API) as connection:
        yield connection


def document(api: db.Connection, one: Reference) -> object:
    row = api.execute("select location_by_reference(%s)", (one.digest,)).fetchone()
    assert row is not None
    return row[0]


def reference(seq: int, one: Reference, **changed: Any) -> dict[str, Any]:
    return entry(seq, "location_reference", {**one.payload(), **changed})


def kept(database: Database) -> int:
    with database.connect("postgres") as superuser:
        row = superuser.execute("select count(*) from location_reference").fetchone()
    assert row is not None
    return int(str(row[0]))


def test_l1_a_location_is_found_by_its_tokens_digest_as_soon_as_it_was_shipped(
    agent: db.Connection, api: db.Connection
) -> None:
    one, other = Reference(pidf_lo() + "<!-- ☎ -->"), Reference()
    assert document(api, one) is None
    assert ship(agent, reference(1, one), reference(2, other, document="<other/>")) == 2
    assert document(api, one) == one.document
    assert document(api, other) == "<other/>"


def test_neither_the_token_nor_where_the_caller_is_stays_anywhere_else(
    agent: db.Connection, admin: db.Connection, database: Database
) -> None:
    one = Reference()
    ship(agent, reference(1, one))
    assert admin.execute("select kind, payload from journal").fetchall() == [
        (
            "location_reference",
            {"call_id": "a84b4c76e66710@192.0.2.1", "token_sha256": one.digest.hex()},
        )
    ]
    everything = subprocess.run(
        [postgres_program("pg_dump"), "--data-only", database.dsn("postgres")],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    assert one.token not in everything
    tables = [part for part in everything.split("COPY ") if "Calle Muñoz Rivera" in part]
    assert [part.split()[0] for part in tables] == ["holdfast.location_reference"]


def test_an_expired_location_is_not_found_and_is_erased(
    agent: db.Connection, api: db.Connection, database: Database
) -> None:
    one, lasting = Reference(valid_s=0.5), Reference()
    ship(agent, reference(1, one), reference(2, lasting))
    assert document(api, one) == one.document
    with database.connect("postgres") as superuser:
        superuser.execute("update location_reference set expires_at = expires_at - 1 where token_digest = %s",
                          (one.digest,))  # fmt: skip
    assert document(api, one) is None
    assert kept(database) == 2
    assert agent.execute("select erase_expired_references()").fetchone() == (1,)
    assert (document(api, lasting), kept(database)) == (lasting.document, 1)


def test_any_nodes_agent_erases_what_has_expired(database: Database, tmp_path: Path, ports: Ports) -> None:
    provision_nodes(database)
    Reference().reported(database)
    lasting = Reference().reported(database)
    with EdgeNode(tmp_path, database.dsn(db.AGENT), ports) as node, database.connect("postgres") as superuser:
        superuser.execute("update location_reference set expires_at = 1 where token_digest <> %s", (lasting.digest,))
        node.start()
        wait_until("the expired one to be erased", lambda: kept(database) == 1, within_s=10)
    with database.connect(db.API) as api:
        assert document(api, lasting) == lasting.document


def test_what_had_expired_before_it_was_shipped_is_not_kept_at_all(agent: db.Connection, database: Database) -> None:
    ship(agent, reference(1, Reference(valid_s=-1.0)))
    assert kept(database) == 0


def test_what_was_erased_does_not_come_back_when_it_is_shipped_again(
    agent: db.Connection, api: db.Connection, database: Database
) -> None:
    one = Reference()
    rows = [reference(1, one), entry(2, "alarm", {"name": "x"})]
    for _ in range(2):
        assert ship(agent, *rows) == 2
    assert kept(database) == 1
    with database.connect("postgres") as superuser:
        superuser.execute("delete from location_reference")  # as an erasure does
    ship(agent, *rows)
    assert document(api, one) is None


def test_any_order_and_any_repetition_of_shipping_ends_alike(agent: db.Connection, api: db.Connection) -> None:
    for number, order in enumerate(itertools.permutations([1, 2, 3])):
        one, expires_at = Reference(), time.time() + 60
        said = {
            1: reference(1, one, document="<short/>", expires_at=expires_at),
            2: reference(2, one, document="<long/>", expires_at=expires_at + 60),
            3: reference(3, one, document="<alike/>", expires_at=expires_at + 60),
        }
        for seq in [*order, *order]:
            ship(agent, said[seq], store=f"store-{number}")
        assert document(api, one) == "<long/>", order
        ship(agent, *(reference(seq, one, **said[seq]["payload"]) for seq in order), store=f"at-once-{number}")
        assert document(api, one) == "<long/>", order


@pytest.mark.parametrize(
    "changed",
    [
        {"token": None},
        {"token": ""},
        {"token": "x" * 21},  # 126 bits
        {"token": []},
        {"document": None},
        {"document": ""},
        {"document": "x" * 65537},
        {"expires_at": None},
        {"expires_at": "tomorrow"},
        {"expires_at": "infinity"},
        {"expires_at": "NaN"},
        {"expires_at": {}},
    ],
)
def test_a_row_that_can_never_be_kept_is_refused_with_the_rows_own_fault(
    agent: db.Connection, database: Database, changed: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        ship(agent, reference(1, Reference(), **changed))
    # classes 22 and 23: the agent puts the row aside, with an alarm, and ships the rest
    assert (refused.value.sqlstate or "")[:2] in ("22", "23")
    assert kept(database) == 0
    assert ship(agent, reference(2, Reference())) == 2


def test_a_database_from_before_the_api_gets_its_role_when_it_is_migrated(tmp_path: Path) -> None:
    with PrivatePostgres() as cluster:
        old = Database(cluster, "old")
        schema.create_database(old.dsn("postgres"))
        with old.connect("postgres") as superuser:
            superuser.execute(
                """create role holdfast_owner; create role holdfast_agent login; create role holdfast_admin login;
                   grant connect, create on database old to holdfast_owner; set role holdfast_owner"""
            )
            first = schema.migrations()[0]
            with superuser.transaction():
                superuser.execute(first.path.read_bytes())
                superuser.execute("insert into holdfast.schema_migration values (1, %s)", (first.name,))
        assert "the schema is version" in on_node(tmp_path, old).ok("db", "migrate")
        with old.connect(db.API) as api:
            assert document(api, Reference()) is None


@pytest.mark.parametrize(
    "statement",
    [
        "select document from location_reference",
        "select token_digest from location_reference",
        "delete from location_reference",
        "select erase_expired_references()",
        "select ship_journal(1, 's', '[]')",
        "select record_references(1, '[]')",
        "select * from journal",
        "select * from lease",
        "select * from subscriber",
        "select * from node",
        "select changes_since(0, 1)",
        "create temporary table mine (x integer)",
        "create table holdfast.mine (x integer)",
    ],
)
def test_the_api_may_look_up_one_location_and_nothing_else(shared_database: Database, statement: str) -> None:
    with shared_database.connect(db.API) as api, pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.execute(statement.encode())


@pytest.mark.parametrize("role", [db.AGENT, db.ADMIN])
@pytest.mark.parametrize(
    "statement",
    [
        "select document from location_reference",
        "select count(*) from location_reference",
        "delete from location_reference",
        "select location_by_reference('x')",
        "select record_references(1, '[]')",
    ],
)
def test_nobody_else_may_read_where_callers_are(shared_database: Database, role: str, statement: str) -> None:
    with shared_database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_a_look_up_is_quick_and_by_index_however_many_there_are(agent: db.Connection, database: Database) -> None:
    del agent  # the nodes are there
    with database.connect("postgres") as superuser:
        superuser.execute(
            """insert into location_reference (token_digest, document, expires_at, node_id)
               select sha256(i::text::bytea), 'x', epoch_now() + 60, 1 from generate_series(1, 20000) i"""
        )
        superuser.execute("analyze location_reference")
        plan = superuser.execute(
            "explain select document from location_reference where token_digest = sha256('7') and expires_at > 0"
        ).fetchall()
    assert "location_reference_pkey" in str(plan)
