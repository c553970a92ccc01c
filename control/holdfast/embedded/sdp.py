"""SDP offers and answers (RFC 4566, RFC 3264) for one stream of G.711 audio with telephone-events."""

import email
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from holdfast.embedded.sip_fields import Address
from holdfast.embedded.sip_message import SipMessage
from holdfast.errors import HoldfastError

_PROFILES = ("RTP/AVP", "RTP/AVPF")
_STATIC = {0: "PCMU", 8: "PCMA"}  # RFC 3551
_MEDIA = re.compile(r"(\w+) (\d{1,5})(?:/\d+)? (\S+) (.+)")
_RTPMAP = re.compile(r"rtpmap:(\d{1,3}) ([\w-]+)/(\d+)(?:/1)?", re.IGNORECASE)
#: The payload type that we propose for telephone-events.
_EVENT_TYPE = 101


class SdpError(HoldfastError):
    """There is no audio in this SDP that the media server can exchange."""


class Direction(StrEnum):
    """Who sends, as the SDP's own side sees it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def mirrored(self) -> "Direction":
        return {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}.get(self, self)


@dataclass(frozen=True, slots=True)
class RemoteAudio:
    """What the far end takes: where to, in which law ("PCMU" or "PCMA"), and as which payload types.

    `sections` are all m= lines of the SDP, `chosen` is the index of the one that is used.
    """

    address: Address
    codec: str
    payload_type: int
    event_type: int | None
    direction: Direction
    sections: tuple[str, ...]
    chosen: int

    @property
    def wants_media(self) -> bool:
        """False while the far end holds the call, also in the old way of an all-zero address."""
        if self.direction in (Direction.SENDONLY, Direction.INACTIVE) or self.address[1] == 0:
            return False
        return not ipaddress.ip_address(self.address[0]).is_unspecified


@dataclass(frozen=True, slots=True)
class LocalAudio:
    """What we say in our SDPs of one call; `version` grows with each that differs from the one before."""

    address: Address
    session_id: int
    version: int = 1

    @classmethod
    def new(cls, address: Address) -> "LocalAudio":
        return cls(address, secrets.randbits(31))

    def next(self) -> "LocalAudio":
        return replace(self, version=self.version + 1)


def body_of(message: SipMessage) -> bytes:
    """The SDP of a message, also out of a multipart body; empty if there is none."""
    if not message.body.strip():
        return b""
    kind = message.get("content-type", "application/sdp")
    if kind.partition(";")[0].strip().lower() == "application/sdp":
        return message.body
    whole = email.message_from_bytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + message.body)
    for part in whole.walk():
        payload = part.get_payload(decode=True)
        if part.get_content_type() == "application/sdp" and isinstance(payload, bytes):
            return payload
    return b""


def parse(body: bytes, prefer: str | None = None) -> RemoteAudio:
    """Find the stream to use: the first of audio in G.711 with a usable address, in the preferred law if offered.

    Raises SdpError.
    """
    session: list[str] = []
    sections: list[list[str]] = []
    for line in body.decode("latin-1").replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            sections.append([line[2:].strip()])
        elif len(line) > 1 and line[1] == "=":
            (sections[-1] if sections else session).append(line.strip())
    names = tuple(section[0] for section in sections)
    for index, section in enumerate(sections):
        if found := _audio(section, session, prefer):
            return replace(found, sections=names, chosen=index)
    raise SdpError("no G.711 audio over RTP is offered")


def _audio(section: list[str], session: list[str], prefer: str | None) -> RemoteAudio | None:
    media = _MEDIA.fullmatch(section[0])
    if not media or media[1] != "audio" or media[3] not in _PROFILES or not 0 < int(media[2]) < 65536:
        return None
    types = [int(text) for text in media[4].split() if re.fullmatch(r"\d{1,3}", text)]
    names = dict(_STATIC)
    for line in section[1:]:
        if (found := _RTPMAP.fullmatch(line[2:])) and line.startswith("a=") and found[3] == "8000":
            names[int(found[1])] = found[2].upper()
    laws = [number for number in types if names.get(number) in _STATIC.values()]
    laws.sort(key=lambda number: names[number] != prefer)  # stable: else the offerer's order holds
    event_type = next((number for number in types if names.get(number) == "TELEPHONE-EVENT"), None)
    host = _host(section) or _host(session)
    if not laws or not host:
        return None
    address = (host, int(media[2]))
    direction = _direction(section) or _direction(session) or Direction.SENDRECV
    return RemoteAudio(address, names[laws[0]], laws[0], event_type, direction, (), 0)


def _host(lines: list[str]) -> str | None:
    for line in lines:
        if found := re.fullmatch(r"c=IN IP[46] (\S+)", line):
            try:
                return str(ipaddress.ip_address(found[1]))
            except ValueError:
                return None  # a name: nothing here waits for a resolver
    return None


def _direction(lines: list[str]) -> Direction | None:
    known = {f"a={direction}": direction for direction in Direction}
    return next((known[line] for line in lines if line in known), None)


def offer(local: LocalAudio, prefer: str | None = None) -> bytes:
    """Our offer: both laws (the preferred one first) and telephone-events, no silence suppression."""
    laws = dict(sorted(_STATIC.items(), key=lambda law: law[1] != prefer))
    return _session(local, _stream(local.address[1], "RTP/AVP", laws, _EVENT_TYPE, Direction.SENDRECV))


def answer(local: LocalAudio, remote: RemoteAudio) -> bytes:
    """Our answer: the one stream accepted in one law, every other stream refused with port 0 (RFC 3264 §6)."""
    lines: list[str] = []
    for index, section in enumerate(remote.sections):
        kind, _, profile, formats = (*section.split(" ", 3), "", "", "")[:4]
        if index == remote.chosen:
            law = {remote.payload_type: remote.codec}
            lines += _stream(local.address[1], profile, law, remote.event_type, remote.direction.mirrored)
        else:
            lines.append(f"m={kind} 0 {profile or 'RTP/AVP'} {formats or '0'}")
    return _session(local, lines)


def _stream(
    port: int, profile: str, laws: Mapping[int, str], event_type: int | None, direction: Direction
) -> list[str]:
    events = [] if event_type is None else [event_type]
    lines = [f"m=audio {port} {profile} {' '.join(str(number) for number in [*laws, *events])}"]
    lines += [f"a=rtpmap:{number} {name}/8000" for number, name in laws.items()]
    for number in events:
        lines += [f"a=rtpmap:{number} telephone-event/8000", f"a=fmtp:{number} 0-15"]
    return [*lines, "a=ptime:20", f"a={direction}"]


def _session(local: LocalAudio, streams: list[str]) -> bytes:
    family = "IP6" if ":" in local.address[0] else "IP4"
    head = [
        "v=0",
        f"o=holdfast {local.session_id} {local.version} IN {family} {local.address[0]}",
        "s=-",
        f"c=IN {family} {local.address[0]}",
        "t=0 0",
    ]
    return "".join(f"{line}\r\n" for line in [*head, *streams]).encode("latin-1")
