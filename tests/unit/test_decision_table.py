"""docs/decision-table.csv, row by row: what the documentation says is what the live call's functions decide."""

import csv
from pathlib import Path

import pytest

from holdfast.core.place import Place, civic_from_mapping
from holdfast.core.route_plan import Refusal, RoutePlan
from unit.edge_rows import row
from unit.routing_world import ADDRESS, CARRIER, CIVIC, CUSTOMER, NUMBER, World

TABLE = Path(__file__).resolve().parents[2] / "docs" / "decision-table.csv"
#: The rows of the five sources that say how a call goes.
DECIDED_ROWS = {"A1", "A5", "A6", "A7", "A8", "C1", "C2", "C3", "D1", "D2", "D8", "L2", "L3", "O1", "O3", "O4", "O5",
                "O6", "O8"}  # fmt: skip
METHODS = {"validated": "GPS", "manual": "Manual"}


def cases() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def world_of(case: dict[str, str], folder: Path) -> World:
    world = World(folder)
    world.set("tenant", country=case["default_country"] or "US", country_required=int(not case["default_country"]))
    if case["address_country"]:
        world.countries_of_addresses[ADDRESS] = case["address_country"]
    if case["network"]:
        world.element("subnet", "192.0.2.0/24", world.location(1, *case["network"].split()))
    if case["confirmed"]:
        world.set("subscriber", confirmed_location_id=world.location(2, *case["confirmed"].split()))
    if case["registered"] not in ("", "no"):
        world.set("platform_number", location_id=world.location(3, case["registered"], "validated"))
    world.set("platform_number", enhanced=int(case["enhanced"] == "yes"),
              outbound_enabled=int(case["outbound_number"] == "yes"))  # fmt: skip
    world.set("subscriber", common_area=int(case["common_area"] == "yes"),
              outbound_enabled=int(case["outbound_profile"] == "yes"))  # fmt: skip
    if case["carrier"] == "yes":
        world.group(CARRIER, emergency=1, screening=1)
        world.set("platform_number", trunk_group_id=CARRIER)
    elif case["carrier"]:
        number = "+4930901820"
        world.set("platform_number", number=number)
        world.set("subscriber", number=number)
    if case["usage_rule"]:
        row(world.db, "policy", id=1, tenant_id=1, name="staff", usage="emergency")
        world.set("tenant", policy_id=1)
        row(world.db, "routing_rule", id=1, tenant_id=1, usage="emergency", emergency_number=case["usage_rule"],
            trunk_group_id=CUSTOMER, position=1)  # fmt: skip
    if case["screening_rule"]:
        country, rule = case["screening_rule"].split()
        column, value = {"served": ("served", 1), "unserved": ("served", 0), "national": ("screening", "national")}[
            rule
        ]
        row(world.db, "country_rule", id=1, tenant_id=1, country=country, **{column: value})
    return world


def places_of(case: dict[str, str]) -> tuple[Place, ...]:
    if not case["suggested"]:
        return ()
    country, validation = case["suggested"].split()
    return (Place(civic_from_mapping({"country": country, **CIVIC[country]}), method=METHODS[validation]),)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['row'].lower()}: {case['case']}")
def test_a_call_goes_as_the_decision_table_says(case: dict[str, str], tmp_path: Path) -> None:
    decision = world_of(case, tmp_path).decide(
        case["dialled"], places=places_of(case), signalled_country=case["client_country"],
        transfer_to="" if case["transferred"] == "yes" else None,
    )  # fmt: skip
    if decision is None:
        told = {"outcome": "ordinary"}
    elif isinstance(decision, Refusal):
        told = {"outcome": "refused", "reason": decision.reason}
        assert "another phone" in decision.text
    else:
        told = {
            "outcome": decision.destination.value, "country": decision.country, "path": decision.path.value,
            "location": decision.where.source.value if decision.where else "none",
            "first_trunk": decision.hops[0].trunk.name,
        }  # fmt: skip
        every_trunk = {trunk.name for trunk in world_of(case, tmp_path).network.trunks}
        assert {hop.trunk.name for hop in decision.hops} == every_trunk, "a trunk was left out"
    columns = ("outcome", "country", "location", "path", "first_trunk", "reason")
    assert told == {name: case[name] for name in columns if case[name]}


def test_the_decision_table_has_every_row_that_decides_a_call() -> None:
    assert {case["row"] for case in cases()} == DECIDED_ROWS
    for case in cases():
        assert None not in case, f"too many fields: {case}"
        assert all(value is not None for value in case.values()), f"too few fields: {case}"


def test_every_decision_says_why(tmp_path: Path) -> None:
    decision = World(tmp_path).decide()
    assert isinstance(decision, RoutePlan)
    assert [step.topic for step in decision.steps][:6] == [
        "match", "country", "service", "location", "destination", "path",
    ]  # fmt: skip
    assert all(step.finding and step.because for step in decision.steps)
    assert NUMBER not in str(decision.summary)
