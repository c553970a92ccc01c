"""The journal on its way up: what waits, what is confirmed, put aside, pruned."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.lease import Moment
from holdfast.edge.outbox import Entry, Outbox, UnsendableError
from holdfast.edge.store import connect

NOW = Moment(wall_s=1_700_000_000.0, boot_id="boot", boottime_s=1000.0)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "edge.db")
    yield connection
    connection.close()


@pytest.fixture
def outbox(db: sqlite3.Connection) -> Outbox:
    return Outbox(db, lambda: NOW)


def write(db: sqlite3.Connection, *ages_s: float) -> None:
    for age in ages_s:
        db.execute("insert into journal (at, kind, payload) values (?, 'refusal', '{}')", (NOW.wall_s - age,))


def test_rows_wait_in_order_until_they_are_confirmed(db: sqlite3.Connection, outbox: Outbox) -> None:
    write(db, 30, 20, 10)
    assert [entry.seq for entry in outbox.waiting(2)] == [1, 2]
    outbox.confirm(2)
    assert [entry.seq for entry in outbox.waiting(2)] == [3]
    outbox.confirm(1)
    assert [entry.seq for entry in outbox.waiting(2)] == [3], "a confirmation that comes late takes nothing back"


def test_the_backlog_counts_rows_and_the_age_of_the_oldest(db: sqlite3.Connection, outbox: Outbox) -> None:
    assert outbox.backlog().rows == 0
    write(db, 30, 20, 10)
    assert (outbox.backlog().rows, outbox.backlog().oldest_s) == (3, 30.0)
    outbox.confirm(2)
    assert (outbox.backlog().rows, outbox.backlog().oldest_s) == (1, 10.0)
    outbox.confirm(3)
    assert (outbox.backlog().rows, outbox.backlog().oldest_s) == (0, 0.0)


def test_a_row_put_aside_is_kept_alarmed_and_lets_the_rest_go_on(db: sqlite3.Connection, outbox: Outbox) -> None:
    write(db, 30, 20)
    first = outbox.waiting(1)[0]
    outbox.put_aside(first, "22P05")
    outbox.put_aside(first, "22P05")
    outbox.confirm(1)
    waiting = outbox.waiting(10)
    assert [entry.seq for entry in waiting] == [2, 3]
    alarm = {"name": "journal_refused", "seq": 1, "kind": "refusal", "reason": "22P05"}
    assert (waiting[1].kind, json.loads(waiting[1].payload)) == ("alarm", alarm)
    assert outbox.refused() == [first]
    assert outbox.backlog().refused == 1
    outbox.accepted(first)
    assert outbox.refused() == []


def test_only_rows_both_confirmed_and_old_are_pruned(db: sqlite3.Connection, outbox: Outbox) -> None:
    write(db, 7200, 3601, 3599, 7200)
    assert outbox.prune() == 0
    outbox.confirm(3)
    assert outbox.prune() == 2
    assert [row[0] for row in db.execute("select seq from journal order by seq")] == [3, 4]
    assert outbox.backlog().rows == 1


def test_a_sequence_number_is_never_used_twice(db: sqlite3.Connection, outbox: Outbox) -> None:
    write(db, 7200)
    outbox.confirm(1)
    assert outbox.prune() == 1
    write(db, 0)
    assert outbox.last_seq() == 2


@pytest.mark.parametrize("payload", ["", "{", "[]", "null", "NaN", '{"a": NaN}', '{"a": Infinity}', "[" * 100_000])
def test_a_payload_that_is_no_json_object_cannot_be_sent(payload: str) -> None:
    with pytest.raises(UnsendableError):
        Entry(1, 0.0, "refusal", payload).document()


def test_what_jsonb_cannot_hold_is_replaced_and_the_rest_is_kept() -> None:
    payload = {"na\0me": "a\0b", "bytes": b"\xe9t\xe9".decode("utf-8", "surrogateescape"), "deep": [{"x": "😀 ü"}, 1.5]}
    document = Entry(4, 2.5, "le\0ase", json.dumps(payload)).document()
    clean = {"na\ufffdme": "a\ufffdb", "bytes": "\ufffdt\ufffd", "deep": [{"x": "😀 ü"}, 1.5]}
    assert document == {"seq": 4, "at": 2.5, "kind": "le\ufffdase", "payload": clean}
