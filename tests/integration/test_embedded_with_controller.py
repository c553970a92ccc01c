"""The embedded media server and the real call controller together."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.embedded import EmbeddedServer
from integration.media_server import ATTEMPTS, real_controller, wait_for_an_invite
from integration.rtp_line import Line
from lab.processes import Daemon


@pytest.fixture(scope="module")
def controller(embedded_server: EmbeddedServer) -> Iterator[Daemon]:
    with real_controller(embedded_server) as daemon:
        yield daemon


@pytest.mark.usefixtures("controller")
def test_a7_the_controller_reads_the_number_back(server: EmbeddedServer, tmp_path: Path) -> None:
    with Line() as ear:
        outcome = server.call(tmp_path, "readback", number="+183", line=ear, duration_ms=2600).wait()
    assert outcome.ok, outcome.complaints
    for name in ("readback/intro", "digits/1", "digits/8", "digits/3", "readback/again"):
        assert ear.hears(server.clips[name]), name


@pytest.mark.usefixtures("controller")
def test_the_controller_rings_again_and_tells_the_psap_that_nobody_answers(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_rings", calls=ATTEMPTS)
    with Line() as psap:
        outcome = server.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap).wait()
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("CANCEL")) == ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert psap.hears(server.clips[name]), name


def test_n1_a_ringing_callback_survives_the_controllers_stall_and_so_does_the_next(
    server: EmbeddedServer, controller: Daemon, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_answers", calls=2, ring_ms=300)
    first = server.call(tmp_path, "callback", duration_ms=200)
    wait_for_an_invite(edge, within_s=4)
    controller.freeze()
    stalled = server.call(tmp_path, "callback", duration_ms=200)
    assert first.wait().ok
    assert stalled.wait().ok
    assert edge.wait().ok
    controller.kill()
    dead = server.call(tmp_path, "readback", duration_ms=100).wait()
    assert dead.ok, dead.complaints
