"""One private PostgreSQL cluster for all integration tests, a fresh Holdfast database for each, and one FreeSWITCH."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.plane import db
from integration.embedded import EmbeddedServer
from integration.freeswitch import FreeSwitch
from integration.media_server import running
from integration.postgres import Database, fresh_database
from lab.media import find_freeswitch
from lab.postgres import PrivatePostgres

#: Without a FreeSWITCH its own tests are left out; the run's last line says which media server was used.
collect_ignore = [] if find_freeswitch() else [path.name for path in Path(__file__).parent.glob("test_*freeswitch*.py")]


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


@pytest.fixture(scope="session")
def real_prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prompts as they are delivered."""
    folder = tmp_path_factory.mktemp("prompts")
    script = Path(__file__).parents[2] / "freeswitch/sounds/make_prompts.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, timeout=60)
    return folder


@pytest.fixture(scope="session")
def freeswitch(tmp_path_factory: pytest.TempPathFactory, real_prompts: Path) -> Iterator[FreeSwitch]:
    """A running FreeSWITCH with our configuration; nobody listens where it looks for the controller."""
    with running(FreeSwitch(tmp_path_factory.mktemp("freeswitch"), real_prompts)) as server:
        yield server


@pytest.fixture(scope="module")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running embedded media server."""
    with running(EmbeddedServer(tmp_path_factory.mktemp("embedded"))) as server:
        yield server


@pytest.fixture
def server(embedded_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The embedded media server without a call; the test must leave it so."""
    yield embedded_server
    embedded_server.wait_for_the_end_of_calls()
