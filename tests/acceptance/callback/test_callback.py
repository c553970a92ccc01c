"""The PSAP calls the number it saw: it reaches the caller, and nothing stands in its way."""

import pytest

from acceptance.calls import (
    answered_callback,
    call_back,
    callback_reaches,
    dial_911,
    emergency_call,
    end,
    hear_each_other,
)
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, PSAP_NUMBER, TENANT
from lab.phones import Phone
from lab.sipp import Credentials
from lab.system import System

HOUR_S = 3600


def refuse_everything(system: System) -> None:
    """Do-not-disturb on, inbound calls off, a forward set: alice wants no call at all."""
    system.holdfast.run("user", "set", ALICE.name, "--dnd", "on", "--inbound", "off", "--forward-to", BOB.aor)
    system.wait_synced()


def test_a4_d4_the_callback_rings_a_phone_that_wants_no_call_at_all(
    system: System, alice: Phone, bob: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    refuse_everything(system)
    bob.dial(f"sip:{ALICE.aor}")
    assert bob.closed().detail.startswith("403")
    bob.forget_events()
    mark = system.collector.mark()
    callback_reaches(system, psap, number, alice)
    invite = alice.received("INVITE")[-1]
    assert invite.address("From").user == PSAP_NUMBER
    assert invite.get("Priority") == "psap-callback"
    assert not invite.all("X-Holdfast-Leg")
    assert not invite.all("X-Holdfast-Callback-Number")
    assert any(item.source == system.media_endpoint for item in system.collector.messages(mark))
    assert not [event for event in bob.events() if event.type == "CALL_INCOMING"]


def test_d4_the_callback_comes_through_while_the_caller_is_in_another_call(
    system: System, alice: Phone, bob: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    alice.dial(f"sip:{BOB.aor}")
    bob.ringing()
    bob.answer()
    bob.established()
    alice.established()
    answered_callback(system, psap, number, alice)


def test_l6_a_phone_that_lost_its_power_in_the_call_is_reached_when_it_is_back(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = dial_911(alice, psap).address("From").user
    alice.kill()
    psap.hangup()
    psap.closed()
    alice.start().registered()
    answered_callback(system, psap, number, alice)
    hear_each_other(alice, psap)


def test_a4_every_device_of_the_caller_rings_and_one_that_declines_silences_no_other(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    other = system.phone(ALICE, name="alice-2")
    call_back(system, psap, number)
    alice.ringing()
    other.ringing()
    alice.hangup()
    other.answer()
    psap.established()
    hear_each_other(other, psap)


def test_a4_a_device_that_declines_for_all_of_them_silences_no_other(system: System, alice: Phone, psap: Phone) -> None:
    """603 ends a forked call (RFC 3261 section 16.7); not this one."""
    port = system.ports.one(DEVICE_ADDRESS)
    credentials = Credentials(ALICE.name, ALICE.password)
    assert system.device("register", {}, port=port, credentials=credentials).run().ok
    number = emergency_call(alice, psap)
    device = system.waiting_device("uas_refuses", {"code": "603"}, address=DEVICE_ADDRESS, port=port).start()
    call_back(system, psap, number)
    alice.ringing()
    outcome = device.wait()
    assert outcome.ok, outcome.complaints
    alice.answer()
    alice.established()
    hear_each_other(alice, psap)
    assert system.device("register", {"expires": "0"}, port=port, credentials=credentials).run().ok


def test_a4_nobody_answers_then_somebody_does(system: System, alice: Phone, psap: Phone) -> None:
    """The PSAP is told so, stays on the line, and is connected at the second attempt."""
    number = emergency_call(alice, psap)
    call_back(system, psap, number)
    alice.ringing()
    alice.forget_events()
    psap.established(within_s=system.settings.controller.ring_s + 10)  # the announcement
    alice.ringing(within_s=30)
    alice.answer()
    alice.established()
    hear_each_other(alice, psap)


def test_a4_a_busy_phone_is_tried_again(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    call_back(system, psap, number)
    alice.ringing()
    alice.hangup()  # 486
    alice.forget_events()
    alice.ringing(within_s=30)
    alice.answer()
    psap.established()
    hear_each_other(alice, psap)


@pytest.mark.parametrize("left_out", ["+", "+1"])
def test_a4_the_callback_comes_through_however_the_carrier_writes_the_number(
    system: System, alice: Phone, psap: Phone, left_out: str
) -> None:
    number = emergency_call(alice, psap)
    call_back(system, psap, number.removeprefix(left_out))
    alice.ringing()


def test_a4_the_psap_gives_up_and_the_phone_stops_ringing(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    call_back(system, psap, number)
    alice.ringing()
    psap.hangup()
    alice.closed()
    assert not system.edge_rows("select * from emergency_call")


def test_n2_the_window_starts_again_at_the_end_of_the_call_and_of_each_callback(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = dial_911(alice, psap).address("From").user
    assert system.lease_of(ALICE)["last_end_at"] is None
    end(alice, psap)
    ended = system.lease_of(ALICE)["last_end_at"]
    answered_callback(system, psap, number, alice)
    assert system.lease_of(ALICE)["calls"] == 1
    end(alice, psap)
    assert system.lease_of(ALICE)["last_end_at"] > ended
    assert system.lease_of(ALICE)["calls"] == 0


def test_n2_the_window_never_ends_during_a_call(system: System, alice: Phone, bob: Phone, psap: Phone) -> None:
    number = dial_911(alice, psap).address("From").user
    system.let_time_pass(30 * HOUR_S)
    second = system.psap(1, auto_answer=False)
    call_back(system, second, number)
    alice.ringing()
    second.hangup()
    alice.closed()
    end(alice, psap)
    psap.forget_events()
    assert emergency_call(bob, psap) != number
    call_back(system, psap, number)  # the hour began at the end of the call, not at its first dial
    alice.ringing()


def test_n2_within_the_hour_the_callback_comes_through_and_after_window_and_rest_it_does_not(
    system: System, alice: Phone, bob: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    system.holdfast.run("tenant", "set", TENANT, "--security-desk", BOB.aor)  # rung as soon as the number only rests
    system.wait_synced()
    system.let_time_pass(HOUR_S - 60)
    try:
        call_back(system, psap, number)
        alice.ringing()
        assert not bob.received("INVITE")
    finally:
        system.holdfast.run("tenant", "set", TENANT, "--no-security-desk")
        system.wait_synced()
    psap.hangup()
    psap.closed()
    alice.closed()
    system.let_time_pass(3 * HOUR_S)
    call_back(system, psap, number)
    assert psap.closed().detail.startswith("404")
    assert not [event for event in alice.events()[-1:] if event.type == "CALL_INCOMING"]


def test_n9_an_unmarked_call_from_a_trunk_to_a_live_number_is_a_callback(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    call_back(system, psap, number)  # the PSAP's telephone sends no Priority
    alice.ringing()
    assert alice.received("INVITE")[-1].get("Priority") == "psap-callback"


def test_the_callback_of_an_unverified_caller_goes_to_where_it_called_from_and_to_nobody_it_claimed_to_be(
    system: System, alice: Phone, psap: Phone
) -> None:
    port = system.ports.one(DEVICE_ADDRESS)
    call = system.device("call", {"number": "911", "from": f"<sip:{ALICE.aor}>"}, port=port).run()
    assert call.ok, call.complaints
    number = psap.received("INVITE")[-1].address("From").user
    device = system.waiting_device("uas_answers", {}, address=DEVICE_ADDRESS, port=port).start()
    call_back(system, psap, number)
    psap.established()
    psap.hangup()
    assert device.wait().received("INVITE")
    assert not alice.received("INVITE")
