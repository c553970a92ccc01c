"""Sites, locations and network elements, as an operator types them; what is wrong is refused there, with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.plane import db
from integration.command import Command, on_node
from integration.places import AUSTIN, COPENHAGEN, civic, provision_places
from integration.postgres import Database


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision_places(command)
    return command


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory, shared_database: Database) -> Command:
    """For tests that change nothing."""
    command = on_node(tmp_path_factory.mktemp("node"), shared_database)
    provision_places(command)
    command.ok("network-element", "add", "subnet", "10.1.0.0/16", "--tenant", "acme", "--location", "HQ lobby")
    return command


def location(holdfast: Command, name: str = "HQ lobby") -> dict[str, Any]:
    shown: dict[str, Any] = holdfast.json("location", "show", name, "--tenant", "acme")
    return shown


def test_a_site_is_made_changed_shown_and_deleted(holdfast: Command) -> None:
    holdfast.ok("policy", "create", "office", "--tenant", "acme")
    holdfast.ok(
        "site", "create", "Annex", "--tenant", "acme", "--country", "dk", "--policy", "office",
        "--security-desk", "desk@example.com",
    )  # fmt: skip
    annex, hq = holdfast.json("site", "list", "--tenant", "acme")
    assert {**annex, "id": 0} == {
        "id": 0, "tenant": "acme", "name": "Annex", "country": "DK", "policy": "office",
        "security_desk": "desk@example.com", "locations": 0, "users": 0,
    }  # fmt: skip
    assert (hq["name"], hq["country"], hq["locations"]) == ("HQ", None, 1)
    holdfast.ok("site", "set", "Annex", "--tenant", "acme", "--no-policy", "--no-country", "--no-security-desk")
    annex = holdfast.json("site", "show", "Annex", "--tenant", "acme")
    assert (annex["country"], annex["policy"], annex["security_desk"]) == (None, None, None)
    holdfast.ok("site", "delete", "Annex", "--tenant", "acme")
    assert [site["name"] for site in holdfast.json("site", "list")] == ["HQ"]


def test_a_location_is_shown_with_everything_that_was_said_of_it(holdfast: Command) -> None:
    file = holdfast.folder / "address.json"
    file.write_text(json.dumps({"country": "DK", **COPENHAGEN, "FLR": "3"}), encoding="utf-8")
    holdfast.ok(
        "location", "create", "Copenhagen", "--tenant", "acme", "--country", "DK", "--address-file", str(file),
        "--civic", "FLR=4", "--latitude", "55.7", "--longitude", "12.58", "--validation", "none",
        "--provider-id", "loc-4711",
    )  # fmt: skip
    shown = location(holdfast, "Copenhagen")
    assert {**shown, "id": 0, "revision": 0} == {
        "id": 0, "tenant": "acme", "site": None, "name": "Copenhagen", "country": "DK",
        "address": "12 Østerbrogade, København Ø, 4, 2100", "civic": {**COPENHAGEN, "FLR": "4"}, "latitude": 55.7,
        "longitude": 12.58, "validation": "none", "provider_location_id": "loc-4711", "numbers": 0,
        "network_elements": 0, "psaps": [], "revision": 0,
    }  # fmt: skip
    assert [one["name"] for one in holdfast.json("location", "list")] == ["Copenhagen", "Field", "HQ lobby", "Yard"]
    assert "12 Østerbrogade, København Ø" in holdfast.ok("location", "list", "--tenant", "acme")
    assert "Østerbrogade" in holdfast.ok("location", "show", "Copenhagen", "--tenant", "acme")


def test_single_elements_of_an_address_are_changed_and_the_whole_is_checked(holdfast: Command) -> None:
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "flr=12", "--civic", "hno=1300")
    assert location(holdfast)["civic"] == {**AUSTIN, "HNO": "1300", "FLR": "12"}
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "FLR=")
    assert location(holdfast)["civic"] == {**AUSTIN, "HNO": "1300"}
    refusal = holdfast.refused("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "HNO=")
    assert "this cannot be an address in US: HNO: the house number" in refusal
    refusal = holdfast.refused("location", "set", "HQ lobby", "--tenant", "acme", "--country", "CA")
    assert "this cannot be an address in CA: A1: 'TX' is not a province's" in refusal
    assert location(holdfast)["civic"] == {**AUSTIN, "HNO": "1300"}


def test_an_address_that_changes_is_vouched_for_no_longer(holdfast: Command) -> None:
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--validation", "validated")
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--no-site", "--provider-id", "x")
    assert (location(holdfast)["validation"], location(holdfast)["site"]) == ("validated", None)
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "HNO=1")
    assert location(holdfast)["validation"] == "manual"


def test_a_point_and_an_address_are_each_taken_away_but_not_both(holdfast: Command) -> None:
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--latitude", "30", "--longitude", "-97")
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--no-address")
    assert (location(holdfast)["civic"], location(holdfast)["latitude"]) == ({}, 30)
    assert "must say where it is" in holdfast.refused("location", "set", "HQ lobby", "--tenant", "acme", "--no-point")


def test_l7_whoever_changes_an_address_that_a_provider_keeps_is_told(holdfast: Command) -> None:
    holdfast.ok("trunk-group", "create", "elin", "--emergency", "--tenant", "acme", "--location", "elin")
    holdfast.ok(
        "pool", "create", "lobby", "--trunk-group", "elin", "--country", "US", "--tenant", "acme",
        "--location", "HQ lobby",
    )  # fmt: skip
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--provider-id", "loc-1")
    told = holdfast.run("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "HNO=1").stderr
    assert "the provider keeps this address itself (by the numbers of pool lobby): change it there, too" in told
    assert "the provider keeps this address itself (as loc-1): change it there, too" in told


def test_a_location_is_deleted_only_when_nothing_refers_to_it_and_what_does_is_named(
    holdfast: Command, admin: db.Connection
) -> None:
    at_lobby = ("--tenant", "acme", "--location", "HQ lobby")
    holdfast.ok("number", "set", "+15125550100", "--location", "HQ lobby")
    holdfast.ok("network-element", "add", "bssid", "00:11:22:AA:BB:CC", *at_lobby)
    holdfast.ok("user", "create", "alice", "--tenant", "acme", stdin="secret\n")
    admin.execute("update subscriber set confirmed_location_id = (select id from location where name = 'HQ lobby')")
    refusal = holdfast.refused("location", "delete", "HQ lobby", "--tenant", "acme")
    assert (
        "location 'HQ lobby' is still needed: the emergency address of +15125550100, "
        "bssid 00-11-22-aa-bb-cc is there, user alice@example.com confirmed it" in refusal
    )
    holdfast.ok("number", "set", "+15125550100", "--no-location")
    holdfast.ok("network-element", "remove", "bssid", "0011.22aa.bbcc", "--tenant", "acme")
    admin.execute("update subscriber set confirmed_location_id = null")
    holdfast.ok("location", "delete", "HQ lobby", "--tenant", "acme")
    assert [one["name"] for one in holdfast.json("location", "list", "--tenant", "acme")] == ["Field"]


def test_o3_subnets_may_nest_and_both_are_named(holdfast: Command) -> None:
    def add(key: str, place: str = "HQ lobby") -> str:
        result = holdfast.run("network-element", "add", "subnet", key, "--tenant", "acme", "--location", place)
        assert result.exit_code == 0
        return result.stderr

    assert add("10.0.0.0/8", "Field") == ""
    assert add("10.1.2.0/24") == "note: it lies in 10.0.0.0/8 (Field); the narrowest subnet counts\n"
    assert add("10.1.0.0/16") == (
        "note: it lies in 10.0.0.0/8 (Field); the narrowest subnet counts\n"
        "note: within it lie 10.1.2.0/24 (HQ lobby); the narrowest subnet counts\n"
    )
    assert add("2001:db8::/48") == ""
    listed = holdfast.json("network-element", "list", "--tenant", "acme", "--location", "HQ lobby")
    assert [one["key"] for one in listed] == ["10.1.0.0/16", "10.1.2.0/24", "2001:db8::/48"]
    assert listed[0] == {
        "tenant": "acme", "kind": "subnet", "key": "10.1.0.0/16", "location": "HQ lobby", "site": "HQ"
    }  # fmt: skip


def test_o3_the_same_network_of_another_tenant_is_another_one(holdfast: Command) -> None:
    for tenant, place in (("acme", "Field"), ("other", "Yard")):
        holdfast.ok("network-element", "add", "subnet", "192.168.0.0/16", "--tenant", tenant, "--location", place)
    holdfast.ok("network-element", "remove", "subnet", "192.168.0.0/16", "--tenant", "acme")
    assert [one["tenant"] for one in holdfast.json("network-element", "list")] == ["other"]


REFUSED = [
    (["site", "create", "HQ", "--tenant", "acme"], "the tenant has a site HQ already"),
    (["site", "create", "x", "--tenant", "nobody"], "there is no tenant 'nobody'"),
    (["site", "create", "x", "--tenant", "acme", "--country", "XX"], "there is no country XX"),
    (["site", "create", "x", "--tenant", "acme", "--policy", "none"], "tenant 'acme' has no policy 'none'"),
    (["site", "delete", "HQ", "--tenant", "acme"], "site is not its tenant's, or still has locations"),
    (["site", "set", "HQ", "--tenant", "acme"], "nothing to change was given"),
    (["site", "show", "HQ", "--tenant", "other"], "tenant 'other' has no site 'HQ'"),
    (["location", "create", "HQ lobby", "--tenant", "acme", "--country", "US", *civic(AUSTIN)],
     "the tenant has a location HQ lobby already"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US"], "a location must say where it is"),
    (["location", "create", "x", "--tenant", "acme", "--country", "GU", *civic(AUSTIN)], "GU is a territory of US"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--civic", "A1"], "'A1' is not an element"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--civic", "CITY=Austin"],
     "'CITY' is no element of a civic address"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--civic", "A1=TX", "--civic", "A1=OK"],
     "--civic: 'A1' is given twice"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--latitude", "30"], "half of a point"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--latitude", "91", "--longitude", "0"],
     "--latitude: '91' is not a latitude"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--latitude", "nan", "--longitude", "0"],
     "'nan' is not a latitude"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", *civic(AUSTIN), "--site", "Annex"],
     "tenant 'acme' has no site 'Annex'"),
    (["location", "create", "x", "--tenant", "other", "--country", "US", *civic(AUSTIN), "--site", "HQ"],
     "tenant 'other' has no site 'HQ'"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", *civic(AUSTIN), "--provider-id", "a b"],
     "'a b' is not a provider's location id"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", *civic(AUSTIN), "--validation", "validated",
      "--no-validate"], "cannot be claimed to be valid and not be validated"),
    (["location", "create", "x", "--tenant", "acme", "--country", "US", "--address-file", "/dev/null"], "is not JSON"),
    (["location", "set", "HQ lobby", "--tenant", "acme"], "nothing to change was given"),
    (["location", "set", "HQ lobby", "--tenant", "acme", "--no-point", "--latitude", "1"], "both given and taken away"),
    (["location", "set", "HQ lobby", "--tenant", "other", "--no-site"], "tenant 'other' has no location 'HQ lobby'"),
    (["location", "set", "HQ lobby", "--tenant", "acme", "--no-site", "--for-carrier", "x"], "no trunk group 'x'"),
    (["location", "show", "x", "--tenant", "acme"], "tenant 'acme' has no location 'x'"),
    (["location", "delete", "HQ lobby", "--tenant", "acme"], "still needed: subnet 10.1.0.0/16 is there"),
    (["network-element", "add", "subnet", "10.1.2.3/16", "--tenant", "acme", "--location", "Field"],
     "write the subnet, 10.1.0.0/16, or the one host, 10.1.2.3"),
    (["network-element", "add", "subnet", "10.1.0.0/16", "--tenant", "acme", "--location", "Field"],
     "subnet 10.1.0.0/16 is at location 'HQ lobby' already"),
    (["network-element", "add", "subnet", "10.1.0.0/16", "--tenant", "acme", "--location", "HQ lobby"],
     "subnet 10.1.0.0/16 is at location 'HQ lobby' already"),
    (["network-element", "add", "subnet", "10.2.0.0/16", "--tenant", "acme", "--location", "Yard"],
     "tenant 'acme' has no location 'Yard'"),
    (["network-element", "add", "desk", "4", "--tenant", "acme", "--location", "Field"], "'desk' is not one of"),
    (["network-element", "remove", "subnet", "10.9.0.0/16", "--tenant", "acme"], "has no subnet 10.9.0.0/16"),
    (["network-element", "list", "--location", "Field"], "whose location is meant is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_what_is_wrong_with_a_place_is_refused_where_it_is_typed(
    provisioned: Command, arguments: list[str], said: str
) -> None:
    assert said in provisioned.refused(*arguments)
