"""933 reads back the number that an emergency call would come from."""

from acceptance.calls import emergency_call
from lab.layout import ALICE
from lab.phones import Phone
from lab.recordings import digits_heard
from lab.services import prompts
from lab.system import System


def listen_to_933(phone: Phone) -> str:
    """The digits that the phone hears, in order."""
    phone.dial("933")
    phone.established()
    phone.closed(within_s=60)
    return digits_heard(phone.recordings()[-1], prompts() / "en" / "digits")


def test_a7_the_phone_hears_the_leased_number_twice_and_not_its_own(system: System, alice: Phone) -> None:
    heard = listen_to_933(alice)
    leased = system.lease_of(ALICE)["number"].lstrip("+")
    assert heard == leased * 2
    assert ALICE.number.lstrip("+") not in heard


def test_n1_933_without_postgresql_and_the_call_controller(system: System, alice: Phone) -> None:
    system.postgres.stop()
    system.controller.kill()
    heard = listen_to_933(alice)
    assert heard == system.lease_of(ALICE)["number"].lstrip("+") * 2


def test_a7_the_number_that_was_read_is_the_one_the_psap_sees(system: System, alice: Phone, psap: Phone) -> None:
    alice.dial("933")
    alice.established()
    number = system.lease_of(ALICE)["number"]
    alice.hangup()
    alice.closed()
    assert emergency_call(alice, psap) == number
    assert not [trace for trace in psap.trace() if "933" in trace.message.start_line]


def test_a7_hanging_up_early_ends_the_call_everywhere(system: System, alice: Phone) -> None:
    alice.dial("933")
    alice.established()
    assert system.edge_rows("select kind from emergency_call") == [{"kind": "readback"}]
    alice.hangup()
    alice.closed()
    assert not system.edge_rows("select * from emergency_call")
