"""The edge store's file: opened, made when it is new, and refused when it is somebody else's."""

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from holdfast.errors import EdgeStoreUnavailable

SCHEMA_FILE = Path(__file__).resolve().parents[3] / "sql" / "edge.sql"
SCHEMA_VERSION = 2
APPLICATION_ID = 0x484F4C44  # "HOLD": says whose file this is
#: How long a call may wait for another process's transaction. Writers here take about a millisecond.
BUSY_TIMEOUT_S = 0.25
#: How long opening may wait, once per process: while somebody makes the file, or closes it last, it is locked longer.
OPEN_TIMEOUT_S = 2.0


def connect(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """Open the store, creating it when the file is new. EdgeStoreUnavailable if it cannot be used or is not ours."""
    try:
        if not path.exists():
            if not create:
                raise EdgeStoreUnavailable(f"no edge store at {path}", mend="start the edge agent: it makes one")
            _make(path)
        connection = sqlite3.connect(path, timeout=OPEN_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, create=create)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise EdgeStoreUnavailable(f"edge store {path}: {error}") from error
    return connection


@contextlib.contextmanager
def committed(connection: sqlite3.Connection) -> Iterator[None]:
    """The rest of a transaction that was begun: commit it, or roll it back on any exception. Errors are sqlite3's."""
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _make(path: Path) -> None:
    """Make the file beside its place and link it there whole: nobody ever opens one that is half made.

    Whoever comes second finds it made, and throws its own away.
    """
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        connection = sqlite3.connect(new, isolation_level=None)
        try:
            _create(connection, new)
        finally:
            connection.close()
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        for suffix in ("", "-wal", "-shm"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    connection.row_factory = sqlite3.Row
    if connection.execute("pragma application_id").fetchone()[0] != APPLICATION_ID:
        if not create:
            raise EdgeStoreUnavailable(f"{path} is not an edge store", mend="name another file")
        _create(connection, path)  # an empty file that somebody else put there
    connection.execute("pragma synchronous = full")
    connection.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    version = connection.execute("select schema_version from store").fetchone()
    if version is None or version[0] != SCHEMA_VERSION:
        raise EdgeStoreUnavailable(
            f"edge store {path} is of another version of Holdfast",
            mend="stop Kamailio and the agent, move the file away, start the agent: it fetches everything again",
        )


def _create(connection: sqlite3.Connection, path: Path) -> None:
    """Make the schema in one transaction; whoever comes second finds it made. Somebody else's file stays as it is."""
    if _is_foreign(connection):
        raise EdgeStoreUnavailable(f"{path} is a database, but not an edge store", mend="name another file")
    connection.execute("pragma journal_mode = wal")
    connection.execute("begin exclusive")
    with committed(connection):
        if connection.execute("pragma application_id").fetchone()[0] != APPLICATION_ID:
            for statement in _statements(SCHEMA_FILE.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(
                "insert into store (one, schema_version, store_id, created_at) values (1, ?, ?, ?)",
                (SCHEMA_VERSION, uuid.uuid4().hex, time.time()),
            )
            connection.execute(f"pragma application_id = {APPLICATION_ID}")


def _is_foreign(connection: sqlite3.Connection) -> bool:
    # In this order: the tables and the application id are committed together.
    has_tables = connection.execute("select count(*) from sqlite_schema").fetchone()[0] > 0
    return bool(has_tables and connection.execute("pragma application_id").fetchone()[0] != APPLICATION_ID)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
