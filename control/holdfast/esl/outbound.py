"""The server that FreeSWITCH connects to, once per call, and the session object that controls that call.

Closing a session never ends its call: FreeSWITCH's dialplan goes on with the action after `socket`.
"""

import asyncio
import ipaddress
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast.errors import EslDisconnected, EslError, EslProtocolError, EslTimeout, InputError
from holdfast.esl import commands
from holdfast.esl.connection import REPLY_DEADLINE_S, EslConnection
from holdfast.esl.frames import Event, Frame, event_of_connect_reply

log = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 1.0
STOP_DEADLINE_S = 3.0
#: An event is about 10 kB; a call has some thirty of them. A session that lags this far behind has lost its call.
MAX_WAITING_EVENTS = 2000


class ChannelEnded(EslError):
    """The call hung up before the command was done."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An application that was queued. `completed` gives its CHANNEL_EXECUTE_COMPLETE, or ChannelEnded."""

    event_uuid: str
    completed: asyncio.Future[Event]


class Session:
    """Control over one channel: commands, and the channel's events up to and with CHANNEL_HANGUP_COMPLETE."""

    def __init__(self, connection: EslConnection, channel: Event, inbox: "_Inbox") -> None:
        self._connection = connection
        self._inbox = inbox
        self.channel = channel
        self.channel_uuid = commands.uuid(channel.channel_uuid)
        self.since_monotonic_s = time.monotonic()

    @property
    def is_open(self) -> bool:
        return self._connection.is_open

    async def follow(self) -> None:
        """Subscribe to the channel's events, up to its last."""
        await self._connection.send(commands.linger(), deadline_s=CONNECT_DEADLINE_S)
        await self._connection.send(commands.my_events(), deadline_s=CONNECT_DEADLINE_S)

    async def api(self, command: commands.Command, *, deadline_s: float = REPLY_DEADLINE_S) -> str:
        """The answer of an API command; CommandRefused when it begins with -ERR."""
        return (await self._connection.send(command, deadline_s=deadline_s)).body.decode("utf-8", "replace").strip()

    async def execute(self, application: str, argument: str = "") -> Execution:
        """Queue an application. FreeSWITCH runs queued ones one after another, and drops the rest at a hangup."""
        event_uuid = str(uuid.uuid4())
        execution = Execution(event_uuid, asyncio.get_running_loop().create_future())
        self._inbox.expect(execution)
        await self._connection.send(commands.execute(application, argument, event_uuid=event_uuid))
        return execution

    async def hangup(self, cause: str = "NORMAL_CLEARING") -> None:
        await self._connection.send(commands.hangup(cause))

    async def completion(self, execution: Execution, deadline_s: float) -> Event:
        """Wait for an application to end. ChannelEnded: the call hung up before it ran. EslTimeout: it runs on."""
        done, _ = await asyncio.wait([execution.completed], timeout=deadline_s)
        if not done:
            raise EslTimeout(f"the media server did not end an application within {deadline_s:g} s")
        return execution.completed.result()

    async def ended(self, deadline_s: float) -> Event:
        """Wait for the channel's last event, CHANNEL_HANGUP_COMPLETE. EslTimeout: it did not come."""
        done, _ = await asyncio.wait([self._inbox.last], timeout=deadline_s)
        if not done:
            raise EslTimeout(f"the call did not end within {deadline_s:g} s")
        return self._inbox.last.result()

    async def next_event(self, deadline_s: float) -> Event | None:
        """The next event, None after the last one. EslTimeout: none came in time."""
        try:
            async with asyncio.timeout(deadline_s):
                return await self._inbox.next()
        except TimeoutError as error:
            raise EslTimeout(f"no event of the channel within {deadline_s:g} s") from error

    def give_up(self, reason: str) -> None:
        """Treat the channel as gone: FreeSWITCH no longer lists it, and its last events were lost."""
        self._inbox.end(EslDisconnected(reason))


class _Inbox:
    """Where the reading task puts a channel's events, matching completions to executions by UUID, never by name."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | EslError | None] = asyncio.Queue()
        self._executions: dict[str, Execution] = {}
        self.last: asyncio.Future[Event] = _unwatched(asyncio.get_running_loop().create_future())

    @property
    def _over(self) -> bool:
        return self.last.done()

    def expect(self, execution: Execution) -> None:
        _unwatched(execution.completed)
        if self._over:
            execution.completed.set_exception(ChannelEnded())
        else:
            self._executions[execution.event_uuid] = execution

    async def next(self) -> Event | None:
        if self._over and self._events.empty():
            return None
        item = await self._events.get()
        if isinstance(item, EslError):
            raise item
        return item

    def put(self, event: Event) -> None:
        if self._over:
            return
        if self._events.qsize() >= MAX_WAITING_EVENTS:
            raise EslProtocolError(f"more than {MAX_WAITING_EVENTS} events wait for one call")
        self._events.put_nowait(event)
        if event.name == "CHANNEL_EXECUTE_COMPLETE":
            execution = self._executions.pop(event.get("Application-UUID"), None)
            if execution is not None and not execution.completed.done():
                execution.completed.set_result(event)
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            self.last.set_result(event)
            self._close(None, ChannelEnded())

    def end(self, reason: EslError) -> None:
        """No event will come any more, although the channel's last one has not been seen."""
        if not self._over:
            self.last.set_exception(reason)
            self._close(reason, reason)

    def _close(self, item: EslError | None, unfinished: EslError) -> None:
        self._events.put_nowait(item)
        for execution in self._executions.values():
            if not execution.completed.done():
                execution.completed.set_exception(unfinished)
        self._executions.clear()


def _unwatched(future: asyncio.Future[Event]) -> asyncio.Future[Event]:
    """Nobody need look at this future: an exception in it is not to be reported as forgotten."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


class OutboundServer:
    """Accepts FreeSWITCH's connections and gives each call's session to `serve`, one task per call.

    Only `accept_from` may connect, and at most `max_sessions` at a time; others are closed at once, and the dialplan
    goes on without a controller. `on_refused` gets the reason: address, full or handshake.
    """

    def __init__(
        self,
        serve: Callable[[Session], Awaitable[None]],
        *,
        accept_from: str,
        on_refused: Callable[[str], None],
        max_sessions: int = 500,
    ) -> None:
        self._serve = serve
        self._accept_from = ipaddress.ip_address(accept_from)
        self._on_refused = on_refused
        self._max_sessions = max_sessions
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions: dict[str, Session] = {}

    @property
    def connections(self) -> int:
        """How many connections it has, with a session or on the way to one."""
        return len(self._tasks)

    @property
    def sessions(self) -> dict[str, Session]:
        """The sessions in progress, by channel UUID."""
        return dict(self._sessions)

    async def start(self, address: str, port: int) -> None:
        """Listen; OSError when the port cannot be had."""
        # FreeSWITCH's connect has no timeout: a full queue would hold the calls at the end of it.
        self._server = await asyncio.start_server(self._accept, address, port, backlog=1024)

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        if self._server is None or not self._server.sockets:
            raise EslDisconnected("the server does not listen")
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop accepting and let go of every call; FreeSWITCH carries them on."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_DEADLINE_S)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = self._refusal(writer)
        if reason is not None:
            self._on_refused(reason)
            writer.transport.abort()
            return
        task = asyncio.create_task(self._run(reader, writer), name="esl-session")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refusal(self, writer: asyncio.StreamWriter) -> str | None:
        peer = ipaddress.ip_address(str(writer.get_extra_info("peername")[0]).partition("%")[0])
        if (getattr(peer, "ipv4_mapped", None) or peer) != self._accept_from:
            return "address"
        return "full" if self.connections >= self._max_sessions else None

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inbox = _Inbox()
        connection = EslConnection(reader, writer, on_event=inbox.put, on_frame=_refuse_frame)
        session: Session | None = None
        watch = asyncio.create_task(_end_with(connection, inbox))
        try:
            reply = await connection.send(commands.connect(), deadline_s=CONNECT_DEADLINE_S)
            session = Session(connection, event_of_connect_reply(reply), inbox)
            self._sessions[session.channel_uuid] = session
            await self._serve(session)
        except (EslError, InputError) as error:
            if session is None:
                self._on_refused("handshake")
                log.warning("a connection that brought no call: %s", error)
            else:
                log.warning("let go of call %s: %s", session.channel_uuid, error)
        finally:
            if session is not None and self._sessions.get(session.channel_uuid) is session:
                del self._sessions[session.channel_uuid]
            await connection.close()
            watch.cancel()


def _refuse_frame(frame: Frame) -> None:
    raise EslProtocolError(f"a frame of the unknown kind {frame.content_type[:40]!r}")


async def _end_with(connection: EslConnection, inbox: _Inbox) -> None:
    inbox.end(await connection.lost())
