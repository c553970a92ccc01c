"""The session description in a body that holds more than that. It is found even where the rest cannot be read."""

import re

from holdfast.core import multipart
from holdfast.errors import InputError

#: Lines of RFC 4566 §5, which begin with the version and the origin.
_DESCRIPTION = re.compile(rb"(?:\A|(?<=\n))v=0\r?\no=[^\r\n]*\r?\n(?:[a-z]=[^\r\n]*(?:\r?\n|\Z))*")


def is_offer(content_type: str) -> bool:
    """Whether a body of this Content-Type is a session description and nothing else."""
    return content_type.partition(";")[0].strip().lower() == multipart.SDP


def may_hold_location(content_type: str) -> bool:
    """Whether a body of this Content-Type may say where somebody is: one of several parts, a document, of no type."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith("multipart/") or media_type in ("", multipart.PIDF)


def offer_in(content_type: str, body: bytes) -> bytes:
    """The session description in a body, byte for byte; b"" when there is none.

    A body that is broken, hostile or of nobody's type costs the call nothing: what stands in it as a session
    description is one. Its last line ends as a line does, though in a body of several parts that may belong to what
    parts them.
    """
    try:
        found = multipart.sdp_of(multipart.parts(content_type, body))
    except InputError:
        found = None
    if found is None:
        some = _DESCRIPTION.search(body)
        found = some[0] if some else b""
    return found if not found or found.endswith(b"\n") else found + b"\r\n"
