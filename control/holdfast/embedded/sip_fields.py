"""The parts of SIP header values that the media server looks into: addresses, URIs and Via (RFC 3261 §20, §25)."""

import ipaddress
import re
from dataclasses import dataclass, field

from holdfast.embedded.sip_message import SipParseError

DEFAULT_PORT = 5060
Address = tuple[str, int]

_SIP_URI = re.compile(
    r"sips?:(?:([^@]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?((?:;[^?]*)?)(\?.*)?", re.IGNORECASE
)
_VIA = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*(\w+)\s+(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?:\s*:\s*(\d{1,5}))?\s*(;.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip: or sips: URI; `user` as it stands (escapes kept), `host` without brackets, `port` None if not named."""

    user: str
    host: str
    port: int | None
    parameters: dict[str, str | None] = field(default_factory=dict)

    @property
    def address(self) -> Address | None:
        """Where to send for this URI, if its host is an address and not a name."""
        try:
            host = str(ipaddress.ip_address(self.host))
        except ValueError:
            return None
        return host, self.port or DEFAULT_PORT


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A From, To, Contact or Route value. `display` as it stands, quotes included; `uri` of any scheme."""

    display: str
    uri: str
    parameters: dict[str, str | None] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        return self.parameters.get("tag") or ""

    @property
    def display_text(self) -> str:
        """The name without its quotes and their escapes."""
        if len(self.display) > 1 and self.display[0] == self.display[-1] == '"':
            return re.sub(r"\\(.)", r"\1", self.display[1:-1], flags=re.DOTALL)
        return self.display

    @property
    def user(self) -> str:
        """The part of the URI that says who: the user of a sip: URI, the number of a tel: URI, else nothing."""
        scheme, _, rest = self.uri.partition(":")
        if scheme.lower() == "tel":
            return rest.partition(";")[0]
        try:
            return parse_uri(self.uri).user
        except SipParseError:
            return ""


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value."""

    host: str
    port: int | None
    parameters: dict[str, str | None]

    @property
    def branch(self) -> str:
        return self.parameters.get("branch") or ""

    @property
    def sent_by(self) -> str:
        return f"{self.host.lower()}:{self.port or DEFAULT_PORT}"


def parse_uri(text: str) -> SipUri:
    """Read a sip: or sips: URI. Raises SipParseError for anything else."""
    found = _SIP_URI.fullmatch(text)
    if not found or (found[3] and int(found[3]) > 65535):
        raise SipParseError("not a SIP URI")
    host = found[2].strip("[]")
    port = int(found[3]) if found[3] else None
    return SipUri(found[1] or "", host, port, _parameters(found[4]))


def parse_name_addr(value: str) -> NameAddr:
    """Read a name-addr or addr-spec with its parameters. Raises SipParseError."""
    value = value.strip()
    display, rest = "", value
    if value.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', value, re.DOTALL)
        if not end:
            raise SipParseError("a display name's quote is not closed")
        display, rest = end[0], value[end.end() :].lstrip()
        if not rest.startswith("<"):
            raise SipParseError("no address after the display name")
    if "<" not in rest:
        uri, semicolon, parameters = rest.partition(";")
        return NameAddr("", _not_empty(uri.strip()), _parameters(semicolon + parameters))
    before, _, rest = rest.partition("<")
    uri, closed, parameters = rest.partition(">")
    if not closed:
        raise SipParseError("an address's bracket is not closed")
    return NameAddr(display or before.strip(), _not_empty(uri.strip()), _parameters(parameters))


def parse_via(value: str) -> Via:
    """Read one Via value. Raises SipParseError."""
    found = _VIA.fullmatch(value.strip())
    if not found or (found[3] and int(found[3]) > 65535):
        raise SipParseError("a Via header is malformed")
    return Via(found[2].strip("[]"), int(found[3]) if found[3] else None, _parameters(found[4] or ""))


def _not_empty(uri: str) -> str:
    if not uri or re.search(r"\s", uri):
        raise SipParseError("an address has no usable URI")
    return uri


def _parameters(text: str) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    for part in re.findall(r';((?:[^;"]|"(?:[^"\\]|\\.)*")*)', text):
        name, equals, value = part.partition("=")
        if name.strip():
            parameters.setdefault(name.strip().lower(), value.strip() if equals else None)
    return parameters
