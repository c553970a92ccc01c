"""The programs of a node, each as a daemon with its log file and the probe that says it is ready."""

import functools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast import render
from holdfast.settings import Settings
from lab.command import Command
from lab.errors import LabError
from lab.media import find_freeswitch
from lab.net import accepts_tcp, answers_sip, http_get
from lab.postgres import postgres_program
from lab.processes import Daemon, Program

REPOSITORY = Path(__file__).resolve().parents[2]
_APT = "apt-get install"


@dataclass(frozen=True)
class Service:
    """A daemon and how one sees that it is ready."""

    daemon: Daemon
    ready: Callable[[], object]

    def start(self) -> None:
        self.daemon.launch()
        self.until_ready()

    def until_ready(self) -> None:
        self.daemon.until_ready(self.ready, within_s=20)


@functools.cache
def prompts() -> Path:
    """The voice prompts, made once per process from freeswitch/sounds (under a second)."""
    folder = REPOSITORY / "var" / "prompts"
    script = REPOSITORY / "freeswitch" / "sounds" / "make_prompts.py"
    result = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise LabError(f"the voice prompts cannot be made: {result.stderr.strip()}")
    return folder


def program(name: str, package: str) -> str:
    """The path of an installed program; LabError names the Debian package that has it."""
    # /usr/sbin is not on the PATH of an ordinary user
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise LabError(f"{name} is not installed", mend=f"{_APT} {package}")
    return path


def require_programs() -> None:
    """Raise LabError for the first program of Debian's that a lab needs and does not find."""
    packages = {"kamailio": "kamailio kamailio-python3-modules", "baresip": "baresip-core", "sipp": "sip-tester"}
    for name, package in {**packages, "setpriv": "util-linux"}.items():
        program(name, package)
    postgres_program("initdb")


def kamailio(settings: Settings, folder: Path) -> Service:
    """Kamailio with our routing; its children end with it."""
    if settings.sip.speaks_tls and not list(Path("/usr/lib").glob("*/kamailio/modules/tls.so")):
        raise LabError("Kamailio's tls module is not installed", mend=f"{_APT} kamailio-tls-modules")
    file = folder / "kamailio.cfg"
    render.kamailio(settings, file)
    argv = render.kamailio_argv(settings, Path(program("kamailio", "kamailio kamailio-python3-modules")), file)
    return Service(
        Daemon(Program("Kamailio", argv, folder / "kamailio.log", render.kamailio_env(), death_signal="TERM")),
        lambda: answers_sip(settings.sip.address, settings.sip.port),
    )


def agent(settings: Settings, folder: Path, holdfast: Command) -> Service:
    metrics = f"http://127.0.0.1:{settings.agent.metrics_port}/metrics"
    return Service(
        Daemon(Program("edge agent", holdfast.argv("agent"), folder / "agent.log", holdfast.environment)),
        lambda: http_get(metrics),
    )


def controller(settings: Settings, folder: Path, holdfast: Command) -> Service:
    metrics = f"http://127.0.0.1:{settings.controller.metrics_port}/metrics"
    where = settings.controller
    return Service(
        Daemon(
            Program("call controller", holdfast.argv("controller"), folder / "controller.log", holdfast.environment)
        ),
        lambda: http_get(metrics) and accepts_tcp(where.address, where.port),
    )


def media_server(settings: Settings, folder: Path, holdfast: Command) -> tuple[str, Service]:
    """FreeSWITCH where there is one, else the embedded media server; HOLDFAST_MEDIA forces one."""
    wanted = os.environ.get("HOLDFAST_MEDIA") or "auto"
    if wanted not in {"auto", "freeswitch", "embedded"}:
        raise LabError(f"HOLDFAST_MEDIA is {wanted!r}", mend="set it to freeswitch or embedded, or unset it")
    binary = find_freeswitch() if wanted != "embedded" else None
    if binary is None and wanted == "freeswitch":
        raise LabError("no FreeSWITCH was found", mend="name its binary in HOLDFAST_FREESWITCH")
    render.esl_password(settings)
    if binary is None:
        argv = holdfast.argv("embedded-media")
    else:
        render.freeswitch(settings, folder / "freeswitch")
        argv = render.freeswitch_argv(settings, binary, folder / "freeswitch")
    name = "FreeSWITCH" if binary else "embedded media server"
    media = settings.media
    daemon = Daemon(Program(name, argv, folder / "media.log", holdfast.environment))

    def ready() -> bool:
        # the event socket is for this machine alone: on loopback, whatever address callers' voice is sent to
        socket_open = any(accepts_tcp(address, media.esl_port) for address in {"127.0.0.1", media.address})
        return socket_open and answers_sip(media.address, media.sip_port)

    return name, Service(daemon, ready)


def rtpengine(address: str, control_port: int, rtp: tuple[int, int], folder: Path) -> Service:
    """Debian's rtpengine in userspace (no kernel module)."""
    argv = [
        program("rtpengine", "rtpengine-daemon"),
        "--table=-1",
        "--config-file=none",
        "--foreground",
        "--log-stderr",
    ]
    argv += [f"--interface={address}", f"--listen-ng=127.0.0.1:{control_port}", "--num-threads=1"]
    argv += [f"--port-min={rtp[0]}", f"--port-max={rtp[1]}"]
    return Service(Daemon(Program("rtpengine", argv, folder / "rtpengine.log")), lambda: _answers_ng(control_port))


def _answers_ng(port: int) -> bool:
    """The ng protocol: cookie, space, a bencoded dictionary, over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(("127.0.0.1", port))
            probe.send(b"ready d7:command4:pinge")
            return b"pong" in probe.recv(4096)
        except OSError:
            return False
