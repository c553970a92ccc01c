"""How a call is decided: a plan with trunks and pools in order, or a refusal that says why."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.model import Caller, CallKind, Network, Pool, Subscriber, Tenant, Trunk, TrunkGroup
from holdfast.core.numbers import EmergencyMatch
from holdfast.core.plan import Facts, plan
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.core.whereabouts import CountryFinding

TENANT = Tenant(1, "Acme", "US", 10, None)
SUBSCRIBER = Subscriber(
    id=1, tenant_id=1, username="alice", realm="example.org", ha1="0" * 32, display_name="Alice", number=None,
    country=None, outbound_enabled=True, inbound_enabled=False, do_not_disturb=True, forward_to="bob",
)  # fmt: skip
ALICE = Caller(
    "subscriber:1", "Alice", "sip:alice@10.0.0.5", "sip:10.0.0.5:5060;transport=udp", subscriber=SUBSCRIBER,
    tenant=TENANT,
)  # fmt: skip
STRANGER = Caller("contact:udp:10.0.0.9:5060", "", "sip:x@10.0.0.9", "sip:10.0.0.9:5060;transport=udp")
EMERGENCY = EmergencyMatch(CallKind.EMERGENCY, "9911", "911", "US")
READBACK = EmergencyMatch(CallKind.READBACK, "933", "933", "US")


def trunk(trunk_id: int, group_id: int, *, priority: int = 1, emergency: bool = True, **changes: object) -> Trunk:
    usual = Trunk(
        trunk_id, group_id, f"t{trunk_id}", "192.0.2.1", 5060, "udp", priority, 1, (), emergency, ordinary=True,
        address="192.0.2.1",
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def network(trunks: tuple[Trunk, ...], pools: tuple[Pool, ...], *groups: TrunkGroup) -> Network:
    """Every trunk's group is one of the platform's, unless `groups` says otherwise."""
    own = {one.trunk_group_id: TrunkGroup(one.trunk_group_id, f"g{one.trunk_group_id}", one.emergency, ordinary=True)
           for one in trunks}  # fmt: skip
    return Network({**own, **{group.id: group for group in groups}}, trunks, pools)


def pool(pool_id: int, group_id: int, *, tenant_id: int | None = None, country: str = "US") -> Pool:
    return Pool(pool_id, f"p{pool_id}", group_id, country, tenant_id, 3600, 600, 5)


TRUNKS = (trunk(1, 1), trunk(2, 2, priority=2))


def facts(
    trunks: tuple[Trunk, ...] = TRUNKS, pools: tuple[Pool, ...] | None = None, *groups: TrunkGroup, **changes: object
) -> Facts:
    known = network(trunks, (pool(1, 1),) if pools is None else pools, *groups)
    usual = Facts(EMERGENCY, CountryFinding("US", "said so"), ALICE, known, owns_outbound_number=True)
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def test_a1_an_emergency_call_goes_to_the_emergency_trunks_in_their_order() -> None:
    trunks = (trunk(1, 2, priority=7), trunk(9, 3, emergency=False), trunk(3, 1, priority=3))
    decided = plan(facts(trunks))
    assert isinstance(decided, RoutePlan)
    assert (decided.kind, decided.sent) == (CallKind.EMERGENCY, "911")
    assert decided.trunks == (trunks[2], trunks[0])
    assert decided.pools == (pool(1, 1),)
    assert [hop.request_uri for hop in decided.hops] == ["sip:911@192.0.2.1:5060"] * 2


def test_a7_a_test_call_takes_its_number_from_the_pools_an_emergency_call_would_use() -> None:
    decided, real = plan(facts(match=READBACK)), plan(facts())
    assert isinstance(decided, RoutePlan)
    assert isinstance(real, RoutePlan)
    assert decided.kind is CallKind.READBACK
    assert decided.pools == real.pools


def test_a5_a_tenant_without_an_outbound_number_is_refused_with_the_reason() -> None:
    for match in (EMERGENCY, READBACK):
        refusal = plan(facts(match=match, owns_outbound_number=False))
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.reason) == (403, "no_outbound_number")
        assert "number" in refusal.text


def test_d1_a_user_without_outbound_permission_is_refused_with_the_reason() -> None:
    caller = dataclasses.replace(ALICE, subscriber=dataclasses.replace(SUBSCRIBER, outbound_enabled=False))
    refusal = plan(facts(caller=caller))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == (403, "outbound_not_permitted")


def test_a1_a_caller_nobody_knows_is_not_asked_for_a_tenant() -> None:
    assert isinstance(plan(facts(caller=STRANGER, owns_outbound_number=False)), RoutePlan)


def test_d4_neither_do_not_disturb_nor_a_forward_stops_a_call_for_help() -> None:
    assert SUBSCRIBER.do_not_disturb
    assert SUBSCRIBER.forward_to
    assert isinstance(plan(facts()), RoutePlan)


def test_an_emergency_call_without_any_emergency_trunk_is_refused() -> None:
    refusal = plan(facts((trunk(1, 1, emergency=False),)))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == (503, "no_emergency_trunk")


def test_an_emergency_call_goes_without_a_pool() -> None:
    decided = plan(facts(pools=()))
    assert isinstance(decided, RoutePlan)
    assert decided.pools == ()


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_the_pools_stand_in_one_order_however_they_were_read(order: tuple[int, ...]) -> None:
    pools = (
        pool(8, 2, tenant_id=1),  # the first trunk's carrier comes first,
        pool(6, 2),  # its tenant's pools before the platform's,
        pool(9, 2, country="CA"),  # the caller's country before others,
        pool(1, 1, tenant_id=1),
        pool(2, 1),
    )
    decided = plan(facts((trunk(1, 2), trunk(2, 1, priority=2)), tuple(pools[index] for index in order)))
    assert isinstance(decided, RoutePlan)
    assert decided.pools == pools


def test_another_tenants_pool_and_another_carriers_are_never_used() -> None:
    pools = (pool(1, 1, tenant_id=2), pool(2, 7), pool(3, 1))
    for caller, expected in ((ALICE, (pools[2],)), (STRANGER, (pools[2],))):
        decided = plan(facts(caller=caller, pools=pools))
        assert isinstance(decided, RoutePlan)
        assert decided.pools == expected


def test_trunks_share_calls_by_their_weights_and_priority_comes_first() -> None:
    trunks = (trunk(1, 1, weight=3), trunk(2, 1, weight=1), trunk(3, 1, priority=2, weight=1000))
    first = [plan(facts(trunks, draw=f"call-{number}")).trunks for number in range(4000)]  # type: ignore[union-attr]
    assert all(order[2] == trunks[2] for order in first)
    share = sum(order[0] == trunks[0] for order in first) / len(first)
    assert 0.72 < share < 0.78


def test_a_trunk_that_answers_no_options_comes_last_but_is_not_left_out() -> None:
    trunks = (trunk(1, 1, healthy=False), trunk(2, 1, priority=2), trunk(3, 1, priority=3))
    decided = plan(facts(trunks))
    assert isinstance(decided, RoutePlan)
    assert decided.trunks == (trunks[1], trunks[2], trunks[0])
    assert "OPTIONS" in next(step.because for step in decided.steps if step.topic == "trunk 3")


def test_a_trunk_whose_name_was_never_resolved_comes_after_its_equals() -> None:
    trunks = (trunk(1, 1, address=None), trunk(2, 1))
    for number in range(20):
        decided = plan(facts(trunks, draw=str(number)))
        assert isinstance(decided, RoutePlan)
        assert decided.trunks == (trunks[1], trunks[0])


def test_a_pbx_is_never_asked_to_take_an_emergency_call() -> None:
    pbx = TrunkGroup(2, "pbx", emergency=True, ordinary=False, tenant_id=1, pbx=True)
    decided = plan(facts(TRUNKS, None, pbx))
    assert isinstance(decided, RoutePlan)
    assert decided.trunks == (TRUNKS[0],)


def test_another_tenants_carrier_and_another_countrys_are_never_asked() -> None:
    other = TrunkGroup(2, "other", emergency=True, ordinary=False, tenant_id=7)
    danish = TrunkGroup(2, "danish", emergency=True, ordinary=False, country="DK")
    for group in (other, danish):
        decided = plan(facts(TRUNKS, None, group))
        assert isinstance(decided, RoutePlan)
        assert decided.trunks == (TRUNKS[0],)


def test_the_tenants_own_carrier_is_the_last_way_out_of_the_direct_offer() -> None:
    own = TrunkGroup(1, "own", emergency=True, ordinary=False, tenant_id=1)
    decided = plan(facts(TRUNKS, None, own))
    assert isinstance(decided, RoutePlan)
    assert decided.trunks == (TRUNKS[1], TRUNKS[0])


_trunks = st.lists(
    st.builds(trunk, st.integers(1, 9), st.integers(1, 3), priority=st.integers(1, 3), healthy=st.booleans()),
    max_size=5, unique_by=lambda one: one.id,
)  # fmt: skip
_pools = st.lists(
    st.builds(
        pool,
        st.integers(1, 9),
        st.integers(1, 4),
        tenant_id=st.sampled_from([None, 1, 2]),
        country=st.sampled_from(["US", "CA"]),
    ),
    max_size=6,
)
_groups = st.lists(
    st.builds(
        TrunkGroup, st.integers(1, 3), st.just("g"), emergency=st.booleans(), ordinary=st.just(value=False),
        tenant_id=st.sampled_from([None, 1, 2]), country=st.sampled_from([None, "US", "CA"]),
        screening=st.booleans(), pbx=st.booleans(),
    ), max_size=3, unique_by=lambda one: one.id,
)  # fmt: skip


@given(
    trunks=_trunks,
    pools=_pools,
    groups=_groups,
    owns=st.booleans(),
    caller=st.sampled_from([ALICE, STRANGER]),
    match=st.sampled_from([EMERGENCY, READBACK]),
)
def test_every_call_is_planned_or_refused_with_code_reason_and_text(
    *,
    trunks: list[Trunk],
    pools: list[Pool],
    groups: list[TrunkGroup],
    owns: bool,
    caller: Caller,
    match: EmergencyMatch,
) -> None:
    asked = facts(tuple(trunks), tuple(pools), *groups, owns_outbound_number=owns, caller=caller, match=match)
    decided = plan(asked)
    known = asked.network.groups
    tenant_id = caller.tenant.id if caller.tenant else None
    if isinstance(decided, Refusal):
        assert 400 <= decided.code < 600
        assert decided.reason
        assert decided.reason.replace("_", "").isalpha()
        assert decided.text
        assert not set(decided.phrase + decided.text) & set('\r\n"')
        return
    usable = {
        one for one in trunks
        if (known[one.trunk_group_id].emergency or known[one.trunk_group_id].screening)
        and not known[one.trunk_group_id].pbx
        and known[one.trunk_group_id].country in (None, "US")
        and known[one.trunk_group_id].tenant_id in (None, tenant_id)
    }  # fmt: skip
    assert set(decided.trunks) == usable, "every trunk that could help is tried, and no other"
    assert len(decided.trunks) == len(usable)
    health = [hop.trunk.healthy for hop in decided.hops]
    assert health == sorted(health, reverse=True)
    assert decided.trunks or match.kind is CallKind.READBACK
    assert all(chosen.tenant_id in (None, tenant_id) for chosen in decided.pools)
    assert {chosen.trunk_group_id for chosen in decided.pools} <= {chosen.trunk_group_id for chosen in decided.trunks}
