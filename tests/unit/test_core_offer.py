"""The session description in a body that holds more, or is broken: found byte for byte, whatever stands around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.offer import is_offer, may_hold_location, offer_in

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=J\xf6rg\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
TYPE = 'multipart/mixed;boundary="b"'


def multipart(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


OFFER = b"Content-Type: application/sdp\r\n\r\n" + SDP
WHERE = b"Content-Type: application/pidf+xml\r\n\r\n<presence/>"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TYPE, multipart(WHERE, OFFER)),
        (TYPE, multipart(OFFER, WHERE)),
        (TYPE, multipart(OFFER, WHERE, end=b"")),
        (TYPE, multipart(OFFER, *[WHERE] * 20)),
        (TYPE, multipart(OFFER, b"no header at all\r\n\r\n")),
        (TYPE, multipart(b"\xff\xfe: \xff\r\n\r\n", OFFER)),
        (TYPE, multipart(b"Content-Type: text/plain\r\n\r\n" + SDP, WHERE)),
        ("multipart/mixed", multipart(OFFER, WHERE)),
        ('multipart/mixed;boundary="other"', multipart(OFFER, WHERE)),
        ("multipart/mixed;" + "x" * 2_000, multipart(OFFER, WHERE)),
        ("", multipart(OFFER, WHERE)),
        ("application/x-unknown", SDP),
        ("application/x-unknown", b"\x00\x01\n" + SDP + b"\x00"),
        ("application/sdp", SDP),
    ],
)
def test_an_offer_is_found_whatever_stands_around_it(content_type: str, body: bytes) -> None:
    assert offer_in(content_type, body) == SDP


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TYPE, multipart(WHERE)),
        (TYPE, multipart(WHERE, end=b"")),
        ("application/pidf+xml", b"<presence>v=0</presence>"),
        ("text/plain", b"that is v=0\r\no=me"),
        ("text/plain", b"v=0\r\nnot an origin\r\n"),
        ("", b""),
    ],
)
def test_where_there_is_none_there_is_none(content_type: str, body: bytes) -> None:
    assert offer_in(content_type, body) == b""


def test_its_last_line_ends_though_the_delimiter_took_that() -> None:
    assert offer_in(TYPE, multipart(b"Content-Type: application/sdp\r\n\r\n" + SDP.rstrip())) == SDP


@pytest.mark.parametrize(
    ("content_type", "alone", "may"),
    [
        ("application/sdp", True, False),
        ("Application/SDP ; charset=utf-8", True, False),
        ("application/sdp-extra", False, False),
        ("multipart/related", False, True),
        ("APPLICATION/PIDF+XML", False, True),
        ("application/dtmf-relay", False, False),
        ("", False, True),
    ],
)
def test_which_bodies_may_say_where_somebody_is(content_type: str, alone: bool, may: bool) -> None:
    assert (is_offer(content_type), may_hold_location(content_type)) == (alone, may)


@given(st.sampled_from([TYPE, "multipart/mixed", "", "text/plain"]), st.binary(max_size=200), st.binary(max_size=200))
def test_an_offer_is_found_between_any_bytes(content_type: str, before: bytes, after: bytes) -> None:
    """A line that begins like one of its own, or a delimiter, is all that could stand there and count."""
    found = offer_in(content_type, before + b"\r\n" + SDP + b"\r\n" + after)
    assert SDP in found or b"v=0" in before or b"--b" in before + after
