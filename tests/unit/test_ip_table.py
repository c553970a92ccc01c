"""A6: the IP country table on disk, the command that looks into it, and the table that is shipped."""

import io
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from holdfast import ip_table
from holdfast.commands.context import Context
from holdfast.commands.ip_countries import ip_countries
from holdfast.core.ip_country import IpCountries, IpTableUnusable, Origin
from holdfast.core.ip_special import Unreliable
from holdfast.errors import HoldfastError, InputError
from holdfast.ip_sources import Claims


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def packed(table: bytes, path: Path) -> Path:
    path.write_bytes(lzma.compress(table))
    return path


def small(country: str, *, shipped: bool = True) -> bytes:
    claims = Claims()
    claims.read_countries(io.BytesIO(f"8.0.0.0/8,{country}".encode()), "small.csv")
    return ip_table.build(ip_table.Sources(claims), Origin(f"all {country}"), shipped=shipped)


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
