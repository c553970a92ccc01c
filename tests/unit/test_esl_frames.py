"""The frame parser: whatever bytes come and however they are cut, no header is forged and no call is lost to a name."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import EslProtocolError
from holdfast.esl.frames import (
    TRANSITIONS,
    Frame,
    FrameParser,
    ParserState,
    Token,
    event_of_connect_reply,
    event_of_plain,
)

REPLY = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
EVENT_BODY = b"Event-Name: HEARTBEAT\nUp-Time: 0%20years\n\n"
EVENT = b"Content-Length: %d\nContent-Type: text/event-plain\n\n%s" % (len(EVENT_BODY), EVENT_BODY)


def parsed(data: bytes, *, cut: int | None = None) -> list[Frame]:
    parser = FrameParser()
    pieces = [data] if cut is None else [data[at : at + cut] for at in range(0, len(data), cut)]
    return [frame for piece in pieces for frame in parser.feed(piece)]


def test_a_reply_and_an_event_with_a_body_are_two_frames() -> None:
    reply, event = parsed(REPLY + EVENT)
    assert reply == Frame((("Content-Type", "command/reply"), ("Reply-Text", "+OK accepted")))
    assert (event.content_type, event.body) == ("text/event-plain", EVENT_BODY)


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_frames_do_not_depend_on_where_the_bytes_are_cut(cut: int) -> None:
    data = b"\n\r\n" + REPLY + EVENT + b"\n" + REPLY
    assert parsed(data, cut=cut) == parsed(data)


@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_bodies_of_any_bytes_come_through_whole(bodies: list[bytes], cut: int) -> None:
    data = b"".join(b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body) for body in bodies)
    assert [frame.body for frame in parsed(data, cut=cut)] == bodies


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_frames_or_a_protocol_error_and_nothing_else(data: bytes, cut: int) -> None:
    try:
        parsed(data, cut=cut)
    except EslProtocolError:
        return


def test_duplicate_headers_are_kept_in_order() -> None:
    (frame,) = parsed(b"Hangup-Cause: USER_BUSY\nA: 1\nhangup-cause: NO_ANSWER\n\n")
    assert frame.get_all("Hangup-Cause") == ("USER_BUSY", "NO_ANSWER")
    assert frame.get("Hangup-Cause") == "USER_BUSY"
    assert frame.get("Absent", "fallback") == "fallback"


@pytest.mark.parametrize(
    ("raw", "read"),
    [(b"J\xf6rg", "Jörg"), ("Jörg".encode(), "Jörg"), (b"a\0b", "a\0b"), (b"a\rNext: x", "a\rNext: x")],
)
def test_a_value_may_hold_any_bytes_but_a_line_feed(raw: bytes, read: str) -> None:
    (frame,) = parsed(b"Caller-Name: " + raw + b"\nNext: 1\n\n")
    assert frame.headers == (("Caller-Name", read), ("Next", "1"))


def test_lines_may_end_in_carriage_return_and_line_feed() -> None:
    assert parsed(REPLY.replace(b"\n", b"\r\n")) == parsed(REPLY)


@pytest.mark.parametrize(
    "length", [b"-1", b"", b"12a", b"0x10", b"1e3", b"99999999999", "٣".encode(), b"4194305", b"1 2", b"+5"]
)
def test_a_content_length_that_is_no_usable_number_breaks_the_connection(length: bytes) -> None:
    with pytest.raises(EslProtocolError):
        parsed(b"Content-Length: " + length + b"\n\n")


def test_two_content_lengths_that_differ_break_the_connection_and_equal_ones_do_not() -> None:
    with pytest.raises(EslProtocolError):
        parsed(b"Content-Length: 1\nContent-Length: 2\n\nab")
    assert parsed(b"Content-Length: 1\nContent-Length: 1\n\na")[0].body == b"a"


def test_a_space_before_the_colon_does_not_make_a_content_length() -> None:
    frames = parsed(b"Content-Length : 5\n\nA: 1\n\n")
    assert [frame.body for frame in frames] == [b"", b""]


@pytest.mark.parametrize("line", [b"no colon here", b": no name", b" folded: value", b"\tfolded: value", b"\0"])
def test_a_line_that_is_no_header_breaks_the_connection(line: bytes) -> None:
    parser = FrameParser()
    with pytest.raises(EslProtocolError):
        parser.feed(b"A: 1\n" + line + b"\n\n")
    assert parser.state is ParserState.BROKEN
    with pytest.raises(EslProtocolError):
        parser.feed(REPLY)


@pytest.mark.parametrize("cut", [1 << 20, 1000])
def test_a_header_block_that_never_ends_is_given_up_at_the_limit(cut: int) -> None:
    for data in (b"A: " + b"x" * 70_000, b"A: 1\n" * 14_000):
        with pytest.raises(EslProtocolError, match="65536"):
            parsed(data, cut=cut)


def test_limits_are_exact() -> None:
    parser = FrameParser(max_header_bytes=20, max_body_bytes=3)
    block = b"Content-Length: 3\n\n"
    assert parser.feed(block + b"abc" + block + b"abc")[1].body == b"abc"
    with pytest.raises(EslProtocolError):
        parser.feed(b"Content-Length: 4\n\n")


def test_empty_lines_between_frames_never_count_against_the_limit() -> None:
    assert parsed(b"\n" * 200_000 + REPLY) == parsed(REPLY)


def test_every_transition_that_the_parser_can_meet_is_in_the_table() -> None:
    possible = set(itertools.product((ParserState.BETWEEN, ParserState.HEADERS), (Token.HEADER_LINE, Token.VIOLATION)))
    possible |= {(ParserState.BETWEEN, Token.EMPTY_LINE), (ParserState.HEADERS, Token.EMPTY_LINE)}
    possible |= {(ParserState.HEADERS, Token.EMPTY_LINE_BEFORE_BODY), (ParserState.BODY, Token.BODY_COMPLETE)}
    assert set(TRANSITIONS) == possible


def event_frame(body: bytes) -> Frame:
    return Frame((("Content-Type", "text/event-plain"),), body)


def test_an_encoded_newline_in_a_callers_name_forges_no_header() -> None:
    event = event_of_plain(event_frame(b"Event-Name: CHANNEL_HANGUP\nCaller-Name: x%0AUnique-ID: forged%0A%0A\n\n"))
    assert event.channel_uuid == ""
    assert event.get("Caller-Name") == "x\nUnique-ID: forged\n\n"


def test_an_encoded_latin_1_name_is_readable() -> None:
    assert event_of_plain(event_frame(b"Caller-Name: J%F6rg\n\n")).get("Caller-Name") == "Jörg"
    assert event_of_plain(event_frame(b"Caller-Name: J%C3%B6rg%ZZ%\n\n")).get("Caller-Name") == "Jörg%ZZ%"


def test_an_event_has_a_body_of_the_length_it_says() -> None:
    assert event_of_plain(event_frame(b"A: 1\nContent-Length: 5\n\na\n\nbc")).body == b"a\n\nbc"
    for body in (b"A: 1\nContent-Length: 5\n\nabc", b"A: 1\n\nleft over", b"A: 1\n", b"", b"no header\n\n"):
        with pytest.raises(EslProtocolError):
            event_of_plain(event_frame(body))


def test_the_connect_reply_is_decoded_and_other_replies_are_not() -> None:
    (frame,) = parsed(b"Unique-ID: abc\nvariable_x: %2B1\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n\n")
    assert event_of_connect_reply(frame).variable("x") == "+1"
    assert frame.get("variable_x") == "%2B1"
