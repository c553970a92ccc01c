"""The schema as a whole: migrations lead to it, roles may no more than they need, every constraint has its words."""

import subprocess

import psycopg
import pytest

from holdfast.core import lease
from holdfast.errors import DatabaseUnavailable
from holdfast.plane import db, schema, translation
from integration.postgres import Database
from lab.postgres import PrivatePostgres, postgres_program


def dump(postgres: PrivatePostgres, database: str) -> list[str]:
    command = [postgres_program("pg_dump"), "--schema-only", "--schema=holdfast", postgres.dsn(dbname=database)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    # pg_dump of late releases guards its output with a random key
    return [line for line in result.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_migrations_end_at_the_schema_file(postgres: PrivatePostgres, database: Database) -> None:
    schema.create_database(postgres.dsn(dbname="from_schema_file"))
    with psycopg.connect(postgres.dsn(dbname="from_schema_file"), autocommit=True) as connection:
        schema.create_roles(connection)
        with connection.transaction():
            connection.execute("set local role holdfast_owner")
            connection.execute((schema.SQL_DIR / "schema.sql").read_bytes())
    assert dump(postgres, "from_schema_file") == dump(postgres, database.name)


def test_migrating_and_creating_roles_twice_changes_nothing(database: Database) -> None:
    with database.connect("postgres") as connection:
        schema.create_roles(connection)
        assert schema.migrate(connection) == ()
        assert schema.schema_version(connection) == len(schema.migrations())


def test_a_database_of_a_newer_holdfast_is_refused(database: Database) -> None:
    with database.connect("postgres") as connection:
        connection.execute("insert into schema_migration (version, name) values (99, 'from_the_future')")
        with pytest.raises(DatabaseUnavailable, match="version 99"):
            schema.migrate(connection)


def test_every_constraint_that_a_person_can_violate_has_its_words(admin: db.Connection) -> None:
    named = admin.execute(
        """select conname from pg_constraint c left join pg_class r on r.oid = c.conrelid
           where c.connamespace = 'holdfast'::regnamespace
             and coalesce(r.relname, '') not in ('tombstone', 'journal', 'lease', 'lease_conflict', 'schema_migration',
                                                 'provisioning_change', 'node_calls', 'location_reference')
             and conname not like '%\\_revision\\_once'
             and not (contype = 'p' and conname not in ('platform_number_pkey', 'pool_number_pkey'))"""
    )
    assert {str(row[0]) for row in named} == set(translation.CONSTRAINTS)


def test_an_abandoned_call_counts_for_as_long_as_the_edge_counts_it(admin: db.Connection) -> None:
    assert admin.execute("select max_call_s()").fetchone() == (lease.MAX_CALL_S,)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from subscriber",
        "select * from lease",
        "insert into tenant (name, country) values ('x', 'US')",
        "update pool_number set owner_node_id = 1",
        "select erase_lease('s', 1, 1, 'x')",
        "select record_lease(1, 's', 1, '{}')",
        "select nextval('revision_seq')",
        "create table holdfast.mine (x integer)",
        "create temporary table mine (x integer)",
    ],
)
def test_an_agent_may_only_call_its_functions(shared_database: Database, statement: str) -> None:
    with shared_database.connect(db.AGENT) as agent, pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "update pool_number set owner_node_id = 1, owner_store_id = 's'",
        "insert into lease select * from lease",
        "delete from journal",
        "delete from tombstone",
        "update provisioning_change set what = 'nothing'",
        "select ship_journal(1, 's', '[]')",
        "truncate tenant",
        "alter table tenant disable trigger all",
    ],
)
def test_an_administrator_may_not_touch_what_nodes_report(shared_database: Database, statement: str) -> None:
    with shared_database.connect() as admin, pytest.raises(psycopg.errors.InsufficientPrivilege):
        admin.execute(statement.encode())


def test_nobody_else_may_connect(shared_database: Database) -> None:
    with shared_database.connect("postgres") as connection:
        connection.execute("create role stranger login")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                shared_database.connect("stranger")
        finally:
            connection.execute("drop role stranger")
