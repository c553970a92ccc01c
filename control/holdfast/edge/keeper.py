"""The edge store as the agent holds it: opened when needed, opened again when the file is another one, locked.

SQLite waits for locks and disks, so all work is done in one thread of its own, one piece after the other.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from holdfast import metrics
from holdfast.edge.outbox import Outbox
from holdfast.edge.replica import Replica
from holdfast.edge.store import connect
from holdfast.errors import EdgeStoreUnavailable

log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: A quarter of what every other connection waits for.
CHECKPOINT_PAGES = 250
#: Errors that leave the connection as it was: another process holds the lock, or the disk is full.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM)


class StoreBusyError(EdgeStoreUnavailable):
    """The edge store could not be written now; the next round tries again."""


class StoreReplacedError(EdgeStoreUnavailable):
    """The edge store was opened anew, so what was begun on the former one must begin again."""


@dataclass(frozen=True, slots=True)
class OpenStore:
    """One opened file and the two things the agent does with it."""

    replica: Replica
    outbox: Outbox
    connection: sqlite3.Connection
    file_id: tuple[int, int]  # device and inode


class StoreKeeper:
    """Gives work to the edge store, whichever file that is at the moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-store")
        self._store: OpenStore | None = None
        #: how often the store was opened; work that belongs to one opening names it
        self.opened = 0

    async def do(self, work: Callable[[OpenStore], _T], *, opened: int | None = None) -> _T:
        """Do this work in the store's thread. StoreReplacedError if the store is not the one `opened` names any more.

        EdgeStoreUnavailable says what else failed; StoreBusyError that it may pass.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, opened)

    async def close(self) -> None:
        with contextlib.suppress(EdgeStoreUnavailable):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _do(self, work: Callable[[OpenStore], _T], opened: int | None) -> _T:
        try:
            store = self._current()
            if opened is not None and opened != self.opened:
                raise StoreReplacedError
            return work(store)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        except EdgeStoreUnavailable as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise self._failed(error.__cause__) from error
            raise
        except OSError as error:
            metrics.store_failures.labels("os_error").inc()
            raise EdgeStoreUnavailable(f"edge store {self._path}: {error.strerror or error}") from error

    def _current(self) -> OpenStore:
        if self._store is not None and _file_id(self._path) != self._store.file_id:
            log.warning("edge store %s was deleted or replaced: opening it anew", self._path)
            self._close()
        if self._store is None:
            connection = connect(self._path)
            try:
                # what hostile bytes made it into a journal row shall not stop the journal
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                # whoever's commit finds the WAL long must copy it into the database: let that be us, not a call
                connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
                file_id = _file_id(self._path)
                if file_id is None:
                    raise EdgeStoreUnavailable(f"edge store {self._path} was deleted while it was opened")
                self._store = OpenStore(Replica(connection), Outbox(connection), connection, file_id)
            except BaseException:
                connection.close()
                raise
            self.opened += 1
        return self._store

    def _failed(self, error: sqlite3.Error) -> EdgeStoreUnavailable:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one
        metrics.store_failures.labels(getattr(error, "sqlite_errorname", type(error).__name__).lower()).inc()
        if code in _PASSING:
            return StoreBusyError(f"edge store {self._path}: {error}")
        with contextlib.suppress(sqlite3.Error):
            self._close()
        return EdgeStoreUnavailable(
            f"edge store {self._path}: {error}",
            mend="if this lasts: stop Kamailio and the agent, move the file away, start them; it is fetched again",
        )

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.connection.close()


@contextlib.contextmanager
def sole_agent(store: Path) -> Iterator[None]:
    """Be the only agent of this edge store until the process ends. EdgeStoreUnavailable if there is one already."""
    path = store.with_name(store.name + ".agent")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EdgeStoreUnavailable(
            f"{path}: {error.strerror}", mend="make node.state_dir a folder that the agent may write"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
            raise EdgeStoreUnavailable(
                f"another edge agent (process {other}) serves {store}", mend="stop it first, or give this one its own"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(lock)


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
