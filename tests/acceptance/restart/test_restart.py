"""Parts that are restarted, and phones that vanish, in the middle of an emergency."""

import pytest

from acceptance.calls import answered_callback, dial_911, emergency_call, end
from lab.layout import ALICE
from lab.phones import Phone
from lab.system import System
from lab.waiting import wait_until


def test_the_callback_reaches_the_phone_although_kamailio_forgot_its_registration(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    system.restart("kamailio")
    answered_callback(system, psap, number, alice)


def test_n2_a_call_that_outlives_kamailio_still_restarts_its_window(system: System, alice: Phone, psap: Phone) -> None:
    dial_911(alice, psap)
    system.kamailio.kill()
    system.restart("kamailio")
    assert system.lease_of(ALICE)["calls"] == 1  # nobody has seen its end
    end(alice, psap)
    wait_until("the call's end to be written", lambda: system.lease_of(ALICE)["calls"] == 0, within_s=5)
    assert system.lease_of(ALICE)["last_end_at"] is not None


@pytest.mark.timeout(200)
def test_n2_a_phone_that_vanishes_in_the_call_is_noticed_and_the_window_starts(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = dial_911(alice, psap).address("From").user
    alice.kill()
    assert system.lease_of(ALICE)["calls"] == 1
    wait_until("the dialog to be found dead", lambda: system.lease_of(ALICE)["calls"] == 0, within_s=150)
    assert system.lease_of(ALICE)["last_end_at"] is not None
    psap.hangup()
    psap.closed()
    alice.start().registered()
    answered_callback(system, psap, number, alice)
