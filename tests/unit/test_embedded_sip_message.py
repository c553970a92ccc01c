"""SIP messages and their fields: what real networks send, and what nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.embedded.sip_fields import parse_name_addr, parse_uri, parse_via
from holdfast.embedded.sip_message import Request, Response, SipParseError, parse, split_list

INVITE = (
    b"INVITE sip:callback@127.0.0.1:5080 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP [2001:db8::1]:5070 ;branch=z9hG4bK2\r\n"
    b'f: "J\xf6rg \xc3\x85\x85 \\"x\\"" <sip:+1202@psap.example>;tag=1\r\n'
    b"To : <sip:callback@127.0.0.1>\r\n"
    b"Subject: one\r\n two\r\n"
    b"Call-ID: a@b\r\nCSeq: 7 INVITE\r\nl: 4\r\n\r\nbody and more"
)


def test_compact_folded_and_spaced_headers_are_read() -> None:
    message = parse(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.cseq) == ("INVITE", "sip:callback@127.0.0.1:5080", (7, "INVITE"))
    assert message.get("subject") == "one two"
    assert message.get("to") == "<sip:callback@127.0.0.1>"
    assert [parse_via(via).branch for via in message.all("via")] == ["z9hG4bK1", "z9hG4bK2"]
    assert message.body == b"body"


def test_bytes_that_are_not_utf8_pass_through_unharmed_and_split_nothing() -> None:
    message = parse(INVITE)
    caller = parse_name_addr(message.get("from"))
    assert caller.display_text.encode("latin-1") == b'J\xf6rg \xc3\x85\x85 "x"'
    assert (caller.tag, caller.user) == ("1", "+1202")
    assert isinstance(message, Request)
    assert parse(message.encode()) == message


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n",
        b"INVITE sip:a@b SIP/3.0\r\n\r\n",
        b"SIP/2.0 99 Odd\r\n\r\n",
        b"SIP/2.0 200\n\n",
        b"INVITE sip:a@b SIP/2.0\r\nno colon\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nX: a\nVia: forged\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nX: a\rVia: forged\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nX: a\0b\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 5\r\n\r\nfour",
        b"INVITE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\nabc",
    ],
)
def test_what_is_no_sip_message_is_refused(datagram: bytes) -> None:
    with pytest.raises(SipParseError):
        parse(datagram)


@given(st.binary(max_size=300))
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    for datagram in (data, b"INVITE sip:a@b SIP/2.0\r\n" + data + b"\r\n\r\n", INVITE.replace(b"Subject", data)):
        try:
            message = parse(datagram)
            assert message.encode()
            assert message.cseq
            parse_name_addr(message.get("from"))
            parse_via(message.get("via"))
        except SipParseError:
            continue


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_a_value_can_never_add_a_header_of_its_own(value: str) -> None:
    sent = Response([("x-note", value), ("via", "SIP/2.0/UDP h;branch=z")], b"", 200, "OK")
    again = parse(sent.encode())
    assert [name for name, _ in again.headers] == ["x-note", "via"]


@pytest.mark.parametrize(
    ("value", "display", "uri", "user", "tag"),
    [
        ("<sip:a@b>;tag=9", "", "sip:a@b", "a", "9"),
        ("sip:a@b;tag=9", "", "sip:a@b", "a", "9"),
        ("Desk <sips:a@[::1]:5061;lr>", "Desk", "sips:a@[::1]:5061;lr", "a", ""),
        ('"a, <b> \\" c" <sip:a@b>;x="1;tag=no";tag=9', '"a, <b> \\" c"', "sip:a@b", "a", "9"),
        ("<tel:+1202;phone-context=x>;tag=9", "", "tel:+1202;phone-context=x", "+1202", "9"),
        ("<urn:service:test.sos>", "", "urn:service:test.sos", "", ""),
        ("<sip:psap.example>;TAG=9", "", "sip:psap.example", "", "9"),
    ],
)
def test_addresses_of_every_scheme_are_read(value: str, display: str, uri: str, user: str, tag: str) -> None:
    found = parse_name_addr(value)
    assert (found.display, found.uri, found.user, found.tag) == (display, uri, user, tag)


@pytest.mark.parametrize("value", ["", "<>", "<sip:a@b", '"open <sip:a@b>', '"a" sip:a@b', "<sip:a b@c>"])
def test_addresses_that_cannot_be_read_are_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        parse_name_addr(value)


def test_only_an_ip_address_says_where_to_send() -> None:
    assert parse_uri("sip:a@127.0.0.1").address == ("127.0.0.1", 5060)
    assert parse_uri("sip:[::1]:5070;transport=udp").address == ("::1", 5070)
    assert parse_uri("sip:a@phone.invalid:5070").address is None
    for wrong in ("sip:", "tel:1", "sip:a@b:99999", "sip:a@b c"):
        with pytest.raises(SipParseError):
            parse_uri(wrong)


def test_lists_split_outside_quotes_and_brackets_only() -> None:
    assert split_list('<sip:a,b@c>, "x, \\"y" <sip:d@e> ,, sip:f@g') == [
        "<sip:a,b@c>",
        '"x, \\"y" <sip:d@e>',
        "sip:f@g",
    ]
