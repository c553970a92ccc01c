"""Registered addresses: basic and enhanced service, what a carrier lets others do, and what nobody can know."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.plane import db
from holdfast.plane.registered_addresses import CANNOT_KNOW
from integration.command import Command, on_node
from integration.places import AUSTIN, COPENHAGEN, civic, provision_places
from integration.postgres import Database

NUMBER = "+15125550100"
DOCS = Path(__file__).parents[2] / "docs/locations.md"


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision_places(command)
    command.ok("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic({**AUSTIN, "HNO": "7"}))
    return command


def number(holdfast: Command, which: str = NUMBER) -> dict[str, Any]:
    return next(one for one in holdfast.json("number", "list") if one["number"] == which)


def upload(holdfast: Command, **may: str) -> str:
    """A number of carrier 'carrier' whose carrier says so, and which has the lobby's address."""
    flags = [part for name, word in may.items() for part in (f"--may-{name}-address", word)]
    which = "+15125550300"
    holdfast.ok("number", "add", which, "--tenant", "acme", "--carrier", "carrier", "--location", "HQ lobby", *flags)
    return which


def test_c1_every_number_has_basic_service_from_the_start(holdfast: Command) -> None:
    holdfast.ok("number", "add", "+12125550100", "--tenant", "acme")
    assert number(holdfast, "+12125550100") == {
        "number": "+12125550100", "tenant": "acme", "outbound_enabled": True, "user": None, "carrier": None,
        "location": None, "enhanced": False, "may_set_address": True, "may_change_address": True,
        "may_delete_address": True,
    }  # fmt: skip


def test_c2_enhanced_service_is_switched_per_number_and_each_switch_is_kept_for_the_bill(
    holdfast: Command, admin: db.Connection
) -> None:
    result = holdfast.run("number", "set", NUMBER, "--location", "HQ lobby", "--enhanced", "on")
    assert result.exit_code == 0
    assert "Enhanced service is on" in result.stderr
    assert "it is billed" in result.stderr
    assert (number(holdfast)["location"], number(holdfast)["enhanced"]) == ("HQ lobby", True)
    assert "ENHANCED" in holdfast.ok("number", "list")
    assert number(holdfast, "+15125550101")["enhanced"] is False  # the numbers beside it are not
    holdfast.ok("number", "set", NUMBER, "--enhanced", "off")
    kept = admin.execute("select what from provisioning_change where what like 'number set%' order by at").fetchall()
    assert kept == [
        (f"number set {NUMBER}: location HQ lobby, enhanced on",), (f"number set {NUMBER}: enhanced off",),
    ]  # fmt: skip


def test_c2_enhanced_service_needs_an_address_for_as_long_as_it_is_on(holdfast: Command) -> None:
    assert "an enhanced number needs a registered address" in holdfast.refused(
        "number", "set", NUMBER, "--enhanced", "on"
    )
    holdfast.ok("number", "set", NUMBER, "--location", "HQ lobby", "--enhanced", "on")
    refusal = holdfast.refused("number", "set", NUMBER, "--no-location")
    assert "an enhanced number needs a registered address — add --location, or --enhanced off" in refusal
    holdfast.ok("number", "set", NUMBER, "--no-location", "--enhanced", "off")
    assert (number(holdfast)["location"], number(holdfast)["enhanced"]) == (None, False)


def test_c2_a_number_gets_addresses_of_its_own_tenant_only(holdfast: Command) -> None:
    assert "tenant 'acme' has no location 'Yard'" in holdfast.refused("number", "set", NUMBER, "--location", "Yard")


@pytest.mark.parametrize(
    "arguments",
    [
        ("number", "set", NUMBER, "--location", "HQ lobby"),
        ("number", "add", "+15125550200", "--tenant", "acme", "--location", "HQ lobby", "--enhanced", "on"),
        ("location", "create", "x", "--tenant", "acme", "--country", "US", *civic(AUSTIN)),
        ("location", "set", "HQ lobby", "--tenant", "acme", "--civic", "HNO=9"),
    ],
)
def test_c4_what_cannot_be_known_is_told_where_an_address_is_set(holdfast: Command, arguments: tuple[str, ...]) -> None:
    result = holdfast.run(*arguments)
    assert result.exit_code == 0
    for line in CANNOT_KNOW:
        assert f"  - {line}\n" in result.stderr


def test_c4_a_carriers_command_tells_it_too_and_so_does_switching_enhanced_service_on(holdfast: Command) -> None:
    which = upload(holdfast)
    result = holdfast.run("number", "carrier-update", which, "--for-carrier", "carrier", "--location", "Annex")
    assert CANNOT_KNOW[0] in result.stderr
    assert CANNOT_KNOW[0] in holdfast.run("number", "set", which, "--enhanced", "on").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("number", "set", NUMBER, "--outbound", "off"),
        ("location", "set", "HQ lobby", "--tenant", "acme", "--no-site"),
        ("number", "add", "+15125550200", "--tenant", "acme"),
    ],
)
def test_c4_it_is_not_told_where_no_address_is_set(holdfast: Command, arguments: tuple[str, ...]) -> None:
    result = holdfast.run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")


def test_c4_power_a_moved_device_and_an_untested_location_are_what_is_told_and_stand_in_the_documentation() -> None:
    told = " ".join(CANNOT_KNOW)
    for what in ("power", "moved", "933"):
        assert what in told
    page = " ".join(DOCS.read_text(encoding="utf-8").split())
    for line in CANNOT_KNOW:
        assert line in page


def test_c2_doubts_about_an_address_are_told_with_it(holdfast: Command) -> None:
    holdfast.ok("location", "create", "Copenhagen", "--tenant", "acme", "--country", "DK", *civic(COPENHAGEN))
    told = holdfast.run("number", "set", NUMBER, "--location", "Copenhagen", "--enhanced", "on").stderr
    assert f"{NUMBER} is a number of US, and its address 'Copenhagen' is in DK" in told
    assert "Nobody but who typed it vouches for address 'Copenhagen'" in told


def test_o2_setting_an_address_needs_the_carriers_leave(holdfast: Command) -> None:
    holdfast.ok("number", "add", "+15125550300", "--tenant", "acme", "--carrier", "carrier", "--may-set-address", "off")
    refusal = holdfast.refused("number", "set", "+15125550300", "--location", "HQ lobby")
    assert (
        "its carrier, carrier, lets nobody else set the emergency address of +15125550300 — ask the carrier" in refusal
    )
    assert number(holdfast, "+15125550300")["location"] is None


def test_o2_changing_an_address_needs_the_carriers_leave(holdfast: Command) -> None:
    which = upload(holdfast, change="off")
    refusal = holdfast.refused("number", "set", which, "--location", "Annex")
    assert f"its carrier, carrier, lets nobody else change the emergency address of {which}" in refusal
    # nor the address itself, under its name
    for change in (["--civic", "HNO=1"], ["--latitude", "1", "--longitude", "1"], ["--validation", "none"]):
        refusal = holdfast.refused("location", "set", "HQ lobby", "--tenant", "acme", *change)
        assert (
            f"HQ lobby is the emergency address of {which}, and that number's carrier, carrier, lets nobody" in refusal
        )
    assert holdfast.json("location", "show", "HQ lobby", "--tenant", "acme")["civic"] == AUSTIN
    holdfast.ok("location", "set", "HQ lobby", "--tenant", "acme", "--no-site")  # that is not the address
    holdfast.ok("number", "set", which, "--no-location")  # deleting it was allowed


def test_o2_deleting_an_address_needs_the_carriers_leave(holdfast: Command) -> None:
    which = upload(holdfast, delete="off")
    refusal = holdfast.refused("number", "set", which, "--no-location")
    assert f"its carrier, carrier, lets nobody else delete the emergency address of {which}" in refusal
    assert "still needed" in holdfast.refused("location", "delete", "HQ lobby", "--tenant", "acme")
    holdfast.ok("number", "set", which, "--location", "Annex")  # changing it was allowed


def test_o2_what_the_carrier_allows_can_be_done(holdfast: Command) -> None:
    which = upload(holdfast)
    holdfast.ok("number", "set", which, "--location", "Annex", "--enhanced", "on")
    holdfast.ok("location", "set", "Annex", "--tenant", "acme", "--civic", "FLR=2")
    holdfast.ok("number", "set", which, "--no-location", "--enhanced", "off")
    assert number(holdfast, which)["location"] is None


def test_o2_nobody_but_the_carrier_says_what_may_be_done(holdfast: Command) -> None:
    which = upload(holdfast, set="off", change="off", delete="off")
    for option in ("--may-change-address", "--may-set-address"):
        refusal = holdfast.refused("number", "set", which, option, "on")
        assert f"lets nobody else say what may be done with the emergency address of {which}" in refusal
    assert f"lets nobody else give {which} to another carrier" in holdfast.refused(
        "number", "set", which, "--no-carrier"
    )
    allowed = ("--may-change-address", "on", "--location", "Annex")
    assert "lets nobody else" in holdfast.refused("number", "set", which, *allowed)  # what it said before counts


def test_o2_the_carrier_changes_address_and_rules_in_one_go(holdfast: Command, admin: db.Connection) -> None:
    which = upload(holdfast, set="off", change="off", delete="off")
    carrier = ("number", "carrier-update", which, "--for-carrier", "carrier")
    holdfast.ok(*carrier, "--location", "Annex", "--may-delete-address", "on")
    assert (number(holdfast, which)["location"], number(holdfast, which)["may_delete_address"]) == ("Annex", True)
    holdfast.ok("location", "set", "Annex", "--tenant", "acme", "--civic", "FLR=2", "--for-carrier", "carrier")
    assert "lets nobody else" in holdfast.refused("number", "set", which, "--location", "HQ lobby")
    holdfast.ok("number", "set", which, "--no-location")
    kept = admin.execute("select what from provisioning_change where what like '%for carrier%'").fetchall()
    assert kept == [
        (f"number set {which} for carrier carrier: location Annex, may_delete_address on",)
    ]  # fmt: skip


def test_o2_a_carrier_changes_its_own_numbers_only(holdfast: Command) -> None:
    which = upload(holdfast, change="off")
    holdfast.ok("trunk-group", "create", "rival", "--emergency")
    rival = ("number", "carrier-update", which, "--for-carrier", "rival", "--location", "Annex")
    assert f"{which} is not a number of carrier 'rival'" in holdfast.refused(*rival)
    refusal = holdfast.refused(
        "location", "set", "HQ lobby", "--tenant", "acme", "--civic", "FLR=2", "--for-carrier", "rival"
    )
    assert "that number's carrier, carrier, lets nobody else" in refusal
    assert "is not a number of carrier" in holdfast.refused(
        "number", "carrier-update", NUMBER, "--for-carrier", "rival", "--location", "Annex"
    )  # nobody's number is nobody's to take


def test_o2_the_carrier_hands_a_number_over_with_everything_it_said(holdfast: Command) -> None:
    which = upload(holdfast, change="off")
    holdfast.ok("trunk-group", "create", "rival", "--emergency")
    holdfast.ok("number", "carrier-update", which, "--for-carrier", "carrier", "--carrier", "rival")
    assert "its carrier, rival, lets nobody else" in holdfast.refused("number", "set", which, "--location", "Annex")


def test_o2_without_a_carrier_nobody_restricts_anything(holdfast: Command) -> None:
    refusal = holdfast.refused("number", "set", NUMBER, "--may-set-address", "off")
    assert "only a carrier restricts what may be done with a number's address — name the carrier, too" in refusal
    holdfast.ok("number", "set", NUMBER, "--carrier", "carrier", "--may-set-address", "off")
    assert "lets nobody else set" in holdfast.refused("number", "set", NUMBER, "--location", "Annex")


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (("--emergency", "--tenant", "other"), "is another tenant's own carrier"),
        (("--pbx", "--tenant", "acme"), "is a PBX, which owns no numbers"),
        (("--ordinary",), "carries no emergency calls"),
    ],
)
def test_o1_a_number_belongs_to_a_carrier_that_can_take_its_calls(
    holdfast: Command, group: tuple[str, ...], said: str
) -> None:
    holdfast.ok("trunk-group", "create", "unfit", *group)
    for arguments in (("set", NUMBER), ("add", "+15125550300", "--tenant", "acme")):
        refusal = holdfast.refused("number", *arguments, "--carrier", "unfit")
        assert f"cannot be a number of trunk group unfit, which {said}" in refusal


def test_o1_a_carrier_with_numbers_stays_able_to_take_their_calls(holdfast: Command) -> None:
    holdfast.ok("number", "set", NUMBER, "--carrier", "carrier")
    assert "is another tenant's own carrier" in holdfast.refused("trunk-group", "set", "carrier", "--tenant", "other")
    refusal = holdfast.refused("trunk-group", "set", "carrier", "--emergency", "off", "--ordinary", "on")
    assert "carries no emergency calls" in refusal
    holdfast.ok("trunk-group", "set", "carrier", "--tenant", "acme")


def test_a_wrong_number_or_nothing_to_do_is_refused(holdfast: Command) -> None:
    assert "is not a platform number" in holdfast.refused("number", "set", "+15125559999", "--outbound", "on")
    assert "nothing to change was given" in holdfast.refused("number", "set", NUMBER)
    assert "location is both given and taken away" in holdfast.refused(
        "number", "set", NUMBER, "--location", "Annex", "--no-location"
    )
    assert "there is no trunk group 'x'" in holdfast.refused("number", "set", NUMBER, "--carrier", "x")
