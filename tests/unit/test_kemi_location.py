"""What the routing code makes of a location: taken out before anything else, told to each trunk in its own way."""

import dataclasses
import json
from collections.abc import Sequence
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.core.model import CallKind
from holdfast.core.pidf_lo import PidfLo, parse
from holdfast.errors import EdgeStoreUnavailable
from unit.kemi_edge import NUMBERS, Edge, from_trunk, invite
from unit.kemi_scenes import CALLBACK_ROUTE, CREDENTIALS, ROUTE
from unit.ksr_double import Ksr
from unit.ksr_message import Message

DATA = Path(__file__).resolve().parents[1] / "data" / "pidf_lo" / "examples"
TEAMS = (DATA / "teams.xml").read_bytes().partition(b"-->")[2].lstrip()
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
LATIN_1 = SDP.replace(b"s=-", b"s=J\xf6rg")
MULTIPART = b'multipart/mixed;boundary="b"'
CID = ("Geolocation", b"<cid:where@phone.example.com>")
HALL = (
    "insert into location (id, tenant_id, name, country, validation, civic)"
    " values (1, 1, 'hall', 'US', 'validated', '{\"A1\": \"TX\"}')"
)


def multipart(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--b\r\nContent-Type: %s\r\n\r\n%s\r\n" % part for part in parts) + b"--b--\r\n"


def says(document: bytes = TEAMS, sdp: bytes = SDP, **changes: Any) -> Message:
    """An INVITE of user 1's phone that says where it is."""
    body = multipart((b"application/sdp", sdp), (b"application/pidf+xml", document))
    return invite(**{"content_type": MULTIPART, "body": body, "headers": [CID], **changes})


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge(tmp_path, monkeypatch)
    edge.registers(1)
    return edge


def by(edge: Edge, method: str) -> None:
    """The trunks are told the location in this way."""
    edge.change("update trunk_group set location_method = ?", method)


def branch(edge: Edge, message: Message, done: Ksr) -> Ksr:
    """The branch route of a call that was routed: its message is what routing left of it."""
    left = dataclasses.replace(message, content_type=done.content_type, body=done.body, headers=[])
    return edge.call(left, "ksr_branch_trunk")


def told(edge: Edge, message: Message) -> Ksr:
    return branch(edge, message, edge.call(message))


def parts(sent: Ksr) -> list[tuple[str, bytes]]:
    """The parts of the body that leaves: their types, and what they are."""
    content_type, body = sent.bodies[-1]
    whole = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=policy.HTTP)
    found = []
    for part in whole.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((part.get_content_type(), content))
    return found


def document(sent: Ksr) -> PidfLo:
    return parse(parts(sent)[-1][1])


def payloads(edge: Edge, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row["payload"]) for row in edge.rows(f"select payload from journal where kind = '{kind}'")]


# In the body --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sdp", [SDP, LATIN_1, SDP + b"a=x:\x00\r\n"])
def test_l1_the_phones_place_leaves_beside_its_offer_byte_for_byte(edge: Edge, sdp: bytes) -> None:
    by(edge, "value")
    sent = told(edge, says(sdp=sdp))
    assert [kind for kind, _ in parts(sent)] == ["application/sdp", "application/pidf+xml"]
    assert parts(sent)[0][1] == sdp
    assert document(sent).entity == f"sip:{NUMBERS[0]}@198.51.100.1:5060"
    assert dict(document(sent).places[0].civic)["LOC"] == "Building 31"
    [header] = sent.leaving("Geolocation")
    assert header.startswith("<cid:")
    assert sent.leaving("Geolocation-Routing") == ["yes"]
    assert sent.leaving("Content-Disposition") == []


def in_the_hall(edge: Edge) -> None:
    """User 1 has said where they are."""
    edge.change(HALL)
    edge.change("update subscriber set confirmed_location_id = 1 where id = 1")


def test_l1_a_plain_offer_that_is_not_utf_8_gets_its_location_too(edge: Edge) -> None:
    by(edge, "value")
    in_the_hall(edge)
    message = invite(content_type=b"application/sdp", body=LATIN_1)
    done = edge.call(message)
    assert done.bodies == []
    left = dataclasses.replace(message, headers=[("Content-Disposition", b"session"), ("Content-ID", b"<user1@x>")])
    sent = edge.call(left, "ksr_branch_trunk")
    assert parts(sent)[0] == ("application/sdp", LATIN_1)
    assert sent.leaving("Content-Disposition") == sent.leaving("Content-ID") == [], "they were the offer's"


def test_l1_what_counts_stands_first_and_what_the_phone_says_after_it(edge: Edge) -> None:
    by(edge, "value")
    in_the_hall(edge)
    assert [dict(place.civic).get("A1") for place in document(told(edge, says())).places] == ["TX", "WA"]


def test_a2_a_document_with_the_callers_own_number_leaves_without_it(edge: Edge) -> None:
    by(edge, "value")
    named = TEAMS.replace(b"Building 31", b"+1 (202) 555-1001").replace(b"Redmond", b"user1")
    places = document(told(edge, says(named))).places
    assert dict(places[0].civic)["A3"] == "user1", "a name may be a town's: losing that would cost more"
    assert "LOC" not in dict(places[0].civic)


def test_l1_a_body_that_is_compressed_gets_nothing_put_beside_it(edge: Edge) -> None:
    by(edge, "value")
    in_the_hall(edge)
    gzipped = invite(content_type=b"application/sdp", body=b"\x1f\x8b", headers=[("Content-Encoding", b"gzip")])
    done = edge.call(gzipped)
    assert len(done.relayed) == 1
    assert ("alarms_total", "location_not_told") in done.counted
    sent = branch(edge, gzipped, done)
    assert done.bodies == sent.bodies == []
    assert sent.leaving("Geolocation") == []


@pytest.mark.parametrize("method", ["none", "elin", "provider_id", "reference"])
def test_l1_a_trunk_that_takes_no_body_gets_the_offer_alone(edge: Edge, method: str) -> None:
    by(edge, method)
    edge.change("update trunk_group set location_id_header = 'Location-Ref'")
    kept = ("Geolocation", b"<https://lis.example.net/7f3a>")
    message = says(headers=[CID, kept, ("Location-Ref", b"mine")])
    done = edge.call(message)
    assert (done.content_type, done.body) == (b"application/sdp", SDP)
    assert done.leaving("Location-Ref") == []
    sent = branch(edge, message, done)
    assert sent.bodies == []
    assert not sent.leaving("Geolocation") or method == "reference"


def test_l1_a_call_without_an_offer_leaves_with_its_location_alone(edge: Edge) -> None:
    by(edge, "value")
    message = invite(content_type=b"application/pidf+xml", body=TEAMS, headers=[CID])
    done = edge.call(message)
    assert done.body == b""
    assert [kind for kind, _ in parts(branch(edge, message, done))] == ["application/pidf+xml"]


# By reference, by an id -----------------------------------------------------------------------------------------------


def test_l1_by_reference_the_document_goes_to_the_journal_before_the_call_leaves(edge: Edge) -> None:
    by(edge, "reference")
    sent = told(edge, says())
    [reference] = payloads(edge, "location_reference")
    [header] = sent.leaving("Geolocation")
    assert header.startswith(f"<https://lis.example.org/location/{reference['token']}>")
    assert parse(reference["document"].encode()).entity.startswith(f"sip:{NUMBERS[0]}@")
    assert reference["expires_at"] == edge.clocks.now().wall_s + 86_400
    assert "fred@contoso.com" not in reference["document"]


def test_l1_without_a_base_url_nothing_is_told_by_reference_and_somebody_hears_of_it(edge: Edge) -> None:
    by(edge, "reference")
    edge.kamailio.defines["LOCATION_BASE_URL"] = ""
    message = says()
    done = edge.call(message)
    assert ("alarms_total", "location_not_told") in done.counted
    assert branch(edge, message, done).leaving("Geolocation") == []
    assert payloads(edge, "location_reference") == []


def test_n1_where_the_reference_cannot_be_written_the_call_goes_without(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    by(edge, "reference")

    def full(*_: object) -> None:
        raise EdgeStoreUnavailable("disk full")

    monkeypatch.setattr("holdfast.edge.store.EdgeStore.note", full)
    message = says()
    done = edge.call(message)
    assert len(done.relayed) == 1
    assert branch(edge, message, done).leaving("Geolocation") == []


@pytest.mark.parametrize(
    "reference",
    [
        "<https://lis.example.net/loc/user1>", "<sip:User1@example.org>", "<pres:user1@example.org>",
        "<https://lis.example.net/+1-202-555-1001>", '<https://lis.example.net/7f3a>;of="user1"',
    ],
)  # fmt: skip
def test_a2_references_that_name_the_caller_do_not_leave(edge: Edge, reference: str) -> None:
    by(edge, "value")
    kept = "<https://lis.example.net/loc/user10>"
    sent = told(edge, says(headers=[("Geolocation", f"{reference}, {kept}".encode())]))
    [header] = sent.leaving("Geolocation")
    assert [uri.partition(">")[0] for uri in header.split("<")[1:]][:-1] == [kept.strip("<>")]


def test_a2_what_an_unverified_caller_calls_itself_does_not_leave_in_a_reference_either(edge: Edge) -> None:
    by(edge, "value")
    headers = [("Geolocation", b"<https://lis.example.net/loc/alice>, <https://lis.example.net/loc/5551234567>")]
    sent = told(edge, says(address="10.9.9.9", from_user=b"+15551234567", asserted_user=b"alice", headers=headers))
    [header] = sent.leaving("Geolocation")
    assert header.startswith("<cid:")


# What is hostile ------------------------------------------------------------------------------------------------------

HOSTILE = {
    "no XML": multipart((b"application/sdp", SDP), (b"application/pidf+xml", b"user1")),
    "no UTF-8": multipart((b"application/sdp", SDP), (b"application/pidf+xml", TEAMS.replace(b"Redmond", b"J\xf6rg"))),
    "no end": multipart((b"application/sdp", SDP), (b"application/pidf+xml", TEAMS))[:-9],
    "a part's header in Latin-1": multipart((b"application/sdp", SDP), (b"application/pidf+xml\r\nX: J\xf6rg", TEAMS)),
    "a zero byte": multipart((b"application/sdp", SDP), (b"application/pidf+xml", b"\x00" + TEAMS)),
    "seventy thousand octets": multipart((b"application/pidf+xml", TEAMS * 60), (b"application/sdp", SDP)),
}


@pytest.mark.parametrize("method", ["value", "reference", "provider_id", "elin", "none"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a8_a_location_that_nobody_can_read_costs_the_call_nothing(edge: Edge, name: str, method: str) -> None:
    by(edge, method)
    message = says(body=HOSTILE[name])
    done = edge.call(message)
    assert (len(done.relayed), done.replies, done.routed) == (1, [], [])
    assert (done.content_type, done.body) == (b"application/sdp", SDP)
    sent = branch(edge, message, done)
    assert sent.bodies == []
    assert sent.leaving("Geolocation") == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([MULTIPART, b"multipart/mixed", b"application/pidf+xml", b"", b"\xff"]), st.binary(max_size=300))
def test_a1_no_body_stops_a_call_or_leaves_as_it_came(edge: Edge, content_type: bytes, body: bytes) -> None:
    edge.reset()
    by(edge, "value")
    done = edge.call(says(content_type=content_type, body=b"<presence>" + body))
    assert (len(done.relayed), done.replies, done.routed) == (1, [], [])
    assert b"<presence>" not in done.body


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=3))
def test_a1_no_geolocation_stops_a_call(edge: Edge, values: Sequence[bytes]) -> None:
    edge.reset()
    by(edge, "value")
    message = says(headers=[("Geolocation", value.replace(b"\r", b"").replace(b"\n", b"")) for value in values])
    done = edge.call(message)
    assert len(done.relayed) == 1
    assert done.leaving("Geolocation") == []
    assert len(branch(edge, message, done).leaving("Geolocation")) == 1


# Beside the emergency call --------------------------------------------------------------------------------------------


def test_an_ordinary_calls_body_is_left_alone(edge: Edge) -> None:
    edge.registers(2)
    edge.kamailio.answers |= CREDENTIALS
    done = edge.call(says(uri=b"sip:user2@example.org", digest_user=b"user1"))
    assert len(done.relayed) == 1
    assert done.bodies == []
    assert done.leaving("Geolocation") == [CID[1].decode()]


def test_a7_the_media_server_gets_the_offer_alone(edge: Edge) -> None:
    done = edge.call(says(uri=b"sip:933@example.org", to_user=b"933"))
    assert done.relayed[0].uri == "sip:readback@127.0.0.1:5080"
    assert done.body == SDP


def test_a_call_that_no_trunk_is_there_for_is_told_so_with_the_offer_alone(edge: Edge) -> None:
    edge.change("delete from trunk")
    done = edge.call(says())
    assert done.relayed[0].uri == "sip:unavailable@127.0.0.1:5080"
    assert done.body == SDP


def test_n1_without_the_store_the_phones_place_still_leaves_in_a_document_of_ours(edge: Edge) -> None:
    by(edge, "value")
    edge.call(invite(call_id=b"before"))
    edge.store_is_gone()
    message = says()
    done = edge.call(message)
    assert ("emergency_calls_total", "emergency", "without_store") in done.counted
    assert done.body == SDP
    sent = document(branch(edge, message, done))
    assert sent.entity == "sip:anonymous@anonymous.invalid"
    assert dict(sent.places[0].civic)["A3"] == "Redmond"


@pytest.mark.parametrize(
    ("method", "content_type", "body", "leaves"),
    [
        ("INVITE", MULTIPART, multipart((b"application/sdp", SDP), (b"application/pidf+xml", TEAMS)), SDP),
        ("UPDATE", MULTIPART, multipart((b"application/pidf+xml", TEAMS)), b""),
        ("MESSAGE", b"application/pidf+xml", TEAMS, b""),
        ("INFO", b"", TEAMS, b""),
        ("INVITE", b"application/sdp", SDP, SDP),
        ("INFO", b"application/dtmf-relay", b"Signal=1\r\n", b"Signal=1\r\n"),
    ],
)
def test_a2_a_later_request_of_the_caller_leaves_without_its_location(
    edge: Edge, method: str, content_type: bytes, body: bytes, leaves: bytes
) -> None:
    edge.call(invite())
    later = invite(method=method, to_tag=True, headers=[ROUTE, CID], content_type=content_type, body=body)
    done = edge.call(later)
    assert len(done.relayed) == 1
    assert done.body == leaves
    assert done.leaving("Geolocation") == []


def test_a2_so_does_what_the_caller_sends_within_a_callback(edge: Edge) -> None:
    edge.lends(1)
    edge.call(from_trunk(NUMBERS[0]))
    edge.kamailio.answers["rr.is_direction"] = -1
    later = says(method="UPDATE", to_tag=True, headers=[CALLBACK_ROUTE, CID])
    assert edge.call(later).body == SDP


def test_what_the_psap_sends_within_the_call_is_left_alone(edge: Edge) -> None:
    edge.call(invite())
    edge.kamailio.answers["rr.is_direction"] = -1
    later = from_trunk("911", method="INFO", to_tag=True, headers=[ROUTE], content_type=MULTIPART, body=multipart())
    assert edge.call(later).bodies == []


def test_l7_a_locations_own_number_is_lent_before_any_other_even_a_shared_one(edge: Edge) -> None:
    edge.change(HALL)
    by(edge, "elin")
    edge.change(
        "insert into pool (id, name, trunk_group_id, country, tenant_id, location_id, window_s, rest_s, target_idle)"
        " values (2, 'elin', 1, 'US', 1, 1, 3600, 600, 1)"
    )
    edge.change("insert into pool_number (number, pool_id, shared) values ('+12025550170', 2, 1)")
    elsewhere = edge.call(invite(call_id=b"elsewhere"))
    assert NUMBERS[0] in elsewhere.from_uri
    edge.change("update subscriber set confirmed_location_id = 1")
    for user in (1, 2):
        edge.registers(user)
        there = edge.call(
            invite(call_id=f"there-{user}".encode(), address=f"10.0.0.{user}", from_user=b"user%d" % user)
        )
        assert "+12025550170" in there.from_uri
    assert {row["kind"] for row in edge.rows("select kind from emergency_call")} == {CallKind.EMERGENCY.value}
