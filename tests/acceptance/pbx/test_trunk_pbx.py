"""A tenant's PBX on a trunk, known by its address: it calls for many people and gets their callbacks back."""

import pytest

from acceptance.pbx.steps import Pbx, call_back, called_back, shown_to
from lab.carriers import BEHIND_PBX, CAROL, OUTSIDE, PBX, Carriers
from lab.layout import ALICE, BOB, DOMAIN, POOL_NUMBERS, TENANT
from lab.sip_peer import SipPeer

ASSERTED = f'P-Asserted-Identity: "Extension 7" <sip:{BEHIND_PBX}@pbx.invalid>'


@pytest.mark.parametrize(("caller", "headers"), [(BEHIND_PBX, ""), ("7", ASSERTED), ("anonymous", ASSERTED)])
def test_a2_a_call_for_help_shows_a_callback_number_and_nothing_of_its_caller(
    pbx: Pbx, centre: SipPeer, caller: str, headers: str
) -> None:
    call = pbx.help(caller, f"{headers}\r\nPrivacy: id\r\nX-Extension: 7".strip())
    [invite] = centre.requests("INVITE")
    assert invite.address("From").user in POOL_NUMBERS
    assert BEHIND_PBX.encode() not in invite.raw
    assert b"Extension" not in invite.raw
    assert not [answer for answer in call.messages if answer.status in (401, 407)]


@pytest.mark.parametrize("media_server", [True, False])
def test_a4_the_callback_goes_to_the_pbx_by_the_callers_own_number(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer, media_server: bool
) -> None:
    number = pbx.emergency_call(centre, BEHIND_PBX)
    if not media_server:
        world.system.media.kill()
    invite = called_back(world, psap, number, pbx.peer)
    place = world.places[PBX]
    assert invite.request_uri == f"sip:{BEHIND_PBX}@{place.address}:{place.port}"
    assert invite.one("Priority") == "psap-callback"


def test_n3_two_people_behind_one_pbx_hold_two_numbers(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    first, second = pbx.emergency_call(centre, BEHIND_PBX), pbx.emergency_call(centre, BOB.number)
    assert first != second
    assert pbx.emergency_call(centre, BEHIND_PBX) == first, "and the same person the same one again"
    assert called_back(world, psap, first, pbx.peer).request_uri.startswith(f"sip:{BEHIND_PBX}@")
    assert called_back(world, psap, second, pbx.peer).request_uri.startswith(f"sip:{BOB.number}@")


def test_n3_a_pbx_that_withholds_the_number_gets_a_number_for_every_call(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer
) -> None:
    first, second = pbx.emergency_call(centre), pbx.emergency_call(centre)
    assert first != second
    assert called_back(world, psap, first, pbx.peer).request_uri == pbx.peer.contact.strip("<>")


@pytest.mark.parametrize("header", ["From", "P-Asserted-Identity"])
def test_n9_a_number_of_another_tenants_gets_nobodys_lease_but_the_pbxs_own(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer, header: str
) -> None:
    carol = world.system.phone(CAROL)
    carol.dial("911")
    carol.established()
    hers = shown_to(centre)
    claim = f"P-Asserted-Identity: <sip:{CAROL.number}@{DOMAIN}>" if header != "From" else ""
    number = pbx.emergency_call(centre, "anonymous" if claim else CAROL.number, claim)
    assert number != hers
    called_back(world, psap, number, pbx.peer)
    assert not carol.received("INVITE")
    leases = {lease["number"]: lease for lease in world.system.leases()}
    assert leases[number]["tenant_id"] != leases[hers]["tenant_id"]
    assert leases[number]["subscriber_id"] is None


def test_n9_a_call_from_the_pbx_to_a_callback_number_is_no_callback(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    alice = world.system.phone(ALICE)
    alice.dial("911")
    alice.established()
    live = shown_to(centre)
    idle = next(number for number in world.system.idle_numbers() if number in POOL_NUMBERS)
    answers = [pbx.dial(number, BEHIND_PBX, "Priority: psap-callback").answer() for number in (live, idle)]
    assert [answer.start_line for answer in answers] == ["SIP/2.0 404 Not Found"] * 2
    assert not alice.received("INVITE")


def test_a5_a_tenant_without_an_outbound_number_is_refused(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    for number in (ALICE.number, BOB.number, BEHIND_PBX):
        world.system.holdfast.run("number", "set", number, "--outbound", "off")
    world.system.wait_synced()
    answer = pbx.dial("911", BEHIND_PBX).answer()
    assert answer.status == 403
    assert "owns no number enabled for outbound calls" in answer.one("Warning")
    assert not centre.requests("INVITE")


def test_d1_a_users_own_profile_counts_behind_the_pbx_too(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    """Bob has no telephone here; his number says who calls."""
    world.provisioned("user", "set", BOB.name, "--outbound", "off")
    answer = pbx.dial("911", BOB.number).answer()
    assert answer.status == 403
    assert "profile permits no outbound calls" in answer.one("Warning")
    assert pbx.help(BEHIND_PBX)
    assert len(centre.requests("INVITE")) == 1


def test_a9_a_pbxs_calls_count_towards_its_tenants_limit(world: Carriers, pbx: Pbx, centre: SipPeer) -> None:
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "2")
    first, _ = pbx.help(BEHIND_PBX), pbx.help()
    assert pbx.dial("911", BOB.number).answer().status == 503
    first.hang_up()
    assert pbx.help(BOB.number)
    assert len(centre.requests("INVITE")) == 3


def test_c2_the_registered_address_of_the_number_behind_the_pbx_leads_to_its_psap(
    world: Carriers, pbx: Pbx, psap: SipPeer
) -> None:
    world.provisioned("number", "set", BEHIND_PBX, "--location", "austin", "--enhanced", "on")
    pbx.help(BEHIND_PBX)
    assert shown_to(psap) in POOL_NUMBERS


@pytest.mark.parametrize("fault", ["gone", "503"])
def test_the_callback_goes_to_the_pbxs_other_element_when_one_fails(
    world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer, fault: str
) -> None:
    other = world.system.peer("127.0.0.27")
    where = ("--host", other.address, "--port", str(other.port), "--source", other.address, "--priority", "2")
    world.provisioned("trunk", "create", "pbx-2", "--group", PBX, *where)
    number = pbx.emergency_call(centre, BEHIND_PBX)
    assert Pbx(world, other).emergency_call(centre, BEHIND_PBX) == number, "it is one PBX, and one person"
    assert called_back(world, psap, number, other)
    if fault == "gone":
        pbx.peer.close()
    pbx.peer.takes_calls = 503
    invite = called_back(world, psap, number, other)
    assert invite.request_uri == f"sip:{BEHIND_PBX}@{other.address}:{other.port}"


# Ordinary calls


def test_people_behind_the_pbx_and_users_call_each_other(world: Carriers, pbx: Pbx) -> None:
    alice = world.system.phone(ALICE)
    for target in (ALICE.number, "2025550101", ALICE.name):
        call = pbx.dial(target, BEHIND_PBX)
        alice.ringing()
        alice.answer()
        assert call.answer().status == 200
        call.hang_up()
        alice.closed()
    alice.dial("2025550103")
    alice.established()
    [invite] = pbx.peer.requests("INVITE")
    assert invite.request_uri.startswith(f"sip:{BEHIND_PBX}@{pbx.peer.address}:")


def test_a_user_whose_telephone_is_behind_the_pbx_is_called_there(world: Carriers, pbx: Pbx) -> None:
    alice = world.system.phone(ALICE)
    alice.dial(BOB.number)
    alice.established()
    assert pbx.peer.requests("INVITE")[0].request_uri.startswith(f"sip:{BOB.number}@")
    world.provisioned("user", "set", BOB.name, "--dnd", "on")
    alice.hangup()
    alice.closed()
    alice.dial(BOB.number)
    assert alice.closed().detail.startswith("486")


def test_a_call_out_shows_the_number_if_it_is_the_tenants_and_may_call_out(world: Carriers, pbx: Pbx) -> None:
    outside = world.peer(OUTSIDE)
    call = pbx.dial("2025550177", "anonymous", f"{ASSERTED}\r\nRemote-Party-ID: <sip:{CAROL.number}@x.invalid>")
    assert call.answer().status == 200
    [invite] = outside.requests("INVITE")
    assert invite.request_uri.startswith("sip:+12025550177@")
    assert invite.address("P-Asserted-Identity").user == BEHIND_PBX
    assert not invite.all("Remote-Party-ID")
    for caller in (CAROL.number, "+12025550188", "anonymous"):
        answer = pbx.dial("2025550177", caller).answer()
        assert answer.status == 403
    world.provisioned("number", "set", BEHIND_PBX, "--outbound", "off")
    assert pbx.dial("2025550177", BEHIND_PBX).answer().status == 403
    assert len(outside.requests("INVITE")) == 1


def test_a_call_from_outside_reaches_the_pbx_by_its_number(world: Carriers, pbx: Pbx) -> None:
    outside = world.peer(OUTSIDE)
    uri = f"sip:{BEHIND_PBX}@{DOMAIN}"
    call = outside.call(world.system.kamailio_link(outside), uri, from_="<sip:+12025550177@carrier.invalid>")
    assert call.answer().status == 200
    [invite] = pbx.peer.requests("INVITE")
    assert invite.request_uri.startswith(f"sip:{BEHIND_PBX}@{pbx.peer.address}:")


@pytest.mark.parametrize("number", [BEHIND_PBX, BOB.number])
def test_a_pbx_is_not_called_by_itself_nor_its_number_sought_outside(world: Carriers, pbx: Pbx, number: str) -> None:
    """It would send the call here again, and we there."""
    outside = world.peer(OUTSIDE)
    assert pbx.dial(number, ALICE.number).answer().status == 480
    assert not pbx.peer.requests("INVITE")
    assert not outside.requests("INVITE")


def test_a_pbx_that_is_gone_is_said(world: Carriers) -> None:
    outside = world.peer(OUTSIDE)
    uri = f"sip:{BEHIND_PBX}@{DOMAIN}"
    call = outside.call(world.system.kamailio_link(outside), uri, from_="<sip:+12025550177@carrier.invalid>")
    assert call.answer().status in (408, 503)


def test_a4_a_callback_that_nobody_takes_ends(world: Carriers, pbx: Pbx, centre: SipPeer, psap: SipPeer) -> None:
    number = pbx.emergency_call(centre, BEHIND_PBX)
    pbx.peer.takes_calls = 486
    world.system.media.kill()
    assert call_back(world, psap, number).answer().status == 486
    open_calls = "select 1 from emergency_call join lease on lease.id = lease_id where number = ?"
    psap.wait("its end to be noted", lambda: not world.system.edge_rows(open_calls, number))
