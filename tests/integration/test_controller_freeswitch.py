"""The real call controller and a real FreeSWITCH together. Readback and plain callbacks: see the acceptance tests."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.calls.controller import take_over
from holdfast.esl.outbound import OutboundServer, Session
from integration.freeswitch import FreeSwitch
from integration.media_server import ATTEMPTS, real_controller, wait_for_an_invite
from integration.rtp_line import Line
from lab.processes import Daemon
from lab.recordings import clip_score
from lab.sipp import Outcome
from lab.waiting import wait_until


@pytest.fixture
def controller(freeswitch: FreeSwitch) -> Iterator[Daemon]:
    freeswitch.forget_that_the_controller_stalled()
    with real_controller(freeswitch) as daemon:
        yield daemon


@pytest.mark.usefixtures("controller")
def test_the_controller_rings_busy_phones_again_and_tells_the_psap(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    edge = freeswitch.edge(tmp_path, "uas_refuses", calls=ATTEMPTS)
    with Line() as psap:
        outcome = freeswitch.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap).wait()
        recording = psap.recording(tmp_path / "heard.wav")
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("INVITE")) == ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert clip_score(recording, freeswitch.clips[name]) > 0.9


@pytest.mark.usefixtures("controller")
def test_the_psaps_cancel_ends_the_callback(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    edge = freeswitch.edge(tmp_path, "uas_rings")
    outcome = freeswitch.call(tmp_path, "callback", scenario="call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok


def test_n1_a_ringing_callback_is_bridged_although_its_controller_was_killed(
    freeswitch: FreeSwitch, controller: Daemon, tmp_path: Path
) -> None:
    edge = freeswitch.edge(tmp_path, "uas_answers", ring_ms=1000)
    call = freeswitch.call(tmp_path, "callback", duration_ms=300)
    wait_for_an_invite(edge, within_s=10)
    controller.kill()
    assert call.wait().ok
    assert len(edge.wait().received("INVITE")) == 1


def test_n1_a_bridge_survives_a_controller_that_is_told_to_end(
    freeswitch: FreeSwitch, controller: Daemon, tmp_path: Path
) -> None:
    edge = freeswitch.edge(tmp_path, "uas_answers", echo=True)
    with Line() as psap:
        call = freeswitch.call(tmp_path, "callback", line=psap, duration_ms=2000)
        psap.talk(call)
        wait_until("two-way audio", lambda: psap.echoes() > 5, within_s=5)
        controller.stop()
        ended_at = time.monotonic()
        outcome = call.wait()
        echoes = psap.echoes(ended_at)
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert echoes > 20


def test_n1_a_stalled_controller_loses_its_call_and_wakes_without_harm(
    freeswitch: FreeSwitch, controller: Daemon, tmp_path: Path
) -> None:
    edge = freeswitch.edge(tmp_path, "uas_answers", ring_ms=100)
    controller.freeze()
    call = freeswitch.call(tmp_path, "callback", duration_ms=1500)
    wait_for_an_invite(edge, within_s=10)
    controller.thaw()
    assert call.wait().ok
    assert len(edge.wait().received("INVITE")) == 1


def test_n1_a_controller_that_dies_the_moment_it_took_a_call_leaves_the_call_to_the_dialplan(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    taken = 0

    async def take_and_let_go(session: Session) -> None:
        nonlocal taken
        await take_over(session)
        taken += 1

    async def outcome() -> Outcome:
        freeswitch.forget_that_the_controller_stalled()
        settings = freeswitch.settings.controller
        server = OutboundServer(take_and_let_go, accept_from=settings.address, on_refused=pytest.fail)
        await server.start(settings.address, settings.port)
        calls = freeswitch.call(tmp_path, "readback", calls=60, duration_ms=100)
        try:
            return await asyncio.to_thread(calls.wait)
        finally:
            await server.stop()

    assert asyncio.run(outcome()).ok
    assert taken > 0
