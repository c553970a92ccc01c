"""How an emergency or test call goes: facts in, a frozen plan or a refusal out. Nothing here looks anything up."""

from dataclasses import dataclass

from holdfast.core.model import Caller, CallKind, Pool, Trunk
from holdfast.core.numbers import EmergencyMatch


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known when an emergency or test call arrives. `trunks` in the order they are tried."""

    match: EmergencyMatch
    caller: Caller
    owns_outbound_number: bool
    trunks: tuple[Trunk, ...]
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Where the call goes: `pools` in the order a callback number may come from them."""

    kind: CallKind
    sent: str
    trunks: tuple[Trunk, ...]
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the call cannot go: SIP code and phrase, a short label for metrics, and a sentence for the caller."""

    code: int
    phrase: str
    reason: str
    text: str


def plan(facts: Facts) -> RoutePlan | Refusal:
    """Decide one call."""
    caller = facts.caller
    if caller.tenant is not None and not facts.owns_outbound_number:  # A5
        return Refusal(
            403,
            "Emergency Calling Not Available",
            "no_outbound_number",
            "This organisation owns no number enabled for outbound calls. Use another phone to call for help.",
        )
    if caller.subscriber is not None and not caller.subscriber.outbound_enabled:  # D1
        return Refusal(
            403,
            "Emergency Calling Not Available",
            "outbound_not_permitted",
            "This user's profile permits no outbound calls. Use another phone to call for help.",
        )
    trunks = tuple(trunk for trunk in facts.trunks if trunk.emergency)
    if not trunks and facts.match.kind is CallKind.EMERGENCY:
        return Refusal(
            503,
            "No Emergency Trunk",
            "no_emergency_trunk",
            "No trunk for emergency calls is provisioned. Use another phone to call for help.",
        )
    return RoutePlan(facts.match.kind, facts.match.sent, trunks, _pools(facts, trunks))


def _pools(facts: Facts, trunks: tuple[Trunk, ...]) -> tuple[Pool, ...]:
    """The tenant's pools before the platform's, the caller's country before others; only of the trunks' carriers.

    A callback must be delivered by the carrier that the call left through, so the first trunk's group comes first.
    """
    groups = list(dict.fromkeys(trunk.trunk_group_id for trunk in trunks))
    tenant_id = facts.caller.tenant.id if facts.caller.tenant else None
    usable = [pool for pool in facts.pools if pool.trunk_group_id in groups and pool.tenant_id in (None, tenant_id)]
    return tuple(
        sorted(
            usable,
            key=lambda pool: (
                groups.index(pool.trunk_group_id), pool.tenant_id is None, pool.country != facts.match.country, pool.id
            ),
        )
    )  # fmt: skip
