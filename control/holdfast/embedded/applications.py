"""The dialplan applications that a controller or the fallback may execute on a call, by FreeSWITCH's names.

Each takes the call and its argument and returns FreeSWITCH's Application-Response.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from holdfast.embedded import audio, causes
from holdfast.embedded.bridge import bridge
from holdfast.embedded.channel import ChannelState
from holdfast.embedded.wav import PromptUnusable

if TYPE_CHECKING:
    from holdfast.embedded.call import Call

Application = Callable[["Call", str], Awaitable[str]]

NO_RESPONSE = "_none_"
#: The response of an application that the end of the call interrupted, where it is not NO_RESPONSE.
INTERRUPTED = {"playback": "PLAYBACK ERROR"}
_LONGEST_SLEEP_MS = 3_600_000


async def answer(call: "Call", _argument: str) -> str:
    call.answer()
    return NO_RESPONSE


async def ring_ready(call: "Call", _argument: str) -> str:
    if call.channel.state is ChannelState.RECEIVED:
        call.leg.ring()
        call.channel.move_to(ChannelState.RINGING)
        call.channel.publish("CHANNEL_PROGRESS")
    return NO_RESPONSE


async def pre_answer(call: "Call", _argument: str) -> str:
    if call.channel.state in (ChannelState.RECEIVED, ChannelState.RINGING) and call.leg.media.remote:
        call.leg.early_media()
        call.channel.move_to(ChannelState.EARLY)
        call.channel.publish("CHANNEL_PROGRESS_MEDIA")
    return NO_RESPONSE


async def playback(call: "Call", argument: str) -> str:
    try:
        frames = audio.frames(argument)
    except PromptUnusable as error:
        call.log.warning("playback: %s", error)
        return "FILE NOT FOUND"
    await pre_answer(call, "")  # as FreeSWITCH: to an unanswered call it is played as early media
    await call.leg.media.play(frames)
    return "FILE PLAYED"


async def sleep(_call: "Call", argument: str) -> str:
    if not re.fullmatch(r"\d{1,9}", argument):
        return "INVALID ARGUMENT"
    await asyncio.sleep(min(int(argument), _LONGEST_SLEEP_MS) / 1000)
    return NO_RESPONSE


async def set_variable(call: "Call", argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not equals or not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
        return "INVALID ARGUMENT"
    call.channel.variables[name] = value
    return NO_RESPONSE


async def hangup(call: "Call", argument: str) -> str:
    call.leg.hangup(causes.known_or_normal(argument))
    return NO_RESPONSE


APPLICATIONS: dict[str, Application] = {
    "answer": answer,
    "bridge": bridge,
    "hangup": hangup,
    "playback": playback,
    "pre_answer": pre_answer,
    "ring_ready": ring_ready,
    "set": set_variable,
    "sleep": sleep,
}
