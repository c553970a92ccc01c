"""IP addresses that say nothing about a country, whatever any table says of them.

Sources: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and the IPv6 address space registry, read
with the RFC of each line. Globally routed anycast of one purpose (AS112, AMT) is among them: it is used everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network


class Unreliable(StrEnum):
    """Why an address has no country that could be relied on. The value completes "unreliable: "."""

    NOT_AN_ADDRESS = "this is not an IP address"
    UNSPECIFIED = "an unspecified address ('this host', RFC 1122 §3.2.1.3, RFC 4291 §2.5.2)"
    PRIVATE = "a private address, used in every country (RFC 1918, RFC 4193)"
    SHARED = "a carrier's shared address behind its NAT (RFC 6598)"
    LOOPBACK = "a loopback address, which never leaves its machine"
    LINK_LOCAL = "a link-local address, which never leaves its network"
    DOCUMENTATION = "an address for documentation and examples only (RFC 5737, RFC 3849, RFC 9637)"
    MULTICAST = "a multicast address, which nobody sends from"
    RESERVED = "an address that is reserved for another purpose (RFC 6890)"
    ANYCAST = "an anycast address that is used in many countries (RFC 7534, RFC 7535, RFC 7450)"
    TUNNEL = "a tunnel or translator stands between (6to4, Teredo, NAT64)"
    NOT_IN_TABLE = "the table does not know this address"
    MARKED = "the network is marked as unreliable (such as a VPN's)"
    CONTRADICTED = "the table's sources disagree about this address or about its /64"
    NO_COUNTRY = "the table's source gives it no country of ISO 3166-1 (such as EU, AP, XX, A1)"


@dataclass(frozen=True, slots=True)
class SpecialRanges:
    """Where each range begins (integers, ascending, the first is 0) and what it is; None is an ordinary address."""

    starts: Sequence[int]
    reasons: Sequence[Unreliable | None]


_V4 = {
    "0.0.0.0/8": Unreliable.UNSPECIFIED,
    "10.0.0.0/8": Unreliable.PRIVATE,
    "100.64.0.0/10": Unreliable.SHARED,
    "127.0.0.0/8": Unreliable.LOOPBACK,
    "169.254.0.0/16": Unreliable.LINK_LOCAL,  # RFC 3927
    "172.16.0.0/12": Unreliable.PRIVATE,
    "192.0.0.0/24": Unreliable.RESERVED,  # IETF protocol assignments
    "192.0.2.0/24": Unreliable.DOCUMENTATION,
    "192.31.196.0/24": Unreliable.ANYCAST,  # AS112 by DNAME, RFC 7535
    "192.52.193.0/24": Unreliable.ANYCAST,  # AMT, RFC 7450
    "192.88.99.0/24": Unreliable.TUNNEL,  # 6to4 relays, RFC 7526
    "192.168.0.0/16": Unreliable.PRIVATE,
    "192.175.48.0/24": Unreliable.ANYCAST,  # AS112, RFC 7534
    "198.18.0.0/15": Unreliable.RESERVED,  # benchmarks, RFC 2544
    "198.51.100.0/24": Unreliable.DOCUMENTATION,
    "203.0.113.0/24": Unreliable.DOCUMENTATION,
    "224.0.0.0/4": Unreliable.MULTICAST,  # RFC 1112
    "240.0.0.0/4": Unreliable.RESERVED,  # and the broadcast address
}

#: Only 2000::/3 has been given out as global unicast (RFC 4291 §2.4, IANA); IPv4-mapped addresses are read as IPv4.
_V6 = {
    "::/0": Unreliable.RESERVED,
    "::/128": Unreliable.UNSPECIFIED,
    "::1/128": Unreliable.LOOPBACK,
    "64:ff9b::/96": Unreliable.TUNNEL,  # NAT64, RFC 6052
    "64:ff9b:1::/48": Unreliable.TUNNEL,  # local NAT64, RFC 8215
    "2000::/3": None,
    "2001::/23": Unreliable.RESERVED,  # IETF protocol assignments, RFC 2928
    "2001::/32": Unreliable.TUNNEL,  # Teredo, RFC 4380
    "2001:db8::/32": Unreliable.DOCUMENTATION,
    "2002::/16": Unreliable.TUNNEL,  # 6to4, RFC 3056
    "2620:4f:8000::/48": Unreliable.ANYCAST,  # AS112, RFC 7534
    "3fff::/20": Unreliable.DOCUMENTATION,
    "fc00::/7": Unreliable.PRIVATE,
    "fe80::/10": Unreliable.LINK_LOCAL,
    "fec0::/10": Unreliable.PRIVATE,  # site-local, deprecated by RFC 3879
    "ff00::/8": Unreliable.MULTICAST,
}


def _flat(texts: dict[str, Unreliable | None]) -> SpecialRanges:
    """The networks as ranges that do not overlap: the longest prefix decides."""
    networks: list[tuple[IPv4Network | IPv6Network, Unreliable | None]] = [
        (ip_network(text), reason) for text, reason in texts.items()
    ]
    end = 1 << networks[0][0].max_prefixlen
    cuts = {0}
    for network, _ in networks:
        first = int(network.network_address)
        cuts |= {first, first + network.num_addresses} - {end}
    starts = sorted(cuts)
    return SpecialRanges(tuple(starts), tuple(_longest(networks, start) for start in starts))


def _longest(networks: list[tuple[IPv4Network | IPv6Network, Unreliable | None]], value: int) -> Unreliable | None:
    around = [
        (network.prefixlen, reason)
        for network, reason in networks
        if int(network.network_address) <= value <= int(network.broadcast_address)
    ]
    return max(around, key=lambda known: known[0])[1] if around else None


V4_SPECIAL = _flat(dict(_V4))
V6_SPECIAL = _flat(_V6)
