"""Real phones: one baresip process each, told what to do over ctrl_tcp, with its SIP trace and recordings to look at.

baresip 1.0.0 (Debian 12): `net_interface` takes an IP address, which then stands in its SDP; `aufile` ends the call at
the end of its file; `sndfile` records the packets that were received, one file per call, named by the second.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import audio
from lab.errors import LabError, Timeout
from lab.phone_control import Control, PhoneEvent
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.recordings import THRESHOLD, score
from lab.sip_messages import SipMessage, SipParseError, declared_length, parse
from lab.waiting import wait_until

_MODULES = Path("/usr/lib/baresip/modules")
_TRACED = re.compile(rb"\x1b\[36;1m#\n(UDP|TCP|TLS) (\S+) -> (\S+)\n")


@dataclass(frozen=True)
class Account:
    """Who a phone is: user@domain, reached through `proxy` (a SIP URI). Without a password it does not register."""

    user: str
    domain: str
    proxy: str
    password: str | None = None
    display_name: str = ""
    transport: str = "udp"
    auto_answer: bool = False
    #: codecs offered, best first
    codecs: tuple[str, ...] = ("PCMU/8000/1", "PCMA/8000/1")
    #: further user parts that it answers to (a PSAP's trunk is called as 911)
    also: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@{self.domain}"

    def lines(self) -> list[str]:
        """The account as baresip's `accounts` file takes it; calls out are made from the first line."""
        return [self._line(user) for user in (self.user, *self.also)]

    def _line(self, user: str) -> str:
        parameters = [
            f"<sip:{user}@{self.domain};transport={self.transport}>",
            f'outbound="{self.proxy};transport={self.transport}"' if self.proxy else "",
            f"auth_user={self.user};auth_pass={self.password};regint=600" if self.password else "regint=0",
            f"audio_codecs={','.join(self.codecs)}",
            f"answermode={'auto' if self.auto_answer else 'manual'}",
        ]
        return f'"{self.display_name}" ' + ";".join(part for part in parameters if part)


@dataclass(frozen=True)
class Endpoint:
    """Where a phone lives: its own loopback address, its SIP, control and RTP ports."""

    address: str
    sip_port: int
    control_port: int
    rtp_first_port: int
    rtp_last_port: int
    #: where the others send their voice, as its SDP says; its own address if empty
    media_address: str = ""

    @classmethod
    def at(cls, address: str, ports: Ports, sip_port: int = 0, media_address: str = "") -> "Endpoint":
        """An endpoint on free ports. baresip takes the port after its SIP port as well (for TLS)."""
        return cls(address, sip_port or ports.block(2)[0], ports.one(address), *ports.block(20), media_address)


@dataclass(frozen=True)
class TracedMessage:
    """A SIP message that the phone sent or received, as its own trace shows it."""

    sent: bool
    transport: str
    source: str
    target: str
    message: SipMessage


class Phone:
    """A phone in its own directory. It speaks a melody of its own (`clip`) from the moment a call is up.

    `expect()` reads events in order, each at most once; everything has a deadline.
    """

    def __init__(self, name: str, directory: Path, endpoint: Endpoint, account: Account) -> None:
        self.name = name
        self.endpoint = endpoint
        self.account = account
        self.clip = audio.melody(name)
        self._directory = directory
        self._recordings = directory / "recordings"
        self._control: Control | None = None
        self._seen = 0
        self._log_begins = 0
        argv = ["baresip", "-4", "-s", "-f", str(directory)]
        self._daemon = Daemon(Program(f"phone {name}", argv, directory / "baresip.log"))

    # life ---------------------------------------------------------------------------------------------------------

    def start(self) -> "Phone":
        """Run baresip and connect to it; a phone with a password begins to register."""
        self._write_configuration()
        self._seen = 0
        self._log_begins = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._daemon.start(self._connect)
        return self

    def stop(self) -> None:
        """End baresip; it unregisters and hangs up."""
        self._disconnect()
        self._daemon.stop()

    def kill(self) -> None:
        """End it as a power cut would: no BYE, no un-REGISTER."""
        self._disconnect()
        self._daemon.kill()

    @property
    def running(self) -> bool:
        return self._daemon.running

    @property
    def contact(self) -> str:
        """Where it listens, as address:port, the way traces write it."""
        return f"{self.endpoint.address}:{self.endpoint.sip_port}"

    def registered(self, *, within_s: float = 10.0) -> "Phone":
        """Wait until the registrar has accepted it. The event may have come before we were connected: ask first."""
        wait_until(f"{self.name} to register", self._is_registered, within_s=within_s, why=self._last_sip)
        return self

    def _is_registered(self) -> bool:
        return any(answer.status == 200 for answer in self.answers("REGISTER"))

    # calls --------------------------------------------------------------------------------------------------------

    def dial(self, target: str) -> None:
        """Call a number or a SIP URI, from the account's own address."""
        self._on_account(self.account.uri, "dial", target)

    def answer(self) -> None:
        self._on_account(self._last_called(), "accept")

    def hangup(self) -> None:
        """End the latest call, cancel it, or refuse it (486)."""
        self._on_account(self._last_called(), "hangup")

    def hold(self) -> None:
        """Put its call on hold, by a re-INVITE."""
        self._on_account(self._last_called(), "hold")

    def _last_called(self) -> str:
        called = [event.account for event in self.events() if event.type.startswith("CALL_")]
        return called[-1] if called else self.account.uri

    def _on_account(self, uri: str, command: str, parameters: str = "") -> None:
        if self.account.also:  # baresip's commands apply to the account chosen last
            self._connected.command("uafind", uri)
        self._connected.command(command, parameters)

    def expect(self, *types: str, within_s: float = 10.0) -> PhoneEvent:
        """The next event of one of these types; those before it are passed over. Timeout tells what came instead."""
        found = self._connected.wait_for(lambda event: event.type in types, since=self._seen, within_s=within_s)
        if found is None:
            came = [event.type for event in self.events()[self._seen :]]
            state = "" if self._daemon.running else " (baresip is not running)"
            raise Timeout(
                f"{self.name}{state}: no {' or '.join(types)} within {within_s:g} s; came: {came}; {self._last_sip()}"
            )
        self._seen = found + 1
        return self.events()[found]

    def ringing(self, *, within_s: float = 10.0) -> PhoneEvent:
        """Wait until it rings for an incoming call."""
        return self.expect("CALL_INCOMING", within_s=within_s)

    def established(self, *, within_s: float = 10.0) -> PhoneEvent:
        """Wait until its call is up; LabError if the call ends instead."""
        event = self.expect("CALL_ESTABLISHED", "CALL_CLOSED", within_s=within_s)
        if event.type == "CALL_CLOSED":
            raise LabError(f"{self.name}: the call ended before it was answered: {event.detail}")
        return event

    def closed(self, *, within_s: float = 10.0) -> PhoneEvent:
        """Wait until its call has ended and its recording is complete; `detail` holds the reason, "486 Busy Here"."""
        event = self.expect("CALL_CLOSED", within_s=within_s)
        self._connected.command("listcalls")  # answered in a later turn of baresip's loop: the file is closed by then
        return event

    def events(self) -> list[PhoneEvent]:
        """Every event since the start."""
        return self._connected.events()

    def forget_events(self) -> None:
        """Let `expect` begin with what comes from now on."""
        self._seen = len(self.events())

    # what passed --------------------------------------------------------------------------------------------------

    def trace(self) -> list[TracedMessage]:
        """Every SIP message it sent or received since its start; what is not a valid message is left out."""
        data = self.log_file.read_bytes()[self._log_begins :]
        found = []
        for mark in _TRACED.finditer(data):
            head, blank, rest = data[mark.end() :].partition(b"\r\n\r\n")
            raw = head + blank + rest[: declared_length(head)]
            source, target = (mark[group].decode("ascii", "replace") for group in (2, 3))
            try:
                message = parse(raw)
            except SipParseError:
                continue
            found.append(TracedMessage(source == self.contact, mark[1].decode(), source, target, message))
        return found

    def received(self, method: str) -> list[SipMessage]:
        """The requests of this method that it received."""
        messages = [traced.message for traced in self.trace() if not traced.sent]
        return [message for message in messages if message.is_request and message.method == method]

    def answers(self, method: str) -> list[SipMessage]:
        """The responses that it received to its requests of this method, in order."""
        messages = [traced.message for traced in self.trace() if not traced.sent]
        return [message for message in messages if not message.is_request and message.method == method]

    def recordings(self) -> list[Path]:
        """What it heard, one WAV file per ended call, oldest first."""
        return sorted(self._recordings.glob("dump-*-dec.wav"))

    def hears(self, clip: audio.Samples, *, within_s: float = 8.0) -> float:
        """Wait until the clip is heard in the call that is up, and return its score (1 is perfect, 0 nothing)."""
        best = 0.0

        def heard() -> bool:
            nonlocal best
            best = score(audio.read_growing_wav(self.recordings()[-1]), clip) if self.recordings() else 0.0
            return best >= THRESHOLD

        wait_until(
            f"{self.name} to hear it", heard, within_s=within_s, every_s=0.2, why=lambda: f"best score {best:.2f}"
        )
        return best

    @property
    def log_file(self) -> Path:
        return self._daemon.program.log_file

    # inside -------------------------------------------------------------------------------------------------------

    @property
    def _connected(self) -> Control:
        if self._control is None:
            raise LabError(f"phone {self.name} is not running")
        return self._control

    def _connect(self) -> bool:
        # The first connection must be the one we keep: baresip drops the second when the first is closed.
        try:
            self._control = Control(self.endpoint.address, self.endpoint.control_port, self.name)
        except OSError:
            return False
        return True

    def _disconnect(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _last_sip(self) -> str:
        lines = [f"{'sent' if t.sent else 'received'} {t.message.start_line!r}" for t in self.trace()[-4:]]
        return f"its last SIP messages: {', '.join(lines) or 'none'} (all in {self.log_file})"

    def _write_configuration(self) -> None:
        self._recordings.mkdir(parents=True, exist_ok=True)
        source = audio.write_source(self._directory / "says.wav", self.name)
        (self._directory / "config").write_text("\n".join(self._configuration(source)) + "\n")
        (self._directory / "accounts").write_text("\n".join(self.account.lines()) + "\n")
        (self._directory / "contacts").write_text("")

    def _configuration(self, source: Path) -> Sequence[str]:
        endpoint = self.endpoint
        libraries = [f"module {name}.so" for name in ("g711", "aufile", "sndfile", "uuid")]
        applications = [f"module_app {name}.so" for name in ("account", "ctrl_tcp", "menu")]
        return [
            "poll_method epoll",
            "call_local_timeout 120",
            "call_max_calls 4",
            f"sip_listen {endpoint.address}:{endpoint.sip_port}",
            f"net_interface {endpoint.media_address or endpoint.address}",
            f"rtp_ports {endpoint.rtp_first_port}-{endpoint.rtp_last_port}",
            f"audio_source aufile,{source}",
            f"audio_path {self._directory}/no-tones",  # no ringback mixed into what we record
            "audio_level no",
            f"snd_path {self._recordings}",
            f"ctrl_tcp_listen {endpoint.address}:{endpoint.control_port}",
            "statmode_default off",  # the log is a SIP trace, not ten lines of statistics a second
            f"module_path {_MODULES}",
            *libraries,
            *applications,
        ]
