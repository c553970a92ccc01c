"""SIPp endpoints: scenarios with any headers, faults and refusals that a real phone would never produce.

A scenario is an XML file of `scenarios/`, or XML text. `{{name}}` in it is replaced by a value before SIPp reads it, so
that a value may be several header lines, or bytes that are not UTF-8 (given as surrogates).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lab.errors import LabError
from lab.ports import is_free
from lab.processes import Daemon, Program
from lab.sip_messages import SipMessage, SipParseError, parse

SCENARIOS = Path(__file__).parent / "scenarios"

_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")
_PLACEHOLDER_LINE = re.compile(r"(?m)^[ \t]*\{\{([a-z_]+)\}\}[ \t]*\n")
_LOGGED = re.compile(
    rb"-{40,} (\d{4}-\d\d-\d\d)[ \t](\d\d:\d\d:\d\d\.\d{6})\n"
    rb"(UDP|TCP|TLS) message (sent|received) [(\[](\d+)[^\n]*:\n\n"
)
#: Values for placeholders that a scenario uses and its caller does not give.
_DEFAULTS = {
    "code": "486", "reason": "Refused", "duration_ms": "500", "expires": "600", "headers": "", "display": "",
    "ring_ms": "200", "contact_user": "device",
}  # fmt: skip


@dataclass(frozen=True)
class LoggedMessage:
    """A SIP message in SIPp's log: when (UTC seconds), sent or received, its bytes, and parsed if it is valid."""

    at: float
    sent: bool
    transport: str
    raw: bytes

    @property
    def message(self) -> SipMessage | None:
        try:
            return parse(self.raw)
        except SipParseError:
            return None


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended: exit code 0 when every call went as written, what SIPp complained about, what passed."""

    exit_code: int
    complaints: str
    messages: list[LoggedMessage]

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def received(self, method: str) -> list[SipMessage]:
        """Requests of this method that it received."""
        found = [logged.message for logged in self.messages if not logged.sent]
        return [m for m in found if m is not None and m.is_request and m.method == method]

    def answers(self, method: str = "INVITE") -> list[SipMessage]:
        """The responses it received to its own requests of this method, in order."""
        found = [logged.message for logged in self.messages if not logged.sent]
        return [m for m in found if m is not None and not m.is_request and m.method == method]

    def statuses(self, method: str = "INVITE") -> list[int]:
        """Their status codes."""
        return [answer.status for answer in self.answers(method)]


@dataclass(frozen=True)
class Place:
    """Where a SIPp runs, and whom it calls: "host:port" (None for a scenario that waits for calls)."""

    address: str
    port: int
    target: str | None = None
    transport: str = "udp"
    #: media port in its SDP; with `echo` what arrives there is sent back
    media_port: int = 6000
    echo: bool = False


@dataclass(frozen=True)
class Credentials:
    """For digest authentication; the scenario says where it is used."""

    user: str
    password: str


@dataclass
class Sipp:
    """One SIPp process running one scenario. `run()` for a caller; `start()` and `wait()` for one who is called."""

    scenario: str
    place: Place
    directory: Path
    values: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials | None = None
    calls: int = 1
    rate_per_s: int = 10
    #: one for each call in turn: its fields, separated by semicolons, stand for [field0], [field1] … in the scenario
    lines: Sequence[str] = ()
    #: SIPp gives up after this long, so nothing outlives its test
    gives_up_after_s: int = 30
    _daemon: Daemon | None = None

    def run(self, *, within_s: float = 30.0) -> Outcome:
        """Run the scenario to its end."""
        self.start()
        return self.wait(within_s=within_s)

    def start(self) -> "Sipp":
        """Start it; one that waits for calls is ready to be called on return."""
        self.directory.mkdir(parents=True, exist_ok=True)
        place = self.place
        name = label(self.scenario)
        (self.directory / f"{name}.xml").write_bytes(self.xml().encode("utf-8", "surrogateescape"))
        if self.lines:
            (self.directory / "lines.csv").write_text("\n".join(["SEQUENTIAL", *self.lines, ""]), encoding="utf-8")
        (self.directory / "messages.log").unlink(missing_ok=True)
        program = Program(f"SIPp {name}", self._argv(name), self.directory / "sipp.log", directory=self.directory)
        self._daemon = Daemon(program)
        waits_for_calls = place.target is None
        self._daemon.start(lambda: not (waits_for_calls and is_free(place.address, place.port)))
        return self

    def wait(self, *, within_s: float = 30.0) -> Outcome:
        """Wait for its end; Timeout if it is still running then."""
        code = self._started.wait(within_s=within_s)
        errors = self.directory / "errors.log"
        complaints = errors.read_bytes().decode("utf-8", "backslashreplace") if errors.exists() else ""
        return Outcome(code, complaints, self.messages())

    def stop(self) -> None:
        """End it whatever it is doing, as a crash would. Harmless when it has ended, or was never started."""
        if self._daemon is not None:
            self._daemon.kill()

    def messages(self) -> list[LoggedMessage]:
        """What it sent and received so far."""
        log = self.directory / "messages.log"
        return read_message_log(log.read_bytes()) if log.exists() else []

    def xml(self) -> str:
        """The scenario as SIPp gets it, every placeholder replaced; LabError names one that has no value."""
        text = (SCENARIOS / f"{self.scenario}.xml").read_text("utf-8") if not _is_xml(self.scenario) else self.scenario
        known = {**_DEFAULTS, **self.values}
        if self.credentials:
            known |= {"user": self.credentials.user, "password": self.credentials.password} | dict(self.values)

        def value(placeholder: re.Match[str]) -> str:
            name = placeholder[1]
            if name not in known:
                raise LabError(f"scenario {self.scenario[:40]!r} needs a value for {name!r}")
            return known[name]

        # A line of its own for an empty value would be the empty line that ends the message's headers.
        text = _PLACEHOLDER_LINE.sub(lambda line: "" if known.get(line[1]) == "" else line[0], text)
        return _PLACEHOLDER.sub(value, text)

    @property
    def _started(self) -> Daemon:
        if self._daemon is None:
            raise LabError("this SIPp was not started")
        return self._daemon

    def _argv(self, name: str) -> list[str]:
        place = self.place
        argv = ["sipp", "-sf", f"{name}.xml", "-i", place.address, "-p", str(place.port), "-m", str(self.calls)]
        argv += ["-r", str(self.rate_per_s)]
        argv += ["-inf", "lines.csv"] if self.lines else []
        argv += ["-t", {"udp": "u1", "tcp": "t1"}[place.transport], "-mi", place.address, "-mp", str(place.media_port)]
        argv += ["-nostdin", "-skip_rlimit", "-timeout", str(self.gives_up_after_s), "-timeout_error"]
        argv += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
        argv += ["-cp", "0"]  # no control port: it would be 8888 for everybody
        argv += ["-rtp_echo"] if place.echo else []
        argv += ["-au", self.credentials.user, "-ap", self.credentials.password] if self.credentials else []
        return [*argv, place.target] if place.target else argv


def label(scenario: str) -> str:
    """What a scenario's file is called: its name, or "scenario" for one that is XML text."""
    return "scenario" if _is_xml(scenario) else scenario


def _is_xml(scenario: str) -> bool:
    return scenario.lstrip().startswith("<")


def read_message_log(data: bytes) -> list[LoggedMessage]:
    """Read what SIPp's -trace_msg wrote; each entry says how many bytes it has."""
    found = []
    position = 0
    while entry := _LOGGED.search(data, position):
        position = entry.end() + int(entry[5])
        local = datetime.fromisoformat(f"{entry[1].decode()} {entry[2].decode()}").astimezone()
        raw = data[entry.end() : position]
        found.append(LoggedMessage(local.timestamp(), entry[4] == b"sent", entry[3].decode(), raw))
    return found
