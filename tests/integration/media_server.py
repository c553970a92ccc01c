"""A media server as a process of its own, whichever it is; SIPp as the edge around it, and a controller for it."""

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from holdfast import render, settings
from holdfast.calls.callback import Target
from integration.esl_peer import EslPeer
from integration.rtp_line import Line
from lab.audio import RATE_HZ, Samples, melody, write_wav
from lab.command import HOLDFAST
from lab.errors import LabError
from lab.net import accepts_tcp
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.sipp import SCENARIOS, Place, Sipp
from lab.waiting import wait_until

ADDRESS = "127.0.0.1"
STRANGER = "127.0.0.2"
NUMBER = "+12025550123"
PSAP = '"County 911" <sip:+15715550199@psap.example>'
RING_S = 1
ATTEMPTS = 2
SENTENCES = (
    "readback/intro", "readback/again", "readback/end", "callback/no_answer_again", "callback/no_answer_end",
    "emergency/unavailable",
)  # fmt: skip


class MediaServer:
    """`directory` holds everything it reads and writes. One address for all; SIPp stands in for the edge."""

    daemon: Daemon
    #: what its sentences sound like, by name
    clips: dict[str, Samples]

    def __init__(self, directory: Path) -> None:
        self.directory, self.ports = directory, Ports()
        one, (first, last) = self.ports.one, self.ports.block(200)
        document: dict[str, dict[str, object]] = {
            "node": {"name": "edge-1", "state_dir": f"{directory}/state", "run_dir": f"{directory}/run & more"},
            "sip": {"address": ADDRESS, "port": one()},
            "media": {
                "address": ADDRESS,
                "sip_port": one(),
                "esl_port": one(),
                "esl_password_file": f"{directory}/esl-password",
                "prompts_dir": f"{directory}/prompts",
                "rtp_first_port": first,
                "rtp_last_port": last,
            },
            "controller": {
                "port": one(),
                "metrics_port": one(),
                "ring_s": RING_S,
                "callback_attempts": ATTEMPTS,
            },
        }
        lines = []
        for table, values in document.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        file = directory / "holdfast.toml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.settings = settings.load(file)
        self.environment = {"HOLDFAST_CONFIG": str(file)}
        self.password = render.esl_password(self.settings)

    def start(self) -> None:
        """Run it, and wait until it takes calls and commands."""
        self.daemon.start(self.ready)

    def ready(self) -> bool:
        return accepts_tcp(ADDRESS, self.settings.media.esl_port)

    @property
    def target(self) -> str:
        return f"{ADDRESS}:{self.settings.media.sip_port}"

    def dial(self, ring_s: int) -> str:
        """The dial string of a callback, as the controller makes it."""
        return Target(NUMBER, ADDRESS, self.settings.sip.port, ring_s).dial_string()

    def connection(self) -> EslPeer:
        """A connection to the inbound event socket, before the password."""
        return EslPeer(socket.create_connection((ADDRESS, self.settings.media.esl_port), timeout=3))

    def client(self) -> EslPeer:
        """A connection to the inbound event socket, authenticated."""
        esl = self.connection()
        if esl.frame()[0].get("Content-Type") != "auth/request":
            raise LabError("the event socket does not ask for a password")
        if esl.command(f"auth {self.password}") != "+OK accepted":
            raise LabError("the event socket does not take the password")
        return esl

    def api(self, command: str) -> str:
        """One command over the inbound event socket."""
        with self.client() as esl:
            return esl.command(f"api {command}")

    def channels(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.api("show channels as json")).get("rows", [])
        return found

    def wait_for_the_end_of_calls(self) -> None:
        wait_until("every channel to end", lambda: not self.channels(), within_s=5)

    def call(self, directory: Path, feature: str, *, scenario: str = "call", number: str = NUMBER, **how: Any) -> Sipp:
        """A SIPp that calls a feature as the edge does; started. `how`: see `sipp`."""
        headers = f"X-Holdfast-Callback-Number: {number}\nX-Holdfast-Language: en"
        return self.sipp(scenario, directory, calls_us=True, headers=headers, number=feature, **how).start()

    def edge(self, directory: Path, scenario: str, **how: Any) -> Sipp:
        """A SIPp that waits where callbacks are delivered to; started. `how`: see `sipp`."""
        return self.sipp(scenario, directory, port=self.settings.sip.port, **how).start()

    def sipp(
        self,
        scenario: str,
        directory: Path,
        *,
        calls_us: bool = False,
        address: str = ADDRESS,
        port: int | None = None,
        line: Line | None = None,
        law: str = "u",
        echo: bool = False,
        calls: int = 1,
        **values: object,
    ) -> Sipp:
        """A SIPp running a scenario of this name or text, not started.

        `line`: whose RTP port its SDP names; `law`: "u" for PCMU alone, "a" for PCMA; `values` for its placeholders.
        """
        text = scenario if scenario.lstrip().startswith("<") else (SCENARIOS / f"{scenario}.xml").read_text("utf-8")
        if line:
            text = text.replace("[media_port]", str(line.port))
        if law == "a":
            text = text.replace("RTP/AVP 0", "RTP/AVP 8").replace("0 PCMU", "8 PCMA")
        target = self.target if calls_us else None
        place = Place(address, port or self.ports.one(), target, media_port=self.ports.block(4)[0], echo=echo)
        placeholders = {"from": PSAP, "domain": self.target} | {name: str(value) for name, value in values.items()}
        return Sipp(text, place, directory / f"sipp-{place.port}", placeholders, calls=calls)


_Server = TypeVar("_Server", bound=MediaServer)


@contextlib.contextmanager
def running(server: _Server) -> Iterator[_Server]:
    """The server, started; killed at the end."""
    try:
        server.start()
        yield server
    finally:
        server.daemon.kill()
        server.ports.close()


class Controller:
    """Listens where the media server looks for the controller. Until `accept` only the kernel answers: it stalls."""

    def __init__(self, server: MediaServer) -> None:
        self._listener = socket.create_server((ADDRESS, server.settings.controller.port), backlog=64)

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def accept(self, within_s: float = 5.0) -> EslPeer:
        """The next call's connection; TimeoutError if none comes."""
        self._listener.settimeout(within_s)
        return EslPeer(self._listener.accept()[0])

    def take(self) -> EslPeer:
        """Accept a call and take charge of it."""
        return self.accept().take_over()


@contextlib.contextmanager
def real_controller(server: MediaServer) -> Iterator[Daemon]:
    """The call controller that Holdfast ships; when it has been stopped, every call must end."""
    argv = [str(HOLDFAST), "controller"]
    daemon = Daemon(Program("controller", argv, server.directory / "controller.log", server.environment))
    daemon.start(lambda: accepts_tcp(ADDRESS, server.settings.controller.port))
    try:
        yield daemon
    finally:
        daemon.stop()
    server.wait_for_the_end_of_calls()


def requests(edge: Sipp, method: str = "INVITE") -> int:
    """How many of them came to a SIPp, repetitions left out."""
    found = [logged.message for logged in edge.messages() if not logged.sent]
    return len({message.one("via") for message in found if message and message.method == method and message.is_request})


def wait_for_an_invite(edge: Sipp, within_s: float) -> None:
    """Wait until the first INVITE has come to a SIPp; a second one by then is one too many."""
    wait_until("an INVITE at the edge", lambda: requests(edge) == 1, within_s=within_s)


def write_melodies(folder: Path, names: Iterable[str], length_s: float) -> dict[str, Samples]:
    """For each name a prompt that is told from every other: the beginning of its melody. Returns them."""
    clips = {name: melody(name)[: int(length_s * RATE_HZ)] for name in names}
    for name, clip in clips.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, clip)
    return clips
