"""What outbound and inbound event socket connections have in common: commands in, replies and events out."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable

from holdfast.embedded import esl_frames as frames
from holdfast.embedded.channel import Event
from holdfast.errors import EslProtocolError

log = logging.getLogger(__name__)

#: The events that are ever published, and some well-known ones that nobody here has cause to publish.
# fmt: off
EVENT_NAMES = frozenset((
    "CHANNEL_CREATE", "CHANNEL_OUTGOING", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE", "DTMF", "HEARTBEAT", "CHANNEL_DESTROY", "CHANNEL_STATE", "CHANNEL_CALLSTATE",
    "CHANNEL_ORIGINATE", "CHANNEL_PARK", "CHANNEL_UNPARK", "CHANNEL_DATA", "CHANNEL_HOLD", "CHANNEL_UNHOLD",
    "PLAYBACK_START", "PLAYBACK_STOP", "BACKGROUND_JOB", "SHUTDOWN", "CUSTOM",
))
# fmt: on
#: A client that does not read is dropped when this much waits for it.
_MOST_UNREAD = 4 * 1024 * 1024
#: How long after the last word the client's own end of the connection is waited for.
_LINGER_S = 3.0

Answer = Callable[[frames.Command], bytes]


class EslConnection:
    """Serves one client. `commands` says what it may ask; everything else is answered -ERR."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._finished = False
        self._events: set[str] = set()
        self._filters: list[tuple[str, str]] = []
        self.commands: dict[str, Answer] = {
            "event": self._subscribe,
            "noevents": self._unsubscribe,
            "filter": self._filter,
            "exit": self._exit,
        }

    async def serve(self) -> None:
        """Answer commands until the client goes, says exit or breaks the protocol."""
        incoming = frames.CommandReader()
        try:
            while data := await self._reader.read(65_536):
                for command in incoming.feed(data):
                    self.write(self._answer(command))
        except EslProtocolError as error:
            self.finish(frames.command_reply(f"-ERR {error}"))
            with contextlib.suppress(OSError):
                while await self._reader.read(65_536):
                    pass
        except OSError as error:
            log.info("event socket: %s", error)
        self._writer.close()

    def finish(self, last: bytes) -> None:
        """Say a last thing, and then only wait for the client to go.

        Closed at once, a connection on which the client is just saying something would be reset, and the client would
        lose the last events.
        """
        if self._finished or self._writer.is_closing():
            return
        self.write(last)
        self._finished = True
        with contextlib.suppress(OSError):
            self._writer.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self._writer.close)

    def write(self, data: bytes) -> None:
        if self._finished or self._writer.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _MOST_UNREAD:
            log.error("event socket: a client does not read; dropped")
            self._writer.transport.abort()

    def event(self, event: Event) -> None:
        """Send an event if the client asked for such."""
        if (event.name in self._events or "ALL" in self._events) and self._passes(event):
            self.write(frames.plain_event(event.headers))

    def _passes(self, event: Event) -> bool:
        # as FreeSWITCH: with filters, an event passes if any of them matches
        return not self._filters or any(
            (found := event.get(name)) is not None and found.lower() == value.lower() for name, value in self._filters
        )

    def _answer(self, command: frames.Command) -> bytes:
        if self._finished:
            return b""
        answer = self.commands.get(command.verb)
        return answer(command) if answer else frames.command_reply("-ERR command not found")

    def _subscribe(self, command: frames.Command) -> bytes:
        form, _, rest = command.argument.partition(" ")
        names = rest.upper().split()
        unknown = sorted(set(names) - EVENT_NAMES - {"ALL"})
        if form.lower() != "plain":
            return frames.command_reply("-ERR only event plain is known")
        if not names:
            return frames.command_reply("-ERR no keywords supplied")
        if unknown:
            return frames.command_reply(f"-ERR unknown event {unknown[0][:60]}")
        self._events |= set(names)
        return frames.command_reply("+OK event listener enabled plain")

    def _unsubscribe(self, _command: frames.Command) -> bytes:
        self._events.clear()
        return frames.command_reply("+OK no longer listening for events")

    def _filter(self, command: frames.Command) -> bytes:
        deleting = re.match(r"delete\s+", command.argument, re.IGNORECASE)
        rest = command.argument[deleting.end() :] if deleting else command.argument
        name, _, value = rest.partition(" ")
        if deleting:
            self._filters = [
                (header, wanted)
                for header, wanted in self._filters
                if name.lower() not in ("all", header.lower()) or value.strip() not in ("", wanted)
            ]
            return frames.command_reply(f"+OK filter deleted. [{name}][{value}]")
        if not name or not value:
            return frames.command_reply("-ERR invalid syntax")
        self._filters.append((name, value.strip()))
        return frames.command_reply(f"+OK filter added. [{name}]=[{value.strip()}]")

    def _exit(self, _command: frames.Command) -> bytes:
        self.finish(frames.command_reply("+OK bye") + frames.disconnect_notice())
        return b""
