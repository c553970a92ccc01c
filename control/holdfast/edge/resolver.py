"""Trunks' host names, asked of DNS ahead of time: a call that waited for a name server would wait for the network.

An address that was found once is kept until DNS gives another; a name that stops resolving keeps its last address.
"""

import asyncio
import socket
import sqlite3
import time
from pathlib import Path

from holdfast.core.headers import is_address, is_nobodys
from holdfast.edge import store
from holdfast.edge.steps import transaction

ANSWERS_WITHIN_S = 5.0


async def resolve_trunks(path: Path) -> list[str]:
    """Look up the host name of every trunk once, and store what changed. Returns the names that have no address.

    Raises EdgeStoreUnavailable or sqlite3.Error when the store cannot be read or written.
    """
    connection = store.connect(path, create=False)
    try:
        names = [row[0] for row in connection.execute("select distinct host from trunk where enabled = 1")]
        unknown = []
        for name in names:
            if is_address(name):
                continue
            address = await _address_of(name)
            if address is not None:
                _remember(connection, name, address)
            elif not _is_known(connection, name):
                unknown.append(name)
        return unknown
    finally:
        connection.close()


async def _address_of(name: str) -> str | None:
    """The first IPv4 address of a name, or its first address of any kind; None when DNS knows none in time."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return None
    by_family = sorted(found, key=lambda answer: answer[0] != socket.AF_INET)
    addresses = (str(answer[4][0]) for answer in by_family)
    return next((address for address in addresses if not is_nobodys(address.partition("%")[0])), None)


def _remember(connection: sqlite3.Connection, name: str, address: str) -> None:
    known = connection.execute("select address from trunk_address where host = ?", (name,)).fetchone()
    if known and known[0] == address:
        return
    with transaction(connection):
        connection.execute(
            "insert into trunk_address (host, address, resolved_at) values (?, ?, ?)"
            " on conflict (host) do update set address = excluded.address, resolved_at = excluded.resolved_at",
            (name, address, time.time()),
        )
        # The routing code keeps the trunks of one revision in memory; this makes it read them again.
        connection.execute("update store set network_version = network_version + 1")


def _is_known(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("select 1 from trunk_address where host = ?", (name,)).fetchone() is not None
