"""A private PostgreSQL cluster: its own data folder and unix socket in one 0700 folder, no TCP, no password anywhere.

Only the folder's owner (and root) can reach the socket, so every role may connect without a password (`trust`).
"""

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, Self

from lab.errors import LabError
from lab.processes import Daemon, Program
from lab.waiting import wait_until

DEADLINE_S = 30.0
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def postgres_program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of the newest installed version; LabError when there is none."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(folders, key=lambda folder: float(folder.parent.name), reverse=True)
    found = [str(folder / name) for folder in newest_first if (folder / name).exists()]
    path = found[0] if found else shutil.which(name)
    if path is None:
        raise LabError(f"PostgreSQL's {name} is not installed", mend="apt-get install postgresql-15")
    return path


def _unprivileged(*command: str) -> list[str]:
    """The command as the user `postgres` when we are root, whom PostgreSQL refuses to serve."""
    if os.geteuid() != 0:
        return list(command)
    # the kernel forgets a death signal when the user changes: it is set again here, after that
    who = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=QUIT"]
    return ["setpriv", *who, "--", *command]


class PrivatePostgres:
    """One cluster, from initdb to its removal. `folder` must be new or empty; by default one is made under /tmp.

    Start it from the main thread: the cluster ends when the thread that started it does (see lab.processes).
    """

    def __init__(self, folder: Path | None = None) -> None:
        # a socket's path may have 107 characters at most: a short folder of our own, not pytest's
        self.folder = folder or Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir="/tmp"))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.data = self.folder / "data"
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.folder, postgres.pw_uid, postgres.pw_gid)
        self._daemon = Daemon(Program("postgresql", self._argv(), self.folder / "postgres.log", death_signal="QUIT"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def dsn(self, user: str = "postgres", dbname: str = "postgres") -> str:
        """A libpq connection string; `postgres` is the superuser."""
        return f"host={self.folder} port=5432 dbname={dbname} user={user}"

    @property
    def running(self) -> bool:
        return self._daemon.running

    @property
    def daemon(self) -> Daemon:
        """The postmaster, to be frozen or watched."""
        return self._daemon

    def start(self) -> None:
        """Initialise on first use, then start and wait until connections are taken; NotStarted shows the log's end."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._daemon.start(self._takes_connections, within_s=DEADLINE_S)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop and wait: `smart` waits for sessions to end, `fast` ends them, `immediate` is an ordered crash."""
        self._daemon.thaw()
        self._daemon.send(_STOP_SIGNALS[mode])
        wait_until("PostgreSQL to stop", lambda: not self._daemon.running, within_s=DEADLINE_S)
        self._daemon.kill()

    def kill(self) -> None:
        """SIGKILL to the postmaster and to every process of it at once, as when the machine's power goes."""
        # PostgreSQL's processes lead process groups of their own: the daemon's group is the postmaster alone
        children = [os.pidfd_open(pid) for pid in _children(self._daemon.pid)]
        self._daemon.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # it saw the postmaster die, and ended by itself
                signal.pidfd_send_signal(child, signal.SIGKILL)
            # a pidfd is readable once its process has ended
            if not select.select([child], [], [], DEADLINE_S)[0]:
                raise LabError("a killed PostgreSQL process did not end")
            os.close(child)

    def restart(self) -> None:
        """Stop (if it runs) and start again."""
        if self.running:
            self.stop()
        self.start()

    def remove(self) -> None:
        """Stop (if it runs) and delete the folder."""
        if self.running:
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def _argv(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "timezone": "UTC",
            # what a killed PostgreSQL has written is in the kernel's cache, and this machine is not switched off
            "fsync": "off",
        }
        settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        return _unprivileged(postgres_program("postgres"), "-D", str(self.data), *settings)

    def _initialise(self) -> None:
        command = [postgres_program("initdb"), "-D", str(self.data), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        result = subprocess.run(
            _unprivileged(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            timeout=2 * DEADLINE_S,
            check=False,
        )
        if result.returncode:
            raise LabError(f"initdb: {result.stdout.decode('utf-8', 'backslashreplace')}")

    def _takes_connections(self) -> bool:
        # a killed postmaster leaves its pid file behind: the first line must be ours, the last is its state
        with contextlib.suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").split()
            return bool(lines) and lines[0] == str(self._daemon.pid) and lines[-1] == "ready"
        return False


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
