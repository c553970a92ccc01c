"""Fresh Holdfast databases on a private cluster, copied from one template: cheaper than migrating each."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast.plane import db, schema
from lab.postgres import PrivatePostgres

_TEMPLATE = "holdfast_template"
_DROP = sql.SQL("drop database if exists {} with (force)")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """An initialised Holdfast database, empty at first."""

    postgres: PrivatePostgres
    name: str

    def dsn(self, user: str = db.ADMIN) -> str:
        """A libpq connection string; `postgres` is the superuser."""
        return self.postgres.dsn(user, self.name)

    def connect(self, user: str = db.ADMIN) -> db.Connection:
        """A connection in autocommit mode. The caller closes it."""
        return psycopg.connect(self.dsn(user), autocommit=True)


def make_template(postgres: PrivatePostgres) -> None:
    """Initialise the database that the others are copied from, once for a cluster."""
    if schema.create_database(postgres.dsn(dbname=_TEMPLATE)):
        with psycopg.connect(postgres.dsn(dbname=_TEMPLATE), autocommit=True) as connection:
            schema.create_roles(connection)
            schema.migrate(connection)


def make(database: Database) -> None:
    """Make it, empty, in place of one of that name; whoever is connected to that loses it."""
    make_template(database.postgres)
    name = sql.Identifier(database.name)
    with psycopg.connect(database.postgres.dsn(), autocommit=True) as connection:
        connection.execute(_DROP.format(name))
        connection.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(_TEMPLATE)))
    # a database's privileges and settings are not copied with it
    with database.connect("postgres") as inside:
        schema.create_roles(inside)


@contextmanager
def fresh_database(postgres: PrivatePostgres) -> Iterator[Database]:
    """A database of one's own; it is dropped afterwards, whoever is still connected."""
    database = Database(postgres, f"holdfast_{next(_numbers)}")
    make(database)
    yield database
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(_DROP.format(sql.Identifier(database.name)))
