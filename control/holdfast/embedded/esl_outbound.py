"""The event socket connection that a call makes to the call controller (FreeSWITCH: `socket … async full`)."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.embedded import api, causes
from holdfast.embedded import esl_frames as frames
from holdfast.embedded.applications import APPLICATIONS
from holdfast.embedded.channel import Event
from holdfast.embedded.esl_connection import EVENT_NAMES, EslConnection
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.embedded.call import Call


class ControllerStalled(HoldfastError):
    """The call controller took a call and then asked for nothing more."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An application that the controller wants executed; `uuid` is its Event-UUID, if it gave one."""

    application: str
    argument: str
    uuid: str | None


class OutboundConnection(EslConnection):
    """Belongs to one call. What the controller asks to execute waits here until the call comes to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: "Call") -> None:
        super().__init__(reader, writer)
        self._call = call
        self._lingers = False
        self._in_control = True
        self._my_events = False
        self._wanted: asyncio.Queue[Execution | None] = asyncio.Queue()
        self.commands |= {
            "connect": self._connect,
            "linger": self._linger,
            "myevents": self._only_mine,
            "api": lambda command: frames.api_response(api.call(call.exchange, command.argument)),
            "sendmsg": self._message,
        }
        call.channel.bus.add(self)
        self._serving = asyncio.create_task(self._serve())

    async def next_execution(self, within_s: float) -> Execution | None:
        """The next application to execute; None once the controller is gone and nothing is left.

        Raises ControllerStalled if neither happens in time.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._wanted.get()
        except TimeoutError as error:
            raise ControllerStalled from error

    def lose_control(self) -> None:
        """The dead man's switch has fired: a controller that wakes up now may listen, and do nothing to the call."""
        self._in_control = False

    def call_ended(self) -> None:
        """The call was hung up: say so, if the controller wants to hear the rest."""
        if self._lingers:
            self.write(frames.linger_notice(self._call.channel.uuid, self._call.channel.name))

    def close(self) -> None:
        """Nothing more will come: the final notice, and the end."""
        self.finish(frames.disconnect_notice(self._call.channel.uuid))
        self._call.channel.bus.remove(self)

    def event(self, event: Event) -> None:
        if not self._my_events or event.get("Unique-ID") == self._call.channel.uuid:
            super().event(event)

    async def _serve(self) -> None:
        try:
            await self.serve()
        finally:
            self._call.channel.bus.remove(self)
            self._wanted.put_nowait(None)

    def _connect(self, _command: frames.Command) -> bytes:
        reply = [("Content-Type", "command/reply"), ("Reply-Text", "+OK\n"), ("Socket-Mode", "async")]
        return frames.header_block(
            [("Event-Name", "CHANNEL_DATA"), *self._call.channel.describe(), *reply, ("Control", "full")]
        )

    def _linger(self, _command: frames.Command) -> bytes:
        self._lingers = True
        return frames.command_reply("+OK will linger")

    def _only_mine(self, _command: frames.Command) -> bytes:
        self._my_events = True
        # as FreeSWITCH: all that concerns the channel, but not what plays on it
        self._events |= {name for name in EVENT_NAMES if name.startswith("CHANNEL_")} | {"DTMF"}
        return frames.command_reply("+OK Events Enabled")

    def _message(self, command: frames.Command) -> bytes:
        wanted = command.argument or command.headers.get("session-id", "")
        if wanted not in ("", self._call.channel.uuid):
            return frames.command_reply(f"-ERR invalid session id [{wanted[:60]}]")
        if self._call.leg.ended or not self._in_control:
            return frames.command_reply("-ERR the call is not under your control any more")
        kind = command.headers.get("call-command", "").lower()
        if kind == "execute":
            return self._execute(command)
        if kind == "hangup":
            self._call.leg.hangup(causes.known_or_normal(command.headers.get("hangup-cause", "").upper()))
            return frames.command_reply("+OK")
        return frames.command_reply("-ERR invalid call-command")

    def _execute(self, command: frames.Command) -> bytes:
        name = command.headers.get("execute-app-name", "").lower()
        if name not in APPLICATIONS:
            return frames.command_reply(f"-ERR invalid application [{name[:60]}]")
        if command.headers.get("loops", "1") != "1":
            return frames.command_reply("-ERR loops is not supported")
        argument = command.headers.get("execute-app-arg") or command.body.strip("\r\n")
        self._wanted.put_nowait(Execution(name, argument, command.headers.get("event-uuid")))
        return frames.command_reply("+OK")
