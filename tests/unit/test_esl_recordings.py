"""What a real FreeSWITCH sent (tests/data/esl) is read whole and the same however it is cut."""

import pytest

from holdfast.esl.frames import Event, FrameParser, event_of_connect_reply, event_of_plain
from unit.esl_doubles import DATA, Tape

NAMES = sorted(path.stem for path in DATA.glob("*.esl"))
OUTBOUND = [name for name in NAMES if not name.startswith("inbound")]


def events(name: str) -> list[Event]:
    frames = FrameParser().feed(Tape.load(name).received())
    return [event_of_plain(frame) for frame in frames if frame.content_type == "text/event-plain"]


def test_there_are_recordings() -> None:
    assert len(NAMES) == 13


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cut", [1, 61, 4096])
def test_a_recording_reads_the_same_however_it_is_cut(name: str, cut: int) -> None:
    received = Tape.load(name).received()[:40_000]
    parser = FrameParser()
    frames = [frame for at in range(0, len(received), cut) for frame in parser.feed(received[at : at + cut])]
    assert frames == FrameParser().feed(received)
    assert frames


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_over_and_every_frame_is_of_a_known_kind(name: str) -> None:
    parser = FrameParser()
    kinds = {frame.content_type for frame in parser.feed(Tape.load(name).received())}
    assert parser.state == "between"
    assert kinds <= {
        "auth/request", "command/reply", "api/response", "text/event-plain", "text/disconnect-notice",
    }  # fmt: skip


@pytest.mark.parametrize("name", OUTBOUND)
def test_the_connect_reply_tells_what_the_call_is_for(name: str) -> None:
    channel = event_of_connect_reply(FrameParser().feed(Tape.load(name).received())[0])
    assert channel.variable("holdfast_callback_number") == "+12025550123"
    assert channel.variable("holdfast_feature") in ("readback", "callback")
    assert channel.get("Reply-Text") == "+OK\n"
    assert len(channel.channel_uuid) == 36


def test_a_hangup_carries_its_cause_twice() -> None:
    (complete,) = [event for event in events("callback-psap-hangs-up") if event.name == "CHANNEL_HANGUP_COMPLETE"]
    assert complete.get_all("Hangup-Cause") == ("NORMAL_CLEARING", "NORMAL_CLEARING")


def test_a_latin_1_name_with_braces_stays_one_value() -> None:
    names = {event.get("Caller-Caller-ID-Name") for event in events("callback-cancelled")}
    assert names == {"Notruf München, {x=1}'%{y}"}  # FreeSWITCH itself makes % of the $


def test_linger_gives_two_notices_and_only_the_second_is_final() -> None:
    frames = FrameParser().feed(Tape.load("disconnect-notices").received())
    notices = [frame for frame in frames if frame.content_type == "text/disconnect-notice"]
    assert [notice.get("Content-Disposition") for notice in notices] == ["linger", "disconnect"]
    assert frames[-1] is notices[-1]
