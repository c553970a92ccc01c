"""A6: MaxMind DB files as a source of countries: every record size and layout, damaged and hostile ones too."""

import io
import ipaddress
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ip_table
from holdfast.core.ip_country import IpCountries, Origin
from holdfast.core.ip_special import Unreliable
from holdfast.errors import InputError
from holdfast.ip_mmdb import MaxMindDb
from holdfast.ip_sources import Claims

MARKER = b"\xab\xcd\xefMaxMind.com"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def encoded(value: object) -> bytes:
    """One value in the data section's encoding (MaxMind DB 2.0), without pointers."""
    match value:
        case bool():
            return bytes([0x00 | value, 14 - 7])
        case int():
            content = value.to_bytes(4, "big")
            return bytes([6 << 5 | len(content)]) + content
        case str():
            content = value.encode()
            return control(2, len(content)) + content
        case float():
            return control(3, 8) + struct.pack(">d", value)
        case list():
            return bytes([len(value), 11 - 7]) + b"".join(map(encoded, value))
        case dict():
            return control(7, len(value)) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
    raise AssertionError(value)


def control(kind: int, size: int) -> bytes:
    if size < 29:
        return bytes([kind << 5 | size])
    return (
        bytes([kind << 5 | 29, size - 29]) if size < 285 else bytes([kind << 5 | 30]) + (size - 285).to_bytes(2, "big")
    )


def pointer(target: int) -> bytes:
    return bytes([1 << 5 | 3 << 3]) + target.to_bytes(4, "big")


def mmdb(
    networks: Mapping[str, object], *, bits: int = 24, version: int = 6, aliases: bool = False, raw_data: bytes = b""
) -> bytes:
    """A database of these networks; a value is a record, or an int: an offset into `raw_data`."""
    data, leaves = bytearray(raw_data), []
    for text, record in networks.items():
        network = ipaddress.ip_network(text)
        first, length = int(network.network_address), network.prefixlen
        if version == 6 and network.version == 4:
            length += 96
        leaves.append((first, length, record if isinstance(record, int) else len(data)))
        if not isinstance(record, int):
            data += encoded(record)
    width = 128 if version == 6 else 32
    nodes: list[list[tuple[str, int] | None]] = [[None, None]]

    def walk(first: int, length: int) -> tuple[int, int]:
        """The node and side that stands for a prefix; nodes on the way are made."""
        node = 0
        for at in range(length - 1):
            side = first >> (width - 1 - at) & 1
            child = nodes[node][side]
            if child is None:
                nodes.append([None, None])
                child = nodes[node][side] = ("node", len(nodes) - 1)
            node = child[1]
        return node, first >> (width - length) & 1

    for first, length, offset in leaves:
        node, side = walk(first, length)
        nodes[node][side] = ("record", offset)
    if aliases:
        node, side = walk(0, 96)
        for text in ("::ffff:0:0/96", "2002::/16"):
            alias = ipaddress.IPv6Network(text)
            at, that = walk(int(alias.network_address), alias.prefixlen)
            nodes[at][that] = nodes[node][side]
    tree = b"".join(node_bytes([value(child, len(nodes)) for child in pair], bits) for pair in nodes)
    told = {"node_count": len(nodes), "record_size": bits, "ip_version": version, "binary_format_major_version": 2,
            "description": {"en": "x" * 300}, "languages": ["en"]}  # fmt: skip
    return tree + bytes(16) + bytes(data) + MARKER + encoded(told)


def value(child: tuple[str, int] | None, count: int) -> int:
    if child is None:
        return count
    return child[1] if child[0] == "node" else count + 16 + child[1]


def node_bytes(pair: list[int], bits: int) -> bytes:
    left, right = pair
    if bits == 28:
        middle = left >> 24 << 4 | right >> 24
        return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")
    return left.to_bytes(bits // 8, "big") + right.to_bytes(bits // 8, "big")


def table(data: bytes) -> IpCountries:
    claims = Claims()
    claims.read_countries(io.BytesIO(data), "countries.mmdb")
    return IpCountries.from_buffer(ip_table.build(ip_table.Sources(claims), Origin()))


def told(countries: IpCountries, address: str) -> str:
    finding = countries.look_up(address)
    return finding.country or str(finding.unreliable)


def refusal(data: bytes) -> str:
    with pytest.raises(ip_table.SourcesRefused) as refused:
        table(data)
    (line,) = refused.value.wrong.kept
    return str(line)


@pytest.mark.parametrize("bits", [24, 28, 32])
@pytest.mark.parametrize("aliases", [False, True])
def test_a6_networks_of_both_families_are_read_from_a_tree_of_any_record_size(bits: int, aliases: bool) -> None:
    countries = table(
        mmdb(
            {
                name: {"country_code": code}
                for name, code in (("8.8.8.0/24", "US"), ("9.0.0.0/8", "DK"), ("2600::/32", "GB"))
            },
            bits=bits,
            aliases=aliases,
        )
    )
    found = [told(countries, a) for a in ("8.8.8.0", "8.8.8.255", "8.8.9.0", "9.255.255.255", "2600::1", "2601::")]
    assert found == ["US", "US", Unreliable.NOT_IN_TABLE, "DK", "GB", Unreliable.NOT_IN_TABLE]


def test_a6_records_beyond_16_mib_are_found_by_records_of_28_bits() -> None:
    far = 1 << 24
    both = {"0.0.0.0/1": far, "128.0.0.0/1": far + len(encoded({"country": "US"}))}
    data = bytes(far) + encoded({"country": "US"}) + encoded({"country": "DK"})
    countries = table(mmdb(both, bits=28, version=4, raw_data=data))
    assert [countries.country(a) for a in ("8.8.8.8", "130.0.0.1")] == ["US", "DK"]


def test_ipv4_networks_are_read_once_however_many_ipv6_networks_mean_them() -> None:
    networks = {"8.8.8.0/24": {"country": "US"}, "2600::/32": {"country": "US"}}
    plain, aliased = (list(MaxMindDb(mmdb(networks, aliases=aliases)).leaves()) for aliases in (False, True))
    assert [(leaf.version, leaf.first) for leaf in aliased] == [(leaf.version, leaf.first) for leaf in plain]


def test_a6_a_tree_of_ipv4_alone_is_read() -> None:
    countries = table(mmdb({"8.8.8.0/24": {"country_code": "US"}}, version=4))
    assert [told(countries, a) for a in ("8.8.8.8", "2600::1")] == ["US", Unreliable.NOT_IN_TABLE]


def test_a6_a_record_for_everything_is_for_ipv4_too() -> None:
    countries = table(mmdb({"::/1": {"country_code": "US"}}))
    assert [countries.country(a) for a in ("8.8.8.8", "2600::1")] == ["US", "US"]


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"country": {"iso_code": "DK", "names": {"en": "Denmark"}}, "registered_country": {"iso_code": "SE"}}, "DK"),
        ({"country_code": "DK", "x": [1.5, "y", {"z": True}]}, "DK"),
        ({"country": "DK", "continent": "EU"}, "DK"),
        ({"country": "Denmark", "country_code": "DK"}, "DK"),
        ({"country_code": "EU"}, Unreliable.NO_COUNTRY),
        ({"registered_country": {"iso_code": "SE"}}, Unreliable.NOT_IN_TABLE),
        ({"country": {"names": {}}}, Unreliable.NOT_IN_TABLE),
        ({"country_code": 7}, Unreliable.NOT_IN_TABLE),
        ("DK", Unreliable.NOT_IN_TABLE),
        ({"country_code": "DK", "traits": {"is_anonymous_vpn": True}}, Unreliable.MARKED),
        ({"country_code": "DK", "is_hosting_provider": True}, Unreliable.MARKED),
        ({"country_code": "DK", "is_hosting_provider": False}, "DK"),
    ],
)
def test_a6_a_record_in_any_providers_form_says_the_country_or_that_people_hide_behind_it(
    record: object, answer: str
) -> None:
    countries = table(mmdb({"8.0.0.0/8": record, "9.0.0.0/8": {"country_code": "US"}}))
    assert told(countries, "8.8.8.8") == answer
    assert countries.country("9.0.0.1") == "US"


def test_a_pointer_leads_to_its_value() -> None:
    text = encoded("DK")
    record = control(7, 1) + encoded("country_code") + pointer(0)
    assert table(mmdb({"8.0.0.0/8": len(text)}, raw_data=text + record)).country("8.0.0.1") == "DK"


def test_a_wrong_code_is_named_once_with_its_first_network() -> None:
    data = mmdb({"8.0.0.0/8": 0, "9.0.0.0/8": 0}, raw_data=encoded({"country_code": "UK"}))
    assert refusal(data) == "countries.mmdb:1: the network at 8.0.0.0: 'UK' is no country code; write GB"


DAMAGED = "countries.mmdb:1: The file is no MaxMind DB, or damaged; download it again"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"8.0.0.0/8,DK\n",
        MARKER,
        MARKER + encoded("x"),
        MARKER + encoded({"node_count": 1}),
        bytes(22) + MARKER + encoded({"node_count": 2**31, "record_size": 24, "ip_version": 6,
                                      "binary_format_major_version": 2}),
        mmdb({"8.0.0.0/8": 100_000}),
        mmdb({"8.0.0.0/8": 0}, raw_data=pointer(0)),
        mmdb({"8.0.0.0/8": 0}, raw_data=bytes([0xE0 | 31, 255, 255, 255])),
        mmdb({"8.0.0.0/8": 0}, raw_data=control(7, 1) + encoded(1) + encoded(1)),
        mmdb({"8.0.0.0/8": 0}, raw_data=bytes([0, 250])),
    ],
)  # fmt: skip
def test_a_damaged_database_is_named(data: bytes) -> None:
    assert refusal(data) == DAMAGED


def test_a_database_without_countries_is_named() -> None:
    assert "no network in it has a country" in refusal(mmdb({"8.0.0.0/8": {"asn": 1}}))


def test_a_database_of_another_format_is_named() -> None:
    told = {"node_count": 1, "record_size": 24, "ip_version": 6, "binary_format_major_version": 3}
    assert "a kind that is not known here" in refusal(bytes(22) + MARKER + encoded(told))


def test_a_tree_that_leads_back_to_itself_ends() -> None:
    """Each node's sides are both the node itself: followed blindly, 2 to the 128th paths."""
    told = {"node_count": 1, "record_size": 24, "ip_version": 6, "binary_format_major_version": 2}
    assert refusal(bytes(6) + bytes(16) + MARKER + encoded(told)) == DAMAGED


@pytest.mark.parametrize("nodes", [100, 2**31])
def test_a_tree_whose_branches_all_meet_again_ends(nodes: int) -> None:
    """Both sides of each node lead to the next: 100 nodes with 2 to the 100th paths, whatever their number is said."""
    told = {"node_count": nodes, "record_size": 32, "ip_version": 6, "binary_format_major_version": 2}
    tree = b"".join(node_bytes([at + 1 if at < 99 else nodes] * 2, 32) for at in range(100))
    assert refusal(tree + bytes(16) + MARKER + encoded(told)) == DAMAGED


def test_a_record_that_grows_without_end_is_refused() -> None:
    """Arrays of pointers to arrays of pointers: few bytes, and 28 to the 8th values."""
    data = encoded(1)
    before = 0
    for _ in range(8):
        here = len(data)
        data += bytes([28, 11 - 7]) + pointer(before) * 28
        before = here
    assert refusal(mmdb({"8.0.0.0/8": before}, raw_data=data)) == DAMAGED


WHOLE = mmdb({"8.8.8.0/24": {"country": {"iso_code": "US"}}, "2600::/32": {"country_code": "GB"}}, aliases=True)


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=6), st.booleans())
def test_any_damage_is_named_or_read_and_never_a_traceback(at: int, change: bytes, cut: bool) -> None:
    data = WHOLE[:at] + change + (b"" if cut else WHOLE[at + len(change) :])
    try:
        for leaf in (database := MaxMindDb(data)).leaves():
            assert leaf.first <= leaf.last
            database.country(leaf.record)
    except InputError:
        return


def test_a_database_that_is_not_named_mmdb_is_pointed_out() -> None:
    claims = Claims()
    claims.read_countries(io.BytesIO(WHOLE), "countries.csv")
    (line,) = claims.wrong.kept
    assert "a MaxMind DB named .mmdb" in line.mend
