"""Who holds the lease that a call would get: the same for a live call and for one that is only explained."""

from dataclasses import dataclass

from holdfast.core.model import Caller, Subscriber, Tenant, Trunk, TrunkGroup

#: Begins the lease key of a caller behind a PBX that registers; the PBX's user and the caller's number follow.
PBX_KEY = "pbx:"


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a call comes from: what its sender calls itself, its Contact, and the address of its packets, both URIs."""

    call_id: str
    display_name: str
    contact_uri: str
    source_uri: str


def user(sender: Sender, subscriber: Subscriber, tenant: Tenant | None) -> Caller:
    """A verified user, on whichever phone."""
    return Caller(
        f"subscriber:{subscriber.id}", subscriber.display_name, sender.contact_uri, sender.source_uri,
        subscriber=subscriber, tenant=tenant, number=subscriber.number,
    )  # fmt: skip


def behind_registered_pbx(sender: Sender, pbx: Subscriber, tenant: Tenant | None, number: str | None) -> Caller:
    """Somebody behind a PBX that registers. `number`: what the PBX says, if its tenant owns it."""
    number = number or pbx.number
    return Caller(
        f"{PBX_KEY}{pbx.id}:{number or f'call:{sender.call_id}'}", sender.display_name or pbx.display_name,
        sender.contact_uri, sender.source_uri, subscriber=pbx, tenant=tenant, number=number,
    )  # fmt: skip


def on_trunk(sender: Sender, trunk: Trunk, group: TrunkGroup, tenant: Tenant | None, number: str | None) -> Caller:
    """Somebody behind a trunk. A PBX's callback goes to the PBX by the caller's own number.

    Behind a PBX that withholds the number any call may be somebody else's: each is a caller of its own (N3).
    """
    contact, source = sender.contact_uri, sender.source_uri
    if group.pbx and number is not None:
        contact, source = trunk.uri_of(number), trunk.uri
    return Caller(
        f"trunk:{trunk.id}:{number or f'call:{sender.call_id}'}", sender.display_name, contact, source,
        tenant=tenant if group.pbx else None, trunk=trunk, number=number,
    )  # fmt: skip


def unknown(sender: Sender, source_key: str) -> Caller:
    """Whoever calls from this very address; what they claim to be is nothing to go by."""
    return Caller(f"contact:{source_key}", sender.display_name, sender.contact_uri, sender.source_uri)


def number_behind_pbx(caller_key: str) -> str | None:
    """The number of a caller behind a PBX that registers, by the key of their lease; None for all others."""
    number = caller_key.removeprefix(PBX_KEY).partition(":")[2] if caller_key.startswith(PBX_KEY) else ""
    return number if number.startswith("+") else None
