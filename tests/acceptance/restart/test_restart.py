"""Parts that are restarted, and phones that vanish, in the middle of an emergency."""

from collections.abc import Callable

import pytest

from acceptance.calls import call_back, dial_911, emergency_call, end
from lab.layout import ALICE, User
from lab.phones import Phone
from lab.system import System
from lab.waiting import wait_until


def test_the_callback_reaches_the_phone_although_kamailio_forgot_its_registration(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    system.restart("kamailio")
    alice.forget_events()
    call_back(system, psap, number)
    alice.ringing()
    alice.answer()
    psap.established()


def test_n2_a_call_that_outlives_kamailio_still_restarts_its_window(
    system: System, alice: Phone, psap: Phone, lease_of: Callable[[User], dict[str, object]]
) -> None:
    dial_911(alice, psap)
    system.kamailio.kill()
    system.restart("kamailio")
    assert lease_of(ALICE)["calls"] == 1  # nobody has seen its end
    end(alice, psap)
    wait_until("the call's end to be written", lambda: lease_of(ALICE)["calls"] == 0, within_s=5)
    assert lease_of(ALICE)["last_end_at"] is not None


@pytest.mark.timeout(200)
def test_n2_a_phone_that_vanishes_in_the_call_is_noticed_and_the_window_starts(
    system: System, alice: Phone, psap: Phone, lease_of: Callable[[User], dict[str, object]]
) -> None:
    dial_911(alice, psap)
    alice.kill()
    assert lease_of(ALICE)["calls"] == 1
    wait_until("the dialog to be found dead", lambda: lease_of(ALICE)["calls"] == 0, within_s=150)
    assert lease_of(ALICE)["last_end_at"] is not None
    call_back(system, psap, str(lease_of(ALICE)["number"]))
