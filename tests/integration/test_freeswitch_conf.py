"""Our FreeSWITCH configuration on a real FreeSWITCH: who may call what, what is sent, what is kept."""

import re
from pathlib import Path

import pytest

from integration.freeswitch import FreeSwitch
from integration.media_server import ADDRESS, NUMBER, PSAP, STRANGER
from integration.rtp_line import Line
from lab.net import accepts_tcp
from lab.sip_messages import SipMessage
from lab.waiting import wait_until


def refused_with(
    server: FreeSwitch, directory: Path, feature: str, number: str, code: int, address: str = ADDRESS
) -> bool:
    """Whether the call is refused with this very status code."""
    call = server.call(directory, feature, number=number, scenario="call_refused", code=code, address=address)
    return call.wait().ok


def delivered(server: FreeSwitch, directory: Path, psap: str = PSAP) -> SipMessage:
    """The INVITE that a callback, answered and ended, sends to the edge."""
    edge = server.edge(directory, "uas_answers")
    try:
        outcome = server.call(directory, "callback", **{"from": psap}, duration_ms=200).wait()
        assert outcome.ok, outcome.complaints
        return edge.wait().received("INVITE")[0]
    finally:
        edge.stop()


def test_only_the_edge_may_call(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    assert refused_with(freeswitch, tmp_path, "readback", NUMBER, 403, address=STRANGER)


def test_the_event_socket_listens_on_loopback_alone_and_wants_the_password(freeswitch: FreeSwitch) -> None:
    for password, answer in ((freeswitch.password, "+OK accepted"), ("ClueCon", "-ERR invalid")):
        with freeswitch.connection() as esl:
            assert esl.frame()[0] == {"Content-Type": "auth/request"}
            assert esl.command(f"auth {password}") == answer
    assert not accepts_tcp(STRANGER, freeswitch.settings.media.esl_port)
    assert not accepts_tcp(ADDRESS, freeswitch.settings.media.sip_port), "SIP is UDP alone"


@pytest.mark.parametrize(
    "feature", ["911", "unavailable1", "ring_1", "stalled_callback", "no_answer_", "readbackx", "+12025550123"]
)
def test_any_other_destination_is_not_found(freeswitch: FreeSwitch, tmp_path: Path, feature: str) -> None:
    assert refused_with(freeswitch, tmp_path, feature, NUMBER, 404)


@pytest.mark.parametrize(
    "number", ["", "12025550123", "+12", "+1234567890123456", "+1202555012x", "+1;x=y", "\udcff\udcfe"]
)
@pytest.mark.parametrize("feature", ["readback", "callback"])
def test_a_number_that_is_none_is_refused(freeswitch: FreeSwitch, tmp_path: Path, feature: str, number: str) -> None:
    assert refused_with(freeswitch, tmp_path, feature, number, 400)


def test_what_a_caller_sends_is_never_run_as_a_command(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    trace = tmp_path / "was-here"
    injection = f"${{system(touch {trace})}}"
    assert refused_with(freeswitch, tmp_path, "readback", injection, 400)
    user = injection.replace("{", "%7B").replace("}", "%7D").replace(" ", "%20")  # FreeSWITCH decodes these
    invite = delivered(freeswitch, tmp_path, f'"{injection}" <sip:{user}@psap.example>')
    assert invite.one("x-holdfast-leg") == "deliver"
    assert not trace.exists()


def test_d4_a_callback_is_marked_and_keeps_the_psaps_identity(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    invite = delivered(freeswitch, tmp_path)
    sip = freeswitch.settings.sip
    assert invite.start_line == f"INVITE sip:{NUMBER}@{sip.address}:{sip.port} SIP/2.0"
    assert invite.one("x-holdfast-leg") == "deliver"
    assert invite.one("priority") == "psap-callback"
    assert invite.address("from").display_name == "County 911"
    assert invite.address("from").uri.startswith("sip:+15715550199@")
    assert invite.one("user-agent") == "Holdfast"
    for absent in ("x-holdfast-callback-number", "x-holdfast-language", "remote-party-id", "p-asserted-identity"):
        assert invite.all(absent) == [], absent
    assert b"FreeSWITCH" not in invite.raw


def test_no_key_of_the_phone_ends_what_the_caller_of_a_failed_emergency_call_hears(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    with Line() as ear:
        call = freeswitch.call(tmp_path, "unavailable", scenario="call_refused", code=503, line=ear)
        [channel] = wait_until(
            "the announcement",
            lambda: [row for row in freeswitch.channels() if row["application"] == "playback"],
            within_s=5,
        )
        assert freeswitch.api(f"uuid_recv_dtmf {channel['uuid']} *#1").startswith("+OK")
        outcome = call.wait()
        whole_s = 2 * len(freeswitch.clips["emergency/unavailable"]) / 8000 + 1.0
        assert len(ear.sound()) / 8000 > whole_s - 0.1
    assert outcome.ok, outcome.complaints


def test_a_name_in_another_charset_reaches_the_phone_as_it_came(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    invite = delivered(freeswitch, tmp_path, '"Comt\udce9 \udcff, 911" <sip:+15715550199@psap.example>')
    assert b'"Comt\xe9 \xff, 911"' in invite.raw


def test_g711_alone_is_offered_without_silence_suppression(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    body = delivered(freeswitch, tmp_path).body.decode("ascii")
    assert re.findall(r"m=(\S+) \d+ RTP/AVP (.*)\r", body) == [("audio", "0 8 101")]
    assert "CN/8000" not in body
    assert "a=silenceSupp:off" in body


def test_a_psap_with_one_law_and_a_phone_with_the_other_hear_each_other(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    edge = freeswitch.edge(tmp_path, "uas_answers", law="a", echo=True)
    with Line() as psap:
        call = freeswitch.call(tmp_path, "callback", line=psap, duration_ms=1000)
        psap.talk(call)
        assert call.wait().ok
        assert psap.payload_types() == {0}
        # silence in one law is silence in the other, but for one unit in the last place
        assert psap.echoes() > 20
    assert edge.wait().ok


def test_a_call_whose_bye_was_lost_ends(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    assert freeswitch.api("global_getvar media_timeout") == "300000"
    freeswitch.api("global_setvar media_timeout=1500")
    edge = freeswitch.edge(tmp_path, "uas_answers")
    try:
        call = freeswitch.call(tmp_path, "callback", scenario="call_ended_by_peer")
        assert call.wait(within_s=10).ok
    finally:
        freeswitch.api("global_setvar media_timeout=300000")
    assert edge.wait().ok


def test_d6_nothing_of_a_call_is_written_down(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    delivered(freeswitch, tmp_path)
    assert refused_with(freeswitch, tmp_path, "unavailable", NUMBER, 503)
    freeswitch.wait_for_the_end_of_calls()
    state = freeswitch.directory / "state"
    assert {file.name for file in state.rglob("*") if file.is_file()} <= {
        "freeswitch.log", "freeswitch.xml.fsxml", "dtls-srtp.pem", "wss.pem"
    }  # fmt: skip
    for trace in (NUMBER, NUMBER[1:], "5715550199", "County 911"):
        assert trace not in freeswitch.log()
    assert "mod_cdr" not in freeswitch.api("show modules")


def test_the_log_folder_with_the_password_in_it_is_closed_to_others(freeswitch: FreeSwitch) -> None:
    folder = freeswitch.directory / "state/freeswitch/log"
    assert freeswitch.password in (folder / "freeswitch.xml.fsxml").read_text()
    assert folder.stat().st_mode & 0o077 == 0
