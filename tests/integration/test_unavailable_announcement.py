"""What the caller of an emergency call hears when no trunk is left: both media servers, no controller in either."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.embedded_scenarios import recv_response, request, scenario
from integration.freeswitch import FreeSwitch
from integration.media_server import STRANGER, Controller, MediaServer
from integration.rtp_line import Line
from lab.media import find_freeswitch
from lab.recordings import find_clips, trimmed
from lab.sipp import SCENARIOS, LoggedMessage, Outcome

SENTENCE = "emergency/unavailable"
REFUSED = (SCENARIOS / "call_refused.xml").read_text("utf-8")
#: Silence before, between and after the two times that it is said.
PAUSES_S = 0.2 + 0.5 + 0.3


@pytest.fixture(params=["embedded_server", *(["freeswitch"] if find_freeswitch() else [])])
def server(request: pytest.FixtureRequest) -> Iterator[MediaServer]:
    """A media server without a call, ready to ask the controller; the test must leave no call behind."""
    media_server: MediaServer = request.getfixturevalue(request.param)
    if isinstance(media_server, FreeSwitch):
        media_server.forget_that_the_controller_stalled()
    yield media_server
    media_server.wait_for_the_end_of_calls()


def announced(server: MediaServer, directory: Path, line: Line, *, headers: str = "", law: str = "u") -> Outcome:
    """An emergency call that the edge brings when every trunk has failed."""
    call = server.sipp(
        REFUSED, directory, calls_us=True, line=line, law=law, headers=headers, number="unavailable", code=503
    )
    return call.run()


def times_said(server: MediaServer, line: Line) -> int:
    clips = {SENTENCE: trimmed(server.clips[SENTENCE].astype(float))}
    return len(find_clips(line.sound().astype(float), clips))


def answer(outcome: Outcome, status: int) -> LoggedMessage:
    """The one answer with this status that came."""
    [found] = [m for m in outcome.messages if not m.sent and m.message and m.message.status == status]
    return found


@pytest.mark.parametrize(("law", "payload_type"), [("u", 0), ("a", 8)])
def test_the_caller_hears_twice_that_the_call_failed_and_then_it_is_refused(
    server: MediaServer, tmp_path: Path, law: str, payload_type: int
) -> None:
    with Line() as ear:
        outcome = announced(server, tmp_path, ear, law=law)
        assert outcome.ok, outcome.complaints
        assert times_said(server, ear) == 2
        assert ear.payload_types() == {payload_type}
        lasts_s = PAUSES_S + 2 * len(server.clips[SENTENCE]) / 8000
        # FreeSWITCH takes up to a tenth of a second between two parts of a playlist
        assert lasts_s - 0.1 < len(ear.sound()) / 8000 < lasts_s + 0.5
    assert outcome.statuses() == [100, 183, 503], "never a 200: the phone must know that the call failed"
    early = answer(outcome, 183)
    assert early.message
    assert early.message.one("content-type") == "application/sdp"
    assert f"RTP/AVP {payload_type}".encode() in early.message.body
    assert early.at - outcome.messages[0].at < 0.5, "it begins at once"


def test_n1_a_controller_is_not_asked_and_its_stalling_costs_no_time(server: MediaServer, tmp_path: Path) -> None:
    with Controller(server) as stalled, Line() as ear:
        outcome = announced(server, tmp_path, ear)
        assert outcome.ok, outcome.complaints
        with pytest.raises(TimeoutError):
            stalled.accept(within_s=0.1)
        assert times_said(server, ear) == 2
    assert answer(outcome, 183).at - outcome.messages[0].at < 0.5


@pytest.mark.parametrize(
    "headers",
    [
        "X-Holdfast-Callback-Number: +12025550123\nX-Holdfast-Language: en",
        "X-Holdfast-Callback-Number: none\nX-Holdfast-Language: xx",
        "X-Holdfast-Language: ../en",
    ],
)
def test_no_header_stands_between_the_caller_and_the_announcement(
    server: MediaServer, tmp_path: Path, headers: str
) -> None:
    with Line() as ear:
        outcome = announced(server, tmp_path, ear, headers=headers)
        assert outcome.ok, outcome.complaints
        assert times_said(server, ear) == 2


def test_l1_a_location_beside_the_offer_does_not_hide_the_offer(server: MediaServer, tmp_path: Path) -> None:
    head, offer = REFUSED.split("      v=0\n", 1)
    offer, rest = offer.split("    ]]>", 1)
    head = head.replace("application/sdp", "multipart/mixed; boundary=part")
    location = '--part\nContent-Type: application/pidf+xml\n\n<presence entity="pres:a@b.example"/>\n'
    parts = f"{location}--part\nContent-Type: application/sdp\n\nv=0\n{offer}--part--\n"
    body = "\n".join(f"      {line.strip()}" for line in parts.splitlines())
    with Line() as ear:
        call = server.call(tmp_path, "unavailable", scenario=f"{head}{body}\n    ]]>{rest}", code=503, line=ear)
        outcome = call.wait()
        assert outcome.ok, outcome.complaints
        assert outcome.messages[0].raw.count(b"--part\r\nContent-Type") == 2
        assert times_said(server, ear) == 2


def test_a_caller_who_hangs_up_in_the_middle_is_told_487_and_hears_no_more(server: MediaServer, tmp_path: Path) -> None:
    rings = '<recv response="183" optional="true"/>\n  <recv response="180" timeout="15000"/>'
    cancelled = (SCENARIOS / "call_cancelled.xml").read_text("utf-8")
    assert rings in cancelled
    cancelled = cancelled.replace(rings, '<recv response="183" timeout="15000"/>')
    with Line() as ear:
        outcome = server.call(tmp_path, "unavailable", scenario=cancelled, line=ear, ring_ms=300).wait()
        assert outcome.ok, outcome.complaints
        server.wait_for_the_end_of_calls()
        assert 0.2 < len(ear.sound()) / 8000 < PAUSES_S
    assert outcome.statuses() == [100, 183, 487]


def test_a_caller_who_offers_no_audio_that_can_be_played_is_refused_at_once(
    server: MediaServer, tmp_path: Path
) -> None:
    unusable = REFUSED.replace("RTP/AVP 0", "RTP/AVP 18")
    outcome = server.call(tmp_path, "unavailable", scenario=unusable, code=488).wait()
    assert outcome.ok, outcome.complaints
    assert 183 not in outcome.statuses()


def test_a_caller_who_offers_nothing_is_refused_at_once(server: MediaServer, tmp_path: Path) -> None:
    offerless = scenario(
        "offerless",
        request("INVITE", 1, answered=False),
        recv_response(100, optional="true"),
        recv_response(480),
        request("ACK", 1, answered=False).replace("{{domain}}>", "{{domain}}>[peer_tag_param]"),
    )
    outcome = server.call(tmp_path, "unavailable", scenario=offerless).wait()
    assert outcome.ok, outcome.complaints
    assert 183 not in outcome.statuses()


def test_only_the_edge_may_have_it_announced(server: MediaServer, tmp_path: Path) -> None:
    outcome = server.call(tmp_path, "unavailable", scenario=REFUSED, code=403, address=STRANGER).wait()
    assert outcome.ok, outcome.complaints
    assert 183 not in outcome.statuses()


def test_without_its_recording_the_call_is_refused_all_the_same(server: MediaServer, tmp_path: Path) -> None:
    recording = server.settings.media.prompts_dir / f"en/{SENTENCE}.wav"
    hidden = recording.rename(tmp_path / "hidden.wav")
    try:
        with Line() as ear:
            outcome = announced(server, tmp_path, ear)
    finally:
        hidden.rename(recording)
    assert outcome.ok, outcome.complaints
    assert outcome.statuses() == [100, 183, 503]
