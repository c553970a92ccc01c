"""A PSAP's callback: ring the caller's phones, say what is happening, try again, and never lose an answered call.

The machine below is pure: signals in, actions out, every change of state in one table. The bridge itself runs in the
media server (`bridge` on the PSAP's leg), so a call that rings or is answered survives the controller, and the races
between cancel, answer and time-out are decided where the SIP messages meet; what is decided here is only what the PSAP
hears and whether the phones are rung once more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from holdfast.calls import prompts
from holdfast.calls.prompts import Prompts
from holdfast.core.lease import MAX_CALL_S
from holdfast.errors import EslTimeout
from holdfast.esl.commands import assignment, dial_string, playlist, silence
from holdfast.esl.frames import Event
from holdfast.esl.outbound import Session

PAUSE_AFTER_REFUSAL_MS = 3000
#: What the PSAP hears while the phones ring a second time (North America's ringback, ATIS-0300105).
RINGBACK = "tone_stream://%(2000,4000,440,480);loops=-1"
#: How much longer than announced a step may take before the media server counts as stalled.
SLACK_S = 15.0
PROMPT_S = 30.0
#: How FreeSWITCH calls a bridge that rang to its limit. Anything else came from the called side.
_RANG_TO_THE_END = frozenset({"NO_ANSWER", "ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT"})
_BRIDGED = "SUCCESS"


class State(StrEnum):
    NEW = "new"
    RINGING = "ringing"  # or telling the PSAP that the phones will ring again
    TALKING = "talking"
    PARTING = "parting"  # telling the PSAP that nobody answers
    OVER = "over"


class Signal(StrEnum):
    STARTED = "the controller has the call"
    ANSWERED = "the PSAP and a phone are bridged"
    TALK_ENDED = "the bridge ended after it had been answered"
    UNANSWERED = "the phones rang to the end"
    REFUSED = "busy, rejected or unreachable"
    EXHAUSTED = "unanswered or refused, and it was the last attempt"
    HUNG_UP = "the PSAP's leg is gone, no phone had answered"
    HUNG_UP_AFTER_TALK = "the PSAP's leg is gone, a phone had answered"


class Action(StrEnum):
    RING = "tell the PSAP that it rings, and ring the phones"
    RING_AGAIN = "answer, announce, ring again"
    RING_AGAIN_LATER = "answer, announce, wait, ring again"
    PART = "answer, announce that nobody answers, hang up"
    HANG_UP = "hang up"
    REPORT_ANSWERED = "count it as answered"
    REPORT_CANCELLED = "count it as given up by the PSAP"
    REPORT_UNANSWERED = "count it as unanswered"


#: Every change of state. A pair that is not here changes nothing and does nothing: a repeated or a late signal.
TRANSITIONS: Mapping[tuple[State, Signal], tuple[State, Action | None]] = MappingProxyType({
    (State.NEW, Signal.STARTED): (State.RINGING, Action.RING),
    (State.NEW, Signal.HUNG_UP): (State.OVER, Action.REPORT_CANCELLED),

    (State.RINGING, Signal.ANSWERED): (State.TALKING, None),
    (State.RINGING, Signal.UNANSWERED): (State.RINGING, Action.RING_AGAIN),
    (State.RINGING, Signal.REFUSED): (State.RINGING, Action.RING_AGAIN_LATER),
    (State.RINGING, Signal.EXHAUSTED): (State.PARTING, Action.PART),
    (State.RINGING, Signal.HUNG_UP): (State.OVER, Action.REPORT_CANCELLED),
    # The event that told of the answer was lost or comes late; the end tells it too.
    (State.RINGING, Signal.TALK_ENDED): (State.TALKING, Action.HANG_UP),
    (State.RINGING, Signal.HUNG_UP_AFTER_TALK): (State.OVER, Action.REPORT_ANSWERED),

    # The media server hangs up by itself after a bridge (hangup_after_bridge); to say so again does no harm.
    (State.TALKING, Signal.TALK_ENDED): (State.TALKING, Action.HANG_UP),
    (State.TALKING, Signal.HUNG_UP): (State.OVER, Action.REPORT_ANSWERED),
    (State.TALKING, Signal.HUNG_UP_AFTER_TALK): (State.OVER, Action.REPORT_ANSWERED),

    (State.PARTING, Signal.HUNG_UP): (State.OVER, Action.REPORT_UNANSWERED),
    (State.PARTING, Signal.HUNG_UP_AFTER_TALK): (State.OVER, Action.REPORT_ANSWERED),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a callback has come. `attempt` counts from 1 once the phones ring."""

    attempts_allowed: int
    state: State = State.NEW
    attempt: int = 0


def step(progress: Progress, signal: Signal) -> tuple[Progress, Action | None]:
    """The whole decision: where the call stands now, and what to do."""
    if signal in (Signal.UNANSWERED, Signal.REFUSED) and progress.attempt >= progress.attempts_allowed:
        signal = Signal.EXHAUSTED
    state, action = TRANSITIONS.get((progress.state, signal), (progress.state, None))
    rings = action in (Action.RING, Action.RING_AGAIN, Action.RING_AGAIN_LATER)
    return replace(progress, state=state, attempt=progress.attempt + rings), action


def signal_of(event: Event, bridge_uuid: str) -> Signal | None:
    """What an event of the PSAP's leg means; `bridge_uuid` is the Event-UUID of the bridge that was asked for last."""
    answered = event.variable("originate_disposition") == _BRIDGED
    match event.name:
        case "CHANNEL_BRIDGE":
            return Signal.ANSWERED
        case "CHANNEL_HANGUP_COMPLETE":
            return Signal.HUNG_UP_AFTER_TALK if answered else Signal.HUNG_UP
        case "CHANNEL_EXECUTE_COMPLETE" if event.get("Application-UUID") == bridge_uuid:
            if answered:
                return Signal.TALK_ENDED
            if event.get("Answer-State") == "hangup":
                return None  # the PSAP cancelled; the channel's last event follows
            rang = event.variable("originate_disposition") in _RANG_TO_THE_END
            return Signal.UNANSWERED if rang else Signal.REFUSED
        case _:
            return None


class CallbackResult(StrEnum):
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    UNANSWERED = "no_answer"


RESULTS = MappingProxyType(
    {
        Action.REPORT_ANSWERED: CallbackResult.ANSWERED,
        Action.REPORT_CANCELLED: CallbackResult.CANCELLED,
        Action.REPORT_UNANSWERED: CallbackResult.UNANSWERED,
    }
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the phones of a callback number are rung: at the edge, which looks the lease up again."""

    number: str
    edge_host: str  # as in a URI: an IPv6 address in brackets
    edge_port: int
    ring_s: int

    def dial_string(self) -> str:
        return dial_string(
            f"sofia/holdfast/sip:{self.number}@{self.edge_host}:{self.edge_port}",
            {
                "sip_h_X-Holdfast-Leg": "deliver",
                "sip_h_Priority": "psap-callback",
                "leg_timeout": str(self.ring_s),
                "ignore_early_media": "true",
            },
        )


class Callback:
    """The thin shell: drives one session by the machine. `on_attempt` is called whenever the phones are rung."""

    def __init__(
        self,
        session: Session,
        target: Target,
        attempts_allowed: int,
        spoken: Prompts,
        *,
        on_attempt: Callable[[], None],
    ) -> None:
        self._session = session
        self._target = target
        self._spoken = spoken
        self._on_attempt = on_attempt
        self._bridge_uuid = ""
        self._progress = Progress(attempts_allowed)

    async def run(self) -> CallbackResult:
        """Until the PSAP's leg is gone. EslError: the call was lost from sight; the media server carries it on."""
        signal: Signal | None = Signal.STARTED
        while True:
            if signal is not None:
                self._progress, action = step(self._progress, signal)
                if action is not None and action in RESULTS:
                    return RESULTS[action]
                if action is not None:
                    await self._do(action)
            event = await self._session.next_event(self._longest_wait_s())
            if event is None:
                raise EslTimeout("the call's events ended before the call")
            signal = signal_of(event, self._bridge_uuid)

    def _longest_wait_s(self) -> float:
        if self._progress.state is State.TALKING:
            return MAX_CALL_S
        return self._target.ring_s + PROMPT_S + SLACK_S

    async def _do(self, action: Action) -> None:
        """Queue what an action needs in one go: the media server works it off without another word from us."""
        match action:
            case Action.RING:
                for variable in ("hangup_after_bridge=true", "continue_on_fail=true", "playback_terminators=none"):
                    await self._session.execute("set", variable)
                await self._session.execute("set", assignment("transfer_ringback", RINGBACK))
                await self._session.execute("ring_ready")
                await self._ring()
            case Action.RING_AGAIN:
                await self._say([self._spoken.path(prompts.CALLBACK_AGAIN)])
                await self._ring()
            case Action.RING_AGAIN_LATER:
                await self._say([self._spoken.path(prompts.CALLBACK_AGAIN), silence(PAUSE_AFTER_REFUSAL_MS)])
                await self._ring()
            case Action.PART:
                await self._say([self._spoken.path(prompts.CALLBACK_END)])
                await self._session.execute("hangup", "NO_ANSWER")
            case Action.HANG_UP:
                await self._session.hangup()

    async def _say(self, files: list[str]) -> None:
        await self._session.execute("answer")
        await self._session.execute("playback", playlist(files))

    async def _ring(self) -> None:
        self._on_attempt()
        self._bridge_uuid = (await self._session.execute("bridge", self._target.dial_string())).event_uuid
