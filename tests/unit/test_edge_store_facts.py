"""What a call is decided on, as it is read from a node's store: places, policies, masks, rules, PSAPs, pools."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.core import callers
from holdfast.core.callers import Sender
from holdfast.core.model import Caller, LocationMethod
from holdfast.core.place import Place, Shape, ShapeKind
from holdfast.core.route_plan import Destination, Refusal
from holdfast.core.route_plan import Path as Way
from holdfast.core.whereabouts import LocationSource
from holdfast.edge.store_facts import asserted, may_be_masked
from unit.edge_rows import row
from unit.routing_world import ADDRESS, CUSTOMER, NUMBER, OFFER_PSAP, OFFER_SCREENING, TENANT_ID, World

ELSEWHERE = 7  # another tenant


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def source_name(world: World, **said: Any) -> str:
    """The name of the place that counts."""
    where = world.planned(**said).where
    return where.name if where else ""


# Network elements


def test_o3_the_longest_prefix_says_where_a_device_is(world: World) -> None:
    for location, prefix in enumerate(("192.0.0.0/16", "192.0.2.0/24", "192.0.2.64/26", "192.0.2.128/25"), start=1):
        world.element("subnet", prefix, world.location(location))
    assert source_name(world) == "location-3"
    assert source_name(world, address="192.0.2.200") == "location-4"
    assert source_name(world, address="192.0.7.1") == "location-1"
    assert source_name(world, address="203.0.113.1") == ""


def test_o3_a_subnet_of_ipv6_is_found_and_one_of_ipv4_by_its_mapped_address(world: World) -> None:
    world.element("subnet", "2001:db8:1::/48", world.location(1))
    world.element("subnet", "192.0.2.0/24", world.location(2))
    assert source_name(world, address="2001:db8:1:2::3") == "location-1"
    assert source_name(world, address="2001:db8:2::3") == ""
    assert source_name(world, address="::ffff:192.0.2.9") == "location-2"


@pytest.mark.parametrize("address", ["", "unknown", "192.0.2", "192.0.2.1:5060", "fe80::1%eth0"])
def test_an_address_that_is_none_is_at_no_place(world: World, address: str) -> None:
    world.element("subnet", "192.0.2.0/24", world.location(1))
    assert source_name(world, address=address) == ""


def test_o3_what_is_narrower_says_more_than_what_is_wider(world: World) -> None:
    attached = [
        ("bssid", "00-11-22-aa-bb-cc"),
        ("switch_port", "sw-1/7"),
        ("switch", "sw-1"),
        ("subnet", "192.0.2.0/24"),
    ]
    for location, (kind, key) in enumerate(attached, start=1):
        world.element(kind, key, world.location(location))
    said = list(attached[:3])
    for expected in ("location-1", "location-2", "location-3", "location-4"):
        assert source_name(world, attachments=tuple(reversed(said))) == expected
        said = said[1:]


def test_another_tenants_network_says_nothing_of_ours_nor_does_ours_of_strangers(world: World) -> None:
    world.element("subnet", "192.0.2.0/24", world.location(1), tenant_id=ELSEWHERE)
    assert source_name(world) == ""
    world.element("subnet", "192.0.2.0/24", world.location(2))
    stranger = callers.unknown(Sender("c", "", "sip:x", "sip:x"), "udp:192.0.2.77:5060")
    assert source_name(world, caller=stranger, default_country="US") == ""


def test_a_location_without_an_address_it_could_be_sent_with_is_passed_over(world: World) -> None:
    world.element("subnet", "192.0.2.0/24", world.location(1, civic="{}"))
    world.set("platform_number", location_id=world.location(2), enhanced=1)
    where = world.planned().where
    assert where is not None
    assert where.source is LocationSource.REGISTERED


# Policies, masks, rules


def policy(world: World, policy_id: int, **columns: object) -> None:
    row(world.db, "policy", id=policy_id, tenant_id=TENANT_ID, name=f"policy-{policy_id}", usage=None, **columns)


def test_l2_the_users_policy_counts_before_the_sites_and_the_tenants(world: World) -> None:
    for policy_id in (1, 2, 3):
        policy(world, policy_id)
    row(world.db, "site", id=1, tenant_id=TENANT_ID, name="site", policy_id=2)
    whose = []
    for change in (("tenant", {"policy_id": 3}), ("subscriber", {"site_id": 1}), ("subscriber", {"policy_id": 1})):
        world.set(change[0], **change[1])
        found = world.planned().policy
        assert found is not None
        whose.append((found.name, found.whose))
    assert whose == [("policy-3", "tenant"), ("policy-2", "site"), ("policy-1", "user")]


def test_l2_the_site_where_the_device_is_counts_before_the_users_own(world: World) -> None:
    policy(world, 1)
    policy(world, 2)
    row(world.db, "site", id=1, tenant_id=TENANT_ID, name="home", policy_id=1)
    row(world.db, "site", id=2, tenant_id=TENANT_ID, name="visited", policy_id=2)
    world.set("subscriber", site_id=1)
    world.element("subnet", "192.0.2.0/24", world.location(1, site_id=2))
    found = world.planned().policy
    assert found is not None
    assert found.name == "policy-2"


def test_l2_a_mask_of_the_policy_is_dialled_for_the_number_it_means_and_only_by_its_callers(world: World) -> None:
    policy(world, 1)
    row(world.db, "policy_mask", id=1, policy_id=1, dialled="0911", sent="911")
    assert may_be_masked(world.store, "0911")
    assert not may_be_masked(world.store, "0912")
    assert world.decide("0911") is None
    world.set("tenant", policy_id=1)
    assert world.planned("0911").sent == "911"


def test_a_dial_plans_outside_line_reaches_the_emergency_number_and_only_of_its_tenant(world: World) -> None:
    row(world.db, "dial_rule", id=1, tenant_id=ELSEWHERE, prefix="5", strip=1, prepend="")
    assert may_be_masked(world.store, "5911")
    assert not may_be_masked(world.store, "52025550123")
    assert not may_be_masked(world.store, "alice")
    assert not may_be_masked(world.store, "")
    assert world.decide("5911") is None
    world.set("dial_rule", tenant_id=TENANT_ID)
    assert world.planned("5911").sent == "911"


def test_d8_rules_for_the_number_come_before_those_for_every_number_each_in_its_order(world: World) -> None:
    policy(world, 1)
    world.set("policy", usage="staff")
    world.set("tenant", policy_id=1)
    for group in (11, 12, 13):
        world.group(group, emergency=1, tenant_id=TENANT_ID)
    rules = [("*", 11, 1), ("911", 12, 2), ("911", 13, 1), ("112", CUSTOMER, 1)]
    for rule_id, (number, group, position) in enumerate(rules, start=1):
        row(world.db, "routing_rule", id=rule_id, tenant_id=TENANT_ID, usage="staff", emergency_number=number,
            trunk_group_id=group, position=position)  # fmt: skip
    plan = world.planned()
    assert plan.path is Way.DIRECT_ROUTING
    assert [hop.group.id for hop in plan.hops] == [13, 12, 11, CUSTOMER, OFFER_SCREENING, OFFER_PSAP]


def test_another_tenants_rule_of_the_same_usage_means_nothing(world: World) -> None:
    policy(world, 1)
    world.set("policy", usage="staff")
    world.set("tenant", policy_id=1)
    row(world.db, "routing_rule", id=1, tenant_id=ELSEWHERE, usage="staff", emergency_number="911",
        trunk_group_id=CUSTOMER, position=1)  # fmt: skip
    assert world.planned().path is Way.DIRECT_OFFER


def test_d2_the_tenants_country_rule_counts_before_the_platforms(world: World) -> None:
    row(world.db, "country_rule", id=1, country="DE", served=1)
    assert world.planned("112", signalled_country="DE").country == "DE"
    row(world.db, "country_rule", id=2, country="DE", tenant_id=TENANT_ID, served=0, notify_desk=1)
    refusal = world.decide("112", signalled_country="DE")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "country_not_served"
    world.db.execute("update country_rule set served = null where id = 2")
    decided = world.planned("112", signalled_country="DE")
    assert decided.notify_desk


@pytest.mark.parametrize(("rule", "told"), [({}, True), ({"notify_desk": 0}, False)])
def test_o7_whether_a_security_desk_is_told_follows_the_country(
    world: World, rule: dict[str, int], *, told: bool
) -> None:
    if rule:
        row(world.db, "country_rule", id=1, country="US", **rule)
    assert world.planned().notify_desk is told
    assert world.planned().summary["notify_desk"] is told


def test_a9_the_cap_is_the_tenants_and_tests_have_their_own(world: World) -> None:
    world.set("tenant", max_emergency_calls=3, max_test_calls=4)
    assert world.planned().most_calls == 3
    assert world.planned("933").most_calls == 4
    assert world.planned(transfer_to="").most_calls is None


# PSAPs


def test_the_psap_found_ahead_of_time_for_a_location_is_the_one_that_is_called(world: World) -> None:
    world.db.execute(
        "update trunk_group set psap_method = 'lost', psap_uri = '+12025550190' where id = ?", (OFFER_PSAP,)
    )
    world.element("subnet", "192.0.2.0/24", world.location(1))
    assert world.planned().hops[0].request_uri == "sip:+12025550190@198.51.100.1:5060"
    row(world.db, "location_psap", id=1, location_id=1, trunk_group_id=OFFER_PSAP, psap_uri="sip:psap@austin.example",
        found_by="lost")  # fmt: skip
    assert world.planned().hops[0].request_uri == "sip:psap@austin.example"
    screening = next(hop for hop in world.planned().hops if hop.destination is Destination.SCREENING)
    assert screening.request_uri == "sip:911@198.51.100.2:5060"


def test_the_psap_of_a_place_that_only_came_with_the_call_is_found_by_its_boundary(world: World) -> None:
    world.db.execute("update trunk_group set psap_method = 'boundary' where id = ?", (OFFER_PSAP,))
    square = [[[0.0, 0.0], [0.0, 10.0], [10.0, 10.0], [10.0, 0.0], [0.0, 0.0]]]
    hole = [[[4.0, 4.0], [4.0, 6.0], [6.0, 6.0], [6.0, 4.0], [4.0, 4.0]]]
    row(world.db, "boundary", id=1, trunk_group_id=OFFER_PSAP, name="square", psap_uri="tel:+12025550191",
        polygons=json.dumps([[*square, *hole]]), min_latitude=0.0, max_latitude=10.0, min_longitude=0.0,
        max_longitude=10.0)  # fmt: skip

    def called_at(latitude: float, longitude: float) -> str:
        place = Place(shape=Shape(ShapeKind.POINT, ((latitude, longitude),)), method="GPS")
        return world.planned(places=(place,), signalled_country="US").hops[0].request_uri

    assert called_at(1.0, 9.0) == "sip:+12025550191@198.51.100.1:5060"
    assert called_at(5.0, 5.0) == "sip:911@198.51.100.1:5060", "the hole is another PSAP's"
    assert called_at(11.0, 5.0) == "sip:911@198.51.100.1:5060"


def test_o6_the_centre_may_say_which_psap_it_passes_a_caller_on_to(world: World) -> None:
    plan = world.planned(transfer_to="sip:+12025550192@psap.example")
    assert plan.destination is Destination.PSAP
    assert plan.hops[0].request_uri == "sip:+12025550192@psap.example"


# Pools


def pool(world: World, pool_id: int, group: int, **columns: object) -> None:
    row(world.db, "pool", **{"id": pool_id, "name": f"pool-{pool_id}", "trunk_group_id": group, "country": "US",
                             "window_s": 3600, "rest_s": 600, "target_idle": 1, **columns})  # fmt: skip


def test_pools_come_from_the_narrowest_to_the_widest_of_the_first_trunks_carrier(world: World) -> None:
    row(world.db, "site", id=5, tenant_id=TENANT_ID, name="site")
    world.set("subscriber", site_id=5)
    world.set("platform_number", location_id=world.location(1), enhanced=1)
    pool(world, 20, OFFER_PSAP, tenant_id=TENANT_ID)
    pool(world, 21, OFFER_PSAP, tenant_id=TENANT_ID, site_id=5)
    pool(world, 22, OFFER_PSAP, tenant_id=TENANT_ID, site_id=6)
    pool(world, 23, OFFER_PSAP, tenant_id=ELSEWHERE)
    assert [one.id for one in world.planned().pools] == [21, 20, OFFER_PSAP, OFFER_SCREENING, CUSTOMER]


def test_l7_where_the_provider_knows_locations_by_number_the_locations_own_number_comes_first(world: World) -> None:
    world.set("platform_number", location_id=world.location(1), enhanced=1)
    pool(world, 20, OFFER_PSAP, tenant_id=TENANT_ID, location_id=1)
    pool(world, 21, OFFER_PSAP, tenant_id=TENANT_ID, location_id=2)
    assert world.planned().pools[0].id == OFFER_PSAP, "this provider does not know it"
    world.db.execute("update trunk_group set location_method = 'elin' where id = ?", (OFFER_PSAP,))
    plan = world.planned()
    assert [one.id for one in plan.pools][:2] == [20, OFFER_PSAP]
    assert plan.hops[0].location_method is LocationMethod.ELIN


def test_without_a_location_no_trunk_is_told_one(world: World) -> None:
    world.set("trunk_group", location_method="value")
    assert {hop.location_method for hop in world.planned().hops} == {LocationMethod.NONE}


# Callers


def test_a_pbx_calls_for_the_number_it_says_and_is_held_to_its_tenants_rules(world: World) -> None:
    world.group(9, emergency=0, pbx=1, tenant_id=TENANT_ID)
    network = world.network
    trunk = next(one for one in network.trunks if one.trunk_group_id == 9)
    sender = Sender("call-9", "Carol", "sip:pbx@198.51.100.9", "sip:198.51.100.9:5060")

    def behind(number: str | None) -> Caller:
        tenant = world.store.tenant(TENANT_ID)
        return callers.on_trunk(sender, trunk, network.groups[9], tenant, asserted(world.store, number, tenant))

    world.set("platform_number", location_id=world.location(1), enhanced=1)
    plan = world.planned(caller=behind(NUMBER))
    assert plan.where is not None
    assert plan.where.why == f"the registered address of {NUMBER}"
    assert plan.most_calls == 10
    assert behind(NUMBER).contact_uri == f"sip:{NUMBER}@198.51.100.9:5060"
    assert behind(None).contact_uri == sender.contact_uri
    assert behind(None).caller_key != behind(NUMBER).caller_key
    world.set("platform_number", outbound_enabled=0)
    refusal = world.decide(caller=behind(NUMBER))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_outbound_number"


def test_a_number_of_another_tenants_says_nothing_of_the_caller(world: World) -> None:
    row(world.db, "platform_number", number="+12025550150", tenant_id=ELSEWHERE, outbound_enabled=1,
        location_id=world.location(1), enhanced=1)  # fmt: skip
    alice = world.alice()
    claims = Caller(alice.caller_key, "", ADDRESS, ADDRESS, alice.subscriber, alice.tenant, number="+12025550150")
    assert world.planned(caller=claims).where is None
