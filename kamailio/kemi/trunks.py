"""Walking the trunks of a plan: to the next one, to the same without a location it does not take, or to the end.

The plan is kept with the transaction: the failure routes need neither the store nor a second decision.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from holdfast.core.model import CALLED_PARTY_DECIDED, CallKind, LocationMethod
from holdfast.core.route_plan import Hop
from holdfast.errors import EdgeStoreUnavailable
from kemi import ksr, media_server, message
from kemi.context import alarm, now, store

#: Twice the announcement, and time to spare.
UNAVAILABLE_LASTS_AT_MOST_MS = 60_000
#: What a request over UDP may have where the path's MTU is not known (RFC 3261 §18.1.1).
UDP_HOLDS_OCTETS = 1_300
#: What is added to a request after it was measured: Via, Record-Route, the callback number's headers, Geolocation.
ADDED_OCTETS = 500
#: A trunk that takes TCP says 100 within two round trips; this lets one packet be lost.
TCP_ANSWERS_WITHIN_MS = 1_500
#: By this Kamailio's dialog tracking knows what to make of a CSeq; it does not leave. Only we may write it.
CSEQ_HEADER = "P-K-CSeq-Auth"
_UDP, _TCP = ";transport=udp", ";transport=tcp"


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
    #: whether it is told of the location references that came with the call
    takes_references: bool
    #: where it goes if TCP, which it takes because it is too long for UDP, does not work
    udp_next_hop: str = ""
    #: it has been tried over TCP
    stays_udp: bool = False
    #: it has been tried with its location
    is_again: bool = False

    @classmethod
    def of_hop(cls, hop: Hop) -> Self:
        group = hop.group
        return cls(
            hop.request_uri, hop.trunk.uri, hop.location_method.value, group.location_id_header,
            group.answers_within_ms, group.rings_within_ms, list(group.final_codes), list(group.location_refused_codes),
            takes_references=group.location_method in (LocationMethod.VALUE, LocationMethod.REFERENCE),
        )  # fmt: skip

    def without_location(self) -> Self:
        return dataclasses.replace(
            self, location_method=LocationMethod.NONE.value, takes_references=False, is_again=True
        )

    def over_udp(self) -> Self:
        """The same, now that TCP has failed."""
        return dataclasses.replace(self, next_hop=self.udp_next_hop, udp_next_hop="", stays_udp=True)

    def over_what_fits(self) -> Self:
        """The same over TCP where UDP is too small for it, unless the trunk has been found not to take that."""
        if not self.next_hop.endswith(_UDP) or self.stays_udp or not self.outgrows_udp:
            return self
        if ksr.table_get("udp_only", self.next_hop):
            return self
        return dataclasses.replace(self, next_hop=self.next_hop.removesuffix(_UDP) + _TCP, udp_next_hop=self.next_hop)

    @property
    def unanswered_ms(self) -> int:
        return min(self.answers_within_ms, TCP_ANSWERS_WITHIN_MS) if self.udp_next_hop else self.answers_within_ms

    @property
    def outgrows_udp(self) -> bool:
        return message.octets() + self._octets_of_location + ADDED_OCTETS > UDP_HOLDS_OCTETS

    @property
    def carries_body(self) -> bool:
        """Whether it takes a location in the body, and there is one."""
        return self._octets_of_location > 0

    @property
    def _octets_of_location(self) -> int:
        return int(ksr.recall("loc_octets") or 0) if self.location_method == LocationMethod.VALUE else 0


def remember(attempts: Iterable[Attempt]) -> None:
    ksr.remember("attempts", json.dumps([dataclasses.astuple(attempt) for attempt in attempts]))


def _remaining() -> list[Attempt]:
    return [Attempt(*attempt) for attempt in json.loads(ksr.recall("attempts") or "[]")]


def current() -> Attempt | None:
    """The attempt that is being made."""
    text = ksr.recall("attempt")
    return Attempt(*json.loads(text)) if text else None


def try_next() -> bool:
    """Relay to the next trunk of the plan that a message can be sent to at all. False: there is none left."""
    remaining = _remaining()
    while remaining:
        attempt = remaining[0].over_what_fits()
        ksr.set_uri(attempt.request_uri)
        ksr.set_next_hop(attempt.next_hop)
        ksr.timers(unanswered_ms=attempt.unanswered_ms, ringing_ms=attempt.rings_within_ms)
        ksr.on_failure("ksr_failure_trunk")
        ksr.on_branch("ksr_branch_trunk")
        ksr.remember("attempt", json.dumps(dataclasses.astuple(attempt)))
        remember(remaining[1:])
        try:
            if ksr.relay():
                return True
        except BaseException:
            remember(remaining)  # it was not this trunk that failed
            raise
        if attempt.udp_next_hop:
            remaining[0] = _without_tcp(attempt)
        else:
            alarm("trunk_unreachable", f"trunk {attempt.next_hop} cannot be sent to")
            remaining = remaining[1:]
    return False


def renumber() -> None:
    """In the branch route: what a trunk gets once more, changed, is another request, and has the next CSeq (RFC 3261
    §8.1.3.5). With the same one it would be taken for a copy that came by another way: 482 (§8.2.2.2).

    Kamailio's dialog tracking writes it and has the call's later requests follow, as it does for credentials.
    """
    attempt = current()
    if attempt is None or not (attempt.is_again or ksr.recall("renumbered")):
        return
    ksr.remember("cseq_diff", str(int(attempt.is_again)), kind="dlg_var")
    if attempt.is_again:
        ksr.remember("renumbered", "1")
        ksr.add_header(CSEQ_HEADER, str(int(ksr.read("$cs") or 0) + 1))


def failed() -> None:
    """A failure route: the next trunk, unless the caller hung up or the called party itself decided."""
    attempt, code = current(), ksr.failure_code()
    final = attempt.final_codes if attempt else CALLED_PARTY_DECIDED
    if ksr.cancelled() or code in final:
        end_here("refused")  # dialog tracking says so too, unless it could not follow this call
        return
    again = _again(attempt, code) if attempt else None
    if again is None:
        ksr.count("trunk_failovers_total")
    else:
        remember([again, *_remaining()])
    next_trunk()


def _again(attempt: Attempt, code: int) -> Attempt | None:
    """What the same trunk is asked at once, since another might have done no better; None: it has had its chance."""
    said_nothing = code == 408 and not ksr.has_replied()
    if attempt.udp_next_hop and said_nothing:
        return _without_tcp(attempt)
    if attempt.carries_body and code in attempt.location_refused_codes:  # N8: it may be the body that it does not take
        ksr.count("location_refused_total")
        return attempt.without_location()
    if attempt.carries_body and attempt.outgrows_udp and attempt.next_hop.endswith(_UDP) and said_nothing:
        # its fragments may have been lost on the way: when no other trunk is left it is asked once more
        remember([*_remaining(), attempt.without_location()])
    return None


def _without_tcp(attempt: Attempt) -> Attempt:
    """Over UDP after all (RFC 3261 §18.1.1), and so for an hour: the next call shall not lose this time again."""
    ksr.info(f"trunk {attempt.next_hop} does not take TCP; what is too long for UDP goes there in fragments")
    ksr.table_set("udp_only", attempt.udp_next_hop, "1")
    return attempt.over_udp()


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
