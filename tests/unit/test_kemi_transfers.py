"""O6 in the routing code: who may transfer a call, where a phone is sent, and whose call it is that is passed on."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.core.model import CallKind, Pool
from holdfast.edge.store import CallLimit
from holdfast.errors import TooManyCalls
from kemi import transfers
from unit.edge_rows import POOL, TENANT, caller, pool, row
from unit.kemi_edge import NUMBERS, TRUNK, Edge, from_trunk, invite
from unit.kemi_scenes import CALLBACK_ROUTE, ROUTE
from unit.ksr_double import Ksr
from unit.ksr_message import Message

CENTRE = "192.0.2.20"
#: A request of the called party's.
UPSTREAM = {"rr.is_direction": -1}


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge(tmp_path, monkeypatch)
    centre(edge)
    return edge


def centre(edge: Edge, tenant_id: int | None = None) -> None:
    """A screening centre's trunk."""
    row(edge.db, "trunk_group", id=2, name="centre", emergency=0, ordinary=0, screening=1, tenant_id=tenant_id)
    row(edge.db, "trunk", id=3, trunk_group_id=2, name="centre", host=CENTRE, port=5060, transport="udp", priority=1,
        weight=1, source_addresses=f'["{CENTRE}"]', enabled=1)  # fmt: skip


def refer(target: str = "sip:911@psap.invalid", **changes: Any) -> Message:
    """A REFER of the centre's to the holder of the first number, who had dialled 911."""
    usual: dict[str, Any] = {
        "method": "REFER", "address": CENTRE, "from_user": b"911", "to_tag": True, "headers": [ROUTE],
        "pseudo_variables": {"$(hdr(Refer-To){nameaddr.uri})": target.encode("utf-8", "surrogateescape")},
    }  # fmt: skip
    more = {**usual["pseudo_variables"], **changes.pop("pseudo_variables", {})}
    return invite("x", **{**usual, **changes, "pseudo_variables": more})


def referred(edge: Edge, message: Message, **answers: Any) -> Ksr:
    edge.kamailio.answers.update({**UPSTREAM, **answers})
    done = edge.call(message)
    edge.kamailio.answers.pop("rr.is_direction")
    return done


def sent_to(done: Ksr) -> str:
    """Where the phone is sent, without the token."""
    [target] = done.relayed[0].values("Refer-To")
    return target.partition(";holdfast-transfer=")[0].strip("<>")


def second_call(number: str, **changes: Any) -> Message:
    return from_trunk("911", address=CENTRE, from_user=number.encode(), call_id=b"second", **changes)


def shown(done: Ksr) -> str:
    return done.from_uri.removeprefix("sip:").partition("@")[0]


# REFER


def test_o6_a_screening_centres_refer_goes_on_with_this_node_in_the_place_of_whom_it_names(edge: Edge) -> None:
    number = edge.lends(1, hung_up=False)
    done = referred(edge, refer(headers=[ROUTE, ("Referred-By", b"<sip:7@centre>"), ("Refer-To", b"<sip:x@y>")]))
    assert sent_to(done) == "sip:911@example.org"
    assert not done.relayed[0].values("Referred-By")
    token = edge.kamailio.tables["transfers"][number]
    assert edge.kamailio.tables["transfers"][token] == f"{number}|"
    assert len(token) >= 20
    assert ("htable.sht_setex", ("transfers", token, 120)) in done.calls


@pytest.mark.parametrize(
    ("dialled", "again"),
    [
        (b"sip:911@example.org", "sip:911@example.org"),
        (b"sips:112@example.org:5061;transport=tls", "sips:112@example.org:5061"),
        (b"sip:+1911@example.org;user=phone", "sip:+1911@example.org"),
        (b"urn:service:sos.fire", "urn:service:sos.fire"),
        (b"urn:service:counseling", "sip:911@example.org"),
        (b"sip:+12025551234@example.org", "sip:911@example.org"),
        (b"sip:\xff@example.org", "sip:911@example.org"),
        (b"", "sip:911@example.org"),
    ],
)
def test_o6_the_phone_is_sent_to_what_it_had_dialled(edge: Edge, dialled: bytes, again: str) -> None:
    edge.lends(1, hung_up=False)
    assert sent_to(referred(edge, refer(pseudo_variables={"$fu": dialled}))) == again


def test_o6_the_phone_is_sent_to_what_its_tenants_mask_makes_an_emergency_number(edge: Edge) -> None:
    edge.lends(1, hung_up=False)
    row(edge.db, "policy_mask", id=1, policy_id=1, dialled="0911", sent="911")
    assert sent_to(referred(edge, refer(pseudo_variables={"$fu": b"sip:0911@example.org"}))) == "sip:0911@example.org"


def test_o6_a_phone_is_never_sent_elsewhere(edge: Edge) -> None:
    edge.lends(1, hung_up=False)
    message = refer(pseudo_variables={"$fu": b"sip:911@elsewhere.invalid"})
    assert sent_to(referred(edge, message, is_myself=False)) == "sip:911@example.org"


def test_o6_where_nothing_says_what_was_dialled_it_is_the_emergency_number_of_the_callback_numbers_country(
    edge: Edge,
) -> None:
    edge.lends(1, hung_up=False)
    edge.change("update pool set country = 'GB'")
    assert sent_to(referred(edge, refer(pseudo_variables={"$fu": b""}))) == "sip:999@example.org"


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        (refer(address=TRUNK), {}),
        (refer(address="203.0.113.66"), {}),
        (refer(), {"rr.is_direction": 1}),
        (refer(headers=[CALLBACK_ROUTE]), {}),
        (refer(headers=[("Route", b"<sip:198.51.100.1;lr;hf=+12025550103>")]), {}),
    ],
    ids=["the PSAP's", "a stranger's", "to the called party", "in a callback", "about a number that is lent to nobody"],
)
def test_no_other_refer_goes_on_or_opens_anything(edge: Edge, message: Message, answers: dict[str, Any]) -> None:
    edge.lends(1, hung_up=False)
    done = referred(edge, message, **answers)
    assert done.replies == [403]
    assert not done.relayed
    assert not edge.kamailio.tables["transfers"]


def test_n9_a_tenants_own_centre_transfers_its_own_tenants_callers_alone(edge: Edge) -> None:
    edge.lends(1, hung_up=False)
    edge.change("update trunk_group set tenant_id = 2 where id = 2")
    assert referred(edge, refer()).replies == [403]
    assert not edge.kamailio.tables["transfers"]
    edge.change("update trunk_group set tenant_id = 1 where id = 2")
    assert referred(edge, refer()).relayed


@pytest.mark.parametrize(
    "target", ["", "http://x.invalid", "sip:x.invalid", "sip:a|b@x", "sip:\udcff@x", f"tel:{NUMBERS[2]}"]
)
def test_a_refer_to_that_leads_nowhere_is_refused(edge: Edge, target: str) -> None:
    edge.lends(1, hung_up=False)
    done = referred(edge, refer(target))
    assert done.replies == [400]
    assert not edge.kamailio.tables["transfers"]


def test_a_refer_without_the_store_is_refused_and_the_call_left_as_it_is(edge: Edge) -> None:
    edge.lends(1, hung_up=False)
    edge.call(Message(method="OPTIONS", uri=b"sip:example.org"))
    edge.store_is_gone()
    done = referred(edge, refer())
    assert done.replies == [503]
    assert not done.routed


def test_n3_on_a_shared_number_the_token_alone_tells_whose_call_is_transferred(edge: Edge) -> None:
    edge.change("delete from pool_number")
    edge.with_shared_number("+12025550101")
    edge.registers(1)
    edge.registers(2)
    for who in (1, 2):
        edge.lends(who, hung_up=False)
    done = referred(edge, refer())
    assert list(edge.kamailio.tables["transfers"].values()) == ["+12025550101|"]
    [token] = edge.kamailio.tables["transfers"]
    assert edge.call(invite(address="10.0.0.2", call_id=b"2nd")).relayed[0].next_hop.startswith(f"sip:{CENTRE}")
    uri = f"sip:911@example.org;holdfast-transfer={token}".encode()
    followed = edge.call(invite(uri=uri, call_id=b"3rd"))
    assert followed.relayed[0].next_hop.startswith(f"sip:{TRUNK}")
    assert done.relayed


@pytest.mark.parametrize("token", ["+12025550101", "12025550101", "x" * 24, "", "%2B12025550101", "x" * 100])
def test_a_token_that_was_made_up_opens_nothing(edge: Edge, token: str) -> None:
    edge.lends(1, hung_up=False)
    referred(edge, refer())
    uri = f"sip:911@example.org;holdfast-transfer={token}".encode()
    done = edge.call(invite(uri=uri, address="10.9.9.9", call_id=b"made up"))
    assert done.relayed[0].next_hop.startswith(f"sip:{CENTRE}")
    assert len(edge.kamailio.tables["transfers"]) == 2


# A call of the centre's


def test_o6_a_second_call_is_the_callers_and_leaves_the_way_to_their_phone_as_it_is(edge: Edge) -> None:
    edge.registers(1)
    number = edge.lends(1, hung_up=False)
    [before] = edge.rows("select * from lease")
    done = edge.call(second_call(number))
    assert shown(done) == number
    assert done.relayed[0].next_hop.startswith(f"sip:{TRUNK}")
    [after] = edge.rows("select * from lease")
    assert (after["contact_uri"], after["source_uri"]) == (before["contact_uri"], before["source_uri"])
    assert edge.kamailio.tables["holders"][number] == f"{before['contact_uri']}|{before['source_uri']}"


def test_o6_where_the_caller_is_on_the_network_counts_and_not_where_the_centre_is(edge: Edge) -> None:
    number = edge.lends(1, hung_up=False)
    edge.change("update trunk_group set psap_method = 'boundary' where id = 1")
    for location_id, network in ((1, "10.0.0.0/24"), (2, f"{CENTRE}/32")):
        row(edge.db, "location", id=location_id, tenant_id=1, name=network, country="US", civic="{}",
            latitude=30.0 + location_id, longitude=-97.0, validation="validated")  # fmt: skip
        row(edge.db, "network_element", id=location_id, tenant_id=1, kind="subnet", element_key=network,
            location_id=location_id)  # fmt: skip
        row(edge.db, "location_psap", id=location_id, location_id=location_id, trunk_group_id=1, found_by="boundary",
            psap_uri=f"sip:psap-{location_id}@psap.invalid")  # fmt: skip
    assert edge.call(second_call(number)).relayed[0].uri == "sip:psap-1@psap.invalid"


def test_n9_a_tenants_own_centre_is_not_believed_about_another_tenants_caller(edge: Edge) -> None:
    number = edge.lends(1, hung_up=False)
    edge.change("update trunk_group set tenant_id = 2 where id = 2")
    done = edge.call(second_call(number))
    assert shown(done) != number
    assert done.relayed[0].next_hop.startswith(f"sip:{TRUNK}")


def test_n3_of_a_shared_numbers_holders_the_one_who_calls_now_is_meant(edge: Edge) -> None:
    edge.change("delete from pool_number")
    edge.with_shared_number("+12025550101")
    edge.lends(1)
    edge.clocks.passes(10)
    edge.lends(2, hung_up=False)
    edge.clocks.passes(10)
    edge.lends(3)
    edge.call(second_call("+12025550101"))
    calls = "select l.caller_key from emergency_call c join lease l on l.id = c.lease_id where call_id = 'second'"
    assert edge.rows(calls) == [{"caller_key": "subscriber:2"}]


def test_n3_where_no_holder_of_a_shared_number_calls_now_it_is_the_centres_own_call(edge: Edge) -> None:
    edge.lends(1)
    edge.change("update lease set shared = 1")
    assert shown(edge.call(second_call(NUMBERS[0]))) != NUMBERS[0]


@pytest.mark.parametrize("written", ["{}", "1{0[1]}", "plain"])
def test_o6_the_centre_may_write_the_number_as_its_carrier_does(edge: Edge, written: str) -> None:
    number = edge.lends(1, hung_up=False)
    assert shown(edge.call(second_call(number.removeprefix("+" if written == "plain" else "")))) == number
    assert shown(edge.call(second_call("anonymous", asserted_user=number.encode()))) == number


# Numbers and limits


def test_o6_the_number_comes_first_from_the_pool_that_the_centres_came_from(edge: Edge) -> None:
    edge.lends(1, hung_up=False)
    other = Pool(2, "other", 1, "US", None, 3600, 600, 1)
    pool(edge.db, other)
    edge.change("select 1")
    [lease] = edge.store.leases(edge.clocks.now())
    passed_on = transfers.PassedOn(caller(1), "", lease, by_the_centre=True)
    edge.call(Message(method="OPTIONS", uri=b"sip:example.org"))  # the routing code knows the network
    assert passed_on.pools((other,)) == (POOL, other)
    assert passed_on.pools((other, POOL)) == (POOL, other)
    assert transfers.PassedOn(caller(1), "", None, by_the_centre=True).pools((other,)) == (other,)


def test_a9_a_call_that_is_passed_on_counts_in_the_place_of_the_first_one(edge: Edge) -> None:
    limit = CallLimit(1, counted_since=0.0)

    def begin(call_id: str, who: int, *, passed_on: bool = False) -> None:
        edge.store.begin_call(call_id, CallKind.EMERGENCY, caller(who), (POOL,), edge.clocks.now(),
                              limit=None if passed_on else limit, passed_on=passed_on)  # fmt: skip

    def counted() -> dict[tuple[int, str], int]:
        return edge.store.calls_in_progress(0.0)

    begin("to the centre", 1)
    begin("passed on", 1, passed_on=True)
    assert counted() == {(TENANT.id, "emergency"): 1}
    edge.store.end_call("to the centre", edge.clocks.now(), reason="bye")
    assert counted() == {(TENANT.id, "emergency"): 1}
    with pytest.raises(TooManyCalls):
        begin("another's", 2)
    edge.store.end_call("passed on", edge.clocks.now(), reason="bye")
    assert counted() == {}
    begin("passed on after the first had ended", 1, passed_on=True)
    assert counted() == {(TENANT.id, "emergency"): 1}


def test_the_group_of_the_centre_comes_last_of_all(edge: Edge) -> None:
    """It may be the only one whose trunk still works, and an emergency call is given up only when none is left."""
    number = edge.lends(1, hung_up=False)
    edge.change("update trunk_group set emergency = 1 where id = 2")
    edge.kamailio.answers["tm.t_relay"] = [-1, -1, 1]
    done = edge.call(second_call(number))
    assert done.relayed[0].next_hop.startswith(f"sip:{CENTRE}")


def test_whom_a_refer_to_means() -> None:
    whom = vars(transfers)["_whom"]
    assert whom("sip:911@x") == whom("urn:service:sos") == whom("tel:112") == ""
    assert whom("sip:2025550188@x;user=phone") == whom("tel:+1-202-555-0188") == "+12025550188"
    assert whom("sip:desk@x.invalid:5070;transport=tcp?Subject=a") == "sip:desk@x.invalid:5070"
    assert whom("sips:desk@[2001:db8::1]") == "sips:desk@[2001:db8::1]"
