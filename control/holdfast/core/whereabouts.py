"""Where a caller is: which of the places that are known of them counts, and which country that makes it.

Precedence: what the administrator says of the network the device is attached to, what the user confirmed, what the
device itself sends, and last the address that is registered for the number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.core.country import canonical
from holdfast.core.place import Place, measured


class LocationSource(StrEnum):
    """How a place came to be known, in order of precedence."""

    DYNAMIC = "dynamic"  # the network element that the device is attached to (O3, O8)
    CONFIRMED = "confirmed"  # the user said so
    SUGGESTED = "suggested"  # the device or PBX sent it with the call (L1)
    REGISTERED = "registered"  # the address of the caller's number (C2, O4)


class Validation(StrEnum):
    """What vouches for a place (L3)."""

    VALIDATED = "validated"  # a LoST server, a carrier, or the instrument that measured it
    MANUAL = "manual"  # somebody typed it in
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One place a caller may be at. `psap_uris`: the PSAP that serves it, by trunk group, as far as one was found."""

    source: LocationSource
    place: Place
    validation: Validation
    #: what led there, for people: "subnet 192.0.2.0/24", "the address of +12025550101"
    why: str
    country: str | None = None
    location_id: int | None = None
    site_id: int | None = None
    name: str = ""
    provider_location_id: str | None = None
    psap_uris: Mapping[int, str] = field(default_factory=dict)


def suggested(place: Place) -> Whereabouts:
    """What a device or PBX says of itself: as good as its method (RFC 4119 §2.2.6)."""
    by_machine = measured(place.method)
    return Whereabouts(
        LocationSource.SUGGESTED,
        place,
        Validation.VALIDATED if by_machine else Validation.MANUAL,
        why=f"sent with the call, method {place.method or 'not given'}",
        country=canonical(place.country or ""),
    )


@dataclass(frozen=True, slots=True)
class CountryFinding:
    """The country a caller is in (`country` None: nothing reliable says), and what said so."""

    country: str | None
    why: str


@dataclass(frozen=True, slots=True)
class CountryHints:
    """What may say which country a caller is in, besides the places known of them. ISO 3166-1 alpha-2, or text.

    `signalled` is the client's own word, unchecked; `source_ip` None: the address is private, unknown or unreliable.
    """

    signalled: str = ""
    user: str | None = None
    site: str | None = None
    source_ip: str | None = None
    #: the tenant's, where its operator says that its callers are there; for strangers, where this node stands
    otherwise: str | None = None


def country_of(hints: CountryHints, places: Iterable[Whereabouts]) -> CountryFinding:
    """A6: the client's word, a known place, what is provisioned, the source address; else unknown, never a guess.

    A client's word that is no country code counts as none, and so do two that contradict each other. The territories
    of the US are the US.
    """
    found: list[tuple[str | None, str]] = [(_signalled(hints.signalled), "the client says so")]
    found += [(where.country, f"the caller's place: {where.why}") for where in places]
    found += [
        (hints.user, "provisioned for the user"),
        (hints.site, "provisioned for the site"),
        (hints.source_ip, "the source address"),
        (hints.otherwise, "provisioned as the default"),
    ]
    for text, why in found:
        country = canonical(text.strip()) if text else None
        if country is not None:
            return CountryFinding(country, why)
    return CountryFinding(None, "nothing reliable says in which country the caller is")


def _signalled(text: str) -> str | None:
    """The one country that a header names, which may have come more than once (RFC 3261 §7.3.1)."""
    said = {canonical(one.strip()) for one in text.split(",")} - {None}
    return said.pop() if len(said) == 1 else None


def chosen(places: Iterable[Whereabouts], country: str) -> Whereabouts | None:
    """The place that counts: the first that says where, and does not contradict the country. None: none is usable."""
    for where in places:
        if not where.place.is_empty and where.country in (None, country):
            return where
    return None
