"""RTP on the wire: the ports, one media session per call leg, and the one clock that all of them play by."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from holdfast.embedded.audio import FRAME_MS, SILENT_FRAME, Frames
from holdfast.embedded.g711 import PCMA_TO_PCMU, PCMU_TO_PCMA
from holdfast.embedded.rtp import DigitReader, OutgoingStream, RtpPacket, parse_rtp
from holdfast.embedded.sdp import RemoteAudio
from holdfast.embedded.sip_fields import Address
from holdfast.errors import HoldfastError

log = logging.getLogger(__name__)

_TICK_S = FRAME_MS / 1000
#: After a stall, frames that are due are sent at once, up to this many; what is older is skipped.
_MOST_CAUGHT_UP = 10
#: That many packets of one source, and none from where the SDP said, make that source the far end.
_LATCH_PACKETS = 3
_READ_AT_ONCE = 32
#: A bridged far end that has been quiet for this long is filled in for with silence: each phone may be waiting for the
#: other's first packet (to learn where it is, behind NAT), and a held one must not run into its own media timeout.
_QUIET_S = 0.2


class NoMediaPort(HoldfastError):
    """Every RTP port of the range is taken."""


class MediaClock:
    """One loop for the sending of all sessions: every 20 ms, at times that do not drift, each session sends a frame."""

    def __init__(self) -> None:
        self.sessions: dict[MediaSession, None] = {}
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, session: "MediaSession") -> None:
        self.sessions[session] = None
        if not self._timer:
            loop = asyncio.get_running_loop()
            self._due_s = loop.time()
            self._timer = loop.call_at(self._due_s, self._tick)

    def remove(self, session: "MediaSession") -> None:
        self.sessions.pop(session, None)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if not self.sessions:
            return
        late = int((loop.time() - self._due_s) / _TICK_S)
        for _ in range(1 + min(late, _MOST_CAUGHT_UP)):
            for session in list(self.sessions):
                session.send_frame()
        self._due_s += _TICK_S * (1 + late)
        self._timer = loop.call_at(self._due_s, self._tick)


class MediaPorts:
    """The even ports of a range. A port is bound while it is lent, and comes round again last."""

    def __init__(self, address: str, first: int, last: int) -> None:
        self._address = address
        self._ports = range(first + first % 2, last, 2)
        self._next = 0

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Sockets for RTP and, one port higher, RTCP (which is bound so that nobody else gets it, and never read).

        Raises NoMediaPort.
        """
        for _ in self._ports:
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            rtp = self._bind(port)
            if rtp and (rtcp := self._bind(port + 1)):
                return rtp, rtcp
            if rtp:
                rtp.close()
        raise NoMediaPort(mend="widen media.rtp_first_port to media.rtp_last_port")

    def _bind(self, port: int) -> socket.socket | None:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.settimeout(0)
        try:
            bound.bind((self._address, port))
        except OSError:
            bound.close()
            return None
        return bound


class MediaSession:
    """The audio of one call leg.

    It sends what it is given to play, else what the leg it is bridged with receives, else silence; and it notes when
    anything was last received. It follows a far end behind NAT to where its packets really come from.
    """

    def __init__(self, ports: MediaPorts, clock: MediaClock) -> None:
        self._rtp, self._rtcp = ports.open()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._rtp, self._readable)
        self.address: Address = self._rtp.getsockname()[:2]
        self.remote: RemoteAudio | None = None
        self.received_at_s = self._loop.time()
        self.on_digit: Callable[[str, int], None] | None = None
        self._target: Address | None = None
        self._heard_from: Address | None = None
        self._candidate: tuple[Address, int] | None = None
        self._relayed_at_s = 0.0
        self._stream = OutgoingStream()
        self._digits = DigitReader()
        self.partner: MediaSession | None = None
        self._frames: Frames | None = None
        self._played: asyncio.Future[None] | None = None

    def configure(self, remote: RemoteAudio) -> None:
        """Take over what the far end's SDP says; called again on each re-INVITE."""
        if self.remote is None or remote.address != self.remote.address:
            self._target, self._candidate = remote.address, None
        self.remote = remote

    def start(self) -> None:
        """Begin to send: silence, until there is something to play."""
        self._clock.add(self)

    def close(self) -> None:
        """Give the ports back; what was playing ends."""
        if self._rtp.fileno() < 0:
            return
        self._clock.remove(self)
        self.leave()
        self.stop_playing()
        self._loop.remove_reader(self._rtp)
        self._rtp.close()
        self._rtcp.close()

    async def play(self, frames: Frames) -> None:
        """Send these frames, one every 20 ms; returns when the last has been sent or the session is closed."""
        self.stop_playing()
        played = self._played = self._loop.create_future()
        self._frames = frames
        try:
            await played
        finally:
            if self._played is played:
                self.stop_playing()

    def stop_playing(self) -> None:
        self._frames = None
        if self._played and not self._played.done():
            self._played.set_result(None)
        self._played = None

    def join(self, partner: "MediaSession") -> None:
        """From now on each of the two is sent what the other receives."""
        self.partner, partner.partner = partner, self
        for session in (self, partner):
            session.received_at_s = self._loop.time()
            session.start()

    def leave(self) -> None:
        if self.partner:
            self.partner.partner = None
            self.partner = None

    def send_frame(self) -> None:
        """Called by the clock every 20 ms."""
        if self.partner and not self._frames and self._loop.time() - self._relayed_at_s < _QUIET_S:
            return
        frame = SILENT_FRAME
        if self._frames:
            following = next(self._frames, None)
            if following is None:
                self.stop_playing()
            else:
                frame = following
        if self.remote and self.remote.wants_media:
            payload = frame.translate(PCMU_TO_PCMA) if self.remote.codec == "PCMA" else frame
            self._send(self._stream.play(self.remote.payload_type, payload, self._loop.time()))

    def _readable(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, source = self._rtp.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP answer to something sent: the far end is not (yet) there
                log.debug("RTP: %s", error)
                continue
            packet = parse_rtp(datagram)
            if packet and self.remote and self._from_far_end(source[:2]):
                self._received(packet, self.remote)

    def _from_far_end(self, source: Address) -> bool:
        """Whether to believe this source; a persistent one replaces an SDP address that has never sent anything."""
        if source == self._target:
            self._candidate = None
            return True
        if self._candidate is None or self._candidate[0] != source:
            self._candidate = (source, 0)
        self._candidate = (source, self._candidate[1] + 1)
        if self._candidate[1] < _LATCH_PACKETS or self._heard_from == self._target:
            return False
        log.info("RTP: the far end sends from %s port %s, not from where its SDP said", *source)
        self._target = source
        return True

    def _received(self, packet: RtpPacket, remote: RemoteAudio) -> None:
        self._heard_from = self._target
        self.received_at_s = self._loop.time()
        if packet.payload_type == remote.event_type:
            digit = self._digits.feed(packet)
            if digit and self.on_digit:
                self.on_digit(*digit)
        if self.partner:
            self.partner.relay(packet, remote)

    def relay(self, packet: RtpPacket, came_as: RemoteAudio) -> None:
        """Send on what the other leg received, in this leg's law and payload types."""
        if not self.remote or not self.remote.wants_media or self._frames:
            return
        payload = packet.payload
        if packet.payload_type == came_as.payload_type:
            payload_type = self.remote.payload_type
            if came_as.codec != self.remote.codec:
                payload = payload.translate(PCMA_TO_PCMU if came_as.codec == "PCMA" else PCMU_TO_PCMA)
        elif packet.payload_type == came_as.event_type and self.remote.event_type is not None:
            payload_type = self.remote.event_type
        else:
            return
        self._relayed_at_s = self._loop.time()
        self._send(self._stream.relay(packet, payload_type, payload, self._relayed_at_s))

    def _send(self, datagram: bytes) -> None:
        if self._target:
            with contextlib.suppress(OSError):  # lost, as any RTP packet may be
                self._rtp.sendto(datagram, self._target)
