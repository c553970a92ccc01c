"""SIP messages (RFC 3261 §7), byte for byte and without I/O.

Text is held as latin-1, one character per byte: whatever bytes a PSAP's switch puts into a name pass through unharmed,
and no Unicode rule can split a line (UTF-8 bytes such as 0x85 are line ends to str.splitlines).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError

_COMPACT = {
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "x": "session-expires",
}
_SPELLING = {"call-id": "Call-ID", "cseq": "CSeq"}
#: Headers whose values may stand in one line with commas between them.
_LISTS = frozenset({"via", "route", "record-route", "contact", "require", "supported", "allow"})

_NAME = r"[A-Za-z0-9.!%*_+`'~-]+"
_HEADER = re.compile(rf"({_NAME})[ \t]*:[ \t]*(.*?)[ \t]*", re.DOTALL)
_REQUEST_LINE = re.compile(rf"({_NAME}) (\S+) SIP/2\.0")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?")
_CSEQ = re.compile(rf"(\d{{1,10}})[ \t]+({_NAME})")
_FORBIDDEN = re.compile(r"[\x00\r\n]")


class SipParseError(HoldfastError):
    """A datagram is not a SIP message."""


@dataclass
class SipMessage:
    """Headers in their order, names in lower case and never compact; the body as it came."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header (lower-case name), or the default."""
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of a header, one list item each even where several stand in one line."""
        values = [value for key, value in self.headers if key == name]
        if name not in _LISTS:
            return values
        return [part for value in values for part in split_list(value)]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.headers)

    def tokens(self, name: str) -> set[str]:
        """The option tags of Require, Supported and the like, in lower case."""
        return {value.strip().lower() for value in self.all(name)}

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method. Raises SipParseError if the header is missing or malformed."""
        found = _CSEQ.fullmatch(self.get("cseq"))
        if not found or int(found[1]) >= 2**31:
            raise SipParseError("no usable CSeq")
        return int(found[1]), found[2]

    def _encode(self, first_line: str) -> bytes:
        lines = [first_line]
        for name, value in self.headers:
            # a name or value from outside must never end a line early and add a header of its own
            lines.append(f"{_SPELLING.get(name) or name.title()}: {_FORBIDDEN.sub(' ', value)}")
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass
class Request(SipMessage):
    """`method` and Request-URI as they stand in the first line."""

    method: str = ""
    uri: str = ""

    def encode(self) -> bytes:
        return self._encode(f"{self.method} {self.uri} SIP/2.0")


@dataclass
class Response(SipMessage):
    """`status` 100 to 699."""

    status: int = 0
    reason: str = ""

    def encode(self) -> bytes:
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")


def parse(datagram: bytes) -> Request | Response:
    """Read one UDP datagram. Raises SipParseError; what a missing header means is the receiver's business."""
    head, blank, body = datagram.partition(b"\r\n\r\n")
    if not blank:
        raise SipParseError("no empty line after the headers")
    first, *rest = head.decode("latin-1").split("\r\n")
    message = _first_line(first)
    lengths = []
    for line in _unfolded(rest):
        found = _HEADER.fullmatch(line)
        if not found or _FORBIDDEN.search(line):
            raise SipParseError("a header line is malformed")
        name = found[1].lower()
        name = _COMPACT.get(name, name)
        if name == "content-length":
            lengths.append(found[2])
        else:
            message.headers.append((name, found[2]))
    message.body = body[: _body_length(lengths, len(body))]
    return message


def _first_line(line: str) -> Request | Response:
    if found := _STATUS_LINE.fullmatch(line):
        return Response(status=int(found[1]), reason=found[2] or "")
    if found := _REQUEST_LINE.fullmatch(line):
        return Request(method=found[1], uri=found[2])
    raise SipParseError("the first line is neither a request's nor a response's")


def _unfolded(lines: Iterable[str]) -> list[str]:
    # RFC 3261 §7.3.1: a line that begins with white space continues the one before
    whole: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and whole:
            whole[-1] = f"{whole[-1].rstrip()} {line.strip()}"
        else:
            whole.append(line)
    return whole


def _body_length(values: list[str], present: int) -> int:
    if not values:
        return present  # over UDP the datagram's end is the body's (§18.3)
    if len(set(values)) > 1 or not re.fullmatch(r"\d{1,9}", values[0]):
        raise SipParseError("no usable Content-Length")
    length = int(values[0])
    if length > present:
        raise SipParseError("the body is cut short")
    return length


def split_list(value: str) -> list[str]:
    """Split at commas that stand neither in quotes nor in angle brackets."""
    parts: list[str] = []
    start = depth = 0
    quoted = escaped = False
    for index, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "<>":
            depth += 1 if character == "<" else -1
        elif character == "," and depth == 0:
            parts.append(value[start:index].strip())
            start = index + 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]
