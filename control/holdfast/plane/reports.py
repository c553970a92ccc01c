"""What the nodes have shipped, as PostgreSQL holds it: copies of leases, calls in progress, the journal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.core.lease import Lease
from holdfast.plane import db, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedLease(Lease):
    """PostgreSQL's copy of a lease, with the name of the node that lent the number."""

    node: str


@dataclass(frozen=True, slots=True)
class ShippedCall:
    """A call that a node reported the start of, and not yet the end. `started_at` in UTC seconds."""

    node: str
    call_id: str
    kind: str
    lease_id: str | None
    number: str | None
    tenant_id: int | None
    started_at: float


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One shipped journal row. `at` in UTC seconds, by the node's clock."""

    node: str
    store_id: str
    seq: int
    at: float
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeaseConflict:
    """Two nodes reported that they lent one number at once, which must never happen (N3)."""

    at: datetime
    number: str
    kept_node: str
    dropped_node: str


def shipped_leases(connection: db.Connection) -> tuple[ShippedLease, ...]:
    """Every lease, the latest first."""
    return rows.select(
        connection,
        ShippedLease,
        """select n.name as node, l.id, l.number, l.pool_id, l.shared, l.caller_key, l.tenant_id, l.subscriber_id,
                  l.aor, l.display_name, l.contact_uri, l.source_uri, l.window_s, l.rest_s, l.first_dial_at,
                  l.last_end_at, l.marked_at, l.boot_id, l.boottime_s,
                  (select count(*) from call_in_progress c where c.lease_id = l.id) as calls
           from lease l join node n on n.id = l.node_id
           order by l.marked_at desc, l.id""",
    )


def shipped_calls(connection: db.Connection) -> tuple[ShippedCall, ...]:
    """Every call in progress, the oldest first."""
    return rows.select(
        connection,
        ShippedCall,
        """select n.name as node, c.call_id, c.kind, c.lease_id, c.number, c.tenant_id, c.started_at
           from call_in_progress c join node n on n.id = c.node_id order by c.started_at, c.call_id""",
    )


def journal_tail(connection: db.Connection, count: int) -> tuple[JournalRow, ...]:
    """The last `count` journal rows of all nodes, oldest first."""
    latest = rows.select(
        connection,
        JournalRow,
        """select n.name as node, j.store_id, j.seq, j.at, j.kind, j.payload
           from journal j join node n on n.id = j.node_id
           order by j.at desc, j.node_id desc, j.store_id desc, j.seq desc limit %s""",
        (count,),
    )
    return tuple(reversed(latest))


def lease_conflicts(connection: db.Connection) -> tuple[LeaseConflict, ...]:
    """Every breach of N3 that was ever reported, the latest first."""
    return rows.select(
        connection,
        LeaseConflict,
        """select c.at, c.number, k.name as kept_node, d.name as dropped_node
           from lease_conflict c join node k on k.id = c.kept_node_id join node d on d.id = c.dropped_node_id
           order by c.at desc""",
    )
