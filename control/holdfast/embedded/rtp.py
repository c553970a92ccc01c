"""RTP packets (RFC 3550), telephone-events (RFC 4733) and the numbering of one outgoing stream, without I/O."""

import secrets
import struct
from dataclasses import dataclass

from holdfast.embedded.audio import FRAME_SAMPLES
from holdfast.embedded.wav import SAMPLE_RATE

_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_DIGITS = "0123456789*#ABCD"
#: A jump of more than this many packets is a new stream, not loss (RFC 3550 appendix A.1).
_MAX_DROPOUT = 3000


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """`sequence` 16 bits, `timestamp` and `ssrc` 32 bits; header extension and padding are dropped."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    def encode(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


def parse_rtp(datagram: bytes) -> RtpPacket | None:
    """Read a packet; None if it is none (RTCP, STUN, noise)."""
    if len(datagram) < _HEADER.size or datagram[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if 72 <= second & 0x7F <= 76:
        return None  # RTCP on the RTP port (RFC 5761)
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(datagram) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
    end = len(datagram) - (datagram[-1] if first & 0x20 else 0)
    if start > end:
        return None
    return RtpPacket(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, datagram[start:end])


class DigitReader:
    """Turns telephone-event packets into digits, each reported once however often its packets are repeated."""

    def __init__(self) -> None:
        self._last_timestamp: int | None = None

    def feed(self, packet: RtpPacket) -> tuple[str, int] | None:
        """The digit and its length in milliseconds, when a packet ends one that was not yet reported."""
        if len(packet.payload) < _EVENT.size:
            return None
        number, flags, duration = _EVENT.unpack_from(packet.payload)
        if not flags & 0x80 or number >= len(_DIGITS) or packet.timestamp == self._last_timestamp:
            return None
        self._last_timestamp = packet.timestamp
        return _DIGITS[number], duration * 1000 // SAMPLE_RATE


class OutgoingStream:
    """Numbers the packets that one leg is sent, whether they are played here or relayed from another leg.

    The receiver sees one source throughout: the sequence has no gap and time runs on when the audio's origin changes.
    Relayed packets keep their distances, so that loss and reordering stay visible to the receiver's jitter buffer.
    """

    def __init__(self) -> None:
        self.ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._sent_at_s: float | None = None
        self._relayed_ssrc: int | None = None
        self._sequence_offset = 0
        self._timestamp_offset = 0

    def play(self, payload_type: int, payload: bytes, now_s: float) -> bytes:
        """The packet for the next 20 ms of our own audio; `now_s` is a monotonic clock's reading."""
        marker = self._sent_at_s is None or self._relayed_ssrc is not None
        if marker:
            self._timestamp = self._after_pause(now_s)
        else:
            self._timestamp = self._timestamp + FRAME_SAMPLES & 0xFFFFFFFF
        self._relayed_ssrc = None
        self._sequence = self._sequence + 1 & 0xFFFF
        self._sent_at_s = now_s
        return RtpPacket(payload_type, marker, self._sequence, self._timestamp, self.ssrc, payload).encode()

    def relay(self, packet: RtpPacket, payload_type: int, payload: bytes, now_s: float) -> bytes:
        """The packet for one that another leg sent, renumbered."""
        sequence = packet.sequence + self._sequence_offset & 0xFFFF
        fresh = packet.ssrc != self._relayed_ssrc
        if fresh or _MAX_DROPOUT < (sequence - self._sequence & 0xFFFF) < 0x10000 - _MAX_DROPOUT:
            self._sequence_offset = self._sequence + 1 - packet.sequence
            self._timestamp_offset = self._after_pause(now_s) - packet.timestamp
            self._relayed_ssrc = packet.ssrc
            sequence = packet.sequence + self._sequence_offset & 0xFFFF
        timestamp = packet.timestamp + self._timestamp_offset & 0xFFFFFFFF
        if (sequence - self._sequence & 0xFFFF) < 0x8000:  # not an older one that was overtaken
            self._sequence, self._timestamp, self._sent_at_s = sequence, timestamp, now_s
        marker = packet.marker or fresh
        return RtpPacket(payload_type, marker, sequence, timestamp, self.ssrc, payload).encode()

    def _after_pause(self, now_s: float) -> int:
        pause_s = 0.0 if self._sent_at_s is None else now_s - self._sent_at_s
        return self._timestamp + max(int(pause_s * SAMPLE_RATE), FRAME_SAMPLES) & 0xFFFFFFFF
