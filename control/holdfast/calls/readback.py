"""933: read back, twice, the number that an emergency call from this phone would show (A7)."""

from enum import StrEnum

from holdfast.calls import prompts
from holdfast.calls.prompts import Prompts
from holdfast.errors import EslError
from holdfast.esl.commands import playlist, silence
from holdfast.esl.outbound import ChannelEnded, Session

BEFORE_FIRST_WORD_MS = 500  # an answered call's first half second is often lost on its way
BEFORE_NUMBER_MS = 200
BETWEEN_DIGITS_MS = 100
BEFORE_SENTENCE_MS = 500
ANNOUNCEMENT_DEADLINE_S = 120.0
HANGUP_DEADLINE_S = 5.0


class ReadbackResult(StrEnum):
    PLAYED = "played"
    HUNG_UP = "hung_up"  # by the caller, before the end


class PlaybackFailed(EslError):
    """The media server could not play the announcement."""


async def run(session: Session, number: str, spoken: Prompts) -> ReadbackResult:
    """Answer, announce `number` (E.164) and hang up.

    PlaybackFailed: nothing or not all was heard; let go of the call, and the dialplan says the number by itself.
    """
    # The media server would otherwise end a prompt at a "*" that the caller presses.
    await session.execute("set", "playback_terminators=none")
    await session.execute("answer")
    announcement = await session.execute("playback", announced(number, spoken))
    try:
        played = await session.completion(announcement, ANNOUNCEMENT_DEADLINE_S)
    except ChannelEnded:
        return ReadbackResult.HUNG_UP
    if played.get("Answer-State") == "hangup":
        return ReadbackResult.HUNG_UP
    if (response := played.get("Application-Response")) != "FILE PLAYED":
        raise PlaybackFailed(f"the announcement was not played: {response}")
    await session.hangup()
    await session.ended(HANGUP_DEADLINE_S)
    return ReadbackResult.PLAYED


def announced(number: str, spoken: Prompts) -> str:
    """The whole announcement as one playlist, so that nothing but the media server is needed once it has begun."""
    digits: list[str] = [silence(BEFORE_NUMBER_MS)]
    for clip in spoken.digits(number):
        digits += [clip, silence(BETWEEN_DIGITS_MS)]
    pause = silence(BEFORE_SENTENCE_MS)
    return playlist([
        silence(BEFORE_FIRST_WORD_MS), spoken.path(prompts.READBACK_INTRO), *digits,
        pause, spoken.path(prompts.READBACK_AGAIN), *digits,
        pause, spoken.path(prompts.READBACK_END),
    ])  # fmt: skip
