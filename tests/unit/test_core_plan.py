"""How a call is decided: a plan with trunks and pools in order, or a refusal that says why."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.model import Caller, CallKind, Pool, Subscriber, Tenant, Trunk
from holdfast.core.numbers import EmergencyMatch
from holdfast.core.plan import Facts, Refusal, RoutePlan, plan

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


def trunk(trunk_id: int, group_id: int, *, emergency: bool = True) -> Trunk:
    return Trunk(trunk_id, group_id, f"t{trunk_id}", "192.0.2.1", 5060, "udp", 1, 1, (), emergency, ordinary=True)


def pool(pool_id: int, group_id: int, *, tenant_id: int | None = None, country: str = "US") -> Pool:
    return Pool(pool_id, f"p{pool_id}", group_id, country, tenant_id, 3600, 600, 5)


def facts(**changes: object) -> Facts:
    usual = Facts(EMERGENCY, ALICE, owns_outbound_number=True, trunks=(trunk(1, 1), trunk(2, 2)), pools=(pool(1, 1),))
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def test_a1_an_emergency_call_goes_to_the_emergency_trunks_in_their_order() -> None:
    trunks = (trunk(3, 1), trunk(9, 3, emergency=False), trunk(1, 2))
    decided = plan(facts(trunks=trunks))
    assert decided == RoutePlan(CallKind.EMERGENCY, "911", (trunks[0], trunks[2]), (pool(1, 1),))


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
    refusal = plan(facts(trunks=(trunk(1, 1, emergency=False),)))
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
    decided = plan(facts(trunks=(trunk(1, 2), trunk(2, 1)), pools=tuple(pools[index] for index in order)))
    assert isinstance(decided, RoutePlan)
    assert decided.pools == pools


def test_another_tenants_pool_and_another_carriers_are_never_used() -> None:
    pools = (pool(1, 1, tenant_id=2), pool(2, 7), pool(3, 1))
    for caller, expected in ((ALICE, (pools[2],)), (STRANGER, (pools[2],))):
        decided = plan(facts(caller=caller, pools=pools))
        assert isinstance(decided, RoutePlan)
        assert decided.pools == expected


_trunks = st.lists(st.builds(trunk, st.integers(1, 9), st.integers(1, 3), emergency=st.booleans()), max_size=5)
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


@given(
    trunks=_trunks,
    pools=_pools,
    owns=st.booleans(),
    caller=st.sampled_from([ALICE, STRANGER]),
    match=st.sampled_from([EMERGENCY, READBACK]),
)
def test_every_call_is_planned_or_refused_with_code_reason_and_text(
    *, trunks: list[Trunk], pools: list[Pool], owns: bool, caller: Caller, match: EmergencyMatch
) -> None:
    decided = plan(Facts(match, caller, owns, tuple(trunks), tuple(pools)))
    if isinstance(decided, Refusal):
        assert 400 <= decided.code < 600
        assert decided.reason
        assert decided.reason.replace("_", "").isalpha()
        assert decided.text
        assert not set(decided.phrase + decided.text) & set('\r\n"')
        return
    assert set(decided.trunks) <= set(trunks)
    assert all(chosen.emergency for chosen in decided.trunks)
    assert decided.trunks or match.kind is CallKind.READBACK
    assert all(chosen.tenant_id in (None, caller.tenant and caller.tenant.id) for chosen in decided.pools)
    assert {chosen.trunk_group_id for chosen in decided.pools} <= {chosen.trunk_group_id for chosen in decided.trunks}
