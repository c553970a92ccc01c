"""A phone line to talk into and to listen on."""

import contextlib
import itertools
import re
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np

from holdfast.embedded.g711 import PCMA_SAMPLES, PCMU_SAMPLES
from lab.audio import Samples, write_wav
from lab.recordings import score
from lab.sipp import Sipp
from lab.waiting import wait_until

#: Linear values of each law's bytes, by payload type (RFC 3551).
_LAWS = {0: np.array(PCMU_SAMPLES, np.int16), 8: np.array(PCMA_SAMPLES, np.int16)}


class Line:
    """One end of an RTP stream: keeps all that it hears, and once it knows to whom, speaks a packet every 20 ms.

    It speaks to whoever speaks to it; where both sides would wait for each other, `talk` makes it begin.
    """

    MARK = b"\x55" * 160  # 20 ms of PCMU that nothing else here sounds like

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._heard: list[tuple[float, bytes]] = []
        self._peer: tuple[str, int] | None = None
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join(2)
        self._socket.close()

    def _run(self) -> None:
        due = time.monotonic()
        for sequence in itertools.count():
            due += 0.02
            while (left := due - time.monotonic()) > 0 and self._open:
                self._socket.settimeout(left)
                with contextlib.suppress(OSError):
                    packet, source = self._socket.recvfrom(2048)
                    self._heard.append((time.monotonic(), packet))
                    self._peer = self._peer or source
            if not self._open:
                return
            if self._peer:
                header = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, 7)
                with contextlib.suppress(OSError):
                    self._socket.sendto(header + self.MARK, self._peer)

    def talk(self, caller: Sipp) -> None:
        """Wait until the caller's call is answered, and speak to where the answer's SDP says."""

        def answered() -> int | None:
            for logged in caller.messages():
                if not logged.sent and logged.message and logged.message.status == 200:
                    return int(re.findall(rb"m=audio ([0-9]+)", logged.message.body)[0])
            return None

        self._peer = ("127.0.0.1", wait_until("an answer", answered, within_s=8))

    def payload_types(self) -> set[int]:
        return {packet[1] & 0x7F for _, packet in list(self._heard)}

    def echoes(self, since: float = 0.0) -> int:
        """How many packets of our own came back after this time (monotonic seconds)."""
        return sum(packet[12:] == self.MARK for when, packet in list(self._heard) if when > since)

    def sound(self) -> Samples:
        """Everything heard in G.711, decoded."""
        packets = [(packet[1] & 0x7F, np.frombuffer(packet[12:], np.uint8)) for _, packet in list(self._heard)]
        heard = [_LAWS[law][payload] for law, payload in packets if law in _LAWS]
        return np.concatenate([np.zeros(0, np.int16), *heard])

    def hears(self, clip: Samples) -> bool:
        return score(self.sound(), clip) > 0.95

    def recording(self, path: Path) -> Path:
        write_wav(path, self.sound())
        return path
