"""Tenants, nodes and pools: created, changed and listed. Names are the keys people use.

Every function that writes is one transaction (see db.change). All raise InputError for what PostgreSQL refuses, and
DatabaseUnavailable when it is away.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.plane import db, rows
from holdfast.plane.lookup import Pointers, id_of, with_own_ids


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant. `country_required`: its country is no statement of where its callers are (A6)."""

    id: int
    name: str
    country: str
    max_emergency_calls: int
    max_test_calls: int
    country_required: bool
    policy: str | None
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
class PoolRecord:
    """A pool of callback numbers; `tenant` None: the platform's, for every tenant. Times in seconds.

    `site`: lent to callers there alone; `location`: to callers at that one location, who are known by the number (L7).
    """

    id: int
    name: str
    trunk_group: str
    country: str
    tenant: str | None
    site: str | None
    location: str | None
    window_s: int
    rest_s: int
    target_idle: int
    numbers: int


# Tenants

_TENANTS = """select t.id, t.name, t.country, t.max_emergency_calls, t.max_test_calls, t.country_required,
                     (select p.name from policy p where p.id = t.policy_id) as policy, t.security_desk,
                     (select count(*) from subscriber s where s.tenant_id = t.id) as users,
                     (select count(*) from platform_number p where p.tenant_id = t.id) as numbers
              from tenant t """
_POLICY: Pointers = {"policy": ("policy_id", "policy")}


def tenants(connection: db.Connection) -> tuple[TenantRecord, ...]:
    """Every tenant, by name."""
    return rows.select(connection, TenantRecord, _TENANTS + "order by t.name")


def tenant(connection: db.Connection, name: str) -> TenantRecord:
    """One tenant; InputError if there is none of that name."""
    return rows.select(connection, TenantRecord, _TENANTS + "where t.id = %s", (tenant_id(connection, name),))[0]


def tenant_id(connection: db.Connection, name: str) -> int:
    """The id of a tenant; InputError if there is none of that name."""
    return id_of(connection, "tenant", name)


def create_tenant(connection: db.Connection, columns: Mapping[str, object]) -> None:
    """`columns` of table tenant; name and country are needed."""
    with db.change(connection, f"tenant create {columns['name']}"):
        rows.insert(connection, "tenant", columns)


def change_tenant(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    """`columns` of table tenant; `policy` is the name of one of its own, or None."""
    with db.change(connection, f"tenant set {name}: {', '.join(columns)}"):
        stored = with_own_ids(connection, name, columns, _POLICY)
        rows.update(connection, "tenant", "id", tenant_id(connection, name), stored)


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


# Pools

_POOLS = """select p.id, p.name, g.name as trunk_group, p.country, t.name as tenant, s.name as site, l.name as location,
                   p.window_s, p.rest_s, p.target_idle,
                   (select count(*) from pool_number n where n.pool_id = p.id) as numbers
            from pool p join trunk_group g on g.id = p.trunk_group_id left join tenant t on t.id = p.tenant_id
                 left join site s on s.id = p.site_id left join location l on l.id = p.location_id """
_PLACES: Pointers = {"site": ("site_id", "site"), "location": ("location_id", "location")}


def pools(connection: db.Connection) -> tuple[PoolRecord, ...]:
    """Every pool, by name."""
    return rows.select(connection, PoolRecord, _POOLS + "order by p.name")


def pool(connection: db.Connection, name: str) -> PoolRecord:
    """One pool; InputError if there is none of that name."""
    return rows.select(connection, PoolRecord, _POOLS + "where p.id = %s", (pool_id(connection, name),))[0]


def pool_id(connection: db.Connection, name: str) -> int:
    """The id of a pool; InputError if there is none of that name."""
    return id_of(connection, "pool", name)


def create_pool(connection: db.Connection, group: str, tenant: str | None, columns: Mapping[str, object]) -> None:
    """`columns` of table pool but the group and the tenant; name and country are needed, `site` and `location` names.

    InputError if it contradicts its trunk group: another country, another tenant, a location that the carrier cannot
    tell by the number.
    """
    with db.change(connection, f"pool create {columns['name']}"):
        owner = {"tenant_id": tenant_id(connection, tenant)} if tenant else {}
        stored = with_own_ids(connection, tenant, columns, _PLACES)
        group_id = id_of(connection, "trunk_group", group)
        rows.insert(connection, "pool", {"trunk_group_id": group_id, **owner, **stored})


def change_pool(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    """Times, the idle target, and `site` and `location` by name. Never the carrier, the country or the tenant: numbers
    that are lent would be called back over another carrier, or for another tenant.
    """
    with db.change(connection, f"pool set {name}: {', '.join(columns)}"):
        found = pool(connection, name)
        rows.update(connection, "pool", "id", found.id, with_own_ids(connection, found.tenant, columns, _PLACES))
