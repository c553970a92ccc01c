"""How a call would go, without calling (N6): the facts and the decision are the live call's own functions.

with closing(store.connect(path, create=False)) as connection:
told = explain(EdgeStore(connection), Question(dialled="911", user="alice@example.org"), clock.now())
"""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.core import callers, numbers, pidf_lo
from holdfast.core.callers import Sender
from holdfast.core.headers import source_uri
from holdfast.core.lease import Moment
from holdfast.core.model import Caller, Network
from holdfast.core.plan import plan
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import Incoming, asserted, facts_for
from holdfast.errors import InputError

#: Stands for the Call-ID of a call that is not made: which of several trunks of one priority is first varies with it.
CALL_ID = "explained"


@dataclass(frozen=True, slots=True)
class Question:
    """A call that is not made. At most one of `user` (user@realm) and `trunk` (its name); neither: a stranger's call.

    `dialled`: what stands in the Request-URI, as digits or as a whole URI. `number`: what a PBX or trunk says its
    caller's number is.
    """

    dialled: str
    user: str | None = None
    trunk: str | None = None
    number: str | None = None
    address: str = "0.0.0.0"  # noqa: S104  means: not known
    country: str = ""
    attachments: tuple[tuple[str, str], ...] = ()
    pidf_lo: bytes | None = None
    call_id: str = CALL_ID


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of it. `decision` None: an ordinary number in the caller's country."""

    caller: Caller
    decision: RoutePlan | Refusal | None
    #: callback numbers that the caller holds already: the call would show the one of its first pool again
    holds: tuple[str, ...]


def explain(
    store: EdgeStore,
    question: Question,
    now: Moment,
    *,
    ip_country: Callable[[str], str | None] = lambda _address: None,
    default_country: str | None = None,
) -> Explanation:
    """Decide the call as the routing code would now. InputError: there is no such user or trunk, or no such location.

    Raises EdgeStoreUnavailable.
    """
    network = store.network(now)
    caller = _caller(store, network, question)
    uri = question.dialled if ":" in question.dialled else f"sip:{question.dialled}@explained.invalid"
    incoming = Incoming(
        dialled=numbers.dialled_from_uri(uri),
        call_id=question.call_id,
        caller=caller,
        address=question.address,
        signalled_country=question.country,
        attachments=question.attachments,
        places=pidf_lo.parse(question.pidf_lo).places if question.pidf_lo is not None else (),
        default_country=default_country,
    )
    facts = facts_for(store, incoming, network, ip_country)
    return Explanation(caller, plan(facts) if facts else None, store.numbers_held_by(caller.caller_key, now))


def _caller(store: EdgeStore, network: Network, question: Question) -> Caller:
    where = source_uri(question.address, 5060, "udp")
    sender = Sender(question.call_id, "", where, where)
    if question.user is not None:
        username, _, realm = question.user.partition("@")
        subscriber = store.subscriber(username, realm)
        if subscriber is None:
            raise InputError(f"this node knows no user {question.user}", mend="'holdfast user list' shows all")
        tenant = store.tenant(subscriber.tenant_id)
        if subscriber.pbx:
            return callers.behind_registered_pbx(sender, subscriber, tenant, asserted(store, question.number, tenant))
        return callers.user(sender, subscriber, tenant)
    if question.trunk is not None:
        trunk = next((trunk for trunk in network.trunks if trunk.name == question.trunk), None)
        if trunk is None:
            raise InputError(f"this node knows no trunk {question.trunk}", mend="'holdfast trunk list' shows all")
        group = network.groups[trunk.trunk_group_id]
        tenant = store.tenant(group.tenant_id) if group.tenant_id is not None else None
        return callers.on_trunk(sender, trunk, group, tenant, asserted(store, question.number, tenant))
    return callers.unknown(sender, f"udp:{question.address}:5060")
