"""What is decided about an emergency or test call: a plan with its reasons, or a refusal. Frozen values."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.core.model import CallKind, LocationMethod, Policy, Pool, Trunk, TrunkGroup
from holdfast.core.whereabouts import Whereabouts


class Path(StrEnum):
    """Whose trunks carry the call."""

    DIRECT_OFFER = "direct_offer"  # the platform's own, or the carrier's that owns the number
    DIRECT_ROUTING = "direct_routing"  # the customer's own carrier


class Destination(StrEnum):
    """Who answers."""

    PSAP = "psap"
    SCREENING = "screening"  # asks for the address and passes the call on


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a decision: what was decided, and the rule or fact behind it."""

    topic: str
    finding: str
    because: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One trunk to be tried, and how. `request_uri` is what is called there."""

    trunk: Trunk
    group: TrunkGroup
    path: Path
    destination: Destination
    request_uri: str
    location_method: LocationMethod


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Where the call goes: `hops` in the order they are tried, `pools` in the order a callback number may come from."""

    kind: CallKind
    #: the number that is meant: 911, whatever was dialled for it
    sent: str
    country: str
    path: Path
    destination: Destination
    where: Whereabouts | None
    hops: tuple[Hop, ...]
    pools: tuple[Pool, ...]
    #: calls of this kind that the tenant may have at once (A9); None: there is no tenant
    most_calls: int | None
    #: whether the security desk is told (O7)
    notify_desk: bool
    steps: tuple[Step, ...]
    policy: Policy | None = None
    #: who that is, user@realm: the site's, else the tenant's
    security_desk: str | None = None

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        return tuple(hop.trunk for hop in self.hops)

    @property
    def summary(self) -> dict[str, object]:
        """What the journal keeps of the decision: nothing of who called or where from (A10, D6)."""
        return {
            "country": self.country,
            "path": self.path.value,
            "destination": self.destination.value,
            "location": self.where.source.value if self.where else None,
            "validation": self.where.validation.value if self.where else None,
            "notify_desk": self.notify_desk,
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the call cannot go: SIP code and phrase, a short label for metrics, and a sentence for the caller."""

    code: int
    phrase: str
    reason: str
    text: str
    steps: tuple[Step, ...] = ()
