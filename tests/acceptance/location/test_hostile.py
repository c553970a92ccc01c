"""A location that is hostile, or that nobody can read, costs a call nothing: it goes through, screened, with its offer.

And nothing of it leaves: not in this call, not in its later requests, not to the media server.
"""

from collections.abc import Iterator

import pytest

from acceptance.devices import Device, device_of
from acceptance.location.told import (
    BOUNDARY,
    MULTIPART,
    SAYS_WHERE,
    SDP,
    answered,
    assert_plain,
    example,
    on_the_wire,
    parts_of,
    valid,
    with_document,
)
from lab.carriers import SCREENING, Carriers
from lab.layout import ALICE, TRUNK_GROUP

TEAMS = example("teams.xml")
OFFER = f"--{BOUNDARY}\nContent-Type: application/sdp\n\n{SDP}\n"
END = f"--{BOUNDARY}--"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:x@y">&b;</presence>'
)
FILE = '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY f SYSTEM "file:///etc/passwd">]><presence>&f;</presence>'

#: SIPp takes a bracket for the begin of one of its keywords.
_BRACKET = "\\x5b"
#: What the body is, by the name of the test: its type, and itself.
BODIES = {
    "no XML": (MULTIPART, with_document("somewhere near alice")),
    "XML that does not end": (MULTIPART, with_document(TEAMS[:500])),
    "an entity that expands": (MULTIPART, with_document(BOMB.replace("[", _BRACKET))),
    "an entity that reads a file": (MULTIPART, with_document(FILE.replace("[", _BRACKET))),
    "a depth of a thousand": (MULTIPART, with_document("<a>" * 1_000 + "</a>" * 1_000)),
    "twenty thousand octets": (MULTIPART, with_document(TEAMS.replace("Building 31", "x" * 20_000))),
    "bytes that are no UTF-8": (MULTIPART, with_document(TEAMS.replace("Redmond", "J\udcf6rg"))),
    "nowhere on earth": (MULTIPART, with_document(TEAMS.replace("47.6429", "4764").replace("civicAddress", "x"))),
    "no end": (MULTIPART, f"{OFFER}--{BOUNDARY}\nContent-Type: application/pidf+xml\n\n{TEAMS}"),
    "no boundary": ("multipart/mixed", with_document(TEAMS)),
    "a boundary that is no UTF-8": ('multipart/mixed;boundary="\udcff\udcfe"', with_document(TEAMS)),
    "another boundary": ('multipart/mixed;boundary="elsewhere"', with_document(TEAMS)),
    "seventeen parts": (MULTIPART, OFFER + f"--{BOUNDARY}\nContent-Type: application/pidf+xml\n\nalice\n" * 16 + END),
    "a header that is none": (MULTIPART, OFFER + f"--{BOUNDARY}\nContent Type application/pidf+xml\n\n{TEAMS}\n{END}"),
    "base64 that is none": (
        MULTIPART,
        OFFER + f"--{BOUNDARY}\nContent-Type: application/pidf+xml\nContent-Transfer-Encoding: base64\n\n!?\n{END}",
    ),
    "a type of nobody's": ("application/x-alice", with_document(TEAMS)),
}  # fmt: skip


@pytest.fixture
def by_value(world: Carriers) -> Carriers:
    """Everybody who takes calls takes the location in the body."""
    for group in (TRUNK_GROUP, SCREENING):
        world.provisioned("trunk-group", "set", group, "--location", "value")
    return world


@pytest.fixture
def alice(by_value: Carriers) -> Iterator[Device]:
    with device_of(by_value.system, ALICE) as device:
        yield device


@pytest.mark.parametrize("name", BODIES)
def test_a8_the_call_is_screened_and_its_offer_arrives(by_value: Carriers, alice: Device, name: str) -> None:
    content_type, body = BODIES[name]
    screening = by_value.answers(SCREENING)
    answered(alice.sipp("call_with_body", "911", content_type=content_type, headers=SAYS_WHERE, body=body))
    [invite] = screening.wait().received("INVITE")
    assert_plain(invite, on_the_wire(SDP))
    assert b"alice" not in invite.raw.lower()


@pytest.mark.parametrize(
    "header",
    [
        "Geolocation: <cid:where@phone.example.com",
        "Geolocation: <javascript:alice>",
        "Geolocation: \udcff\udcfe",
        "Geolocation: " + ", ".join(f"<https://lis.example.net/alice/{number}>" for number in range(20)),
        f"Geolocation: <https://lis.example.net/{'a' * 3_000}>",
        "Geolocation : <https://lis.example.net/alice>",
        "Geolocation-Error: 100 ;code=\"alice\"",
        "X-Location-ID: alice",
        "P-K-CSeq-Auth: 4000000",
        "p-k-cseq-refresh : 4000000",
    ],
)  # fmt: skip
def test_a_hostile_header_costs_the_call_nothing(by_value: Carriers, alice: Device, header: str) -> None:
    screening = by_value.answers(SCREENING)
    answered(alice.sipp("call", "911", headers=header))
    [invite] = screening.wait().received("INVITE")
    assert_plain(invite)
    assert not invite.all("Geolocation-Error")
    assert invite.one("CSeq") == "1 INVITE"
    assert b"4000000" not in invite.raw
    assert b"alice" not in invite.raw.lower()


def test_l1_a_call_that_offers_nothing_leaves_with_its_location_alone(by_value: Carriers, alice: Device) -> None:
    psap = by_value.system.trunk_callee("uas_answers", {}).start()
    answered(
        alice.sipp(
            "call_with_body", "911", content_type=MULTIPART, headers=SAYS_WHERE, body=with_document(TEAMS, sdp="")
        )
    )
    [invite] = psap.wait().received("INVITE")
    [where] = parts_of(invite)
    assert where.content_type == "application/pidf+xml"
    assert valid(where.body).get("entity").startswith(f"sip:{invite.address('From').user}@")


def test_a2_a_location_in_a_later_request_of_the_call_does_not_leave(by_value: Carriers, alice: Device) -> None:
    psap = by_value.system.trunk_callee("uas_is_updated", {}).start()
    answered(alice.sipp("call_updated", "911", content_type=MULTIPART, headers=SAYS_WHERE, body=with_document(TEAMS)))
    first, again = psap.wait().received("INVITE")
    assert first.one("Content-Type").startswith("multipart/mixed")
    assert_plain(again, on_the_wire(SDP))
    assert b"fred@contoso" not in again.raw


def test_a7_933_with_a_location_in_the_body_is_played_all_the_same(by_value: Carriers, alice: Device) -> None:
    mark = by_value.system.collector.mark()
    answered(alice.sipp("call_with_body", "933", content_type=MULTIPART, headers=SAYS_WHERE, body=with_document(TEAMS)))
    media = by_value.system.media_endpoint
    passed = [item.message() for item in by_value.system.collector.messages(mark) if item.target == media]
    invites = [message for message in passed if message and message.is_request and message.method == "INVITE"]
    assert invites
    for invite in invites:
        assert_plain(invite, on_the_wire(SDP))
