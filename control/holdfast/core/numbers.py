"""What was dialled: from a Request-URI to digits, and from digits to an emergency number, a test or neither."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from holdfast.core.country import PLANS, EmergencyPlan
from holdfast.core.model import CallKind

#: RFC 5031 §4.2: the sos service and its sub-services; "urn:service:sosx" or "urn:service:counseling" are not.
_SOS = re.compile(r"urn:service:sos(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)
_TEST_SOS = re.compile(r"urn:service:test\.sos(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)  # RFC 6881 ED-77
_E164 = re.compile(r"\+[1-9][0-9]{2,14}")
_NORTH_AMERICAN = re.compile(r"1?[2-9][0-9]{9}")
#: Visual separators of a global or local number, RFC 3966 §5.1.1. ASCII only: a full-width digit is not a digit here.
_SEPARATORS = re.compile(r"[-.() ]")
_DIALLED = re.compile(r"\+?[0-9*#]{1,32}")


@dataclass(frozen=True, slots=True)
class EmergencyMatch:
    """A dialled string that reaches an emergency service: `sent` goes to the PSAP, `dialled` is what was matched."""

    kind: CallKind
    dialled: str
    sent: str
    country: str


def dialled_from_uri(uri: str) -> str:
    """The digits of a Request-URI, or the service URN itself in lower case; "" when it names no number.

    Understands sip:, sips: and tel: with phone-context, RFC 4967 dial strings, visual separators and percent-encoding.
    """
    scheme, _, rest = uri.partition(":")
    scheme = scheme.lower()
    if scheme == "urn":
        return uri.lower()
    if scheme in ("sip", "sips"):
        user = rest.partition("@")[0] if "@" in rest else ""
    elif scheme == "tel":
        user = rest
    else:
        return ""
    # Parameters first: a percent-encoded ";" belongs to the number and then spoils it, as it should.
    user = user.partition(";")[0].partition(":")[0]
    digits = _SEPARATORS.sub("", unquote(user, errors="replace"))
    return digits if _DIALLED.fullmatch(digits) else ""


def match_emergency(dialled: str, country: str) -> EmergencyMatch | None:
    """Whether `dialled` (see dialled_from_uri) is an emergency or test number in `country` (ISO 3166-1 alpha-2)."""
    plan = PLANS.get(country)
    if plan is None:
        return None
    if _SOS.fullmatch(dialled):
        return EmergencyMatch(CallKind.EMERGENCY, dialled, next(iter(plan.emergency.values())), country)
    if _TEST_SOS.fullmatch(dialled):
        return EmergencyMatch(CallKind.READBACK, dialled, dialled, country)
    for digits in _local_forms(dialled, plan):
        if digits in plan.emergency:
            return EmergencyMatch(CallKind.EMERGENCY, dialled, plan.emergency[digits], country)
        if digits in plan.readback:
            return EmergencyMatch(CallKind.READBACK, dialled, digits, country)
    return None


def _local_forms(dialled: str, plan: EmergencyPlan) -> tuple[str, ...]:
    """Phones that always dial E.164 make +911 or +1911 of 911, and +44999 of 999."""
    if not dialled.startswith("+"):
        return (dialled,)
    bare = dialled[1:]
    return (bare, bare.removeprefix(plan.calling_code))


def may_be_emergency(dialled: str) -> bool:
    """Whether any served country would call this an emergency or a test: the sieve before the caller is known."""
    return any(match_emergency(dialled, country) for country in PLANS)


def e164(text: str, country: str) -> str | None:
    """A dialled or received number as +E.164, reading the national and international forms of a served country."""
    digits = _SEPARATORS.sub("", text)
    plan = PLANS.get(country)
    if plan is not None and digits.isascii() and digits.isdigit():
        digits = _with_country_code(digits, plan)
    return digits if _E164.fullmatch(digits) else None


def _with_country_code(digits: str, plan: EmergencyPlan) -> str:
    """The prefixes are ITU-T E.164's: 011 and 1 in the North American plan, 00 and 0 elsewhere. "" for neither."""
    if plan.calling_code == "1":
        if digits.startswith("011"):
            return f"+{digits[3:]}"
        return f"+1{digits[-10:]}" if _NORTH_AMERICAN.fullmatch(digits) else ""
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{plan.calling_code}{digits[1:]}" if digits.startswith("0") and len(digits) > 6 else ""


def native_patterns() -> tuple[str, str]:
    """POSIX extended regular expressions for Kamailio's native fallback: of a Request-URI, and of its user part.

    Together they take what `match_emergency` calls an emergency number in any served country. Case is ignored there.
    """
    dialled = {
        f"{prefix}{number}"
        for plan in PLANS.values()
        for number in plan.emergency
        for prefix in ("", "+", f"+{plan.calling_code}")
    }
    written = sorted("[-.() ]*".join(_WRITTEN[character] for character in number) for number in dialled)
    return "^urn:service:sos([.][a-z0-9-]+)*$", f"^({'|'.join(written)})(;.*)?$"


#: A character as it stands in a URI: itself, or percent-encoded (RFC 3261 §19.1.2).
_WRITTEN = {"+": "([+]|%2b)", **{str(digit): f"({digit}|%3{digit})" for digit in range(10)}}
