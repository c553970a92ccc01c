"""FreeSWITCH's dial string, as far as the bridge to the edge needs it.

`{name=value,…}[name=value,…]sofia/PROFILE/sip:USER@HOST[:PORT]`
"""

import re
from dataclasses import dataclass, field

from holdfast.embedded.sip_fields import SipUri, parse_uri
from holdfast.embedded.sip_message import SipParseError
from holdfast.errors import InputError

_SIP_HEADER = "sip_h_"
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_ENDPOINT = re.compile(r"sofia/([\w.-]+)/(?:sips?:)?([^\s@/]+@[^\s@/]+)")
# commas part; within single quotes or behind a backslash they do not
_ITEM = re.compile(r"(?:\\.|'[^']*'|[^,\\'])+")
_LIST = re.compile(rf"(?:{_ITEM.pattern}(?:,|$))*")
#: What the server itself writes: a dial string must not write it a second time.
_RESERVED = frozenset(
    {"via", "from", "to", "call-id", "cseq", "max-forwards", "contact", "route", "record-route", "user-agent"}
    | {"content-length", "content-type"}
)


@dataclass(frozen=True)
class DialString:
    """`uri` as it goes into the Request-URI; `variables` of the leg that is to be made."""

    profile: str
    uri: str
    target: SipUri
    leg_timeout_s: float
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The sip_h_ variables as headers, names in lower case."""
        return [
            (name.removeprefix(_SIP_HEADER).lower(), value)
            for name, value in self.variables.items()
            if name.startswith(_SIP_HEADER)
        ]


def parse(text: str) -> DialString:
    """Read a dial string. Raises InputError for anything that would not be dialled just as written."""
    rest = text.strip()
    variables: dict[str, str] = {}
    while rest[:1] in ("{", "["):
        closing = {"{": "}", "[": "]"}[rest[0]]
        inside, closed, rest = rest[1:].partition(closing)
        if not closed:
            raise InputError(f"dial string: {closing} is missing")
        variables |= _variables(inside)
        rest = rest.lstrip()
    found = _ENDPOINT.fullmatch(rest)
    if not found:
        raise InputError("dial string: only one sofia/PROFILE/sip:USER@HOST is understood")
    uri = f"sip:{found[2]}"
    try:
        target = parse_uri(uri)
    except SipParseError as error:
        raise InputError(f"dial string: {error}") from error
    leg_timeout_s = _seconds(variables.get("leg_timeout", variables.get("originate_timeout", "60")))
    dial = DialString(found[1], uri, target, leg_timeout_s, variables)
    for name, value in dial.headers:
        if not _TOKEN.fullmatch(name) or name in _RESERVED or re.search(r"[\x00-\x08\n-\x1f]", value):
            raise InputError(f"dial string: {_SIP_HEADER}{name[:40]} cannot be a header")
    return dial


def _variables(text: str) -> dict[str, str]:
    variables = {}
    if not _LIST.fullmatch(text):
        raise InputError("dial string: a quote is not closed")
    for part in _ITEM.findall(text):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise InputError("dial string: a variable has no value")
        value = re.sub(r"\\(.)", r"\1", value)
        if len(value) > 1 and value[0] == value[-1] == "'":
            value = value[1:-1]
        variables[name.strip()] = value
    return variables


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) < 1:
        raise InputError("dial string: the time to ring is not a number of seconds")
    return float(text)
