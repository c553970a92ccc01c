"""The media server's side of the event socket, for tests: recorded conversations, and a strict scripted peer."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

DATA = Path(__file__).parents[1] / "data" / "esl"
DEADLINE_S = 5.0
CHANNEL_UUID = "5ca1ab1e-0000-4000-8000-000000000001"

_RECORD = re.compile(rb"([<>]) (\d+)\n")
_EVENT_UUID = re.compile(rb"(?m)^Event-UUID: ([0-9a-f-]{36})$")
_APPLICATION = re.compile(r"execute-app-name: (\S+)(?:\nexecute-app-arg: (.*))?")


T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine; a test that waits for ever fails."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE_S):
            return await coroutine

    return asyncio.run(bounded())


@dataclass(frozen=True)
class Tape:
    """One recorded connection: pieces in order, each from ("<") or to (">") FreeSWITCH."""

    pieces: tuple[tuple[str, bytes], ...]

    @classmethod
    def load(cls, name: str) -> "Tape":
        raw = (DATA / f"{name}.esl").read_bytes()
        pieces = []
        at = 0
        while at < len(raw):
            head = _RECORD.match(raw, at)
            assert head is not None, f"{name}.esl is damaged at byte {at}"
            start, length = head.end(), int(head[2])
            pieces.append((head[1].decode(), raw[start : start + length]))
            at = start + length + 1
        return cls(tuple(pieces))

    def received(self) -> bytes:
        """Everything FreeSWITCH sent."""
        return b"".join(data for direction, data in self.pieces if direction == "<")


async def replay(tape: Tape, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be FreeSWITCH as recorded. Every command must be the recorded one, byte for byte but for its Event-UUIDs."""
    uuids: dict[bytes, bytes] = {}
    for direction, recorded in tape.pieces:
        if direction == "<":
            sent = recorded
            for old, new in uuids.items():
                sent = sent.replace(old, new)
            writer.write(sent)
            await writer.drain()
            continue
        got = await reader.readexactly(len(recorded))
        uuids |= dict(zip(_EVENT_UUID.findall(recorded), _EVENT_UUID.findall(got), strict=True))
        expected = recorded
        for old, new in uuids.items():
            expected = expected.replace(old, new)
        assert got == expected


def event_bytes(name: str, channel_uuid: str = CHANNEL_UUID, **headers: str) -> bytes:
    """A `text/event-plain` frame as FreeSWITCH writes it; `_` in a header's name stands for `-` unless a variable's."""
    fields = {"Event-Name": name, "Unique-ID": channel_uuid}
    fields |= {key if key.startswith("variable_") else key.replace("_", "-"): value for key, value in headers.items()}
    body = "".join(f"{key}: {quote(value, safe='/')}\n" for key, value in fields.items()) + "\n"
    return f"Content-Length: {len(body)}\nContent-Type: text/event-plain\n\n{body}".encode()


def reply_bytes(text: str) -> bytes:
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def api_bytes(answer: str) -> bytes:
    return f"Content-Type: api/response\nContent-Length: {len(answer.encode())}\n\n{answer}".encode()


@dataclass
class CallPeer:
    """FreeSWITCH with one call, connected to the controller; the test says what it answers and which events it sends.

    Strict: a command it does not know fails the test. `executed` holds application, argument and Event-UUID.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    variables: dict[str, str] = field(default_factory=dict)
    sched_del: str = "+OK Deleted: 1\n"
    parks: bool = True  # only then are applications run
    executed: asyncio.Queue[tuple[str, str, str]] = field(default_factory=asyncio.Queue)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    commands: list[str] = field(default_factory=list)

    @classmethod
    async def call(cls, port: int, **changes: Any) -> "CallPeer":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, **changes)

    async def serve(self) -> None:
        """Answer commands until the controller lets go of the call."""
        while (text := await self._command()) is not None:
            self.commands.append(text.split("\n")[0] if not text.startswith("sendmsg") else "sendmsg")
            self.writer.write(self._answer(text))

    async def _command(self) -> str | None:
        try:
            return (await self.reader.readuntil(b"\n\n")).decode().removesuffix("\n\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def _answer(self, text: str) -> bytes:
        match text.split("\n")[0]:
            case "connect":
                return self._channel()
            case "linger":
                return reply_bytes("+OK will linger")
            case "myevents":
                return reply_bytes("+OK Events Enabled")
            case line if line == f"api sched_del {CHANNEL_UUID}":
                return api_bytes(self.sched_del)
            case "sendmsg" if "call-command: hangup" in text:
                self.hung_up.set()
                return reply_bytes("+OK")
            case "sendmsg" if application := _APPLICATION.search(text):
                event_uuid = _EVENT_UUID.search(text.encode())
                assert event_uuid is not None
                assert "\nevent-lock: true\n" in text
                if application[2] == "holdfast_controlled=true" and self.parks:
                    completed = event_bytes("CHANNEL_EXECUTE_COMPLETE", Application_UUID=event_uuid[1].decode())
                    return reply_bytes("+OK") + completed
                self.executed.put_nowait((application[1], application[2] or "", event_uuid[1].decode()))
                return reply_bytes("+OK")
            case line:
                raise AssertionError(f"no such command: {line!r}")

    def _channel(self) -> bytes:
        fields = {"Event-Name": "CHANNEL_DATA", "Unique-ID": CHANNEL_UUID}
        fields |= {f"variable_{name}": value for name, value in self.variables.items()}
        fields |= {"Content-Type": "command/reply", "Reply-Text": "+OK\n"}
        return "".join(f"{key}: {quote(value, safe='/')}\n" for key, value in fields.items()).encode() + b"\n"

    def send(self, name: str, **headers: str) -> None:
        self.writer.write(event_bytes(name, **headers))

    def complete(self, event_uuid: str, **headers: str) -> None:
        self.send("CHANNEL_EXECUTE_COMPLETE", Application_UUID=event_uuid, **headers)

    async def until(self, application: str) -> tuple[str, str]:
        """Complete what is executed up to the next `application`; give that one's argument and Event-UUID."""
        while True:
            name, argument, event_uuid = await self.executed.get()
            if name == application:
                return argument, event_uuid
            self.complete(event_uuid)


class EventSocket:
    """FreeSWITCH's listening event socket; `script` is one connection's behaviour, called for each connection."""

    def __init__(self, script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._script = script
        self._server: asyncio.Server | None = None
        self.connections = 0
        self._failures: list[AssertionError] = []

    async def __aenter__(self) -> "EventSocket":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        if self._failures:
            raise self._failures[0]

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left; what it did until then is the test's to check
        except AssertionError as failure:
            self._failures.append(failure)
        finally:
            writer.close()


async def read_command(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\n\n")).decode().removesuffix("\n\n")
