"""Geolocation headers: what came in is kept, ours is last, and nothing hostile passes through them."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.geolocation import MAX_REFERENCES, ROUTING, GeolocationRef, may_route, references, with_ours_last
from holdfast.errors import InputError


def uris(*values: str) -> list[str]:
    return [reference.uri for reference in references(values)]


def test_l1_every_reference_of_every_header_is_read_in_order() -> None:
    values = ["<cid:target123@atlanta.example.com>, <https://lis.example.com/held/a?b=c>", "<sips:3sdefr@h>"]
    assert references(values) == (
        GeolocationRef("cid:target123@atlanta.example.com"),
        GeolocationRef("https://lis.example.com/held/a?b=c"),
        GeolocationRef("sips:3sdefr@h"),
    )


def test_l1_parameters_stay_as_they_came() -> None:
    (reference,) = references(['<cid:a@b> ;inserted-by="sip:x, \\"y\\" <z>" ; used ; n=[2001:db8::1]'])
    assert reference.params == ';inserted-by="sip:x, \\"y\\" <z>"; used; n=[2001:db8::1]'
    assert reference.value == f"<cid:a@b>{reference.params}"
    assert references([reference.value]) == (reference,)
    assert uris('<cid:a@b>;x="a\\", <sip:not@h>, b", <sip:c@d>') == ["cid:a@b", "sip:c@d"]


@pytest.mark.parametrize(
    ("uri", "content_id"), [("cid:a%25b@c", "a%b@c"), ("CID:a@b", "a@b"), ("https://lis.example.com/x", "")]
)
def test_l1_a_reference_to_a_part_tells_its_content_id(uri: str, content_id: str) -> None:
    (reference,) = references([f"<{uri}>"])
    assert reference.content_id == content_id


@pytest.mark.parametrize(
    "uri",
    ["cid:a@b", "sip:a@b:5060;x=y", "sips:a@b", "pres:a@b", "http://h/x", "https://[2001:db8::1]/x",
     "urn:x-provider:loc:7", "HTTPS://H/X"],
)  # fmt: skip
def test_l1_locations_may_be_asked_for_in_the_ways_that_are_known(uri: str) -> None:
    assert uris(f"<{uri}>") == [uri]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "cid:a@b",
        "<>",
        "<cid:>",
        "<cid:a@b",
        "<javascript:alert(1)>",
        "<file:///etc/passwd>",
        "<data:text/xml,x>",
        "<cid:a b@c>",
        "<cid:a\r\nVia: x>",
        "<cid:a@b>\r\nVia: x",
        "<cid:a@b> junk",
        '<cid:a@b>;x="y',
        '<cid:a@b>;x="y\r\n"',
        "<cid:a@b>;=y",
        "<cid:a@b>;;",
        f"<cid:{'a' * 600}>",
        "<cid:\u00fc@b>",
    ],
)
def test_l1_what_is_no_reference_is_left_out_and_costs_the_next_nothing(value: str) -> None:
    assert uris(value) == []
    assert uris("<sip:good@h>", value) == ["sip:good@h"]


def test_l1_a_reference_given_twice_is_read_once() -> None:
    assert uris("<sip:a@b>, <sip:c@d>", "<sip:a@b>;x") == ["sip:a@b", "sip:c@d"]
    assert references(["<sip:a@b>;first, <sip:a@b>;second"])[0].params == ";first"


def test_l1_loc_src_is_believed_of_nobody() -> None:
    """RFC 8787 §4: it is for those to write whom we trust, and it decides whose location the PSAP believes."""
    assert references(["<sip:a@b>;LOC-SRC=psap.example ;x=1;loc-src"])[0].params == ";x=1"


def test_l1_more_than_any_message_needs_is_refused() -> None:
    many = ",".join(f"<sip:{number}@h>" for number in range(MAX_REFERENCES + 1))
    assert len(uris(many.rpartition(",")[0])) == MAX_REFERENCES
    with pytest.raises(InputError, match="17 location references"):
        references([many])
    with pytest.raises(InputError, match="more than 8192 characters"):
        references(["<sip:a@h>"] * 1_000)


SLOW = {
    "parameters": "<cid:a@b>" + ";a " * 2_700,
    "parameters and an end": "<cid:a@b>" + " ;a" * 2_700 + "\x00",
    "white space": "<cid:a@b>" + " " * 8_000 + "\x00",
    "quotes": "<cid:a@b>" + ';a="' * 2_000,
    "escapes": '<cid:a@b>;a="' + "\\\\" * 4_000,
    "values": "<cid:a@b>" + ";a=b" * 2_000 + '"',
    "commas": "," * 8_000,
    "brackets": "<" * 8_000,
}


@pytest.mark.parametrize("value", SLOW.values(), ids=SLOW)
def test_l1_no_header_takes_longer_than_reading_it(value: str) -> None:
    began = time.process_time()
    references([value])
    assert time.process_time() - began < 0.5  # exponential matching would take years


def test_l1_ours_comes_last_and_those_already_there_stay() -> None:
    """RFC 6442 §4.1."""
    existing = ["<https://lis.example.com/1>;x=y", "<cid:phone@h>, <sip:a@b>"]
    assert with_ours_last(existing, "cid:ours@edge.example.net", "edge.example.net") == (
        "<https://lis.example.com/1>;x=y, <sip:a@b>, "
        '<cid:ours@edge.example.net>;loc-src=edge.example.net;inserted-by="edge.example.net"'
    )


def test_l1_a_reference_to_a_part_stays_while_the_part_is_sent() -> None:
    existing = ["<cid:phone%25@h>, <CID:gone@h>"]
    said = with_ours_last(existing, "https://h/loc/1", "edge.example.net", still_sent={"phone%@h"})
    assert uris(said) == ["cid:phone%25@h", "https://h/loc/1"]


def test_l1_ours_is_there_once_and_last_even_if_it_came_in() -> None:
    said = with_ours_last(["<https://h/loc/1>;theirs, <sip:a@b>"], "https://h/loc/1", "192.0.2.1")
    assert said == '<sip:a@b>, <https://h/loc/1>;inserted-by="192.0.2.1"'


def test_l1_an_address_is_no_source_of_locations() -> None:
    """RFC 8787 §4 wants a host name; inserted-by may be an address."""
    assert "loc-src" not in with_ours_last([], "cid:a@b", "[2001:db8::1]")
    assert 'inserted-by="[2001:db8::1]"' in with_ours_last([], "cid:a@b", "[2001:db8::1]")


@pytest.mark.parametrize(
    ("our_uri", "inserted_by", "said"),
    [
        ("javascript:x", "h.example", "not a URI"),
        ("cid:a>@b", "h.example", "not a URI"),
        ("cid:a@b\r\nVia: x", "h.example", "not a URI"),
        ("cid:a@b", 'h"\r\nVia: x', "not a host"),
        ("cid:a@b", "", "not a host"),
    ],
)
def test_l1_nothing_of_ours_could_break_the_header(our_uri: str, inserted_by: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_ours_last([], our_uri, inserted_by)


@given(st.lists(st.text(st.sampled_from('<>cidsp:a@b.;="\\, \t\r\nlo-r')), max_size=4))
def test_l1_whatever_came_in_the_header_that_leaves_is_well_formed(values: list[str]) -> None:
    with contextlib.suppress(InputError):
        said = with_ours_last(values, "cid:ours@h", "edge.example.net")
        assert "\r" not in said
        assert "\n" not in said
        assert uris(said)[-1] == "cid:ours@h"
        assert uris(said)[:-1] == [uri for uri in uris(*values) if not uri.lower().startswith("cid:")]


@pytest.mark.parametrize(
    ("values", "may"),
    [
        ([], False),  # RFC 6442 §4.2: absent means no
        (["yes"], True),
        ([" YES "], True),
        (["yes;x=y"], True),
        (["no"], False),
        (["yes", "no"], False),
        (["yes, no"], False),
        (["perhaps"], False),
        ([""], False),
    ],
)
def test_l1_a_location_may_route_only_where_somebody_says_yes(values: list[str], may: bool) -> None:
    assert may_route(values) is may


def test_l1_ours_may_route() -> None:
    assert may_route([ROUTING])
