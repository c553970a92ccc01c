"""The event socket's bytes: commands in, replies and events out, and the real client as the reader."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.embedded import esl_frames
from holdfast.embedded.esl_frames import Command, CommandReader
from holdfast.errors import EslProtocolError
from holdfast.esl.frames import FrameParser, event_of_plain

STREAM = (
    b"\n\nconnect\n\nsendmsg\r\nCall-Command: execute\r\nexecute-app-arg: a: b\r\ncontent-length: 5\r\n\r\n1\n\n2\n"
    b"api status\n\n"
)
COMMANDS = [
    Command("connect"),
    Command("sendmsg", {"call-command": "execute", "execute-app-arg": "a: b", "content-length": "5"}, "1\n\n2\n"),
    Command("api status"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_commands_are_the_same_in_whatever_pieces_they_come(cuts: list[int]) -> None:
    reader = CommandReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [command for start, end in itertools.pairwise(edges) for command in reader.feed(STREAM[start:end])]
    assert found == COMMANDS
    assert (found[2].verb, found[2].argument) == ("api", "status")


@given(st.binary(max_size=200))
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    try:
        for command in CommandReader().feed(data + b"\n\n"):
            assert isinstance(command.verb, str)
    except EslProtocolError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"a" * 70_000,
        b"sendmsg\nContent-Length: 2000000\n\n",
        b"sendmsg\nContent-Length: -1\n\n",
        b"x\nContent-Length: \n\n",
    ],
)
def test_what_never_ends_or_lies_about_its_length_is_refused(data: bytes) -> None:
    with pytest.raises(EslProtocolError):
        CommandReader().feed(data)


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_an_events_value_comes_back_from_the_real_client_byte_for_byte(value: str) -> None:
    wire = esl_frames.plain_event([("Event-Name", "CHANNEL_ANSWER"), ("Caller-Caller-ID-Name", value)])
    [frame] = FrameParser().feed(wire)
    event = event_of_plain(frame)
    assert len(event.headers) == 2
    found = event.get("Caller-Caller-ID-Name")
    # the client shows bytes as UTF-8 where they are UTF-8
    assert found in (value, value.encode("latin-1").decode("utf-8", "replace"))


def test_values_are_escaped_as_freeswitch_escapes_them() -> None:
    assert esl_frames.escape("+1 (202) a/b_c-d.e~%\n\xf6") == "%2B1%20(202)%20a/b_c-d.e~%25%0A%F6"


def test_replies_and_notices_have_freeswitchs_form_and_cannot_be_forged() -> None:
    assert esl_frames.command_reply("-ERR a\n\nb") == b"Content-Type: command/reply\nReply-Text: -ERR a b\n\n"
    assert esl_frames.api_response("+OK\n") == b"Content-Type: api/response\nContent-Length: 4\n\n+OK\n"
    assert b"Content-Disposition: linger\nChannel-Name: a b\n" in esl_frames.linger_notice("u", "a\nb")
    frames = FrameParser().feed(esl_frames.disconnect_notice("u") + esl_frames.disconnect_notice())
    assert [frame.get("Content-Disposition") for frame in frames] == ["disconnect", ""]
    assert frames[0].body == esl_frames.GOODBYE.encode()
