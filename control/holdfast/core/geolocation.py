"""Geolocation and Geolocation-Routing headers (RFC 6442 §4.1, §4.2), read and written. What comes in may be hostile."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from holdfast.core.headers import is_address
from holdfast.core.multipart import content_id_of
from holdfast.errors import InputError

MAX_REFERENCES = 16
_MAX_LENGTH = 8_192

#: What we say: the location may be used to route the call (RFC 6442 §4.2).
ROUTING = "yes"

#: RFC 3261 §25.1's generic-param. White space stands in one place each, so that matching takes no longer than reading.
_PARAMETER = (
    r";[ \t]*[A-Za-z0-9.!%*_+`'~-]+"
    r"(?:[ \t]*=[ \t]*(?:\"(?:[^\"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*\"|[A-Za-z0-9.!%*_+`'~:@\[\]-]+))?"
)
#: cid: a part of this message; the others: where to ask (RFC 6442 §4.1); urn: a provider's name of a location it knows.
_URI = r"(?:cid|sips?|pres|https?|urn):[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,512}"
_REFERENCE = re.compile(rf"<(?P<uri>{_URI})>(?P<params>(?:[ \t]*{_PARAMETER})*)", re.ASCII | re.IGNORECASE)
_ONE_PARAMETER = re.compile(_PARAMETER, re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")


@dataclass(frozen=True, slots=True)
class GeolocationRef:
    """One location reference. `params` keeps its leading semicolon; "" when there are none."""

    uri: str
    params: str = ""

    @property
    def value(self) -> str:
        """As it stands in a header."""
        return f"<{self.uri}>{self.params}"

    @property
    def content_id(self) -> str:
        """The Content-ID of the part it means; "" when it means something outside the message."""
        return content_id_of(self.uri)


def references(header_values: Iterable[str]) -> tuple[GeolocationRef, ...]:
    """The references of every Geolocation header of a message, in order, without the repeated ones.

    What is no reference is left out: a bad one shall not cost the good one beside it. So is loc-src, which only those
    whom we trust may write (RFC 8787 §4). InputError when there is more than any message needs.
    """
    found: dict[str, GeolocationRef] = {}
    length = 0
    for value in header_values:
        length += len(value)
        if length > _MAX_LENGTH:
            raise InputError(f"Geolocation headers of more than {_MAX_LENGTH} characters")
        for text in _listed(value):
            match = _REFERENCE.fullmatch(text)
            if match is not None:
                params = [part for part in _ONE_PARAMETER.findall(match["params"]) if _name(part) != "loc-src"]
                found.setdefault(match["uri"], GeolocationRef(match["uri"], "".join(params)))
    if len(found) > MAX_REFERENCES:
        raise InputError(f"{len(found)} location references; at most {MAX_REFERENCES} are read")
    return tuple(found.values())


def _name(parameter: str) -> str:
    return parameter[1:].partition("=")[0].strip().lower()


def _listed(value: str) -> Iterator[str]:
    """The elements of a comma-separated header: commas in quotes or angle brackets part nothing."""
    begin, closing = 0, ""
    escaped = False
    for place, character in enumerate(value):
        if escaped:
            escaped = False
        elif closing:
            escaped = closing == '"' and character == "\\"
            closing = "" if character == closing else closing
        elif character in '<"':
            closing = ">" if character == "<" else '"'
        elif character == ",":
            yield value[begin:place].strip()
            begin = place + 1
    yield value[begin:].strip()


def with_ours_last(existing: Iterable[str], our_uri: str, inserted_by: str, *, still_sent: Collection[str] = ()) -> str:
    """The Geolocation header that leaves: the references already there, and ours last (RFC 6442 §4.1).

    Left out are those to parts that are not sent: `still_sent` are the Content-IDs of the parts that are. `inserted_by`
    is our host: the parameter inserted-by, and where it is a name loc-src too (RFC 8787).
    """
    if not _HOST.fullmatch(inserted_by):
        raise InputError(f"{inserted_by[:80]!r} is not a host that could have inserted a location")
    source = "" if is_address(inserted_by.strip("[]")) else f";loc-src={inserted_by}"
    ours = GeolocationRef(our_uri, f'{source};inserted-by="{inserted_by}"')
    if not _REFERENCE.fullmatch(ours.value):
        raise InputError(f"{our_uri[:80]!r} is not a URI that a location could be found by")
    kept = [
        reference for reference in references(existing)
        if reference.uri != our_uri
        and (not reference.uri.lower().startswith("cid:") or reference.content_id in still_sent)
    ]  # fmt: skip
    return ", ".join(reference.value for reference in (*kept, ours))


def may_route(header_values: Iterable[str]) -> bool:
    """Whether those on the way may route by the location: no Geolocation-Routing, or anything but yes, means no."""
    said = [text.partition(";")[0].strip().lower() for value in header_values for text in value.split(",")]
    return bool(said) and all(text == "yes" for text in said)
