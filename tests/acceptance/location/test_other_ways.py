"""L1: trunks that know the location by an id of their own, and trunks that are told nothing."""

from collections.abc import Iterator

import pytest

from acceptance.devices import Device, device_of
from acceptance.location.told import (
    MULTIPART,
    SAYS_WHERE,
    SDP,
    answered,
    assert_plain,
    example,
    on_the_wire,
    with_document,
)
from lab.carriers import Carriers
from lab.layout import ALICE, TRUNK_GROUP
from lab.sip_messages import SipMessage

#: What a phone says of its place in every way there is.
SAID = (
    f"{SAYS_WHERE}, <https://lis.example.net/loc/7f3a9c>\nGeolocation-Routing: yes\nX-Location-ID: said-by-the-phone\n"
    "Location-Ref: said-by-the-phone"
)


@pytest.fixture
def alice(world: Carriers) -> Iterator[Device]:
    with device_of(world.system, ALICE) as device:
        yield device


def call(alice: Device) -> SipMessage:
    """A call of a phone that says where it is, as the PSAP received it."""
    psap = alice.system.trunk_callee("uas_answers", {}).start()
    body = with_document(example("teams.xml"))
    answered(alice.sipp("call_with_body", "911", content_type=MULTIPART, headers=SAID, body=body))
    [invite] = psap.wait().received("INVITE")
    return invite


@pytest.mark.parametrize("method", ["none", "elin"])
def test_l1_a_trunk_that_wants_no_location_gets_none_not_even_the_phones(
    world: Carriers, alice: Device, method: str
) -> None:
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", method)
    invite = call(alice)
    assert_plain(invite, on_the_wire(SDP))
    assert b"lis.example.net" not in invite.raw
    assert b"Redmond" not in invite.raw


@pytest.mark.parametrize("header", ["X-Location-ID", "Location-Ref"])
def test_l1_a_provider_is_told_its_own_id_of_the_location_in_its_header(
    world: Carriers, alice: Device, header: str
) -> None:
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "provider-id", "--location-id-header", header)
    world.provisioned("user", "set", ALICE.name, "--location", "austin")
    invite = call(alice)
    assert invite.one(header) == "loc-4711"
    assert invite.body == on_the_wire(SDP)
    assert not invite.all("Geolocation")
    assert b"pidf" not in invite.raw.lower()


def test_l1_a_place_without_such_an_id_is_not_told_and_the_phones_word_for_it_is_not_believed(
    world: Carriers, alice: Device
) -> None:
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "provider-id")
    invite = call(alice)
    assert_plain(invite, on_the_wire(SDP))
