"""Where the caller is, as it comes in with a call and as it leaves: in the body, by reference, by a provider's id.

Each trunk is told in its own way, so what is written into the message is written in the branch route, which leaves the
next trunk's INVITE untouched. What the phone sent is read once, and leaves only in a document of ours: its own may name
the caller (A2).
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.core import access, geolocation, multipart, pidf_lo, pidf_lo_build
from holdfast.core.model import LocationMethod
from holdfast.core.multipart import Part
from holdfast.core.pidf_lo import PidfLo
from holdfast.core.place import Place
from holdfast.core.route_plan import RoutePlan
from holdfast.errors import EdgeStoreUnavailable, InputError
from kemi import ksr, message, trunks
from kemi.context import alarm, config, now, store
from kemi.message import Request

#: The client's word on the country it is in (A6), ISO 3166-1 alpha-2.
COUNTRY_HEADER = "X-Emergency-Country"
#: How long whoever is told may keep it (RFC 4119 §2.2.2), in seconds.
KEPT_FOR_S = 24 * 3600
_SDP = "application/sdp"
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says of where its caller is. `sdp`: its offer, where the body holds more than that."""

    country: str
    attachments: tuple[tuple[str, str], ...]
    lo: PidfLo
    #: the Geolocation header as it came
    geolocation: str
    sdp: str
    holds_more: bool

    @property
    def places(self) -> tuple[Place, ...]:
        return self.lo.places


def said_in(request: Request) -> Said:
    """Read it once. A document that cannot be read says nothing: the call goes on without it, and is screened (A8)."""
    lo, offer = PidfLo(), ""
    content_type, body = message.body()
    holds_more = bool(body) and not content_type.lower().startswith(_SDP)
    if holds_more:
        try:
            parts = multipart.parts(content_type, body.encode("utf-8"))
            offer = (multipart.sdp_of(parts) or b"").decode("utf-8", "replace")
            document = multipart.pidf_of(parts)
            lo = pidf_lo.parse(document) if document is not None else lo
        except InputError as error:
            ksr.info(f"what call {request.call_id} says of its location cannot be read: {error}")
    return Said(
        country=message.header(COUNTRY_HEADER),
        attachments=access.attachments(message.header("P-Access-Network-Info")),
        lo=lo,
        geolocation=message.header("Geolocation"),
        sdp=offer,
        holds_more=holds_more,
    )


def prepare(request: Request, said: Said, decision: RoutePlan, shown: str | None) -> None:
    """Keep with the transaction what each of the plan's trunks is to be told. `shown`: the number the PSAP sees."""
    for name in ("Geolocation", "Geolocation-Routing", "Geolocation-Error"):
        ksr.remove_header(name)
    ksr.remember("loc_refs", _references(said))
    ksr.remember("loc_sdp", said.sdp)
    ksr.remember("loc_more", "1" if said.holds_more else "")
    where = decision.where
    if where is None:
        return
    ksr.remember("loc_id", where.provider_location_id or "")
    methods = {hop.location_method for hop in decision.hops}
    if not methods & {LocationMethod.VALUE, LocationMethod.REFERENCE}:
        return
    try:
        document = _document(said, decision, shown)
    except InputError as error:
        alarm("location_unusable", f"the location of call {request.call_id} cannot be told: {error}")
        return
    ksr.remember("loc_document", document)
    if LocationMethod.REFERENCE in methods:
        ksr.remember("loc_uri", _reference_to(document, request))


def _references(said: Said) -> str:
    """Those already there, but to parts of the body: what we pass on of these is in a document of ours (RFC 6442)."""
    try:
        kept = [found.value for found in geolocation.references([said.geolocation])
                if not found.uri.lower().startswith("cid:")]  # fmt: skip
    except InputError as error:
        ksr.info(f"a Geolocation header is not passed on: {error}")
        return ""
    return ", ".join(kept)


def _document(said: Said, decision: RoutePlan, shown: str | None) -> str:
    """The place that counts first, and after it what the device said beside that (RFC 5491 §3 rule 8)."""
    where, policy, moment = decision.where, decision.policy, now().wall_s
    chosen = [where.place] if where else []
    notified = dict.fromkeys((*said.lo.notification_uris, *([policy.notification_uri or ""] if policy else [])))
    return pidf_lo_build.build(
        [*chosen, *(place for place in said.places if place not in chosen)],
        entity=f"sip:{shown}@{config().address}" if shown else "sip:anonymous@anonymous.invalid",
        timestamp=_utc(moment),
        retention_expiry=_utc(moment + KEPT_FOR_S),
        notification_uris=tuple(filter(None, notified)),
        conference_uri=said.lo.conference_uri or (policy.conference_uri if policy else None),
        conference_mode=said.lo.conference_mode or (policy.conference_mode if policy else None),
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _reference_to(document: str, request: Request) -> str:
    """A URI that nobody can guess and that expires; the control plane serves it once the journal has brought it there.

    "" where it cannot be made: the call goes without.
    """
    base = config().location_base_url
    if not base:
        alarm("location_not_told", "a trunk wants locations by reference, and api.location_base_url is not set")
        return ""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    payload = {"token": token, "document": document, "expires_at": now().wall_s + config().location_valid_s,
               "call_id": request.call_id}  # fmt: skip
    try:
        store().note("location_reference", payload, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return ""
    return f"{base.rstrip('/')}/location/{token}"


def tell() -> None:
    """In the branch route: what this trunk is told, in its own way (RFC 6442 §4)."""
    attempt = trunks.current()
    if attempt is None:
        return
    header = ksr.recall("loc_refs")
    method = attempt.location_method
    document = ksr.recall("loc_document") if method == LocationMethod.VALUE else ""
    if document:
        header = _with_body(document, header)
    elif ksr.recall("loc_more"):
        ksr.set_body(ksr.recall("loc_sdp"), _SDP)
    if method == LocationMethod.REFERENCE and (uri := ksr.recall("loc_uri")):
        header = geolocation.with_ours_last([header], uri, config().domain)
    if method == LocationMethod.PROVIDER_ID and (known_as := ksr.recall("loc_id")):
        ksr.add_header(attempt.location_id_header, known_as)
    if header:
        ksr.add_header("Geolocation", header)
        ksr.add_header("Geolocation-Routing", "yes")


def _with_body(document: str, header: str) -> str:
    """Put the document beside the offer; the Geolocation header that says so."""
    offer = ksr.recall("loc_sdp") if ksr.recall("loc_more") else message.body()[1]
    content_id = f"{secrets.token_hex(8)}@{config().domain}"
    parts = [Part(_SDP, offer.encode("utf-8"))] if offer else []
    content_type, body = multipart.build(
        [*parts, multipart.location_part(document, content_id)], f"holdfast-{secrets.token_hex(8)}"
    )
    ksr.set_body(body.decode("utf-8"), content_type)
    return geolocation.with_ours_last([header], multipart.cid_url(content_id), config().domain)
