"""Platform numbers (tenants' own) and callback numbers (in pools)."""

from dataclasses import dataclass

from holdfast.errors import InputError
from holdfast.plane import country_rules, db, provisioning, rows
from holdfast.plane.provisioning import pool_id, tenant_id
from holdfast.plane.translation import translated


@dataclass(frozen=True, slots=True)
class PlatformNumberRecord:
    """A number that a tenant owns; `user` is the address of record it belongs to."""

    number: str
    tenant: str
    outbound_enabled: bool
    user: str | None


@dataclass(frozen=True, slots=True)
class PoolNumberRecord:
    """A callback number; `owner` is the node that may lend it, `held` says that a lease is live or resting."""

    number: str
    shared: bool
    owner: str | None
    held: bool


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How many numbers of a pool one node owns, and how many of those are lent or rest. `node` None: free, unowned."""

    node: str | None
    numbers: int
    held: int
    shared: int

    @property
    def idle(self) -> int:
        return self.numbers - self.held - self.shared


def platform_numbers(
    connection: db.Connection, *, tenant: str | None = None, limit: int | None = None
) -> tuple[PlatformNumberRecord, ...]:
    """Every platform number (of one tenant), in order; at most `limit` of them."""
    of_tenant = tenant_id(connection, tenant) if tenant else None
    return rows.select(
        connection,
        PlatformNumberRecord,
        """select n.number, t.name as tenant, n.outbound_enabled, s.username || '@' || s.realm as user
           from platform_number n join tenant t on t.id = n.tenant_id left join subscriber s on s.number = n.number
           where %(tenant)s::integer is null or n.tenant_id = %(tenant)s
           order by n.number limit %(limit)s""",
        {"tenant": of_tenant, "limit": limit},
    )


def add_platform_numbers(connection: db.Connection, tenant: str, added: list[str], *, outbound: bool) -> None:
    """Give a tenant numbers; all of them, or none."""
    with db.change(connection, f"number add {_some(added)} to {tenant}"):
        owner = tenant_id(connection, tenant)
        with translated():
            connection.execute(
                "insert into platform_number (number, tenant_id, outbound_enabled) select unnest(%s::text[]), %s, %s",
                (added, owner, outbound),
            )


def change_platform_number(connection: db.Connection, number: str, *, outbound: bool) -> None:
    with db.change(connection, f"number set {number}: outbound_enabled"):
        if not rows.value(connection, "select true from platform_number where number = %s", (number,)):
            raise InputError(f"{number} is not a platform number", mend="'holdfast number list' shows all")
        rows.update(connection, "platform_number", "number", number, {"outbound_enabled": outbound})


def add_pool_numbers(connection: db.Connection, pool: str, added: list[str], *, shared: bool) -> None:
    """Put callback numbers into a pool; all of them, or none. InputError if one is of another country than the pool."""
    with db.change(connection, f"pool add-numbers {_some(added)} to {pool}"):
        target = provisioning.pool(connection, pool)
        for number in added:
            country_rules.number_of_country(number, target.country)
        with translated():
            connection.execute(
                "insert into pool_number (number, pool_id, shared) select unnest(%s::text[]), %s, %s",
                (added, target.id, shared),
            )


def pool_numbers(connection: db.Connection, pool: str, *, limit: int | None = None) -> tuple[PoolNumberRecord, ...]:
    """The numbers of a pool, in order; at most `limit` of them. `held` by what the nodes have reported."""
    return rows.select(
        connection,
        PoolNumberRecord,
        """select p.number, p.shared, n.name as owner,
                  exists (select from lease l where l.number = p.number and is_held(l)) as held
           from pool_number p left join node n on n.id = p.owner_node_id
           where p.pool_id = %s order by p.number limit %s""",
        (pool_id(connection, pool), limit),
    )


def pool_use(connection: db.Connection, pool: str) -> tuple[PoolUse, ...]:
    """The pool's numbers counted by owner, the unowned ones last."""
    return rows.select(
        connection,
        PoolUse,
        """select n.name as node, count(*) as numbers,
                  count(*) filter (where not p.shared
                                   and exists (select from lease l where l.number = p.number and is_held(l))) as held,
                  count(*) filter (where p.shared) as shared
           from pool_number p left join node n on n.id = p.owner_node_id
           where p.pool_id = %s group by n.name order by n.name nulls last""",
        (pool_id(connection, pool),),
    )


def _some(added: list[str]) -> str:
    return added[0] if len(added) == 1 else f"{added[0]} and {len(added) - 1} more"
