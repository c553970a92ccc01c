"""One call that the edge brought, from its INVITE to its end: controlled by the call controller, else by itself."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.lease import MAX_CALL_S
from holdfast.embedded import causes, fallback
from holdfast.embedded.applications import APPLICATIONS, INTERRUPTED, NO_RESPONSE
from holdfast.embedded.channel import CallerProfile, Channel, ChannelState, EventBus
from holdfast.embedded.esl_outbound import ControllerStalled, OutboundConnection
from holdfast.embedded.incoming_leg import IncomingLeg
from holdfast.embedded.media import MediaClock, MediaPorts
from holdfast.embedded.sip_endpoint import SipEndpoint
from holdfast.embedded.sip_fields import parse_name_addr
from holdfast.embedded.sip_transactions import ServerTransaction
from holdfast.settings import Settings

#: A controller that has not disarmed it by then is dead or stalled, and the fallback takes the call over: early enough
#: that a caller is answered within two seconds all the same.
DEAD_MAN_S = 1.5
#: A controller that let the dead man's switch fire is not asked again for so long: the next callers need not wait.
LEFT_ALONE_S = 10.0


class _CallLog(logging.LoggerAdapter[logging.Logger]):
    """Says with each line which call it is about; never who calls whom."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"call {(self.extra or {}).get('channel')}: {msg}", kwargs


@dataclass
class ControllerHealth:
    """Until when (loop time) the call controller is not asked, because it has stalled."""

    left_alone_until_s: float = 0.0


@dataclass(frozen=True)
class Exchange:
    """What all calls of the server share. `calls` and `channels` are by channel uuid."""

    settings: Settings
    endpoint: SipEndpoint
    ports: MediaPorts
    clock: MediaClock
    bus: EventBus
    calls: MutableMapping[str, "Call"]
    channels: MutableMapping[str, Channel]
    controller: ControllerHealth = field(default_factory=ControllerHealth)


@dataclass(frozen=True)
class Purpose:
    """What the call is for, from its Request-URI and X-Holdfast headers, already checked.

    The announcement of an unavailable service needs no callback number: there it is what the edge wrote, or empty.
    """

    feature: str
    callback_number: str
    language: str


class Call:
    """Made for an INVITE that passed the dialplan's checks.

    Raises SdpError, NoMediaPort or SipParseError if it cannot be taken; then nothing was answered or kept.
    """

    def __init__(self, exchange: Exchange, transaction: ServerTransaction, purpose: Purpose) -> None:
        self.exchange, self.settings = exchange, exchange.settings
        self.endpoint, self.ports, self.clock = exchange.endpoint, exchange.ports, exchange.clock
        self.channels = exchange.channels
        self.request = transaction.request
        self.purpose = purpose
        self.leg = IncomingLeg(exchange.endpoint, exchange.ports, exchange.clock, transaction)
        self.channel = self._channel(exchange.bus, transaction)
        self.log = _CallLog(logging.getLogger(__name__), {"channel": self.channel.uuid})
        self.leg.on_end = self._hung_up
        self.leg.media.on_digit = self._digit
        self._connection: OutboundConnection | None = None
        self._dead_man: asyncio.Timeout | None = None
        self.exchange.calls[self.channel.uuid] = self
        self.channels[self.channel.uuid] = self.channel
        self.channel.publish("CHANNEL_CREATE")
        self._story = asyncio.create_task(self._tell())
        self.done = asyncio.create_task(self._close())

    # the story

    async def _tell(self) -> None:
        async with asyncio.timeout(MAX_CALL_S):  # a call whose end was lost in every other way
            if self.purpose.feature == fallback.UNAVAILABLE:
                await fallback.announce_unavailable(self)
            else:
                await self._offer_control()
                await fallback.run(self)

    async def _offer_control(self) -> None:
        """Returns when there is no controller, when it let go of the call, or when it took too long to answer."""
        try:
            async with asyncio.timeout(DEAD_MAN_S) as self._dead_man:
                await self._be_controlled()
        except TimeoutError:
            self.log.warning("the call controller does not answer: the call goes on without it")
            self.exchange.controller.left_alone_until_s = asyncio.get_running_loop().time() + LEFT_ALONE_S
            if self._connection:
                self._connection.lose_control()
        self._dead_man = None

    async def _be_controlled(self) -> None:
        """Execute what the controller asks for; returns when there is no controller (any more) and nothing is left."""
        controller, loop = self.settings.controller, asyncio.get_running_loop()
        if loop.time() < self.exchange.controller.left_alone_until_s:
            return
        try:  # the controller takes connections from the media server's address only
            local = (self.settings.media.address, 0)
            streams = await asyncio.open_connection(controller.address, controller.port, local_addr=local)
        except OSError as error:
            self.log.warning("no call controller at port %d: %s", controller.port, error.strerror or error)
            return
        self._connection = OutboundConnection(*streams, self)
        # a controller that stalls after it took the call: what is being executed goes on, silence does not
        give_up_at_s = loop.time() + controller.holds_a_call_for_s
        try:
            while execution := await self._connection.next_execution(give_up_at_s - loop.time()):
                await self.execute(execution.application, execution.argument, execution.uuid)
        except ControllerStalled:
            self.log.warning("the call controller asked for nothing more within %d s", controller.holds_a_call_for_s)
            self.leg.hangup("NORMAL_TEMPORARY_FAILURE")
            raise asyncio.CancelledError from None

    async def _close(self) -> None:
        """Wait for the story's end, however it ends, and then tell of it."""
        await asyncio.wait({self._story})
        cause = causes.NORMAL
        with contextlib.suppress(asyncio.CancelledError):
            error = self._story.exception()
            if isinstance(error, TimeoutError):
                cause = causes.TOO_LONG
            elif error is not None:
                self.log.error("the call failed", exc_info=error)
                cause = "NORMAL_TEMPORARY_FAILURE"
        self.leg.hangup(cause)
        self.channel.publish("CHANNEL_HANGUP_COMPLETE")
        if self._connection:
            self._connection.close()
        self.exchange.calls.pop(self.channel.uuid, None)
        self.channels.pop(self.channel.uuid, None)

    # what the story is made of

    async def execute(self, application: str, argument: str, execution_uuid: str | None = None) -> str:
        """Run one application and tell of it; returns its response. The name must be a known one (KeyError)."""
        run = APPLICATIONS[application]
        told = [("Application", application), ("Application-Data", argument)]
        told.append(("Application-UUID", execution_uuid or str(uuid.uuid4())))
        if execution_uuid:
            told.append(("Event-UUID", execution_uuid))
        self.channel.application = (application, argument)
        self.channel.publish("CHANNEL_EXECUTE", told)
        response = INTERRUPTED.get(application, NO_RESPONSE)
        try:
            response = await run(self, argument)
        finally:  # also when the call ended meanwhile: FreeSWITCH completes what it began
            self.channel.application = ("", "")
            self.channel.publish("CHANNEL_EXECUTE_COMPLETE", [*told, ("Application-Response", response)])
        if self.leg.ended:
            raise asyncio.CancelledError
        return response

    def answer(self) -> None:
        """200 to the caller, once."""
        if not self.leg.answered and not self.leg.ended:
            self.leg.answer()
            self.channel.move_to(ChannelState.ANSWERED)
            self.channel.publish("CHANNEL_ANSWER")

    def disarm(self) -> int:
        """`sched_del`: the controller is alive. Returns how many timers were stopped."""
        if self._dead_man is None or self._dead_man.when() is None or self._dead_man.expired():
            return 0
        self._dead_man.reschedule(None)
        return 1

    # what happens to it

    def _hung_up(self, cause: str) -> None:
        self.channel.hangup_cause = cause
        self.channel.variables["hangup_cause"] = cause
        self.channel.move_to(ChannelState.HUNGUP)
        if self._connection:
            self._connection.call_ended()
        self.channel.publish("CHANNEL_HANGUP")
        if asyncio.current_task() is not self._story:
            self._story.cancel()

    def _digit(self, digit: str, duration_ms: int) -> None:
        told = [("DTMF-Digit", digit), ("DTMF-Duration", str(duration_ms * 8)), ("DTMF-Source", "RTP")]
        self.channel.publish("DTMF", told)

    def _channel(self, bus: EventBus, transaction: ServerTransaction) -> Channel:
        request = self.request
        caller = parse_name_addr(request.get("from"))
        address = transaction.source[0]
        remote = self.leg.media.remote
        variables = {f"sip_h_{name.title()}": value for name, value in request.headers if name.startswith("x-")}
        variables |= {
            "sip_from_user": caller.user,
            "sip_from_display": caller.display_text,
            "sip_from_uri": caller.uri.partition(":")[2],
            "sip_full_from": request.get("from"),
            "sip_full_to": request.get("to"),
            "sip_req_user": self.purpose.feature,
            "sip_to_uri": parse_name_addr(request.get("to")).uri.partition(":")[2],
            "sip_req_uri": request.uri.partition(":")[2],
            "sip_call_id": request.get("call-id"),
            "sip_network_ip": address,
            "sip_network_port": str(transaction.source[1]),
            "read_codec": remote.codec if remote else "PCMU",
            "hangup_after_bridge": "true",
            "continue_on_fail": "true",
            "holdfast_feature": self.purpose.feature,
            "holdfast_callback_number": self.purpose.callback_number,
            "holdfast_language": self.purpose.language,
        }
        profile = CallerProfile(caller.display_text, caller.user, self.purpose.feature, address)
        name = f"sofia/holdfast/{caller.user or 'anonymous'}@{address}"
        return Channel(bus, name, profile, inbound=True, variables=variables)
