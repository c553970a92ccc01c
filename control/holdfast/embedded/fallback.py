"""What a call does without a call controller, as FreeSWITCH's dialplan does it.

The outage path of the media server: readback reads the number by itself, callback rings the caller by itself. And
the one feature that no controller ever takes: the announcement to the caller of an emergency call that no trunk took.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.core.headers import uri_host
from holdfast.embedded import causes
from holdfast.embedded.channel import ChannelState

if TYPE_CHECKING:
    from holdfast.embedded.call import Call

UNAVAILABLE = "unavailable"

_PAUSE = "silence_stream://500"
#: Before the announcement, so that its first word is not lost while the caller's media path is set up.
_LEAD = "silence_stream://200"
#: After it: the phone still has so much to play when the refusal comes.
_TAIL = "silence_stream://300"


async def run(call: "Call") -> None:
    """Take the call over from wherever it stands, to its end."""
    call.log.info("%s without the call controller", call.purpose.feature)
    await call.execute("set", "holdfast_fallback=true")
    if call.purpose.feature == "readback":
        await _readback(call)
    else:
        await _callback(call)


async def announce_unavailable(call: "Call") -> None:
    """Say, twice, that the emergency call could not be connected; then refuse it.

    Early media (183, RFC 3960) and never a 200: a phone that is told 200 would take the call for one that works. A
    caller who made no offer cannot be sent early media, and is refused at once, as FreeSWITCH does it.
    """
    await call.execute("pre_answer", "")
    if call.channel.state is ChannelState.EARLY:
        sentence = "emergency/unavailable.wav"
        await _play(call, _LEAD, sentence, _PAUSE, sentence, _TAIL)
        await call.execute("hangup", causes.NO_TRUNK)
    else:
        await call.execute("hangup", causes.NORMAL)


async def _readback(call: "Call") -> None:
    await call.execute("answer", "")
    digits = [f"digits/{digit}.wav" for digit in call.purpose.callback_number if digit.isdigit()]
    if not all(_prompt(call, name).is_file() for name in digits):
        await _say(call, "readback/unavailable.wav")
    else:
        await _say(call, "readback/intro.wav", *digits)
        await _say(call, "readback/again.wav", *digits)
        await _say(call, "readback/end.wav")
    await call.execute("hangup", causes.NORMAL)


async def _callback(call: "Call") -> None:
    settings = call.settings
    await call.execute("ring_ready", "")
    # a controller that was there before may have set them otherwise
    await call.execute("set", "hangup_after_bridge=true")
    await call.execute("set", "continue_on_fail=true")
    edge = f"{uri_host(settings.sip.address)}:{settings.sip.port}"
    dial = (
        f"{{sip_h_X-Holdfast-Leg=deliver,sip_h_Priority=psap-callback,leg_timeout={settings.controller.ring_s},"
        f"ignore_early_media=true}}sofia/holdfast/sip:{call.purpose.callback_number}@{edge}"
    )
    for attempt in range(1, settings.controller.callback_attempts + 1):
        await call.execute("bridge", dial)
        await call.execute("answer", "")
        last = attempt == settings.controller.callback_attempts
        await _say(call, "callback/no_answer_end.wav" if last else "callback/no_answer_again.wav")
    await call.execute("hangup", causes.NO_ANSWER)


async def _say(call: "Call", *names: str) -> None:
    """Play prompts after a pause."""
    await _play(call, _PAUSE, *names)


async def _play(call: "Call", *parts: str) -> None:
    """Play prompts and silences in one go; a prompt that is missing is logged, and the others are heard."""
    playlist = []
    for part in parts:
        if "://" in part:
            playlist.append(part)
        elif (path := _prompt(call, part)).is_file():
            playlist.append(str(path))
        else:
            call.log.warning("prompt %s is missing", part)
    await call.execute("playback", "file_string://" + os.fsencode("!".join(playlist)).decode("latin-1"))


def _prompt(call: "Call", name: str) -> Path:
    return call.settings.media.prompts_dir / call.purpose.language / name
