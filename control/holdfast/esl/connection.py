"""One event socket connection, whichever side opened it: commands with their replies in order, and a stream of events.

FreeSWITCH answers every command with exactly one reply, in order. A reply that comes after its deadline is therefore
still awaited and thrown away, so that no later command can take it for its own. No command is ever sent twice: one
whose reply did not come may have run.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from holdfast.errors import EslDisconnected, EslError, EslProtocolError, EslTimeout
from holdfast.esl.commands import Command
from holdfast.esl.frames import Event, Frame, FrameParser, event_of_plain

log = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
REPLY_DEADLINE_S = 5.0
CLOSE_DEADLINE_S = 1.0


class CommandRefused(EslError):
    """The media server refused the command."""


class EslConnection:
    """Owns the two streams. Give it to one task's care: `close()` it in the end, whatever happened.

    `on_event` and `on_frame` are called in the order of arrival, from the reading task; they must not block, and an
    EslError they raise ends the connection. `on_frame` gets the frames that are neither replies nor events:
    `auth/request` and the like.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_event: Callable[[Event], None],
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._on_frame = on_frame
        self._awaited: deque[asyncio.Future[Frame]] = deque()
        self._lost: asyncio.Future[EslError] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(), name="esl-read")

    @property
    def is_open(self) -> bool:
        return not self._lost.done()

    async def lost(self) -> EslError:
        """Wait until the connection is gone, for the reason it is gone."""
        return await asyncio.shield(self._lost)

    async def send(self, command: Command, *, deadline_s: float = REPLY_DEADLINE_S) -> Frame:
        """Send a command and wait for its reply.

        CommandRefused: the reply begins with -ERR. EslTimeout: no reply in time. EslDisconnected: the connection went;
        after both the command may or may not have run.
        """
        if not self.is_open:
            raise EslDisconnected(f"'{command.label}' was not sent: {self._lost.result()}")
        reply: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._awaited.append(reply)
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(command.wire)
                await self._writer.drain()
                frame = await reply
        except TimeoutError as error:
            raise EslTimeout(f"no reply to '{command.label}' within {deadline_s:g} s") from error
        except OSError as error:
            raise EslDisconnected(f"'{command.label}' may have run: {error}") from error
        finally:
            reply.cancel()
        if (refusal := _refusal(frame)) is not None:
            raise CommandRefused(f"the media server refused '{command.label}': {refusal}")
        return frame

    async def close(self) -> None:
        """Close the socket, and stop reading. A call that the connection controls goes on in the media server."""
        self._end(EslDisconnected("the connection was closed"))
        self._reading.cancel()
        await asyncio.wait([self._reading])
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()  # a stalled peer takes nothing more
        except OSError as error:
            log.debug("the event socket was already broken when it was closed: %s", error)

    async def _read(self) -> None:
        parser = FrameParser()
        try:
            while data := await self._reader.read(READ_BYTES):
                for frame in parser.feed(data):
                    self._dispatch(frame)
            self._end(EslDisconnected("the media server closed the connection"))
        except EslError as error:
            self._end(error)
        except OSError as error:
            self._end(EslDisconnected(str(error)))
        finally:
            self._end(EslDisconnected("nothing reads the connection any more"))

    def _dispatch(self, frame: Frame) -> None:
        match frame.content_type:
            case "command/reply" | "api/response":
                self._reply(frame)
            case "text/event-plain":
                self._on_event(event_of_plain(frame))
            case "text/disconnect-notice":
                # Linger sends two; the first only says that the channel has hung up.
                if frame.get("Content-Disposition").strip() != "linger":
                    raise EslDisconnected("the media server took its leave")
            case "text/rude-rejection":
                raise EslDisconnected("the media server refuses connections from this address")
            case _:
                self._on_frame(frame)

    def _reply(self, frame: Frame) -> None:
        if not self._awaited:
            raise EslProtocolError("a reply to no command")
        awaited = self._awaited.popleft()
        if not awaited.done():
            awaited.set_result(frame)

    def _end(self, reason: EslError) -> None:
        if self._lost.done():
            return
        self._lost.set_result(reason)
        self._writer.close()
        for awaited in self._awaited:
            if not awaited.done():
                awaited.set_exception(EslDisconnected(f"the command may have run: {reason}"))
        self._awaited.clear()


def _refusal(frame: Frame) -> str | None:
    """The text of a refusal; None for a reply that is none."""
    answer = frame.get("Reply-Text") or frame.body[:200].decode("utf-8", "replace")
    return answer.strip() if answer.startswith("-ERR") else None
