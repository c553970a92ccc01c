"""The agent's connection to PostgreSQL: the few statements it knows, each with a deadline.

Two errors leave this module. DatabaseUnavailable: the connection is gone, make another. StatementRefusedError:
PostgreSQL answered no; the connection is good.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from holdfast.edge.replica import Change
from holdfast.errors import HoldfastError
from holdfast.plane import async_db, db
from holdfast.settings import Settings

log = logging.getLogger(__name__)
_T = TypeVar("_T")
#: calls in progress by tenant and kind
CallCounts = Mapping[tuple[int, str], int]

#: PostgreSQL gives up a statement after this long, in seconds …
STATEMENT_S = 10
#: … or waiting for a lock, such as that of a long import …
LOCK_S = 2
#: … and when not even that was heard, the connection is taken for dead.
ANSWER_S = STATEMENT_S + 5
#: Waiting for a notification, the connection is free for another task's statement this often, in seconds.
LISTEN_S = 0.1

_OPTIONS = f"-c statement_timeout={STATEMENT_S}s -c lock_timeout={LOCK_S}s"
#: Classes of errors whose messages are about the server; all others may quote what was sent, which no log should hold.
_SPEAKS_OF_ITSELF = ("08", "25", "28", "3D", "3F", "42", "53", "57", "58")
# A cluster, its history, and the very tables in it: a restored dump has other ones, a promoted or restored server
# another timeline.
_IDENTITY = """
    select concat_ws('/', (select system_identifier from pg_control_system()),
                     case when pg_is_in_recovery() then (select timeline_id::text from pg_control_checkpoint())
                          else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint::text end,
                     (select oid from pg_database where datname = current_database()),
                     to_regclass('holdfast.pool_number')::oid) as database_id,
           pg_is_in_recovery() as standby
"""


class StatementRefusedError(HoldfastError):
    """PostgreSQL refused a statement."""

    def __init__(self, error: psycopg.Error) -> None:
        #: five characters, PostgreSQL's appendix A
        self.sqlstate = error.sqlstate or "none"
        #: what may be logged and stored of it
        self.reason = f"{self.sqlstate} {type(error).__name__}"
        if error.diag.constraint_name:
            self.reason += f" ({error.diag.constraint_name})"
        elif self.sqlstate[:2] in _SPEAKS_OF_ITSELF:
            self.reason += f": {error.diag.message_primary}"
        super().__init__(f"PostgreSQL refused a statement: {self.reason}")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database this is, and whether it is a standby, which may lag behind and takes nothing."""

    database_id: str
    standby: bool


class Uplink:
    """One connection. Statements commit by themselves, one at a time, whichever task they come from."""

    def __init__(self, connection: async_db.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect as the agent's role. DatabaseUnavailable says why not."""
        info = make_conninfo(
            db.conninfo(settings, role=db.AGENT), application_name="holdfast-agent", keepalives=1, keepalives_idle=5,
            keepalives_interval=2, keepalives_count=3, tcp_user_timeout=ANSWER_S * 1000, options=_OPTIONS,
        )  # fmt: skip
        return cls(await async_db.connect(info, settings.database.connect_timeout_s + 1.0))

    def close(self) -> None:
        """Drop the connection at once, whatever it is doing."""
        async_db.drop(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # Who is there

    async def identity(self) -> Identity:
        row = (await self._rows(_IDENTITY))[0]
        return Identity(str(row[0]), bool(row[1]))

    async def node_id(self, name: str) -> int | None:
        """The id of the node of that name; None: PostgreSQL knows no such node."""
        rows = await self._rows("select id from holdfast.node where name = %s", name)
        return int(rows[0][0]) if rows else None

    # Down

    async def has_reached(self, revision: int) -> bool:
        """Whether this database has ever been at `revision`. Its newest row or tombstone never disappears."""
        return bool(await self._rows("select 1 from holdfast.changes_since(%s, 1)", revision - 1))

    async def changes_since(self, revision: int, most: int) -> list[Change]:
        """Provisioning rows above `revision`, in order; fewer than `most`: there are no more."""
        rows = await self._rows(
            "select revision, relation, row_key, row_data from holdfast.changes_since(%s, %s)", revision, most
        )
        return [Change(*row) for row in rows]

    async def leases(self, node_id: int) -> list[dict[str, Any]]:
        """The leases that the stores of this node reported and that are not erased."""
        return [row[0] for row in await self._rows("select to_jsonb(l) from holdfast.leases_of_node(%s) l", node_id)]

    # Up

    async def claim(self, node_id: int, store_id: str, pool_id: int, wanted: int) -> list[str]:
        """Make up to `wanted` free numbers of a pool this node's; returns which."""
        rows = await self._rows(
            "select * from holdfast.claim_numbers(%s, %s, %s, %s)", node_id, store_id, pool_id, wanted
        )
        return [row[0] for row in rows]

    async def ship(self, node_id: int, store_id: str, entries: Sequence[dict[str, Any]]) -> int:
        """Store journal rows; returns the highest seq that PostgreSQL has of this store, 0 for none."""
        query = "select holdfast.ship_journal(%s, %s, %s)"
        rows = await self._rows(query, node_id, store_id, Jsonb(list(entries)))
        return int(rows[0][0] or 0)

    async def erase_ended_leases(self) -> int:
        """A3, for PostgreSQL's copies; returns how many were erased."""
        return int((await self._rows("select holdfast.erase_ended_leases()"))[0][0])

    async def erase_expired_references(self) -> int:
        """Where callers were whose location URIs have expired; returns how many were erased."""
        return int((await self._rows("select holdfast.erase_expired_references()"))[0][0])

    async def exchange_call_counts(self, node_id: int, here: CallCounts) -> CallCounts:
        """Say how many calls are in progress on this node; how many are on all others (A9)."""
        said = [{"tenant_id": tenant_id, "kind": kind, "calls": calls} for (tenant_id, kind), calls in here.items()]
        query = "select tenant_id, kind, calls from holdfast.exchange_call_counts(%s, %s)"
        return {(row[0], row[1]): row[2] for row in await self._rows(query, node_id, Jsonb(said))}

    # Waking

    async def listen(self) -> None:
        await self._within_deadline(partial(self._connection.execute, "listen holdfast_changes"))

    async def woken(self, within_s: float) -> int | None:
        """Wait for a notification; its revision, or None if none came in time."""
        until = time.monotonic() + within_s
        while (left_s := until - time.monotonic()) > 0:
            revision = await self._within_deadline(partial(self._newest, min(left_s, LISTEN_S)))
            if revision is not None:
                return revision
        return None

    async def _newest(self, within_s: float) -> int | None:
        async with contextlib.aclosing(self._connection.notifies(timeout=within_s, stop_after=1)) as notifications:
            revisions = [int(each.payload) async for each in notifications if each.payload.isdecimal()]
            return max(revisions, default=None)

    async def _rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            return await (await self._connection.execute(query, parameters)).fetchall()

        return await self._within_deadline(fetch)

    async def _within_deadline(self, statement: Callable[[], Awaitable[_T]]) -> _T:
        async with self._turn:  # before the deadline begins: it is for one statement, not for those before it, too
            try:
                return await async_db.answer(self._connection, statement(), ANSWER_S)
            except psycopg.Error as error:
                raise StatementRefusedError(error) from error
