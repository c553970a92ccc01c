"""An emergency call or its test: lend a callback number, rewrite what leaves, relay, and walk the trunks.

Nothing here waits for anything but this node's disk, and nothing that fails here stops the call.
"""

from holdfast.core.country import PLANS
from holdfast.core.lease import Lease
from holdfast.core.model import Caller, CallKind, Trunk
from holdfast.core.numbers import EmergencyMatch, match_emergency
from holdfast.core.plan import Facts, Refusal, RoutePlan, plan
from holdfast.errors import EdgeStoreUnavailable
from kemi import callers, identity, ksr, media, media_server, message
from kemi.callers import Origin
from kemi.context import alarm, network, now, store
from kemi.message import Request

TRUNK_ANSWERS_WITHIN_MS = 3_000
PSAP_ANSWERS_WITHIN_MS = 120_000
#: Final answers that are the called party's own decision (RFC 3261 §21.4.20, §21.6): another trunk would ask it again.
CALLED_PARTY_DECIDED = (486, 600, 603, 604, 606)


def route(request: Request, source: Origin, dialled: str) -> bool:
    """Take an INVITE that may be for an emergency number. False: in the caller's country it is an ordinary number."""
    try:
        caller = callers.identify(request, source, store())
        match = match_emergency(dialled, callers.country_of(caller.subscriber, caller.tenant))
        if match is None:
            return False
        owns_number = caller.tenant is None or store().owns_outbound_number(caller.tenant.id)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return _without_store(dialled)
    ksr.drop_credentials()
    decision = plan(Facts(match, caller, owns_number, network().trunks, network().pools))
    if isinstance(decision, Refusal):
        _refuse(decision, match, caller)
        return True
    media.repair_contact(request)
    # not the PSAP: a probe would show it the caller's own number
    ksr.track_dialog(probe_callee=False)
    ksr.new_transaction()
    lease = _lend(request, caller, decision)
    if decision.kind is CallKind.READBACK:
        _to_readback(request, lease)
    else:
        _to_psap(request, caller, decision, lease)
    return True


def _refuse(refusal: Refusal, match: EmergencyMatch, caller: Caller) -> None:
    ksr.count("refusals_total", refusal.reason)
    ksr.count("emergency_calls_total", match.kind, "refused")
    try:
        tenant_id = caller.tenant.id if caller.tenant else None
        details = {"reason": refusal.reason, "code": refusal.code, "tenant_id": tenant_id, "kind": match.kind}
        store().note("refusal", details, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
    ksr.reply(refusal.code, refusal.phrase, refusal.text)


def _lend(request: Request, caller: Caller, decision: RoutePlan) -> Lease | None:
    """A callback number for this caller, durable before the INVITE leaves; None when there is none to be had."""
    try:
        lease = store().begin_call(request.call_id, decision.kind, caller, decision.pools, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return None
    if lease is None:
        alarm("pool_empty", "no callback number could be lent; the call goes on with the caller's own number")
    else:
        ksr.table_set("holders", lease.number, f"{caller.contact_uri}|{caller.source_uri}")
    return lease


def _to_psap(request: Request, caller: Caller, decision: RoutePlan, lease: Lease | None) -> None:
    own_number = caller.subscriber.number if caller.subscriber else None
    shown = lease.number if lease else own_number
    if shown:
        identity.show_only(shown, request)
    ksr.record_route(f"{identity.EMERGENCY_MARK}={shown}" if shown else "")
    _remember_trunks(decision.sent, decision.trunks)
    media.offer()
    if not try_next_trunk():
        give_up()
    else:
        ksr.count("emergency_calls_total", CallKind.EMERGENCY, "with_lease" if lease else "without_lease")


def _remember_trunks(number: str, trunks: tuple[Trunk, ...]) -> None:
    """Keep the plan with the transaction: the failure routes need neither the store nor a second decision."""
    ksr.remember("trunks", " ".join(f"{trunk.uri_of(number)}|{trunk.uri}" for trunk in trunks))


def try_next_trunk() -> bool:
    """Relay to the next trunk of the plan that a message can be sent to at all. False: there is none left."""
    while remaining := ksr.recall("trunks"):
        this, _, others = remaining.partition(" ")
        uri, _, next_hop = this.partition("|")
        ksr.set_uri(uri)
        ksr.set_next_hop(next_hop)
        ksr.timers(unanswered_ms=TRUNK_ANSWERS_WITHIN_MS, ringing_ms=PSAP_ANSWERS_WITHIN_MS)
        ksr.on_failure("ksr_failure_trunk")
        ksr.remember("trunks", others)
        try:
            if ksr.relay():
                return True
        except BaseException:
            ksr.remember("trunks", remaining)  # it was not this trunk that failed
            raise
        alarm("trunk_unreachable", f"trunk {next_hop} cannot be sent to")
    return False


def give_up() -> None:
    """No trunk took the call. Its number stays lent: the PSAP may have seen it."""
    alarm("emergency_call_failed", "no trunk took an emergency call")
    ksr.count("emergency_calls_total", CallKind.EMERGENCY, "failed")
    ksr.reply_final(
        503, "Emergency Service Failed", "No trunk could take the call. Use another phone to call for help."
    )
    end_here("no_trunk")


def trunk_failed() -> None:
    """A failure route: the next trunk, unless the caller hung up or the called party itself decided."""
    if ksr.cancelled() or ksr.failure_code() in CALLED_PARTY_DECIDED:
        end_here("refused")  # dialog tracking says so too, unless it could not follow this call
        return
    ksr.count("trunk_failovers_total")
    next_trunk()


def next_trunk() -> None:
    if not try_next_trunk():
        give_up()


def _to_readback(request: Request, lease: Lease | None) -> None:
    if lease is None:
        ksr.reply(503, "No Callback Number", "No callback number is free to be read back. Try again later.")
        end(request.call_id, "pool_empty")
        return
    ksr.record_route(f"{identity.EMERGENCY_MARK}={lease.number}")
    media.offer()
    if media_server.send(
        "readback", lease.number, lasts_at_most_ms=PSAP_ANSWERS_WITHIN_MS, on_failure="ksr_failure_readback"
    ):
        ksr.count("emergency_calls_total", CallKind.READBACK, "with_lease")
    else:
        readback_failed()


def readback_failed() -> None:
    if ksr.cancelled():
        end_here("refused")
        return
    ksr.count("emergency_calls_total", CallKind.READBACK, "failed")
    text = "The announcement cannot be played: the media server does not answer. Emergency calls still work."
    ksr.reply_final(503, "Announcement Not Available", text)
    end_here("media_server_gone")


def _without_store(dialled: str) -> bool:
    """The outage path: no lease, the caller's own number, the trunks as they were last known."""
    # The country of a pool that was last known is where this node's callers are; after those, any other.
    countries = dict.fromkeys([pool.country for pool in network().pools] + list(PLANS))
    match = next(filter(None, (match_emergency(dialled, country) for country in countries)), None)
    if match is None:
        return False
    if match.kind is CallKind.READBACK:
        ksr.reply(503, "Announcement Not Available", "This node cannot read its store. Emergency calls still work.")
        return True
    trunks = tuple(trunk for trunk in network().trunks if trunk.emergency)
    if not trunks:
        ksr.native_fallback()
        return True
    ksr.new_transaction()
    ksr.record_route()
    _remember_trunks(match.sent, trunks)
    if try_next_trunk():
        ksr.count("emergency_calls_total", CallKind.EMERGENCY, "without_store")
    else:
        give_up()
    return True


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
