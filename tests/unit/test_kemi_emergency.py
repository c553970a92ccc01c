"""An emergency call as it leaves: who it is lent to, what it says of its caller, and where it is sent."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.core.headers import IDENTITY_HEADERS
from unit.kemi_edge import NUMBERS, TRUNK, Edge, from_trunk, invite
from unit.ksr_double import Ksr

OURS = "198.51.100.1:5060"
PRIVATE = [("X-Holdfast-Leg", b"deliver"), ("x-holdfast-callback-number", b"+1"), ("X-HOLDFAST-Language", b"en")]


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    return Edge(tmp_path, monkeypatch)


def number_shown(done: Ksr) -> str:
    """The callback number that left, which is the same wherever it stands."""
    sent = done.relayed[0]
    number = done.from_uri.removeprefix("sip:").partition("@")[0]
    assert sent.values("P-Asserted-Identity") == [f"<sip:{number}@{OURS}>"]
    assert [contact.partition("@")[0] for contact in sent.values("Contact")] == [f"<sip:{number}"]
    return number


def test_a1_a_call_for_help_goes_to_the_first_trunk_unchallenged(edge: Edge) -> None:
    done = edge.call(invite())
    assert (done.relayed[0].uri, done.relayed[0].next_hop) == (
        f"sip:911@{TRUNK}:5060",
        f"sip:{TRUNK}:5060;transport=udp",
    )
    assert not done.replies
    assert ("emergency_calls_total", "emergency", "with_lease") in done.counted


def test_a2_nothing_that_names_the_caller_leaves_with_a_call_for_help(edge: Edge) -> None:
    edge.registers(1)
    named = [(name, b'"User 1" <sip:user1@example.org>') for name in IDENTITY_HEADERS]
    done = edge.call(invite(headers=[*named, ("X-Real-Name", b"user1"), ("x-caller", b"user1"), *PRIVATE]))
    assert number_shown(done) == NUMBERS[0]
    sent = done.relayed[0]
    assert sent.values("Priority") == ["emergency"]
    assert sorted(name for name, _ in sent.headers) == ["Contact", "P-Asserted-Identity", "Priority"]
    assert "user1" not in repr(sent)


@pytest.mark.parametrize(
    "contact",
    [
        b"",
        b"*",
        b"sip:user1@[2001:db8::1]:5060;transport=tcp",
        b"tel:+12025551001",
        b'sip:user1@h";user1',
        b"sip:user1@h\r\nX-Evil: user1",
        b"sip:a@b@user1.c",
    ],
)
def test_a2_no_contact_names_the_caller(edge: Edge, contact: bytes) -> None:
    done = edge.call(invite(contact=contact))
    assert "user1" not in repr(done.relayed[0])


def test_a2_a_contact_that_is_not_utf_8_does_not_leave(edge: Edge) -> None:
    done = edge.call(invite(contact=b"sip:j\xf6rg.user1@10.0.0.1"))
    assert "user1" not in repr(done.relayed[0])
    assert number_shown(done) == NUMBERS[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"from_name": b"J\xf6rg"},
        {"from_name": b'"; drop\x00 table'},
        {"from_user": b"\xff\xfe"},
        {"from_user": b"911;phone-context=x"},
        {"to_user": b"\xff"},
        {"call_id": b"\xff\xfe@x"},
        {"digest_user": b"\xff"},
        {"headers": [("Subject", b"\xff")]},
        {"address": "2001:db8::1", "transport": "tcp"},
        {"uri": b"SIP:911;phone-context=+1@example.org"},
        {"uri": b"tel:911"},
    ],
    ids=str,
)
def test_a1_a_hostile_header_stops_no_call_for_help(edge: Edge, changes: dict[str, Any]) -> None:
    done = edge.call(invite(**changes))
    assert len(done.relayed) == 1
    assert not done.replies
    assert not done.routed
    assert number_shown(done) == NUMBERS[0]


@pytest.mark.parametrize(
    "uri", [b"sip:911@example.org;x=\xff", b"sip:911;isub=\xff@example.org", b"sip:911@example.org?x=\xff"]
)
def test_a1_the_rest_of_the_uri_may_be_any_bytes(edge: Edge, uri: bytes) -> None:
    done = edge.call(invite(uri=uri))
    assert done.relayed or done.routed
    assert not done.replies


def test_n3_two_callers_whose_call_ids_cannot_be_read_hold_two_numbers(edge: Edge) -> None:
    first = edge.call(invite(call_id=b"\xff1"))
    second = edge.call(invite(call_id=b"\xff2", address="10.0.0.2"))
    assert number_shown(first) != number_shown(second)


def test_n2_a_call_whose_call_id_cannot_be_read_ends_too(edge: Edge) -> None:
    edge.call(invite(call_id=b"\xff1"))
    edge.call(invite(call_id=b"\xff1"), "ksr_dialog_event", "dialog:end")
    assert edge.rows("select * from emergency_call") == []


def test_an_unverified_caller_cannot_get_anothers_number_by_its_name(edge: Edge) -> None:
    edge.registers(1)
    holder = number_shown(edge.call(invite()))
    impostor = invite(call_id=b"call-2", address="10.9.9.9", contact=b"sip:user1@10.9.9.9")
    assert number_shown(edge.call(impostor)) != holder
    keys = {row["caller_key"] for row in edge.rows("select caller_key from lease")}
    assert keys == {"subscriber:1", "contact:udp:10.9.9.9:5060"}


def test_a_telephone_with_two_lines_calls_as_the_line_it_says(edge: Edge) -> None:
    for user in ("user1", "user2"):
        edge.kamailio.tables["devices"][f"udp:10.0.0.1:5060|{user}"] = user
    edge.kamailio.tables["devices"]["udp:10.0.0.1:5060"] = "user2"
    edge.call(invite(call_id=b"1", from_user=b"user1"))
    edge.call(invite(call_id=b"2", from_user=b"user2"))
    edge.call(invite(call_id=b"3", from_user=b"user3"))  # who never registered there
    assert [
        row["subscriber_id"] for row in edge.rows("select subscriber_id from lease order by first_dial_at, rowid")
    ] == [1, 2]


def test_n3_two_extensions_of_a_pbx_that_withhold_their_numbers_hold_two(edge: Edge) -> None:
    first = from_trunk("911", call_id=b"1", from_user=b"anonymous", contact=b"sip:ext1@192.0.2.1")
    second = from_trunk("911", call_id=b"2", from_user=b"anonymous", contact=b"sip:ext2@192.0.2.1")
    assert number_shown(edge.call(first)) != number_shown(edge.call(second))


def test_a5_a_tenant_without_an_outbound_number_hears_why_not(edge: Edge) -> None:
    edge.registers(1)
    edge.change("update platform_number set outbound_enabled = 0")
    done = edge.call(invite())
    assert done.replies == [403]
    assert [row["kind"] for row in edge.rows("select kind from journal")] == ["refusal"]
    assert edge.rows("select * from lease") == []


def test_d2_the_callers_country_decides_what_is_an_emergency_number(edge: Edge) -> None:
    edge.change("update subscriber set country = 'GB' where id = 1")
    edge.registers(1)
    assert edge.call(invite("911")).replies == [407]
    assert edge.call(invite("999", call_id=b"2")).relayed[0].uri.startswith("sip:999@")
    assert edge.call(invite("933", call_id=b"3")).replies == [407]


def test_a_trunk_that_cannot_be_sent_to_is_passed_over(edge: Edge) -> None:
    edge.kamailio.answers["tm.t_relay"] = [-1, 1]
    done = edge.call(invite())
    assert done.relayed[0].next_hop == "sip:192.0.2.2:5060;transport=udp"


def test_when_no_trunk_takes_the_call_its_caller_hears_so_and_then_503_and_its_number_stays_lent(edge: Edge) -> None:
    edge.kamailio.answers["tm.t_relay"] = [-1, -1]
    done = edge.call(invite())
    assert [sent.uri for sent in done.relayed] == ["sip:unavailable@127.0.0.1:5080"]
    assert done.replies == []
    assert edge.call(invite(), "ksr_failure_unavailable").replies == [503]
    assert edge.rows("select * from emergency_call") == []
    assert len(edge.rows("select * from lease")) == 1


def test_when_there_is_nobody_to_say_so_either_it_ends_with_503_at_once(edge: Edge) -> None:
    edge.kamailio.answers["tm.t_relay"] = [-1, -1, -1]
    assert edge.call(invite()).replies == [503]
    assert edge.rows("select * from emergency_call") == []
    assert len(edge.rows("select * from lease")) == 1


@pytest.mark.parametrize("code", [400, 403, 404, 405, 408, 415, 480, 487, 488, 500, 503, 513])
def test_another_trunk_is_tried_after_a_trunks_failure(edge: Edge, code: int) -> None:
    edge.call(invite())
    edge.kamailio.answers["tm.t_get_status_code"] = code
    done = edge.call(invite(), "ksr_failure_trunk")
    assert done.relayed[0].uri == "sip:911@192.0.2.2:5060"
    last = edge.call(invite(), "ksr_failure_trunk")
    assert [sent.uri for sent in last.relayed] == ["sip:unavailable@127.0.0.1:5080"]


@pytest.mark.parametrize("code", [486, 600, 603, 604, 606])
def test_what_the_called_party_decided_is_not_asked_of_another_trunk(edge: Edge, code: int) -> None:
    edge.call(invite())
    edge.kamailio.answers["tm.t_get_status_code"] = code
    assert edge.call(invite(), "ksr_failure_trunk").outcomes() == 0


def test_no_trunk_is_tried_after_the_caller_hung_up(edge: Edge) -> None:
    edge.call(invite())
    edge.kamailio.answers["tm.t_is_canceled"] = 1
    assert edge.call(invite(), "ksr_failure_trunk").outcomes() == 0


def test_n1_without_the_store_the_call_goes_to_the_trunks_as_last_known(edge: Edge) -> None:
    edge.call(invite(call_id=b"before"))
    edge.store_is_gone()
    done = edge.call(invite())
    assert done.relayed[0].uri == f"sip:911@{TRUNK}:5060"
    assert ("alarms_total", "edge_store_unavailable") in done.counted


def test_n1_without_store_and_trunks_the_native_fallback_has_the_call(edge: Edge) -> None:
    edge.store_is_gone()
    assert edge.call(invite()).routed == ["EMERGENCY_FALLBACK"]


@pytest.mark.parametrize(("country", "sent"), [("US", "911"), ("GB", "112"), ("DK", "112")])
def test_n1_without_the_store_the_pools_last_known_say_which_countrys_number_it_is(
    edge: Edge, country: str, sent: str
) -> None:
    edge.change("update pool set country = ?", country)
    edge.call(invite(call_id=b"before"))
    edge.store_is_gone()
    assert edge.call(invite("112")).relayed[0].uri == f"sip:{sent}@{TRUNK}:5060"


def test_n3_an_empty_pool_lets_the_call_go_with_the_callers_own_number(edge: Edge) -> None:
    edge.registers(1)
    edge.change("delete from number_state")
    done = edge.call(invite(headers=[("Privacy", b"id")]))
    assert number_shown(done) == "+12025551001"
    assert done.relayed[0].values("Privacy") == []
    assert ("alarms_total", "pool_empty") in done.counted


def test_a7_933_goes_to_the_media_server_which_is_told_the_number_an_emergency_call_would_show(edge: Edge) -> None:
    edge.registers(1)
    done = edge.call(invite("933"))
    assert done.relayed[0].uri == "sip:readback@127.0.0.1:5080"
    edge.kamailio.answers |= {"$rd": "127.0.0.1", "$rp": "5080"}
    branch = edge.call(invite("933"), "ksr_branch_media_server")
    assert ("hdr.append", (f"X-Holdfast-Callback-Number: {NUMBERS[0]}\r\n",)) in branch.calls
    assert number_shown(edge.call(invite(call_id=b"911"))) == NUMBERS[0]


def test_only_the_media_server_is_told_private_things(edge: Edge) -> None:
    edge.call(invite("933"))
    edge.kamailio.answers |= {"$rd": "10.0.0.1", "$rp": "5060"}
    assert "hdr.append" not in edge.call(invite("933"), "ksr_branch_media_server").names()
