"""A small strict parser of SIP messages (RFC 3261), for assertions: what it does not understand it refuses.

Bytes that are not UTF-8 survive as surrogates (`surrogateescape`); `SipMessage.raw` always holds the very bytes.
"""

import re
from dataclasses import dataclass
from functools import cached_property

#: RFC 3261 section 7.3.3 and later registrations: compact header names.
COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to",
    "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_REQUEST = re.compile(r"([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP/2\.0")
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*)", re.DOTALL)


class SipParseError(ValueError):
    """The bytes are not a SIP message."""


@dataclass(frozen=True)
class NameAddr:
    """A From, To, Contact, P-Asserted-Identity…: display name (unquoted), URI, header parameters."""

    display_name: str
    uri: str
    parameters: dict[str, str]

    @property
    def user(self) -> str:
        """The URI's user part, without password and parameters; empty if it has none."""
        scheme, _, rest = self.uri.partition(":")
        if scheme.lower() == "tel":
            return rest.split(";")[0]
        return rest.rpartition("@")[0].split(";")[0].split(":")[0]

    @property
    def host(self) -> str:
        """The URI's host, without port and parameters."""
        hostport = self.uri.partition(":")[2].rpartition("@")[2].split(";")[0].split("?")[0]
        return hostport.partition("]")[0] + "]" if hostport.startswith("[") else hostport.split(":")[0]


@dataclass(frozen=True)
class SipMessage:
    """A parsed message. Header names are lower-case long forms, in the order they stood."""

    start_line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    @property
    def is_request(self) -> bool:
        return not self.start_line.startswith("SIP/2.0 ")

    @cached_property
    def method(self) -> str:
        """A request's method, or that of the request a response answers (from CSeq)."""
        return self.start_line.split(" ")[0] if self.is_request else self.one("cseq").split()[1]

    @property
    def request_uri(self) -> str:
        if not self.is_request:
            raise ValueError(f"a response has no Request-URI: {self.start_line}")
        return self.start_line.split(" ")[1]

    @property
    def status(self) -> int:
        """A response's status code; 0 for a request."""
        return 0 if self.is_request else int(self.start_line[8:11])

    @property
    def reason(self) -> str:
        return "" if self.is_request else self.start_line[12:]

    @property
    def call_id(self) -> str:
        return self.one("call-id")

    def all(self, name: str) -> list[str]:
        """The header fields of this name (long form, any case), as they stood."""
        wanted = name.lower()
        return [value for header, value in self.headers if header == wanted]

    def one(self, name: str) -> str:
        """The only header field of this name; ValueError when there is none or more than one."""
        found = self.all(name)
        if len(found) != 1:
            raise ValueError(f"{len(found)} header fields {name!r} in: {self.start_line}")
        return found[0]

    def get(self, name: str) -> str | None:
        """The only header field of this name, or None when there is none."""
        return self.one(name) if self.all(name) else None

    def values(self, name: str) -> list[str]:
        """All values of a header that may hold several, separated by commas or repeated."""
        return [value for line in self.all(name) for value in split_values(line)]

    def address(self, name: str) -> NameAddr:
        """The only value of an address header."""
        found = self.values(name)
        if len(found) != 1:
            raise ValueError(f"{len(found)} values of {name!r} in: {self.start_line}")
        return parse_address(found[0])

    def __contains__(self, text: str | bytes) -> bool:
        """Whether the bytes occur anywhere in the message."""
        return (text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text) in self.raw


def parse(raw: bytes) -> SipMessage:
    """Parse one whole message; SipParseError says what is wrong with it."""
    head, blank, rest = raw.partition(b"\r\n\r\n")
    if not blank:
        raise SipParseError("no empty line after the headers")
    # A folded line belongs to the one before (section 7.3.1).
    text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
    start_line, *lines = text.split("\r\n")
    if not (_REQUEST.fullmatch(start_line) or _RESPONSE.fullmatch(start_line)):
        raise SipParseError(f"bad start line {start_line!r}")
    headers = tuple(_header(line) for line in lines)
    lengths = [value for name, value in headers if name == "content-length"]
    if len(lengths) > 1:
        raise SipParseError("more than one Content-Length")
    length = _content_length(lengths[0]) if lengths else len(rest)
    if length != len(rest):
        raise SipParseError(f"Content-Length is {length}, the body has {len(rest)} bytes")
    return SipMessage(start_line, headers, rest, raw)


def declared_length(head: bytes) -> int:
    """The Content-Length of a message's head (what stands before the empty line); 0 if none is given."""
    found = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([0-9]+)[ \t]*\r?$", head)
    return int(found[1]) if found else 0


def split_values(value: str) -> list[str]:
    """Split at commas outside quoted strings and angle brackets."""
    parts, depth, quoted, start, i = [], 0, False, 0, 0
    while i < len(value):
        character = value[i]
        if quoted and character == "\\":
            i += 1
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character == "<") - (character == ">")
            if character == "," and depth == 0:
                parts.append(value[start:i].strip())
                start = i + 1
        i += 1
    parts.append(value[start:].strip())
    return parts


def parse_address(value: str) -> NameAddr:
    """Parse a name-addr or addr-spec with its header parameters (RFC 3261 section 20.10)."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\s*<([^>]*)>(.*)$', value, re.DOTALL)
    plain = re.match(r'\s*([^"<]*)<([^>]*)>(.*)$', value, re.DOTALL)
    if quoted:
        return NameAddr(re.sub(r"\\(.)", r"\1", quoted[1]), quoted[2], _parameters(quoted[3]))
    if plain:
        return NameAddr(plain[1].strip(), plain[2], _parameters(plain[3]))
    if '"' in value or "<" in value:
        raise SipParseError(f"bad address {value!r}")
    uri, _, parameters = value.strip().partition(";")  # without brackets, parameters belong to the header
    return NameAddr("", uri, _parameters(";" + parameters))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    stripped = name.rstrip(" \t")
    if not colon or not _TOKEN.fullmatch(stripped):
        raise SipParseError(f"bad header line {line!r}")
    lower = stripped.lower()
    return COMPACT.get(lower, lower), value.strip()


def _content_length(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise SipParseError(f"bad Content-Length {value!r}")
    return int(value)


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        if name:
            found[name.lower()] = value.strip('"')
    return found
