"""What people type about locations, read strictly, as plane.values does; sql/schema.sql holds the same rules."""

import re

from holdfast.errors import InputError
from holdfast.plane.values import shown

VALIDATED, MANUAL, NONE = VALIDATIONS = ("validated", "manual", "none")

_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,15})?")
_PROVIDER_ID = re.compile(r"[A-Za-z0-9._~:/?=&%+-]{1,250}")


def latitude(text: str) -> float:
    """Degrees north of the equator, WGS84."""
    return _degrees(text, 90, "a latitude")


def longitude(text: str) -> float:
    """Degrees east of Greenwich, WGS84."""
    return _degrees(text, 180, "a longitude")


def _degrees(text: str, limit: int, what: str) -> float:
    if not _DEGREES.fullmatch(text) or abs(float(text)) > limit:
        raise InputError(f"{shown(text)} is not {what}", mend=f"write degrees (WGS84) from -{limit} to {limit}")
    return float(text)


def validation(text: str) -> str:
    """What vouches for an address."""
    if text not in VALIDATIONS:
        raise InputError(f"{shown(text)} is not a validation", mend=f"write {VALIDATED}, {MANUAL} or {NONE}")
    return text


def provider_id(text: str) -> str:
    """What a provider calls a location that it keeps itself; it stands in a SIP header."""
    if not _PROVIDER_ID.fullmatch(text):
        raise InputError(
            f"{shown(text)} is not a provider's location id",
            mend="use 1 to 250 of letters, digits and . _ ~ : / ? = & % + -",
        )
    return text
