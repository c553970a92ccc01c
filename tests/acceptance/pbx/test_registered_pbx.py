"""A tenant's PBX that registers with digest, as a user of its own: it calls for many people and is called by number."""

from collections.abc import Iterator

import pytest

from acceptance.pbx.steps import Pbx, call_back, called_back, shown_to
from lab.carriers import BEHIND_PBX, CAROL, OUTSIDE, Carriers
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, POOL_NUMBERS
from lab.sip_peer import SipPeer


@pytest.fixture
def pbx(world: Carriers) -> Iterator[Pbx]:
    """Bob's account is that of the PBX, and it has registered."""
    world.provisioned("user", "set", BOB.name, "--pbx", "on")
    peer = world.system.peer(DEVICE_ADDRESS)
    register(world, peer)
    yield Pbx(world, peer)
    register(world, peer, expires=0)


def register(world: Carriers, peer: SipPeer, expires: int = 600) -> None:
    link = world.system.kamailio_link(peer)
    peer.register(link, BOB.name, DOMAIN, BOB.password, expires=expires)


def test_a_call_for_help_from_where_it_registered_is_not_challenged(pbx: Pbx, centre: SipPeer) -> None:
    call = pbx.help(BEHIND_PBX)
    assert not [answer for answer in call.messages if answer.status in (401, 407)]
    [invite] = centre.requests("INVITE")
    assert invite.address("From").user in POOL_NUMBERS
    assert BEHIND_PBX.encode() not in invite.raw


@pytest.mark.parametrize("media_server", [True, False])
def test_a4_the_callback_rings_its_contact_by_the_callers_own_number(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer, media_server: bool
) -> None:
    number = pbx.emergency_call(centre, BEHIND_PBX)
    if not media_server:
        world.system.media.kill()
    invite = called_back(world, psap, number, pbx.peer)
    assert invite.request_uri.startswith(f"sip:{BEHIND_PBX}@{pbx.peer.address}:{pbx.peer.port}")
    assert invite.one("Priority") == "psap-callback"


def test_a4_every_place_that_it_registered_from_is_called_by_the_number(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    """After a restart it may be at another address, and the old registration is still there."""
    number = pbx.emergency_call(centre, BEHIND_PBX)
    moved = world.system.peer(DEVICE_ADDRESS)
    register(world, moved)
    pbx.peer.takes_calls = moved.takes_calls = 180
    call_back(world, psap, number)
    for peer in (pbx.peer, moved):
        invite = peer.called().invite
        assert invite is not None
        assert invite.request_uri.startswith(f"sip:{BEHIND_PBX}@")
    register(world, moved, expires=0)


def test_n3_people_behind_it_hold_numbers_of_their_own_and_those_without_a_number_one_for_each_call(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    known = [pbx.emergency_call(centre, caller) for caller in (BEHIND_PBX, ALICE.number, BEHIND_PBX)]
    assert known[0] == known[2] != known[1]
    unknown = [pbx.emergency_call(centre), pbx.emergency_call(centre)]
    assert len({*known, *unknown}) == 4
    assert called_back(world, psap, unknown[0], pbx.peer).request_uri.startswith("sip:peer@")


def test_n9_a_number_that_is_not_its_tenants_gets_no_lease_of_anybody_elses(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    carol = world.system.phone(CAROL)
    carol.dial("911")
    carol.established()
    hers = shown_to(centre)
    number = pbx.emergency_call(centre, CAROL.number)
    assert number != hers
    assert called_back(world, psap, number, pbx.peer)
    assert not carol.received("INVITE")


def test_its_credentials_identify_it_wherever_it_calls_from(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    elsewhere = Pbx(world, world.system.peer("127.0.0.15"))
    challenged = elsewhere.dial("2025550177", BEHIND_PBX)
    assert challenged.answer().status == 407
    number = elsewhere.emergency_call(centre, BEHIND_PBX, challenged.credentials(BOB.name, BOB.password))
    assert called_back(world, psap, number, pbx.peer).request_uri.startswith(f"sip:{BEHIND_PBX}@")
    assert not centre.requests("INVITE")[-1].all("Proxy-Authorization")
    wrong = elsewhere.emergency_call(centre, BEHIND_PBX, challenged.credentials(BOB.name, "wrong"))
    assert wrong != number, "whoever it is, they are served, and called back where they called from"
    assert called_back(world, psap, wrong, elsewhere.peer)


def test_d1_without_permission_it_is_refused(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    world.provisioned("user", "set", BOB.name, "--outbound", "off")
    assert pbx.dial("911", BEHIND_PBX).answer().status == 403
    assert not centre.requests("INVITE")


def test_ordinary_calls_out_are_challenged_and_show_the_callers_number(world: Carriers, pbx: Pbx) -> None:
    outside = world.peer(OUTSIDE)
    for caller, shown in ((BEHIND_PBX, BEHIND_PBX), ("anonymous", BOB.number), (CAROL.number, BOB.number)):
        call = pbx.dial("2025550177", caller)
        assert call.answer().status == 407
        again = pbx.dial("2025550177", caller, call.credentials(BOB.name, BOB.password))
        assert again.answer().status == 200
        assert outside.requests("INVITE")[-1].address("P-Asserted-Identity").user == shown


def test_it_is_called_by_the_numbers_of_its_tenant(world: Carriers, pbx: Pbx) -> None:
    alice = world.system.phone(ALICE)
    for number in (BEHIND_PBX, BOB.number):
        alice.dial(number)
        alice.established()
        assert pbx.peer.requests("INVITE")[-1].request_uri.startswith(f"sip:{number}@{pbx.peer.address}:")
        alice.hangup()
        alice.closed()
