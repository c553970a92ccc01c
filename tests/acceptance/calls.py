"""Steps that many acceptance tests take, in a user's words."""

from lab.phones import Phone
from lab.recordings import THRESHOLD
from lab.sip_messages import SipMessage
from lab.system import System


def dial_911(caller: Phone, psap: Phone) -> SipMessage:
    """Dial 911 until both sides are up; the INVITE as the PSAP received it."""
    caller.dial("911")
    psap.established()
    caller.established()
    return psap.received("INVITE")[-1]


def end(one: Phone, other: Phone) -> None:
    """The first hangs up; the other notices."""
    one.hangup()
    one.closed()
    other.closed()


def emergency_call(caller: Phone, psap: Phone) -> str:
    """A whole 911 call; the callback number that the PSAP saw."""
    number = dial_911(caller, psap).address("From").user
    end(caller, psap)
    return number


def call_back(system: System, psap: Phone, number: str) -> None:
    """The PSAP dials the number it saw."""
    psap.forget_events()
    psap.dial(f"sip:{number}@{system.layout.sip_address}:{system.layout.sip_port}")


def hear_each_other(one: Phone, other: Phone) -> None:
    """Each plays a melody of its own; each must find the other's in what it received."""
    assert one.hears(other.clip) >= THRESHOLD
    assert other.hears(one.clip) >= THRESHOLD


def answered_callback(system: System, psap: Phone, number: str, phone: Phone) -> None:
    """The PSAP dials the number it saw; the phone rings, and is answered until both sides are up."""
    phone.forget_events()
    call_back(system, psap, number)
    phone.ringing()
    phone.answer()
    phone.established()
    psap.established()


def callback_reaches(system: System, psap: Phone, number: str, phone: Phone) -> None:
    """A whole callback, which the PSAP ends; both sides hear each other in it."""
    answered_callback(system, psap, number, phone)
    hear_each_other(phone, psap)
    end(psap, phone)
