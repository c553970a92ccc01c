"""Network elements: what a device is attached to, and the location that this makes it be at (O3, O8)."""

import ipaddress
import re
from dataclasses import dataclass

from holdfast.errors import InputError
from holdfast.plane import db, rows
from holdfast.plane.lookup import id_of, own_id
from holdfast.plane.translation import translated
from holdfast.plane.values import shown

SUBNET, BSSID, SWITCH, SWITCH_PORT = KINDS = ("subnet", "bssid", "switch", "switch_port")

_MAC = re.compile(r"[0-9a-f]{2}([:-]?)[0-9a-f]{2}(\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}")
_CHASSIS = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_PORT = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
#: A wider network says nothing about where somebody is.
_WIDEST = {4: 8, 6: 16}
#: More wider or narrower subnets are counted, not named.
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class NetworkElementRecord:
    tenant: str
    kind: str
    key: str
    location: str
    site: str | None


def canonical_key(kind: str, text: str) -> str:
    """The key as it is stored, and as edge nodes look it up. InputError for what no device can be attached to."""
    if kind == SUBNET:
        return _subnet(text)
    if kind == BSSID:
        return _bssid(text)
    if kind == SWITCH:
        if not _CHASSIS.fullmatch(text):
            raise InputError(
                f"{shown(text)} is not a switch's chassis id",
                mend="write it just as devices report it: 1 to 64 of letters, digits and _ . : -",
            )
        return text
    chassis, slash, port = text.partition("/")
    if not (slash and _CHASSIS.fullmatch(chassis) and _PORT.fullmatch(port)):
        raise InputError(
            f"{shown(text)} is not a switch's port", mend="write chassis id/port id just as devices report them"
        )
    return text


def _subnet(text: str) -> str:
    try:
        interface = ipaddress.ip_interface(text)
        if "%" in text:
            raise ValueError("a zone is a host's own name for one of its interfaces")
    except ValueError as error:
        raise InputError(f"{shown(text)} is not a subnet", mend="write 192.0.2.0/24 or 2001:db8::/32") from error
    network: ipaddress.IPv4Network | ipaddress.IPv6Network = interface.network
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        inside = interface.ip.ipv4_mapped if isinstance(interface.ip, ipaddress.IPv6Address) else None
        return _subnet(f"{inside}/{network.prefixlen - 96}")
    if interface.ip != network.network_address:
        raise InputError(
            f"{text} is an address within a subnet",
            mend=f"write the subnet, {network}, or the one host, {interface.ip}",
        )
    if network.prefixlen < _WIDEST[network.version]:
        raise InputError(
            f"{network} is half the world: it says of nobody where they are",
            mend=f"name the subnets of the location, at most as wide as /{_WIDEST[network.version]}",
        )
    is_old_ipv4 = network.version == 6 and int(network.network_address) < 1 << 32
    if network.is_multicast or is_old_ipv4:
        raise InputError(f"no device has an address in {network}", mend="name a subnet that devices are in")
    return str(network)


def _bssid(text: str) -> str:
    lower = text.lower()
    if not _MAC.fullmatch(lower):
        raise InputError(f"{shown(text)} is not a BSSID", mend="write it such as 00:11:22:aa:bb:cc")
    digits = re.sub("[^0-9a-f]", "", lower)
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        raise InputError(f"{text} is no access point's: it is a group's address or none", mend="correct it")
    return "-".join(digits[start : start + 2] for start in range(0, 12, 2))


def network_elements(
    connection: db.Connection, *, tenant: str | None = None, location: str | None = None, limit: int | None = None
) -> tuple[NetworkElementRecord, ...]:
    """Every network element (of one tenant, at one of its locations); at most `limit` of them."""
    scope = {
        "tenant": id_of(connection, "tenant", tenant) if tenant else None,
        "location": own_id(connection, "location", tenant, location) if tenant and location else None,
        "limit": limit,
    }
    return rows.select(
        connection,
        NetworkElementRecord,
        """select t.name as tenant, e.kind, e.element_key as key, l.name as location, s.name as site
           from network_element e join tenant t on t.id = e.tenant_id join location l on l.id = e.location_id
                left join site s on s.id = l.site_id
           where (%(tenant)s::integer is null or e.tenant_id = %(tenant)s)
             and (%(location)s::integer is null or e.location_id = %(location)s)
           order by t.name, e.kind, e.element_key limit %(limit)s""",
        scope,
    )


def add_network_element(connection: db.Connection, tenant: str, kind: str, key: str, location: str) -> tuple[str, ...]:
    """Say where devices on this element are; returns, for people, the subnets around and inside it.

    `key` as canonical_key gives it. InputError if the element has a location already: a device is in one place.
    """
    with db.change(connection, f"network-element add {kind} {key} at {location} of {tenant}"):
        owner = id_of(connection, "tenant", tenant)
        location_id = own_id(connection, "location", tenant, location)
        with translated():
            added = connection.execute(
                """insert into network_element (tenant_id, kind, element_key, location_id) values (%s, %s, %s, %s)
                   on conflict (tenant_id, kind, element_key) do nothing""",
                (owner, kind, key, location_id),
            ).rowcount
        if not added:
            where = rows.value(
                connection,
                """select l.name from network_element e join location l on l.id = e.location_id
                   where e.tenant_id = %s and e.kind = %s and e.element_key = %s""",
                (owner, kind, key),
            )
            raise InputError(
                f"{_words(kind)} {key} is at location {str(where)!r} already",
                mend="a device must be in one place: remove it there first ('holdfast network-element remove')",
            )
        return tuple(_nested(connection, owner, key)) if kind == SUBNET else ()


def _nested(connection: db.Connection, owner: int, key: str) -> list[str]:
    """The subnets that this one lies in, the narrowest first, and those that lie in it: the longest prefix counts."""
    found = rows.select(
        connection,
        _Nested,
        """select element_key as key, l.name as location, e.element_key::cidr >> %(key)s::cidr as is_wider
           from network_element e join location l on l.id = e.location_id
           where e.tenant_id = %(tenant)s and e.kind = 'subnet'
             and (e.element_key::cidr >> %(key)s::cidr or e.element_key::cidr << %(key)s::cidr)
           order by masklen(e.element_key::cidr) desc, e.element_key::cidr""",
        {"tenant": owner, "key": key},
    )
    told = []
    for is_wider, what in ((True, "it lies in"), (False, "within it lie")):
        subnets = [f"{row.key} ({row.location})" for row in found if row.is_wider is is_wider]
        if subnets:
            more = f" and {len(subnets) - _SHOWN} more" if len(subnets) > _SHOWN else ""
            told.append(f"{what} {', '.join(subnets[:_SHOWN])}{more}; the narrowest subnet counts")
    return told


@dataclass(frozen=True, slots=True)
class _Nested:
    key: str
    location: str
    is_wider: bool


def remove_network_element(connection: db.Connection, tenant: str, kind: str, key: str) -> None:
    """InputError if the tenant has no such element."""
    with db.change(connection, f"network-element remove {kind} {key} of {tenant}"):
        owner = id_of(connection, "tenant", tenant)
        with translated():
            removed = connection.execute(
                "delete from network_element where tenant_id = %s and kind = %s and element_key = %s",
                (owner, kind, key),
            ).rowcount
        if not removed:
            raise InputError(
                f"tenant {tenant!r} has no {_words(kind)} {key}",
                mend=f"'holdfast network-element list --tenant {tenant}' shows all",
            )


def _words(kind: str) -> str:
    return kind.replace("_", " ")
