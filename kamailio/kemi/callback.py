"""A call to a callback number: marked, handed to the media server, and brought to whoever holds the number.

It bypasses do-not-disturb, forwarding, inbound permission and presence (D4): none of them is even looked at.
"""

import json
from typing import NamedTuple

from holdfast.core import lease as rules
from holdfast.core import numbers
from holdfast.core.callers import Behind
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.headers import SipUri
from holdfast.core.lease import Lease, LeaseState
from holdfast.errors import EdgeStoreUnavailable
from kemi import identity, ksr, media, media_server
from kemi.callers import Origin
from kemi.context import alarm, network, now, store
from kemi.identity import CALLBACK_MARK
from kemi.message import Request
from kemi.trunks import end_here

DEVICE_ANSWERS_WITHIN_MS = 2_000
DEVICE_RINGS_FOR_MS = 60_000
#: The controller's announcements and attempts take their time; the media server ends the call itself.
CALLBACK_LASTS_AT_MOST_MS = 300_000


class Way(NamedTuple):
    """Whom to call, and the next hop on the way there; both URIs."""

    uri: str
    next_hop: str


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
        reached = _ring_holders(leases)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        leases = ()
        reached = _point_at(Way(*ksr.table_get("holders", number).partition("|")[::2]))
    if not reached:
        alarm("callback_unreachable", f"a callback found no device ({len(leases)} holders)")
        return False
    return _send()


def _send() -> bool:
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
        desk = _desk_of_resting(lease, rules.state(lease, moment))
        if not found:
            found = bool(desk and ksr.lookup(desk)) or _ring_holder(lease, alone=len(leases) == 1)
        elif not (desk and ksr.lookup_also(desk)):
            _ring_holder_as_well(lease)
    return found


def _desk_of_resting(lease: Lease, state: LeaseState) -> str | None:
    """N3: while a number rests, its callback is the security desk's, where there is one."""
    if state is not LeaseState.RESTING or lease.tenant_id is None:
        return None
    tenant = store().tenant(lease.tenant_id)
    return tenant.security_desk if tenant else None


def _ring_holder(lease: Lease, *, alone: bool) -> bool:
    """`alone`: nobody else is rung by this request."""
    behind = Behind.of_key(lease.caller_key)
    if behind is not None and _ring_pbx(behind, lease, alone=alone):
        return True
    return bool(lease.aor and ksr.lookup(lease.aor)) or _point_at(Way(lease.contact_uri, lease.source_uri))


def _ring_pbx(behind: Behind, lease: Lease, *, alone: bool) -> bool:
    """A PBX is called by the number that it knows its caller by. False: it is nowhere to be found."""
    if not behind.registered:
        ways = _ways_through(behind, lease)
        if alone and ways:
            _try_in_turn(ways[1:])
        return bool(ways) and _point_at(ways[0])
    pbx = store().subscriber_by_id(behind.id)
    if pbx is None or not ksr.lookup(pbx.aor):
        return False
    known_as = _known_as(behind, lease)
    if known_as and alone:
        call_pbx_for(known_as)
    elif known_as:
        ksr.set_user(known_as)
    return True


def call_pbx_for(number: str) -> None:
    """A PBX that registered, maybe from several places, is called by its user's number, not by what it calls itself."""
    ksr.remember("known_as", number)
    ksr.on_branch("ksr_branch_pbx")


def tell_pbx() -> None:
    """In the branch route of such a call."""
    if number := ksr.recall("known_as"):
        ksr.set_user(number)


def _known_as(behind: Behind, lease: Lease) -> str:
    """The caller's number, or what the PBX called itself in the call of somebody whose number it withheld."""
    contact = SipUri.parse(lease.contact_uri)
    return behind.number or (contact.user if contact else "")


def _ways_through(behind: Behind, lease: Lease) -> list[Way]:
    """Over every trunk of the group that the call came from: its own first, if it is well, else another of the PBX's.

    Where the call named no number, only that element of the PBX knows whose it was.
    """
    trunks = [trunk for trunk in network().trunks if trunk.trunk_group_id == behind.id]
    trunks.sort(key=lambda trunk: (not trunk.healthy, trunk.uri != lease.source_uri))
    group = network().groups.get(behind.id)
    if behind.number is None or group is None or not group.pbx:
        return [Way(lease.contact_uri, lease.source_uri)]
    return [Way(trunk.uri_of(behind.number), trunk.uri) for trunk in trunks]


def _try_in_turn(ways: list[Way]) -> None:
    ksr.remember("ways", json.dumps(ways))
    if ways:
        ksr.on_failure("ksr_failure_pbx")


def pbx_failed() -> None:
    """A failure route: this element of the PBX is gone; the next one is called. What it decided itself stands."""
    code = ksr.failure_code()
    gone = 500 <= code < 600 or (code == 408 and not ksr.has_replied())
    ways = [Way(*way) for way in json.loads(ksr.recall("ways") or "[]")]
    if ksr.cancelled() or not gone or not ways:
        return
    alarm("pbx_unreachable", f"{code}; its callback goes to {ways[0].next_hop}")
    _try_in_turn(ways[1:])
    if _point_at(ways[0]):
        _send()


def _ring_holder_as_well(lease: Lease) -> None:
    behind = Behind.of_key(lease.caller_key)
    if behind is None and lease.aor and ksr.lookup_also(lease.aor):
        return
    # a branch has no next hop of its own: whom to call, at the address where the call came from
    called, hop = SipUri.parse(lease.contact_uri), SipUri.parse(lease.source_uri)
    if hop is not None:
        user = _known_as(behind, lease) if behind else called.user if called else ""
        port = f":{hop.port}" if hop.port else ""
        ksr.add_branch(f"sip:{user}{'@' if user else ''}{hop.host}{port}{hop.params}")


def _point_at(way: Way) -> bool:
    if not way.next_hop or SipUri.parse(way.uri) is None:
        return False
    ksr.set_uri(way.uri)
    ksr.set_next_hop(way.next_hop)
    return True


def _mark() -> None:
    """RFC 7090: this is a PSAP's callback, whoever marked it or did not."""
    ksr.remove_header("Priority")
    ksr.add_header("Priority", "psap-callback")
