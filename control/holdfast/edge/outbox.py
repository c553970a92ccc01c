"""The journal on its way up: which rows PostgreSQL has not confirmed, and the ones it will never take."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.core.lease import Moment
from holdfast.edge import clock
from holdfast.edge.steps import not_durable, transaction
from holdfast.edge.store import EdgeStore

#: Confirmed rows stay for this long, in seconds: whoever follows the journal on this node reads them too.
KEEP_CONFIRMED_S = 3600.0
#: At most so many rows are deleted in one transaction (about a millisecond).
PRUNE_ROWS = 300


class UnsendableError(ValueError):
    """A journal row that is no JSON object: PostgreSQL would refuse it and everything sent with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal row. `at` in UTC seconds, `payload` JSON text as it was written."""

    seq: int
    at: float
    kind: str
    payload: str

    def document(self) -> dict[str, Any]:
        """The row as `ship_journal` takes it. UnsendableError if its payload is no JSON object."""
        try:
            payload = json.loads(self.payload, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise UnsendableError(str(error)) from error
        if not isinstance(payload, dict):
            raise UnsendableError("the payload is no JSON object")
        return {"seq": self.seq, "at": self.at, "kind": _clean(self.kind), "payload": _clean(payload)}


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be shipped: rows, the age of the oldest in seconds, and rows put aside for good."""

    rows: int
    oldest_s: float
    refused: int


class Outbox:
    """The journal of one open edge store, as the agent ships it. Errors are sqlite3's own."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], Moment] = clock.now) -> None:
        self._db = connection
        self._now = now

    def backlog(self) -> Backlog:
        # no row above shipped_seq was ever deleted, so none need be counted one by one
        first = self._db.execute(
            "select seq, at from journal where seq > (select shipped_seq from store) order by seq limit 1"
        ).fetchone()
        refused = self._db.execute("select count(*) from journal_refused").fetchone()[0]
        if first is None:
            return Backlog(0, 0.0, refused)
        return Backlog(self.last_seq() - first["seq"] + 1, max(0.0, self._now().wall_s - first["at"]), refused)

    def last_seq(self) -> int:
        """The sequence number that was given out last, its row still here or not; 0: none ever."""
        row = self._db.execute("select seq from sqlite_sequence where name = 'journal'").fetchone()
        return int(row["seq"]) if row else 0

    def waiting(self, limit: int) -> list[Entry]:
        """The oldest rows that PostgreSQL has not confirmed."""
        query = """select seq, at, kind, payload from journal
                   where seq > (select shipped_seq from store) order by seq limit ?"""
        return [Entry(*row) for row in self._db.execute(query, (limit,))]

    def confirm(self, seq: int) -> None:
        """PostgreSQL holds every row up to `seq`, or it was put aside."""
        with not_durable(self._db), transaction(self._db):
            self._db.execute("update store set shipped_seq = max(shipped_seq, ?)", (seq,))

    def put_aside(self, entry: Entry, reason: str) -> None:
        """Keep a row that PostgreSQL does not take, with an alarm; `confirm` then lets the rest go on."""
        now = self._now()
        with transaction(self._db):
            added = self._db.execute(
                "insert or ignore into journal_refused (seq, at, kind, payload, refused_at, reason)"
                " values (?, ?, ?, ?, ?, ?)",
                (entry.seq, entry.at, entry.kind, entry.payload, now.wall_s, reason),
            ).rowcount
            if added:
                alarm = {"name": "journal_refused", "seq": entry.seq, "kind": entry.kind, "reason": reason}
                EdgeStore(self._db).write_journal("alarm", alarm, now)

    def refused(self) -> list[Entry]:
        """The rows that were put aside."""
        return [
            Entry(*row) for row in self._db.execute("select seq, at, kind, payload from journal_refused order by seq")
        ]

    def accepted(self, entry: Entry) -> None:
        """PostgreSQL took a row after all that had been put aside."""
        with transaction(self._db):
            self._db.execute("delete from journal_refused where seq = ?", (entry.seq,))

    def prune(self) -> int:
        """Delete the oldest rows that were confirmed and kept long enough, in one transaction; returns how many."""
        before = self._now().wall_s - KEEP_CONFIRMED_S
        query = "select seq, at from journal where seq <= (select shipped_seq from store) order by seq limit ?"
        oldest = self._db.execute(query, (PRUNE_ROWS,)).fetchall()
        old = [row["seq"] for row in oldest if row["at"] < before]
        if old:
            with not_durable(self._db), transaction(self._db):
                self._db.executemany("delete from journal where seq = ?", ((seq,) for seq in old))
        return len(old)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _clean(value: Any) -> Any:
    """The same with U+FFFD for what jsonb cannot hold: NUL, and surrogates (bytes from the net that were no UTF-8)."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
