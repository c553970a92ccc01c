"""A call to a callback number: marked, handed to the media server, and brought to whoever holds the number.

It bypasses do-not-disturb, forwarding, inbound permission and presence (D4): none of them is even looked at.
"""

from holdfast.core import callers, numbers
from holdfast.core import lease as rules
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.headers import SipUri
from holdfast.core.lease import Lease, LeaseState
from holdfast.errors import EdgeStoreUnavailable
from kemi import identity, ksr, media, media_server
from kemi.callers import Origin
from kemi.context import alarm, now, store
from kemi.identity import CALLBACK_MARK
from kemi.message import Request
from kemi.trunks import end_here

DEVICE_ANSWERS_WITHIN_MS = 2_000
DEVICE_RINGS_FOR_MS = 60_000
#: The controller's announcements and attempts take their time; the media server ends the call itself.
CALLBACK_LASTS_AT_MOST_MS = 300_000


def number_called(dialled: str) -> str | None:
    """The callback number that was dialled, however the carrier writes it; None: it is no number of a pool."""
    forms = dict.fromkeys(filter(None, (dialled, numbers.e164(dialled, DEFAULT_COUNTRY), f"+{dialled}")))
    try:
        return next((form for form in forms if store().is_pool_number(form)), None)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return next((form for form in forms if ksr.table_get("holders", form)), None)


def route_from(source: Origin, request: Request, number: str) -> None:
    """A call to a callback number: the PSAP's, from a trunk, or the media server's leg towards the phones."""
    if source.media_server:
        deliver_leg(number)
    else:
        route(request, number)


def route(request: Request, number: str) -> None:
    """A trunk calls a callback number: mark it and give it to the media server, which rings the holder's devices."""
    try:
        leases = store().begin_callback(request.call_id, number, now())
        known = bool(leases)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        known = bool(ksr.table_get("holders", number))
    if not known:
        ksr.count("callbacks_total", "not_leased")
        ksr.reply(404, "Not Found", "This number is lent to nobody.")
        return
    ksr.new_transaction()
    ksr.track_dialog(probe_callee=True)
    _mark()
    ksr.record_route(f"{CALLBACK_MARK}={number}")
    ksr.remember("callback", number)
    if media_server.send(
        "callback", number, lasts_at_most_ms=CALLBACK_LASTS_AT_MOST_MS, on_failure="ksr_failure_callback"
    ):
        ksr.count("callbacks_total", "media_server")
    else:
        deliver_directly()


def media_failed() -> None:
    """A failure route: the media server is gone or refused; the call goes straight to the phone."""
    if ksr.cancelled():
        end_here("cancelled")
        return
    alarm("media_server_failed", f"a callback is delivered without the media server ({ksr.failure_code()})")
    deliver_directly()


def deliver_directly() -> None:
    number = ksr.recall("callback")
    identity.mask_replies(number)
    if deliver(number):
        ksr.count("callbacks_total", "direct")
    else:
        end_here("unreachable")


def deliver_leg(number: str) -> None:
    """The media server's leg towards the phones."""
    ksr.new_transaction()
    ksr.remove_headers_like(media_server.PRIVATE_HEADERS)
    _mark()
    ksr.record_route()
    deliver(number)


def deliver(number: str) -> bool:
    """Ring whoever holds the number. False: nobody can be reached, and the call has been answered so."""
    if _ring(number):
        return True
    ksr.reply_final(480, "Temporarily Unavailable", "The caller's phone cannot be reached.")
    return False


def _ring(number: str) -> bool:
    """Every registered device of the holder's, or else where the holder's call came from."""
    try:
        leases = store().leases_on(number, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        leases = ()
        uri, _, next_hop = ksr.table_get("holders", number).partition("|")
        reached = bool(next_hop) and _point_at(uri, next_hop)
    else:
        reached = _ring_holders(leases)
    if not reached:
        alarm("callback_unreachable", f"a callback found no device ({len(leases)} holders)")
        return False
    ksr.timers(unanswered_ms=DEVICE_ANSWERS_WITHIN_MS, ringing_ms=DEVICE_RINGS_FOR_MS)
    ksr.keep_forking_on_6xx()
    media.offer()
    return ksr.relay()


def _ring_holders(leases: tuple[Lease, ...]) -> bool:
    """Point the request at the holder's devices; on a shared number (N3), at every holder's.

    A holder without a registered device is rung where the emergency call came from.
    """
    moment = now()
    found = False
    for lease in leases:
        aor = _aor_to_ring(lease, rules.state(lease, moment))
        if not found:
            found = _ring_registered(aor, lease) or _point_at(lease.contact_uri, lease.source_uri)
        elif not (aor and ksr.lookup_also(aor)):
            ksr.add_branch(lease.source_uri)
    return found


def _ring_registered(aor: str | None, lease: Lease) -> bool:
    if not aor or not ksr.lookup(aor):
        return False
    behind_pbx = callers.number_behind_pbx(lease.caller_key) if aor == lease.aor else None
    if behind_pbx:
        ksr.set_user(behind_pbx)
    return True


def _aor_to_ring(lease: Lease, state: LeaseState) -> str | None:
    """N3: while a number rests, its callback is the security desk's, where there is one."""
    if state is LeaseState.RESTING and lease.tenant_id is not None:
        tenant = store().tenant(lease.tenant_id)
        if tenant and tenant.security_desk:
            return tenant.security_desk
    return lease.aor


def _point_at(uri: str, next_hop: str) -> bool:
    if SipUri.parse(uri) is None:
        return False
    ksr.set_uri(uri)
    ksr.set_next_hop(next_hop)
    return True


def _mark() -> None:
    """RFC 7090: this is a PSAP's callback, whoever marked it or did not."""
    ksr.remove_header("Priority")
    ksr.add_header("Priority", "psap-callback")
