"""Ladder diagrams: the SIP messages of a call between the parts, as data for the report's SVG.

Messages come from Kamailio's mirror (HEP), so each hop is seen once, with Kamailio's clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.sip_messages import SipMessage
from lab.trace import Captured

#: Messages that belong to no call.
_NOT_CALLS = {"REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "PUBLISH"}
_LONGEST_LABEL = 25
#: siptrace mirrors an ACK to a stateless reply twice; a real retransmission comes 500 ms later (RFC 3261 §17.1.1.2).
_SAME_S = 0.05
_CHALLENGES = (401, 407)


@dataclass(frozen=True)
class Arrow:
    """One message: from column to column (0 is leftmost), milliseconds since the call's first message."""

    source: int
    target: int
    at_ms: float
    label: str
    leg: int
    failed: bool
    is_request: bool
    retransmission: bool
    route: str
    text: str


@dataclass(frozen=True)
class Ladder:
    """One call, with every leg that a back-to-back user agent made of it."""

    title: str
    columns: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """Which name stands for which "address:port" or "address", in the order of the columns."""

    names: Mapping[str, str]

    def name(self, endpoint: str) -> str:
        """A part's name: by address and port, else by address (a TCP client's port is any), else the address itself."""
        return self.names.get(endpoint) or self.names.get(endpoint.rpartition(":")[0]) or endpoint

    def columns(self, endpoints: Iterable[str]) -> tuple[str, ...]:
        """The names that occur, in their order; unknown ones last."""
        present = {self.name(endpoint) for endpoint in endpoints}
        known = [name for name in dict.fromkeys(self.names.values()) if name in present]
        return (*known, *sorted(present - set(known)))


@dataclass(frozen=True)
class _Seen:
    captured: Captured
    message: SipMessage


def ladders(captured: Sequence[Captured], parts: Parts) -> list[Ladder]:
    """One ladder for each call among the messages; the legs of a B2BUA call are in one ladder."""
    parsed = [(item, item.message()) for item in captured]
    seen = [_Seen(item, message) for item, message in parsed if message is not None and _of_a_call(message)]
    return [_ladder(group, parts) for group in _groups(_in_causal_order(seen))]


def _of_a_call(message: SipMessage) -> bool:
    try:
        return message.method not in _NOT_CALLS and bool(message.call_id)
    except (ValueError, IndexError):  # no CSeq or Call-ID: not to be drawn
        return False


def _in_causal_order(seen: Sequence[_Seen]) -> list[_Seen]:
    """By time, but no request after its own answer.

    Kamailio mirrors what it sends just after sending it; by then another of its processes may have mirrored the answer.
    """
    answered: dict[tuple[str, str, str, str], float] = {}
    for item in seen:
        if not item.message.is_request:
            key = (item.captured.target, item.captured.source, item.message.call_id, item.message.one("cseq"))
            answered[key] = min(item.captured.at, answered.get(key, item.captured.at))

    def place(item: _Seen) -> tuple[float, bool]:
        if not item.message.is_request:
            return item.captured.at, True
        key = (item.captured.source, item.captured.target, item.message.call_id, item.message.one("cseq"))
        answer_at = answered.get(key, item.captured.at)
        # much later, it is a retransmission
        late = answer_at < item.captured.at < answer_at + _SAME_S
        return (answer_at if late else item.captured.at), False

    ordered = sorted(seen, key=place)
    return [replace(item, captured=replace(item.captured, at=place(item)[0])) for item in ordered]


def _groups(seen: Sequence[_Seen]) -> list[list[_Seen]]:
    """Group messages by related Call-IDs, in order of their first message."""
    group_of: dict[str, int] = {}
    groups: list[list[_Seen]] = []
    for item in seen:
        call_id = item.message.call_id
        if call_id not in group_of:
            group_of[call_id] = _related(item, groups)
            if group_of[call_id] == len(groups):
                groups.append([])
        groups[group_of[call_id]].append(item)
    return groups


def _related(first: _Seen, groups: Sequence[Sequence[_Seen]]) -> int:
    """The group that a new Call-ID belongs to, or the index of a new group.

    A leg made by the media server comes from where an earlier leg was sent to, and calls the number which that leg
    named in X-Holdfast-Callback-Number.
    """
    if not first.message.is_request:
        return len(groups)
    source, number = first.captured.source, _user(first.message)
    for index in range(len(groups) - 1, -1, -1):
        for item in groups[index]:
            if item.captured.target == source and number in item.message.all("x-holdfast-callback-number"):
                return index
    return len(groups)


def _ladder(group: Sequence[_Seen], parts: Parts) -> Ladder:
    columns = parts.columns(end for item in group for end in (item.captured.source, item.captured.target))
    legs = list(dict.fromkeys(item.message.call_id for item in group))
    start = group[0].captured.at
    sent: dict[tuple[str, str, bytes], float] = {}
    arrows = []
    for item in group:
        hop = (item.captured.source, item.captured.target, item.captured.raw)
        before = sent.get(hop)
        sent[hop] = item.captured.at
        if before is None or item.captured.at - before > _SAME_S:
            arrows.append(_arrow(item, columns, parts, legs, start, again=before is not None))
    first = group[0]
    title = f"{parts.name(first.captured.source)} → {printable(_user(first.message) or first.message.start_line)}"
    return Ladder(title, columns, tuple(arrows), tuple(legs))


def _arrow(
    item: _Seen, columns: Sequence[str], parts: Parts, legs: Sequence[str], start: float, *, again: bool
) -> Arrow:
    captured, message = item.captured, item.message
    return Arrow(
        source=columns.index(parts.name(captured.source)),
        target=columns.index(parts.name(captured.target)),
        at_ms=(captured.at - start) * 1000,
        label=_label(message),
        leg=legs.index(message.call_id),
        failed=message.status >= 400 and message.status not in _CHALLENGES,
        is_request=message.is_request,
        retransmission=again,
        route=f"{captured.transport} {captured.source} → {captured.target}",
        text=printable(captured.raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n")),
    )


def _label(message: SipMessage) -> str:
    if message.is_request:
        label = f"{message.method} {_user(message)}" if message.method == "INVITE" else message.method
    else:
        label = f"{message.status} {message.reason}"
        # a 200 alone does not say what it answers
        if message.method != "INVITE" and message.status >= 200:
            label += f" ({message.method})"
    if message.body and "application/sdp" in message.all("content-type"):
        label += " + SDP"
    label = printable(label)
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _user(message: SipMessage) -> str:
    if not message.is_request:
        return ""
    scheme, _, rest = message.request_uri.partition(":")
    user = rest.rpartition("@")[0] if scheme.lower() in {"sip", "sips"} else rest
    return user.split(";")[0]


def printable(text: str) -> str:
    """Text that a page can show: bytes that are not UTF-8, and control characters, become visible escapes."""
    return "".join(
        character if character == "\n" or character.isprintable() else f"\\x{ord(character) & 0xFF:02x}"
        for character in text
    )
