"""The values that calls are decided on. Frozen; numbers are E.164 with a leading +; times are UTC seconds."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.core.headers import uri_host


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

    @property
    def aor(self) -> str:
        return f"{self.username}@{self.realm}"


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
