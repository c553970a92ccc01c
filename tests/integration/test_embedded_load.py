"""Many calls at once on the embedded media server: what twenty callers hear, and when."""

import itertools
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.embedded import EmbeddedServer
from integration.media_server import ADDRESS, running

CALLS = 20
LISTEN_S = 1.5
_SO_TIMESTAMPNS = 35


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with running(EmbeddedServer(tmp_path)) as server:
        yield server


class Ear:
    """A caller of a readback: plain sockets, which cost next to nothing, and the kernel's own times."""

    def __init__(self, server: EmbeddedServer, number: int) -> None:
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((ADDRESS, 0))
        self.sip.connect((ADDRESS, server.settings.media.sip_port))
        self.sip.settimeout(3)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.rtp.bind((ADDRESS, 0))
        self.rtp.setblocking(False)
        self.call = f"load-{number}-{os.getpid()}"
        self.packets: list[tuple[float, int]] = []
        self.to = ""

    def request(self, method: str, cseq: int, body: str = "") -> None:
        port = self.sip.getsockname()[1]
        headers = [
            f"{method} sip:readback@{ADDRESS} SIP/2.0",
            f"Via: SIP/2.0/UDP {ADDRESS}:{port};branch=z9hG4bK{self.call}{method}",
            f"From: <sip:caller@{ADDRESS}>;tag={self.call}",
            f"To: {self.to or f'<sip:readback@{ADDRESS}>'}",
            f"Call-ID: {self.call}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:caller@{ADDRESS}:{port}>",
            "X-Holdfast-Callback-Number: +12025550123",
            f"Content-Length: {len(body)}",
        ]
        self.sip.send("\r\n".join([*headers, "", body]).encode())

    def invite(self) -> None:
        media = f"c=IN IP4 {ADDRESS}\r\nt=0 0\r\nm=audio {self.rtp.getsockname()[1]} RTP/AVP 0\r\n"
        self.request("INVITE", 1, f"v=0\r\no=- 1 1 IN IP4 {ADDRESS}\r\ns=-\r\n{media}")

    def acknowledge(self) -> None:
        while not (answer := self.sip.recv(4096).decode()).startswith("SIP/2.0 200"):
            assert answer.startswith("SIP/2.0 1"), answer
        self.to = next(line[4:] for line in answer.split("\r\n") if line.startswith("To: "))
        self.request("ACK", 1)

    def listen(self) -> None:
        data, ancillary, _, _ = self.rtp.recvmsg(2048, 64)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        self.packets.append((seconds + nanoseconds / 1e9, int.from_bytes(data[2:4], "big")))


def test_twenty_callers_at_once_hear_speech_without_a_gap(server: EmbeddedServer) -> None:
    ears = [Ear(server, number) for number in range(CALLS)]
    selector = selectors.DefaultSelector()
    for ear in ears:
        ear.invite()
    for ear in ears:
        ear.acknowledge()
        selector.register(ear.rtp, selectors.EVENT_READ, ear)
    used_before_s = cpu_seconds(server.daemon.pid)
    end = time.monotonic() + LISTEN_S
    while time.monotonic() < end:
        for key, _ in selector.select(0.1):
            key.data.listen()
    used_s = cpu_seconds(server.daemon.pid) - used_before_s
    for ear in ears:
        ear.request("BYE", 2)
    server.wait_for_the_end_of_calls()
    gaps = sorted(after[0] - before[0] for ear in ears for before, after in itertools.pairwise(ear.packets))
    print(f"20 calls: worst gap {gaps[-1] * 1000:.1f} ms, processor {100 * used_s / LISTEN_S:.0f} %")
    for ear in ears:
        assert len(ear.packets) > LISTEN_S * 50 * 0.9
        assert all((after[1] - before[1]) & 0xFFFF == 1 for before, after in itertools.pairwise(ear.packets))
    assert gaps[int(len(gaps) * 0.999)] < 0.04
    assert used_s < LISTEN_S / 2


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
