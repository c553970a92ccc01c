"""A phone behind NAT: its addresses are private, its packets come from elsewhere."""

import pytest

from lab.sip_messages import SipMessage
from lab.sipp import SCENARIOS, Outcome
from lab.system import System

PRIVATE = "10.1.2.3"
CALL = {"number": "911", "from": "<sip:somebody@elsewhere.invalid>"}


def behind_nat(scenario: str) -> str:
    """The scenario with a private address in Via, Contact and SDP, as a phone behind NAT writes them."""
    text = (SCENARIOS / f"{scenario}.xml").read_text(encoding="utf-8")
    text = text.replace("Via: SIP/2.0/[transport] [local_ip]:[local_port]", f"Via: SIP/2.0/[transport] {PRIVATE}:5060")
    return text.replace("@[local_ip]:[local_port]", f"@{PRIVATE}:5060").replace("[media_ip]", PRIVATE)


def call_from_behind_nat(system: System) -> tuple[Outcome, SipMessage]:
    psap = system.trunk_callee("uas_hangs_up", {"duration_ms": "500"}).start()
    device = system.device(behind_nat("call_ended_by_peer"), CALL)
    outcome = device.run()
    [invite] = psap.wait().received("INVITE")
    return outcome, invite


def test_signalling_finds_the_phone_and_media_is_relayed(system: System) -> None:
    outcome, invite = call_from_behind_nat(system)
    assert outcome.ok, outcome.complaints  # the PSAP's BYE came through the NAT
    assert PRIVATE not in invite.body.decode()
    assert f"c=IN IP4 {system.layout.sip_address}" in invite.body.decode()


def test_without_rtpengine_the_call_goes_on_all_the_same(system: System) -> None:
    system.rtpengine.kill()
    outcome, invite = call_from_behind_nat(system)
    assert outcome.ok, outcome.complaints
    assert f"c=IN IP4 {PRIVATE}" in invite.body.decode()


@pytest.mark.timeout(200)
def test_n2_a_phone_behind_nat_that_is_alive_is_not_taken_for_dead(system: System) -> None:
    """Kamailio probes the caller of an emergency call; the probes must find the way through the NAT."""
    psap = system.psap()
    scenario = behind_nat("call").replace('<pause milliseconds="{{duration_ms}}"/>', ALIVE)
    call = system.device(scenario, CALL)
    call.gives_up_after_s = 120
    outcome = call.run(within_s=120)
    assert outcome.ok, outcome.complaints
    assert outcome.received("OPTIONS")
    psap.closed()


ALIVE = """
  <recv request="OPTIONS" timeout="60000"/>
  <send>
    <![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0
    ]]>
  </send>
  <pause milliseconds="100"/>
"""
