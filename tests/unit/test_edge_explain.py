"""N6: explain says what the live call's functions would do, the limit and the number among it, and writes nothing."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.core import pidf_lo_build
from holdfast.core.model import CallKind
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.edge.explain import Explanation, Question, described, explain
from holdfast.edge.store_leases import LoanKind
from holdfast.errors import InputError
from unit.edge_rows import caller as somebody
from unit.edge_rows import own, row
from unit.routing_world import ADDRESS, CUSTOMER, NUMBER, OFFER_PSAP, OFFER_SCREENING, TENANT_ID, USER_ID, World
from unit.test_decision_table import cases, places_of, world_of

ALICE = "alice@example.org"
IDLE = "+12025550140"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def told(world: World, dialled: str = "911", **said: Any) -> Explanation:
    """Of alice's call, or of whosever `said` says."""
    usual = {} if {"trunk", "user"} & said.keys() else {"user": ALICE, "address": ADDRESS}
    question = Question(dialled, **{**usual, **said})
    return explain(world.store, question, world.clocks.now(), ip_country=world.countries_of_addresses.get)


def finding(explanation: Explanation, topic: str) -> str:
    [found] = [step.finding for step in explanation.steps if step.topic == topic]
    return found


def document(case: dict[str, str]) -> bytes | None:
    places = places_of(case)
    if not places:
        return None
    return pidf_lo_build.build(
        places, entity="sip:a@example.org", timestamp="2026-01-01T00:00:00Z", retention_expiry="2026-01-02T00:00:00Z"
    ).encode()


@pytest.mark.parametrize(
    "case",
    [case for case in cases() if not case["transferred"]],
    ids=lambda case: f"{case['row'].lower()}: {case['case']}",
)
def test_n6_what_is_explained_is_what_is_decided(case: dict[str, str], tmp_path: Path) -> None:
    world = world_of(case, tmp_path)
    own(world.db, [IDLE], pool_id=CUSTOMER if case["first_trunk"] == "customer" else OFFER_PSAP)
    decided = world.decide(
        case["dialled"], places=places_of(case), signalled_country=case["client_country"], call_id="explained"
    )
    explained = told(world, case["dialled"], country=case["client_country"], pidf_lo=document(case))
    if isinstance(decided, RoutePlan):
        assert isinstance(explained.decision, RoutePlan)
        assert explained.decision.hops == decided.hops
        assert explained.decision.pools == decided.pools
        assert explained.decision.summary == decided.summary
        assert explained.steps[: len(decided.steps)] == decided.steps
        assert all(step.finding and step.because for step in explained.steps)
    else:
        assert explained.decision == decided


def test_n6_nothing_is_written(world: World) -> None:
    own(world.db, [IDLE])
    before, changes = world.db.serialize(), world.db.total_changes
    told(world)
    told(world, "933")
    told(world, user=None, dialled="112")
    assert (world.db.serialize(), world.db.total_changes) == (before, changes)


# The number that would be lent ----------------------------------------------------------------------------------------


def lent(world: World, explanation: Explanation) -> str | None:
    """What the call itself then gets."""
    decision = explanation.decision
    assert isinstance(decision, RoutePlan)
    lease = world.store.begin_call("call-1", decision.kind, world.alice(), decision.pools, world.clocks.now())
    return lease.number if lease else None


def test_n6_the_idle_number_that_would_be_lent_is_named_and_lent(world: World) -> None:
    own(world.db, [IDLE, "+12025550141"])
    explained = told(world)
    assert explained.loan
    assert (explained.shown_number, explained.loan.kind) == (IDLE, LoanKind.IDLE)
    assert lent(world, explained) == IDLE
    again = told(world)
    assert again.loan
    assert (again.shown_number, again.loan.kind) == (IDLE, LoanKind.HELD)


def test_n6_n3_of_a_dry_pool_the_number_that_rests_is_named_and_lent(world: World) -> None:
    own(world.db, [IDLE])
    [pool] = [pool for pool in world.network.pools if pool.id == OFFER_PSAP]
    world.store.begin_call("of-another", CallKind.EMERGENCY, somebody(2), (pool,), world.clocks.now())
    world.store.end_call("of-another", world.clocks.passes(5), reason="bye")
    world.clocks.passes(pool.window_s + 1)
    explained = told(world)
    assert explained.loan
    assert explained.loan.kind is LoanKind.RESTING
    assert lent(world, explained) == explained.shown_number == IDLE


def test_n6_n3_then_a_shared_number(world: World) -> None:
    world.db.execute("insert into pool_number (number, pool_id, shared) values (?, ?, 1)", (IDLE, OFFER_PSAP))
    explained = told(world)
    assert explained.loan
    assert explained.loan.kind is LoanKind.SHARED
    assert lent(world, explained) == explained.shown_number == IDLE


def test_n6_without_any_number_the_callers_own_is_shown(world: World) -> None:
    explained = told(world)
    assert (explained.loan, explained.shown_number) == (None, NUMBER)
    assert finding(explained, "number shown") == NUMBER
    assert lent(world, explained) is None


def test_n6_933_without_a_number_to_read_is_refused(world: World) -> None:
    explained = told(world, "933")
    assert isinstance(explained.decision, Refusal)
    assert (explained.decision.code, explained.decision.reason) == (503, "pool_empty")
    own(world.db, [IDLE])
    assert told(world, "933").shown_number == IDLE


# The limit ------------------------------------------------------------------------------------------------------------


def one_call(world: World) -> None:
    now_s = world.clocks.true_s
    row(world.db, "emergency_call", call_id="one", kind="emergency", tenant_id=TENANT_ID, started_at=now_s)


def test_n6_a9_calls_in_progress_here_and_elsewhere_count_and_one_too_many_is_refused(world: World) -> None:
    world.set("tenant", max_emergency_calls=2)
    row(
        world.db, "emergency_call", call_id="one", kind="emergency", tenant_id=TENANT_ID, started_at=world.clocks.true_s
    )
    assert told(world).in_progress == (1, 0)
    row(world.db, "calls_elsewhere", tenant_id=TENANT_ID, kind="emergency", calls=1, reported_at=world.clocks.true_s)
    explained = told(world)
    assert isinstance(explained.decision, Refusal)
    assert (explained.decision.code, explained.decision.reason) == (503, "too_many_emergency_calls")
    assert explained.in_progress == (1, 1)
    assert explained.steps[-1].topic == "refused"
    assert told(world, "933").in_progress == (0, 0), "test calls have a limit of their own"


def test_n6_a9_calls_of_an_earlier_kamailio_do_not_count(world: World) -> None:
    row(
        world.db, "emergency_call", call_id="one", kind="emergency", tenant_id=TENANT_ID, started_at=world.clocks.true_s
    )
    question = Question("911", user=ALICE)
    explained = explain(world.store, question, world.clocks.now(), counted_since=world.clocks.true_s + 1)
    assert explained.in_progress == (0, 0)


def test_n6_a9_nobody_counts_a_strangers_calls(world: World) -> None:
    explained = told(world, user=None, country="US")
    assert explained.in_progress is None
    assert explained.caller.tenant is None


# Where, and who is told -----------------------------------------------------------------------------------------------


def test_n6_the_place_that_leaves_is_told_and_how_each_trunk_is_told_it(world: World) -> None:
    world.set("subscriber", confirmed_location_id=world.location(1, latitude=30.2747, longitude=-97.7404,
                                                                 provider_location_id="loc-4711"))  # fmt: skip
    for group, method in ((OFFER_PSAP, "value"), (OFFER_SCREENING, "provider_id"), (CUSTOMER, "reference")):
        world.db.execute("update trunk_group set location_method = ? where id = ?", (method, group))
    explained = told(world)
    assert finding(explained, "location told") == (
        "US, TX, Austin, Congress, Avenue, 1100, 78701; point at 30.2747, -97.7404"
    )
    [because] = [step.because for step in explained.steps if step.topic == "location told"]
    assert because == (
        "in the body: offer-psap; as X-Location-ID: loc-4711: offer-screening; by a URI to ask for it: customer"
    )


def test_n6_without_a_place_nothing_is_told(world: World) -> None:
    assert not [step for step in told(world).steps if step.topic == "location told"]


def test_n6_o7_the_security_desk_is_named(world: World) -> None:
    assert finding(told(world), "security desk") == "none is provisioned for the caller"
    world.set("tenant", security_desk="desk@example.org")
    assert finding(told(world), "security desk") == "told: desk@example.org"
    row(world.db, "site", id=5, tenant_id=TENANT_ID, name="campus", security_desk="gate@example.org")
    world.set("subscriber", site_id=5)
    explained = told(world)
    assert isinstance(explained.decision, RoutePlan)
    assert explained.decision.security_desk == "gate@example.org"
    row(world.db, "country_rule", id=1, tenant_id=TENANT_ID, country="US", notify_desk=0)
    assert finding(told(world), "security desk") == "not told"


# Whose call -----------------------------------------------------------------------------------------------------------


def test_n6_what_a_mask_or_the_dial_plan_makes_an_emergency_number_is_one(world: World) -> None:
    row(world.db, "policy", id=1, tenant_id=TENANT_ID, name="staff")
    row(world.db, "policy_mask", id=1, policy_id=1, dialled="0911", sent="911")
    row(world.db, "dial_rule", id=1, tenant_id=TENANT_ID, prefix="5", strip=1, prepend="")
    assert told(world, "0911").decision is None, "nobody has that policy"
    world.set("tenant", policy_id=1)
    for dialled in ("0911", "5911"):
        decision = told(world, dialled).decision
        assert isinstance(decision, RoutePlan)
        assert decision.sent == "911"


@pytest.mark.parametrize("dialled", ["+12025550177", "alice", "sip:bob@example.org", "", "urn:service:counseling"])
def test_n6_an_ordinary_call_is_said_to_be_one(world: World, dialled: str) -> None:
    explained = told(world, dialled)
    assert (explained.decision, explained.steps) == (None, ())


def test_n6_a_trunks_call_comes_from_its_own_address(world: World) -> None:
    world.group(9, emergency=0, pbx=1, tenant_id=TENANT_ID)
    world.element("subnet", "198.51.100.0/24", world.location(1))
    explained = told(world, trunk="group-9")
    assert isinstance(explained.decision, RoutePlan)
    assert explained.decision.where
    assert explained.decision.where.name == "location-1"
    assert told(world, trunk="group-9", number=NUMBER).caller.number == NUMBER


def test_n6_a_strangers_call_from_a_trunks_address_is_the_trunks_as_a_live_one_is(world: World) -> None:
    world.group(9, emergency=0, pbx=1, tenant_id=TENANT_ID)
    world.db.execute("update trunk set source_addresses = '[\"203.0.113.0/24\"]' where id = 9")
    assert told(world, user=None, address="203.0.113.9", number=NUMBER).caller.trunk is not None
    assert told(world, user=None, address="203.0.114.9").caller.trunk is None
    assert told(world, user=ALICE, address="203.0.113.9").caller.subscriber is not None
    world.db.execute("update trunk set certificate_name = 'sbc.example' where id = 9")
    assert told(world, user=None, address="203.0.113.9").caller.trunk is None, "its address alone is not believed"


def test_n6_a_pbx_that_registers_speaks_for_its_tenants_numbers(world: World) -> None:
    world.set("subscriber", pbx=1, number=None)
    explained = told(world, user=ALICE, number=NUMBER)
    assert explained.caller.number == NUMBER
    assert explained.caller.caller_key == f"pbx:{USER_ID}:{NUMBER}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"user": "bob@example.org"}, "knows no user bob@example.org"),
        ({"user": "alice"}, "knows no user alice"),
        ({"trunk": "nowhere"}, "knows no trunk nowhere, or it is disabled"),
        ({"user": ALICE, "number": NUMBER}, "comes from neither"),
        ({"user": None, "number": NUMBER}, "comes from neither"),
        ({"pidf_lo": b"<presence"}, "location cannot be read: the document is not well-formed"),
    ],
)
def test_n6_what_cannot_be_explained_is_said(world: World, said: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        told(world, **said)
    assert raised.value.mend


def test_n6_a_disabled_trunk_calls_nobody(world: World) -> None:
    world.set("trunk", enabled=0)
    with pytest.raises(InputError, match="disabled"):
        told(world, trunk="customer")


def test_a_place_without_an_address_is_described_by_its_position(world: World) -> None:
    world.set("subscriber", confirmed_location_id=world.location(1, civic="{}", latitude=1.5, longitude=-2.0))
    explained = told(world)
    assert isinstance(explained.decision, RoutePlan)
    assert explained.decision.where
    assert described(explained.decision.where.place) == "point at 1.5, -2"
