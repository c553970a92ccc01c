"""The embedded media server and the real call controller together."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.embedded import (
    ADDRESS,
    ATTEMPTS,
    EmbeddedServer,
    line,
    running,
    wait_for_invites,
    wait_for_the_end_of_calls,
)
from lab.net import accepts_tcp
from lab.processes import Daemon, Program

_RUN = "from holdfast import settings; from holdfast.calls.controller import main; main(settings.load())"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with running(tmp_path_factory.mktemp("embedded")) as server:
        yield server


@pytest.fixture(scope="module")
def controller(server: EmbeddedServer) -> Iterator[Daemon]:
    daemon = Daemon(
        Program("controller", [sys.executable, "-c", _RUN], server.directory / "controller.log", server.environment)
    )
    daemon.start(lambda: accepts_tcp(ADDRESS, server.settings.controller.port))
    yield daemon
    daemon.stop()
    wait_for_the_end_of_calls(server)


@pytest.mark.usefixtures("controller")
def test_a7_the_controller_reads_the_number_back(server: EmbeddedServer, tmp_path: Path) -> None:
    with line() as ear:
        outcome = server.caller(tmp_path, "readback", number="+183", line=ear, duration_ms=2600).run()
    assert outcome.ok, outcome.complaints
    for name in ("readback/intro", "digits/1", "digits/8", "digits/3", "readback/again"):
        assert ear.hears(server.clips[name]), name


@pytest.mark.usefixtures("controller")
def test_the_controller_rings_again_and_tells_the_psap_that_nobody_answers(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_rings", calls=ATTEMPTS)
    with line() as psap:
        outcome = server.caller(tmp_path, "callback", scenario="call_ended_by_peer", line=psap).run()
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("CANCEL")) == ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert psap.hears(server.clips[name]), name


def test_n1_a_ringing_callback_survives_the_controllers_stall_and_so_does_the_next(
    server: EmbeddedServer, controller: Daemon, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_answers", calls=2, ring_ms=300)
    first = server.caller(tmp_path, "callback", duration_ms=200).start()
    wait_for_invites(edge, 1)
    controller.freeze()
    stalled = server.caller(tmp_path, "callback", duration_ms=200).start()
    assert first.wait().ok
    assert stalled.wait().ok
    assert edge.wait().ok
    controller.kill()
    dead = server.caller(tmp_path, "readback", duration_ms=100).run()
    assert dead.ok, dead.complaints
