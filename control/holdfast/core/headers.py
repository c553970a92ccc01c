"""SIP header values taken apart and put together as text. Everything read here may be hostile."""

import ipaddress
import re
from dataclasses import dataclass

#: Identity that a caller's own equipment may send and that must not leave with an emergency call (A2), and the
#: headers by which it would ask us to hide the number the PSAP needs.
IDENTITY_HEADERS = (
    "P-Asserted-Identity", "P-Preferred-Identity", "P-Charging-Vector", "P-Charge-Info", "P-Called-Party-ID",
    "P-Access-Network-Info", "P-Associated-URI", "Remote-Party-ID", "RPID-Privacy", "Privacy", "Diversion",
    "History-Info", "Referred-By", "Reply-To", "Organization", "Identity", "Call-Info", "Alert-Info", "Subject",
    "User-Agent", "Server", "Authorization", "Proxy-Authorization", "Priority", "Warning",
)  # fmt: skip

_URI = re.compile(r"(?P<scheme>sips?):(?:(?P<user>[^@<>\s]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s;:?<>@\[\]]+)"
                  r"(?::(?P<port>[0-9]{1,5}))?(?P<params>(?:;[^\s?<>]*)?)", re.IGNORECASE)  # fmt: skip
#: What a phone needs to find its dialog again ("line" is Snom's); others could name its user.
_DEVICE_PARAMETERS = ("transport", "line", "ob")
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
        found = _URI.match(text.strip())
        if found is None:
            return None
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            return None
        return cls(found["scheme"].lower(), found["user"] or "", found["host"], port, found["params"] or "")


def display_name(text: str) -> str:
    """A display name that can stand between quotes in any header: no quotes, angle brackets or control characters."""
    return _UNSAFE_DISPLAY.sub("", text).strip()[:80]


def source_uri(address: str, port: int, transport: str) -> str:
    """The address that packets came from, as a next hop (Kamailio's $du)."""
    host = f"[{address}]" if ":" in address else address
    return f"sip:{host}:{port};transport={transport.lower()}"


def public_contact(contact: str, callback_number: str, address: str, port: int, transport: str) -> str:
    """The Contact that leaves with an emergency call: the callback number at the phone's own host.

    The user part would name the caller (A2); host, port and parameters stay, since phones match on them. The `alias`
    parameter carries where the packets really came from, for the way back through NAT (Kamailio's nathelper).
    """
    uri = SipUri.parse(contact)
    host = f"[{address}]" if ":" in address else address
    where = f"{host}:{port}"
    params = ""
    if uri is not None:
        where = uri.host + (f":{uri.port}" if uri.port else "")
        parts = (part for part in uri.params.split(";") if part.partition("=")[0].lower() in _DEVICE_PARAMETERS)
        params = "".join(f";{part}" for part in parts)
    proto = {"udp": 1, "tcp": 2, "tls": 3}.get(transport.lower(), 1)
    return f"<sip:{callback_number}@{where}{params};alias={host}~{port}~{proto}>"


def address_matches(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an IP address is one of these addresses or inside one of these networks."""
    try:
        source = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(source in ipaddress.ip_network(network, strict=False) for network in networks)


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
