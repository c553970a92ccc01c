"""Rows of an edge store in tests: a small carrier with one tenant, written as the agent would write them."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from holdfast.core.lease import Moment
from holdfast.core.model import Caller, Pool, Subscriber, Tenant
from holdfast.edge.replica import Change, Replica

NODE_ID = 7
WINDOW_S = 3600
REST_S = 600

TENANT = Tenant(id=1, name="Acme", country="US", max_emergency_calls=10, security_desk="desk@example.org")
POOL = Pool(1, "platform", 1, "US", None, WINDOW_S, REST_S, 5)


@dataclass
class Clocks:
    """True time that only `passes`; the wall clock may be set besides, and the machine may reboot."""

    true_s: float = 1_700_000_000.0
    offset_s: float = 0.0
    boot: int = 1
    booted_s: float = 1_700_000_000.0 - 5_000.0

    def now(self) -> Moment:
        return Moment(self.true_s + self.offset_s, f"boot-{self.boot}", self.true_s - self.booted_s)

    def passes(self, seconds: float) -> Moment:
        self.true_s += seconds
        return self.now()

    def is_set_by(self, seconds: float) -> Moment:
        self.offset_s += seconds
        return self.now()

    def reboots(self) -> Moment:
        self.boot += 1
        self.booted_s = self.true_s
        self.offset_s = 0.0
        return self.now()


def row(connection: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    connection.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", tuple(values.values()))


def provision(connection: sqlite3.Connection, *, shared: str | None = None) -> None:
    """One tenant with an outbound number, one emergency trunk and one ordinary trunk, one pool; nothing to lend yet."""
    row(connection, "tenant", id=1, name="Acme", country="US", max_emergency_calls=10, security_desk="desk@example.org")
    row(connection, "platform_number", number="+12025550100", tenant_id=1, outbound_enabled=1)
    row(connection, "trunk_group", id=1, name="carrier", emergency=1, ordinary=1)
    for trunk_id, host in ((1, "192.0.2.1"), (2, "192.0.2.2")):
        row(connection, "trunk", id=trunk_id, trunk_group_id=1, name=f"carrier-{trunk_id}", host=host, port=5060,
            transport="udp", priority=trunk_id, weight=1, source_addresses=f'["{host}"]', enabled=1)  # fmt: skip
    pool(connection, POOL)
    if shared is not None:
        row(connection, "pool_number", number=shared, pool_id=1, shared=1)
    connection.execute("update store set node_id = ?, caught_up = 1, revision = revision + 1", (NODE_ID,))


def pool(connection: sqlite3.Connection, added: Pool) -> None:
    row(connection, "pool", id=added.id, name=added.name, trunk_group_id=added.trunk_group_id, country=added.country,
        tenant_id=added.tenant_id, window_s=added.window_s, rest_s=added.rest_s,
        target_idle=added.target_idle)  # fmt: skip


def own(connection: sqlite3.Connection, numbers: Iterable[str], *, pool_id: int = 1, rested_since: float = 0.0) -> None:
    """Numbers this node may lend; each has rested a second longer than the one after it."""
    for index, number in enumerate(numbers):
        row(connection, "pool_number", number=number, pool_id=pool_id, shared=0, owner_node_id=NODE_ID)
        row(connection, "number_state", number=number, rested_since=rested_since + index)


def take(replica: Replica, *changes: Change) -> None:
    """Let a replica have these rows, in as many steps as it needs."""
    waiting = list(changes)
    while waiting:
        waiting = waiting[replica.apply(waiting) :]


def journal(connection: sqlite3.Connection) -> list[tuple[str, dict[str, Any]]]:
    """Every journal row's kind and payload, oldest first."""
    rows = connection.execute("select kind, payload from journal order by seq")
    return [(kind, json.loads(payload)) for kind, payload in rows]


def subscriber(subscriber_id: int, **changes: Any) -> Subscriber:
    usual = Subscriber(
        id=subscriber_id, tenant_id=1, username=f"user{subscriber_id}", realm="example.org", ha1="0" * 32,
        display_name=f"User {subscriber_id}", number=f"+1202555{1000 + subscriber_id}", country=None,
        outbound_enabled=True, inbound_enabled=True, do_not_disturb=False, forward_to=None,
    )  # fmt: skip
    return replace(usual, **changes)


def store_subscriber(connection: sqlite3.Connection, user: Subscriber) -> None:
    row(connection, "subscriber", id=user.id, tenant_id=user.tenant_id, username=user.username, realm=user.realm,
        ha1=user.ha1, display_name=user.display_name, number=user.number, country=user.country,
        outbound_enabled=user.outbound_enabled, inbound_enabled=user.inbound_enabled,
        do_not_disturb=user.do_not_disturb, forward_to=user.forward_to)  # fmt: skip


def caller(subscriber_id: int) -> Caller:
    """A verified user on a phone of their own."""
    user = subscriber(subscriber_id)
    host = f"10.0.0.{subscriber_id}"
    return Caller(
        f"subscriber:{subscriber_id}", user.display_name, f"sip:{user.username}@{host}",
        f"sip:{host}:5060;transport=udp", subscriber=user, tenant=TENANT,
    )  # fmt: skip
