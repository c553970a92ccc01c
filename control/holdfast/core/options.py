"""The OPTIONS that asks a trunk whether it lives, and which answers are answers to it (RFC 3261 §11). Pure.

An answer is believed only if it carries everything of the request that a stranger cannot guess: the branch, the Call-ID
and the From tag, each of them random. Text is held as latin-1, one character per byte.
"""

import re
from dataclasses import dataclass

from holdfast.core.headers import SipUri, uri_host

USER_AGENT = "Holdfast"
#: The trunk's peer treats it as any request; if it hands it on, the element behind must answer by itself (RFC 3261
#: §16.3), so it goes no further. With 0, many peers say 483 before they look whether they take calls: a border
#: controller that is being drained would seem well, where with 1 it answers 503.
MAX_FORWARDS = 1
#: The longest start line and headers of an answer that are looked into, in bytes.
MAX_HEAD_BYTES = 16 * 1024

_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: .*)?")
_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+[ \t]*")
_VIA = re.compile(r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*[A-Za-z]+[ \t]+[^\s;,]+[ \t]*((?:;[^,]*)?)", re.IGNORECASE)
_CSEQ = re.compile(r"0*1[ \t]+OPTIONS")
_LENGTH = re.compile(r"[0-9]{1,6}")
#: The headers that are looked into, under both of their names (RFC 3261 §7.3.3).
_LOOKED_AT = {"via": "via", "v": "via", "from": "from", "f": "from", "call-id": "call-id", "i": "call-id",
              "cseq": "cseq", "content-length": "content-length", "l": "content-length"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One OPTIONS. `sent_by` is host:port of the socket it leaves from; `secret` is a random token, new for each."""

    uri: str
    transport: str
    sent_by: str
    secret: str

    @property
    def branch(self) -> str:
        return f"z9hG4bK{self.secret}"

    def encode(self) -> bytes:
        """The request, without anybody's identity: whoever reads it learns that a Holdfast node asks."""
        host = self.sent_by.rpartition(":")[0]
        lines = (
            f"OPTIONS {self.uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {self.sent_by};branch={self.branch};rport",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: <sip:health@{host}>;tag={self.secret}",
            f"To: <{self.uri}>",
            f"Call-ID: {self.secret}",
            "CSeq: 1 OPTIONS",
            "Accept: application/sdp",
            f"User-Agent: {USER_AGENT}",
            "Content-Length: 0",
        )
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Head:
    """What was read of a message: its status if it answers the question, else None; how many bytes of body follow."""

    status: int | None
    body_bytes: int


def uri_of(host: str, port: int) -> str | None:
    """The Request-URI of an OPTIONS to a trunk: its host without a user. None if that cannot stand in a URI."""
    uri = f"sip:{uri_host(host)}:{port}"
    return uri if SipUri.parse(uri) is not None else None


def read_head(head: bytes, question: Question) -> Head | None:
    """Read a message up to its empty line. None: that is no SIP message."""
    if len(head) > MAX_HEAD_BYTES or not head.endswith(b"\r\n\r\n"):
        return None
    # RFC 3261 §7.3.1: a line that begins with white space continues the one before
    first, *rest = re.sub(r"\r\n[ \t]+", " ", head[:-4].decode("latin-1")).split("\r\n")
    seen: dict[str, list[str]] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or set(value) & set("\0\r\n"):
            return None
        wanted = _LOOKED_AT.get(name.rstrip(" \t").lower())
        if wanted is not None:
            seen.setdefault(wanted, []).append(value.strip(" \t"))
    length = seen.get("content-length", ["0"])
    if len(length) != 1 or not _LENGTH.fullmatch(length[0]):
        return None
    status = _STATUS_LINE.fullmatch(first)
    return Head(int(status[1]) if status and _is_answer(seen, question) else None, int(length[0]))


def _is_answer(seen: dict[str, list[str]], question: Question) -> bool:
    # RFC 3261 §17.1.3 asks for the branch and the CSeq's method; §8.1.3.3 for one Via alone; the others are ours
    if any(len(seen.get(name, ())) != 1 for name in ("via", "from", "call-id", "cseq")):
        return False
    via = _VIA.fullmatch(seen["via"][0])
    return (
        via is not None
        and _parameter(via[1], "branch") == question.branch
        and _parameter(seen["from"][0].rpartition(">")[2], "tag") == question.secret
        and seen["call-id"][0] == question.secret
        and _CSEQ.fullmatch(seen["cseq"][0]) is not None
    )


def _parameter(text: str, name: str) -> str | None:
    """The value of a parameter in `;a=b;c`; None if it is not there, or there twice."""
    values = [
        value.strip()
        for key, equals, value in (part.partition("=") for part in text.split(";"))
        if equals and key.strip().lower() == name
    ]
    return values[0] if len(values) == 1 else None
