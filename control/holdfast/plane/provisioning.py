"""Tenants, nodes, trunk groups, trunks and pools: created, changed and listed. Names are the keys people use.

Every function that writes is one transaction (see db.change). All raise InputError for what PostgreSQL refuses, and
DatabaseUnavailable when it is away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from holdfast.errors import InputError
from holdfast.plane import db, rows


@dataclass(frozen=True, slots=True)
class TenantRecord:
    id: int
    name: str
    country: str
    max_emergency_calls: int
    security_desk: str | None
    users: int
    numbers: int


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """An edge node; `owned_numbers` counts the callback numbers it claimed."""

    id: int
    name: str
    sip_address: str
    sip_port: int
    owned_numbers: int


@dataclass(frozen=True, slots=True)
class TrunkGroupRecord:
    id: int
    name: str
    emergency: bool
    ordinary: bool
    trunks: int


@dataclass(frozen=True, slots=True)
class TrunkRecord:
    id: int
    name: str
    trunk_group: str
    host: str
    port: int
    transport: str
    priority: int
    weight: int
    source_addresses: list[str]
    enabled: bool


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A pool of callback numbers; `tenant` None: the platform's, for every tenant. Times in seconds."""

    id: int
    name: str
    trunk_group: str
    country: str
    tenant: str | None
    window_s: int
    rest_s: int
    target_idle: int
    numbers: int


# Tenants

_TENANTS = """select t.id, t.name, t.country, t.max_emergency_calls, t.security_desk,
                     (select count(*) from subscriber s where s.tenant_id = t.id) as users,
                     (select count(*) from platform_number p where p.tenant_id = t.id) as numbers
              from tenant t """


def tenants(connection: db.Connection) -> tuple[TenantRecord, ...]:
    """Every tenant, by name."""
    return rows.select(connection, TenantRecord, _TENANTS + "order by t.name")


def tenant(connection: db.Connection, name: str) -> TenantRecord:
    """One tenant; InputError if there is none of that name."""
    return rows.select(connection, TenantRecord, _TENANTS + "where t.id = %s", (tenant_id(connection, name),))[0]


def tenant_id(connection: db.Connection, name: str) -> int:
    """The id of a tenant; InputError if there is none of that name."""
    return _id(connection, "tenant", name)


def create_tenant(connection: db.Connection, columns: Mapping[str, object]) -> None:
    """`columns` of table tenant; name and country are needed."""
    with db.change(connection, f"tenant create {columns['name']}"):
        rows.insert(connection, "tenant", columns)


def change_tenant(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    with db.change(connection, f"tenant set {name}: {', '.join(columns)}"):
        rows.update(connection, "tenant", "id", tenant_id(connection, name), columns)


# Nodes


def nodes(connection: db.Connection) -> tuple[NodeRecord, ...]:
    """Every edge node, by name."""
    return rows.select(
        connection,
        NodeRecord,
        """select n.id, n.name, host(n.sip_address) as sip_address, n.sip_port,
                  (select count(*) from pool_number p where p.owner_node_id = n.id) as owned_numbers
           from node n order by n.name""",
    )


def create_node(connection: db.Connection, name: str, sip_address: str, sip_port: int) -> None:
    with db.change(connection, f"node create {name}"):
        rows.insert(connection, "node", {"name": name, "sip_address": sip_address, "sip_port": sip_port})


# Trunk groups and trunks


def trunk_groups(connection: db.Connection) -> tuple[TrunkGroupRecord, ...]:
    """Every trunk group, by name."""
    return rows.select(
        connection,
        TrunkGroupRecord,
        """select g.id, g.name, g.emergency, g.ordinary,
                  (select count(*) from trunk t where t.trunk_group_id = g.id) as trunks
           from trunk_group g order by g.name""",
    )


def trunk_group_id(connection: db.Connection, name: str) -> int:
    """The id of a trunk group; InputError if there is none of that name."""
    return _id(connection, "trunk_group", name)


def create_trunk_group(connection: db.Connection, name: str, *, emergency: bool, ordinary: bool) -> None:
    with db.change(connection, f"trunk-group create {name}"):
        rows.insert(connection, "trunk_group", {"name": name, "emergency": emergency, "ordinary": ordinary})


def trunks(connection: db.Connection) -> tuple[TrunkRecord, ...]:
    """Every trunk, in the order in which they are tried."""
    return rows.select(
        connection,
        TrunkRecord,
        """select t.id, t.name, g.name as trunk_group, t.host, t.port, t.transport, t.priority, t.weight,
                  array(select regexp_replace(a::text, '/(32|128)$', '') from unnest(t.source_addresses) a)
                      as source_addresses,
                  t.enabled
           from trunk t join trunk_group g on g.id = t.trunk_group_id
           order by g.name, t.priority, t.weight desc, t.id""",
    )


def create_trunk(connection: db.Connection, group: str, columns: Mapping[str, object]) -> None:
    """`columns` of table trunk but the group; name, host and source_addresses are needed."""
    with db.change(connection, f"trunk create {columns['name']}"):
        rows.insert(
            connection, "trunk", {"trunk_group_id": trunk_group_id(connection, group), **_with_addresses(columns)}
        )


def change_trunk(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    with db.change(connection, f"trunk set {name}: {', '.join(columns)}"):
        rows.update(connection, "trunk", "id", _id(connection, "trunk", name), _with_addresses(columns))


def _with_addresses(columns: Mapping[str, object]) -> dict[str, object]:
    addresses = columns.get("source_addresses")
    if not isinstance(addresses, Sequence):
        return dict(columns)
    # as text, so that psycopg need not guess a type for an array of addresses and networks
    return {**columns, "source_addresses": "{" + ",".join(map(str, addresses)) + "}"}


# Pools


def pools(connection: db.Connection) -> tuple[PoolRecord, ...]:
    """Every pool, by name."""
    return rows.select(
        connection,
        PoolRecord,
        """select p.id, p.name, g.name as trunk_group, p.country, t.name as tenant, p.window_s, p.rest_s, p.target_idle,
                  (select count(*) from pool_number n where n.pool_id = p.id) as numbers
           from pool p join trunk_group g on g.id = p.trunk_group_id left join tenant t on t.id = p.tenant_id
           order by p.name""",
    )


def pool_id(connection: db.Connection, name: str) -> int:
    """The id of a pool; InputError if there is none of that name."""
    return _id(connection, "pool", name)


def create_pool(connection: db.Connection, group: str, tenant: str | None, columns: Mapping[str, object]) -> None:
    """`columns` of table pool but the group and the tenant; name and country are needed."""
    with db.change(connection, f"pool create {columns['name']}"):
        owner = {"tenant_id": tenant_id(connection, tenant)} if tenant else {}
        rows.insert(connection, "pool", {"trunk_group_id": trunk_group_id(connection, group), **owner, **columns})


def _id(connection: db.Connection, table: LiteralString, name: str) -> int:
    query = sql.SQL("select id from {} where name = %s").format(sql.Identifier(table))
    found = rows.value(connection, query, (name,))
    if found is None:
        raise InputError(
            f"there is no {table.replace('_', ' ')} {name!r}",
            mend=f"'holdfast {table.replace('_', '-')} list' shows the names there are",
        )
    return int(found)
