"""Rows that SQL tests begin with."""

import time
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.plane import db

NODES = 3


def provision(admin: db.Connection, *, pool_numbers: int = 0) -> None:
    """Tenant 1 'acme' and 2 'other', nodes 1 to 3, an emergency trunk group 1 and a pool 1 with numbers +1312…"""
    admin.execute("insert into tenant (name, country) values ('acme', 'US'), ('other', 'US')")
    for node in range(1, NODES + 1):
        admin.execute("insert into node (name, sip_address, sip_port) values (%s, '192.0.2.1', %s)",
                      (f"edge-{node}", 5060 + node))  # fmt: skip
    admin.execute("insert into trunk_group (name, emergency) values ('psap', true)")
    admin.execute("insert into pool (name, trunk_group_id, country) values ('us', 1, 'US')")
    admin.execute(
        "insert into pool_number (number, pool_id) select '+1' || (3120000000 + n), 1 from generate_series(1, %s) n",
        (pool_numbers,),
    )


def pool_number(index: int) -> str:
    """The index-th number that `provision` put into the pool, from 1."""
    return f"+1{3120000000 + index}"


def lease_row(lease_id: str, number: str, **changed: Any) -> dict[str, Any]:
    """A lease as sql/edge.sql keeps it, lent now."""
    now = time.time()
    row = {
        "id": lease_id, "number": number, "pool_id": 1, "shared": 0, "caller_key": f"subscriber:{lease_id}",
        "tenant_id": 1, "subscriber_id": 1, "aor": "alice@example.com", "display_name": "Alice",
        "contact_uri": "sip:alice@192.0.2.9", "source_uri": "sip:192.0.2.9:5060;transport=udp", "window_s": 3600,
        "rest_s": 3600, "first_dial_at": now, "last_end_at": None, "marked_at": now,
        "boot_id": "00000000-0000-0000-0000-000000000001", "boottime_s": 12.5,
    }  # fmt: skip
    return {**row, **changed}


def entry(seq: int, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """One journal row as the agent ships it."""
    return {"seq": seq, "at": time.time(), "kind": kind, "payload": payload}


def ship(agent: db.Connection, *entries: dict[str, Any], node: int = 1, store: str = "store-1") -> int:
    """Ship journal rows; the highest seq that PostgreSQL then holds of the store."""
    row = agent.execute("select ship_journal(%s, %s, %s)", (node, store, Jsonb(list(entries)))).fetchone()
    assert row is not None
    return int(str(row[0]))
