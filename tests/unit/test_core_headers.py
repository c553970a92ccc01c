"""Header values from hostile equipment: what is put into our own headers is always well formed and names nobody."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.headers import (
    IDENTITY_HEADERS,
    SipUri,
    address_matches,
    display_name,
    is_nobodys,
    public_contact,
    source_uri,
)

NUMBER = "+12025550199"
#: RFC 3261's grammar of what public_contact may make: the callback number at a host, known parameters, our alias.
PUBLIC = re.compile(
    r"<sip:\+12025550199@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
    r"((;[A-Za-z0-9.!%*_+`'~-]+(=[A-Za-z0-9.!%*_+`'~\[\]/:&$-]+)?)*)"
    r";alias=(\[[0-9A-Fa-f:.]+\]|[0-9.]+)~[0-9]+~[123]>"
)


def masked(contact: str, *, address: str = "192.0.2.7", port: int = 40000, transport: str = "udp") -> str:
    return public_contact(contact, NUMBER, address, port, transport)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:alice@example.org", SipUri("sip", "alice", "example.org", None, "")),
        ("SIPS:alice@example.org:5061", SipUri("sips", "alice", "example.org", 5061, "")),
        ("sip:example.org", SipUri("sip", "", "example.org", None, "")),
        (" sip:192.0.2.1:5060 ", SipUri("sip", "", "192.0.2.1", 5060, "")),
        ("sip:alice@[2001:db8::1]:5060;ob", SipUri("sip", "alice", "[2001:db8::1]", 5060, ";ob")),
        ("sip:al:secret@h;transport=tcp;line=x", SipUri("sip", "al:secret", "h", None, ";transport=tcp;line=x")),
        ("sip:911;phone-context=x.y@h", SipUri("sip", "911;phone-context=x.y", "h", None, "")),
        ("sip:alice@h?Subject=x", SipUri("sip", "alice", "h", None, "")),
    ],
)
def test_a_sip_uri_is_taken_apart(text: str, uri: SipUri) -> None:
    assert SipUri.parse(text) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@",
        "sip:alice@",
        "*",
        "alice@example.org",
        "tel:+12025550123",
        "urn:service:sos",
        "http://example.org",
        "sip:alice@h:0",
        "sip:alice@h:65536",
        "sip:alice@h:123456",
        "sip:alice@h:port",
        "sip:alice@h:\u0665\u0660",
        "sip:alice@h>;tag=1",
        "sip:alice@h b",
        "sip:a@b@c",
        "sip:alice@h\r\nX-Evil: 1",
        'sip:alice@h"x',
        "sip:alice@h\x00x",
        "sip:alice@h\x7fx",
        "sip:alice@h,sip:bob@g",
        "sip:alice@[2001:db8::1",
        "sip:alice@2001:db8::1",
        "sip:alice@[]",
        "sip:alice@h\u00f6st",
    ],
)
def test_what_is_no_sip_uri_is_none(text: str) -> None:
    assert SipUri.parse(text) is None


@given(st.text())
def test_no_text_makes_a_header_function_fail(text: str) -> None:
    for candidate in (text, f"sip:{text}", f"sip:alice@{text}", f"sip:{text}@example.org:{text}"):
        SipUri.parse(candidate)
        masked(candidate)
    display_name(text)
    source_uri(text, 1, text)
    assert address_matches(text, ("192.0.2.0/24", "2001:db8::/32")) in (True, False)


@given(st.text(max_size=200))
def test_a_display_name_fits_between_quotes_in_any_header(text: str) -> None:
    name = display_name(text)
    assert len(name) <= 80
    assert name == name.strip()
    assert not set(name) & set('"\\<>\r\n\0\x7f\x85')
    assert not any(ord(character) < 0x20 for character in name)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('Alice "Al" <x>', "Alice Al x"),
        ("Bob\r\nX-Evil: 1", "BobX-Evil: 1"),
        ("  Zoë Müller ", "Zoë Müller"),
        ("\\\\", ""),
        ("x" * 300, "x" * 80),
    ],
)
def test_a_display_name_loses_only_what_could_break_out(sent: str, kept: str) -> None:
    assert display_name(sent) == kept


def test_a2_the_public_contact_keeps_the_host_and_what_the_phone_needs() -> None:
    contact = "sip:alice.secret@10.0.0.5:5062;transport=tcp;line=abc;ob;+sip.instance=uuid;gr=alice"
    expected = f"<sip:{NUMBER}@10.0.0.5:5062;transport=tcp;line=abc;ob;alias=192.0.2.7~40000~2>"
    assert masked(contact, transport="TCP") == expected


def test_a2_the_public_contact_of_an_ipv6_phone() -> None:
    contact = masked("sip:alice@[2001:db8::5]:5060", address="2001:db8::9", port=5060, transport="tls")
    assert contact == f"<sip:{NUMBER}@[2001:db8::5]:5060;alias=[2001:db8::9]~5060~3>"


@pytest.mark.parametrize(
    "contact",
    [
        "",
        "*",
        "tel:+12025550123",
        "urn:uuid:alice",
        "sip:secret@real@10.0.0.5",
        "sip:secret@10.0.0.5:99999",
        "sip:secret@h>;x=<sip:secret",
        'sip:secret@h";secret="',
        "sip:secret@h,<sip:secret@g>",
        "sip:secret@10.0.0.5?P-Asserted-Identity=secret",
        "sip:secret@10.0.0.5;secret=secret;line;transport",
        "sip:secret@10.0.0.5;LINE=1;Transport=UDP",
        'sip:secret@10.0.0.5;line="se cret',
        "sip:secret@10.0.0.5;line=,<sip:secret@g>",
        "sip:secret;x=secret@10.0.0.5",
        "sip:secret\r\nX-Evil: secret@10.0.0.5",
        "sip:secr\u00e9t@10.0.0.5",
    ],
)
def test_a2_a_hostile_contact_still_gives_one_that_names_nobody(contact: str) -> None:
    public = masked(contact)
    assert PUBLIC.fullmatch(public), public
    assert "secret" not in public


_HOSTILE = st.text(
    alphabet=string.ascii_letters + string.digits + ";:=@<>\"',?%[]\r\n\0 \u00e9*+-._~&/$\\", max_size=40
)


@given(user=_HOSTILE, rest=_HOSTILE)
def test_a2_no_contact_makes_a_malformed_public_one(user: str, rest: str) -> None:
    for contact in (
        f"sip:{user}@{rest}",
        f"sip:{user}@10.0.0.5;{rest}",
        f"sips:{user}@[2001:db8::1]:5060;{rest}",
        user,
    ):
        assert PUBLIC.fullmatch(masked(contact)), contact


@given(user=st.text(alphabet=string.ascii_letters + string.digits + ".-_;=:%", max_size=20))
def test_a2_the_public_contact_never_contains_the_contacts_user(user: str) -> None:
    assert f"q{user}q" not in masked(f"sip:q{user}q@10.0.0.5:5060;line=1")


def test_a2_the_headers_that_could_name_the_caller_are_all_listed() -> None:
    assert {name.lower() for name in IDENTITY_HEADERS} >= {
        "p-asserted-identity", "p-preferred-identity", "p-served-user", "p-user-database", "p-called-party-id",
        "p-associated-uri", "p-charge-info", "p-charging-vector", "p-access-network-info", "remote-party-id",
        "rpid-privacy", "privacy", "diversion", "history-info", "referred-by", "reply-to", "organization", "identity",
        "identity-info", "call-info", "alert-info", "subject", "user-agent", "authorization", "proxy-authorization",
        "user-to-user", "priority",
    }  # fmt: skip


def test_a_source_address_is_a_next_hop() -> None:
    assert source_uri("192.0.2.7", 5060, "UDP") == "sip:192.0.2.7:5060;transport=udp"
    assert source_uri("2001:db8::9", 5061, "TLS") == "sip:[2001:db8::9]:5061;transport=tls"


@pytest.mark.parametrize(
    ("address", "networks", "matches"),
    [
        ("192.0.2.7", ("192.0.2.7",), True),
        ("192.0.2.7", ("192.0.2.0/24",), True),
        ("192.0.2.7", ("192.0.2.9/24",), True),  # host bits set, as an operator may well type it
        ("192.0.2.7", ("2001:db8::/32", "192.0.2.6", "192.0.2.7/32"), True),
        ("2001:db8::9", ("2001:db8::/32",), True),
        ("2001:0db8:0::9", ("2001:db8::9",), True),
        ("192.0.2.8", ("192.0.2.7",), False),
        ("192.0.2.7", (), False),
        ("192.0.2.7", ("::/0",), False),
        ("2001:db8::9", ("0.0.0.0/0",), False),
        ("", ("0.0.0.0/0",), False),
        ("example.org", ("0.0.0.0/0",), False),
        ("192.0.2.07", ("192.0.2.7",), False),
        ("[2001:db8::9]", ("2001:db8::/32",), False),
    ],
)
def test_n9_an_address_is_known_by_itself_or_its_network(
    address: str, networks: tuple[str, ...], matches: bool
) -> None:
    assert address_matches(address, networks) is matches


def test_n9_one_wrong_network_does_not_hide_the_others() -> None:
    assert address_matches("192.0.2.7", ("not a network", "192.0.2.0/33", "192.0.2.0/24"))
    assert not address_matches("192.0.2.7", ("not a network",))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0"])
def test_what_no_host_has_as_its_address_is_known(address: str) -> None:
    assert is_nobodys(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "255.255.255.254"])
def test_a_hosts_address_is_not_taken_for_nobodys(address: str) -> None:
    assert not is_nobodys(address)
