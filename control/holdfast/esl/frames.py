"""Bytes from FreeSWITCH's event socket → frames and events. Pure: no socket, no clock.

A frame is a block of `Name: value` lines ended by an empty line, then `Content-Length` bytes of body. Lines are split
on the raw bytes before any value is URL-decoded, so that an encoded newline in a value can never forge a header. Only a
line feed ends a line: a lone carriage return or a NUL is data.

Source: `mod_event_socket.c` (listener_run, read_packet) and `switch_event_serialize` of FreeSWITCH 1.10.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from holdfast.errors import EslProtocolError

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024

Headers = tuple[tuple[str, str], ...]


class _Fields:
    """Look-ups by name over headers kept in order, duplicates included; names are compared without regard to case."""

    __slots__ = ()
    headers: Headers

    def get(self, name: str, default: str = "") -> str:
        """The first value of that name."""
        return next(self._values(name), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        return tuple(self._values(name))

    def _values(self, name: str) -> Iterator[str]:
        wanted = name.lower()
        return (value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True)
class Frame(_Fields):
    """One frame as it stood on the wire; its values are not URL-decoded."""

    headers: Headers
    body: bytes = b""

    @property
    def content_type(self) -> str:
        return self.get("Content-Type").strip().lower()


@dataclass(frozen=True, slots=True)
class Event(_Fields):
    """One event, or the reply to `connect`: values URL-decoded, `body` as sent."""

    headers: Headers
    body: bytes = b""

    @property
    def name(self) -> str:
        return self.get("Event-Name")

    @property
    def channel_uuid(self) -> str:
        return self.get("Unique-ID")

    def variable(self, name: str) -> str:
        """A channel variable as the event carries it; empty when unset."""
        return self.get(f"variable_{name}")


class ParserState(StrEnum):
    BETWEEN = "between"  # no byte of the next frame yet, but perhaps empty lines
    HEADERS = "headers"
    BODY = "body"
    BROKEN = "broken"  # a violation was seen; where the next frame begins can no longer be known


class Token(StrEnum):
    EMPTY_LINE = "empty line, and no body was announced"
    EMPTY_LINE_BEFORE_BODY = "empty line, and a body was announced"
    HEADER_LINE = "header line"
    BODY_COMPLETE = "the announced number of body bytes"
    VIOLATION = "something no FreeSWITCH sends"


#: Every change of the parser's state; a pair that is not here cannot arise.
TRANSITIONS: Mapping[tuple[ParserState, Token], ParserState] = MappingProxyType(
    {
        (ParserState.BETWEEN, Token.EMPTY_LINE): ParserState.BETWEEN,
        (ParserState.BETWEEN, Token.HEADER_LINE): ParserState.HEADERS,
        (ParserState.BETWEEN, Token.VIOLATION): ParserState.BROKEN,
        (ParserState.HEADERS, Token.HEADER_LINE): ParserState.HEADERS,
        (ParserState.HEADERS, Token.EMPTY_LINE): ParserState.BETWEEN,  # a frame without a body is complete
        (ParserState.HEADERS, Token.EMPTY_LINE_BEFORE_BODY): ParserState.BODY,
        (ParserState.HEADERS, Token.VIOLATION): ParserState.BROKEN,
        (ParserState.BODY, Token.BODY_COMPLETE): ParserState.BETWEEN,  # a frame with a body is complete
    }
)


class FrameParser:
    """Feed it what the socket gave, in pieces of any size; it gives back the frames they complete.

    EslProtocolError: the bytes are no ESL, or exceed a limit (in bytes). Frames completed by the same piece are lost
    with it, and the parser refuses everything else, because it cannot know where the next frame begins: close the
    connection.
    """

    def __init__(self, *, max_header_bytes: int = MAX_HEADER_BYTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._searched = 0  # no line feed stands in the buffer before this offset
        self._state = ParserState.BETWEEN
        self._complete: list[Frame] = []
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._body_length: int | None = None

    @property
    def state(self) -> ParserState:
        return self._state

    def feed(self, data: bytes) -> list[Frame]:
        if self._state is ParserState.BROKEN:
            raise EslProtocolError("the event socket sent something that is no frame; nothing after it can be read")
        self._buffer += data
        while self._take_body() if self._state is ParserState.BODY else self._take_line():
            pass
        frames, self._complete = self._complete, []
        return frames

    def _take_line(self) -> bool:
        line = self._next_line()
        if line is None:
            return False
        if line:
            self._add_header(line)
        elif self._body_length:
            self._move(Token.EMPTY_LINE_BEFORE_BODY)
        else:
            in_frame = self._state is ParserState.HEADERS
            self._move(Token.EMPTY_LINE)
            if in_frame:
                self._finish(b"")
        return True

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        length = len(self._buffer) if end < 0 else end + 1
        if self._header_bytes + length > self._max_header_bytes:
            raise self._violation(f"a header block of more than {self._max_header_bytes} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._searched = 0
        if line or self._state is ParserState.HEADERS:
            self._header_bytes += length
        return line

    def _add_header(self, line: bytes) -> None:
        try:
            name, value = split_header(line)
            if name.lower() == "content-length":
                self._body_length = self._content_length(value)
        except EslProtocolError as error:
            raise self._violation(str(error)) from error
        self._headers.append((name, value))
        self._move(Token.HEADER_LINE)

    def _content_length(self, value: str) -> int:
        length = content_length(value)
        if length > self._max_body_bytes:
            raise EslProtocolError(f"a body of {length} bytes was announced; the limit is {self._max_body_bytes}")
        if self._body_length not in (None, length):
            raise EslProtocolError("two different Content-Length headers in one frame")
        return length

    def _take_body(self) -> bool:
        length = self._body_length or 0
        if len(self._buffer) < length:
            return False
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._move(Token.BODY_COMPLETE)
        self._finish(body)
        return True

    def _finish(self, body: bytes) -> None:
        self._complete.append(Frame(tuple(self._headers), body))
        self._headers = []
        self._header_bytes = 0
        self._searched = 0
        self._body_length = None

    def _move(self, token: Token) -> None:
        self._state = TRANSITIONS[self._state, token]

    def _violation(self, what: str) -> EslProtocolError:
        self._move(Token.VIOLATION)
        self._buffer.clear()
        return EslProtocolError(what)


def split_header(line: bytes) -> tuple[str, str]:
    """One raw line → name and value, neither decoded further; the name keeps any odd spaces, so it matches nothing."""
    name, colon, value = line.partition(b":")
    if not colon or not name or name[:1] in (b" ", b"\t"):
        raise EslProtocolError("a line that is no header")
    return text(name), text(value.lstrip(b" "))


def content_length(value: str) -> int:
    """Bytes; FreeSWITCH writes plain digits and nothing else."""
    digits = value.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        raise EslProtocolError("a Content-Length that is no number")
    return int(digits)


def text(raw: bytes) -> str:
    """Bytes as people read them: UTF-8, or else Latin-1, which any bytes are (a caller chooses those of its name)."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def url_decoded(headers: Headers) -> Headers:
    """Values URL-decoded; FreeSWITCH encodes the values of events and of the `connect` reply, and no others."""
    return tuple((name, text(unquote_to_bytes(value)) if "%" in value else value) for name, value in headers)


def event_of_connect_reply(frame: Frame) -> Event:
    """The channel's data, which FreeSWITCH sends as the reply to an outbound `connect`."""
    return Event(url_decoded(frame.headers), frame.body)


def event_of_plain(frame: Frame) -> Event:
    """A `text/event-plain` frame → its event, which is a header block of its own, perhaps with a body of its own."""
    head, separator, body = frame.body.partition(b"\n\n")
    if not separator:
        raise EslProtocolError("an event without the empty line that ends its headers")
    headers = url_decoded(tuple(split_header(line) for line in head.split(b"\n")))
    event = Event(headers, body)
    if len(body) != content_length(event.get("Content-Length", "0")):
        raise EslProtocolError("an event whose Content-Length is not that of its body")
    return event
