"""A6: the country of a source address, or None with the reason wherever it is not to be relied on."""

import dataclasses
import ipaddress
import json
import struct
import sys
import zlib
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import ip_country
from holdfast.core.ip_country import (
    CONTRADICTED,
    FORMAT,
    HEADER,
    ISO_COUNTRIES,
    MAGIC,
    MARKED,
    NO_COUNTRY,
    OWN_REASONS,
    UNKNOWN,
    IpCountries,
    IpTableUnusable,
    Origin,
    Ranges,
    encode,
    is_shipped,
)
from holdfast.core.ip_special import Unreliable

COUNTRIES = ("CA", "DK", "GB", "US")
ORIGIN = Origin("a test", "1", "2026-06-17", "none", "nobody, né")
CA, DK, GB, US = range(len(OWN_REASONS), len(OWN_REASONS) + len(COUNTRIES))


def number(address: str) -> int:
    return int(ipaddress.ip_address(address))


def table(v4: dict[int, int], v6: dict[int, int] | None = None, **more: object) -> bytes:
    """A table's bytes from {where a range begins: its code}; IPv6 by the upper 64 bits. 0 is unknown unless given."""
    parts = []
    for steps in (v4, v6 or {}):
        steps = {0: UNKNOWN, **steps}
        parts.append(Ranges(sorted(steps), bytes(steps[start] for start in sorted(steps))))
    return encode(parts[0], parts[1], COUNTRIES, ORIGIN, **more)  # type: ignore[arg-type]


#: Everything is in the US, whatever it is.
ALL_US = IpCountries.from_buffer(table({0: US}, {0: US}))
WHOLE = table(
    {number("8.0.0.0"): US, number("9.0.0.0"): DK, number("9.0.1.0"): UNKNOWN},
    {number("2a00::") >> 64: GB},
    shipped=True,
)

codes = st.integers(0, len(OWN_REASONS) + len(COUNTRIES) - 1)
v4_steps = st.dictionaries(st.integers(0, 2**32 - 1), codes, max_size=12)
v6_steps = st.dictionaries(st.integers(0x2000 << 48, (0x4000 << 48) - 1), codes, max_size=12)


def slow_answer(steps: dict[int, int], key: int) -> str | None:
    """The range that begins last before the key, found by looking at all of them."""
    code = steps[max(start for start in steps if start <= key)] if min(steps, default=key + 1) <= key else UNKNOWN
    return COUNTRIES[code - len(OWN_REASONS)] if code >= len(OWN_REASONS) else None


def around(starts: dict[int, int], end: int) -> st.SearchStrategy[int]:
    """Keys at and beside the boundaries, which are where a search goes wrong, and anywhere."""
    edges = sorted({key for start in (*starts, 0, end) for key in (start - 1, start, start + 1) if 0 <= key < end})
    return st.sampled_from(edges) | st.integers(0, end - 1)


@given(st.data())
def test_a6_every_ipv4_address_is_what_the_range_around_it_is(data: st.DataObject) -> None:
    steps = data.draw(v4_steps)
    countries = IpCountries.from_buffer(table(steps))
    for key in data.draw(st.lists(around(steps, 2**32), max_size=20)):
        address = ipaddress.IPv4Address(key)
        expected = slow_answer(steps, key) if ALL_US.country(str(address)) else None
        assert countries.country(str(address)) == expected
        assert countries.country(f"::ffff:{address}") == expected, "an IPv4-mapped address is an IPv4 address"


@given(st.data())
def test_a6_every_ipv6_address_is_what_the_range_around_its_64_is(data: st.DataObject) -> None:
    steps = data.draw(v6_steps)
    countries = IpCountries.from_buffer(table({}, steps))
    for key in data.draw(st.lists(around(steps, 2**64), max_size=20)):
        address = ipaddress.IPv6Address(key << 64 | data.draw(st.integers(0, 2**64 - 1)))
        expected = slow_answer(steps, key) if ALL_US.country(str(address)) else None
        assert countries.country(str(address)) == expected
        assert countries.country(address.exploded.upper()) == expected


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address) | st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_a6_an_address_that_is_not_global_is_never_in_a_country(address: ipaddress.IPv4Address) -> None:
    """Python's own registry of special addresses is the second opinion."""
    if not address.is_global and getattr(address, "ipv4_mapped", None) is None:
        assert ALL_US.country(str(address)) is None


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        ("0.0.0.0", "0.255.255.255", Unreliable.UNSPECIFIED),
        ("10.0.0.0", "10.255.255.255", Unreliable.PRIVATE),
        ("100.64.0.0", "100.127.255.255", Unreliable.SHARED),
        ("127.0.0.0", "127.255.255.255", Unreliable.LOOPBACK),
        ("169.254.0.0", "169.254.255.255", Unreliable.LINK_LOCAL),
        ("172.16.0.0", "172.31.255.255", Unreliable.PRIVATE),
        ("192.0.0.0", "192.0.0.255", Unreliable.RESERVED),
        ("192.0.2.0", "192.0.2.255", Unreliable.DOCUMENTATION),
        ("192.31.196.0", "192.31.196.255", Unreliable.ANYCAST),
        ("192.52.193.0", "192.52.193.255", Unreliable.ANYCAST),
        ("192.88.99.0", "192.88.99.255", Unreliable.TUNNEL),
        ("192.168.0.0", "192.168.255.255", Unreliable.PRIVATE),
        ("192.175.48.0", "192.175.48.255", Unreliable.ANYCAST),
        ("198.18.0.0", "198.19.255.255", Unreliable.RESERVED),
        ("198.51.100.0", "198.51.100.255", Unreliable.DOCUMENTATION),
        ("203.0.113.0", "203.0.113.255", Unreliable.DOCUMENTATION),
        ("224.0.0.0", "239.255.255.255", Unreliable.MULTICAST),
        ("240.0.0.0", "255.255.255.255", Unreliable.RESERVED),
        ("::", "::", Unreliable.UNSPECIFIED),
        ("::1", "::1", Unreliable.LOOPBACK),
        ("::2", "::fffe:ffff:ffff", Unreliable.RESERVED),
        ("64:ff9b::", "64:ff9b::ffff:ffff", Unreliable.TUNNEL),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Unreliable.TUNNEL),
        ("64:ff9b:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.RESERVED),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.TUNNEL),
        ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.RESERVED),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.DOCUMENTATION),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.TUNNEL),
        ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", Unreliable.ANYCAST),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.DOCUMENTATION),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.RESERVED),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.PRIVATE),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.LINK_LOCAL),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.PRIVATE),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Unreliable.MULTICAST),
    ],
)
def test_a6_a_special_network_is_unreliable_from_its_first_address_to_its_last(
    first: str, last: str, reason: Unreliable
) -> None:
    for address in (first, last):
        assert ALL_US.look_up(address) == ip_country.Finding(None, reason)
    start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    space = 2**start.max_prefixlen
    for beside in (int(start) - 1, int(end) + 1):
        if 0 <= beside < space:
            assert ALL_US.look_up(str(type(start)(beside))).unreliable is not reason


@pytest.mark.parametrize("address", ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "172.15.255.255", "172.32.0.0", "223.255.255.255", "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::",
    "2003::", "2620:4f:7fff::", "3ffe:ffff::", "3fff:1000::", "2a00::1%7"])  # fmt: skip
def test_a6_beside_a_special_network_the_table_answers(address: str) -> None:
    assert ALL_US.country(address) == "US"


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f:.%/ ]{0,70}"))
def test_a6_any_text_is_answered_without_an_exception(text: str) -> None:
    finding = ALL_US.look_up(text)
    assert (finding.country is None) != (finding.unreliable is None)


@pytest.mark.parametrize("text", ["", "x", "8.8.8", "8.8.8.8.8", "8.8.8.256", "08.8.8.8", " 8.8.8.8", "8.8.8.8/32",
    "8.8.8.8:5060", "[2a00::1]", "2a00::1::", "2a00::1%", "：：1", "８.8.8.8", "134744072", "\ud800", "8.8.8.8\n",
    "2a00::1%" + "x" * 99, ":" * 1_000_000, "1" * 1_000_000])  # fmt: skip
def test_a6_what_is_no_address_is_unreliable(text: str) -> None:
    assert ALL_US.look_up(text).unreliable is Unreliable.NOT_AN_ADDRESS


def test_a6_a_range_without_a_country_says_why() -> None:
    reasons = {UNKNOWN: "1.0.0.0", MARKED: "1.1.0.0", CONTRADICTED: "1.2.0.0", NO_COUNTRY: "1.3.0.0"}
    countries = IpCountries.from_buffer(table({number(address): code for code, address in reasons.items()}))
    found = [countries.look_up(address).unreliable for address in reasons.values()]
    assert found == [Unreliable.NOT_IN_TABLE, Unreliable.MARKED, Unreliable.CONTRADICTED, Unreliable.NO_COUNTRY]


def test_the_iso_list_has_the_249_codes_and_none_of_those_that_only_look_like_it() -> None:
    assert len(ISO_COUNTRIES) == 249
    assert not ISO_COUNTRIES & {"EU", "UK", "XK", "AN", "AP", "A1", "XX", "ZZ", ""}


def test_a_table_tells_where_it_comes_from() -> None:
    countries = IpCountries.from_buffer(WHOLE)
    assert (countries.origin, countries.shipped, is_shipped(WHOLE)) == (ORIGIN, True, True)
    assert not IpCountries.from_buffer(table({})).shipped
    assert not is_shipped(table({}))


def test_the_same_table_is_the_same_bytes_and_any_buffer_will_do() -> None:
    assert table({5: US}) == table({5: US})
    for buffer in (WHOLE, bytearray(WHOLE), memoryview(WHOLE)):
        assert IpCountries.from_buffer(buffer).country("8.8.8.8") == "US"


def test_a_machine_of_the_other_byte_order_reads_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the file's integers are not the machine's; here that is shown with a file of the other order."""
    other = "big" if sys.byteorder == "little" else "little"
    swapped = bytearray(WHOLE)
    _, _, _, _, n6, n4, _, _ = HEADER.unpack_from(WHOLE)
    for typecode, at, size in (("Q", HEADER.size, 8 * n6), ("I", HEADER.size + 8 * n6, 4 * n4)):
        integers = array(typecode, WHOLE[at : at + size])
        integers.byteswap()
        swapped[at : at + size] = integers.tobytes()
    monkeypatch.setattr(sys, "byteorder", other)
    countries = IpCountries.from_buffer(signed(swapped))
    assert [countries.country(a) for a in ("8.0.0.0", "9.0.0.255", "9.0.1.0", "2a00::")] == ["US", "DK", None, "GB"]


def signed(changed: bytes | bytearray) -> bytes:
    """The table with the checksum that a writer of it would have given it."""
    whole = bytearray(changed)
    whole[12:16] = struct.pack("<I", zlib.crc32(whole[16:], zlib.crc32(whole[:12])))
    return bytes(whole)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_table_is_refused(length: int) -> None:
    with pytest.raises(IpTableUnusable):
        IpCountries.from_buffer(WHOLE[:length])


@given(st.integers(0, len(WHOLE) * 8 - 1))
def test_a_table_with_one_flipped_bit_is_refused(bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IpTableUnusable) as caught:
        IpCountries.from_buffer(damaged)
    assert caught.value.mend


@given(st.binary(max_size=200), st.booleans())
def test_what_is_no_table_is_refused(data: bytes, with_magic: bool) -> None:
    with pytest.raises(IpTableUnusable):
        IpCountries.from_buffer(MAGIC + data if with_magic else data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_a_table_that_somebody_else_signed_is_refused_or_answers_every_question(at: int, change: bytes) -> None:
    """Whoever can write the file can give it a right checksum; even then no look-up may fail."""
    foreign = bytearray(WHOLE)
    foreign[at : at + len(change)] = change[: len(WHOLE) - at]
    try:
        countries = IpCountries.from_buffer(signed(foreign))
    except IpTableUnusable:
        return
    for address in ("0.0.0.0", "1.0.0.0", "8.8.8.8", "9.0.0.1", "223.255.255.255", "2000::", "2a00::1", "3ffe::"):
        countries.look_up(address)


def test_a_table_of_another_format_is_named() -> None:
    other = bytearray(WHOLE)
    other[8:10] = struct.pack("<H", FORMAT + 1)
    with pytest.raises(IpTableUnusable, match=f"format {FORMAT + 1}"):
        IpCountries.from_buffer(signed(other))
    assert is_shipped(bytes(other)), "so that a newer shipped table may take its place"


@pytest.mark.parametrize(
    ("v4", "match"),
    [
        (Ranges([0, 9, 5], bytes(3)), "not in order"),
        (Ranges([0, 5, 5], bytes(3)), "not in order"),
        (Ranges([1], bytes(1)), "not in order"),
        (Ranges([], b""), "not in order"),
        (Ranges([0], bytes([US + 1])), "a country that it has not"),
    ],
)
def test_a_table_that_could_not_be_searched_is_never_written(v4: Ranges, match: str) -> None:
    with pytest.raises(IpTableUnusable, match=match):
        encode(v4, Ranges([0], b"\0"), COUNTRIES, ORIGIN)


@pytest.mark.parametrize("countries", [("US", "DK"), ("DK", "DK"), ("UK",), ("EU",), ("us",)])
def test_a_table_of_countries_out_of_order_or_outside_iso_3166_is_refused(countries: tuple[str, ...]) -> None:
    with pytest.raises(IpTableUnusable, match="ISO 3166-1"):
        encode(Ranges([0], b"\0"), Ranges([0], b"\0"), countries, ORIGIN)


@pytest.mark.parametrize(
    "told", [b"", b"{}", b"[]", b"\xff", b"[" * 60_000, json.dumps({**dataclasses.asdict(ORIGIN), "date": 1}).encode(),
             b" " * 70_000 + json.dumps(dataclasses.asdict(ORIGIN)).encode()],
)  # fmt: skip
def test_a_table_that_does_not_say_where_it_comes_from_is_refused(told: bytes) -> None:
    body = struct.pack("<QI", 0, 0) + b"\0\0" + told
    whole = HEADER.pack(MAGIC, FORMAT, 0, 0, 1, 1, 0, len(told)) + body
    with pytest.raises(IpTableUnusable, match="where it comes from"):
        IpCountries.from_buffer(signed(whole))
