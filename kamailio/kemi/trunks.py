"""Walking the trunks of a plan: to the next one, to the same without a location it does not take, or to the end.

The plan is kept with the transaction: the failure routes need neither the store nor a second decision.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from holdfast.core.model import CALLED_PARTY_DECIDED, CallKind, LocationMethod, Trunk
from holdfast.core.route_plan import Hop
from holdfast.errors import EdgeStoreUnavailable
from kemi import ksr, media_server, message
from kemi.context import alarm, now, store

ANSWERS_WITHIN_MS = 3_000
RINGS_WITHIN_MS = 120_000
#: Twice the announcement, and time to spare.
UNAVAILABLE_LASTS_AT_MOST_MS = 60_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trunk to be tried: what is called where, how the location is told, and how its answers are read."""

    request_uri: str
    next_hop: str
    location_method: str
    location_id_header: str
    answers_within_ms: int
    rings_within_ms: int
    final_codes: list[int]
    location_refused_codes: list[int]

    @classmethod
    def of_hop(cls, hop: Hop) -> Self:
        group = hop.group
        return cls(
            hop.request_uri, hop.trunk.uri, hop.location_method.value, group.location_id_header,
            group.answers_within_ms, group.rings_within_ms, list(group.final_codes), list(group.location_refused_codes),
        )  # fmt: skip

    @classmethod
    def plain(cls, trunk: Trunk, number: str) -> Self:
        """Without anything that only the store could tell."""
        return cls(
            trunk.uri_of(number), trunk.uri, LocationMethod.NONE.value, "", ANSWERS_WITHIN_MS, RINGS_WITHIN_MS,
            list(CALLED_PARTY_DECIDED), [],
        )  # fmt: skip


def remember(attempts: Iterable[Attempt]) -> None:
    ksr.remember("attempts", json.dumps([dataclasses.astuple(attempt) for attempt in attempts]))


def current() -> Attempt | None:
    """The attempt that is being made."""
    text = ksr.recall("attempt")
    return Attempt(*json.loads(text)) if text else None


def try_next() -> bool:
    """Relay to the next trunk of the plan that a message can be sent to at all. False: there is none left."""
    remaining = json.loads(ksr.recall("attempts") or "[]")
    while remaining:
        attempt = Attempt(*remaining[0])
        ksr.set_uri(attempt.request_uri)
        ksr.set_next_hop(attempt.next_hop)
        ksr.timers(unanswered_ms=attempt.answers_within_ms, ringing_ms=attempt.rings_within_ms)
        ksr.on_failure("ksr_failure_trunk")
        ksr.on_branch("ksr_branch_trunk")
        ksr.remember("attempt", json.dumps(remaining[0]))
        ksr.remember("attempts", json.dumps(remaining[1:]))
        try:
            if ksr.relay():
                return True
        except BaseException:
            ksr.remember("attempts", json.dumps(remaining))  # it was not this trunk that failed
            raise
        alarm("trunk_unreachable", f"trunk {attempt.next_hop} cannot be sent to")
        remaining = remaining[1:]
    return False


def failed() -> None:
    """A failure route: the next trunk, unless the caller hung up or the called party itself decided."""
    attempt, code = current(), ksr.failure_code()
    final = attempt.final_codes if attempt else CALLED_PARTY_DECIDED
    if ksr.cancelled() or code in final:
        end_here("refused")  # dialog tracking says so too, unless it could not follow this call
        return
    if attempt and attempt.location_method == LocationMethod.VALUE and code in attempt.location_refused_codes:
        _again_without_location(attempt)
    else:
        ksr.count("trunk_failovers_total")
    next_trunk()


def _again_without_location(attempt: Attempt) -> None:
    """N8: it may be the body that this trunk does not take. The call goes there again, at once, without it."""
    ksr.count("location_refused_total")
    again = dataclasses.replace(attempt, location_method=LocationMethod.NONE.value)
    remaining = json.loads(ksr.recall("attempts") or "[]")
    ksr.remember("attempts", json.dumps([dataclasses.astuple(again), *remaining]))


def next_trunk() -> None:
    if not try_next():
        give_up(ksr.recall("shown"))


def give_up(number: str, phrase: str = "", text: str = "") -> None:
    """No trunk took the call: the caller is told so by a voice, and then by a final answer, `phrase` with `text`.

    Its number stays lent: the PSAP may have seen it.
    """
    ksr.remember("last_phrase", phrase or "Emergency Service Failed")
    ksr.remember("last_words", text or "No trunk could take the call. Use another phone to call for help.")
    alarm("emergency_call_failed", "no trunk took an emergency call")
    ksr.count("emergency_calls_total", CallKind.EMERGENCY, "failed")
    if not media_server.send(
        "unavailable", number, lasts_at_most_ms=UNAVAILABLE_LASTS_AT_MOST_MS, on_failure="ksr_failure_unavailable"
    ):
        refuse()


def refuse() -> None:
    """The announcement is over, or there is nobody to make it."""
    if not ksr.cancelled():
        ksr.reply_final(503, ksr.recall("last_phrase"), ksr.recall("last_words"))
    end_here("no_trunk")


def end_here(reason: str) -> None:
    """End the call of this message, which has been answered: whatever goes wrong now must not answer it again."""
    try:
        end(message.call_id(), reason)
    except Exception as error:  # noqa: BLE001  see above; the call is closed later, when it is presumed to have ended
        alarm("call_end_not_written", repr(error))


def end(call_id: str, reason: str) -> None:
    """The call is over, however it ended: its window starts again (N2). Saying so twice is harmless."""
    try:
        store().end_call(call_id, now(), reason=reason)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
