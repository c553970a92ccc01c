"""What people type about routing, read strictly, as plane.values does; sql/schema.sql holds the same rules."""

import re
from dataclasses import dataclass

from holdfast.errors import InputError
from holdfast.plane.values import shown

#: RFC 3986 §2, after the scheme; what a PIDF-LO can hold (core.pidf_lo_build)
_REST = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_NOTIFICATION = re.compile(rf"(?=(?:sips?:|https?://)[^/])[a-z]+:{_REST}{{1,250}}")
_CONFERENCE = re.compile(rf"(?:sips?|tel):{_REST}{{1,250}}")
_LOST_URL = re.compile(rf"(?=https?://[^/])[a-z]+:{_REST}{{1,250}}")
_CALL_URI = re.compile(
    r"(tel:)?\+?[0-9]{2,15}"
    r"|sips?:[A-Za-z0-9_.+*#-]{1,64}@[A-Za-z0-9.:\[\]-]{1,253}(;[A-Za-z0-9=._-]{1,64})*"
    r"|urn:service:sos(\.[a-z0-9-]+)*"
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9*_.-]{1,253}")
_MASK = re.compile(r"([0-9*#]{2,6})=([0-9]{2,6})")
_MASKED = re.compile(r"[0-9*#]{2,6}")
_RULE_NUMBER = re.compile(r"[0-9]{2,6}|\*")
_PREFIX = re.compile(r"[0-9*#]{1,12}")
_PREPEND = re.compile(r"\+?[0-9]{0,15}")
_CODES = range(400, 700)


@dataclass(frozen=True, slots=True)
class Mask:
    """What else callers dial for an emergency number: `dialled` means `sent`."""

    dialled: str
    sent: str


def mask(text: str) -> Mask:
    """A mask, written 0911=911. Six digits at most, so that it can capture no telephone number (N7)."""
    read = _MASK.fullmatch(text)
    if not read:
        raise InputError(
            f"{shown(text)} is not a mask", mend="write what is dialled (2 to 6 of 0-9 * #) and what it means: 0911=911"
        )
    if read[1] == read[2]:
        raise InputError(f"the mask {text} changes nothing", mend="leave it out")
    return Mask(read[1], read[2])


def masked(text: str) -> str:
    """What a mask is dialled as."""
    return _full(_MASKED, text, "something that a mask could be dialled as", "write 2 to 6 of 0-9 * #, such as 0911")


def rule_number(text: str) -> str:
    """The emergency number of a routing rule, or * for every one."""
    return _full(_RULE_NUMBER, text, "an emergency number", "write it such as 911, or '*' for every one")


def prefix(text: str) -> str:
    """What a dial rule is for: every string that begins so."""
    return _full(_PREFIX, text, "a prefix to dial", "write 1 to 12 of 0-9 * #, such as 9")


def prepend(text: str) -> str:
    """What a dial rule puts before; may be empty."""
    return _full(_PREPEND, text, "digits to put before", "write 0 to 15 digits, with or without +")


def notification_uri(text: str) -> str:
    """Where a provider sends its notification of a call (L1)."""
    return _full(
        _NOTIFICATION, text, "a notification URI", "write sip:desk@example.com or https://desk.example.com/911"
    )


def conference_uri(text: str) -> str:
    """Whom a provider takes into the call (L1)."""
    return _full(_CONFERENCE, text, "a conference URI", "write sip:desk@example.com or tel:+12025550123")


def call_uri(text: str) -> str:
    """A called party, as it can stand in a Request-URI: a number, a sip: URI without headers, or a service URN."""
    return _full(
        _CALL_URI, text, "something that can be called", "write +12025550123, sip:911@psap.example or urn:service:sos"
    )


def lost_url(text: str) -> str:
    """Where a LoST server answers (RFC 5222)."""
    return _full(_LOST_URL, text, "a LoST server", "write its URL, such as https://lost.example.com/LoST")


def header_name(text: str) -> str:
    """The name of a SIP header that is ours to set: a token that begins with a letter."""
    return _full(
        _HEADER, text, "a header name", "use a letter, then at most 63 letters, digits and -, such as X-Location-ID"
    )


def certificate_name(text: str) -> str:
    """A name that a certificate may show."""
    return _full(_CERTIFICATE_NAME, text, "a name in a certificate", "write it such as sip.carrier.example")


def failure_codes(text: str) -> list[int]:
    """SIP's final answers that are failures, separated by commas, each once and in order; "none" for no code."""
    if text.strip().lower() == "none":
        return []
    codes = set()
    for part in text.split(","):
        code = part.strip()
        if not (code.isascii() and code.isdigit() and len(code) == 3 and int(code) in _CODES):
            raise InputError(
                f"{shown(code)} is not a failure of SIP",
                mend="write codes from 400 to 699 such as 486,600,603, or none",
            )
        codes.add(int(code))
    return sorted(codes)


def _full(pattern: re.Pattern[str], text: str, what: str, mend: str) -> str:
    if not pattern.fullmatch(text):
        raise InputError(f"{shown(text)} is not {what}", mend=mend)
    return text
