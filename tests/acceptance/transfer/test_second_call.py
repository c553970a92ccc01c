"""O6: the screening centre passes the caller on by a call of its own, with the callback number that it was shown."""

import pytest

from lab.carriers import CUSTOMER, CUSTOMER_NUMBERS, PBX, POLICY, SCREENING, USAGE, Carriers
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, POOL_NUMBERS, TENANT
from lab.phones import Phone
from lab.sip_peer import Call, SipPeer


@pytest.fixture
def alice(world: Carriers) -> Phone:
    return world.system.phone(ALICE)


@pytest.fixture
def psap(world: Carriers) -> Phone:
    return world.system.psap()


@pytest.fixture
def centre(world: Carriers) -> SipPeer:
    return world.peer(SCREENING)


def passes_on(world: Carriers, centre: SipPeer, from_: str, headers: str = "", uri: str = f"sip:911@{DOMAIN}") -> Call:
    return centre.call(world.system.kamailio_link(centre), uri, from_=from_, headers=headers)


def calls_on(world: Carriers, number: str) -> int:
    """How many calls are in progress on the lease of this number."""
    return sum(int(lease["calls"]) for lease in world.system.leases() if lease["number"] == number)


def shown_to(callee: SipPeer) -> str:
    return callee.requests("INVITE")[-1].address("From").user


def screened(phone: Phone, centre: SipPeer) -> str:
    """A call for help reaches the screening centre; the callback number that it is shown."""
    phone.dial("911")
    phone.established()
    return shown_to(centre)


@pytest.mark.parametrize("uri", [f"sip:911@{DOMAIN}", "urn:service:sos", "tel:911"])
@pytest.mark.parametrize("where", ["From", "P-Asserted-Identity"])
def test_o6_a_second_call_goes_to_the_psap_as_the_callers(
    world: Carriers, alice: Phone, psap: Phone, centre: SipPeer, where: str, uri: str
) -> None:
    number = screened(alice, centre)
    from_ = f"<sip:{number}@screening.invalid>" if where == "From" else '"Operator 7" <sip:7@screening.invalid>'
    headers = f"P-Asserted-Identity: <sip:{number}@screening.invalid>" if where != "From" else ""
    second = passes_on(world, centre, from_, headers, uri)
    assert second.answer().status == 200
    [invite] = psap.received("INVITE")
    assert invite.address("From").user == number
    assert invite.address("P-Asserted-Identity").user == number
    assert invite.get("Priority") == "emergency"
    assert b"operator" not in invite.raw.lower()
    assert b"alice" not in invite.raw.lower()
    assert calls_on(world, number) == 2


def test_o6_the_callback_after_a_second_call_rings_the_caller_and_not_the_centre(
    world: Carriers, alice: Phone, psap: Phone, centre: SipPeer
) -> None:
    number = screened(alice, centre)
    second = passes_on(world, centre, f"<sip:{number}@screening.invalid>")
    assert second.answer().status == 200
    second.hang_up()
    psap.closed()
    alice.hangup()
    alice.closed()
    calls_back = {"number": number, "from": "<sip:+12025550199@psap.invalid>"}
    assert world.system.trunk_caller("call_cancelled", calls_back).run().ok
    assert alice.received("INVITE")[-1].get("Priority") == "psap-callback"
    assert len(centre.requests("INVITE")) == 1


def test_o6_a_second_call_counts_once_and_in_the_place_of_the_first(
    world: Carriers, alice: Phone, centre: SipPeer
) -> None:
    trunk = world.system.layout.trunks[0]
    psap = world.system.peer(trunk.address, trunk.port)
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "2")
    number = screened(alice, centre)
    assert passes_on(world, centre, f"<sip:{number}@screening.invalid>").answer().status == 200
    bob = world.system.phone(BOB)
    numbers = {number, screened(bob, centre)}
    assert passes_on(world, centre, f"<sip:{shown_to(centre)}@screening.invalid>").answer().status == 200
    assert {invite.address("From").user for invite in psap.requests("INVITE")} == numbers
    alice.hangup()
    alice.closed()
    other = world.system.phone(ALICE, name="alice-2")
    other.dial("911")
    assert other.closed().detail.startswith("503"), "what was passed on is still in progress"
    psap.calls[0].hang_up()
    other.forget_events()
    other.dial("911")
    other.established()


def test_o6_the_number_stays_though_another_carrier_brings_its_callbacks_back(world: Carriers, alice: Phone) -> None:
    """The number is of the centre's own carrier; the PSAP's trunk has another pool."""
    world.system.holdfast.run("trunk-group", "set", CUSTOMER, "--screening", "on")
    world.system.holdfast.run("tenant", "set", TENANT, "--policy", POLICY)
    route = ("--tenant", TENANT, "--usage", USAGE, "--number", "911", "--group", CUSTOMER)
    world.provisioned("route", "add", *route)
    theirs = world.peer(CUSTOMER)
    trunk = world.system.layout.trunks[0]
    psap = world.system.peer(trunk.address, trunk.port)
    number = screened(alice, theirs)
    assert number in CUSTOMER_NUMBERS
    assert passes_on(world, theirs, f"<sip:{number}@customer.invalid>").answer().status == 200
    assert psap.called()
    assert shown_to(psap) == number
    assert calls_on(world, number) == 2


@pytest.mark.parametrize("name", [CUSTOMER, PBX])
def test_n9_nobody_but_a_screening_centre_calls_as_somebodys_callback_number(
    world: Carriers, alice: Phone, centre: SipPeer, name: str
) -> None:
    number = screened(alice, centre)
    other = world.peer(name)
    call = passes_on(
        world, other, f"<sip:{number}@elsewhere.invalid>", f"P-Asserted-Identity: <sip:{number}@x.invalid>"
    )
    assert call.answer().status == 200
    assert len(centre.requests("INVITE")) == 2, "it is screened as any call"
    assert shown_to(centre) != number
    assert calls_on(world, number) == 1


def test_n9_a_strangers_from_is_nothing_to_go_by(world: Carriers, alice: Phone, centre: SipPeer) -> None:
    number = screened(alice, centre)
    phone = world.system.peer(DEVICE_ADDRESS)
    assert passes_on(world, phone, f"<sip:{number}@screening.invalid>").answer().status == 200
    assert shown_to(centre) != number


def test_n3_a_number_that_rests_is_its_last_holders_no_more(
    world: Carriers, alice: Phone, psap: Phone, centre: SipPeer
) -> None:
    number = screened(alice, centre)
    alice.hangup()
    alice.closed()
    world.system.let_time_pass(3700)
    assert passes_on(world, centre, f"<sip:{number}@screening.invalid>").answer().status == 200
    shown = psap.received("INVITE")[0].address("From").user
    assert shown in POOL_NUMBERS
    assert shown != number
    assert calls_on(world, number) == 0


def test_a_centre_that_calls_for_itself_reaches_the_psap_and_not_itself(
    world: Carriers, psap: Phone, centre: SipPeer
) -> None:
    assert passes_on(world, centre, "<sip:7@screening.invalid>").answer().status == 200
    number = psap.received("INVITE")[0].address("From").user
    assert number in POOL_NUMBERS
    assert not centre.requests("INVITE")
    psap.forget_events()
    psap.hangup()
    psap.closed()
    psap.dial(f"sip:{number}@{world.system.layout.sip_address}:{world.system.layout.sip_port}")
    assert centre.called().invite is not None
    psap.established()
