"""The HEP collector: what Kamailio mirrors is decoded exactly, and anything else is counted and dropped."""

import ipaddress
import socket
import struct

import pytest

from lab.trace import Collector, HepError, decode
from lab.waiting import wait_until

OPTIONS = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"


def chunk(kind: int, payload: bytes, vendor: int = 0) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(payload)) + payload


def hep(payload: bytes, *extra: bytes, addresses: tuple[str, str] = ("127.0.0.11", "127.0.0.1")) -> bytes:
    kinds = (3, 4) if "." in addresses[0] else (5, 6)
    packed = [ipaddress.ip_address(address).packed for address in addresses]
    body = chunk(1, b"\x02") + chunk(2, b"\x11")
    body += chunk(kinds[0], packed[0]) + chunk(kinds[1], packed[1])
    body += chunk(7, struct.pack("!H", 5070)) + chunk(8, struct.pack("!H", 5060))
    body += chunk(9, struct.pack("!I", 1000)) + chunk(10, struct.pack("!I", 250000)) + chunk(11, b"\x01")
    body += b"".join(extra) + chunk(15, payload)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def test_a_datagram_gives_time_ends_transport_and_bytes() -> None:
    captured = decode(hep(OPTIONS, chunk(1, b"other vendor", vendor=7)))
    assert captured.at == 1000.25
    assert (captured.source, captured.target, captured.transport) == ("127.0.0.11:5070", "127.0.0.1:5060", "UDP")
    assert captured.raw == OPTIONS


def test_ipv6_ends_are_written_in_brackets() -> None:
    assert decode(hep(OPTIONS, addresses=("::1", "2001:db8::5"))).target == "[2001:db8::5]:5060"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"HEP3",
        b"HEP3\x00\x06",
        OPTIONS,
        hep(OPTIONS)[:-1],
        b"HEP3" + struct.pack("!H", 12) + struct.pack("!HHH", 0, 15, 5),
        b"HEP3" + struct.pack("!H", 12) + struct.pack("!HHH", 0, 15, 600),
        b"HEP3" + struct.pack("!H", 9) + b"\x00\x00\x00",
    ],
)
def test_what_is_not_hep_is_refused(datagram: bytes) -> None:
    with pytest.raises(HepError):
        decode(datagram)


def test_what_is_mirrored_is_kept_and_garbage_is_counted() -> None:
    with Collector() as collector, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((collector.address, collector.port))
        sender.send(b"garbage")
        sender.send(hep(b"not SIP"))
        sender.send(hep(OPTIONS))
        wait_until("both messages", lambda: len(collector.messages()) == 2, within_s=5)
        assert collector.messages()[0].message() is None
        assert collector.messages(collector.mark() - 1)[0].raw == OPTIONS
        assert collector.rejected == 1
