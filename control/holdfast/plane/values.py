"""What people type, read strictly: each function returns the value to store, or raises InputError with its mend.

The same rules stand as constraints in sql/schema.sql, and a test holds the two against each other.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterator

from holdfast.errors import InputError

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS = re.compile(r"[-.() ]")
_COUNTRY = re.compile(r"[A-Z]{2}")
_USERNAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HA1 = re.compile(r"[0-9a-f]{32}")
#: Control characters and line separators: they could end a SIP header, and cannot be seen. Lone surrogates: what was
#: typed is not UTF-8
_INVISIBLE = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LINE_LENGTH = 128
_YES = frozenset({"yes", "y", "true", "t", "on", "1"})
_NO = frozenset({"no", "n", "false", "f", "off", "0"})
#: One command may name this many numbers as a range; more come from a file
RANGE_LIMIT = 100_000


def number(text: str) -> str:
    """An E.164 number; spaces, dots, hyphens and brackets between the digits are dropped (RFC 3966 §5.1.1)."""
    digits = _SEPARATORS.sub("", text)
    if not _E164.fullmatch(digits):
        raise InputError(f"{shown(text)} is not an E.164 number", mend="write it such as +12025550123")
    return digits


def numbers(text: str) -> Iterator[str]:
    """One number, or every number of a range such as +12025550100-+12025550149 (both ends included)."""
    first_text, dash, last_text = text.partition("-+")
    if not dash:
        yield number(text)
        return
    first, last = number(first_text), number(f"+{last_text}")
    count = int(last) - int(first) + 1
    if len(first) != len(last) or count < 1:
        raise InputError(
            f"the range {shown(text)} does not go upwards between numbers of one length",
            mend="write it such as +12025550100-+12025550149",
        )
    if count > RANGE_LIMIT:
        raise InputError(
            f"the range {shown(text)} has {count} numbers",
            mend=f"name at most {RANGE_LIMIT} at once, or import them from a file",
        )
    for value in range(int(first), int(last) + 1):
        yield f"+{value}"


def country(text: str) -> str:
    """The form of an ISO 3166-1 alpha-2 code, in capitals."""
    code = text.upper()
    if not _COUNTRY.fullmatch(code):
        raise InputError(f"{shown(text)} is not a country code", mend="use ISO 3166-1 alpha-2, such as US or DK")
    return code


def username(text: str) -> str:
    """The user part of an address of record, of characters that no SIP URI has to escape."""
    if not _USERNAME.fullmatch(text):
        raise InputError(
            f"{shown(text)} is not a usable username", mend="use 1 to 64 of letters, digits and _ . + - (no @)"
        )
    return text


def realm(text: str) -> str:
    """A domain, as phones register in it."""
    if not _DOMAIN.fullmatch(text):
        raise InputError(f"{shown(text)} is not a domain", mend="write it such as example.com")
    return text


def aor(text: str) -> str:
    """An address of record, user@domain, without sip:."""
    user, at, domain = text.partition("@")
    if not (at and _USERNAME.fullmatch(user) and _DOMAIN.fullmatch(domain)):
        raise InputError(f"{shown(text)} is not user@domain", mend="write it such as desk@example.com, without sip:")
    return text


def forward_to(text: str) -> str:
    """Where calls are forwarded: an E.164 number or an address of record."""
    try:
        return aor(text) if "@" in text else number(text)
    except InputError as error:
        raise InputError(
            f"{shown(text)} cannot be forwarded to", mend="write +12025550123 or someone@example.com"
        ) from error


def display_name(text: str) -> str:
    """One line of visible characters, or nothing."""
    if len(text) > _LINE_LENGTH or _INVISIBLE.search(text):
        raise InputError(
            f"{shown(text)} is not a usable display name", mend=f"use at most {_LINE_LENGTH} visible characters"
        )
    return text


def name(text: str) -> str:
    """What a tenant, trunk or pool is called: one line of visible characters."""
    if not text or text != text.strip(" ") or len(text) > _LINE_LENGTH or _INVISIBLE.search(text):
        raise InputError(
            f"{shown(text)} is not a usable name",
            mend=f"use 1 to {_LINE_LENGTH} visible characters, without a space at either end",
        )
    return text


def node_name(text: str) -> str:
    """A node's name: one label of a host name."""
    if not _NODE_NAME.fullmatch(text):
        raise InputError(
            f"{shown(text)} is not a usable node name", mend="use lower-case letters, digits and -, such as edge-1"
        )
    return text


def host(text: str) -> str:
    """A host name, or an address without brackets."""
    bare = text.removeprefix("[").removesuffix("]")
    if not _HOST.fullmatch(bare):
        raise InputError(f"{shown(text)} is not a host", mend="write sip.carrier.example, or an address")
    return bare


def source_address(text: str) -> str:
    """An address or network that a trunk's calls come from, at most as wide as /8."""
    try:
        network = ipaddress.ip_network(text.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise InputError(
            f"{shown(text)} is not an address or network", mend="write 192.0.2.10, or 192.0.2.0/24"
        ) from error
    if network.prefixlen < 8:
        raise InputError(
            f"{text} would trust far too many hosts", mend="give the carrier's own addresses or networks (at most /8)"
        )
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def ha1_digest(text: str) -> str:
    """An HA1 that was computed elsewhere."""
    digest = text.lower()
    if not _HA1.fullmatch(digest):
        raise InputError("the HA1 is not 32 hexadecimal digits", mend="use MD5 of username:realm:password")
    return digest


def password(text: str) -> str:
    """A password as typed. It is hashed at once and stored nowhere; no message ever shows it."""
    if not text:
        raise InputError("the password is empty", mend="give one that is hard to guess")
    if len(text) > _LINE_LENGTH or _INVISIBLE.search(text):
        raise InputError(
            "the password cannot be typed into every phone", mend=f"use at most {_LINE_LENGTH} visible characters"
        )
    return text


def ha1(user: str, domain: str, secret: str) -> str:
    """MD5(username:realm:password), in lower-case hexadecimal: what SIP's digest needs (RFC 2617 §3.2.2.2)."""
    return hashlib.md5(f"{user}:{domain}:{secret}".encode(), usedforsecurity=False).hexdigest()


def flag(text: str) -> bool:
    """Yes or no, in the usual spellings."""
    word = text.lower()
    if word not in _YES | _NO:
        raise InputError(f"{shown(text)} is neither yes nor no", mend="write yes or no")
    return word in _YES


def shown(text: str) -> str:
    """Hostile text in a message: short, and with nothing that a terminal would obey."""
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
