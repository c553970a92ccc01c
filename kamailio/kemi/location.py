"""Where the caller is, as it comes in with a call and as it leaves: in the body, by reference, by a provider's id.

What the phone sent is read once and taken out of the message before anything else is done with it: its own document may
name the caller (A2), and leaves in one of ours only. Each trunk is told in its own way, so what is written into the
message is written in the branch route, which leaves the next trunk's INVITE untouched.
"""

import base64
import dataclasses
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from holdfast.core import access, geolocation, multipart, offer, pidf_lo, pidf_lo_build
from holdfast.core.geolocation import GeolocationRef
from holdfast.core.model import Caller, LocationMethod, Policy
from holdfast.core.multipart import Part
from holdfast.core.pidf_lo import PidfLo
from holdfast.core.place import Place
from holdfast.core.route_plan import Hop
from holdfast.core.whereabouts import Whereabouts
from holdfast.errors import EdgeStoreUnavailable, InputError
from kemi import ksr, message, trunks
from kemi.context import alarm, config, now, store
from kemi.message import Request

#: The client's word on the country it is in (A6), ISO 3166-1 alpha-2.
COUNTRY_HEADER = "X-Emergency-Country"
#: How long whoever is told may keep it (RFC 4119 §2.2.2), in seconds.
KEPT_FOR_S = 24 * 3600
_TOKEN_BYTES = 24
_HEADERS = ("Geolocation", "Geolocation-Routing", "Geolocation-Error")
#: They describe the body that came in, and a Content-ID may name its caller.
_BODY_HEADERS = ("Content-Disposition", "Content-ID", "Content-Language", "Content-Encoding", "MIME-Version")
#: So much of a telephone number names whose it is, with or without what is dialled before it.
_TELLING_DIGITS = 8
_NO_DIGIT = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says of where its caller is. `offer`: its session description, where the body holds more."""

    country: str
    attachments: tuple[tuple[str, str], ...]
    lo: PidfLo
    references: tuple[GeolocationRef, ...]
    offer: bytes
    holds_more: bool

    @property
    def places(self) -> tuple[Place, ...]:
        return self.lo.places


@dataclass(frozen=True, slots=True)
class Told:
    """What a call's trunks are to be told. `shown`: the number that the PSAP sees, "" if there is none to be shown."""

    hops: tuple[Hop, ...]
    where: Whereabouts | None
    policy: Policy | None = None
    shown: str = ""


def said_in(request: Request) -> Said:
    """Read it once. A document that cannot be read says nothing: the call goes on without it, and is screened (A8)."""
    content_type = message.content_type()
    body = b"" if offer.is_offer(content_type) else message.body()
    return Said(
        country=message.header(COUNTRY_HEADER),
        attachments=access.attachments(message.header("P-Access-Network-Info")),
        lo=_document_in(content_type, body, request) if body else PidfLo(),
        references=_references_in(message.header("Geolocation"), request),
        offer=offer.offer_in(content_type, body) if body else b"",
        holds_more=bool(body),
    )


def _document_in(content_type: str, body: bytes, request: Request) -> PidfLo:
    try:
        document = multipart.pidf_of(multipart.parts(content_type, body))
        return pidf_lo.parse(document) if document is not None else PidfLo()
    except InputError as error:
        ksr.info(f"what call {request.call_id} says of its location cannot be read: {error}")
        return PidfLo()


def _references_in(header: str, request: Request) -> tuple[GeolocationRef, ...]:
    """Those to something outside the message: the parts of its body leave in a document of ours."""
    try:
        return tuple(found for found in geolocation.references([header]) if not found.uri.lower().startswith("cid:"))
    except InputError as error:
        ksr.info(f"the Geolocation of call {request.call_id} is not passed on: {error}")
        return ()


def take_out(said: Said) -> None:
    """Leave nothing of it in the message but the session description; `prepare` may put some of it back."""
    for name in _HEADERS:
        ksr.remove_header(name)
    if said.holds_more:
        _leave_only(said.offer)


def take_out_of(request: Request) -> None:
    """The same for a later request of the call, whose location nobody is told."""
    for name in _HEADERS:
        ksr.remove_header(name)
    content_type = message.content_type()
    body = message.body() if offer.may_hold_location(content_type) else b""
    if body:
        ksr.info(f"{request.method} {request.call_id} goes on without the location that it may hold")
        _leave_only(offer.offer_in(content_type, body))


def _leave_only(session_description: bytes) -> None:
    for name in _BODY_HEADERS:
        ksr.remove_header(name)
    message.set_body(session_description, multipart.SDP)
    ksr.apply_changes()  # whoever reads the body from now on finds nothing else


def prepare(request: Request, said: Said, told: Told, caller: Caller | None) -> None:
    """Keep with the transaction what each trunk is to be told, after `take_out`."""
    names = _Names.of(request, caller)
    kept = [reference.value for reference in said.references if not names.stand_in(reference.value)]
    ksr.remember("loc_refs", ", ".join(kept))
    for name in {hop.group.location_id_header for hop in told.hops}:
        ksr.remove_header(name)  # it is our word, never the caller's
    methods = {hop.location_method for hop in told.hops}
    if told.where is None:
        return
    ksr.remember("loc_id", told.where.provider_location_id or "")
    if not methods & {LocationMethod.VALUE, LocationMethod.REFERENCE}:
        return
    try:
        document = _document(said, told, names)
        if LocationMethod.VALUE in methods:
            _prepare_body(document, kept)
        if LocationMethod.REFERENCE in methods:
            _prepare_reference(document, kept, request)
    except InputError as error:
        alarm("location_unusable", f"the location of call {request.call_id} cannot be told: {error}")


@dataclass(frozen=True, slots=True)
class _Names:
    """By what the caller is known: words in lower case, and the last digits of numbers."""

    words: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, request: Request, caller: Caller | None) -> Self:
        subscriber = caller.subscriber if caller else None
        words = {request.from_user, message.asserted_user(), subscriber.username if subscriber else ""}
        written = {*words, caller.number or "" if caller else "", subscriber.number or "" if subscriber else ""}
        digits = (_NO_DIGIT.sub("", text) for text in written)
        return cls(
            frozenset(word.lower() for word in words if word),
            frozenset(number[-_TELLING_DIGITS:] for number in digits if len(number) >= _TELLING_DIGITS),
        )

    def number_in(self, text: str) -> bool:
        """Whether one of the numbers stands there, with whatever punctuation."""
        digits = _NO_DIGIT.sub("", text)
        return any(number in digits for number in self.numbers)

    def stand_in(self, text: str) -> bool:
        lower = text.lower()
        whole = (rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])" for word in self.words)
        return self.number_in(text) or any(re.search(word, lower) for word in whole)


def _document(said: Said, told: Told, names: _Names) -> str:
    """The place that counts first, and after it what the device said beside that (RFC 5491 §3 rule 8)."""
    policy, moment = told.policy, now().wall_s
    chosen = [told.where.place] if told.where else []
    notified = dict.fromkeys((*said.lo.notification_uris, *([policy.notification_uri or ""] if policy else [])))
    places = [*chosen, *(place for place in said.places if place not in chosen)]
    return pidf_lo_build.build(
        [_without_numbers(place, names) for place in places],
        entity=f"sip:{told.shown}@{config().address}" if told.shown else "sip:anonymous@anonymous.invalid",
        timestamp=_utc(moment),
        retention_expiry=_utc(moment + KEPT_FOR_S),
        notification_uris=tuple(filter(None, notified)),
        conference_uri=said.lo.conference_uri or (policy.conference_uri if policy else None),
        conference_mode=said.lo.conference_mode or (policy.conference_mode if policy else None),
    )


def _without_numbers(place: Place, names: _Names) -> Place:
    """Without elements that hold the caller's own number, as some clients write it beside the name of the place."""
    civic = tuple((element, text) for element, text in place.civic if not names.number_in(text))
    return place if civic == place.civic else dataclasses.replace(place, civic=civic)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _prepare_body(document: str, references: Iterable[str]) -> None:
    """The document beside the session description, and the Geolocation header that says so."""
    if ksr.has_header("Content-Encoding"):
        alarm("location_not_told", "a session description that is compressed cannot stand beside a location")
        return
    session_description = message.body()
    content_id = f"{secrets.token_hex(8)}@{config().domain}"
    content_type, body = multipart.build(
        [
            *([Part(multipart.SDP, session_description)] if session_description else []),
            multipart.location_part(document, content_id),
        ],
        f"holdfast-{secrets.token_hex(8)}",
    )
    ksr.remember("loc_by_value", geolocation.with_ours_last(references, multipart.cid_url(content_id), config().domain))
    ksr.remember("loc_type", content_type)
    ksr.remember("loc_body", base64.b64encode(body).decode("ascii"))
    ksr.remember("loc_octets", str(len(body) - len(session_description)))


def _prepare_reference(document: str, references: Iterable[str], request: Request) -> None:
    """A URI that nobody can guess and that expires; the control plane serves it once the journal has brought it there.

    Where it cannot be made the call goes without.
    """
    base = config().location_base_url
    if not base:
        alarm("location_not_told", "a trunk wants locations by reference, and api.location_base_url is not set")
        return
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    header = geolocation.with_ours_last(references, f"{base.rstrip('/')}/location/{token}", config().domain)
    payload = {"token": token, "document": document, "expires_at": now().wall_s + config().location_valid_s,
               "call_id": request.call_id}  # fmt: skip
    try:
        store().note("location_reference", payload, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return
    ksr.remember("loc_by_reference", header)


def tell() -> None:
    """In the branch route: what this trunk is told, in its own way (RFC 6442 §4)."""
    attempt = trunks.current()
    if attempt is None:
        return
    header = ksr.recall("loc_refs") if attempt.takes_references else ""
    if attempt.carries_body:
        for name in _BODY_HEADERS:
            ksr.remove_header(name)
        message.set_body(base64.b64decode(ksr.recall("loc_body")), ksr.recall("loc_type"))
        header = ksr.recall("loc_by_value")
    elif attempt.location_method == LocationMethod.REFERENCE:
        header = ksr.recall("loc_by_reference") or header
    elif attempt.location_method == LocationMethod.PROVIDER_ID and (known_as := ksr.recall("loc_id")):
        ksr.add_header(attempt.location_id_header, known_as)
    if header:
        ksr.add_header("Geolocation", header)
        ksr.add_header("Geolocation-Routing", geolocation.ROUTING)
