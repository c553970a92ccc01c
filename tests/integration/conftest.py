"""One private PostgreSQL cluster for all integration tests, and a fresh Holdfast database for each test."""

from collections.abc import Iterator

import pytest

from holdfast.plane import db
from integration.postgres import Database, fresh_database
from lab.postgres import PrivatePostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """The running cluster. Tests that stop or kill PostgreSQL make a PrivatePostgres of their own."""
    with PrivatePostgres() as cluster:
        yield cluster


@pytest.fixture
def database(postgres: PrivatePostgres) -> Iterator[Database]:
    """A fresh database with today's schema, dropped afterwards."""
    with fresh_database(postgres) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def shared_database(postgres: PrivatePostgres) -> Iterator[Database]:
    """One database for all tests of a module that leave it as it was."""
    with fresh_database(postgres) as fresh:
        yield fresh


@pytest.fixture
def admin(database: Database) -> Iterator[db.Connection]:
    """A connection as holdfast_admin."""
    with database.connect() as connection:
        yield connection


@pytest.fixture
def agent(database: Database) -> Iterator[db.Connection]:
    """A connection as holdfast_agent."""
    with database.connect(db.AGENT) as connection:
        yield connection
