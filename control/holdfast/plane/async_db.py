"""Connections of asyncio's processes to PostgreSQL: each wait has a deadline, also before a server that fell silent."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import psycopg

from holdfast.errors import DatabaseUnavailable

_T = TypeVar("_T")
Connection = psycopg.AsyncConnection[Any]


async def connect(info: str, within_s: float) -> Connection:
    """Connect in autocommit mode with a whole libpq string. DatabaseUnavailable says why it is not possible."""
    try:
        async with asyncio.timeout(within_s):
            return await psycopg.AsyncConnection.connect(info, autocommit=True)
    except (psycopg.Error, OSError, TimeoutError) as error:
        why = f"no answer within {within_s:g} s" if isinstance(error, TimeoutError) else first_line(error)
        raise DatabaseUnavailable(f"PostgreSQL: {why}") from error


def drop(connection: Connection) -> None:
    """End the connection at once, whatever it is doing, without a word to the server."""
    connection.pgconn.finish()


async def answer(connection: Connection, statement: Awaitable[_T], within_s: float) -> _T:
    """What a statement on this connection returns.

    DatabaseUnavailable: no answer came in time, or the connection broke; it is closed. psycopg.Error: PostgreSQL
    answered no, and the connection is good.
    """
    running = asyncio.ensure_future(statement)
    try:
        await asyncio.wait({running}, timeout=within_s)
    finally:
        if not running.done():
            # first the connection: psycopg would else ask the silent server to cancel the statement, and wait
            drop(connection)
            running.cancel()
            await asyncio.wait({running}, timeout=1.0)
    if running.cancelled():
        raise DatabaseUnavailable(f"PostgreSQL: no answer within {within_s:g} s")
    try:
        return running.result()
    except psycopg.Error as error:
        if connection.closed:
            raise DatabaseUnavailable(f"PostgreSQL: {first_line(error)}") from error
        raise


def first_line(error: Exception) -> str:
    """What happened: the lines after it, in libpq's messages, are advice."""
    return (str(error).splitlines() or [type(error).__name__])[0]
