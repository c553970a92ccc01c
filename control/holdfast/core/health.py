"""Whether a trunk takes calls, learnt from its answers to OPTIONS: pure rules, with hysteresis against flapping.

Health is a hint. A trunk that is down is tried last within a call's plan and never left out, so a wrong finding costs a
call at most the wait for a trunk that is dead; and a trunk of which nothing is known counts as healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

#: So many failures in a row, and a trunk is down; a lost packet or a restart of the peer is less than that.
DOWN_AFTER = 3
#: So many answers in a row, and a trunk that was down is up.
UP_AFTER = 2
#: A result that is older counts as unknown, in seconds: whoever asked the trunk is gone.
STALE_AFTER_S = 180.0

#: Final answers that say "not here, not now": 408 and 504 from a proxy whose server behind it is silent (RFC 3261
#: §21.4.9, §21.5.5), 502 from one whose server answers nonsense (§21.5.3), 500 from a server that cannot serve
#: (§21.5.1), 503 from one that is overloaded or being taken out of service (§21.5.4; RFC 3263 §4.3 counts it with a
#: transport that failed). A call would be answered the same.
REFUSES_CALLS = frozenset({408, 500, 502, 503, 504})


class State(StrEnum):
    UNKNOWN = "unknown"  # counts as healthy
    UP = "up"
    DOWN = "down"


class Finding(StrEnum):
    """What came of one OPTIONS."""

    ANSWERED = "answered"
    FAILED = "failed"  # refused, or no answer in time, or no way there


def finding_of(status: int) -> Finding:
    """What a final answer (200 to 699) says about calls.

    Any other than REFUSES_CALLS proves that a SIP stack lives there and reads requests, and that is all that is asked:
    401 or 403 wants a caller it knows, 404 and 480 speak of the user that an OPTIONS to a host has none of, 405 and 501
    do not know the method, 481 and 483 are what a peer says to a request it will not act on (RFC 3261 §16.3: an element
    must answer 483 when Max-Forwards is used up), 505 and 513 find fault with the message alone. Asterisk, FreeSWITCH
    and the carriers' border controllers all give one or the other of these while they carry calls.
    """
    return Finding.FAILED if status in REFUSES_CALLS else Finding.ANSWERED


class Evidence(StrEnum):
    """A finding in the light of those before it."""

    ANSWER = "answered, not yet often enough in a row to trust a trunk that was down"
    ANSWERS = "answered UP_AFTER times in a row or more"
    FAILURE = "failed, not yet often enough in a row to call a trunk down"
    FAILURES = "failed DOWN_AFTER times in a row or more"
    FORGOTTEN = "what was known is about another destination, or too old"


#: Every change of a trunk's state. One answer makes an unknown trunk up, since both count as healthy.
TRANSITIONS: Mapping[tuple[State, Evidence], State] = MappingProxyType(
    {
        (State.UNKNOWN, Evidence.ANSWER): State.UP,
        (State.UNKNOWN, Evidence.ANSWERS): State.UP,
        (State.UNKNOWN, Evidence.FAILURE): State.UNKNOWN,
        (State.UNKNOWN, Evidence.FAILURES): State.DOWN,
        (State.UNKNOWN, Evidence.FORGOTTEN): State.UNKNOWN,
        (State.UP, Evidence.ANSWER): State.UP,
        (State.UP, Evidence.ANSWERS): State.UP,
        (State.UP, Evidence.FAILURE): State.UP,
        (State.UP, Evidence.FAILURES): State.DOWN,
        (State.UP, Evidence.FORGOTTEN): State.UNKNOWN,
        (State.DOWN, Evidence.ANSWER): State.DOWN,
        (State.DOWN, Evidence.ANSWERS): State.UP,
        (State.DOWN, Evidence.FAILURE): State.DOWN,
        (State.DOWN, Evidence.FAILURES): State.DOWN,
        (State.DOWN, Evidence.FORGOTTEN): State.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one trunk: its state, and how many of its latest answers or failures came in a row."""

    state: State = State.UNKNOWN
    answers: int = 0
    failures: int = 0

    def after(self, finding: Finding) -> "Health":
        """With one more finding."""
        if finding is Finding.ANSWERED:
            answers = self.answers + 1
            evidence = Evidence.ANSWERS if answers >= UP_AFTER else Evidence.ANSWER
            return Health(TRANSITIONS[self.state, evidence], answers=answers)
        failures = self.failures + 1
        evidence = Evidence.FAILURES if failures >= DOWN_AFTER else Evidence.FAILURE
        return Health(TRANSITIONS[self.state, evidence], failures=failures)

    def forgotten(self) -> "Health":
        """Without what was found: it is about another destination, or too old."""
        return Health(TRANSITIONS[self.state, Evidence.FORGOTTEN])


def is_stale(checked_at: float, now_s: float) -> bool:
    """Whether a result from `checked_at` is too old at `now_s` (both UTC seconds), or comes from a clock set back."""
    return abs(now_s - checked_at) > STALE_AFTER_S


def counts_as_down(state: str | None, checked_at: float | None, now_s: float) -> bool:
    """Whether a trunk is to be tried last, by its row of the edge store's trunk_health; None and None: it has none.

    `now_s` is the time of the call in UTC seconds: a row that was read a while ago may have become stale since.
    """
    return state == State.DOWN and checked_at is not None and not is_stale(checked_at, now_s)
