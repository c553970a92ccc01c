"""`holdfast explain`: from a node's edge store alone, PostgreSQL and Kamailio down, for people and for programs."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holdfast.edge import store as edge_store
from integration.command import Command
from integration.small_kamailio import small_kamailio
from unit.edge_rows import own, row

NUMBER, CALLBACK = "+12025550101", "+12025550140"
REGISTERS = {
    "realm": "example.com", "ha1": "0" * 32, "outbound_enabled": 1, "inbound_enabled": 1, "do_not_disturb": 0,
}  # fmt: skip


@pytest.fixture
def holdfast(tmp_path: Path) -> Command:
    """A node whose database is nowhere and whose Kamailio does not run."""
    config = tmp_path / "holdfast.toml"
    config.write_text(
        f"""
        [node]
        name = "edge-1"
        state_dir = "{tmp_path}"
        run_dir = "{tmp_path}"
        [database]
        dsn = "host=127.0.0.1 port=1 connect_timeout=1"
        [sip]
        domain = "example.com"
        """,
        encoding="utf-8",
    )
    with closing(edge_store.connect(tmp_path / "edge.db")) as connection:
        row(connection, "tenant", id=1, name="Acme", country="US", max_emergency_calls=10,
            security_desk="desk@example.com")  # fmt: skip
        row(connection, "platform_number", number=NUMBER, tenant_id=1, outbound_enabled=1)
        row(connection, "subscriber", id=1, tenant_id=1, username="alice", display_name="Alice", number=NUMBER,
            **REGISTERS)  # fmt: skip
        row(connection, "subscriber", id=2, tenant_id=1, username="pbx", display_name="PBX", pbx=1, **REGISTERS)
        row(connection, "trunk_group", id=1, name="psap", emergency=1, ordinary=0, location_method="value")
        row(connection, "trunk", id=1, trunk_group_id=1, name="psap-1", host="192.0.2.20", port=5060, transport="udp",
            priority=1, weight=1, source_addresses="[]", enabled=1)  # fmt: skip
        row(connection, "pool", id=1, name="us", trunk_group_id=1, country="US", window_s=3600, rest_s=600,
            target_idle=1)  # fmt: skip
        row(connection, "location", id=1, tenant_id=1, name="austin", country="US", validation="validated",
            civic=json.dumps({"A1": "TX", "A3": "Austin"}), latitude=30.2747, longitude=-97.7404)  # fmt: skip
        row(connection, "network_element", tenant_id=1, kind="bssid", element_key="00-11-22-aa-bb-cc", location_id=1)
        own(connection, [CALLBACK])
        connection.execute("update store set node_id = 7, caught_up = 1, revision = 1")
    return Command(config, tmp_path)


def everything(folder: Path) -> list[str]:
    with closing(edge_store.connect(folder / "edge.db")) as connection:
        return list(connection.iterdump())


def test_n6_for_people_each_step_with_the_rule_behind_it(holdfast: Command) -> None:
    access = "IEEE-802.11;i-wlan-node-id=001122AABBCC"
    result = holdfast.run("explain", "--user", "alice", "--dial", "911", "--access", access)
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "caller: subscriber:1",
        "match emergency 911 [911 was dialled]",
        "country US [the caller's place: bssid 00-11-22-aa-bb-cc]",
        "service served [the table of countries]",
        "location dynamic austin (validated) [bssid 00-11-22-aa-bb-cc]",
        "destination psap [L3, O3, O8: the location is validated]",
        "path direct_offer [D8: no policy applies]",
        "trunk 1 psap-1 sip:911@192.0.2.20:5060 [direct_offer to the psap, priority 1; location: value]",
        "callback number 1 pool us [the platform's, country US]",
        "security desk told: desk@example.com [O7: the rule for US]",
        "location told US, TX, Austin; point at 30.2747, -97.7404 [in the body: psap-1]",
        "calls at once 0 here and 0 on other nodes are in progress [A9: Acme may have 10]",
        f"number shown {CALLBACK} [of the idle numbers of pool us it has rested longest]",
    ]
    assert "no call would be taken here now" in result.stderr, "Kamailio does not run"


def test_n6_for_programs_the_same(holdfast: Command) -> None:
    told = holdfast.json("explain", "--user", "alice@example.com", "--dial", "sip:911@example.com")
    assert told["outcome"] == "emergency"
    assert told["sent"] == "911"
    assert [trunk["request_uri"] for trunk in told["trunks"]] == ["sip:911@192.0.2.20:5060"]
    assert told["number_shown"] == CALLBACK
    assert told["in_progress"] == {"here": 0, "elsewhere": 0}
    assert {step["topic"] for step in told["steps"]} >= {"match", "country", "path", "number shown"}
    assert holdfast.json("explain", "--dial", "5551234")["outcome"] == "ordinary"


def test_n6_a_refusal_is_no_failure_of_the_command(holdfast: Command) -> None:
    """It is what the caller would hear."""
    told = holdfast.json("explain", "--user", "alice", "--dial", "112", "--country", "DE")
    assert (told["outcome"], told["code"], told["reason"]) == ("refused", 403, "country_not_served")
    assert "Use another phone" in holdfast.ok("explain", "--user", "alice", "--dial", "112", "--country", "DE")


def test_n6_an_ordinary_number_is_said_to_be_one(holdfast: Command) -> None:
    assert "an ordinary number" in holdfast.ok("explain", "--user", "alice", "--dial", "+12025550177")


def test_n6_nothing_is_written(holdfast: Command, tmp_path: Path) -> None:
    before = everything(tmp_path)
    for dialled in ("911", "933", "112", "+12025550177"):
        holdfast.ok("explain", "--user", "alice", "--dial", dialled)
    assert everything(tmp_path) == before


@pytest.fixture
def kamailio(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "kamailio").mkdir()
    with small_kamailio(tmp_path / "kamailio") as rpc_socket:
        (tmp_path / "kamailio.rpc").symlink_to(rpc_socket)
        yield rpc_socket


def test_n6_a9_with_a_running_kamailio_its_calls_are_counted_and_those_before_it_are_not(
    holdfast: Command, tmp_path: Path, kamailio: Path
) -> None:
    with closing(edge_store.connect(tmp_path / "edge.db")) as connection:
        for call_id, started_at in (("before", 1_700_000_000.0), ("now", 4_000_000_000.0)):
            row(connection, "emergency_call", call_id=call_id, kind="emergency", tenant_id=1, started_at=started_at)
    result = holdfast.run("explain", "--user", "alice", "--dial", "911", "--json")
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["in_progress"] == {"here": 1, "elsewhere": 0}
    assert told["hindered_by"] is None
    assert kamailio.exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--user", "bob", "--dial", "911"), "no user bob@example.com"),
        (("--user", "al\udcffice", "--dial", "911"), "--user: "),
        (("--trunk", "nowhere", "--dial", "911"), "no trunk nowhere"),
        (("--trunk", "no\udcffwhere", "--dial", "911"), "--trunk: "),
        (("--user", "alice", "--trunk", "psap-1", "--dial", "911"), "two origins"),
        (("--user", "alice", "--number", NUMBER, "--dial", "911"), "comes from neither"),
        (("--user", "pbx", "--number", "nonsense", "--dial", "911"), "--number: "),
        (("--user", "alice", "--dial", " "), "--dial: nothing is dialled"),
        (("--user", "alice"), "--dial"),
        (("--dial", "911", "--country", "Narnia"), "--country: 'Narnia' is no country"),
        (("--dial", "911", "--from-address", "here"), "--from-address: 'here' is not an address"),
        (("--dial", "911", "--from-address", ""), "--from-address: '' is not an address"),
        (("--dial", "911", "--access", "IEEE-802.11"), "--access names no access point"),
        (("--dial", "911", "--pidf-lo", "/nowhere.xml"), "/nowhere.xml"),
    ],
)
def test_n6_a_wrong_option_is_refused_with_what_to_do(holdfast: Command, options: tuple[str, ...], why: str) -> None:
    assert why in holdfast.refused("explain", *options)


@pytest.mark.parametrize(
    "content", [b"", b"<presence", b"\x00" * 50, b"x" * 2_000_000, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"]
)
def test_n6_a_location_that_cannot_be_read_is_refused(holdfast: Command, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "location.xml"
    file.write_bytes(content)
    line = holdfast.refused("explain", "--user", "alice", "--dial", "911", "--pidf-lo", str(file))
    assert "as if none had been sent" in line


def test_n6_without_an_edge_store_it_says_who_makes_one(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "edge.db").unlink()
    assert "start the edge agent" in holdfast.refused("explain", "--dial", "911")
