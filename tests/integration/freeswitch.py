"""A real FreeSWITCH with our configuration, a phone line to talk into, and a controller that can stall or die."""

import contextlib
import itertools
import re
import shutil
import socket
import struct
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from holdfast import render, settings
from lab.audio import RATE_HZ, Samples, melody, write_wav
from lab.errors import LabError
from lab.media import find_freeswitch
from lab.net import accepts_tcp
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.sipp import SCENARIOS, Place, Sipp
from lab.waiting import wait_until

RING_S = 1
ATTEMPTS = 2
ADDRESS = "127.0.0.1"
STRANGER = "127.0.0.2"
SENTENCES = (
    "readback/intro", "readback/again", "readback/end", "callback/no_answer_again", "callback/no_answer_end"
)  # fmt: skip
PSAP = '"County 911" <sip:+15715550199@psap.example>'


class MediaServer:
    """FreeSWITCH in the foreground on private ports; `directory` holds everything it reads and writes."""

    def __init__(self, directory: Path, prompts: Path, ports: Ports) -> None:
        first, last = ports.block(200)
        self.directory, self.ports = directory, ports
        self.settings = settings.from_document(
            {
                "node": {
                    "name": "edge-1", "state_dir": str(directory / "state"), "run_dir": str(directory / "run & more")
                },
                "sip": {"address": ADDRESS, "port": ports.one()},
                "media": {
                    "address": ADDRESS, "sip_port": ports.one(), "esl_port": ports.one(),
                    "esl_password_file": str(directory / "esl-password"), "prompts_dir": str(prompts),
                    "rtp_first_port": first, "rtp_last_port": last,
                },
                "controller": {"port": ports.one(), "ring_s": RING_S, "callback_attempts": ATTEMPTS},
            },
            directory / "holdfast.toml",
        )  # fmt: skip
        binary = find_freeswitch()
        if binary is None:
            raise LabError("there is no FreeSWITCH here")
        render.freeswitch(self.settings, directory / "conf")
        argv = render.freeswitch_argv(self.settings, binary, directory / "conf")
        self.daemon = Daemon(Program("FreeSWITCH", argv, directory / "output.log"))

    def start(self) -> None:
        """Run it, and wait until it takes calls and commands."""
        esl_port = self.settings.media.esl_port
        self.daemon.start(lambda: accepts_tcp(ADDRESS, esl_port) and "RUNNING" in self.api("sofia status"))

    @property
    def target(self) -> str:
        return f"{ADDRESS}:{self.settings.media.sip_port}"

    def api(self, command: str) -> str:
        """One command over the inbound event socket."""
        with self._esl() as esl:
            esl.command(f"auth {self.settings.media.esl_password()}")
            return esl.command(f"api {command}")

    def forget_that_the_controller_stalled(self) -> None:
        """Ask it again, without the ten seconds' wait."""
        self.api("sched_del holdfast")
        self.api("global_setvar holdfast_controller_stalled=false")

    def authenticate(self, password: str) -> str:
        """What the inbound event socket answers to this password."""
        with self._esl() as esl:
            return esl.command(f"auth {password}")

    def _esl(self) -> "EslPeer":
        esl = EslPeer(socket.create_connection((ADDRESS, self.settings.media.esl_port), timeout=3))
        esl.frame()  # auth/request
        return esl

    def channels(self) -> int:
        found = re.search(r"([0-9]+) total", self.api("show channels count"))
        if found is None:
            raise LabError("no count of channels")
        return int(found[1])

    def log(self) -> str:
        return (self.directory / "state/freeswitch/log/freeswitch.log").read_text("utf-8", "replace")

    def call(self, directory: Path, feature: str, number: str, scenario: str = "call", **how: Unpack["How"]) -> Sipp:
        """A SIPp that calls a feature as the edge does; started."""
        headers = f"X-Holdfast-Callback-Number: {number}\nX-Holdfast-Language: en"
        how["values"] = {"headers": headers, "number": feature, **how.get("values", {})}
        return self.sipp(scenario, directory, calls_us=True, **how).start()

    def edge(self, directory: Path, scenario: str, **how: Unpack["How"]) -> Sipp:
        """A SIPp that waits where FreeSWITCH delivers callbacks to; started."""
        return self.sipp(scenario, directory, port=self.settings.sip.port, **how).start()

    def sipp(
        self, scenario: str, directory: Path, *, calls_us: bool = False, port: int | None = None, **how: Unpack["How"]
    ) -> Sipp:
        """A SIPp at the edge's address, not started."""
        text = (SCENARIOS / f"{scenario}.xml").read_text("utf-8")
        if line := how.get("line"):
            text = text.replace("[media_port]", str(line.port))
        if how.get("law", "u") == "a":
            text = text.replace("RTP/AVP 0", "RTP/AVP 8").replace("0 PCMU", "8 PCMA")
        place = Place(
            how.get("address", ADDRESS), port or self.ports.one(), self.target if calls_us else None,
            media_port=self.ports.block(4)[0], echo=how.get("echo", False),
        )  # fmt: skip
        values = {"from": PSAP, "domain": self.target} | dict(how.get("values", {}))
        return Sipp(text, place, directory / f"{scenario}-{place.port}", values, calls=how.get("calls", 1))


class How(TypedDict, total=False):
    """How a SIPp differs from the usual one."""

    values: Mapping[str, str]  # for the scenario's placeholders
    line: "Line"  # its RTP port stands in the SDP
    law: str  # "a": PCMA alone; else PCMU alone
    echo: bool  # send back what is heard
    address: str
    calls: int


class Line:
    """One end of an RTP stream: keeps all that it hears, and once it knows to whom, speaks a marked silence."""

    MARK = b"\x55" * 160  # 20 ms of PCMU that nothing else here sounds like

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 0))
        self._socket.settimeout(0.02)
        self.port: int = self._socket.getsockname()[1]
        self._heard: list[tuple[float, bytes]] = []
        self._open = True
        self._peer: tuple[str, int] | None = None
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
                    packet = self._socket.recv(2048)
                    self._heard.append((time.time(), packet))
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

        self._peer = (ADDRESS, wait_until("an answer", answered, within_s=8))

    def payload_types(self) -> set[int]:
        return {packet[1] & 0x7F for _, packet in self._heard}

    def echoes_since(self, at: float) -> int:
        """How many packets of our own came back after this time (UTC seconds)."""
        return sum(packet[12:] == self.MARK for when, packet in list(self._heard) if when > at)

    def recording(self, path: Path) -> Path:
        heard = b"".join(packet[12:] for _, packet in list(self._heard) if packet[1] & 0x7F == 0)
        write_wav(path, _MU_LAW[np.frombuffer(heard, np.uint8)])
        return path


class EslPeer:
    """A blocking ESL connection, for both directions; every wait ends with the socket's timeout."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        self._socket = connection
        self._file = connection.makefile("rb")

    def __enter__(self) -> "EslPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, as the kernel does for a process that dies."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._socket.close()

    def frame(self) -> tuple[dict[str, str], str]:
        headers: dict[str, str] = {}
        while line := self._file.readline().decode("utf-8", "replace").strip():
            name, _, value = line.partition(": ")
            headers[name] = value
        body = self._file.read(int(headers.get("Content-Length", "0"))).decode("utf-8", "replace")
        return headers, body

    def command(self, text: str) -> str:
        """Send a command; the reply's text, or the body of an api response. Events in between are passed over."""
        self._socket.sendall(text.encode() + b"\n\n")
        while True:
            headers, body = self.frame()
            if not headers:
                raise LabError(f"the event socket was closed after {text!r}")
            if headers.get("Content-Type") == "api/response":
                return body.strip()
            if "Unique-ID" in headers:  # the answer to `connect` is the channel itself
                return headers["Unique-ID"]
            if headers.get("Content-Type") == "command/reply":
                return headers["Reply-Text"]

    def event(self, name: str) -> None:
        """Wait for the channel's next event of this name."""
        while True:
            headers, body = self.frame()
            if not headers:
                raise LabError(f"the event socket was closed before {name}")
            if f"Event-Name: {name}\n" in body:
                return

    def execute(self, application: str, argument: str) -> None:
        lines = f"call-command: execute\nexecute-app-name: {application}\nexecute-app-arg: {argument}"
        self.command(f"sendmsg\n{lines}")


class Controller:
    """Listens where FreeSWITCH looks for the controller. It stalls: until `take()`, only the kernel accepts."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server((ADDRESS, port), backlog=64)

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def accept(self, within_s: float = 5.0) -> EslPeer:
        """The next call's connection; TimeoutError if none comes."""
        self._listener.settimeout(within_s)
        return EslPeer(self._listener.accept()[0])

    def take(self) -> EslPeer:
        """Accept a call and take charge of it as the real one does: with the dead man's switch disarmed last."""
        esl = self.accept()
        channel_uuid = esl.command("connect")
        esl.command("linger")
        esl.command("myevents")
        esl.execute("set", "holdfast_controlled=true")
        esl.event("CHANNEL_EXECUTE_COMPLETE")
        reply = esl.command(f"api sched_del {channel_uuid}")
        if reply != "+OK Deleted: 1":
            raise LabError(f"the dead man's switch was not armed: {reply}")
        return esl


def requests(edge: Sipp, method: str = "INVITE") -> int:
    """How many of them came to a SIPp, repetitions left out."""
    found = [logged.message for logged in edge.messages() if not logged.sent]
    return len({message.one("via") for message in found if message and message.method == method and message.is_request})


def short_prompts(folder: Path, language: Path) -> dict[str, Samples]:
    """Prompts for tests: the real digits, and for each sentence half a second of melody. Returns those, by name."""
    clips = {name: melody(name)[: RATE_HZ // 2] for name in SENTENCES}
    shutil.copytree(language, folder / language.name)
    for name, clip in clips.items():
        write_wav(folder / language.name / f"{name}.wav", clip)
    return clips


def _mu_law_table() -> Samples:
    """ITU-T G.711: the sample for each µ-law byte."""
    inverted = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 132 << ((inverted & 0x70) >> 4)) - 132
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)


_MU_LAW = _mu_law_table()
