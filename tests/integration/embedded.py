"""The embedded media server as a process of its own, SIPp as the edge around it, a line to listen on, a controller."""

import contextlib
import itertools
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from holdfast import settings
from holdfast.embedded.g711 import PCMU_SAMPLES
from lab.audio import Samples, melody, write_wav
from lab.errors import LabError
from lab.net import accepts_tcp
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.recordings import score
from lab.sipp import SCENARIOS, Place, Sipp
from lab.waiting import wait_until

ADDRESS = "127.0.0.1"
STRANGER = "127.0.0.2"
NUMBER = "+12025550123"
PSAP = '"County 911" <sip:+15715550199@psap.example>'
PASSWORD = "a-password-for-tests-only-0123456789"
RING_S = 1
ATTEMPTS = 2
SENTENCES = ("readback/intro", "readback/again", "readback/end", "callback/no_answer_again", "callback/no_answer_end")


def make_prompts(folder: Path) -> dict[str, Samples]:
    """A melody of its own for every prompt, 0.2 s each, so that each is told from every other."""
    clips = {}
    for name in (*SENTENCES, *(f"digits/{digit}" for digit in range(10))):
        clips[name] = melody(name)[:1600]
        path = folder / "en" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, clips[name])
    return clips


class EmbeddedServer:
    """`directory` holds everything it reads and writes. One address for all; SIPp stands in for the edge."""

    def __init__(self, directory: Path, ports: Ports, *, rtp_ports: int = 200) -> None:
        first, last = ports.block(rtp_ports)
        self.ports, self.directory = ports, directory
        self.clips = make_prompts(directory / "prompts")
        password = directory / "esl-password"
        password.write_text(PASSWORD, encoding="ascii")
        document: dict[str, dict[str, object]] = {
            "node": {"name": "edge-1", "state_dir": str(directory), "run_dir": str(directory)},
            "sip": {"address": ADDRESS, "port": ports.one()},
            "media": {
                "address": ADDRESS,
                "sip_port": ports.one(),
                "esl_port": ports.one(),
                "esl_password_file": str(password),
                "prompts_dir": str(directory / "prompts"),
                "rtp_first_port": first,
                "rtp_last_port": last,
            },
            "controller": {
                "port": ports.one(),
                "metrics_port": ports.one(),
                "ring_s": RING_S,
                "callback_attempts": ATTEMPTS,
            },
        }
        file = directory / "holdfast.toml"
        self.settings = settings.from_document(document, file)
        lines = []
        for table, values in document.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.environment = {"HOLDFAST_CONFIG": str(file)}
        argv = [sys.executable, "-m", "holdfast.embedded"]
        self.daemon = Daemon(Program("media server", argv, directory / "output.log", self.environment))

    def start(self) -> None:
        self.daemon.start(lambda: accepts_tcp(ADDRESS, self.settings.media.esl_port))

    @property
    def target(self) -> str:
        return f"{ADDRESS}:{self.settings.media.sip_port}"

    @property
    def dial(self) -> str:
        """The dial string of a callback, with {ring_s} left open."""
        edge = self.settings.sip
        return (
            "{{sip_h_X-Holdfast-Leg=deliver,sip_h_Priority=psap-callback,leg_timeout={ring_s},ignore_early_media=true}}"
            f"sofia/holdfast/sip:{NUMBER}@{edge.address}:{edge.port}"
        )

    def client(self) -> "EslPeer":
        """A connection to the inbound event socket, authenticated."""
        esl = EslPeer(socket.create_connection((ADDRESS, self.settings.media.esl_port), timeout=3))
        if esl.frame()[0].get("Content-Type") != "auth/request":
            raise LabError("the event socket does not ask for a password")
        if esl.command(f"auth {PASSWORD}") != "+OK accepted":
            raise LabError("the event socket does not take the password")
        return esl

    def api(self, command: str) -> str:
        with self.client() as esl:
            return esl.command(f"api {command}")

    def channels(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.api("show channels as json")).get("rows", [])
        return found

    def caller(
        self, directory: Path, feature: str, *, scenario: str = "call", number: str = NUMBER, **how: object
    ) -> Sipp:
        """A SIPp that calls a feature as the edge does; `how`: see `sipp`."""
        headers = f"X-Holdfast-Callback-Number: {number}\nX-Holdfast-Language: en"
        return self.sipp(scenario, directory, **how, to_server=True, headers=headers, number=feature)

    def edge(self, directory: Path, scenario: str, **how: object) -> Sipp:
        """A SIPp that waits where the media server delivers callbacks to."""
        return self.sipp(scenario, directory, port=self.settings.sip.port, **how).start()

    def sipp(self, scenario: str, directory: Path, **how: object) -> Sipp:
        """`to_server`: it calls; `line`: whose RTP port its SDP names; `address`, `port`, `calls`, `echo`; values."""
        to_server = how.pop("to_server", False)
        line, calls, echo = how.pop("line", None), how.pop("calls", 1), how.pop("echo", False)
        address, port = how.pop("address", ADDRESS), how.pop("port", None) or self.ports.one()
        text = scenario if scenario.lstrip().startswith("<") else (SCENARIOS / f"{scenario}.xml").read_text("utf-8")
        if isinstance(line, Line):
            text = text.replace("[media_port]", str(line.port))
        values = {"from": PSAP, "domain": self.target, **{name: str(value) for name, value in how.items()}}
        place = Place(
            str(address),
            int(str(port)),
            self.target if to_server else None,
            media_port=self.ports.block(4)[0],
            echo=bool(echo),
        )
        return Sipp(text, place, directory / f"sipp-{place.port}", values, calls=int(str(calls)))


@contextlib.contextmanager
def running(directory: Path) -> Iterator[EmbeddedServer]:
    """A server in a folder of its own, stopped at the end."""
    ports = Ports()
    server = EmbeddedServer(directory, ports)
    server.start()
    try:
        yield server
    finally:
        server.daemon.stop()
        ports.close()


def wait_for_the_end_of_calls(server: EmbeddedServer) -> None:
    wait_until("every channel to end", lambda: not server.channels(), within_s=5)


class Line:
    """One end of an RTP stream: speaks a marked packet every 20 ms to whoever speaks to it, and keeps what it hears."""

    MARK = b"\x55" * 160  # PCMU that nothing else here sounds like

    def __init__(self, address: str = ADDRESS) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[tuple[float, bytes]] = []
        self.speak_to: tuple[str, int] | None = None
        self.payload = self.MARK
        self.payload_type = 0
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        for sequence in itertools.count():
            due += 0.02
            while (left := due - time.monotonic()) > 0 and self._open:
                self._socket.settimeout(left)
                with contextlib.suppress(OSError):
                    packet, peer = self._socket.recvfrom(2048)
                    self.heard.append((time.monotonic(), packet))
                    self.speak_to = self.speak_to or peer
            if not self._open:
                return
            if self.speak_to:
                stamp = sequence * 160 & 0xFFFFFFFF
                header = struct.pack("!BBHII", 0x80, self.payload_type, sequence & 0xFFFF, stamp, 7)
                with contextlib.suppress(OSError):
                    self._socket.sendto(header + self.payload, self.speak_to)

    def echoes(self, since: float = 0.0) -> int:
        """How many packets of our own came back after this time (monotonic seconds)."""
        return sum(packet[12:] == self.payload for when, packet in list(self.heard) if when > since)

    def sound(self) -> Samples:
        """Everything heard in PCMU, decoded."""
        heard = b"".join(packet[12:] for _, packet in list(self.heard) if packet[1] & 0x7F == 0)
        return _MU_LAW[np.frombuffer(heard, np.uint8)]

    def hears(self, clip: Samples) -> bool:
        return score(self.sound(), clip) > 0.95

    def gaps_s(self) -> list[float]:
        """The times between consecutive packets."""
        times = [when for when, _ in list(self.heard)]
        return [after - before for before, after in itertools.pairwise(times)]

    def close(self) -> None:
        self._open = False
        self._thread.join(2)
        self._socket.close()


_MU_LAW = np.array(PCMU_SAMPLES, np.int16)


@contextlib.contextmanager
def line(address: str = ADDRESS) -> Iterator[Line]:
    opened = Line(address)
    try:
        yield opened
    finally:
        opened.close()


class EslPeer:
    """A blocking ESL connection, for both directions; every wait ends with the socket's timeout."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(6)
        self._socket = connection
        self._file = connection.makefile("rb")
        self.uuid = ""
        self.channel: dict[str, str] = {}
        #: events that came while a reply was waited for
        self.events: list[dict[str, str]] = []

    def __enter__(self) -> "EslPeer":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it, as the kernel does for a process that dies."""
        self._file.close()
        self._socket.close()

    def frame(self) -> tuple[dict[str, str], str]:
        """Headers (empty at the end of the stream) and body."""
        headers = _headers(iter(self._file.readline, b""))
        body = self._file.read(int(headers.get("Content-Length", "0"))).decode("latin-1")
        return headers, body

    def send(self, text: str) -> None:
        self.push(text + "\n\n")

    def push(self, text: str) -> None:
        """Send just this much."""
        self._socket.sendall(text.encode("latin-1"))

    def command(self, text: str) -> str:
        """Send a command; the reply's text, or the body of an api response."""
        self.send(text)
        while True:
            headers, body = self.frame()
            kind = headers.get("Content-Type")
            if kind == "text/event-plain":
                self.events.append(_headers(iter(body.encode("latin-1").splitlines())))
            elif kind == "api/response":
                return body.strip()
            elif kind == "command/reply":
                self.channel = self.channel or headers
                return headers["Reply-Text"]
            elif not headers:
                raise LabError(f"the event socket was closed after {text!r}")

    def take_over(self) -> "EslPeer":
        """As the real controller does: connect, hear the channel's events, be heard, disarm the dead man's switch."""
        self.command("connect")
        self.uuid = self.channel["Unique-ID"]
        for command, reply in (("linger", "+OK will linger"), ("myevents", "+OK Events Enabled")):
            if self.command(command) != reply:
                raise LabError(f"{command} was refused")
        self.execute("set", "holdfast_controlled=true", uuid := "c0417011-ed00-4000-8000-000000000001")
        self.event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=uuid)
        if self.command(f"api sched_del {self.uuid}") != "+OK Deleted: 1":
            raise LabError("the dead man's switch was not armed")
        return self

    def execute(self, application: str, argument: str = "", uuid: str = "") -> str:
        lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}"]
        lines += [f"execute-app-arg: {argument}"] if argument else []
        return self.command("\n".join([*lines, *([f"Event-UUID: {uuid}"] if uuid else [])]))

    def event(self, name: str, **wanted: str) -> dict[str, str]:
        """The next event of this name whose headers (_ for -) have these values; what comes before it is dropped."""
        while True:
            if self.events:
                found = self.events.pop(0)
            else:
                headers, body = self.frame()
                if not headers:
                    raise LabError(f"the event socket was closed before {name}")
                found = _headers(iter(body.encode("latin-1").splitlines()))
            if found.get("Event-Name") == name and all(
                found.get(header.replace("_", "-")) == value for header, value in wanted.items()
            ):
                return found


def _headers(lines: Iterator[bytes]) -> dict[str, str]:
    headers = {}
    for raw in lines:
        text = raw.decode("latin-1").strip()
        if not text:
            break
        name, _, value = text.partition(": ")
        headers[name] = value
    return headers


class Controller:
    """Listens where the media server looks for the controller. Until `accept` only the kernel answers: it stalls."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._listener = socket.create_server((ADDRESS, server.settings.controller.port), backlog=64)
        self._listener.settimeout(5)

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def accept(self) -> EslPeer:
        return EslPeer(self._listener.accept()[0])

    def take(self) -> EslPeer:
        return self.accept().take_over()


def wait_for_invites(edge: Sipp, count: int, within_s: float = 4.0) -> None:
    """Wait until that many INVITEs, repetitions left out, have come to the edge."""

    def enough() -> bool:
        invites = [m.message for m in edge.messages() if not m.sent and m.message and m.message.method == "INVITE"]
        return len({invite.one("via") for invite in invites}) >= count

    wait_until(f"{count} INVITEs at the edge", enough, within_s=within_s)
