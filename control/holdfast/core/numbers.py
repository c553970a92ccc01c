"""What was dialled: from a Request-URI to digits, and from digits to an emergency number, a test or neither."""

import itertools
import re
from dataclasses import dataclass
from urllib.parse import unquote

from holdfast.core.country import CALLING_CODES, NUMBERING, PLANS, SERVED, EmergencyPlan, Numbering, calling_code_of
from holdfast.core.model import CallKind

#: RFC 5031 §4.2: the sos service and its sub-services; "urn:service:sosx" or "urn:service:counseling" are not.
_SOS = re.compile(r"urn:service:sos(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)
_TEST_SOS = re.compile(r"urn:service:test\.sos(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)  # RFC 6881 ED-77
_E164 = re.compile(r"\+[1-9][0-9]{2,14}")
#: Global services that belong to no country (ITU-T E.164.1: freephone, shared cost, satellites, networks, premium).
_NOBODYS = ("+800", "+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979")
#: Visual separators of a global or local number, RFC 3966 §5.1.1. ASCII only: a full-width digit is not a digit here.
_SEPARATORS = re.compile(r"[-.() ]")
_DIALLED = re.compile(r"\+?[0-9*#]{1,32}")
_DIAL_STRING = re.compile(r";user=dialstring(?=[;?]|$)", re.IGNORECASE)
#: In a dial string: wait a while, and wait for a dial tone (RFC 4967 §3), which is no part of the number.
_PAUSES = re.compile(r"[px]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EmergencyMatch:
    """A dialled string that reaches an emergency service: `sent` goes to the PSAP, `dialled` is what was matched."""

    kind: CallKind
    dialled: str
    sent: str
    country: str


def dialled_from_uri(uri: str) -> str:
    """The digits of a Request-URI, or the service URN itself in lower case; "" when it names no number.

    Understands sip:, sips: and tel: with phone-context, dial strings with pauses (RFC 4967), visual separators and
    percent-encoding.
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
    if _DIAL_STRING.search(rest):
        digits = _PAUSES.sub("", digits)
    return digits if _DIALLED.fullmatch(digits) else ""


def match_emergency(dialled: str, country: str) -> EmergencyMatch | None:
    """Whether `dialled` (see dialled_from_uri) is an emergency or test number in `country` (ISO 3166-1 alpha-2).

    This decides, for served countries and others alike: whether a call may go is the plan's business.
    """
    plan = PLANS.get(country)
    if plan is None:
        return None
    if dialled.startswith("urn:"):
        return _match_service(dialled, plan)
    found = _FORMS[country].get(dialled)
    return EmergencyMatch(found[0], dialled, found[1], plan.country) if found else None


def _match_service(urn: str, plan: EmergencyPlan) -> EmergencyMatch | None:
    if _TEST_SOS.fullmatch(urn):
        return EmergencyMatch(CallKind.READBACK, urn, urn, plan.country)
    sent = next(iter(plan.emergency.values()), None)
    return EmergencyMatch(CallKind.EMERGENCY, urn, sent, plan.country) if sent and _SOS.fullmatch(urn) else None


def _forms(plan: EmergencyPlan) -> dict[str, tuple[CallKind, str]]:
    """Every dialled string that is no ordinary number: what it is, and what it is sent as.

    Phones that always dial E.164 make +911 or +1911 of 911, and +44999 of 999. No subscriber's number is that short.
    """
    told = {number: (CallKind.EMERGENCY, sent) for number, sent in plan.emergency.items()}
    told |= {number: (CallKind.READBACK, number) for number in plan.readback}
    forms: dict[str, tuple[CallKind, str]] = {}
    for prefix in ("", "+", f"+{plan.calling_code}"):
        for number, what in told.items():
            forms.setdefault(prefix + number, what)
    return forms


_FORMS = {country: _forms(plan) for country, plan in PLANS.items()}
_SIEVE = frozenset(itertools.chain.from_iterable(_FORMS.values()))


def may_be_emergency(dialled: str) -> bool:
    """Whether any country, served or not, would call this an emergency or a test: look closer once the caller is known.

    One look-up on every ordinary call's way. It takes short numbers that are ordinary ones where the caller is.
    """
    return dialled in _SIEVE or (
        dialled.startswith("urn:") and bool(_SOS.fullmatch(dialled) or _TEST_SOS.fullmatch(dialled))
    )


def e164(text: str, country: str) -> str | None:
    """A dialled or received number as +E.164, read as it is dialled in `country`. None: it is none, or not surely.

    Without "+" it must carry the country's international or national prefix, where it has one, and have as many digits
    as numbers have there: an extension or a short code is no number, and a wrong one would be a call to somebody else.
    """
    digits = _SEPARATORS.sub("", text)
    if digits.startswith("+"):
        return digits if _E164.fullmatch(digits) and _has_no_prefix(digits) else None
    numbering = NUMBERING.get(country)
    if numbering is None or not (digits.isascii() and digits.isdigit()):
        return None
    abroad = numbering.international.match(digits)
    found = f"+{digits[abroad.end() :]}" if abroad else _from_national(digits, numbering)
    return found if _E164.fullmatch(found) and _has_no_prefix(found) and (_has_length(found) or not abroad) else None


def _from_national(digits: str, numbering: Numbering) -> str:
    """A number of the right length, with or without the prefix as the country has it; else "", which is no number."""
    if numbering.national and digits.startswith(numbering.national):
        national = digits[len(numbering.national) :]
        if len(national) in numbering.digits:
            return f"+{numbering.calling_code}{national}"
    fits = numbering.national_is_optional and len(digits) in numbering.digits
    return f"+{numbering.calling_code}{digits}" if fits else ""


def _has_no_prefix(number: str) -> bool:
    """A national prefix does not belong into E.164: +44 (0)20 is nobody's number, though +39 06 is Rome's."""
    code = calling_code_of(number)
    if code is None:
        return True
    first = number[len(code) + 1 : len(code) + 2]
    if code == "1":
        return first not in ("0", "1")
    return first != "0" or any(NUMBERING[country].may_begin_with_0 for country in CALLING_CODES[code])


def _has_length(number: str) -> bool:
    """Whether a number of its calling code, or of no country's, can have as many digits."""
    code = calling_code_of(number)
    if code is None:
        return number.startswith(_NOBODYS)
    digits = len(number) - 1 - len(code)
    return any(digits in NUMBERING[country].digits for country in CALLING_CODES[code])


def native_patterns() -> tuple[str, str]:
    """POSIX extended regular expressions for Kamailio's native fallback: of a Request-URI, and of its user part.

    Together they take what `match_emergency` calls one in the countries that are served by default, in any case.
    """
    dialled = {form for country in SERVED for form, (kind, _) in _FORMS[country].items() if kind is CallKind.EMERGENCY}
    written = sorted("[-.() ]*".join(_WRITTEN[character] for character in number) for number in dialled)
    return "^urn:service:sos([.][a-z0-9-]+)*$", f"^({'|'.join(written)})(;.*)?$"


#: A character as it stands in a URI: itself, or percent-encoded (RFC 3261 §19.1.2).
_WRITTEN = {"+": "([+]|%2b)", **{str(digit): f"({digit}|%3{digit})" for digit in range(10)}}
