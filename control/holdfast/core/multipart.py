"""SIP bodies of several parts, taken apart and put together (RFC 2046 §5.1, RFC 5621). What comes in may be hostile."""

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, unquote

from holdfast.errors import InputError

MAX_OCTETS = 131_072
MAX_PARTS = 16
_MAX_HEADERS = 16
_MAX_HEADER = 1_024

SDP = "application/sdp"
PIDF = "application/pidf+xml"

#: RFC 2046 §5.1.1, and "=" without quotes, as Lync's own example has it.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_PARAMETER = re.compile(
    r";[ \t]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))[ \t]*"
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CONTENT_ID = re.compile(r"[^\s<>\x00-\x1f\x7f-\x9f]{1,250}")
_HEADERS_END = re.compile(rb"\A(?:(.*?)\r?\n)??\r?\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `content_type` is the media type in lower case, without parameters; `content_id` without brackets.

    `headers` are by lower-case names, as they came; a transfer encoding is undone, and not among them, nor a length.
    """

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_id: str = ""


def parts(content_type: str, body: bytes) -> tuple[Part, ...]:
    """The parts of a body, those of a multipart within it among them; a body that is no multipart is one part.

    `content_type` is the value of the message's Content-Type. InputError for what is malformed, endless or too much.
    """
    if len(body) > MAX_OCTETS:
        raise InputError(f"the body has {len(body)} bytes; at most {MAX_OCTETS} are read")
    if len(content_type) > _MAX_HEADER:
        raise InputError(f"a Content-Type of {len(content_type)} characters; at most {_MAX_HEADER} are read")
    found = tuple(_flat(_part({"content-type": content_type}, body), depth=0))
    if len(found) > MAX_PARTS:
        raise InputError(f"the body has {len(found)} parts; at most {MAX_PARTS} are read")
    return found


def _flat(part: Part, depth: int) -> list[Part]:
    if not part.content_type.startswith("multipart/"):
        return [part]
    if depth > 1:
        raise InputError("a multipart within a multipart within a multipart")
    found: list[Part] = []
    for octets in _split(part.body, _boundary(part.headers["content-type"])):
        found += _flat(_part(*_headers_and_body(octets)), depth + 1)
    return found


def _boundary(content_type: str) -> str:
    for name, quoted, bare in _PARAMETER.findall(content_type):
        if name.lower() == "boundary":
            boundary = re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
            if _BOUNDARY.fullmatch(boundary):
                return str(boundary)
            break
    raise InputError("a multipart without a boundary that can be used")


def _split(body: bytes, boundary: str) -> list[bytes]:
    """What stands between the delimiters (RFC 2046 §5.1.1); line ends may lack their CR."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode("ascii")) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    found: list[bytes] = []
    begin: int | None = None
    for mark in delimiter.finditer(body):
        if begin is not None:
            found.append(body[begin : mark.start()])
            if len(found) > MAX_PARTS:
                raise InputError(f"the body has more than {MAX_PARTS} parts")
        if mark[1]:
            if not found:
                break
            return found
        begin = mark.end()
    raise InputError("a multipart that does not end, or has no part")


def _headers_and_body(octets: bytes) -> tuple[dict[str, str], bytes]:
    """What follows a delimiter: the rest of its line, headers, an empty line, the body."""
    octets = octets.removeprefix(b"\r").removeprefix(b"\n")
    end = _HEADERS_END.match(octets)
    head, body = (end[1] or b"", octets[end.end() :]) if end else (octets, b"")  # an empty body needs no empty line
    if len(head) > _MAX_HEADERS * _MAX_HEADER:
        raise InputError("a part whose headers are too long")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("a part whose headers are not UTF-8") from error
    headers: dict[str, str] = {}
    for line in re.sub(r"\r?\n[ \t]+", " ", text).splitlines():
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon or not _HEADER_NAME.fullmatch(name) or len(value) > _MAX_HEADER:
            raise InputError(f"a part with the header line {line[:40]!r}")
        if name.lower() in headers or len(headers) == _MAX_HEADERS:
            raise InputError(f"a part with too many headers, or with {name} twice")
        headers[name.lower()] = value.strip()
    return headers, body


def _part(headers: dict[str, str], body: bytes) -> Part:
    media_type = headers.get("content-type", "text/plain").partition(";")[0].strip()
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise InputError(f"a body of the type {media_type[:40]!r}")
    headers.pop("content-length", None)
    encoding = headers.pop("content-transfer-encoding", "binary").lower()
    if encoding == "base64":
        try:
            body = binascii.a2b_base64(body)
        except binascii.Error as error:
            raise InputError("a part that is not the base64 that it says it is") from error
    elif encoding == "quoted-printable":
        body = binascii.a2b_qp(body)
    elif encoding not in ("binary", "8bit", "7bit"):
        raise InputError(f"a part in the transfer encoding {encoding[:40]!r}")
    content_id = headers.get("content-id", "").strip().removeprefix("<").removesuffix(">")
    if not _CONTENT_ID.fullmatch(content_id):
        content_id = ""
    return Part(media_type.lower(), body, MappingProxyType(headers), content_id)


def sdp_of(found: Sequence[Part]) -> bytes | None:
    """The session description among the parts, the first one."""
    return next((part.body for part in found if part.content_type == SDP), None)


def pidf_of(found: Sequence[Part]) -> bytes | None:
    """The location document among the parts: the first one counts (RFC 5491 §3 rule 9)."""
    return next((part.body for part in found if part.content_type == PIDF), None)


def location_part(document: str, content_id: str) -> Part:
    """A location document, to be put beside the session description; whoever cannot read it may pass it over."""
    headers = {"content-disposition": "render;handling=optional"}  # RFC 5621 §8.1, against 415 where that is known
    return Part(PIDF, document.encode("utf-8"), headers, content_id)


def build(several: Sequence[Part], boundary: str) -> tuple[str, bytes]:
    """The Content-Type and the body of a multipart/mixed. InputError when the parts, or the boundary, would break it.

    `headers` go out with their parts; a Content-ID is the part's own.
    """
    if not several or not _BOUNDARY.fullmatch(boundary):
        raise InputError("a multipart without parts, or with a boundary that cannot be used")
    delimiter = f"--{boundary}".encode("ascii")
    octets = []
    for part in several:
        whole = _header_lines(part) + b"\r\n" + part.body
        if delimiter in whole:
            raise InputError("the boundary stands in a part", mend="choose another boundary, at random")
        octets.append(delimiter + b"\r\n" + whole + b"\r\n")
    return f'multipart/mixed;boundary="{boundary}"', b"".join(octets) + delimiter + b"--\r\n"


def _header_lines(part: Part) -> bytes:
    lines = {"Content-Type": part.headers.get("content-type", part.content_type)}
    if part.content_id:
        lines["Content-ID"] = f"<{part.content_id}>"
    lines |= {name.title(): value for name, value in part.headers.items() if name not in ("content-type", "content-id")}
    for name, value in lines.items():
        if not _HEADER_NAME.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]", value):
            raise InputError(f"a part with the header {name[:40]!r}, which would break the message")
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("utf-8")


def cid_url(content_id: str) -> str:
    """The URL that means the part of this Content-ID in the same message (RFC 2392 §2)."""
    return f"cid:{quote(content_id, safe='@!$&*+=:;,')}"


def content_id_of(url: str) -> str:
    """The Content-ID that a cid: URL means; "" when it is none."""
    scheme, _, rest = url.partition(":")
    content_id = unquote(rest, errors="replace")
    return content_id if scheme.lower() == "cid" and _CONTENT_ID.fullmatch(content_id) else ""
