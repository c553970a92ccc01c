"""The real call controller and a real FreeSWITCH together. Readback and plain callbacks: see the acceptance tests."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.calls.controller import take_over
from holdfast.esl.outbound import OutboundServer, Session
from integration.freeswitch import ADDRESS, ATTEMPTS, Line, MediaServer, requests, short_prompts
from lab.audio import Samples
from lab.net import accepts_tcp
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.recordings import clip_score
from lab.sipp import Outcome
from lab.waiting import wait_until

NUMBER = "+12025550123"
_RUN = """
from holdfast import settings
from holdfast.calls.controller import main
raise SystemExit(main(settings.load()))
"""


class Running:
    """A FreeSWITCH, the melodies that its prompts are, and the settings file of its controller."""

    def __init__(self, directory: Path, real_prompts: Path, ports: Ports) -> None:
        self.melodies: dict[str, Samples] = short_prompts(directory / "prompts", real_prompts / "en")
        self.server = MediaServer(directory, directory / "prompts", ports)
        self.file = directory / "controller.toml"
        media, controller = self.server.settings.media, self.server.settings.controller
        self.file.write_text(
            f'[node]\nname = "edge-1"\n[sip]\nport = {self.server.settings.sip.port}\n'
            f'[media]\nesl_port = {media.esl_port}\nesl_password_file = "{media.esl_password_file}"\n'
            f'prompts_dir = "{media.prompts_dir}"\n'
            f"[controller]\nport = {controller.port}\nmetrics_port = {ports.one()}\nring_s = {controller.ring_s}\n"
            f"callback_attempts = {controller.callback_attempts}\n"
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, real_prompts: Path) -> Iterator[Running]:
    ports = Ports()
    running = Running(tmp_path_factory.mktemp("freeswitch"), real_prompts, ports)
    running.server.start()
    yield running
    running.server.daemon.kill()
    ports.close()


@pytest.fixture
def controller(running: Running, tmp_path: Path) -> Iterator[Daemon]:
    environment = {"HOLDFAST_CONFIG": str(running.file)}
    daemon = Daemon(Program("controller", [sys.executable, "-c", _RUN], tmp_path / "controller.log", environment))
    daemon.start(lambda: accepts_tcp(ADDRESS, running.server.settings.controller.port))
    yield daemon
    daemon.stop()
    wait_until("every channel to end", lambda: running.server.channels() == 0, within_s=5)


@pytest.mark.usefixtures("controller")
def test_the_controller_rings_busy_phones_again_and_tells_the_psap(running: Running, tmp_path: Path) -> None:
    edge = running.server.edge(tmp_path, "uas_refuses", calls=ATTEMPTS)
    with Line() as psap:
        outcome = running.server.call(tmp_path, "callback", NUMBER, "call_ended_by_peer", line=psap).wait()
        recording = psap.recording(tmp_path / "heard.wav")
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("INVITE")) == ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert clip_score(recording, running.melodies[name]) > 0.9


@pytest.mark.usefixtures("controller")
def test_the_psaps_cancel_ends_the_callback(running: Running, tmp_path: Path) -> None:
    edge = running.server.edge(tmp_path, "uas_rings")
    outcome = running.server.call(tmp_path, "callback", NUMBER, "call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok


def test_n1_a_ringing_callback_is_bridged_although_its_controller_was_killed(
    running: Running, controller: Daemon, tmp_path: Path
) -> None:
    edge = running.server.edge(tmp_path, "uas_answers", values={"ring_ms": "1000"})
    call = running.server.call(tmp_path, "callback", NUMBER, values={"duration_ms": "300"})
    wait_until("the phone to ring", lambda: requests(edge) == 1, within_s=10)
    controller.kill()
    assert call.wait().ok
    assert len(edge.wait().received("INVITE")) == 1


def test_n1_a_bridge_survives_a_controller_that_is_told_to_end(
    running: Running, controller: Daemon, tmp_path: Path
) -> None:
    edge = running.server.edge(tmp_path, "uas_answers", echo=True)
    with Line() as psap:
        call = running.server.call(tmp_path, "callback", NUMBER, line=psap, values={"duration_ms": "2000"})
        psap.talk(call)
        wait_until("two-way audio", lambda: psap.echoes_since(0) > 5, within_s=5)
        controller.stop()
        ended_at = time.time()
        outcome = call.wait()
        echoes = psap.echoes_since(ended_at)
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert echoes > 20


def test_n1_a_stalled_controller_loses_its_call_and_wakes_without_harm(
    running: Running, controller: Daemon, tmp_path: Path
) -> None:
    edge = running.server.edge(tmp_path, "uas_answers", values={"ring_ms": "100"})
    controller.freeze()
    call = running.server.call(tmp_path, "callback", NUMBER, values={"duration_ms": "1500"})
    wait_until("the phone to ring", lambda: requests(edge) == 1, within_s=10)
    controller.thaw()
    assert call.wait().ok
    assert len(edge.wait().received("INVITE")) == 1


def test_n1_a_controller_that_dies_the_moment_it_took_a_call_leaves_the_call_to_the_dialplan(
    running: Running, tmp_path: Path
) -> None:
    taken = 0

    async def take_and_let_go(session: Session) -> None:
        nonlocal taken
        await take_over(session)
        taken += 1

    async def outcome() -> Outcome:
        running.server.forget_that_the_controller_stalled()
        settings = running.server.settings.controller
        server = OutboundServer(take_and_let_go, accept_from=settings.address, on_refused=pytest.fail)
        await server.start(settings.address, settings.port)
        calls = running.server.call(tmp_path, "readback", NUMBER, calls=60, values={"duration_ms": "100"})
        try:
            return await asyncio.to_thread(calls.wait)
        finally:
            await server.stop()

    assert asyncio.run(outcome()).ok
    assert taken > 0
