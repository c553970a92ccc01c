"""What PBXs do, in a few words."""

from dataclasses import dataclass

from lab.carriers import Carriers
from lab.layout import DOMAIN, PSAP_NUMBER
from lab.sip_messages import SipMessage
from lab.sip_peer import Call, SipPeer


@dataclass(frozen=True)
class Pbx:
    """A PBX that calls for many people."""

    world: Carriers
    peer: SipPeer

    def dial(self, number: str, caller: str = "anonymous", headers: str = "") -> Call:
        """Call `number` for somebody, whose number stands in From."""
        link = self.world.system.kamailio_link(self.peer)
        from_ = f"<sip:{caller}@{self.peer.address}>"
        return self.peer.call(link, f"sip:{number}@{DOMAIN}", from_=from_, headers=headers)

    def help(self, caller: str = "anonymous", headers: str = "", number: str = "911") -> Call:
        """A call for help, until it is answered."""
        call = self.dial(number, caller, headers)
        assert call.answer().status == 200, call.answer().start_line
        return call

    def emergency_call(self, callee: SipPeer, caller: str = "anonymous", headers: str = "") -> str:
        """A whole call for help; the callback number that the far end saw."""
        self.help(caller, headers).hang_up()
        return shown_to(callee)


def shown_to(callee: SipPeer) -> str:
    """The number that the last call came with."""
    return callee.requests("INVITE")[-1].address("From").user


def call_back(world: Carriers, psap: SipPeer, number: str) -> Call:
    """The PSAP dials the number that it saw."""
    uri = f"sip:{number}@{world.system.layout.sip_address}:{world.system.layout.sip_port}"
    return psap.call(world.system.kamailio_link(psap), uri, from_=f"<sip:{PSAP_NUMBER}@{psap.address}>")


def called_back(world: Carriers, psap: SipPeer, number: str, phone: SipPeer) -> SipMessage:
    """A whole callback, which the phone or PBX takes; the INVITE that it got."""
    before = len(phone.requests("INVITE"))
    call = call_back(world, psap, number)
    assert call.answer().status == 200, call.answer().start_line
    call.hang_up()
    invites = phone.requests("INVITE")[before:]
    assert len(invites) == 1
    return invites[0]
