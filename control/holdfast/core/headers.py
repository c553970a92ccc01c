"""SIP header values taken apart and put together as text. Everything read here may be hostile."""

import functools
import ipaddress
import re
from dataclasses import dataclass

#: Identity that a caller's own equipment may send and that must not leave with an emergency call (A2), and the
#: headers by which it would ask us to hide the number the PSAP needs.
IDENTITY_HEADERS = (
    "P-Asserted-Identity", "P-Preferred-Identity", "P-Charging-Vector", "P-Charge-Info", "P-Called-Party-ID",
    "P-Access-Network-Info", "P-Associated-URI", "Remote-Party-ID", "RPID-Privacy", "Privacy", "Diversion",
    "History-Info", "Referred-By", "Reply-To", "Organization", "Identity", "Call-Info", "Alert-Info", "Subject",
    "User-Agent", "Server", "Authorization", "Proxy-Authorization", "Priority", "Warning", "P-Served-User",
    "P-User-Database", "Identity-Info", "User-to-User",
)  # fmt: skip

_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@<>\s]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<params>(?:;[^\s?<>]*)?)(?:\?[^\s<>]*)?",
    re.IGNORECASE | re.ASCII,
)
#: What a phone needs to find its dialog again ("line" is Snom's); others could name its user.
_DEVICE_PARAMETERS = ("transport", "line", "ob")
_PARAMETER = re.compile(r"[\w.!~*'%+/:&$\[\]-]+(?:=[\w.!~*'%+/:&$\[\]-]+)?", re.ASCII)  # RFC 3261 §25.1 other-param
_UNSAFE_DISPLAY = re.compile(r'["\\<>\x00-\x1f\x7f-\x9f]')


@dataclass(frozen=True, slots=True)
class SipUri:
    """The parts of a sip: URI that routing needs. `params` keeps its leading semicolon."""

    scheme: str
    user: str
    host: str
    port: int | None
    params: str

    @classmethod
    def parse(cls, text: str) -> "SipUri | None":
        """None when it is not a sip: or sips: URI that we would send a request to."""
        found = _URI.fullmatch(text.strip())
        if found is None:
            return None
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            return None
        return cls(found["scheme"].lower(), found["user"] or "", found["host"], port, found["params"] or "")


def display_name(text: str) -> str:
    """A display name that can stand between quotes in any header: no quotes, angle brackets or control characters."""
    return _UNSAFE_DISPLAY.sub("", text).strip()[:80]


def uri_host(host: str) -> str:
    """A host name or an address as it stands in a URI: IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def source_uri(address: str, port: int, transport: str) -> str:
    """The address that packets came from, as a next hop (Kamailio's $du)."""
    return f"sip:{uri_host(address)}:{port};transport={transport.lower()}"


def public_contact(contact: str, callback_number: str, address: str, port: int, transport: str) -> str:
    """The Contact that leaves with an emergency call: the callback number at the phone's own host.

    The user part would name the caller (A2); host, port and parameters stay, since phones match on them. The `alias`
    parameter carries where the packets really came from, for the way back through NAT (Kamailio's nathelper).
    """
    uri = SipUri.parse(contact)
    host = uri_host(address)
    where = f"{host}:{port}"
    params = ""
    if uri is not None:
        where = uri.host + (f":{uri.port}" if uri.port else "")
        kept = (part for part in uri.params.split(";") if part.partition("=")[0].lower() in _DEVICE_PARAMETERS)
        params = "".join(f";{part}" for part in kept if _PARAMETER.fullmatch(part))
    proto = {"udp": 1, "tcp": 2, "tls": 3}.get(transport.lower(), 1)
    return f"<sip:{callback_number}@{where}{params};alias={host}~{port}~{proto}>"


def address_matches(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an IP address is one of these addresses or inside one of these networks; what is neither matches none."""
    try:
        source = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(known is not None and source in known for known in map(_network, networks))


@functools.lru_cache(maxsize=4096)  # asked for every trunk at every message
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_nobodys(address: str) -> bool:
    """Whether an IP address is no host's: "any", multicast or broadcast. What is sent to "any" comes back to us."""
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255"


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
