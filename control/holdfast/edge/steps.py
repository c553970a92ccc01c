"""Work on the edge store in short steps: calls wait for SQLite's one writer lock, so nobody may keep it for long."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from holdfast.edge.store_file import committed

_T = TypeVar("_T")

#: How long one transaction may go on taking items, in seconds.
STEP_S = 0.004


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction. Errors are sqlite3's own; SQLITE_BUSY comes after the connection's timeout."""
    connection.execute("begin immediate")
    with committed(connection):
        yield


@contextmanager
def not_durable(connection: sqlite3.Connection) -> Iterator[None]:
    """For what can come from PostgreSQL, or be done, again: the commits within need not wait for the disk.

    Never for a new journal row: were it shipped and then lost with the power, its sequence number would be used twice.
    """
    connection.execute("pragma synchronous = normal")
    try:
        yield
    finally:
        connection.execute("pragma synchronous = full")


def while_there_is_time(items: Sequence[_T], step: Callable[[_T], object]) -> int:
    """Do the first of these items, at least one, for STEP_S at most; returns how many were done."""
    began = time.monotonic()
    for done, item in enumerate(items, start=1):
        step(item)
        if time.monotonic() - began >= STEP_S:
            return done
    return len(items)
