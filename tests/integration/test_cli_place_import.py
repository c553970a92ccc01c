"""Importing locations, network elements and numbers with addresses: all rows or none, each wrong one by its line."""

from pathlib import Path

import pytest

from integration.command import Command, on_node
from integration.places import AUSTIN, provision_places
from integration.postgres import Database


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision_places(command)
    return command


def csv_file(holdfast: Command, content: str) -> str:
    path = holdfast.folder / "rows.csv"
    path.write_text(content, encoding="utf-8")
    return str(path)


def wrong_rows(holdfast: Command, *arguments: str) -> list[str]:
    """What is wrong with which row, without file name and mend."""
    result = holdfast.run(*arguments)
    *rows, verdict = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was imported" in verdict
    return [row.removeprefix(f"{holdfast.folder}/rows.csv:").rpartition("; ")[0] for row in rows]


def test_locations_are_imported_with_address_point_and_site(holdfast: Command) -> None:
    file = csv_file(
        holdfast,
        "name,country,tenant,site,a1,a3,rd,sts,hno,pc,latitude,longitude,validation,provider_id\n"
        "Floor 1,us,,HQ,tx,Austin,Main,St,1200,78701,30.27,-97.74,validated,loc-1\n"
        "Floor 2,US,,,TX,Austin,Main,St,1200,78701,,,,\n"
        "Gate,DK,other,,,,,,,,55.7,12.6,none,\n",
    )
    result = holdfast.run("location", "import", file, "--tenant", "acme")
    assert (result.exit_code, result.stdout) == (0, "3 locations imported\n")
    assert "What Holdfast cannot know" in result.stderr
    floor = holdfast.json("location", "show", "Floor 1", "--tenant", "acme")
    assert (floor["civic"], floor["site"], floor["latitude"], floor["longitude"]) == (AUSTIN, "HQ", 30.27, -97.74)
    assert (floor["validation"], floor["provider_location_id"], floor["country"]) == ("validated", "loc-1", "US")
    assert holdfast.json("location", "show", "Floor 2", "--tenant", "acme")["validation"] == "manual"
    assert holdfast.json("location", "show", "Gate", "--tenant", "other")["validation"] == "none"


def test_every_wrong_location_is_named_and_none_is_imported(holdfast: Command) -> None:
    file = csv_file(
        holdfast,
        "name,country,tenant,site,a1,a3,rd,hno,latitude,longitude\n"
        "good,US,acme,,TX,Austin,Main,1,,\n"  # 2
        "HQ lobby,US,acme,,TX,Austin,Main,1,,\n"
        "HQ lobby,US,other,,TX,Austin,Main,1,,\n"  # another tenant's may have that name
        "good,US,acme,,TX,Austin,Main,1,,\n"  # 5
        "x6,GU,acme,,,,,,1,2\n"
        "x7,US,acme,,Texas,Austin,Main,1,,\n"
        "x8,US,acme,,,,,,,\n"
        "x9,US,acme,,,,,,1,\n"
        "x10,US,acme,,,,,,north,2\n"
        "x11,US,other,HQ,,,,,1,2\n"  # the site is acme's
        "x12,US,nobody,,,,,,1,2\n",
    )
    assert wrong_rows(holdfast, "location", "import", file) == [
        "3: name: there is a location 'HQ lobby' already",
        "5: name: 'good' stands in line 2 already",
        "6: country: GU is a territory of US",
        "7: this cannot be an address in US: A1: 'TEXAS' is not a state's or territory's two letters, such as TX",
        "8: the row says not where the location is",
        "9: latitude: half of the point is missing",
        "10: latitude: 'north' is not a latitude",
        "11: site: tenant 'other' has no site 'HQ'",
        "12: tenant: there is no tenant 'nobody'",
    ]
    assert len(holdfast.json("location", "list")) == 3
    file = csv_file(holdfast, "name,country,latitude,longitude,validation\na,US,1,2,validated\nb,US,1,2,sure\n")
    assert wrong_rows(holdfast, "location", "import", file, "--tenant", "acme", "--no-validate") == [
        "2: validation: an address cannot be claimed to be valid and not be validated",
        "3: validation: 'sure' is not a validation",
    ]


def test_network_elements_are_imported_in_any_usual_spelling(holdfast: Command) -> None:
    file = csv_file(
        holdfast,
        "kind,key,location,tenant\n"
        "Subnet,10.1.0.0/16,HQ lobby,\n"
        "bssid,0011.22aa.bbcc,HQ lobby,\n"
        "switch port,sw-1/24,Field,\n"
        "subnet,10.1.0.0/16,Yard,other\n",
    )
    assert holdfast.ok("network-element", "import", file, "--tenant", "acme") == "4 network elements imported\n"
    assert [(one["kind"], one["key"]) for one in holdfast.json("network-element", "list", "--tenant", "acme")] == [
        ("bssid", "00-11-22-aa-bb-cc"), ("subnet", "10.1.0.0/16"), ("switch_port", "sw-1/24"),
    ]  # fmt: skip


def test_every_wrong_network_element_is_named_and_none_is_imported(holdfast: Command) -> None:
    holdfast.ok("network-element", "add", "subnet", "10.9.0.0/16", "--tenant", "acme", "--location", "Field")
    file = csv_file(
        holdfast,
        "kind,key,location\n"
        "subnet,10.1.0.0/16,HQ lobby\n"  # 2
        "subnet,10.1.2.3/16,HQ lobby\n"
        "subnet,10.1.0.0/255.255.0.0,Field\n"  # of line 2
        "subnet,10.9.0.0/16,HQ lobby\n"
        "bssid,00:11,HQ lobby\n"
        "desk,4,HQ lobby\n"
        "switch,sw-1,Yard\n",
    )
    assert wrong_rows(holdfast, "network-element", "import", file, "--tenant", "acme") == [
        "3: key: 10.1.2.3/16 is an address within a subnet",
        "4: key: subnet 10.1.0.0/16 stands in line 2 already",
        "5: key: subnet 10.9.0.0/16 is at location 'Field' already",
        "6: key: '00:11' is not a BSSID",
        "7: kind: 'desk' is not a kind of network element",
        "8: location: tenant 'acme' has no location 'Yard'",
    ]
    assert len(holdfast.json("network-element", "list")) == 1


def test_o2_c2_a_carrier_uploads_numbers_with_addresses_and_what_others_may_do_with_them(holdfast: Command) -> None:
    file = csv_file(
        holdfast,
        "number,carrier,location,enhanced,may_set_address,may_change_address,may_delete_address\n"
        "+15125550200,carrier,HQ lobby,yes,yes,no,no\n"
        "+15125550201,carrier,,,no,,\n"
        "+15125550202,,HQ lobby,,,,\n",
    )
    result = holdfast.run("number", "import", file, "--tenant", "acme")
    assert (result.exit_code, result.stdout) == (0, "3 numbers imported\n")
    assert "What Holdfast cannot know about an emergency address" in result.stderr
    listed = {one["number"]: one for one in holdfast.json("number", "list", "--tenant", "acme")}
    names = ("carrier", "location", "enhanced", "may_set_address", "may_change_address", "may_delete_address")
    assert [[listed[f"+1512555020{n}"][name] for name in names] for n in range(3)] == [
        ["carrier", "HQ lobby", True, True, False, False],
        ["carrier", None, False, False, True, True],
        [None, "HQ lobby", False, True, True, True],
    ]
    plain = holdfast.run("number", "import", csv_file(holdfast, "number\n+15125550203\n"), "--tenant", "acme")
    assert (plain.exit_code, plain.stderr) == (0, "")


def test_numbers_with_impossible_addresses_are_named_and_none_is_imported(holdfast: Command) -> None:
    file = csv_file(
        holdfast,
        "number,carrier,location,enhanced,may_set_address\n"
        "+15125550200,carrier,HQ lobby,yes,\n"
        "+15125550201,nobody,,,\n"
        "+15125550202,,Yard,,\n"
        "+15125550203,,,yes,\n"
        "+15125550204,,,,no\n",
    )
    assert wrong_rows(holdfast, "number", "import", file, "--tenant", "acme") == [
        "3: carrier: there is no trunk group 'nobody'",
        "4: location: tenant 'acme' has no location 'Yard'",
        "5: enhanced: an enhanced number needs a registered address",
        "6: carrier: only a carrier restricts what may be done with a number's address",
    ]
    assert len(holdfast.json("number", "list")) == 10


def test_o1_numbers_of_a_carrier_that_cannot_take_their_calls_are_not_imported(holdfast: Command) -> None:
    holdfast.ok("trunk-group", "create", "others", "--emergency", "--tenant", "other")
    file = csv_file(holdfast, "number,carrier\n+15125550200,others\n")
    refusal = holdfast.refused("number", "import", file, "--tenant", "acme")
    assert "+15125550200 cannot be a number of trunk group others, which is another tenant's own carrier" in refusal
