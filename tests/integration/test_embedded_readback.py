"""933 on the embedded media server: what a caller hears, with a controller and without one."""

from pathlib import Path

import pytest

from integration.embedded import EmbeddedServer
from integration.media_server import ADDRESS, STRANGER, Controller, running
from integration.rtp_line import Line
from lab.sipp import SCENARIOS
from lab.waiting import wait_until


def test_n1_without_a_controller_the_readback_says_the_number_twice(server: EmbeddedServer, tmp_path: Path) -> None:
    with Line() as ear:
        outcome = server.call(tmp_path, "readback", number="+183", scenario="call_ended_by_peer", line=ear).wait()
    assert outcome.ok, outcome.complaints
    for name in ("readback/intro", "readback/again", "readback/end", "digits/1", "digits/8", "digits/3"):
        assert ear.hears(server.clips[name]), name
    assert not ear.hears(server.clips["digits/2"])
    # three pauses of half a second, three sentences and twice three digits of 0.2 s
    assert len(ear.sound()) / 8000 == pytest.approx(3 * 0.5 + 9 * 0.2, abs=0.3)


def test_n1_a_call_is_taken_away_from_a_stalled_controller_which_is_not_asked_again(tmp_path: Path) -> None:
    with running(EmbeddedServer(tmp_path)) as server, Controller(server) as stalled:
        caller = server.call(tmp_path, "readback", duration_ms=400)
        wait_until("the fallback", lambda: "playback" in [row["application"] for row in server.channels()], within_s=10)
        with stalled.accept() as late:
            late.command("connect")
            assert late.command(f"api sched_del {late.uuid}") == "+OK Deleted: 0"
            assert late.execute("hangup").startswith("-ERR")
        following = server.call(tmp_path, "readback", duration_ms=100).wait()
        first = caller.wait()
    assert first.ok, first.complaints
    assert following.ok, following.complaints


def test_n1_a_controller_that_dies_before_it_speaks_leaves_its_call_to_the_fallback(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    with Controller(server) as dying:
        caller = server.call(tmp_path, "readback", duration_ms=200)
        dying.accept().close()
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints


def test_n1_a_readback_whose_controller_dies_ends_what_was_asked_for_and_goes_on_by_itself(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    with Controller(server) as dying, Line() as ear:
        caller = server.call(tmp_path, "readback", line=ear, duration_ms=1200)
        with dying.take() as esl:
            esl.execute("answer")
            esl.execute("playback", f"{server.directory}/prompts/en/digits/7.wav")
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    for name in ("digits/7", "readback/intro"):
        assert ear.hears(server.clips[name]), name


def test_a_controller_drives_a_readback_and_hears_of_every_step(server: EmbeddedServer, tmp_path: Path) -> None:
    prompts = server.directory / "prompts/en"
    with Controller(server) as controller, Line() as ear:
        who = '"J\udcf6rg" <sip:J%F6rg@pbx.example>'
        caller = server.call(tmp_path, "readback", scenario="call_ended_by_peer", line=ear, **{"from": who})
        with controller.take() as esl:
            channel = esl.channel
            esl.execute("answer", uuid="u-1")
            sequence = f"{prompts}/digits/1.wav!silence_stream://100!{prompts}/digits/2.wav"
            esl.execute("playback", f"file_string://{sequence}", uuid="u-2")
            esl.execute("playback", f"{prompts}/digits/none.wav", uuid="u-3")
            assert esl.event("CHANNEL_ANSWER")["Answer-State"] == "answered"
            assert esl.event("CHANNEL_EXECUTE", Application_UUID="u-2")["Application"] == "playback"
            played = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-2")
            missing = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-3")
            esl.command("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
            ended = esl.event("CHANNEL_HANGUP_COMPLETE")
            final, farewell = esl.frame()
        outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    assert channel["Caller-Caller-ID-Name"] == "J%F6rg"
    assert channel["Caller-Destination-Number"] == "readback"
    assert channel["variable_holdfast_feature"] == "readback"
    assert channel["variable_holdfast_callback_number"] == "%2B12025550123"
    assert channel["variable_sip_h_X-Holdfast-Language"] == "en"
    assert played["Application-Response"] == "FILE%20PLAYED"
    assert missing["Application-Response"] == "FILE%20NOT%20FOUND"
    assert ended["Hangup-Cause"] == "NORMAL_CLEARING"
    assert final["Content-Disposition"] == "disconnect"
    assert farewell
    assert ear.hears(server.clips["digits/1"])
    assert ear.hears(server.clips["digits/2"])


def test_a_caller_who_hangs_up_in_the_middle_interrupts_the_prompt(server: EmbeddedServer, tmp_path: Path) -> None:
    with Controller(server) as controller:
        caller = server.call(tmp_path, "readback", duration_ms=200)
        with controller.take() as esl:
            esl.execute("answer")
            esl.execute("playback", "silence_stream://-1", uuid="u-1")
            assert esl.event("CHANNEL_HANGUP")["Hangup-Cause"] == "NORMAL_CLEARING"
            interrupted = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")
            assert interrupted["Answer-State"] == "hangup"
            assert interrupted["Application-Response"] == "PLAYBACK%20ERROR"
            assert esl.event("CHANNEL_HANGUP_COMPLETE")
        assert caller.wait().ok


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (403, {"address": STRANGER}),
        (404, {"feature": "voicemail"}),
        (400, {"number": "911"}),
        (400, {"number": "+12;drop"}),
        (420, {"extra": "\nRequire: 100rel"}),
        (488, {"codec": "RTP/AVP 18"}),
    ],
)
def test_what_is_not_the_edges_or_cannot_be_served_is_refused_clearly(
    server: EmbeddedServer, tmp_path: Path, status: int, how: dict[str, str]
) -> None:
    headers = f"X-Holdfast-Callback-Number: {how.get('number', '+12025550123')}{how.get('extra', '')}"
    refused = (SCENARIOS / "call_refused.xml").read_text("utf-8").replace("RTP/AVP 0", how.get("codec", "RTP/AVP 0"))
    outcome = server.sipp(
        refused,
        tmp_path,
        calls_us=True,
        headers=headers,
        number=how.get("feature", "readback"),
        code=status,
        address=how.get("address", ADDRESS),
    ).run()
    assert outcome.ok, outcome.complaints
    assert status in outcome.statuses()
