"""The facts that an emergency call is decided on, read from the edge store: some ten short queries, no network.

`explain` asks the same function with what an operator says of a call that is not made.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from sqlite3 import Row

from holdfast.core import boundary, dialling
from holdfast.core.callers import Asserted
from holdfast.core.country import SERVED, Screening, country_of_number
from holdfast.core.dialling import DialRule
from holdfast.core.hops import RoutingRule
from holdfast.core.model import Caller, Network, PlatformNumber, Policy, PsapMethod, Site, Tenant
from holdfast.core.numbers import EmergencyMatch, may_be_emergency
from holdfast.core.place import Place, Shape, ShapeKind, civic_in_order
from holdfast.core.plan import CountryRule, Facts, serves
from holdfast.core.whereabouts import (
    CountryFinding,
    CountryHints,
    LocationSource,
    Validation,
    Whereabouts,
    chosen,
    country_of,
    suggested,
)
from holdfast.edge.store_reads import ProvisionedStore

#: What a device is attached to, from the narrowest to the widest: the first that is known says where it is (O3).
_ELEMENTS = ("bssid", "switch_port", "switch", "subnet")
#: Longer strings are telephone numbers and names: no mask or outline prefix makes an emergency number of them.
_LONGEST_DIALLED = 18


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a call says, and where it comes from. `attachments` are network elements: (kind, canonical key)."""

    dialled: str
    call_id: str
    caller: Caller
    #: the address that its packets came from
    address: str
    signalled_country: str = ""
    attachments: tuple[tuple[str, str], ...] = ()
    #: what the device says of where it is (PIDF-LO)
    places: tuple[Place, ...] = ()
    #: where strangers are held to be, if nothing says otherwise; None: nobody knows
    default_country: str | None = None
    #: where a screening centre passes the caller on to: a URI, "" for the PSAP that serves them; None: it does not (O6)
    transfer_to: str | None = None


def may_be_masked(store: ProvisionedStore, dialled: str) -> bool:
    """Whether some policy's mask or dial plan could make an emergency number of this: the sieve's second half."""
    if not 0 < len(dialled) <= _LONGEST_DIALLED:
        return False
    if store.rows("select 1 from policy_mask where dialled = ? limit 1", (dialled,)):
        return True
    prefixes = _prefixes(dialled)
    rows = store.rows(
        f"select distinct prefix, strip, prepend from dial_rule where prefix in ({_marks(prefixes)})",  # noqa: S608
        tuple(prefixes),
    )
    return any(may_be_emergency(dialling.translate(dialled, [DialRule(*row)])) for row in rows)


def facts_for(
    store: ProvisionedStore, incoming: Incoming, network: Network, ip_country: Callable[[str], str | None]
) -> Facts | None:
    """All that `core.plan.plan` wants to know. None: in the caller's country this is an ordinary number.

    `ip_country` tells an address's country, None where it is not reliable. Raises EdgeStoreUnavailable.
    """
    with store.at_one_moment():
        return _facts(store, incoming, network, ip_country)


def _facts(
    store: ProvisionedStore, incoming: Incoming, network: Network, ip_country: Callable[[str], str | None]
) -> Facts | None:
    caller = incoming.caller
    user, tenant = caller.subscriber, caller.tenant
    number = _number(store, caller)
    dynamic = _attached_to(store, incoming, network)
    site = _site(store, (dynamic.site_id if dynamic else None) or (user.site_id if user else None))
    places = _places(store, incoming, dynamic, number)
    hints = CountryHints(
        signalled=incoming.signalled_country,
        user=user.country if user else None,
        site=site.country if site else None,
        source_ip=ip_country(incoming.address),
        otherwise=(None if tenant.country_required else tenant.country) if tenant else incoming.default_country,
    )
    finding = country_of(hints, places)
    policy = _policy(store, caller, site)
    match = _match(store, incoming, finding, policy)
    if match is None:
        return None
    countries = country_of_number(number.number) if number else frozenset()
    rules = _country_rules(store, caller, {match.country, *countries})
    return Facts(
        match=match,
        country=finding,
        caller=caller,
        network=network,
        owns_outbound_number=tenant is None or store.owns_outbound_number(tenant.id),
        draw=incoming.call_id,
        places=_with_psaps(store, places, match.country, network),
        number=number,
        site=site,
        policy=policy,
        rules=_routing_rules(store, policy, caller),
        country_rules=rules.get(match.country, ()),
        number_is_served=not countries or any(serves(one, rules.get(one, ())) for one in countries),
        transfer_to=incoming.transfer_to,
    )


# What is dialled ----------------------------------------------------------------------------------------------------


def dial_rules(store: ProvisionedStore, tenant_id: int, dialled: str) -> tuple[DialRule, ...]:
    """The lines of a tenant's dial plan whose prefix this string has."""
    prefixes = _prefixes(dialled)
    rows = store.rows(
        f"select prefix, strip, prepend from dial_rule where tenant_id = ? and prefix in ({_marks(prefixes)})",  # noqa: S608
        (tenant_id, *prefixes),
    )
    return tuple(DialRule(row[0], row[1], row[2]) for row in rows)


def _prefixes(dialled: str) -> list[str]:
    return [dialled[:length] for length in range(1, min(len(dialled), 12) + 1)]


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


def _match(
    store: ProvisionedStore, incoming: Incoming, finding: CountryFinding, policy: Policy | None
) -> EmergencyMatch | None:
    # Where the country is not known, the call can only be refused (A6): if it would be one in any country served.
    countries = [finding.country] if finding.country else _perhaps_served(store)

    def matched(masks: Mapping[str, str], rules: tuple[DialRule, ...]) -> EmergencyMatch | None:
        matches = (dialling.classify(incoming.dialled, country, masks, rules) for country in countries)
        return next(filter(None, matches), None)

    found = matched({}, ())  # a country's own numbers come first: most calls need no look at the rest
    tenant = incoming.caller.tenant
    if found is not None or tenant is None:
        return found
    return matched(_masks(store, policy, incoming.dialled), dial_rules(store, tenant.id, incoming.dialled))


def _masks(store: ProvisionedStore, policy: Policy | None, dialled: str) -> Mapping[str, str]:
    """What the policy says is meant when this is dialled: dialled → the number that is meant (L2)."""
    if policy is None:
        return {}
    rows = store.rows("select dialled, sent from policy_mask where dialled = ? and policy_id = ?", (dialled, policy.id))
    return {row[0]: row[1] for row in rows}


def _perhaps_served(store: ProvisionedStore) -> list[str]:
    """Every country that the table, the platform or some tenant serves."""
    ruled = store.rows("select distinct country from country_rule where served = 1")
    return list(dict.fromkeys([*SERVED, *(row[0] for row in ruled)]))


# Who and under which rules ------------------------------------------------------------------------------------------


def asserted(store: ProvisionedStore, number: str | None, tenant: Tenant | None) -> Asserted:
    """What the word of this tenant's PBX, or of a carrier (None), on its caller's number is worth.

    A callback number is nobody's own: somebody may be calling back.
    """
    if number is None or store.is_pool_number(number):
        return Asserted()
    owned = store.platform_number(number)
    if owned is None or tenant is None or owned.tenant_id != tenant.id:
        return Asserted(number)
    user = store.subscriber_by_number(number)
    is_person = user is not None and user.tenant_id == tenant.id and not user.pbx
    return Asserted(number, vouched=True, user=user if is_person else None)


def _number(store: ProvisionedStore, caller: Caller) -> PlatformNumber | None:
    if caller.number is None or caller.tenant is None:
        return None
    number = store.platform_number(caller.number)
    return number if number and number.tenant_id == caller.tenant.id else None


def _site(store: ProvisionedStore, site_id: int | None) -> Site | None:
    rows = store.rows("select * from site where id = ?", (site_id,)) if site_id is not None else []
    return Site(**dict(rows[0])) if rows else None


def _policy(store: ProvisionedStore, caller: Caller, site: Site | None) -> Policy | None:
    """The policy that applies: the user's, else the site's, else the tenant's (L2)."""
    user, tenant = caller.subscriber, caller.tenant
    of = {"user": user and user.policy_id, "site": site and site.policy_id, "tenant": tenant and tenant.policy_id}
    for whose, policy_id in of.items():
        rows = store.rows("select * from policy where id = ?", (policy_id,)) if policy_id is not None else []
        if rows:
            row = rows[0]
            return Policy(
                row["id"], row["name"], whose, row["usage"], row["notification_uri"], row["conference_uri"],
                row["conference_mode"],
            )  # fmt: skip
    return None


def _routing_rules(store: ProvisionedStore, policy: Policy | None, caller: Caller) -> tuple[RoutingRule, ...]:
    if policy is None or policy.usage is None or caller.tenant is None:
        return ()
    rows = store.rows(
        "select emergency_number, trunk_group_id, position from routing_rule where tenant_id = ? and usage = ?",
        (caller.tenant.id, policy.usage),
    )
    return tuple(RoutingRule(*row) for row in rows)


def _country_rules(
    store: ProvisionedStore, caller: Caller, countries: set[str]
) -> Mapping[str, tuple[CountryRule, ...]]:
    # two searches of the index: with "or" SQLite would look at every tenant's rule for the country
    rules = "select country, tenant_id, served, screening, notify_desk from country_rule where country in"
    marks = _marks(countries)
    tenant_id = caller.tenant.id if caller.tenant else None
    rows = store.rows(
        f"{rules} ({marks}) and tenant_id is null union all {rules} ({marks}) and tenant_id = ?",
        (*countries, *countries, tenant_id),
    )
    found: dict[str, tuple[CountryRule, ...]] = {}
    for row in rows:
        rule = CountryRule(
            row["tenant_id"] is not None,
            None if row["served"] is None else bool(row["served"]),
            Screening(row["screening"]) if row["screening"] else None,
            None if row["notify_desk"] is None else bool(row["notify_desk"]),
        )
        found[row["country"]] = (*found.get(row["country"], ()), rule)
    return found


# Where --------------------------------------------------------------------------------------------------------------


def _attached_to(store: ProvisionedStore, incoming: Incoming, network: Network) -> Whereabouts | None:
    """The location of the narrowest network element that the administrator knows; subnets by their longest prefix."""
    if incoming.caller.tenant is None or not network.has_elements:
        return None
    asked = [*incoming.attachments, *(("subnet", key) for key in _subnets(incoming.address, network.subnet_lengths))]
    if not asked:
        return None
    order = {one: (_ELEMENTS.index(one[0]), place) for place, one in enumerate(asked)}
    kinds, keys = ({one[part] for one in asked} for part in (0, 1))
    # pairs of both, and not the pairs themselves: those SQLite would look for among all elements of the tenant
    rows = store.rows(
        f"""select e.kind, e.element_key, l.* from network_element e join location l on l.id = e.location_id
            where e.tenant_id = ? and e.kind in ({_marks(kinds)}) and e.element_key in ({_marks(keys)})""",  # noqa: S608
        (incoming.caller.tenant.id, *kinds, *keys),
    )
    found = (row for row in rows if (row["kind"], row["element_key"]) in order)
    row = min(found, key=lambda row: order[row["kind"], row["element_key"]], default=None)
    if row is None:
        return None
    return _whereabouts(row, LocationSource.DYNAMIC, f"{row['kind'].replace('_', ' ')} {row['element_key']}")


def _subnets(address: str, lengths: tuple[int, ...]) -> list[str]:
    """The networks of these prefix lengths that an address is in, the longest first, as they are stored."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return []
    if isinstance(host, ipaddress.IPv6Address):
        mapped = host.ipv4_mapped
        if mapped is None:
            usable = (length for length in sorted(lengths, reverse=True) if length <= 128)
            return [str(ipaddress.IPv6Network((host, length), strict=False)) for length in usable]
        host = mapped
    # by hand for IPv4: ipaddress's networks would cost more than all queries of the call together
    bits = int(host)
    found = []
    for length in sorted(lengths, reverse=True):
        if length <= 32:
            first = bits >> (32 - length) << (32 - length)
            octets = f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}"
            found.append(f"{octets}/{length}")
    return found


def _places(
    store: ProvisionedStore, incoming: Incoming, dynamic: Whereabouts | None, number: PlatformNumber | None
) -> tuple[Whereabouts, ...]:
    """Every place that is known of the caller, in order of precedence."""
    user = incoming.caller.subscriber
    wanted: dict[int, tuple[LocationSource, str]] = {}
    if number is not None and number.location_id is not None:
        wanted[number.location_id] = (LocationSource.REGISTERED, f"the registered address of {number.number}")
    if user is not None and user.confirmed_location_id is not None:
        wanted[user.confirmed_location_id] = (LocationSource.CONFIRMED, f"{user.username} confirmed it")
    rows = store.rows(f"select * from location where id in ({_marks(wanted)})", tuple(wanted)) if wanted else []  # noqa: S608
    known = [_whereabouts(row, *wanted[row["id"]]) for row in rows]
    order = list(LocationSource)
    found = [*([dynamic] if dynamic else []), *known, *map(suggested, incoming.places)]
    found.sort(key=lambda where: order.index(where.source))
    return tuple(found)


def _whereabouts(row: Row, source: LocationSource, why: str) -> Whereabouts:
    civic = {name: text for name, text in json.loads(row["civic"]).items() if isinstance(text, str)}
    place = Place(
        civic_in_order({"country": row["country"], **civic}) if civic else (),
        None if row["latitude"] is None else Shape(ShapeKind.POINT, ((row["latitude"], row["longitude"]),)),
    )
    return Whereabouts(
        source, place, Validation(row["validation"]), why, row["country"], row["id"], row["site_id"], row["name"],
        row["provider_location_id"],
    )  # fmt: skip


def _with_psaps(
    store: ProvisionedStore, places: tuple[Whereabouts, ...], country: str, network: Network
) -> tuple[Whereabouts, ...]:
    """The places, the one that counts with its PSAPs."""
    where = chosen(places, country)
    if where is None:
        return places
    psaps = _psaps(store, where, network)
    return tuple(replace(one, psap_uris=psaps) if one is where else one for one in places) if psaps else places


def _psaps(store: ProvisionedStore, where: Whereabouts, network: Network) -> dict[int, str]:
    """Those found ahead of time, and for a point that only came with the call, by boundary."""
    if not network.by_place:
        return {}
    found: dict[int, str] = {}
    if where.location_id is not None:
        rows = store.rows(
            "select trunk_group_id, psap_uri from location_psap where location_id = ?", (where.location_id,)
        )
        found = {row[0]: row[1] for row in rows}
    if where.place.shape is not None:
        latitude, longitude = where.place.shape.centre()
        for group in network.by_place:
            if group.psap_method is PsapMethod.BOUNDARY and group.id not in found:
                psap = _psap_at(store, group.id, latitude, longitude, network.boundary_height)
                if psap:
                    found[group.id] = psap
    return found


def _psap_at(store: ProvisionedStore, group_id: int, latitude: float, longitude: float, tallest: float) -> str | None:
    # no boundary that begins further south reaches here: the index leaves those out
    rows = store.rows(
        """select psap_uri, polygons from boundary
           where trunk_group_id = ? and min_latitude between ? and ? and max_latitude >= ? and min_longitude <= ?
             and max_longitude >= ? order by name""",
        (group_id, latitude - tallest, latitude, latitude, longitude, longitude),
    )
    return next((row[0] for row in rows if boundary.contains(json.loads(row[1]), latitude, longitude)), None)
