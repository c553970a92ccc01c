"""Location policies with their masks, and the routing rules of the usages that they name (L1, L2, D8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.core.country import PLANS
from holdfast.errors import InputError
from holdfast.plane import country_rules, db, rows
from holdfast.plane.lookup import id_of, own_id
from holdfast.plane.routing_values import Mask
from holdfast.plane.translation import translated


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy. `masks` as typed, 0911=911. It applies to `users` and `sites` that name it, and maybe to the tenant."""

    id: int
    tenant: str
    name: str
    usage: str | None
    notification_uri: str | None
    conference_uri: str | None
    conference_mode: str | None
    masks: list[str]
    users: int
    sites: int
    tenant_default: bool


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A routing rule: emergency calls of a usage leave over this group. `policies` name the usage."""

    id: int
    tenant: str
    usage: str
    number: str
    position: int
    trunk_group: str
    policies: int


# Policies

_POLICIES = """select p.id, t.name as tenant, p.name, p.usage, p.notification_uri, p.conference_uri, p.conference_mode,
                      array(select m.dialled || '=' || m.sent from policy_mask m where m.policy_id = p.id
                            order by m.dialled) as masks,
                      (select count(*) from subscriber s where s.policy_id = p.id) as users,
                      (select count(*) from site s where s.policy_id = p.id) as sites,
                      coalesce(t.policy_id = p.id, false) as tenant_default
               from policy p join tenant t on t.id = p.tenant_id """


def policies(connection: db.Connection, tenant: str | None = None) -> tuple[PolicyRecord, ...]:
    """Every policy (of one tenant), by tenant and name."""
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    return rows.select(
        connection,
        PolicyRecord,
        _POLICIES + "where %(tenant)s::integer is null or p.tenant_id = %(tenant)s order by t.name, p.name",
        {"tenant": of_tenant},
    )


def policy(connection: db.Connection, tenant: str, name: str) -> PolicyRecord:
    """One policy; InputError if the tenant has none of that name."""
    found = own_id(connection, "policy", tenant, name)
    return rows.select(connection, PolicyRecord, _POLICIES + "where p.id = %s", (found,))[0]


def create_policy(
    connection: db.Connection, tenant: str, name: str, columns: Mapping[str, object], masks: Iterable[Mask] = ()
) -> None:
    """`columns` of table policy but the tenant and the name."""
    with db.change(connection, f"policy create {name} of {tenant}"):
        owner = id_of(connection, "tenant", tenant)
        rows.insert(connection, "policy", {"tenant_id": owner, "name": name, **columns})
        _set_masks(connection, tenant, own_id(connection, "policy", tenant, name), masks)


def change_policy(
    connection: db.Connection,
    tenant: str,
    name: str,
    columns: Mapping[str, object],
    masks: Iterable[Mask] = (),
    unmasked: Iterable[str] = (),
) -> None:
    """`masks` are added, or replace those that are dialled alike; `unmasked` are dialled strings to forget."""
    with db.change(connection, f"policy set {name} of {tenant}: {', '.join(columns) or 'masks'}"):
        policy_id = own_id(connection, "policy", tenant, name)
        if columns:
            rows.update(connection, "policy", "id", policy_id, columns)
        for dialled in unmasked:
            with translated():
                gone = connection.execute(
                    "delete from policy_mask where policy_id = %s and dialled = %s", (policy_id, dialled)
                )
            if not gone.rowcount:
                raise InputError(
                    f"policy {name!r} has no mask for {dialled}",
                    mend=f"'holdfast policy show {name} --tenant {tenant}' shows those it has",
                )
        _set_masks(connection, tenant, policy_id, masks)


def delete_policy(connection: db.Connection, tenant: str, name: str) -> None:
    """Delete a policy with its masks; InputError while a user, a site or the tenant has it."""
    with db.change(connection, f"policy delete {name} of {tenant}"):
        rows.delete(connection, "policy", "id", own_id(connection, "policy", tenant, name))


def _set_masks(connection: db.Connection, tenant: str, policy_id: int, masks: Iterable[Mask]) -> None:
    served = country_rules.served(connection, tenant)
    taken: set[str] = set()
    for mask in masks:
        if mask.dialled in taken:
            raise InputError(f"{mask.dialled} is masked twice", mend="give each dialled string once")
        taken.add(mask.dialled)
        _check_mask(mask, served)
        with translated():
            connection.execute(
                """insert into policy_mask (policy_id, dialled, sent) values (%s, %s, %s)
                   on conflict (policy_id, dialled) do update set sent = excluded.sent""",
                (policy_id, mask.dialled, mask.sent),
            )


def _check_mask(mask: Mask, served: Iterable[str]) -> None:
    """A mask that could never count, or would deceive whoever reads it, is not taken (N7)."""
    if mask.sent not in country_rules.emergency_numbers() | country_rules.test_numbers():
        raise InputError(
            f"{mask.sent} is no emergency number in any country, so {mask.dialled} cannot stand for it",
            mend="'holdfast country list' shows each country's numbers",
        )
    reached: dict[str, list[str]] = {}
    for code in served:
        plan = PLANS[code]
        meant = plan.emergency.get(mask.dialled) or (mask.dialled if mask.dialled in plan.readback else None)
        if meant is not None and meant != mask.sent:
            reached.setdefault(meant, []).append(code)
    for meant, codes in reached.items():
        raise InputError(
            f"{mask.dialled} reaches {meant} in {country_rules.some(codes)}, and no mask may change that",
            mend=f"leave it out, or let something else stand for {mask.sent}",
        )


# Routing rules


def routes(connection: db.Connection, tenant: str | None = None) -> tuple[RouteRecord, ...]:
    """Every routing rule (of one tenant), each usage's in the order in which its carriers are tried."""
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    return rows.select(
        connection,
        RouteRecord,
        """select r.id, t.name as tenant, r.usage, r.emergency_number as number, r.position, g.name as trunk_group,
                  (select count(*) from policy p where p.tenant_id = r.tenant_id and p.usage = r.usage) as policies
           from routing_rule r join tenant t on t.id = r.tenant_id join trunk_group g on g.id = r.trunk_group_id
           where %(tenant)s::integer is null or r.tenant_id = %(tenant)s
           order by t.name, r.usage, r.emergency_number = '*', r.emergency_number, r.position""",
        {"tenant": of_tenant},
    )


def add_route(
    connection: db.Connection, tenant: str, usage: str, number: str, group: str, position: int | None = None
) -> int:
    """Let calls to `number` ("*": every one) of a usage leave over a group; after those it has, unless at `position`.

    Returns the position. InputError if it is taken, the number is nowhere an emergency number, or the group is another
    tenant's or carries no emergency calls.
    """
    _check_route_number(number)
    with db.change(connection, f"route add {usage} {number} of {tenant}"):
        owner = id_of(connection, "tenant", tenant)
        if position is None:
            query = """select coalesce(max(position), 0) + 1 from routing_rule
                       where tenant_id = %s and usage = %s and emergency_number = %s"""
            position = int(rows.value(connection, query, (owner, usage, number)))
        columns = {
            "tenant_id": owner, "usage": usage, "emergency_number": number, "position": position,
            "trunk_group_id": id_of(connection, "trunk_group", group),
        }  # fmt: skip
        rows.insert(connection, "routing_rule", columns)
    return position


def remove_route(
    connection: db.Connection, tenant: str, usage: str, number: str, position: int | None = None
) -> RouteRecord:
    """Remove one rule, and return what it was. InputError if there is none, or several and no position is given."""
    with db.change(connection, f"route remove {usage} {number} of {tenant}"):
        found = [
            rule for rule in routes(connection, tenant)
            if (rule.usage, rule.number) == (usage, number) and position in (None, rule.position)
        ]  # fmt: skip
        if not found:
            raise InputError(
                f"tenant {tenant!r} has no such rule",
                mend=f"'holdfast route list --tenant {tenant}' shows those it has",
            )
        if len(found) > 1:
            raise InputError(f"usage {usage!r} has {len(found)} rules for {number}", mend="say which with --position")
        rows.delete(connection, "routing_rule", "id", found[0].id)
    return found[0]


def reaches(country: str, number: str) -> bool:
    """Whether the number is an emergency or test number in the country."""
    return number in PLANS[country].emergency or number in PLANS[country].readback


def usage_has_rules(connection: db.Connection, tenant: str, usage: str) -> bool:
    """Whether any routing rule of the tenant is for this usage: without one its calls take the direct offer (D8)."""
    return any(rule.usage == usage for rule in routes(connection, tenant))


def _check_route_number(number: str) -> None:
    if number == "*" or number in country_rules.emergency_numbers() | country_rules.test_numbers():
        return
    reached = sorted({plan.emergency[number] for plan in PLANS.values() if number in plan.emergency})
    if reached:
        raise InputError(
            f"{number} is sent as {reached[0]}, by which rules know it", mend=f"route {reached[0]} instead"
        )
    raise InputError(
        f"{number} is no emergency number in any country",
        mend="'holdfast country list' shows each country's numbers; * routes every one",
    )
