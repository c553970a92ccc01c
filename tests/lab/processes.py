"""Daemons of the lab: started with a log file and a readiness probe, frozen, killed, stopped; never left behind.

Every child dies with this process, however that ends: `setpriv --pdeathsig` asks the kernel to signal it (prctl(2)
PR_SET_PDEATHSIG). The signal follows the *thread* that started the child, so start daemons from the main thread.
"""

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lab.errors import LabError, NotStarted, Timeout
from lab.waiting import wait_until

_running: list["Daemon"] = []
_LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Program:
    """How a daemon is run. `argv[0]` is found on PATH; `environment` is added to this process's own."""

    name: str
    argv: Sequence[str]
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    #: what the kernel sends it when we die; TERM for a program that must end children of its own
    death_signal: str = "KILL"
    stop_within_s: float = 5.0


class Daemon:
    """One running program and the process group it leads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def start(self, ready: Callable[[], object], *, within_s: float = 15.0) -> None:
        """Run the program and wait until `ready()` is true; NotStarted shows the end of its log."""
        self.launch()
        self.until_ready(ready, within_s=within_s)

    def launch(self) -> None:
        """Run the program, and leave the waiting to `until_ready`."""
        if self.running:
            raise LabError(f"{self.name} is running already, as pid {self.pid}")
        self.program.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log_file.open("ab") as log:
            self._process = self._spawn(log)
        _running.append(self)

    def until_ready(self, ready: Callable[[], object], *, within_s: float = 15.0) -> None:
        """Wait until `ready()` is true after `launch`; NotStarted shows the end of its log."""

        def up_or_dead() -> bool:
            return not self.running or bool(ready())

        try:
            wait_until(f"{self.name} to come up", up_or_dead, within_s=within_s)
        except Timeout as error:
            self.kill()
            raise NotStarted(f"{error}{self._last_words()}") from error
        except BaseException:
            self.kill()
            raise
        if not self.running:
            code = self._popen.returncode
            self._forget()
            raise NotStarted(f"{self.name} ended at once {_how(code)}{self._last_words()}")

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", self.program.death_signal, "--", *self.program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.program.directory,
                env={**os.environ, **self.program.environment},
                start_new_session=True,  # a Ctrl-C at the terminal reaches us alone: we end our children in order
            )
        except OSError as error:
            raise NotStarted(f"{self.name}: {error}") from error

    def stop(self) -> None:
        """TERM, and KILL for what is left of its process group after the deadline. Harmless when not running."""
        if self.running:
            self.thaw()
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(self.program.stop_within_s)
        self.kill()

    def kill(self) -> None:
        """KILL the whole process group at once, as a crash would. Harmless when not started, or ended before."""
        if self not in _running:  # its pid may be somebody else's by now
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name} (pid {self.pid}) cannot be killed") from error
        self._forget()

    def freeze(self) -> None:
        """SIGSTOP its process group: it stalls with every socket still open."""
        os.killpg(self.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            os.killpg(self.pid, signal.SIGCONT)
            self._frozen = False

    def wait(self, *, within_s: float) -> int:
        """Wait for its own end and return its exit status (negative: the signal that ended it)."""
        try:
            code = self._popen.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise Timeout(f"{self.name} did not end within {within_s:g} s{self._last_words()}") from error
        self.kill()  # what it started and left behind
        return code

    def send(self, number: signal.Signals) -> None:
        """Signal the program itself, not its children."""
        self._popen.send_signal(number)

    def log(self) -> str:
        """Everything it wrote so far; bytes that are not UTF-8 are shown escaped."""
        return self.program.log_file.read_bytes().decode("utf-8", "backslashreplace")

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LabError(f"{self.name} was not started")
        return self._process

    def _forget(self) -> None:
        self._frozen = False
        with contextlib.suppress(ValueError):
            _running.remove(self)

    def _last_words(self) -> str:
        tail = self.program.log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "backslashreplace")
        lines = [line for line in tail.splitlines() if line.strip()][-12:]
        if not lines:
            return f"; it wrote nothing to {self.program.log_file}"
        return "; the end of its log " + str(self.program.log_file) + ":\n  " + "\n  ".join(lines)


def end_all(endings: Iterable[Callable[[], None]]) -> None:
    """End each, in the order given, even when one of them resists; the first failure is raised at the end."""
    failures: list[Exception] = []
    for end in endings:
        try:
            end()
        except (LabError, OSError) as error:
            failures.append(error)
    if failures:
        raise failures[0]


def processes_of(folder: Path) -> list[str]:
    """Every other process whose command line, environment or working directory names this folder."""
    wanted = os.fsencode(folder)
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to look at
                texts = [(process / "cmdline").read_bytes(), (process / "environ").read_bytes()]
                if any(wanted in text for text in [*texts, os.fsencode((process / "cwd").readlink())]):
                    found.append(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
    return found


@atexit.register
def _end_everything() -> None:
    end_all([daemon.stop for daemon in reversed(_running)])


def _how(return_code: int) -> str:
    if return_code < 0:
        return f"by signal {signal.Signals(-return_code).name}"
    return f"with exit status {return_code}"
