"""L1: the location in the body of the INVITE, beside the offer."""

import pytest

from acceptance.devices import Device, device_of
from acceptance.location.told import (
    LYNC,
    NOTIFICATION,
    SDP,
    answered,
    assert_plain,
    located,
    on_the_wire,
)
from lab.carriers import POLICY, SCREENING, Carriers
from lab.layout import ALICE, POOL_NUMBERS, TENANT, TRUNK_GROUP
from lab.sip_messages import SipMessage

#: Bytes that are no UTF-8: "Jörg" in Latin-1, as surrogates that stand for them.
LATIN_1 = SDP.replace("s=-", "s=J\udcf6rg")


@pytest.fixture
def by_value(world: Carriers) -> Carriers:
    """The PSAP's trunks take the location in the body, and alice's number is registered at 1100 Congress Avenue."""
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "value")
    world.provisioned("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on")
    return world


def call(alice: Device, sdp: str = SDP) -> SipMessage:
    """A call with this offer, as the PSAP received it."""
    psap = alice.system.trunk_callee("uas_answers", {}).start()
    answered(alice.sipp("call_with_body", "911", content_type="application/sdp", body=sdp.rstrip("\n")))
    [invite] = psap.wait().received("INVITE")
    return invite


def test_l1_the_invite_carries_a_valid_document_beside_the_unchanged_offer(by_value: Carriers) -> None:
    with device_of(by_value.system, ALICE) as alice:
        invite = call(alice)
    where = located(invite)
    assert where.sdp == on_the_wire(SDP)
    shown = invite.address("From").user
    assert shown in POOL_NUMBERS
    assert where.entity.partition("@")[0] == f"sip:{shown}"
    assert {name: where.texts(name) for name in ("country", "A1", "A3", "RD", "STS", "HNO", "PC")} == {
        "country": ["US"], "A1": ["TX"], "A3": ["Austin"], "RD": ["Congress"], "STS": ["Avenue"], "HNO": ["1100"],
        "PC": ["78701"],
    }  # fmt: skip
    assert ALICE.name.encode() not in invite.raw.lower()
    assert ALICE.number[-10:].encode() not in invite.raw


def test_l1_the_policys_notification_and_conference_go_with_it(by_value: Carriers) -> None:
    by_value.provisioned(
        "policy", "set", POLICY, "--tenant", TENANT, "--notification-uri", "sip:security@acme.example.com",
        "--conference-uri", "sip:+12025550188@acme.example.com;user=phone", "--conference-mode", "twoway",
    )  # fmt: skip
    by_value.provisioned("tenant", "set", TENANT, "--policy", POLICY)
    with device_of(by_value.system, ALICE) as alice:
        where = located(call(alice))
    assert where.texts("NotificationUri", NOTIFICATION) == ["sip:security@acme.example.com"]
    assert where.texts("ConferenceUri", LYNC) == ["sip:+12025550188@acme.example.com;user=phone"]
    assert where.texts("ConferenceMode", LYNC) == ["twoway"]


def test_l1_an_offer_that_is_not_utf_8_leaves_byte_for_byte(by_value: Carriers) -> None:
    with device_of(by_value.system, ALICE) as alice:
        assert located(call(alice, LATIN_1)).sdp == on_the_wire(LATIN_1)


def test_l1_each_trunk_is_told_in_its_own_way(by_value: Carriers) -> None:
    """The PSAP's trunk gets the document, and refuses; the screening centre, which wants none, gets the offer alone."""
    system = by_value.system
    psaps = [system.trunk_callee("uas_refuses", {"code": "503"}, trunk=trunk).start() for trunk in (0, 1)]
    screening = by_value.answers(SCREENING)
    with device_of(system, ALICE) as alice:
        answered(alice.sipp("call_with_body", "911", content_type="application/sdp", body=SDP.rstrip("\n")))
    for psap in psaps:
        [invite] = psap.wait().received("INVITE")
        assert located(invite).sdp == on_the_wire(SDP)
    [invite] = screening.wait().received("INVITE")
    assert_plain(invite, on_the_wire(SDP))


def test_a8_without_a_usable_location_there_is_nothing_to_tell(world: Carriers) -> None:
    world.provisioned("trunk-group", "set", SCREENING, "--location", "value")
    screening = world.answers(SCREENING)
    with device_of(world.system, ALICE) as alice:
        alice.calls("911")
    [invite] = screening.wait().received("INVITE")
    assert_plain(invite)
