"""What of a node's network is known even when nothing is known of the caller."""

from holdfast.core.model import Network, Trunk, TrunkGroup


def trunk(trunk_id: int, group: TrunkGroup) -> Trunk:
    return Trunk(
        trunk_id,
        group.id,
        f"t{trunk_id}",
        "192.0.2.1",
        5060,
        "udp",
        1,
        1,
        (),
        emergency=group.emergency,
        ordinary=False,
    )


def test_n1_without_the_store_a_strangers_call_goes_to_the_platforms_own_trunks_a_psap_first() -> None:
    """Never over some tenant's carrier, nor to its PBX."""
    screening = TrunkGroup(1, "screening", emergency=False, ordinary=False, screening=True)
    customer = TrunkGroup(2, "customer", emergency=True, ordinary=False, tenant_id=7)
    pbx = TrunkGroup(3, "pbx", emergency=False, ordinary=False, tenant_id=7, pbx=True)
    psap = TrunkGroup(4, "psap", emergency=True, ordinary=False)
    ordinary = TrunkGroup(5, "ordinary", emergency=False, ordinary=True)
    groups = (screening, customer, pbx, psap, ordinary)
    network = Network({group.id: group for group in groups}, tuple(trunk(group.id, group) for group in groups), ())
    assert [one.name for one in network.platform_trunks] == ["t4", "t1"]
