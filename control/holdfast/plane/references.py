"""Looking up what a location URI stands for: a few connections to PostgreSQL, made anew when they are lost."""

import asyncio
import logging
import time
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from holdfast import plane_metrics
from holdfast.errors import DatabaseUnavailable
from holdfast.plane import async_db, db
from holdfast.settings import Settings

log = logging.getLogger(__name__)

#: A look-up takes a tenth of a millisecond: one connection serves thousands a second.
CONNECTIONS = 4
#: From the question to its answer, whatever has to be waited for or made anew, in seconds.
LOOK_UP_S = 5.0
CONNECT_S = 4.5
#: Of several hosts in database.dsn one that is silent is given up after this long, in seconds: libpq's least.
HOST_S = 2
STATEMENT_S = 1
ANSWER_S = 1.5
#: After a connection that could not be made nobody else tries for this long, in seconds.
PAUSE_S = 0.5

_QUERY = "select holdfast.location_by_reference(%s)"


def conninfo(settings: Settings) -> str:
    """The libpq string to connect with. InputError if database.dsn cannot be read."""
    return make_conninfo(
        db.conninfo(settings, role=db.API), application_name="holdfast-api", connect_timeout=HOST_S,
        keepalives=1, keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=5000,
        options=f"-c statement_timeout={STATEMENT_S}s",
    )  # fmt: skip


class References:
    """Location URIs' documents, as the edge nodes reported them."""

    def __init__(self, info: str) -> None:
        self._info = info
        self._idle: asyncio.LifoQueue[async_db.Connection | None] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(None)
        self._try_again_at = 0.0  # in monotonic seconds
        self._trouble = ""

    async def document(self, token_digest: bytes) -> str | None:
        """The PIDF-LO of an unexpired location URI, by its token's SHA-256; None: there is none.

        DatabaseUnavailable: PostgreSQL does not answer.
        """
        try:
            async with asyncio.timeout(LOOK_UP_S):
                document = await self._look_up(token_digest)
        except TimeoutError as error:
            raise self._failed(f"no answer within {LOOK_UP_S:g} s") from error
        except DatabaseUnavailable as error:
            raise self._failed(str(error)) from error
        if self._trouble:
            log.info("PostgreSQL answers again")
            self._trouble = ""
        return document

    async def close(self) -> None:
        """Drop every connection that is idle; the others go with those who use them."""
        while not self._idle.empty():
            connection = self._idle.get_nowait()
            if connection is not None:
                async_db.drop(connection)

    def _failed(self, trouble: str) -> DatabaseUnavailable:
        plane_metrics.postgres_failures.inc()
        if trouble != self._trouble:
            log.error("locations cannot be looked up: %s", trouble)
            self._trouble = trouble
        return DatabaseUnavailable(trouble)

    async def _look_up(self, token_digest: bytes) -> str | None:
        connection = await self._idle.get()
        try:
            if connection is not None:
                try:
                    return await _ask(connection, token_digest)
                except DatabaseUnavailable:
                    if not connection.closed:
                        raise
                    # it may have been dead for hours: only a new one says whether PostgreSQL is there
            connection = await self._connect()
            return await _ask(connection, token_digest)
        finally:
            self._idle.put_nowait(None if connection is None or connection.closed else connection)

    async def _connect(self) -> async_db.Connection:
        if time.monotonic() < self._try_again_at:
            raise DatabaseUnavailable(self._trouble)
        try:
            return await async_db.connect(self._info, CONNECT_S)
        except DatabaseUnavailable:
            self._try_again_at = time.monotonic() + PAUSE_S
            raise


async def _ask(connection: async_db.Connection, token_digest: bytes) -> str | None:
    async def fetch() -> Any:
        return await (await connection.execute(_QUERY, (token_digest,))).fetchone()

    try:
        row = await async_db.answer(connection, fetch(), ANSWER_S)
    except psycopg.Error as error:
        # the server's own words, which quote nothing: the query has no text of anybody's in it
        raise DatabaseUnavailable(f"PostgreSQL: {async_db.first_line(error)}") from error
    return None if row[0] is None else str(row[0])
