"""An emergency call or its test: decide, lend a callback number, rewrite what leaves, and hand it to the first trunk.

Nothing here waits for anything but this node's disk, and nothing that fails here stops the call.
"""

from holdfast.core.country import PLANS
from holdfast.core.lease import Lease
from holdfast.core.model import Caller, CallKind
from holdfast.core.numbers import match_emergency
from holdfast.core.plan import NO_NUMBER_TO_READ_BACK, Facts, beyond_limit, plan
from holdfast.core.route_plan import Destination, Hop, Path, Refusal, RoutePlan
from holdfast.core.whereabouts import suggested
from holdfast.edge.store import CallLimit
from holdfast.edge.store_facts import Incoming, facts_for, may_be_masked
from holdfast.errors import EdgeStoreUnavailable, TooManyCalls
from kemi import callers, identity, ksr, location, media, media_server, transfers, trunks
from kemi.callers import Origin
from kemi.context import alarm, config, ip_country, network, now, started_at, store
from kemi.message import Request
from kemi.transfers import PassedOn
from kemi.trunks import Attempt, end

READBACK_LASTS_AT_MOST_MS = 120_000


def perhaps(dialled: str) -> bool:
    """The sieve's second half: whether some tenant's mask or dial plan could make an emergency call of this."""
    try:
        return may_be_masked(store(), dialled)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return False


def route(request: Request, source: Origin, dialled: str) -> bool:
    """Take an INVITE that may be for an emergency number. False: in the caller's country it is an ordinary number."""
    said = location.said_in(request)
    try:
        facts, passed_on = _facts(request, source, dialled, said)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return _without_store(request, dialled, said)
    if facts is None:
        return False
    ksr.drop_credentials()
    decision = plan(facts)
    if isinstance(decision, Refusal):
        _refuse(request, decision, facts, said)
        return True
    _begin(request, said)
    try:
        lease = _lend(request, facts.caller, decision, passed_on)
    except TooManyCalls as error:
        _refuse_beyond_limit(request, decision, facts, str(error))
        return True
    if decision.kind is CallKind.READBACK:
        _to_readback(request, lease)
    else:
        transfers.followed(passed_on)
        _to_trunks(request, facts, decision, lease, said)
    return True


def _facts(request: Request, source: Origin, dialled: str, said: location.Said) -> tuple[Facts | None, PassedOn | None]:
    caller = callers.identify(request, source, store())
    passed_on = transfers.passed_on(request, source, caller, store())
    by_the_centre = passed_on is not None and passed_on.by_the_centre
    incoming = Incoming(
        dialled=dialled,
        call_id=request.call_id,
        caller=passed_on.caller if passed_on else caller,
        address=passed_on.caller_address if passed_on and by_the_centre else request.address,
        signalled_country=said.country,
        attachments=() if by_the_centre else said.attachments,
        places=said.places,
        default_country=config().default_country or None,
        transfer_to=passed_on.target if passed_on else None,
    )
    return facts_for(store(), incoming, network(), ip_country), passed_on


def _begin(request: Request, said: location.Said) -> None:
    """What is rewritten for every trunk alike becomes part of the message before the transaction keeps a copy of it."""
    media.repair_contact(request)
    location.take_out(said)
    media.offer()
    ksr.apply_changes()
    # not the PSAP: a probe would show it the caller's own number
    ksr.track_dialog(probe_callee=False)
    ksr.new_transaction()


def _refuse(request: Request, refusal: Refusal, facts: Facts, said: location.Said) -> None:
    _count_refusal(refusal, facts)
    if refusal.reason == "no_emergency_trunk":
        _begin(request, said)
        trunks.give_up("", refusal.phrase, refusal.text)
    else:
        ksr.reply(refusal.code, refusal.phrase, refusal.text)


def _refuse_beyond_limit(request: Request, decision: RoutePlan, facts: Facts, why: str) -> None:
    """A9: refused at once, counted and alarmed."""
    refusal = beyond_limit(decision.kind)
    alarm("call_limit_reached", f"{decision.kind.value} call {request.call_id} was refused: {why}")
    _count_refusal(refusal, facts)
    ksr.reply_final(refusal.code, refusal.phrase, refusal.text)


def _count_refusal(refusal: Refusal, facts: Facts) -> None:
    kind, tenant = facts.match.kind, facts.caller.tenant
    ksr.count("refusals_total", refusal.reason)
    ksr.count("emergency_calls_total", kind, "refused")
    details = {"reason": refusal.reason, "code": refusal.code, "tenant_id": tenant.id if tenant else None, "kind": kind}
    try:
        store().note("refusal", details, now())
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))


def _lend(request: Request, caller: Caller, decision: RoutePlan, passed_on: PassedOn | None) -> Lease | None:
    """A callback number for this caller, durable before the INVITE leaves; None when there is none to be had.

    TooManyCalls: the caller's tenant has as many calls in progress as it may have.
    """
    limit = CallLimit(decision.most_calls, started_at()) if decision.most_calls is not None else None
    try:
        lease = store().begin_call(
            request.call_id, decision.kind, caller, passed_on.pools(decision.pools) if passed_on else decision.pools,
            now(), limit=limit, decision=decision.summary, passed_on=passed_on is not None,
        )  # fmt: skip
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return None
    if lease is None:
        alarm("pool_empty", "no callback number could be lent; the call goes on with the caller's own number")
    else:
        ksr.table_set("holders", lease.number, f"{caller.contact_uri}|{caller.source_uri}")
    return lease


def _to_trunks(request: Request, facts: Facts, decision: RoutePlan, lease: Lease | None, said: location.Said) -> None:
    shown = lease.number if lease else facts.caller.number
    if shown:
        identity.show_only(shown, request)
    elif facts.caller.tenant is not None:  # behind a PBX, whose word on a number was not good
        identity.show_nothing(request)
    ksr.record_route(f"{identity.EMERGENCY_MARK}={shown}" if shown else "")
    ksr.remember("shown", shown or "")
    told = location.Told(decision.hops, decision.where, decision.policy, shown or "")
    location.prepare(request, said, told, facts.caller)
    trunks.remember(Attempt.of_hop(hop) for hop in decision.hops)
    if not trunks.try_next():
        trunks.give_up(shown or "")
    else:
        ksr.count("emergency_calls_total", CallKind.EMERGENCY, "with_lease" if lease else "without_lease")


def _to_readback(request: Request, lease: Lease | None) -> None:
    if lease is None:
        refusal = NO_NUMBER_TO_READ_BACK
        ksr.count("refusals_total", refusal.reason)
        ksr.reply_final(refusal.code, refusal.phrase, refusal.text)
        end(request.call_id, refusal.reason)
        return
    ksr.record_route(f"{identity.EMERGENCY_MARK}={lease.number}")
    if media_server.send(
        "readback", lease.number, lasts_at_most_ms=READBACK_LASTS_AT_MOST_MS, on_failure="ksr_failure_readback"
    ):
        ksr.count("emergency_calls_total", CallKind.READBACK, "with_lease")
    else:
        readback_failed()


def readback_failed() -> None:
    if ksr.cancelled():
        trunks.end_here("refused")
        return
    ksr.count("emergency_calls_total", CallKind.READBACK, "failed")
    text = "The announcement cannot be played: the media server does not answer. Emergency calls still work."
    ksr.reply_final(503, "Announcement Not Available", text)
    trunks.end_here("media_server_gone")


def _without_store(request: Request, dialled: str, said: location.Said) -> bool:
    """The outage path: no lease, the caller's own number, the trunks as they were last known."""
    # The country of a pool that was last known is where this node's callers are; after those, any other that is served.
    served = [code for code, table in PLANS.items() if table.served]
    countries = dict.fromkeys([pool.country for pool in network().pools] + served)
    match = next(filter(None, (match_emergency(dialled, country) for country in countries)), None)
    if match is None:
        return False
    if match.kind is CallKind.READBACK:
        ksr.reply(503, "Announcement Not Available", "This node cannot read its store. Emergency calls still work.")
        return True
    known = network()
    hops = tuple(
        Hop(trunk, group, Path.DIRECT_OFFER, Destination.PSAP, trunk.uri_of(match.sent), group.location_method)
        for trunk in known.platform_trunks for group in (known.groups[trunk.trunk_group_id],)
    )  # fmt: skip
    if not hops:
        ksr.native_fallback()
        return True
    location.take_out(said)
    media.offer()
    ksr.apply_changes()
    ksr.new_transaction()
    ksr.record_route()
    where = suggested(said.places[0]) if said.places else None
    location.prepare(request, said, location.Told(hops, where), None)
    trunks.remember(map(Attempt.of_hop, hops))
    if trunks.try_next():
        ksr.count("emergency_calls_total", CallKind.EMERGENCY, "without_store")
    else:
        trunks.give_up("")
    return True
