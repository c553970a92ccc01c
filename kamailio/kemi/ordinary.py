"""Ordinary calls and registrations: enough that real phones and PBXs can live here. Never touches emergency code."""

import random

from holdfast.core import dialling, numbers
from holdfast.core.callers import Behind
from holdfast.core.country import DEFAULT_COUNTRY
from holdfast.core.model import Caller, Subscriber
from holdfast.edge.store_facts import dial_rules
from kemi import callback, callers, ksr, media
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
    elif request.over_tls:  # a phone shows no certificate that we could verify: it cannot be connected to
        ksr.keep_connection()
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
    elif source.is_pbx:  # known by its address, and never challenged
        _from_pbx(request, callers.identify(request, source, store()))
    elif source.trunk is not None:
        number = numbers.e164(request.user, DEFAULT_COUNTRY)
        if number is None or not _to_number(request, number):
            _nobody()
    else:
        _from_phone(request)


def _from_phone(request: Request) -> None:
    caller = authenticated()
    if caller is None:
        return
    ksr.drop_credentials()
    if caller.pbx:
        _from_pbx(request, callers.of_subscriber(request, caller, store()))
    elif not _to_user(request):
        country = callers.country_of(caller, store().tenant(caller.tenant_id))
        number = _meant(request, caller.tenant_id, country)
        if number is None:
            _nobody()
        elif not _to_number(request, number):
            _to_trunk(request, number, shown=caller.number, permitted=caller.outbound_enabled)


def _from_pbx(request: Request, caller: Caller) -> None:
    """Somebody behind a PBX. Outside, they show their number, if it is their tenant's, and call if that number may."""
    tenant, user = caller.tenant, caller.subscriber
    if _to_user(request):
        return
    number = _meant(request, tenant.id, callers.country_of(user, tenant)) if tenant else None
    if number is None:
        _nobody()
    elif not _to_number(request, number, Behind.of_key(caller.caller_key)):
        owned = store().platform_number(caller.number) if caller.number else None
        permitted = owned is not None and owned.outbound_enabled and (user is None or user.outbound_enabled)
        _to_trunk(request, number, shown=caller.number, permitted=permitted)


def _to_user(request: Request) -> bool:
    """To a user who is called by name. False: nobody here has that name."""
    callee = store().subscriber(request.user, config().domain) if ksr.is_us(request.uri) else None
    if callee is not None:
        _to_local_user(request, callee)
    return callee is not None


def _meant(request: Request, tenant_id: int, country: str) -> str | None:
    """The number that is called, as the tenant's dial plan has it; None: it is none, or a callback number."""
    dialled = numbers.dialled_from_uri(request.uri)
    number = numbers.e164(dialling.translate(dialled, dial_rules(store(), tenant_id, dialled)), country)
    return None if number is None or store().is_pool_number(number) else number


def _nobody() -> None:
    ksr.reply(404, "Not Found", "Nobody here has that name or number.")


def _to_number(request: Request, number: str, caller_is_behind: Behind | None = None) -> bool:
    """To whoever here has the number: a user, or a PBX of the tenant that owns it. False: it is nobody's here.

    A PBX is not called by itself: it would send the call here again.
    """
    callee = store().subscriber_by_number(number)
    if callee is not None and not callee.pbx:
        _to_local_user(request, callee, caller_is_behind)
        return True
    owned = store().platform_number(number)
    if owned is not None and not _to_pbx(request, owned.tenant_id, number, caller_is_behind):
        # not outside, from where it would only come back
        ksr.reply(480, "Temporarily Unavailable", "Nobody has a telephone for that number here.")
    return owned is not None


def _to_pbx(request: Request, tenant_id: int, number: str, caller_is_behind: Behind | None) -> bool:
    """To the tenant's PBX that registers, or the one on a trunk. False: there is none but the caller's own."""
    itself = (caller_is_behind.registered, caller_is_behind.id) if caller_is_behind else None
    pbx = store().pbx_of(tenant_id)
    if pbx is not None and itself != (True, pbx.id) and ksr.lookup(pbx.aor):
        callback.call_pbx_for(number)
        _relay(request)
        return True
    theirs = {group.id for group in network().groups.values() if group.pbx and group.tenant_id == tenant_id}
    trunks = [trunk for trunk in network().trunks if trunk.trunk_group_id in theirs]
    others = [trunk for trunk in trunks if itself != (False, trunk.trunk_group_id)]
    trunk = min(others, key=lambda trunk: not trunk.healthy, default=None)
    if trunk is None:
        return False
    ksr.set_uri(trunk.uri_of(number))
    ksr.set_next_hop(trunk.uri)
    _relay(request)
    return True


def _to_local_user(request: Request, callee: Subscriber, caller_is_behind: Behind | None = None) -> None:
    if not callee.inbound_enabled:
        ksr.reply(403, "Inbound Calls Disabled", "This user takes no calls.")
    elif callee.do_not_disturb:
        ksr.reply(486, "Do Not Disturb", "This user wishes not to be disturbed.")
    elif callee.forward_to:
        _forward(request, callee, callee.forward_to)
    elif ksr.lookup(callee.aor):
        _relay(request)
    elif callee.number is None or not _to_pbx(request, callee.tenant_id, callee.number, caller_is_behind):
        ksr.reply(480, "Temporarily Unavailable", "This user has no phone registered.")


def _forward(request: Request, callee: Subscriber, target: str) -> None:
    """Once only: a forward is not followed further, so that forwards cannot chase each other."""
    number = numbers.e164(target, callers.country_of(callee, store().tenant(callee.tenant_id)))
    username = target.partition("@")[0]
    other = store().subscriber_by_number(number) if number else store().subscriber(username, config().domain)
    if other is not None and ksr.lookup(other.aor):
        _relay(request)
    elif other is None and number is not None and callee.outbound_enabled:
        _to_trunk(request, number, shown=callee.number, permitted=True)
    else:
        ksr.reply(480, "Temporarily Unavailable", "This user's calls are forwarded to somebody who cannot be reached.")


def _to_trunk(request: Request, number: str, *, shown: str | None, permitted: bool) -> None:
    """Out over the first trunk for ordinary calls. `shown`: the caller's own number, if they may show it."""
    trunks = [trunk for trunk in network().trunks if trunk.ordinary]
    if not permitted:
        ksr.reply(403, "Outbound Calls Disabled", "This user or number may not call outside.")
        return
    if not trunks:
        ksr.reply(503, "No Trunk", "No trunk for ordinary calls is provisioned.")
        return
    ksr.remove_header("P-Preferred-Identity")
    ksr.remove_header("P-Asserted-Identity")
    ksr.remove_header("Remote-Party-ID")
    if shown:
        ksr.add_header("P-Asserted-Identity", f"<sip:{shown}@{config().address}>")
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
