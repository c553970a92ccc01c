"""The event socket's bytes, as FreeSWITCH's mod_event_socket writes and reads them, without I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes

from holdfast.errors import EslProtocolError

_LONGEST_HEAD = 65_536
_LONGEST_BODY = 1_048_576
# switch_utils.h, SWITCH_URL_UNSAFE: everything printable but these goes unescaped
_UNSAFE = '\r\n #%&+:;<=>?@[\\]^`{|}"'
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in _UNSAFE)

GOODBYE = "Disconnected, goodbye.\n"


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asked: the first line, the header lines under it (names in lower case), the body."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def verb(self) -> str:
        return self.line.partition(" ")[0].lower()

    @property
    def argument(self) -> str:
        return self.line.partition(" ")[2].strip()


class CommandReader:
    """Cuts a byte stream into commands. Text is latin-1, so that no byte can fail to decode."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Command]:
        """The commands that are complete now. Raises EslProtocolError for what is too long or has a wrong length."""
        self._buffer += data
        commands = []
        while command := self._next():
            commands.append(command)
        return commands

    def _next(self) -> Command | None:
        self._buffer = self._buffer.lstrip(b"\r\n")
        end = re.search(rb"\r?\n\r?\n", self._buffer)
        if not end or end.start() > _LONGEST_HEAD:
            if len(self._buffer) > _LONGEST_HEAD:
                raise EslProtocolError("a command's lines never end")
            return None
        line, *rest = self._buffer[: end.start()].decode("latin-1").replace("\r\n", "\n").split("\n")
        headers: dict[str, str] = {}
        for text in rest:
            name, colon, value = text.partition(":")
            if colon:
                headers.setdefault(name.strip().lower(), value.strip())
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"\d{1,8}", length) or int(length) > _LONGEST_BODY:
            raise EslProtocolError("a command's Content-Length is unusable")
        if len(self._buffer) < end.end() + int(length):
            return None
        body = self._buffer[end.end() : end.end() + int(length)].decode("latin-1")
        self._buffer = self._buffer[end.end() + int(length) :]
        return Command(line.strip(), headers, body)


def escape(value: str) -> str:
    """FreeSWITCH's URL encoding of an event's value."""
    return quote_from_bytes(value.encode("latin-1", "replace"), safe=_SAFE)


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines with escaped values, and the empty line after them."""
    return "".join(f"{name}: {escape(value)}\n" for name, value in headers).encode("ascii", "replace") + b"\n"


def auth_request() -> bytes:
    return b"Content-Type: auth/request\n\n"


def command_reply(text: str) -> bytes:
    """The answer to a command; `text` begins with +OK or -ERR."""
    return f"Content-Type: command/reply\nReply-Text: {_one_line(text)}\n\n".encode("latin-1", "replace")


def api_response(text: str) -> bytes:
    body = text.encode("latin-1", "replace")
    return f"Content-Type: api/response\nContent-Length: {len(body)}\n\n".encode("ascii") + body


def plain_event(headers: Iterable[tuple[str, str]]) -> bytes:
    """An event in `event plain` form."""
    body = header_block(headers)
    return f"Content-Length: {len(body)}\nContent-Type: text/event-plain\n\n".encode("ascii") + body


def linger_notice(channel_uuid: str, channel_name: str) -> bytes:
    """The first of two notices after a hangup: what is still to be said will come, then the end."""
    return (
        f"Content-Type: text/disconnect-notice\nControlled-Session-UUID: {channel_uuid}\nContent-Disposition: linger\n"
        f"Channel-Name: {_one_line(channel_name)}\nLinger-Time: -1\nContent-Length: 0\n\n"
    ).encode("latin-1", "replace")


def disconnect_notice(channel_uuid: str | None = None) -> bytes:
    session = ""
    if channel_uuid is not None:
        session = f"Controlled-Session-UUID: {channel_uuid}\nContent-Disposition: disconnect\n"
    return f"Content-Type: text/disconnect-notice\n{session}Content-Length: {len(GOODBYE)}\n\n{GOODBYE}".encode("ascii")


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n]+", " ", text)
