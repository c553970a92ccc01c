"""A HEP v3 collector: Kamailio mirrors every SIP message it receives or sends here, and tests read what passed.

HEP v3 ("HEP3/EEP", the Homer encapsulation protocol): `HEP3`, total length (16 bits), then chunks of vendor id,
type id, length (16 bits each, the length with its own six bytes) and payload; everything in network order.
"""

import ipaddress
import socket
import struct
import threading
from dataclasses import dataclass

from lab.sip_messages import SipMessage, SipParseError, parse

_SOURCE4, _TARGET4, _SOURCE6, _TARGET6, _SOURCE_PORT, _TARGET_PORT = 3, 4, 5, 6, 7, 8
_SECONDS, _MICROSECONDS, _PAYLOAD, _TRANSPORT = 9, 10, 15, 2
_TRANSPORTS = {17: "UDP", 6: "TCP", 132: "SCTP"}


class HepError(ValueError):
    """The datagram is not HEP v3."""


@dataclass(frozen=True)
class Captured:
    """One message on the wire: when (UTC seconds), from where, to where ("address:port"), and its bytes."""

    at: float
    source: str
    target: str
    transport: str
    raw: bytes

    def message(self) -> SipMessage | None:
        """The parsed message, or None when it is not one (a keepalive, garbage)."""
        try:
            return parse(self.raw)
        except SipParseError:
            return None


class Collector:
    """Listens on a loopback UDP port in its own thread; `messages()` is a snapshot of what has come so far."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((address, port))
        self.address: str = address
        self.port: int = self._socket.getsockname()[1]
        self._messages: list[Captured] = []
        self._lock = threading.Lock()
        self._closing = False
        #: datagrams that were not HEP v3
        self.rejected = 0
        self._thread = threading.Thread(target=self._receive, name="hep-collector", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, self.port))
        self._thread.join(5)
        self._socket.close()

    def messages(self, since: int = 0) -> list[Captured]:
        """What has been captured, in order of arrival, from index `since` on."""
        with self._lock:
            return self._messages[since:]

    def mark(self) -> int:
        """An index for `messages(since=…)`: what comes from now on."""
        with self._lock:
            return len(self._messages)

    def _receive(self) -> None:
        while not self._closing:
            datagram = self._socket.recv(65535)
            if not datagram:
                continue
            try:
                captured = decode(datagram)
            except HepError:
                self.rejected += 1
                continue
            with self._lock:
                self._messages.append(captured)


def decode(datagram: bytes) -> Captured:
    """Decode one HEP v3 datagram; HepError for anything else."""
    if datagram[:4] != b"HEP3" or len(datagram) < 6 or struct.unpack_from("!H", datagram, 4)[0] != len(datagram):
        raise HepError("not a HEP v3 datagram")
    chunks = _chunks(datagram)
    try:
        seconds, microseconds = _integer(chunks[_SECONDS]), _integer(chunks[_MICROSECONDS])
        return Captured(
            at=seconds + microseconds / 1e6,
            source=_endpoint(chunks.get(_SOURCE4) or chunks[_SOURCE6], chunks[_SOURCE_PORT]),
            target=_endpoint(chunks.get(_TARGET4) or chunks[_TARGET6], chunks[_TARGET_PORT]),
            transport=_TRANSPORTS.get(_integer(chunks[_TRANSPORT]), "?"),
            raw=chunks[_PAYLOAD],
        )
    except (KeyError, ValueError) as error:
        raise HepError(f"HEP chunk missing or malformed: {error}") from error


def _chunks(datagram: bytes) -> dict[int, bytes]:
    chunks: dict[int, bytes] = {}
    offset = 6
    while offset < len(datagram):
        if offset + 6 > len(datagram):
            raise HepError("a chunk's head is cut off")
        vendor, kind, length = struct.unpack_from("!HHH", datagram, offset)
        if length < 6 or offset + length > len(datagram):
            raise HepError(f"chunk {kind} has an impossible length")
        if vendor == 0:
            chunks[kind] = datagram[offset + 6 : offset + length]
        offset += length
    return chunks


def _integer(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _endpoint(address: bytes, port: bytes) -> str:
    host = ipaddress.ip_address(address)
    return f"[{host}]:{_integer(port)}" if host.version == 6 else f"{host}:{_integer(port)}"
