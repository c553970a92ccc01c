"""SDP: which stream is taken, and what is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.embedded import sdp
from holdfast.embedded.sdp import Direction, LocalAudio, SdpError
from holdfast.embedded.sip_message import Request

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
LOCAL = LocalAudio(("127.0.0.1", 20000), 7)


def offer(*lines: str, head: str = HEAD) -> bytes:
    return (head + "".join(f"{line}\r\n" for line in lines)).encode()


def test_the_offerers_first_law_is_taken_and_the_preferred_one_if_it_is_offered() -> None:
    body = offer("m=audio 4000 RTP/AVP 18 8 0 96", "a=rtpmap:96 telephone-event/8000")
    taken = sdp.parse(body)
    assert (taken.address, taken.codec, taken.payload_type, taken.event_type) == (("192.0.2.1", 4000), "PCMA", 8, 96)
    assert sdp.parse(body, prefer="PCMU").codec == "PCMU"


def test_a_dynamic_payload_type_and_the_streams_own_address_and_direction_are_honoured() -> None:
    taken = sdp.parse(
        offer("a=inactive", "m=audio 4000 RTP/AVP 97", "c=IN IP6 2001:db8::1", "a=rtpmap:97 pcmu/8000/1", "a=sendonly")
    )
    assert (taken.address[0], taken.codec, taken.payload_type) == ("2001:db8::1", "PCMU", 97)
    assert taken.direction is Direction.SENDONLY
    assert not taken.wants_media


def test_every_stream_is_answered_and_only_the_audio_is_accepted() -> None:
    taken = sdp.parse(
        offer(
            "m=video 5000 RTP/AVP 31",
            "m=audio 0 RTP/AVP 0",
            "m=audio 4000 RTP/AVP 0 101",
            "a=rtpmap:101 telephone-event/8000",
        )
    )
    lines = sdp.answer(LOCAL, taken).decode().split("\r\n")
    assert [line for line in lines if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=audio 20000 RTP/AVP 0 101",
    ]
    assert "a=rtpmap:101 telephone-event/8000" in lines
    assert "a=ptime:20" in lines


@pytest.mark.parametrize(
    ("direction", "answered", "wants"),
    [
        ("sendrecv", "sendrecv", True),
        ("sendonly", "recvonly", False),
        ("recvonly", "sendonly", True),
        ("inactive", "inactive", False),
    ],
)
def test_a_hold_is_answered_by_its_mirror(direction: str, answered: str, wants: bool) -> None:
    taken = sdp.parse(offer("m=audio 4000 RTP/AVP 0", f"a={direction}"))
    assert taken.wants_media is wants
    assert f"a={answered}\r\n" in sdp.answer(LOCAL, taken).decode()


def test_the_old_way_to_hold_stops_our_sending() -> None:
    assert not sdp.parse(offer("m=audio 4000 RTP/AVP 0", head=HEAD.replace("192.0.2.1", "0.0.0.0"))).wants_media


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        offer("m=audio 4000 RTP/AVP 18"),
        offer("m=audio 4000 RTP/SAVP 0"),
        offer("m=audio 99999 RTP/AVP 0"),
        offer("m=audio 4000 RTP/AVP 0", head="v=0\r\nc=IN IP4 media.invalid\r\n"),
        offer("m=image 4000 udptl t38"),
        offer("m=audio"),
    ],
)
def test_an_offer_without_usable_audio_is_refused(body: bytes) -> None:
    with pytest.raises(SdpError):
        sdp.parse(body)


@given(st.binary(max_size=200))
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    for body in (data, offer("m=audio 4000 RTP/AVP 0") + b"\r\nm=" + data):
        try:
            assert sdp.answer(LOCAL, sdp.parse(body))
        except SdpError:
            continue


def test_our_offer_names_both_laws_and_events_and_can_be_taken() -> None:
    body = sdp.offer(LOCAL, "PCMA")
    assert b"m=audio 20000 RTP/AVP 8 0 101\r\n" in body
    assert sdp.parse(body).event_type == 101
    assert b"o=holdfast 7 2 IN IP4" in sdp.offer(LOCAL.next())


def test_sdp_is_found_in_a_multipart_body_beside_a_location() -> None:
    body = (
        b"--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n"
        b"--b\r\nContent-Type: application/sdp\r\n\r\n" + offer("m=audio 4000 RTP/AVP 0") + b"\r\n--b--\r\n"
    )
    message = Request([("content-type", 'multipart/mixed;boundary="b"')], body, "INVITE", "sip:a@b")
    assert sdp.parse(sdp.body_of(message)).address[1] == 4000
    assert sdp.body_of(Request([("content-type", "text/plain")], b"hello", "INFO", "sip:a@b")) == b""
