"""Platform numbers (tenants' own) and callback numbers (in pools)."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from holdfast.errors import InputError
from holdfast.plane import country_rules, db, provisioning, rows
from holdfast.plane.carriers import act_for
from holdfast.plane.provisioning import pool_id, tenant_id
from holdfast.plane.registered_addresses import stored_columns
from holdfast.plane.translation import translated


@dataclass(frozen=True, slots=True)
class PlatformNumberRecord:
    """A number that a tenant owns; `user` is the address of record it belongs to.

    `carrier`: the trunk group that owns it (O1), None for the platform's own offer. `location`: its registered
    address; `enhanced`: its calls go to the local PSAP with that, which is billed (C2). What others may do with
    the address is its carrier's word (O2).
    """

    number: str
    tenant: str
    outbound_enabled: bool
    user: str | None
    carrier: str | None
    location: str | None
    enhanced: bool
    may_set_address: bool
    may_change_address: bool
    may_delete_address: bool


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
        """select n.number, t.name as tenant, n.outbound_enabled, s.username || '@' || s.realm as user,
                  g.name as carrier, l.name as location, n.enhanced, n.may_set_address, n.may_change_address,
                  n.may_delete_address
           from platform_number n join tenant t on t.id = n.tenant_id left join subscriber s on s.number = n.number
                left join trunk_group g on g.id = n.trunk_group_id left join location l on l.id = n.location_id
           where %(tenant)s::integer is null or n.tenant_id = %(tenant)s
           order by n.number limit %(limit)s""",
        {"tenant": of_tenant, "limit": limit},
    )


def add_platform_numbers(
    connection: db.Connection, tenant: str, added: list[str], columns: Mapping[str, object]
) -> None:
    """Give a tenant numbers; all of them, or none. `columns` as the table has them, `carrier` and `location` by name.

    This is how a carrier uploads numbers, so it may say all of an address and of what others may do with it (O2).
    """
    with db.change(connection, f"number add {_some(added)} to {tenant}{_told(columns)}"):
        owner = tenant_id(connection, tenant)
        stored = stored_columns(connection, tenant, columns)
        names = sql.SQL(", ").join(map(sql.Identifier, ("number", "tenant_id", *stored)))
        values = sql.SQL(", ").join([sql.SQL("%s")] * (len(stored) + 1))
        query = sql.SQL("insert into platform_number ({}) select unnest(%s::text[]), {}").format(names, values)
        with translated():
            connection.execute(query, (added, owner, *stored.values()))


def change_platform_number(
    connection: db.Connection, number: str, columns: Mapping[str, object], *, for_carrier: str | None = None
) -> None:
    """As add_platform_numbers. What its carrier does not let others do is refused, unless it is done `for_carrier`."""
    with db.change(connection, f"number set {number}{_for(for_carrier)}{_told(columns)}"):
        tenant = rows.value(
            connection,
            "select t.name from platform_number n join tenant t on t.id = n.tenant_id where n.number = %s",
            (number,),
        )
        if tenant is None:
            raise InputError(f"{number} is not a platform number", mend="'holdfast number list' shows all")
        if for_carrier is not None:
            _act_for_its_carrier(connection, number, for_carrier)
        rows.update(connection, "platform_number", "number", number, stored_columns(connection, tenant, columns))


def _act_for_its_carrier(connection: db.Connection, number: str, carrier: str) -> None:
    group_id = act_for(connection, carrier)
    owner = rows.value(connection, "select trunk_group_id from platform_number where number = %s", (number,))
    if owner != group_id:
        raise InputError(
            f"{number} is not a number of carrier {carrier!r}", mend="'holdfast number list' shows whose it is"
        )


def _told(columns: Mapping[str, object]) -> str:
    """What the journal of changes keeps: also whether enhanced service, which is billed, was switched (C2)."""
    told = ", ".join(f"{name} {_word(value)}" for name, value in columns.items())
    return f": {told}" if told else ""


def _word(value: object) -> str:
    return "none" if value is None else {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _for(carrier: str | None) -> str:
    return "" if carrier is None else f" for carrier {carrier}"


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
