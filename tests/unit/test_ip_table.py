"""A6: building the IP country table from files, keeping it on disk, and the one that is shipped."""

import io
import ipaddress
import json
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ip_table
from holdfast.commands.context import Context
from holdfast.commands.ip_countries import ip_countries
from holdfast.core.ip_country import IpCountries, IpTableUnusable, Origin
from holdfast.core.ip_special import Unreliable
from holdfast.errors import HoldfastError, InputError
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


# --- on disk ---


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def packed(table: bytes, path: Path) -> Path:
    path.write_bytes(lzma.compress(table))
    return path


def small(country: str, *, shipped: bool = True) -> bytes:
    return ip_table.build(
        ip_table.Sources(claims_of(f"8.0.0.0/8,{country}".encode())), Origin(f"all {country}"), shipped=shipped
    )


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Makes this the table that came with Holdfast."""

    def replace(table: bytes) -> None:
        monkeypatch.setattr(ip_table, "SHIPPED", packed(table, tmp_path / "shipped.xz"))

    return replace


def answer(path: Path) -> str | None:
    return ip_table.open_table(path).country("8.8.8.8")


def test_the_shipped_table_is_unpacked_once(tmp_path: Path, ship: Callable[[bytes], None]) -> None:
    ship(small("US"))
    state_dir = tmp_path / "not" / "there"
    path = ip_table.default_table(state_dir)
    assert (path, answer(path)) == (state_dir / "ip-country.bin", "US")
    before = path.stat()
    assert ip_table.default_table(state_dir) == path
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert names(state_dir) == ["ip-country.bin"]


def test_a_shipped_table_of_another_version_or_damaged_is_replaced(
    tmp_path: Path, ship: Callable[[bytes], None]
) -> None:
    ship(small("DK"))
    path = ip_table.default_table(tmp_path)
    ship(small("US"))
    assert answer(ip_table.default_table(tmp_path)) == "US"
    path.write_bytes(path.read_bytes()[:-1])
    assert answer(ip_table.default_table(tmp_path)) == "US"
    newer = bytearray(path.read_bytes())
    newer[8] += 1  # the format of another Holdfast
    path.write_bytes(newer)
    assert answer(ip_table.default_table(tmp_path)) == "US"


def test_an_operators_table_is_never_replaced(tmp_path: Path, ship: Callable[[bytes], None]) -> None:
    ship(small("US"))
    path = ip_table.table_path(tmp_path)
    ip_table.write_table(path, small("GB", shipped=False))
    assert answer(ip_table.default_table(tmp_path)) == "GB"
    damaged = path.read_bytes()[:-1]
    path.write_bytes(damaged)
    with pytest.raises(IpTableUnusable, match=r"ip-country\.bin: ") as caught:
        ip_table.default_table(tmp_path)
    assert caught.value.mend
    assert path.read_bytes() == damaged


def test_another_file_in_the_tables_place_is_left_alone(tmp_path: Path, ship: Callable[[bytes], None]) -> None:
    ship(small("US"))
    path = ip_table.table_path(tmp_path)
    for content in (b"", b"somebody's notes"):
        path.write_bytes(content)
        with pytest.raises(HoldfastError):
            ip_table.default_table(tmp_path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"no xz", lzma.compress(b"not a table"), lzma.compress(bytes(99))[:-9]])
def test_a_damaged_shipped_file_is_named_and_nothing_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    shipped = tmp_path / "shipped.xz"
    shipped.write_bytes(content)
    monkeypatch.setattr(ip_table, "SHIPPED", shipped)
    with pytest.raises(IpTableUnusable):
        ip_table.default_table(tmp_path)
    assert names(tmp_path) == ["shipped.xz"]


def nothing(path: Path) -> None:
    del path


@pytest.mark.parametrize("make", [nothing, Path.mkdir, os.mkfifo, Path.touch])
def test_a_path_that_is_no_table_is_named_and_does_not_hang(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "table.bin"
    make(path)
    with pytest.raises(IpTableUnusable, match=r"table\.bin") as caught:
        ip_table.open_table(path)
    assert caught.value.mend


def test_a_source_named_as_the_output_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "countries.csv"
    path.write_text("8.0.0.0/8,US")
    with pytest.raises(InputError, match=r"countries\.csv exists and is no IP country table"):
        ip_table.write_table(path, small("US"))
    assert path.read_text() == "8.0.0.0/8,US"


# --- the command ---


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Result]:
    settings = tmp_path / "holdfast.toml"
    settings.write_text(
        f'[node]\nname = "edge-1"\nstate_dir = "{tmp_path}/state"\n'
        '[sip]\ndomain = "example.org"\naddress = "127.0.0.1"\n'
    )

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(ip_countries, [str(a) for a in arguments], obj=Context(settings))

    return invoke


def test_build_writes_a_table_that_show_and_info_read(tmp_path: Path, command: Callable[..., Result]) -> None:
    (tmp_path / "a.csv").write_text("8.0.0.0/8,US\n9.0.0.0/8,DK\n2600::/32,US\n")
    (tmp_path / "vpn.txt").write_text("8.8.8.8 # a VPN\n")
    out = tmp_path / "out.bin"
    result = command(
        "build", tmp_path / "a.csv", out, "--unreliable", tmp_path / "vpn.txt", "--source", "ours",
        "--date", "2026-01-02",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    result = command("show", "--table", out, "8.8.8.7", "8.8.8.8", "2600::1", "10.0.0.1", "\x1b[2J")
    lines = result.stdout.splitlines()
    assert lines[0] == "8.8.8.7  US"
    assert lines[1] == f"8.8.8.8  unreliable: {Unreliable.MARKED}"
    assert lines[2] == "2600::1  US"
    assert lines[3].startswith("10.0.0.1  unreliable: a private address")
    assert lines[4] == "\\x1b[2J  unreliable: this is not an IP address"
    shown = json.loads(command("info", "--table", out, "--json").stdout)
    assert (shown["source"], shown["date"], shown["countries"], shown["made_by"]) == (
        "ours", "2026-01-02", 2, "built by the operator",
    )  # fmt: skip
    as_json = json.loads(command("show", "--table", out, "--json", "9.0.0.1", "x").stdout)
    assert as_json == [
        {"address": "9.0.0.1", "country": "DK", "unreliable": None},
        {"address": "x", "country": None, "unreliable": "this is not an IP address"},
    ]


def test_build_says_when_a_family_is_missing(tmp_path: Path, command: Callable[..., Result]) -> None:
    (tmp_path / "a.csv").write_text("8.0.0.0/8,US\n")
    result = command("build", tmp_path / "a.csv", tmp_path / "out.bin")
    assert result.exit_code == 0
    assert "this table knows no IPv6 address" in result.stderr


def test_a_refused_build_names_the_lines_and_leaves_the_table_as_it_was(
    tmp_path: Path, command: Callable[..., Result]
) -> None:
    out = tmp_path / "out.bin"
    ip_table.write_table(out, small("GB"))
    before = out.read_bytes()
    (tmp_path / "a.csv").write_text("8.0.0.0/8,US\nwrong\x1b[2J\n" + "worse\n" * 60)
    result = command("build", tmp_path / "a.csv", out)
    assert isinstance(result.exception, ip_table.SourcesRefused)
    assert f"{tmp_path}/a.csv:2: 'wrong\\x1b[2J' is no range" in result.stderr
    assert result.stderr.endswith("… and 11 more\n")
    assert out.read_bytes() == before
    assert names(tmp_path) == ["a.csv", "holdfast.toml", "out.bin"]


def test_a_wrong_date_is_refused(tmp_path: Path, command: Callable[..., Result]) -> None:
    (tmp_path / "a.csv").write_text("8.0.0.0/8,US\n")
    result = command("build", tmp_path / "a.csv", tmp_path / "out.bin", "--date", "17.6.2026")
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "out.bin").exists()


def test_show_reads_the_nodes_table_and_the_shipped_one_where_it_has_none(
    tmp_path: Path, command: Callable[..., Result], ship: Callable[[bytes], None]
) -> None:
    ship(small("US"))
    assert command("show", "8.8.8.8").stdout == "8.8.8.8  US\n"
    assert "'holdfast render' unpacks it" in command("info").stdout
    (tmp_path / "state").mkdir()
    ip_table.write_table(tmp_path / "state" / "ip-country.bin", small("DK", shipped=False))
    assert command("show", "8.8.8.8").stdout == "8.8.8.8  DK\n"


# --- the shipped table ---


@pytest.fixture(scope="module")
def shipped() -> IpCountries:
    return ip_table.shipped_table()


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        ("18.7.0.1", "US"),
        ("129.97.128.15", "CA"),  # University of Waterloo
        ("131.111.8.42", "GB"),  # University of Cambridge
        ("130.225.212.55", "DK"),  # the Danish research network
        ("141.20.1.1", "DE"),  # Humboldt University
        ("133.11.0.1", "JP"),  # University of Tokyo
        ("2001:630::1", "GB"),  # Janet
        ("2001:638::1", "DE"),  # DFN
        ("2001:878::1", "DK"),
        ("2607:f8b0::1", "US"),
        ("10.1.2.3", None),
        ("100.64.0.1", None),
        ("203.0.113.1", None),  # its source has this documentation network in a country
        ("fd00::1", None),
        ("2001:200::1", None),  # Japan's; its source says Australia, where the registry sits
    ],
)
def test_a6_the_shipped_table_knows_what_is_certain(shipped: IpCountries, address: str, country: str | None) -> None:
    assert shipped.country(address) == country


def test_the_shipped_table_tells_its_licence_and_date_and_is_small(shipped: IpCountries) -> None:
    origin = shipped.origin
    assert shipped.shipped
    assert origin.version
    assert origin.date > "2026-01-01"
    assert "CC0-1.0" in origin.licence
    assert "CC BY 4.0" in origin.licence
    assert "nro.net" in origin.attribution
    beside = (ip_table.SHIPPED.parent / "README.md").read_text(encoding="utf-8")
    assert origin.version in beside
    assert (ip_table.SHIPPED.parent / "NRO_LICENSE").read_text(encoding="utf-8") in beside.replace("> ", "")
    assert ip_table.SHIPPED.stat().st_size < 2_500_000


def test_the_shipped_table_knows_most_of_the_world(shipped: IpCountries) -> None:
    known = {shipped.answers[code].country for ranges in (shipped.v4, shipped.v6) for code in set(ranges.codes)}
    assert len(known) > 200
    assert {"US", "PR", "CA", "GB", "DK"} <= known
