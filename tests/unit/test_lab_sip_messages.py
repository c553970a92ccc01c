"""The lab's SIP parser: strict about what is not SIP, exact about what is."""

import pytest

from lab.sip_messages import SipParseError, declared_length, parse, parse_address, split_values

INVITE = (
    b"INVITE sip:911@10.0.0.1:5060;transport=udp SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK2, SIP/2.0/UDP 10.0.0.4\r\n"
    b'f: "Doe, \\"J\\" <x>" <sip:+12025550100:secret@10.0.0.2;user=phone>;tag=a\r\n'
    b"To: <sip:911@10.0.0.1>\r\n"
    b"Subject: one\r\n two\r\n"
    b"i: abc\r\nCSeq: 7 INVITE\r\nl: 4\r\n\r\nv=0\n"
)


def test_compact_and_folded_headers_are_read_as_their_long_forms() -> None:
    message = parse(INVITE)
    assert (message.method, message.request_uri, message.call_id) == (
        "INVITE",
        "sip:911@10.0.0.1:5060;transport=udp",
        "abc",
    )
    assert message.one("subject") == "one two"
    assert len(message.values("Via")) == 3
    assert message.body == b"v=0\n"


def test_an_address_gives_its_display_name_user_host_and_parameters() -> None:
    address = parse(INVITE).address("From")
    assert (address.display_name, address.user, address.host) == ('Doe, "J" <x>', "+12025550100", "10.0.0.2")
    assert address.parameters == {"tag": "a"}


def test_parameters_of_an_address_without_brackets_are_the_headers() -> None:
    address = parse_address("sip:911@[2001:db8::1]:5060;tag=x")
    assert (address.uri, address.host, address.parameters) == (
        "sip:911@[2001:db8::1]:5060",
        "[2001:db8::1]",
        {"tag": "x"},
    )
    assert parse_address("tel:+12025550100;phone-context=x").user == "+12025550100"


def test_commas_within_quotes_and_brackets_do_not_split_values() -> None:
    assert split_values('"a, b" <sip:x@y?s=1,2>, <sip:z@y>') == ['"a, b" <sip:x@y?s=1,2>', "<sip:z@y>"]


def test_bytes_that_are_not_utf8_survive() -> None:
    raw = INVITE.replace(b"Subject: one", b"Subject: J\xe9r\xf4me")
    message = parse(raw)
    assert b"J\xe9r\xf4me" in message
    assert message.one("subject").encode("utf-8", "surrogateescape").startswith(b"J\xe9r\xf4me")


def test_a_response_gives_status_reason_and_the_method_it_answers() -> None:
    message = parse(b"SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
    assert (message.is_request, message.status, message.reason, message.method) == (False, 486, "Busy Here", "INVITE")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nCall-ID: 1\r\n",
        b"INVITE  sip:x SIP/2.0\r\n\r\n",
        b"SIP/2.0 099 Too low\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nno colon\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nBad Name: 1\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nContent-Length: 5\r\n\r\nfour",
        b"INVITE sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nContent-Length: 0\r\nl: 0\r\n\r\n",
    ],
)
def test_what_is_not_a_sip_message_is_refused(raw: bytes) -> None:
    with pytest.raises(SipParseError):
        parse(raw)


def test_a_header_that_stands_twice_is_not_the_only_one() -> None:
    message = parse(b"INVITE sip:x SIP/2.0\r\nSubject: a\r\ns: b\r\n\r\n")
    assert message.all("subject") == ["a", "b"]
    with pytest.raises(ValueError, match="2 header fields"):
        message.one("subject")
    assert message.get("from") is None


def test_the_length_of_a_body_is_read_from_the_head() -> None:
    assert declared_length(INVITE.partition(b"\r\n\r\n")[0]) == 4
    assert declared_length(b"INVITE sip:x SIP/2.0\r\nContent-Length : 15\r\nX-Content-Length: 9") == 15
    assert declared_length(b"INVITE sip:x SIP/2.0\r\nSubject: l: 7") == 0
