"""RTP: packets, one steady outgoing stream, digits, ports, and what passes between two legs."""

import asyncio
import functools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.embedded.audio import FRAME_SAMPLES, SILENT_FRAME, frames
from holdfast.embedded.g711 import PCMU_TO_PCMA
from holdfast.embedded.media import MediaClock, MediaPorts, MediaSession, NoMediaPort
from holdfast.embedded.rtp import DigitReader, OutgoingStream, RtpPacket, parse_rtp
from holdfast.embedded.sdp import Direction, RemoteAudio
from lab.ports import Ports
from unit.embedded_clock import run

VOICE = bytes(range(160))


def packet(sequence: int, timestamp: int, ssrc: int = 1, payload: bytes = VOICE, payload_type: int = 0) -> RtpPacket:
    return RtpPacket(payload_type, False, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload)


def parsed(datagram: bytes) -> RtpPacket:
    found = parse_rtp(datagram)
    assert found is not None
    return found


def test_a_packet_with_sources_extension_and_padding_is_read() -> None:
    head = struct.pack("!BBHII", 0xB1, 0x80 | 101, 65535, 2**32 - 1, 9)
    raw = head + b"\0\0\0\5" + b"\xbe\xde\0\1" + b"ext." + b"voice" + b"\0\0\3"
    assert parsed(raw) == RtpPacket(101, True, 65535, 2**32 - 1, 9, b"voice")


@given(st.binary(max_size=64))
def test_no_bytes_can_do_more_than_be_dropped(data: bytes) -> None:
    for datagram in (data, b"\x80\x00" + data, b"\xbf\x00" + data, b"\x80\xc8" + data):
        found = parse_rtp(datagram)
        assert found is None or len(found.payload) <= len(datagram)


def test_a_played_stream_counts_packets_and_samples_without_a_gap() -> None:
    stream = OutgoingStream()
    sent = [parsed(stream.play(0, VOICE, 0.02 * number)) for number in range(5)]
    assert [(p.sequence - sent[0].sequence) & 0xFFFF for p in sent] == [0, 1, 2, 3, 4]
    assert [(p.timestamp - sent[0].timestamp) & 0xFFFFFFFF for p in sent] == [0, 160, 320, 480, 640]
    assert [p.marker for p in sent] == [True, False, False, False, False]


def test_a_relayed_stream_keeps_loss_and_order_visible_and_survives_a_new_source() -> None:
    stream = OutgoingStream()
    played = parsed(stream.play(0, VOICE, 0.0))
    arrivals = [packet(65534, 2**32 - 160), packet(1, 320), packet(65535, 0), packet(2, 480)]
    relayed = [parsed(stream.relay(p, 0, p.payload, 0.1)) for p in arrivals]
    assert [(p.sequence - played.sequence) & 0xFFFF for p in relayed] == [1, 4, 2, 5]
    assert [(p.timestamp - relayed[0].timestamp) & 0xFFFFFFFF for p in relayed] == [0, 480, 160, 640]
    assert (relayed[0].timestamp - played.timestamp) & 0xFFFFFFFF == 800  # a tenth of a second
    other = parsed(stream.relay(packet(500, 7, ssrc=2), 0, VOICE, 0.2))
    assert other.ssrc == played.ssrc
    assert (other.sequence - relayed[3].sequence) & 0xFFFF == 1
    assert other.marker
    again = parsed(stream.play(0, VOICE, 0.22))
    assert (again.sequence - other.sequence) & 0xFFFF == 1


def test_a_digit_is_reported_once_however_often_its_end_is_sent() -> None:
    reader = DigitReader()
    event = [struct.pack("!BBH", 11, flags, 800) for flags in (0x0A, 0x8A, 0x8A, 0x8A)]
    found = [reader.feed(packet(n, 5, payload=payload, payload_type=101)) for n, payload in enumerate(event)]
    assert found == [None, ("#", 100), None, None]
    assert reader.feed(packet(9, 6, payload=b"\x63\x80\0\1")) is None
    assert reader.feed(packet(9, 7, payload=b"\x01")) is None


@functools.cache
def claimed() -> Ports:
    """Ports that no other process of these tests uses."""
    return Ports()


def test_ports_are_even_in_range_lent_once_and_come_round_last() -> None:
    before, _ = claimed().block(10)
    first = before + 2
    ports = MediaPorts("127.0.0.1", first - 1, first + 7)
    lent = [ports.open() for _ in range(4)]
    numbers = [rtp.getsockname()[1] for rtp, _ in lent]
    assert numbers == [first, first + 2, first + 4, first + 6]
    assert all(rtcp.getsockname()[1] == rtp.getsockname()[1] + 1 for rtp, rtcp in lent)
    with pytest.raises(NoMediaPort):
        ports.open()
    for number in (0, 2):
        for bound in lent[number]:
            bound.close()
    returned = [ports.open() for _ in range(2)]
    assert [rtp.getsockname()[1] for rtp, _ in returned] == [first, first + 4]
    for pair in (*lent, *returned):
        for bound in pair:
            bound.close()


class Phone:
    """A plain socket that speaks and hears RTP."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.sent = 0

    @property
    def address(self) -> tuple[str, int]:
        name: tuple[str, int] = self.socket.getsockname()
        return name

    def audio(
        self, codec: str = "PCMU", event_type: int | None = 101, address: tuple[str, int] | None = None
    ) -> RemoteAudio:
        number = 0 if codec == "PCMU" else 8
        return RemoteAudio(address or self.address, codec, number, event_type, Direction.SENDRECV, (), 0)

    def speak(self, to: MediaSession, payload: bytes = VOICE, payload_type: int = 0) -> None:
        self.sent += 1
        self.socket.sendto(packet(self.sent, 160 * self.sent, 3, payload, payload_type).encode(), to.address)

    def heard(self) -> list[RtpPacket]:
        found = []
        while True:
            try:
                found.append(parsed(self.socket.recv(2048)))
            except BlockingIOError:
                return found


def sessions(count: int) -> list[MediaSession]:
    ports, clock = MediaPorts("127.0.0.1", *claimed().block(40)), MediaClock()
    return [MediaSession(ports, clock) for _ in range(count)]


def test_a_session_plays_silence_then_what_it_is_given_then_silence() -> None:
    async def main() -> list[RtpPacket]:
        [session] = sessions(1)
        phone = Phone()
        session.configure(phone.audio("PCMA"))
        session.start()
        await asyncio.sleep(0.05)
        await session.play(iter([VOICE] * 3))
        await asyncio.sleep(0.05)
        session.close()
        return phone.heard()

    heard = run(main())
    assert {p.payload_type for p in heard} == {8}
    spoken = [p.payload != SILENT_FRAME.translate(PCMU_TO_PCMA) for p in heard]
    assert spoken.count(True) == 3
    assert spoken.index(True) >= 2
    assert spoken[spoken.index(True) :][:3] == [True] * 3
    assert [p.timestamp - heard[0].timestamp for p in heard] == [FRAME_SAMPLES * n for n in range(len(heard))]


def test_bridged_legs_hear_each_other_in_their_own_law_and_digits_pass() -> None:
    async def main() -> tuple[list[RtpPacket], list[RtpPacket], list[tuple[str, int]]]:
        [left, right] = sessions(2)
        one, two = Phone(), Phone()
        digits: list[tuple[str, int]] = []
        left.on_digit = lambda digit, milliseconds: digits.append((digit, milliseconds))
        left.configure(one.audio("PCMA", event_type=96))
        right.configure(two.audio("PCMU", event_type=101))
        left.join(right)
        one.speak(left, payload_type=8)
        one.speak(left, struct.pack("!BBH", 5, 0x80, 400), payload_type=96)
        one.speak(left, payload_type=77)
        two.speak(right)
        await asyncio.sleep(0.01)
        left.close()
        right.close()
        return one.heard(), two.heard(), digits

    one, two, digits = run(main())
    voices = [p for p in one if p.payload != SILENT_FRAME.translate(PCMU_TO_PCMA)]
    assert [(p.payload_type, p.payload) for p in voices] == [(8, VOICE.translate(PCMU_TO_PCMA))]
    assert [p.payload_type for p in two if p.payload != SILENT_FRAME] == [0, 101]
    assert digits == [("5", 50)]


def test_a_quiet_partner_is_filled_in_for_with_silence() -> None:
    async def main() -> list[RtpPacket]:
        [left, right] = sessions(2)
        one, two = Phone(), Phone()
        left.configure(one.audio())
        right.configure(two.audio())
        left.join(right)
        await asyncio.sleep(1)
        left.close()
        right.close()
        return two.heard()

    assert len(run(main())) > 40


def test_a_phone_behind_nat_is_answered_where_it_speaks_from_but_a_stranger_takes_nobody_over() -> None:
    async def main() -> tuple[int, int, int]:
        [behind_nat, direct] = sessions(2)
        phone, honest, stranger = Phone(), Phone(), Phone()
        behind_nat.configure(phone.audio(address=("127.0.0.1", 9)))
        direct.configure(honest.audio())
        honest.speak(direct)
        for _ in range(5):
            phone.speak(behind_nat)
            stranger.speak(direct)
        await asyncio.sleep(0.01)
        for session in (behind_nat, direct):
            session.start()
        await asyncio.sleep(0.2)
        for session in (behind_nat, direct):
            session.close()
        return len(phone.heard()), len(honest.heard()), len(stranger.heard())

    phone, honest, stranger = run(main())
    assert phone > 5
    assert honest > 5
    assert stranger == 0


def test_after_a_stall_the_frames_that_are_due_are_sent_and_long_lost_ones_are_not() -> None:
    async def main() -> int:
        [session] = sessions(1)
        phone = Phone()
        session.configure(phone.audio())
        session.start()
        playing = asyncio.create_task(session.play(frames("silence_stream://10000")))
        await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        loop.now_s += 5.0  # type: ignore[attr-defined]  # the loop of embedded_clock: a suspended machine
        await asyncio.sleep(0.01)
        playing.cancel()
        session.close()
        return len(phone.heard())

    assert run(main()) <= 13
