"""A PSAP's call to a lent number: recognised, marked, brought to its holder whatever the holder's settings say."""

from pathlib import Path

import pytest

from unit.edge_rows import REST_S, WINDOW_S
from unit.kemi_edge import MEDIA, NUMBERS, Edge, from_media_server, from_trunk, invite
from unit.ksr_double import Ksr

SHARED = "+12025550199"
PRIVATE = [("X-Holdfast-Leg", b"deliver"), ("x-hOLDFAST-Callback-Number", b"+1"), ("X-Holdfast", b"")]


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    return Edge(tmp_path, monkeypatch)


@pytest.fixture
def lent(edge: Edge) -> Edge:
    """User 1 is registered and called for help a moment ago."""
    edge.registers(1)
    assert edge.lends(1) == NUMBERS[0]
    return edge


def went_to_the_media_server(done: Ksr) -> bool:
    return [sent.uri for sent in done.relayed] == [f"sip:callback@{MEDIA[0]}:{MEDIA[1]}"]


def test_l6_a_trunks_call_to_a_lent_number_goes_to_the_media_server_marked(lent: Edge) -> None:
    done = lent.call(from_trunk(NUMBERS[0]))
    assert went_to_the_media_server(done)
    assert done.relayed[0].values("Priority") == ["psap-callback"]
    assert [row["kind"] for row in lent.rows("select kind from emergency_call")] == ["callback"]


@pytest.mark.parametrize("dialled", ["+12025550101", "12025550101", "2025550101", "+1-202-555-0101", "%2B12025550101"])
def test_l6_a_callback_is_recognised_however_the_carrier_writes_the_number(lent: Edge, dialled: str) -> None:
    assert went_to_the_media_server(lent.call(from_trunk(dialled)))


@pytest.mark.parametrize("priority", [b"psap-callback", b"normal", b"emergency"])
def test_n9_however_a_callback_was_marked_it_leaves_with_one_mark(lent: Edge, priority: bytes) -> None:
    done = lent.call(from_trunk(NUMBERS[0], headers=[("Priority", priority), ("priority", priority)]))
    assert done.relayed[0].values("Priority") == ["psap-callback"]


@pytest.mark.parametrize("address", ["10.0.0.1", "10.9.9.9", "192.0.2.3"])
def test_n9_a_callback_from_anybody_else_is_an_ordinary_call(lent: Edge, address: str) -> None:
    stranger = from_trunk(NUMBERS[0], address=address, headers=[("Priority", b"psap-callback"), *PRIVATE])
    done = lent.call(stranger)
    free = lent.call(from_trunk(NUMBERS[2], address=address, call_id=b"free"))
    assert done.replies == free.replies == [407]
    assert lent.rows("select * from emergency_call") == []


def test_a_lent_number_and_a_free_one_are_answered_alike_to_a_user(lent: Edge) -> None:
    lent.kamailio.answers["auth.pv_auth_check"] = 1
    for number in NUMBERS:
        assert lent.call(invite(number, digest_user=b"user2", call_id=number.encode())).replies == [404]


def test_n9_the_mark_and_private_headers_of_a_user_reach_nobody(edge: Edge) -> None:
    edge.registers(2)
    edge.kamailio.answers["auth.pv_auth_check"] = 1
    headers = [("Priority", b"psap-callback"), ("PRIORITY", b"psap-callback"), *PRIVATE]
    sent = edge.call(invite("user2", digest_user=b"user1", headers=headers)).relayed[0]
    assert [name for name, _ in sent.headers] == ["Contact"]


def test_private_headers_of_a_trunk_reach_nobody(edge: Edge) -> None:
    edge.registers(2)
    sent = edge.call(from_trunk("+12025551002", headers=PRIVATE)).relayed[0]
    assert [name for name, _ in sent.headers] == ["Contact"]


def test_private_headers_of_the_media_server_stop_at_the_edge(lent: Edge) -> None:
    sent = lent.call(from_media_server(NUMBERS[0], headers=PRIVATE)).relayed[0]
    assert {name for name, _ in sent.headers} == {"Contact", "Priority"}


@pytest.mark.parametrize("port", [5060, 5081])
def test_only_the_media_servers_own_port_is_the_media_server(lent: Edge, port: int) -> None:
    done = lent.call(from_media_server(NUMBERS[0], port=port))
    assert not done.relayed
    assert done.replies == [407]


def test_d4_a_callback_rings_whatever_the_holder_has_set(lent: Edge) -> None:
    lent.registers(2)
    settings = "do_not_disturb = 1, inbound_enabled = 0, outbound_enabled = 0, forward_to = 'user2'"
    lent.change(f"update subscriber set {settings} where id = 1")
    assert lent.call(from_trunk("+12025551001", call_id=b"ordinary")).replies == [403]
    done = lent.call(from_media_server(NUMBERS[0]))
    assert done.branches == ["sip:user1@example.org"]
    assert len(done.relayed) == 1


def test_d4_one_devices_decline_does_not_silence_the_others(lent: Edge) -> None:
    assert "tm.t_set_disable_6xx" in lent.call(from_media_server(NUMBERS[0])).names()


def test_a_callback_rings_the_very_device_when_nobody_is_registered(edge: Edge) -> None:
    number = edge.lends(1)
    sent = edge.call(from_media_server(number)).relayed[0]
    assert (sent.uri, sent.next_hop) == ("sip:user1@10.0.0.1", "sip:10.0.0.1:5060;transport=udp")


def test_a_callback_to_a_number_that_nobody_holds_hears_404(edge: Edge) -> None:
    assert edge.call(from_trunk(NUMBERS[2])).replies == [404]


def test_n2_a_callback_after_the_window_hears_404_when_the_number_has_rested(lent: Edge) -> None:
    lent.clocks.passes(WINDOW_S + REST_S)
    assert lent.call(from_trunk(NUMBERS[0])).replies == [404]


def test_n3_while_a_number_rests_its_callback_is_the_security_desks(lent: Edge) -> None:
    lent.kamailio.answers["registered"].append("sip:desk@example.org")
    lent.clocks.passes(WINDOW_S)
    assert went_to_the_media_server(lent.call(from_trunk(NUMBERS[0])))
    assert lent.call(from_media_server(NUMBERS[0])).branches == ["sip:desk@example.org"]


def test_n3_a_callback_to_a_shared_number_rings_every_registered_holder(edge: Edge) -> None:
    edge.with_shared_number(SHARED)
    for who in (1, 2, 3):
        edge.registers(who)
        assert edge.lends(who) == SHARED
    assert edge.call(from_media_server(SHARED)).branches == [f"sip:user{who}@example.org" for who in (1, 2, 3)]


def test_n3_a_callback_to_a_shared_number_rings_the_holders_who_never_registered_too(edge: Edge) -> None:
    edge.with_shared_number(SHARED)
    edge.registers(1)
    for who in (1, 2, 3):
        assert edge.lends(who) == SHARED
    done = edge.call(from_media_server(SHARED))
    told = repr(done.calls)
    assert "sip:user1@example.org" in told
    assert "10.0.0.2" in told
    assert "10.0.0.3" in told


def test_n1_a_callback_goes_straight_to_the_phone_when_the_media_server_cannot_be_sent_to(lent: Edge) -> None:
    lent.kamailio.answers["tm.t_relay"] = [-1, 1]
    done = lent.call(from_trunk(NUMBERS[0]))
    assert done.branches == ["sip:user1@example.org"]
    assert ("callbacks_total", "direct") in done.counted


def test_n1_a_callback_goes_straight_to_the_phone_when_the_media_server_fails(lent: Edge) -> None:
    lent.call(from_trunk(NUMBERS[0]))
    done = lent.call(from_trunk(NUMBERS[0]), "ksr_failure_callback")
    assert done.branches == ["sip:user1@example.org"]


def test_a_psaps_cancel_ends_the_callback(lent: Edge) -> None:
    lent.call(from_trunk(NUMBERS[0]))
    lent.kamailio.answers["tm.t_is_canceled"] = 1
    assert lent.call(from_trunk(NUMBERS[0]), "ksr_failure_callback").outcomes() == 0


def test_n1_without_the_store_a_callback_goes_to_the_holder_last_known(lent: Edge) -> None:
    lent.call(from_trunk("+12025559999", call_id=b"before"))
    lent.store_is_gone()
    assert went_to_the_media_server(lent.call(from_trunk(NUMBERS[0])))
    sent = lent.call(from_media_server(NUMBERS[0])).relayed[0]
    assert (sent.uri, sent.next_hop) == ("sip:user1@10.0.0.1", "sip:10.0.0.1:5060;transport=udp")


def test_a_hostile_contact_cannot_send_its_callback_elsewhere(edge: Edge) -> None:
    done = edge.call(invite(contact=b"sip:x@h|sip:203.0.113.9:5060|"))
    assert done.relayed
    edge.store_is_gone()
    told = repr(edge.call(from_media_server(NUMBERS[0])).relayed)
    assert "203.0.113.9" not in told.partition("next_hop=")[2]
    holder = edge.kamailio.tables["holders"][NUMBERS[0]].split("|")  # as the native fallback takes it apart
    assert "203.0.113.9" not in holder[1]


def test_n2_the_end_of_a_callback_is_seen_by_its_bye(lent: Edge) -> None:
    lent.call(from_trunk(NUMBERS[0]))
    route = [("Route", f"<sip:198.51.100.1;lr;hc={NUMBERS[0]}>".encode())]
    lent.clocks.passes(600)
    assert lent.call(from_trunk("x", method="BYE", to_tag=True, headers=route)).relayed
    assert lent.rows("select * from emergency_call") == []
    assert lent.rows("select last_end_at from lease")[0]["last_end_at"] == lent.clocks.now().wall_s


def test_a2_what_the_callers_phone_answers_names_nobody(lent: Edge) -> None:
    lent.kamailio.answers["tm.t_relay"] = [-1, 1]
    lent.call(from_trunk(NUMBERS[0]))
    named = [("P-Asserted-Identity", b"<sip:user1@example.org>"), ("Server", b"user1's phone")]
    answer = lent.call(invite(headers=named), "ksr_reply_media")
    removed = [arguments[0] for name, arguments in answer.calls if name == "hdr.remove"]
    added = "".join(arguments[0] for name, arguments in answer.calls if name == "hdr.append")
    assert {"P-Asserted-Identity", "Server", "Contact"} <= set(removed)
    assert f"<sip:{NUMBERS[0]}@" in added
    assert "user1" not in added
