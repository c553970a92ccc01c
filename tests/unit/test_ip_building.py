"""A6: an IP country table from files: what they say together, and every line that is wrong."""

import io
import ipaddress
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ip_table
from holdfast.core.ip_country import IpCountries, Origin
from holdfast.core.ip_special import Unreliable
from holdfast.ip_sources import Claims

V4_BASE = int(ipaddress.ip_address("8.0.0.0"))
#: A quarter of a /64: the boundaries of IPv6 claims are there, so that some fall inside a /64.
V6_BASE, V6_QUARTER = int(ipaddress.ip_address("2a00::")), 1 << 62
SPAN = 24
Spans = list[tuple[int, int, str]]

spans = st.lists(
    st.tuples(st.integers(0, SPAN - 1), st.integers(0, SPAN - 1), st.sampled_from(["DK", "US", "GB", "EU"])).map(
        lambda drawn: (min(drawn[:2]), max(drawn[:2]), drawn[2])
    ),
    max_size=8,
)


def v4_address(unit: int, *, end: bool = False) -> ipaddress.IPv4Address:
    del end
    return ipaddress.IPv4Address(V4_BASE + unit)


def v6_address(unit: int, *, end: bool = False) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(V6_BASE + unit * V6_QUARTER + (V6_QUARTER - 1 if end else 0))


def csv_text(claims: Spans, address: Callable[..., ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bytes:
    """The claims as lines, in every form that a line may have."""
    lines = ["# a remark", ""]
    for number, (first, last, country) in enumerate(claims):
        start, end = address(first), address(last, end=True)
        networks = list(ipaddress.summarize_address_range(start, end))
        if number % 3 == 0:
            lines += [f"{network},{country}" for network in networks]
        elif number % 3 == 1:
            lines.append(f"{int(start)},{int(end)},{country.lower()}  # the same in numbers")
        else:
            lines.append(f'"{start}","{end}","{country}"')
    return "\r\n".join(lines).encode()


def claims_of(*texts: bytes, networks: bool = False) -> Claims:
    claims = Claims()
    for number, text in enumerate(texts):
        read = claims.read_networks if networks else claims.read_countries
        read(io.BytesIO(text), f"file{number}")
    return claims


def built(*texts: bytes, check: bytes = b"", unreliable: bytes = b"", overlaps: bool = True) -> IpCountries:
    sources = ip_table.Sources(
        claims_of(*texts),
        claims_of(check) if check else Claims(),
        claims_of(unreliable, networks=True) if unreliable else Claims(),
        overlaps=overlaps,
    )
    return IpCountries.from_buffer(ip_table.build(sources, Origin()))


def slow_answer(unit: int, countries: Spans, opinion: Spans, marks: Spans) -> str:
    """What one unit of addresses is, from the claims one by one."""
    said = {country for first, last, country in countries if first <= unit <= last}
    other = {country for first, last, country in opinion if first <= unit <= last}
    if any(first <= unit <= last for first, last, _ in marks):
        return Unreliable.MARKED
    if not said:
        return Unreliable.NOT_IN_TABLE
    if len(said) > 1:
        return Unreliable.CONTRADICTED
    (country,) = said
    if country == "EU":
        return Unreliable.NO_COUNTRY
    return Unreliable.CONTRADICTED if len(other) > 1 or other - {country, "EU"} else country


def told(countries: IpCountries, address: object) -> str:
    finding = countries.look_up(str(address))
    return finding.country or str(finding.unreliable)


@given(spans, spans, spans)
def test_a6_every_ipv4_address_is_what_all_files_together_say(countries: Spans, opinion: Spans, marks: Spans) -> None:
    filler = b"1.0.0.0,1.0.0.255,DK\n"  # a file says something
    networks = [str(n) for a, b, _ in marks for n in ipaddress.summarize_address_range(v4_address(a), v4_address(b))]
    table = built(
        filler + csv_text(countries, v4_address), check=filler + csv_text(opinion, v4_address),
        unreliable="\n".join(["192.0.2.0/24", *networks]).encode(),
    )  # fmt: skip
    for unit in range(-1, SPAN + 1):
        assert told(table, v4_address(unit)) == slow_answer(unit, countries, opinion, marks)


@given(spans, spans, spans)
def test_a6_an_ipv6_64_is_what_all_of_it_is(countries: Spans, opinion: Spans, marks: Spans) -> None:
    filler = b"2600::/32,US\n"
    networks = [
        str(n) for a, b, _ in marks
        for n in ipaddress.summarize_address_range(v6_address(a), v6_address(b, end=True))
    ]  # fmt: skip
    table = built(
        filler + csv_text(countries, v6_address), check=filler + csv_text(opinion, v6_address),
        unreliable="\n".join(["2001:db8::/32", *networks]).encode(),
    )  # fmt: skip
    for quarters in range(-4, SPAN + 4, 4):
        parts = {slow_answer(quarters + at, countries, opinion, marks) for at in range(4)}
        expected = parts.pop() if len(parts) == 1 else Unreliable.CONTRADICTED
        if Unreliable.MARKED in parts:
            expected = Unreliable.MARKED
        for at in range(4):
            assert told(table, v6_address(quarters + at)) == expected


@given(spans, st.randoms(use_true_random=False))
def test_the_same_lines_in_another_order_are_the_same_bytes(countries: Spans, shuffle: random.Random) -> None:
    lines = [*csv_text(countries, v4_address).splitlines(), b"2600::/32,US"]
    tables = []
    for _ in range(2):
        tables.append(ip_table.build(ip_table.Sources(claims_of(b"\n".join(lines)), overlaps=True), Origin("x")))
        shuffle.shuffle(lines)
    assert tables[0] == tables[1]


def test_neighbours_of_one_country_are_one_range() -> None:
    table = built(b"8.0.0.0/25,US\n8.0.0.128,8.0.0.255,US\n8.0.1.0/24,DK\n")
    assert list(table.v4.starts) == [0, V4_BASE, V4_BASE + 256, V4_BASE + 512]


def test_the_whole_of_both_address_spaces_can_be_claimed() -> None:
    table = built(b"0.0.0.0/0,US\n::/0,DK\n")
    assert [table.country(a) for a in ("1.0.0.0", "223.255.255.255", "2000::", "3ffe::1")] == ["US", "US", "DK", "DK"]


def refusal(*texts: bytes, check: bytes = b"", unreliable: bytes = b"", overlaps: bool = False) -> list[str]:
    with pytest.raises(ip_table.SourcesRefused) as refused:
        built(*texts, check=check, unreliable=unreliable, overlaps=overlaps)
    assert refused.value.wrong.count == len(refused.value.wrong.kept)
    return [str(line) for line in refused.value.wrong.kept]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"8.0.0.0", "'8.0.0.0' is no range with its country; write start,end,country or"),
        (b"8.0.0.0,DK", "'8.0.0.0,DK' is no range with its country"),
        (b"8.0.0.0,8.0.0.1,DK,Denmark", "is no range with its country"),
        (b"8.0.0.0;8.0.0.1;DK", "is no range with its country"),
        (b"8.0.0.256,8.0.1.0,DK", "'8.0.0.256' is not an IP address"),
        (b"8.0.0.0/33,DK", "'8.0.0.0/33' is not a network"),
        (b"8.0.0.1/24,DK", "'8.0.0.1/24' is not a network; its network is 8.0.0.0/24"),
        (b"8.0.0.9,8.0.0.1,DK", "the range ends at 8.0.0.1 before it begins at 8.0.0.9"),
        (b"8.0.0.0,2600::,DK", "8.0.0.0 and 2600:: are not of one IP version"),
        (b"134217728,4294967296,DK", "are not of one IP version"),
        (b"1" * 60 + b",2,DK", "is not an IP address"),
        (b"-1,2,DK", "'-1' is not an IP address"),
        (b"fe80::1%eth0,fe80::2,DK", "has a zone"),
        (b"::ffff:8.0.0.0,::ffff:8.0.0.1,DK", "is an IPv4-mapped address; write IPv4: 8.0.0.0"),
        (b"8.0.0.0/24,UK", "'UK' is no country code; write GB"),
        (b"8.0.0.0/24,USA", "'USA' is no country code"),
        (b"8.0.0.0/24,", "'' is no country code"),
        (b"8.0.0.0/24,D\xff", "is no country code"),
        (b"8.0.0.0/24,\x1b[2J", "'\\x1b[2J' is no country code"),
        (b'8.0.0.0/24,"DK', "is not CSV"),
        (b"9" * 5000, "the line is longer than 4096 bytes"),
    ],
)
def test_a_wrong_line_is_named_with_what_mends_it(line: bytes, message: str) -> None:
    (said,) = refusal(b"8.1.0.0/24,DK\n" + line + b"\n")
    assert said.startswith("file0:2: ")
    assert message in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "beginning", [b"network,country\n", b"start_ip,end_ip,country_code\n", b"\xef\xbb\xbfSTART,END,COUNTRY\r\n"]
)
def test_a_first_line_may_name_the_columns(beginning: bytes) -> None:
    assert built(beginning + b"8.0.0.0/24,US").country("8.0.0.1") == "US"
    assert len(refusal(b"8.1.0.0/24,US\n" + beginning)) == 1, "no other line may"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file says nothing"),
        (b"# nothing\n\n", "the file says nothing"),
        (b"\x1f\x8b\x08\0", "the file is compressed; unpack it with gunzip"),
        ("8.0.0.0/24,DK".encode("utf-16"), "the file is UTF-16; save it as CSV UTF-8"),
        (b"\0\0\0\1", "the file is no text"),
    ],
)
def test_a_file_that_is_no_csv_is_named(data: bytes, message: str) -> None:
    (said,) = refusal(data)
    assert said.startswith(f"file0:1: {message}")


def test_every_wrong_line_of_every_file_is_named() -> None:
    said = refusal(b"x\n8.0.0.0/24,DK\ny\n", b"z\n", check=b"q\n", unreliable=b"8.0.0.1/24\n8.0.0.1 # a host\nabc\n")
    places = [line.partition(": ")[0] for line in said]
    assert places == ["file0:1", "file0:3", "file1:1", "file0:1", "file0:1", "file0:3"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (b"8.0.0.0/24,DK\n8.0.0.255,8.0.1.0,US\n", ["file0:2: the range overlaps that of file0:1"]),
        (b"8.0.0.0/25,DK\n8.0.0.0/24,DK\n", ["file0:2: the range overlaps that of file0:1"]),
        (b"8.0.0.0/24,DK\n8.0.0.0/25,DK\n", ["file0:2: the range overlaps that of file0:1"]),
        (b"8.0.0.0/24,DK\n8.0.0.0/24,DK\n", ["file0:2: the range overlaps that of file0:1"]),
        (b"2600::/32,US\n2600::1,2600::1,US\n", ["file0:2: the range overlaps that of file0:1"]),
        (
            b"8.0.0.0/8,DK\n8.1.0.0/16,US\n8.2.0.0/16,US\n",
            ["file0:2: the range overlaps that of file0:1", "file0:3: the range overlaps that of file0:1"],
        ),
    ],
)
def test_overlapping_lines_are_refused_with_both_lines(lines: bytes, named: list[str]) -> None:
    said = refusal(lines)
    assert [line.partition(";")[0] for line in said] == named
    assert all("--overlaps-unreliable" in line for line in said)


def test_lines_that_only_touch_do_not_overlap() -> None:
    table = built(b"8.0.0.0/25,DK\n8.0.0.128/25,US\n2600::/33,US\n2600:0:8000::/33,CA\n", overlaps=False)
    assert [table.country(a) for a in ("8.0.0.127", "8.0.0.128", "2600:0:8000::")] == ["DK", "US", "CA"]


def test_a_second_opinion_and_the_marked_networks_may_overlap() -> None:
    table = built(
        b"8.0.0.0/24,DK\n", check=b"8.0.0.0/25,DK\n8.0.0.0/24,DK\n8.0.0.9,8.0.0.9,US",
        unreliable=b"8.0.0.0/30\n8.0.0.1\n", overlaps=False,
    )  # fmt: skip
    assert [told(table, f"8.0.0.{host}") for host in (0, 8, 9)] == [Unreliable.MARKED, "DK", Unreliable.CONTRADICTED]


def test_many_claims_on_one_address_are_resolved_quickly() -> None:
    """A line for everything makes all lines one heap of overlaps: comparing each with each would take minutes."""
    lines = ["0.0.0.0/0,US", *(f"8.{a}.{b}.0/24,DK" for a in range(100) for b in range(200))]
    table = built("\n".join(lines).encode())
    assert (told(table, "8.0.0.1"), table.country("9.0.0.0")) == (Unreliable.CONTRADICTED, "US")


def test_what_is_wrong_beyond_the_first_lines_is_counted() -> None:
    with pytest.raises(ip_table.SourcesRefused, match="10000 things are wrong") as refused:
        built(b"x\n" * 10_000)
    assert len(refused.value.wrong.kept) == 50
