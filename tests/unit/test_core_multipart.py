"""Bodies of several parts: what real equipment sends is taken apart, what would break us is refused, ours is whole."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.multipart import (
    MAX_OCTETS,
    PIDF,
    SDP,
    Part,
    build,
    cid_url,
    content_id_of,
    location_part,
    parts,
    pidf_of,
    sdp_of,
)
from holdfast.errors import InputError

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 9 RTP/AVP 0\r\n"
#: RFC 6442 §5.1's: the location beside the offer, named by a Content-ID.
CONVEYED = (
    b"--boundary1\r\n"
    b"\r\n"
    b"Preamble of sorts: a part without headers is text.\r\n"
    b"--boundary1\r\n"
    b"Content-Type: application/sdp\r\n"
    b"\r\n" + OFFER + b"\r\n--boundary1\r\n"
    b"Content-Type: application/pidf+xml; charset=utf-8\r\n"
    b"Content-ID: <target123@atlanta.example.com>\r\n"
    b"Content-Disposition: render;\r\n handling=optional\r\n"
    b"\r\n"
    b"<presence/>\r\n"
    b"--boundary1--\r\n"
    b"what follows the end is nobody's\r\n"
)


def test_l1_the_offer_and_the_location_are_found_in_a_body() -> None:
    text, offer, location = parts("multipart/mixed; boundary=boundary1", CONVEYED)
    assert (text.content_type, text.body) == ("text/plain", b"Preamble of sorts: a part without headers is text.")
    assert (offer.content_type, offer.body) == (SDP, OFFER)
    assert (location.content_type, location.body) == (PIDF, b"<presence/>")
    assert location.content_id == "target123@atlanta.example.com"
    assert location.headers["content-disposition"] == "render; handling=optional"
    assert sdp_of((text, offer, location)) == OFFER
    assert pidf_of((text, offer, location)) == b"<presence/>"


def test_l1_a_body_that_is_no_multipart_is_one_part() -> None:
    (part,) = parts("Application/SDP;charset=utf-8", OFFER)
    assert (part.content_type, part.body, part.content_id) == (SDP, OFFER, "")
    assert sdp_of([part]) == OFFER
    assert pidf_of([part]) is None


def test_l1_lync_puts_an_equals_sign_into_a_boundary_without_quotes() -> None:
    content_type = "multipart/mixed; boundary= ------=_NextPart_000_4A6D_01CAB3D6.7519F890"
    body = (
        b"--------=_NextPart_000_4A6D_01CAB3D6.7519F890 \r\n"
        b"Content-Type: application/sdp ; charset=utf-8\r\n\r\nv=0\r\n\r\n"
        b"--------=_NextPart_000_4A6D_01CAB3D6.7519F890--\r\n"
    )
    assert sdp_of(parts(content_type, body)) == b"v=0\r\n"


def test_l1_line_ends_may_lack_their_carriage_return() -> None:
    assert [part.body for part in parts("multipart/mixed;boundary=boundary1", CONVEYED.replace(b"\r\n", b"\n"))] == [
        b"Preamble of sorts: a part without headers is text.", OFFER.replace(b"\r\n", b"\n"), b"<presence/>",
    ]  # fmt: skip


def test_l1_a_multipart_within_a_multipart_is_flattened() -> None:
    inner = b"--in\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--in\r\nContent-Type: a/b\r\n\r\nx\r\n--in--"
    outer = (
        b'--out\r\nContent-Type: multipart/alternative;boundary="in"\r\n\r\n' + inner + b"\r\n"
        b"--out\r\nContent-Type: application/pidf+xml\r\n\r\n<p/>\r\n--out--"
    )
    found = parts("multipart/mixed;boundary=out", outer)
    assert [(part.content_type, part.body) for part in found] == [(SDP, b"v=0"), ("a/b", b"x"), (PIDF, b"<p/>")]


@pytest.mark.parametrize(
    ("encoding", "encoded"), [("base64", b"PHAv\r\nPg==\r\n"), ("Quoted-Printable", b"=3Cp/=\r\n>")]
)
def test_l1_a_transfer_encoding_is_undone(encoding: str, encoded: bytes) -> None:
    body = (
        b"--b\r\nContent-Type: application/pidf+xml\r\nContent-Length: 10\r\n"
        + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + encoded
        + b"\r\n--b--"
    )
    (part,) = parts("multipart/mixed;boundary=b", body)
    assert part.body == b"<p/>"
    assert list(part.headers) == ["content-type"]


def test_l1_a_part_may_be_empty() -> None:
    assert [part.body for part in parts("multipart/mixed;boundary=b", b"--b\r\n\r\n--b\r\nA: b\r\n--b--")] == [b"", b""]


INNER = b"--a\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 9 + b"--b--\r\n"
NESTED = (
    b"--a\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n"
    b"--c\r\n\r\nx\r\n--c--\r\n--b--\r\n--a--"
)


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("", OFFER, "of the type ''"),
        ("sdp", OFFER, "of the type 'sdp'"),
        ("application/sdp\r\nVia: x", OFFER, "of the type"),
        ("multipart/mixed", CONVEYED, "without a boundary"),
        ("multipart/mixed;boundary=", CONVEYED, "without a boundary"),
        ('multipart/mixed;boundary=""', CONVEYED, "without a boundary"),
        ('multipart/mixed;boundary="boundary1', CONVEYED, "without a boundary"),
        (f"multipart/mixed;boundary={'b' * 71}", CONVEYED, "without a boundary"),
        ("multipart/mixed;boundary=\u00fc", CONVEYED, "without a boundary"),
        ("multipart/mixed;boundary=" + "b" * 2_000, CONVEYED, "Content-Type of 2025"),
        ("multipart/mixed;boundary=b", CONVEYED, "does not end"),
        ("multipart/mixed;boundary=boundary1", CONVEYED.partition(b"--boundary1--")[0], "does not end"),
        ("multipart/mixed;boundary=b", b"", "does not end"),
        ("multipart/mixed;boundary=b", b"--b--", "has no part"),
        ("multipart/mixed;boundary=b", b"--b\r\n\r\nx--b--", "does not end"),  # not at a line's begin
        ("multipart/mixed;boundary=b", b"--b\r\n\r\n\r\n" * 17 + b"--b--", "more than 16 parts"),
        ("multipart/mixed;boundary=b", b"--b\r\nno header\r\n\r\nx\r\n--b--", "header line"),
        ("multipart/mixed;boundary=b", b"--b\r\nX Y: z\r\n\r\nx\r\n--b--", "header line"),
        ("multipart/mixed;boundary=b", b"--b\r\nX: " + b"z" * 2_000 + b"\r\n\r\nx\r\n--b--", "header line"),
        ("multipart/mixed;boundary=b", b"--b\r\nX: z\r\n \xff\r\n\r\nx\r\n--b--", "not UTF-8"),
        ("multipart/mixed;boundary=b", b"--b\r\nX: 1\r\nx: 2\r\n\r\nx\r\n--b--", "twice"),
        (
            "multipart/mixed;boundary=b",
            b"--b\r\nContent-Type: a/b\r\nContent-Type: application/sdp\r\n\r\nx\r\n--b--",
            "twice",
        ),
        (
            "multipart/mixed;boundary=b",
            b"--b\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(17)) + b"\r\n--b--",
            "too many headers",
        ),
        ("multipart/mixed;boundary=b", b"--b\r\n" + b"X: y\r\n" * 9_000 + b"\r\n--b--", "too long"),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Type: \r\n\r\nx\r\n--b--", "of the type"),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Transfer-Encoding: gzip\r\n\r\nx\r\n--b--", "'gzip'"),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--", "base64"),
        ("multipart/mixed;boundary=a", INNER * 2 + b"--a--", "has 18 parts"),
        ("multipart/mixed;boundary=a", NESTED, "within a multipart within a multipart"),
        ("text/plain", b"x" * (MAX_OCTETS + 1), "at most"),
    ],
)
def test_l1_a_body_that_is_malformed_or_too_much_is_refused(content_type: str, body: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parts(content_type, body)


@pytest.mark.parametrize("content_id", ["", "<>", "< a@b>", "<a\tb>", "<" + "a" * 300 + ">", "<<a>>"])
def test_l1_a_content_id_that_is_none_is_none(content_id: str) -> None:
    body = f"--b\r\nContent-ID: {content_id}\r\n\r\nx\r\n--b--".encode()
    (part,) = parts("multipart/mixed;boundary=b", body)
    assert part.content_id == ""


@given(st.binary(max_size=300), st.integers(0, 500), st.integers(0, 80))
def test_l1_no_damage_to_a_body_raises_anything_but_an_input_error(junk: bytes, at: int, width: int) -> None:
    with contextlib.suppress(InputError):
        parts("multipart/mixed;boundary=boundary1", CONVEYED[:at] + junk + CONVEYED[at + width :])


CONTENT_IDS = st.from_regex(r"[A-Za-z0-9%+/.!~-]{1,20}@[a-z]{1,9}\.example", fullmatch=True)
PARTS = st.builds(
    Part,
    st.sampled_from([SDP, PIDF, "text/plain"]),
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["content-disposition", "x-y"]), st.from_regex(r"([!-~]{1,9}( [!-~])?)?", fullmatch=True)
    ),
    st.just("") | CONTENT_IDS,
)  # fmt: skip


@given(st.lists(PARTS, min_size=1, max_size=16))
def test_l1_what_is_put_together_is_taken_apart_again(several: list[Part]) -> None:
    content_type, body = build(several, "holdfast-5a1c4")
    found = parts(content_type, body)
    assert [(part.content_type, part.body, part.content_id) for part in found] == [
        (part.content_type, part.body, part.content_id) for part in several
    ]
    assert [{**part.headers} for part in found] == [
        {
            "content-type": part.content_type,
            **({"content-id": f"<{part.content_id}>"} if part.content_id else {}),
            **part.headers,
        }
        for part in several
    ]


def test_l1_our_body_is_what_rfc_6442_shows() -> None:
    content_type, body = build([Part(SDP, OFFER), location_part("<p/>", "loc@edge.example.net")], "b1")
    assert content_type == 'multipart/mixed;boundary="b1"'
    assert body == (
        b"--b1\r\nContent-Type: application/sdp\r\n\r\n" + OFFER + b"\r\n"
        b"--b1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <loc@edge.example.net>\r\n"
        b"Content-Disposition: render;handling=optional\r\n\r\n<p/>\r\n--b1--\r\n"
    )


def test_l1_a_part_taken_from_one_body_can_be_put_into_another() -> None:
    found = parts("multipart/mixed;boundary=boundary1", CONVEYED)[1:]
    assert [part.headers for part in parts(*build(found, "other"))] == [part.headers for part in found]


@pytest.mark.parametrize(
    ("several", "boundary", "said"),
    [
        ([], "b", "without parts"),
        ([Part(SDP, OFFER)], "", "boundary that cannot be used"),
        ([Part(SDP, OFFER)], "b\r\nX: y", "boundary that cannot be used"),
        ([Part(SDP, OFFER)], 'b"', "boundary that cannot be used"),
        ([Part(SDP, OFFER)], "b ", "boundary that cannot be used"),
        ([Part(SDP, b"v=0\r\n--b--\r\n")], "b", "stands in a part"),
        ([Part(SDP, OFFER, {"--b": "x"})], "B", "stands in a part"),
        ([Part(SDP, OFFER, {"x": "y\r\nVia: z"})], "b", "would break"),
        ([Part(SDP, OFFER, {"x: y\r\nz": ""})], "b", "would break"),
        ([Part("a/b\r\nVia: z", OFFER)], "b", "would break"),
        ([Part(SDP, OFFER, {}, "a>\r\nVia: z")], "b", "would break"),
    ],
)
def test_l1_nothing_is_put_together_that_would_come_apart_otherwise(
    several: list[Part], boundary: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        build(several, boundary)


@given(CONTENT_IDS)
def test_l1_a_content_id_and_its_url_mean_each_other(content_id: str) -> None:
    assert content_id_of(cid_url(content_id)) == content_id


@pytest.mark.parametrize(
    ("url", "content_id"),
    [
        ("cid:foo4%25foo1@bar.net", "foo4%foo1@bar.net"),  # RFC 2392 §2's example
        ("CID:a@b", "a@b"),
        ("cid:", ""),
        ("cid:a%0d%0ab@c", ""),
        ("cid:a%3eb@c", ""),
        ("sip:a@b", ""),
        ("a@b", ""),
    ],
)
def test_l1_a_cid_url_means_a_content_id_or_nothing(url: str, content_id: str) -> None:
    assert content_id_of(url) == content_id


def test_l1_what_no_url_may_hold_is_percent_encoded() -> None:
    assert cid_url("foo4%foo1@bar.net") == "cid:foo4%25foo1@bar.net"
    assert cid_url('a"<>\u00fc@b') == "cid:a%22%3C%3E%C3%BC@b"
