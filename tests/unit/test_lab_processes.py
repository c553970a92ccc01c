"""Daemons of the lab: ready when they say so, ended with everything they started, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.errors import LabError, NotStarted, PortInUse, Timeout
from lab.ports import BLOCK_SIZE, Ports, is_free, require_free
from lab.processes import Daemon, Program
from lab.waiting import wait_until

TESTS = Path(__file__).parents[1]


def daemon(folder: Path, script: str, *, stop_within_s: float = 5.0) -> Daemon:
    return Daemon(Program("daemon", ["sh", "-c", script], folder / "daemon.log", stop_within_s=stop_within_s))


def state_of(pid: int) -> str:
    """The state letter of /proc/<pid>/stat; empty when there is no such process."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return ""


def gone(pid: int) -> bool:
    return state_of(pid) in {"", "Z"}


def test_a_daemon_is_started_when_it_is_ready_and_stopped_by_term(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    one = daemon(tmp_path, f"trap 'echo bye; exit 0' TERM; touch {ready}; sleep 60 & wait")
    one.start(ready.exists)
    assert one.running
    with pytest.raises(LabError, match="running already"):
        one.start(ready.exists)
    one.send(signal.SIGTERM)
    assert one.wait(within_s=5) == 0
    assert not one.running
    assert one.log() == "bye\n"


def test_a_daemon_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=r"exit status 3.*\n  cannot open: no such thing"):
        daemon(tmp_path, "echo cannot open: no such thing; exit 3").start(lambda: False)
    with pytest.raises(NotStarted, match="wrote nothing"):
        daemon(tmp_path / "silent", "kill -SEGV $$").start(lambda: False)


def test_a_daemon_that_does_not_come_up_in_time_is_ended(tmp_path: Path) -> None:
    one = daemon(tmp_path, "exec sleep 60")
    with pytest.raises(NotStarted, match=r"waited 0\.1 s for daemon to come up"):
        one.start(lambda: False, within_s=0.1)
    assert not one.running


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="no-such-program"):
        Daemon(Program("x", ["no-such-program"], tmp_path / "x.log")).start(lambda: False)


def test_stopping_ends_what_resists_term_and_what_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"trap '' TERM; sleep 60 & echo $! > {child}.new; mv {child}.new {child}; wait; sleep 60"
    one = daemon(tmp_path, script, stop_within_s=0.1)
    one.start(child.exists)
    one.stop()
    one.stop()
    assert not one.running
    wait_until("the child to end", lambda: gone(int(child.read_text())), within_s=5)


def test_a_daemon_stalls_and_goes_on(tmp_path: Path) -> None:
    one = daemon(tmp_path, "exec sleep 60")
    one.start(lambda: True)
    one.freeze()
    wait_until("it to stall", lambda: state_of(one.pid) == "T", within_s=5)
    one.thaw()
    wait_until("it to go on", lambda: state_of(one.pid) == "S", within_s=5)
    one.freeze()
    one.stop()
    assert not one.running


def test_a_group_that_was_ended_is_signalled_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pid may belong to somebody else by then."""
    one = daemon(tmp_path, "exit 0")
    one.launch()
    assert one.wait(within_s=5) == 0
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: signalled.append(group))
    one.stop()
    one.kill()
    assert not signalled


def test_a_wait_for_an_end_that_does_not_come_has_a_deadline(tmp_path: Path) -> None:
    one = daemon(tmp_path, "exec sleep 60")
    one.start(lambda: True)
    with pytest.raises(Timeout, match="did not end within"):
        one.wait(within_s=0.05)
    one.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_daemons_die_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    script = (
        "import pathlib, signal, sys; from lab.processes import *\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "folder = pathlib.Path(sys.argv[1]); one = Daemon(Program('x', ['sleep', '60'], folder / 'x.log'))\n"
        "one.start(lambda: True); (folder / 'new').write_text(str(one.pid)); (folder / 'new').rename(folder / 'pid')\n"
        "signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.DEVNULL,
    )
    wait_until("the daemon", (tmp_path / "pid").exists, within_s=10)
    parent.send_signal(end)
    parent.wait(10)
    wait_until("the daemon to end", lambda: gone(int((tmp_path / "pid").read_text())), within_s=5)


def test_two_labs_get_different_ports_and_free_ones() -> None:
    one, other = Ports(), Ports()
    assert one.first != other.first
    port = one.one()
    assert is_free("127.0.0.1", port)
    first, last = one.block(11)
    assert first % 2 == 0
    assert (last - first, first > port) == (10, True)
    with pytest.raises(LabError, match="used up"):
        one.block(BLOCK_SIZE)
    one.close()
    other.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_reported_with_the_process_that_holds_it(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        expected = rf"Kamailio needs port {port} on 127\.0\.0\.1.*\(pid {os.getpid()}\)"
        with pytest.raises(PortInUse, match=expected) as info:
            require_free("Kamailio", "127.0.0.1", port, "end it")
        assert info.value.mend == "end it"
    require_free("Kamailio", "127.0.0.1", port, "end it")
