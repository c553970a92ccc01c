"""What the store's file may be: new, ours, or anything else that must be refused with a clear message."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from holdfast.core.model import CallKind
from holdfast.edge.store import EdgeStore, connect
from holdfast.errors import EdgeStoreUnavailable
from unit.edge_rows import POOL, Clocks, caller, own, provision

NOBODY = 65534
NUMBERS = [f"+1202555{number:04}" for number in range(200)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.db"


@pytest.fixture
def filled(path: Path) -> Path:
    with closing(connect(path)) as connection:
        provision(connection)
        own(connection, NUMBERS)
    return path


def refused(path: Path, *, create: bool = True) -> EdgeStoreUnavailable:
    with pytest.raises(EdgeStoreUnavailable) as caught:
        connect(path, create=create)
    assert str(path) in str(caught.value)
    return caught.value


def test_a_new_file_becomes_a_durable_store_with_an_id_of_its_own(path: Path, tmp_path: Path) -> None:
    with closing(connect(path)) as connection, closing(connect(tmp_path / "other.db")) as other:
        assert connection.execute("pragma journal_mode").fetchone()[0] == "wal"
        assert connection.execute("pragma synchronous").fetchone()[0] == 2  # full
        infos = [EdgeStore(opened).info() for opened in (connection, other)]
    assert infos[0].store_id != infos[1].store_id
    assert (infos[0].node_id, infos[0].revision, infos[0].caught_up) == (None, 0, False)


def test_a_store_is_the_same_when_it_is_opened_again(filled: Path) -> None:
    with closing(connect(filled)) as first, closing(connect(filled, create=False)) as second:
        assert EdgeStore(first).info() == EdgeStore(second).info()
        assert second.execute("pragma synchronous").fetchone()[0] == 2


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with closing(connect(path)) as connection:
        assert EdgeStore(connection).info().store_id


def test_no_store_where_none_may_be_made(path: Path) -> None:
    assert "agent" in refused(path, create=False).mend
    assert not path.exists()


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    refused(tmp_path)


def test_a_path_without_a_folder_is_no_store(tmp_path: Path) -> None:
    refused(tmp_path / "missing" / "edge.db")


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 8192, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table theirs (value text)")
        connection.commit()
    before = path.read_bytes()
    error = refused(path)
    assert "not an edge store" in str(error)
    assert error.mend
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["edge.db"]


@pytest.mark.parametrize("statement", ["update store set schema_version = 99", "delete from store"])
def test_a_store_of_another_version_is_refused_and_kept(filled: Path, statement: str) -> None:
    with closing(connect(filled)) as connection:
        connection.execute(statement)
    error = refused(filled)
    assert "version" in str(error)
    assert "move the file" in error.mend
    assert filled.exists()


def test_a_store_without_its_tables_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma application_id = {0x484F4C44}")
    refused(path)


def test_a_corrupt_store_fails_clearly_whatever_is_asked(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(filled.stat().st_size - 4096))
    with pytest.raises(EdgeStoreUnavailable):
        _use(filled)


def test_a_store_cut_short_fails_clearly(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.truncate(4096 * 3)
    with pytest.raises(EdgeStoreUnavailable):
        _use(filled)


def _use(path: Path) -> None:
    clocks = Clocks()
    with closing(connect(path)) as connection:
        store = EdgeStore(connection)
        store.info()
        store.pools()
        store.begin_call("call", CallKind.EMERGENCY, caller(1), (POOL,), clocks.now())


def test_n1_a_full_disk_refuses_the_lease_and_harms_nothing(filled: Path) -> None:
    clocks = Clocks()
    with closing(connect(filled)) as connection:
        store = EdgeStore(connection)
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count = {pages}")
        callers = iter(range(len(NUMBERS)))
        with pytest.raises(EdgeStoreUnavailable, match="full"):
            all(store.begin_call(str(who), CallKind.EMERGENCY, caller(who), (POOL,), clocks.now()) for who in callers)
        lent = len(store.leases(clocks.now()))
        assert not connection.in_transaction
        assert len(store.open_calls()) == lent == next(callers) - 1
        connection.execute(f"pragma max_page_count = {pages + 1000}")
        assert store.begin_call("after", CallKind.EMERGENCY, caller(lent), (POOL,), clocks.now())


def test_a_store_that_another_process_keeps_locked_is_given_up_in_time(filled: Path) -> None:
    clocks = Clocks()
    with closing(connect(filled)) as connection, closing(connect(filled)) as hog:
        store = EdgeStore(connection)
        hog.execute("begin immediate")
        with pytest.raises(EdgeStoreUnavailable, match="locked"):
            store.begin_call("call", CallKind.EMERGENCY, caller(1), (POOL,), clocks.now())
        assert store.pools()  # readers never wait
        hog.execute("rollback")
        assert store.begin_call("call", CallKind.EMERGENCY, caller(1), (POOL,), clocks.now())


@pytest.fixture
def unprivileged(path: Path) -> Iterator[Path]:
    """A folder that a user without rights may enter; the test runs as that user where it began as root."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / path.name
        with closing(connect(store)) as connection:
            provision(connection)
            own(connection, NUMBERS[:3])
        Path(folder).chmod(0o555)
        store.chmod(0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield store
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)


def test_a_file_that_may_not_be_written_fails_clearly(unprivileged: Path) -> None:
    with pytest.raises(EdgeStoreUnavailable) as caught:
        _use(unprivileged)
    assert str(caught.value)


def test_a_folder_that_may_not_be_entered_fails_clearly(unprivileged: Path) -> None:
    closed = unprivileged.parent / "closed"
    user = os.geteuid()
    os.seteuid(os.getuid())
    unprivileged.parent.chmod(0o755)
    closed.mkdir(mode=0o700)
    closed.chmod(0o000 if user == os.getuid() else 0o700)
    os.seteuid(user)
    refused(closed / "edge.db", create=False)
    refused(closed / "edge.db")


def _store_id(path: Path) -> str:
    with closing(connect(path)) as connection:
        return EdgeStore(connection).info().store_id


def test_processes_that_make_the_store_at_once_share_it(path: Path) -> None:
    with get_context("spawn").Pool(4) as processes:
        ids = processes.map_async(_store_id, [path] * 16, chunksize=1).get(timeout=30)
    assert len(set(ids)) == 1
