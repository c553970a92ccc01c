"""Ordinary calls and registrations: enough that real phones and PBXs can live here. Never touches emergency code."""

import random

from holdfast.core import numbers
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.model import Subscriber
from kemi import callers, ksr, media
from kemi.callers import Origin
from kemi.context import config, network, store
from kemi.message import Request

RINGS_FOR_MS = 60_000


def register(request: Request) -> None:
    """RFC 3261 §10 with RFC 2617 digest against the edge store. A user may bind only its own address of record."""
    subscriber = authenticated()
    if subscriber is None:
        return
    if request.to_user != subscriber.username:
        ksr.reply(403, "Forbidden", "These credentials are not of the address of record that is registered.")
        return
    if ksr.behind_nat():
        ksr.mark_nat_registration()
    ksr.drop_credentials()
    callers.remember_device(request, subscriber.username, min(_expires_s(), 3600))
    ksr.save_contact()


def _expires_s() -> int:
    """What the REGISTER asks for: the Contact's own expires, the Expires header, or an hour (RFC 3261 §10.2.1.1)."""
    contact = ksr.read("$(ct{param.value,expires})") or ksr.read("$hdr(Expires)")
    contact = contact.strip()
    return int(contact) if contact.isascii() and contact.isdigit() and len(contact) < 9 else 3600


def authenticated() -> Subscriber | None:
    """The subscriber whose credentials this request carries; None after it has been challenged or refused."""
    username = ksr.digest_user()
    if not username:
        ksr.challenge(config().domain)
        return None
    subscriber = store().subscriber(username, config().domain)
    # Unknown users are checked too, against a secret nobody knows: they are answered like a wrong password.
    ha1 = subscriber.ha1 if subscriber else f"{random.getrandbits(128):032x}"
    result = ksr.credentials_check(config().domain, ha1)
    if result == ksr.DIGEST_OK and subscriber:
        return subscriber
    if result in (ksr.DIGEST_NONCE_EXPIRED, ksr.DIGEST_NO_CREDENTIALS, ksr.DIGEST_NONCE_REUSED):
        ksr.challenge(config().domain)
    else:
        ksr.reply(403, "Forbidden", "Wrong user name or password.")
    return None


def call(request: Request, source: Origin) -> None:
    """An INVITE that is neither an emergency call nor a callback."""
    if source.media_server:
        ksr.reply(403, "Forbidden", "The media server places no ordinary calls.")
    elif source.trunk is not None:
        _to_local_user(request, _called_from_outside(request))
    else:
        _from_phone(request)


def _from_phone(request: Request) -> None:
    caller = authenticated()
    if caller is None:
        return
    ksr.drop_credentials()
    tenant = store().tenant(caller.tenant_id)
    callee = store().subscriber(request.user, config().domain) if ksr.to_us() else None
    number = numbers.e164(request.user, callers.country_of(caller, tenant))
    if callee is None and number is not None:
        callee = store().subscriber_by_number(number)
    if callee is not None:
        _to_local_user(request, callee)
    elif number is None or store().is_pool_number(number):
        ksr.reply(404, "Not Found", "Nobody here has that name or number.")
    else:
        _to_trunk(request, caller, number)


def _called_from_outside(request: Request) -> Subscriber | None:
    number = numbers.e164(request.user, DEFAULT_COUNTRY)
    return store().subscriber_by_number(number) if number else None


def _to_local_user(request: Request, callee: Subscriber | None) -> None:
    if callee is None:
        ksr.reply(404, "Not Found", "Nobody here has that name or number.")
    elif not callee.inbound_enabled:
        ksr.reply(403, "Inbound Calls Disabled", "This user takes no calls.")
    elif callee.do_not_disturb:
        ksr.reply(486, "Do Not Disturb", "This user wishes not to be disturbed.")
    elif callee.forward_to:
        _forward(request, callee, callee.forward_to)
    elif ksr.lookup(callee.aor):
        _relay(request)
    else:
        ksr.reply(480, "Temporarily Unavailable", "This user has no phone registered.")


def _forward(request: Request, callee: Subscriber, target: str) -> None:
    """Once only: a forward is not followed further, so that forwards cannot chase each other."""
    number = numbers.e164(target, callers.country_of(callee, store().tenant(callee.tenant_id)))
    username = target.partition("@")[0]
    other = store().subscriber_by_number(number) if number else store().subscriber(username, config().domain)
    if other is not None and ksr.lookup(other.aor):
        _relay(request)
    elif other is None and number is not None and callee.outbound_enabled:
        _to_trunk(request, callee, number)
    else:
        ksr.reply(480, "Temporarily Unavailable", "This user's calls are forwarded to somebody who cannot be reached.")


def _to_trunk(request: Request, caller: Subscriber, number: str) -> None:
    trunks = [trunk for trunk in network().trunks if trunk.ordinary]
    if not caller.outbound_enabled:
        ksr.reply(403, "Outbound Calls Disabled", "This user may not call outside.")
        return
    if not trunks:
        ksr.reply(503, "No Trunk", "No trunk for ordinary calls is provisioned.")
        return
    ksr.remove_header("P-Preferred-Identity")
    ksr.remove_header("P-Asserted-Identity")
    ksr.remove_header("Remote-Party-ID")
    if caller.number:
        ksr.add_header("P-Asserted-Identity", f"<sip:{caller.number}@{config().address}>")
    ksr.set_uri(trunks[0].uri_of(number))
    ksr.set_next_hop(trunks[0].uri)
    _relay(request)


def _relay(request: Request) -> None:
    ksr.record_route()
    ksr.timers(unanswered_ms=3_000, ringing_ms=RINGS_FOR_MS)
    media.offer()
    if not ksr.relay():
        ksr.info(f"call {request.call_id} cannot be sent on")
        ksr.reply(503, "Not Reachable", "The next hop cannot be reached.")


def keepalive_or_message(request: Request, source: Origin) -> None:
    """OPTIONS to us is answered; what is not spoken here is refused."""
    if request.method == "OPTIONS" and (source.trusted or not request.user):
        ksr.options_reply()
    else:
        ksr.reply_header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, INFO, PRACK")
        ksr.reply(405, "Method Not Allowed")
