"""The values that calls are decided on. Frozen; numbers are E.164 with a leading +; times are UTC seconds."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from holdfast.core.headers import uri_host

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class CallKind(StrEnum):
    """What an emergency-related call is."""

    EMERGENCY = "emergency"
    READBACK = "readback"  # 933
    CALLBACK = "callback"  # a PSAP's call to a callback number


@dataclass(frozen=True, slots=True)
class Tenant:
    id: int
    name: str
    country: str
    max_emergency_calls: int
    security_desk: str | None
    policy_id: int | None = None
    #: True: `country` is no statement of where its callers are (A6)
    country_required: bool = False
    max_test_calls: int = 10


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A user who registers phones. `aor` is user@realm, without a scheme."""

    id: int
    tenant_id: int
    username: str
    realm: str
    ha1: str
    display_name: str
    number: str | None
    country: str | None
    outbound_enabled: bool
    inbound_enabled: bool
    do_not_disturb: bool
    forward_to: str | None
    site_id: int | None = None
    policy_id: int | None = None
    #: a telephone that stays where its registered address is (O4)
    common_area: bool = False
    confirmed_location_id: int | None = None
    #: a PBX that registers, for all numbers of its tenant
    pbx: bool = False

    @property
    def aor(self) -> str:
        return f"{self.username}@{self.realm}"


@dataclass(frozen=True, slots=True)
class PlatformNumber:
    """A number that a tenant owns. `location_id` is its registered address; `trunk_group_id` the carrier's (O1)."""

    number: str
    tenant_id: int
    outbound_enabled: bool
    trunk_group_id: int | None = None
    location_id: int | None = None
    #: the registered address goes to its PSAP straight (C2)
    enhanced: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    id: int
    tenant_id: int
    name: str
    country: str | None
    policy_id: int | None
    security_desk: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """The location policy that applies to the caller, and whose it is: "user", "site" or "tenant" (L2)."""

    id: int
    name: str
    whose: str
    usage: str | None = None
    notification_uri: str | None = None
    conference_uri: str | None = None
    conference_mode: str | None = None


class LocationMethod(StrEnum):
    """How a trunk group is told where the caller is."""

    NONE = "none"
    VALUE = "value"  # a PIDF-LO in the body (RFC 6442 §4.1)
    REFERENCE = "reference"  # a URI to ask for it (RFC 6442 §4.2)
    PROVIDER_ID = "provider_id"  # what the provider calls the location, in a header of its own
    ELIN = "elin"  # the CLI: the provider knows the location by the number (L7)


class PsapMethod(StrEnum):
    """How the PSAP is found that a trunk group's calls are for."""

    FIXED = "fixed"  # the group's psap_uri, or the emergency number itself
    LOST = "lost"  # asked of a LoST server ahead of time (RFC 5222)
    BOUNDARY = "boundary"  # the group's own boundaries


#: RFC 3261 §21.4.20, §21.6: the called party's own decision; another trunk would ask it again.
CALLED_PARTY_DECIDED = (486, 600, 603, 604, 606)
#: What trunks have been seen to answer to a body that they do not take (N8).
LOCATION_REFUSED = (405, 415, 488, 513)


@dataclass(frozen=True, slots=True)
class TrunkGroup:
    """A carrier, a customer's own carrier (`tenant_id` set), or a PBX."""

    id: int
    name: str
    emergency: bool
    ordinary: bool
    tenant_id: int | None = None
    country: str | None = None
    screening: bool = False
    pbx: bool = False
    location_method: LocationMethod = LocationMethod.NONE
    location_id_header: str = "X-Location-ID"
    psap_method: PsapMethod = PsapMethod.FIXED
    psap_uri: str | None = None
    answers_within_ms: int = 3_000
    rings_within_ms: int = 120_000
    final_codes: tuple[int, ...] = CALLED_PARTY_DECIDED
    location_refused_codes: tuple[int, ...] = LOCATION_REFUSED


@dataclass(frozen=True, slots=True)
class Trunk:
    """One SIP destination of a trunk group, and the addresses its own calls come from."""

    id: int
    trunk_group_id: int
    name: str
    host: str
    port: int
    transport: str
    priority: int
    weight: int
    source_addresses: tuple[str, ...]
    emergency: bool  # of its group
    ordinary: bool  # of its group
    #: what `host` stands for, looked up ahead of time; None: not known yet, so a call would have to wait for DNS
    address: str | None = None
    #: False: it did not answer OPTIONS, and is tried after all others
    healthy: bool = True
    #: the name that its certificate must show, where its address alone is not believed
    certificate_name: str | None = None

    @property
    def uri(self) -> str:
        """The next hop, as Kamailio's $du takes it."""
        return f"sip:{uri_host(self.address or self.host)}:{self.port};transport={self.transport}"

    def uri_of(self, number: str) -> str:
        """The Request-URI of a call to `number` over this trunk, by its name."""
        return f"sip:{number}@{uri_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pool:
    """Callback numbers that one trunk group's carrier delivers, for one tenant or (tenant_id None) for all."""

    id: int
    name: str
    trunk_group_id: int
    country: str
    tenant_id: int | None
    window_s: int
    rest_s: int
    target_idle: int
    site_id: int | None = None
    #: ELIN: for callers at this location alone (L7)
    location_id: int | None = None


def _by(values: Iterable[_V], key: Callable[[_V], _K]) -> Mapping[_K, tuple[_V, ...]]:
    found: dict[_K, list[_V]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return {key: tuple(some) for key, some in found.items()}


@dataclass(frozen=True, slots=True)
class Network:
    """The trunk groups, by id, and the trunks and pools of one provisioning revision."""

    groups: Mapping[int, TrunkGroup]
    trunks: tuple[Trunk, ...]
    pools: tuple[Pool, ...]
    #: whether any tenant has network elements, and the prefix lengths of their subnets
    has_elements: bool = False
    subnet_lengths: tuple[int, ...] = ()
    #: how far the tallest boundary reaches from south to north, in degrees
    boundary_height: float = 0.0
    #: the same by what calls ask for: groups by tenant (None: the platform's), trunks and pools by trunk group
    groups_of: Mapping[int | None, tuple[TrunkGroup, ...]] = field(init=False, repr=False, compare=False)
    trunks_of: Mapping[int, tuple[Trunk, ...]] = field(init=False, repr=False, compare=False)
    pools_of: Mapping[int, tuple[Pool, ...]] = field(init=False, repr=False, compare=False)
    #: the groups whose PSAP depends on the place
    by_place: tuple[TrunkGroup, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index it: an operator has hundreds of groups, and a call looks at a few."""
        object.__setattr__(self, "groups_of", _by(self.groups.values(), lambda group: group.tenant_id))
        object.__setattr__(self, "trunks_of", _by(self.trunks, lambda trunk: trunk.trunk_group_id))
        object.__setattr__(self, "pools_of", _by(self.pools, lambda pool: pool.trunk_group_id))
        by_place = (group for group in self.groups.values() if group.psap_method is not PsapMethod.FIXED)
        object.__setattr__(self, "by_place", tuple(by_place))

    @property
    def platform_trunks(self) -> tuple[Trunk, ...]:
        """The trunks for emergency calls of whom nothing is known: the platform's own, to a PSAP before a centre."""
        platform = {group.id: group for group in self.groups.values() if group.tenant_id is None}
        usable = [trunk for trunk in self.trunks if trunk.trunk_group_id in platform]
        to_psap = [trunk for trunk in usable if platform[trunk.trunk_group_id].emergency]
        screening = [trunk for trunk in usable if platform[trunk.trunk_group_id].screening and trunk not in to_psap]
        return (*to_psap, *screening)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who an emergency call comes from, as far as it could be verified.

    `caller_key` names the holder of a lease: a verified user, or a trunk and number, or else the very contact and
    source address of this INVITE (never the identity that an unverified caller claims).
    """

    caller_key: str
    display_name: str
    contact_uri: str
    source_uri: str
    subscriber: Subscriber | None = None
    tenant: Tenant | None = None
    trunk: Trunk | None = None
    #: E.164, as the user owns it or the trunk vouches for it
    number: str | None = None
