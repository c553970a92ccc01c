"""How a call would go, without calling (N6): the facts and the decision are the live call's own functions.

with closing(store.connect(path, create=False)) as connection:
told = explain(EdgeStore(connection), Question(dialled="911", user="alice@example.org"), clock.now())
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.core import callers, headers, numbers, pidf_lo
from holdfast.core.callers import Sender
from holdfast.core.headers import source_uri
from holdfast.core.lease import Moment
from holdfast.core.model import Caller, CallKind, LocationMethod, Network, Trunk
from holdfast.core.place import Place
from holdfast.core.plan import NO_NUMBER_TO_READ_BACK, beyond_limit, plan
from holdfast.core.route_plan import Hop, Refusal, RoutePlan, Step
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import Incoming, asserted, facts_for, may_be_masked
from holdfast.edge.store_leases import Loan, LoanKind
from holdfast.errors import InputError

#: Stands for the Call-ID of a call that is not made: which of several trunks of one priority is first varies with it.
CALL_ID = "explained"
_UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104  stands for none


@dataclass(frozen=True, slots=True)
class Question:
    """A call that is not made. At most one of `user` (user@realm) and `trunk` (its name); neither: a stranger's call.

    `dialled`: what stands in the Request-URI, as digits or as a whole URI. `number`: what a PBX or trunk says its
    caller's number is. `address` None: not known, or the trunk's own.
    """

    dialled: str
    user: str | None = None
    trunk: str | None = None
    number: str | None = None
    address: str | None = None
    country: str = ""
    attachments: tuple[tuple[str, str], ...] = ()
    pidf_lo: bytes | None = None
    call_id: str = CALL_ID


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of it. `decision` None: an ordinary number in the caller's country."""

    caller: Caller
    decision: RoutePlan | Refusal | None
    #: every step of the decision, and what follows from it at this moment
    steps: tuple[Step, ...] = ()
    #: what the PSAP would see: a callback number, or the caller's own where none is to be had; None: neither
    shown_number: str | None = None
    #: the callback number that would be lent, or lent again
    loan: Loan | None = None
    #: the tenant's calls of this kind in progress, here and on other nodes; None: nobody counts them
    in_progress: tuple[int, int] | None = None


def explain(
    store: EdgeStore,
    question: Question,
    now: Moment,
    *,
    ip_country: Callable[[str], str | None] = lambda _address: None,
    default_country: str | None = None,
    counted_since: float = 0.0,
) -> Explanation:
    """Decide the call as the routing code would now. InputError: there is no such user or trunk, or no such location.

    `counted_since`: when this node's Kamailio started, in UTC seconds (see CallLimit). Raises EdgeStoreUnavailable.
    """
    network = store.network(now)
    caller, address = _caller(store, network, question)
    uri = question.dialled if ":" in question.dialled else f"sip:{question.dialled}@explained.invalid"
    dialled = numbers.dialled_from_uri(uri)
    if not (numbers.may_be_emergency(dialled) or may_be_masked(store, dialled)):
        return Explanation(caller, None)
    incoming = Incoming(
        dialled=dialled,
        call_id=question.call_id,
        caller=caller,
        address=address,
        signalled_country=question.country,
        attachments=question.attachments,
        places=_places(question.pidf_lo) if question.pidf_lo is not None else (),
        default_country=default_country,
    )
    facts = facts_for(store, incoming, network, ip_country)
    decision = plan(facts) if facts else None
    if isinstance(decision, RoutePlan):
        return _at_this_moment(store, caller, decision, counted_since, now)
    return Explanation(caller, decision, decision.steps if decision else ())


def _places(document: bytes) -> tuple[Place, ...]:
    try:
        return pidf_lo.parse(document).places
    except InputError as error:
        raise InputError(
            f"the location cannot be read: {error}", mend="a live call would go on as if none had been sent (A8)"
        ) from error


def _at_this_moment(
    store: EdgeStore, caller: Caller, decision: RoutePlan, counted_since: float, now: Moment
) -> Explanation:
    """What the store adds to the decision when the call begins: the limit, and the number."""
    tenant = caller.tenant
    steps = [*decision.steps, *_told(decision)]
    in_progress = None
    if tenant is not None and decision.most_calls is not None:
        in_progress = store.calls_counted(tenant.id, decision.kind, counted_since, now)
        here, elsewhere = in_progress
        finding = f"{here} here and {elsewhere} on other nodes are in progress"
        steps.append(Step("calls at once", finding, f"A9: {tenant.name} may have {decision.most_calls}"))
        if here + elsewhere >= decision.most_calls:
            return _refused(caller, beyond_limit(decision.kind), steps, in_progress)
    loan = store.loan(caller, decision.pools, now)
    if loan is None and decision.kind is CallKind.READBACK:
        return _refused(caller, NO_NUMBER_TO_READ_BACK, steps, in_progress)
    steps.append(_number_step(caller, loan))
    if decision.kind is CallKind.READBACK:
        steps.append(Step("announcement", "this node's media server reads that number back", "A7: no trunk is called"))
    shown = loan.number if loan else caller.number
    return Explanation(caller, decision, tuple(steps), shown, loan, in_progress)


def _refused(
    caller: Caller, refusal: Refusal, steps: Iterable[Step], in_progress: tuple[int, int] | None
) -> Explanation:
    told = (*steps, Step("refused", f"{refusal.code} {refusal.phrase}", refusal.text))
    return Explanation(caller, dataclasses.replace(refusal, steps=told), told, in_progress=in_progress)


_HOW = {
    LoanKind.HELD: "the caller has it already, of pool {}",
    LoanKind.IDLE: "of the idle numbers of pool {} it has rested longest",
    LoanKind.RESTING: "N3: pool {} is dry, and the rest of this number is the nearest to its end",
    LoanKind.SHARED: "N3: pool {} is dry; a callback to this number rings everybody who holds it",
}


def _number_step(caller: Caller, loan: Loan | None) -> Step:
    if loan is not None:
        return Step("number shown", loan.number, _HOW[loan.kind].format(loan.pool.name))
    return Step("number shown", caller.number or "none", "no pool has a number to lend: the caller's own is shown")


def _told(decision: RoutePlan) -> list[Step]:
    """Where the caller is said to be, and which trunk is told in which way."""
    if decision.where is None or decision.kind is CallKind.READBACK:
        return []
    ways: dict[str, list[str]] = {}
    for hop in decision.hops:
        ways.setdefault(_way(hop, decision), []).append(hop.trunk.name)
    because = "; ".join(f"{way}: {', '.join(trunks)}" for way, trunks in ways.items())
    return [Step("location told", described(decision.where.place), because)]


def _way(hop: Hop, decision: RoutePlan) -> str:
    known_as = decision.where.provider_location_id if decision.where else None
    match hop.location_method:
        case LocationMethod.VALUE:
            return "in the body"
        case LocationMethod.REFERENCE:
            return "by a URI to ask for it"
        case LocationMethod.PROVIDER_ID if known_as:
            return f"as {hop.group.location_id_header}: {known_as}"
        case LocationMethod.PROVIDER_ID:
            return "not told, for it has no id of the provider's"
        case LocationMethod.ELIN:
            return "by the number shown"
        case _:
            return "not told"


def described(place: Place) -> str:
    """A place in one line: the texts of its civic address, from the country to the room, and its position."""
    parts = [", ".join(text for _, text in place.civic)]
    if place.shape is not None:
        latitude, longitude = place.shape.centre()
        parts.append(f"{place.shape.kind.value.replace('_', ' ')} at {latitude:.6g}, {longitude:.6g}")
    return "; ".join(filter(None, parts))


# Who calls ----------------------------------------------------------------------------------------------------------


def _caller(store: EdgeStore, network: Network, question: Question) -> tuple[Caller, str]:
    """Whose call it is, and the address that it comes from."""
    trunk = _trunk(network, question.trunk) if question.trunk is not None else _trunk_at(network, question)
    address = question.address or (trunk.address if trunk else None) or _UNKNOWN_ADDRESS
    where = source_uri(address, 5060, "udp")
    sender = Sender(question.call_id, "", where, where)
    if trunk is not None:
        group = network.groups[trunk.trunk_group_id]
        tenant = store.tenant(group.tenant_id) if group.tenant_id is not None else None
        said = asserted(store, question.number, tenant)
        return callers.on_trunk(sender, trunk, group, tenant, said), address
    if question.user is not None:
        username, _, realm = question.user.partition("@")
        subscriber = store.subscriber(username, realm)
        if subscriber is None:
            raise InputError(f"this node knows no user {question.user}", mend="'holdfast user list' shows all")
        tenant = store.tenant(subscriber.tenant_id)
        if subscriber.pbx:
            said = asserted(store, question.number, tenant)
            return callers.behind_registered_pbx(sender, subscriber, tenant, said), address
        if question.number is None:
            return callers.user(sender, subscriber, tenant), address
    if question.number is not None:
        raise InputError(
            "a number is what a PBX or a trunk says of its caller, and this call comes from neither",
            mend="leave the number out, or name a PBX's user or a trunk",
        )
    return callers.unknown(sender, f"udp:{address}:5060"), address


def _trunk_at(network: Network, question: Question) -> Trunk | None:
    """The trunk whose address the call comes from: a live call from there is the trunk's, too."""
    if question.user is not None or question.address is None:
        return None
    address = question.address
    at = (trunk for trunk in network.trunks if headers.address_matches(address, trunk.source_addresses))
    return next((trunk for trunk in at if trunk.certificate_name is None), None)


def _trunk(network: Network, name: str) -> Trunk:
    found = next((trunk for trunk in network.trunks if trunk.name == name), None)
    if found is None:
        raise InputError(f"this node knows no trunk {name}, or it is disabled", mend="'holdfast trunk list' shows all")
    return found
