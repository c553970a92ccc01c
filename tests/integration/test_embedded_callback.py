"""A PSAP's callback on the embedded media server: the bridge, and the controller's absence and death."""

import time
from pathlib import Path

import pytest

from integration.embedded import EmbeddedServer
from integration.media_server import ATTEMPTS, NUMBER, Controller, wait_for_an_invite
from integration.rtp_line import Line
from lab.waiting import wait_until


def test_n1_without_a_controller_a_callback_is_marked_and_delivered_with_two_way_audio(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    psap_name = '"Poste de s\udce9curit\udce9" <sip:+15715550199@psap.example>'
    edge = server.edge(tmp_path, "uas_answers", echo=True)
    with Line() as psap:
        caller = server.call(tmp_path, "callback", line=psap, duration_ms=500, **{"from": psap_name})
        outcome = caller.wait()
        echoes = psap.echoes()
    delivered = edge.wait()
    assert outcome.ok, outcome.complaints
    assert delivered.ok, delivered.complaints
    assert outcome.statuses()[:2] == [100, 180]
    assert echoes > 12
    [invite] = delivered.received("INVITE")
    assert invite.raw.startswith(f"INVITE sip:{NUMBER}@".encode())
    assert invite.one("X-Holdfast-Leg") == "deliver"
    assert invite.one("Priority") == "psap-callback"
    assert b'From: "Poste de s\xe9curit\xe9" <sip:+15715550199@' in invite.raw
    assert b"X-Holdfast-Callback-Number" not in invite.raw
    assert b"RTP/AVP 0 8 101" in invite.raw


def test_a_controller_hears_of_a_bridge_that_is_answered_and_ended(server: EmbeddedServer, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_hangs_up", duration_ms=200)
    with Controller(server) as controller:
        caller = server.call(tmp_path, "callback", scenario="call_ended_by_peer")
        with controller.take() as esl:
            esl.execute("set", "hangup_after_bridge=true")
            esl.execute("ring_ready")
            esl.execute("bridge", server.dial(5), uuid="u-1")
            assert esl.event("CHANNEL_PROGRESS")["Answer-State"] == "ringing"
            assert esl.event("CHANNEL_ANSWER")["Unique-ID"] == esl.uuid
            bridged = esl.event("CHANNEL_BRIDGE")
            assert bridged["variable_originate_disposition"] == "SUCCESS"
            assert bridged["Other-Leg-Unique-ID"] == bridged["Bridge-B-Unique-ID"] != esl.uuid
            assert esl.event("CHANNEL_UNBRIDGE")
            assert esl.event("CHANNEL_HANGUP")
            assert esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")["Application"] == "bridge"
            assert esl.event("CHANNEL_HANGUP_COMPLETE")["variable_originate_disposition"] == "SUCCESS"
        assert caller.wait().ok
    assert edge.wait().ok


@pytest.mark.parametrize(
    ("scenario", "code", "cause"),
    [("uas_refuses", 486, "USER_BUSY"), ("uas_rings", 0, "ALLOTTED_TIMEOUT")],
)
def test_a_controller_hears_why_a_phone_was_not_reached_and_still_has_the_psap(
    server: EmbeddedServer, tmp_path: Path, scenario: str, code: int, cause: str
) -> None:
    edge = server.edge(tmp_path, scenario, code=code)
    with Controller(server) as controller, Line() as psap:
        caller = server.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap)
        with controller.take() as esl:
            esl.execute("set", "continue_on_fail=true")
            esl.execute("bridge", server.dial(1), uuid="u-1")
            failed = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")
            esl.execute("answer")
            esl.execute("playback", f"{server.directory}/prompts/en/callback/no_answer_again.wav")
            esl.execute("hangup", "NO_ANSWER")
            assert esl.event("CHANNEL_HANGUP_COMPLETE")["Hangup-Cause"] == "NO_ANSWER"
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert failed["variable_originate_disposition"] == cause
    assert failed["Application-Response"] == "_none_"
    assert failed["Answer-State"] == "ringing"
    assert psap.hears(server.clips["callback/no_answer_again"])


def test_an_answered_psap_hears_ringback_while_the_phones_ring_again(server: EmbeddedServer, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_rings")
    with Controller(server) as controller, Line() as psap:
        caller = server.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap)
        with controller.take() as esl:
            for variable in ("continue_on_fail=true", "transfer_ringback=tone_stream://%(300,200,440,480);loops=-1"):
                esl.execute("set", variable)
            esl.execute("answer")
            esl.execute("bridge", server.dial(1), uuid="u-1")
            assert esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")
            esl.execute("hangup", "NO_ANSWER")
            assert caller.wait().ok
    assert edge.wait().ok
    sound = psap.sound().astype(float)
    loud = (sound[: len(sound) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1) > 1e6
    assert loud.sum() > 10  # of 50 packets, three fifths


def test_without_continue_on_fail_the_psap_is_refused_as_the_phone_refused(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_refuses", code=486)
    with Controller(server) as controller:
        caller = server.call(tmp_path, "callback", scenario="call_refused", code=486)
        with controller.take() as esl:
            esl.execute("set", "continue_on_fail=false")
            esl.execute("bridge", server.dial(3))
            assert esl.event("CHANNEL_HANGUP_COMPLETE")["Hangup-Cause"] == "USER_BUSY"
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok


def test_n1_the_psaps_cancel_ends_the_callback_everywhere(server: EmbeddedServer, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_rings")
    outcome = server.call(tmp_path, "callback", scenario="call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok


def test_n1_a_phone_that_rings_goes_on_ringing_and_is_bridged_when_the_controller_dies(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_answers", ring_ms=300, echo=True)
    with Controller(server) as dying, Line() as psap:
        caller = server.call(tmp_path, "callback", line=psap, duration_ms=400)
        with dying.take() as esl:
            esl.execute("set", "hangup_after_bridge=true")
            esl.execute("ring_ready")
            esl.execute("bridge", server.dial(5))
            wait_for_an_invite(edge, within_s=4)
        outcome = caller.wait()
        echoes = psap.echoes()
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("INVITE")) == 1
    assert echoes > 8


def test_n1_an_established_bridge_survives_the_controller(server: EmbeddedServer, tmp_path: Path) -> None:
    edge = server.edge(tmp_path, "uas_answers", ring_ms=0, echo=True)
    with Controller(server) as dying, Line() as psap:
        caller = server.call(tmp_path, "callback", line=psap, duration_ms=800)
        with dying.take() as esl:
            esl.execute("set", "hangup_after_bridge=true")
            esl.execute("bridge", server.dial(5))
            wait_until("two-way audio", lambda: psap.echoes() > 5, within_s=4)
        died = time.monotonic()
        outcome = caller.wait()
        echoes = psap.echoes(died + 0.1)
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert echoes > 12


def test_n1_a_callback_is_tried_again_when_the_controller_dies_while_it_rings(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, "uas_refuses", calls=1 + ATTEMPTS, code=480)
    with Controller(server) as dying, Line() as psap:
        caller = server.call(tmp_path, "callback", scenario="call_ended_by_peer", line=psap)
        with dying.take() as esl:
            esl.execute("set", "continue_on_fail=true")
            esl.execute("bridge", server.dial(5))
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    assert len(edge.wait().received("INVITE")) == 1 + ATTEMPTS
    for name in ("callback/no_answer_again", "callback/no_answer_end"):
        assert psap.hears(server.clips[name]), name


@pytest.mark.parametrize(
    "dial", ["sofia/holdfast/sip:a@192.0.2.9", "user/1000", "{leg_timeout=x}sofia/holdfast/sip:a@127.0.0.1"]
)
def test_a_bridge_to_anything_but_the_edge_fails_and_dials_nothing(
    server: EmbeddedServer, tmp_path: Path, dial: str
) -> None:
    with Controller(server) as controller:
        caller = server.call(tmp_path, "callback", scenario="call_refused", code=502)
        with controller.take() as esl:
            esl.execute("set", "continue_on_fail=false")
            esl.execute("bridge", dial, uuid="u-1")
            failed = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")
        assert caller.wait().ok
    assert failed["variable_originate_disposition"] == "DESTINATION_OUT_OF_ORDER"
