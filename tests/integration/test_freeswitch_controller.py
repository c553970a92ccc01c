"""N1 on a real FreeSWITCH: what a call costs and where it goes when the controller is away, stalls or dies."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.esl_peer import EslPeer
from integration.freeswitch import FreeSwitch
from integration.media_server import ATTEMPTS, Controller, requests, wait_for_an_invite
from integration.rtp_line import Line
from lab.recordings import clip_score, digits_heard
from lab.waiting import wait_until


@pytest.fixture
def server(freeswitch: FreeSwitch) -> Iterator[FreeSwitch]:
    """FreeSWITCH without a call, asking the controller; the test must leave no call behind."""
    freeswitch.forget_that_the_controller_stalled()
    yield freeswitch
    freeswitch.wait_for_the_end_of_calls()


def ring_the_phone(server: FreeSwitch, esl: EslPeer, leg_timeout_s: int) -> None:
    """What the controller does with a callback."""
    esl.execute("ring_ready")
    esl.execute("bridge", server.dial(leg_timeout_s))


def test_n1_without_a_controller_the_readback_says_the_number_twice(server: FreeSwitch, tmp_path: Path) -> None:
    with Line() as ear:
        outcome = server.call(tmp_path, "readback", number="+183", scenario="call_ended_by_peer", line=ear).wait()
        recording = ear.recording(tmp_path / "heard.wav")
        payload_types = ear.payload_types()
    assert outcome.ok, outcome.complaints
    assert server.api("global_getvar holdfast_controller_stalled") == "false"
    assert digits_heard(recording, server.settings.media.prompts_dir / "en/digits") == "183" * 2
    for name in ("readback/intro", "readback/again", "readback/end"):
        assert clip_score(recording, server.clips[name]) > 0.9
    assert payload_types == {0}, "G.711 alone: no comfort noise in the pauses"


def test_n1_a_stalled_controller_loses_its_calls_to_the_dialplan(server: FreeSwitch, tmp_path: Path) -> None:
    # ten calls a second: so they begin at every phase of the second that the dead man's switch counts in
    with Controller(server):
        outcome = server.call(tmp_path, "readback", calls=20, duration_ms=200).wait()
    assert outcome.ok, outcome.complaints
    assert server.api("global_getvar holdfast_controller_stalled") == "true"


def test_n1_a_stalled_controller_is_not_asked_again_for_a_while(server: FreeSwitch, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_rings")
    with Controller(server) as stalled:
        first = server.call(tmp_path, "callback", scenario="call_cancelled", ring_ms=100)
        with stalled.accept():
            assert first.wait().ok
        assert server.call(tmp_path, "readback", duration_ms=100).wait().ok
        with pytest.raises(TimeoutError):
            stalled.accept(within_s=0.1)
    assert edge.wait().ok
    assert "sched_api_function" in server.api("show tasks"), "it is asked again later"


def test_n1_a_controller_that_wakes_too_late_is_told_that_the_call_is_not_its_own(
    server: FreeSwitch, tmp_path: Path
) -> None:
    with Controller(server) as stalled:
        call = server.call(tmp_path, "readback", duration_ms=1000)
        wait_until("the fallback", lambda: "playback" in server.api("show channels"), within_s=10)
        with stalled.accept() as late:
            late.command("connect")
            assert late.command(f"api sched_del {late.uuid}") == "+OK Deleted: 0"
        assert call.wait().ok


def test_n1_a_controller_that_dies_before_it_speaks_loses_its_call_to_the_dialplan(
    server: FreeSwitch, tmp_path: Path
) -> None:
    with Controller(server) as dying:
        call = server.call(tmp_path, "readback", duration_ms=200)
        dying.accept().close()
        assert call.wait().ok


def test_n1_a_readback_whose_controller_dies_goes_on_by_itself(server: FreeSwitch, tmp_path: Path) -> None:
    with Controller(server) as dying, Line() as ear:
        call = server.call(tmp_path, "readback", number="+183", line=ear, duration_ms=5000)
        with dying.take() as esl:
            esl.execute("answer")
            esl.execute("playback", "silence_stream://300")
        assert call.wait().ok
        recording = ear.recording(tmp_path / "heard.wav")
    assert digits_heard(recording, server.settings.media.prompts_dir / "en/digits").startswith("183")


def test_n1_without_a_controller_a_callback_is_tried_again_and_ends_with_an_announcement(
    server: FreeSwitch, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_refuses", calls=ATTEMPTS)
    with Line() as psap:
        outcome = server.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap).wait()
        recording = psap.recording(tmp_path / "heard.wav")
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("INVITE")) == ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert clip_score(recording, server.clips[name]) > 0.9


def test_n1_the_psaps_cancel_ends_the_callback_everywhere(server: FreeSwitch, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_rings")
    outcome = server.call(tmp_path, "callback", scenario="call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert requests(edge) == 1


def test_n1_a_phone_goes_on_ringing_and_is_bridged_when_the_controller_dies(server: FreeSwitch, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_answers", echo=True, ring_ms=1200)
    with Controller(server) as dying, Line() as psap:
        call = server.call(tmp_path, "callback", line=psap, duration_ms=1000)
        with dying.take() as esl:
            ring_the_phone(server, esl, leg_timeout_s=5)
            wait_for_an_invite(edge, within_s=10)
        psap.talk(call)
        outcome = call.wait()
        assert psap.echoes() > 20
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert requests(edge) == 1


def test_n1_a_callback_is_tried_again_when_the_controller_dies_while_it_rings(
    server: FreeSwitch, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_rings", calls=1 + ATTEMPTS)
    with Controller(server) as dying:
        call = server.call(tmp_path, "callback", scenario="call_ended_by_peer")
        with dying.take() as esl:
            ring_the_phone(server, esl, leg_timeout_s=1)
            wait_for_an_invite(edge, within_s=10)
    assert call.wait().ok
    outcome = edge.wait()
    assert outcome.ok, outcome.complaints
    assert requests(edge) == requests(edge, "CANCEL") == 1 + ATTEMPTS


def test_n1_an_established_bridge_survives_the_controller(server: FreeSwitch, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_answers", echo=True)
    with Controller(server) as dying, Line() as psap:
        call = server.call(tmp_path, "callback", line=psap, duration_ms=2500)
        with dying.take() as esl:
            ring_the_phone(server, esl, leg_timeout_s=5)
            psap.talk(call)
            wait_until("two-way audio", lambda: psap.echoes() > 5, within_s=5)
        died_at = time.monotonic()
        outcome = call.wait()
        assert psap.echoes(died_at + 0.2) > 50
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert requests(edge) == 1
