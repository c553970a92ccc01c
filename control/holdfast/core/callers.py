"""Who holds the lease that a call would get: the same for a live call and for one that is only explained."""

from dataclasses import dataclass

from holdfast.core.headers import SipUri
from holdfast.core.model import Caller, Subscriber, Tenant, Trunk, TrunkGroup

#: Begin the lease keys of callers behind a trunk group and behind a PBX that registers; see `Behind`.
_TRUNK_GROUP, _REGISTERED_PBX = "group", "pbx"


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a call comes from: what its sender calls itself, its Contact, and the address of its packets, both URIs."""

    call_id: str
    display_name: str
    contact_uri: str
    source_uri: str


@dataclass(frozen=True, slots=True)
class Asserted:
    """What a PBX or a carrier says its caller's number is; None: it withholds it.

    `vouched`: the tenant owns that number. `user`: the tenant's user whose number it is, and whose rules apply.
    """

    number: str | None = None
    vouched: bool = False
    user: Subscriber | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """A caller of many behind one PBX or trunk group. `number` None: it was withheld."""

    registered: bool
    #: the subscriber of a PBX that registers, or the trunk group
    id: int
    number: str | None

    @classmethod
    def of_key(cls, caller_key: str) -> "Behind | None":
        """By the key of a lease; None for callers who are nobody's."""
        kind, _, rest = caller_key.partition(":")
        number_of, _, known_as = rest.partition(":")
        if kind not in (_TRUNK_GROUP, _REGISTERED_PBX) or not number_of.isdecimal():
            return None
        number = known_as if known_as.startswith("+") else None
        return cls(kind == _REGISTERED_PBX, int(number_of), number)


def user(sender: Sender, subscriber: Subscriber, tenant: Tenant | None) -> Caller:
    """A verified user, on whichever phone."""
    return Caller(
        f"subscriber:{subscriber.id}", subscriber.display_name, sender.contact_uri, sender.source_uri,
        subscriber=subscriber, tenant=tenant, number=subscriber.number,
    )  # fmt: skip


def behind_registered_pbx(sender: Sender, pbx: Subscriber, tenant: Tenant | None, said: Asserted) -> Caller:
    """Somebody behind a PBX that registers. Its own number stands for one that is withheld or not the tenant's."""
    return Caller(
        _key(_REGISTERED_PBX, pbx.id, said.number, sender.call_id),
        sender.display_name or (said.user or pbx).display_name,
        _called_for(said.number, sender.contact_uri), sender.source_uri,
        subscriber=said.user or pbx, tenant=tenant, number=said.number if said.vouched else pbx.number,
    )  # fmt: skip


def _called_for(number: str | None, contact_uri: str) -> str:
    """A PBX's Contact, as it is called for one of its people."""
    uri = SipUri.parse(contact_uri)
    if number is None or uri is None:
        return contact_uri
    return f"{uri.scheme}:{number}@{uri.host}{f':{uri.port}' if uri.port else ''}{uri.params}"


def on_trunk(sender: Sender, trunk: Trunk, group: TrunkGroup, tenant: Tenant | None, said: Asserted) -> Caller:
    """Somebody behind a trunk. A PBX's callback goes to the PBX, by the number that the PBX knows its caller by.

    A carrier is believed what it says of its callers; of a PBX's number only what its tenant owns is shown to anybody.
    """
    if not group.pbx:
        return Caller(
            _key(_TRUNK_GROUP, group.id, said.number, sender.call_id), sender.display_name, sender.contact_uri,
            sender.source_uri, trunk=trunk, number=said.number,
        )  # fmt: skip
    return Caller(
        _key(_TRUNK_GROUP, group.id, said.number, sender.call_id),
        sender.display_name or (said.user.display_name if said.user else ""),
        trunk.uri_of(said.number) if said.number else sender.contact_uri, trunk.uri,
        subscriber=said.user, tenant=tenant, trunk=trunk, number=said.number if said.vouched else None,
    )  # fmt: skip


def unknown(sender: Sender, source_key: str) -> Caller:
    """Whoever calls from this very address; what they claim to be is nothing to go by."""
    return Caller(f"contact:{source_key}", sender.display_name, sender.contact_uri, sender.source_uri)


def _key(kind: str, number_of: int, number: str | None, call_id: str) -> str:
    """Where the number is withheld any call may be somebody else's: each is a caller of its own (N3)."""
    return f"{kind}:{number_of}:{number or f'call:{call_id}'}"
