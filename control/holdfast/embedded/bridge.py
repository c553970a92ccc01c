"""The `bridge` application: ring the far side through the edge, and join the two legs when it answers.

It belongs to the call, not to the controller: a bridge that rings or stands survives the controller.
"""

import asyncio
import re
from typing import TYPE_CHECKING

from holdfast.core.headers import uri_host
from holdfast.embedded import audio, causes, dial_string
from holdfast.embedded.channel import CallerProfile, Channel, ChannelState
from holdfast.embedded.media import NoMediaPort
from holdfast.embedded.outgoing_leg import Invitation, OutgoingLeg
from holdfast.embedded.sip_fields import Address, parse_name_addr
from holdfast.embedded.wav import PromptUnusable
from holdfast.errors import InputError

if TYPE_CHECKING:
    from holdfast.embedded.call import Call

#: Neither side has sent any RTP for this long: both BYEs were lost, or both phones are gone.
MEDIA_TIMEOUT_S = 60.0
#: The same while one side holds the call: then silence is what was asked for.
HOLD_TIMEOUT_S = 600.0

#: FreeSWITCH's DIALSTATUS for each cause; for others it is the cause.
_DIAL_STATUS = {
    "USER_BUSY": "BUSY",
    "CALL_REJECTED": "DONTCALL",
    causes.NO_ANSWER: "NOANSWER",
    causes.CANCELLED: "CANCEL",
    causes.NO_ROUTE: "INVALIDARGS",
}
#: FreeSWITCH's bridge says in variables how it went (originate_disposition), not in its response.
_RESPONSE = "_none_"


async def bridge(call: "Call", argument: str) -> str:
    """Returns after a bridged call, or when there will be none; `originate_disposition` says which, and why."""
    try:
        dial = dial_string.parse(argument)
        destination = dial.target.address
        if destination is None or destination[0] != call.endpoint.peer:
            raise InputError("dial string: only the edge can be called")
        leg = OutgoingLeg(call.endpoint, call.ports, call.clock)
    except (InputError, NoMediaPort) as error:
        call.log.warning("bridge: %s", error)
        _failed(call, causes.NO_ROUTE)
        return _RESPONSE
    attempt = _Attempt(call, leg, dial, destination)
    try:
        cause = await attempt.ring()
        if cause is None:
            await attempt.talk()
        else:
            _failed(call, cause)
        return _RESPONSE
    finally:
        # here too when the A leg hung up or the call was taken over: nothing may ring or talk on
        leg.hangup(call.channel.hangup_cause or causes.NORMAL)


def _failed(call: "Call", cause: str) -> None:
    """Tell why nobody was reached; unless the call is to continue on that, it ends for the same reason."""
    variables = call.channel.variables
    variables |= {
        "originate_disposition": cause,
        "originate_failed_cause": cause,
        "last_bridge_hangup_cause": cause,
        "DIALSTATUS": _DIAL_STATUS.get(cause, cause),
    }
    wanted = variables.get("continue_on_fail", "")
    if not _is_true(wanted) and cause not in wanted.split(","):
        call.leg.hangup(cause)


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "yes", "1")


class _Attempt:
    """One INVITE towards the edge and what becomes of it."""

    def __init__(self, call: "Call", leg: OutgoingLeg, dial: dial_string.DialString, destination: Address) -> None:
        self.call, self.leg, self.dial, self.destination = call, leg, dial, destination
        address, _ = destination
        self.channel = Channel(
            call.channel.bus,
            f"sofia/{dial.profile}/{dial.target.user}@{address}",
            CallerProfile(call.channel.profile.name, call.channel.profile.number, dial.target.user, address),
            inbound=False,
            variables=dict(dial.variables),
            other_uuid=call.channel.uuid,
        )
        self.over = asyncio.Event()
        leg.on_ringing = self._ringing
        leg.on_end = self._ended

    async def ring(self) -> str | None:
        """Returns None when the far side answered, else the cause why not."""
        call, channel = self.call, self.channel
        call.channels[channel.uuid] = channel
        channel.publish("CHANNEL_CREATE")
        channel.publish("CHANNEL_OUTGOING")
        remote = call.leg.media.remote
        prefer = remote.codec if remote else None
        invitation = Invitation(self.dial.uri, self.destination, self._from(), self.dial.headers, prefer)
        ringback = asyncio.create_task(self._ringback()) if call.leg.answered else None
        try:
            return await self.leg.invite(invitation, self.dial.leg_timeout_s)
        finally:
            if ringback:
                ringback.cancel()
                call.leg.media.stop_playing()

    async def talk(self) -> None:
        """Join the legs until either ends; then the A leg ends too, or (hangup_after_bridge not set) goes on."""
        call, channel = self.call, self.channel
        channel.move_to(ChannelState.ANSWERED)
        channel.publish("CHANNEL_ANSWER")
        call.answer()
        names = {"originate_disposition": "SUCCESS", "DIALSTATUS": "SUCCESS"}
        call.channel.variables |= names | {"bridge_channel": channel.name, "bridge_uuid": channel.uuid}
        call.channel.other_uuid = channel.uuid
        call.leg.media.join(self.leg.media)
        sides = [("Bridge-A-Unique-ID", call.channel.uuid), ("Bridge-B-Unique-ID", channel.uuid)]
        call.channel.publish("CHANNEL_BRIDGE", sides)
        try:
            await self._until_over()
        finally:
            call.leg.media.leave()
            ended_by = channel.hangup_cause or call.channel.hangup_cause
            call.channel.variables |= {"bridge_hangup_cause": ended_by, "last_bridge_hangup_cause": ended_by}
            call.channel.publish("CHANNEL_UNBRIDGE", sides)
        if _is_true(call.channel.variables.get("hangup_after_bridge", "")):
            call.leg.hangup(channel.hangup_cause or causes.NORMAL)

    async def _until_over(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.over.is_set():
            heard_at_s = max(self.call.leg.media.received_at_s, self.leg.media.received_at_s)
            held = self.call.leg.held or self.leg.held
            timeout_s = HOLD_TIMEOUT_S if held else MEDIA_TIMEOUT_S
            left_s = heard_at_s + timeout_s - loop.time()
            if left_s <= 0:
                self.call.log.warning("no audio from either side for %d s: the call is over", timeout_s)
                self.leg.hangup(causes.MEDIA_TIMEOUT)
                return
            # a timer may fire a little early; a hold may end before its time is over
            wait_s = max(min(left_s, MEDIA_TIMEOUT_S) if held else left_s, 0.1)
            try:
                async with asyncio.timeout(wait_s):
                    await self.over.wait()
            except TimeoutError:
                continue

    async def _ringback(self) -> None:
        """What an answered caller hears while the far side rings."""
        wanted = self.call.channel.variables.get("transfer_ringback") or audio.RINGBACK
        if wanted.startswith("%("):
            wanted = f"tone_stream://{wanted};loops=-1"
        try:
            frames = audio.frames(wanted)
        except PromptUnusable as error:
            self.call.log.warning("transfer_ringback: %s; the usual tone is played", error)
            frames = audio.frames(audio.RINGBACK)
        await self.call.leg.media.play(frames)

    def _from(self) -> str:
        """The A leg's caller, name and number byte for byte, at this server's address."""
        caller = parse_name_addr(self.call.request.get("from"))
        name = self.dial.variables.get("origination_caller_id_name")
        display = caller.display if name is None else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        user = self.dial.variables.get("origination_caller_id_number") or caller.user or "anonymous"
        user = re.sub(r"[^\w.!~*'()&=+$,;?/%-]", lambda bad: f"%{ord(bad[0]) & 0xFF:02X}", user, flags=re.ASCII)
        return f"{display} <sip:{user}@{uri_host(self.call.endpoint.local[0])}>".strip()

    def _ringing(self) -> None:
        if self.channel.state is ChannelState.RECEIVED:
            self.channel.move_to(ChannelState.RINGING)
            self.channel.publish("CHANNEL_PROGRESS")

    def _ended(self, cause: str) -> None:
        self.channel.hangup_cause = cause
        self.channel.move_to(ChannelState.HUNGUP)
        self.over.set()
        self.channel.publish("CHANNEL_HANGUP")
        self.channel.publish("CHANNEL_HANGUP_COMPLETE")
        self.call.channels.pop(self.channel.uuid, None)
