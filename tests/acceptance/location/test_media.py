"""L1: a call whose INVITE carries a location is a call like any other: both hear each other, also through a NAT."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from acceptance.calls import callback_reaches, dial_911, end, hear_each_other
from acceptance.location.told import MULTIPART, SDP, answered, assert_plain, example, located, with_document
from holdfast.edge import kamailio_rpc
from lab.layout import ALICE, DEVICE_ADDRESS, TENANT, TRUNK_GROUP
from lab.phones import Phone
from lab.recordings import THRESHOLD
from lab.sip_messages import SipMessage
from lab.sipp import SCENARIOS
from lab.system import System

PRIVATE = "10.1.2.3"
PRIVATE_SDP = SDP.replace(DEVICE_ADDRESS, PRIVATE)


@pytest.fixture
def by_value(system: System) -> Iterator[System]:
    """The PSAP's trunks take the location in the body, and alice has said where she is."""
    run = system.holdfast.run
    civic = ("--civic", "A1=TX", "--civic", "A3=Austin", "--civic", "RD=Main", "--civic", "HNO=1")
    run("location", "create", "hall", "--tenant", TENANT, "--country", "US", *civic, "--validation", "validated")
    run("user", "set", ALICE.name, "--location", "hall")
    run("trunk-group", "set", TRUNK_GROUP, "--location", "value")
    system.wait_synced()
    yield system
    codes = ("--location-refused-codes", "405,415,488,513")
    run("trunk-group", "set", TRUNK_GROUP, "--location", "none", *codes)
    run("user", "set", ALICE.name, "--no-location")
    run("location", "delete", "hall", "--tenant", TENANT)
    system.wait_synced()


@pytest.mark.usefixtures("by_value")
def test_l1_the_callers_voice_goes_to_the_psap_and_back(system: System, alice: Phone) -> None:
    """The PSAP, SIPp, sends back what it hears: Debian's baresip answers 500 to a body of several parts."""
    psap = system.trunk_callee("uas_answers", {})
    psap.place = replace(psap.place, echo=True)
    psap.start()
    alice.dial("911")
    alice.established()
    assert alice.hears(alice.clip) >= THRESHOLD
    alice.hangup()
    alice.closed()
    [invite] = psap.wait().received("INVITE")
    where = located(invite)
    assert where.texts("RD") == ["Main"]
    [offered] = [traced.message for traced in alice.trace() if traced.sent and traced.message.method == "INVITE"]
    assert where.sdp == offered.body


@pytest.fixture(params=["udp", "tcp"])
def real_psap(by_value: System, request: pytest.FixtureRequest) -> System:
    """A telephone, Debian's baresip, stands for the PSAP. It answers 500 to a body of several parts, and over UDP 482
    to a call that comes again with the same CSeq within five seconds (RFC 3261 §8.2.2.2, §17.2.1).
    """
    kamailio = by_value.settings.node.kamailio_rpc
    kamailio_rpc.call(kamailio, "htable.flush", "udp_only")
    if request.param == "udp":
        trunk = by_value.layout.trunks[0]
        key = f"sip:{trunk.address}:{trunk.port};transport=udp"
        kamailio_rpc.call(kamailio, "htable.sets", "udp_only", key, "1")
    by_value.holdfast.run("trunk-group", "set", TRUNK_GROUP, "--location-refused-codes", "405,415,488,500,513")
    by_value.wait_synced()
    return by_value


def cseq(message: SipMessage) -> int:
    return int(message.one("CSeq").split()[0])


@pytest.mark.usefixtures("real_psap")
def test_n8_a_real_telephone_that_cannot_read_the_body_is_reached_without_it(alice: Phone, psap: Phone) -> None:
    invite = dial_911(alice, psap)
    assert [one.one("Content-Type").partition(";")[0] for one in psap.received("INVITE")] == [
        "multipart/mixed",
        "application/sdp",
    ]
    assert_plain(invite)
    hear_each_other(alice, psap)
    end(alice, psap)
    refused, taken = psap.received("INVITE")
    assert cseq(taken) == cseq(refused) + 1, "RFC 3261 §8.1.3.5"
    assert {cseq(ack) for ack in psap.received("ACK")} == {cseq(refused), cseq(taken)}
    assert cseq(psap.received("BYE")[0]) > cseq(taken)
    assert b"P-K-CSeq" not in b"".join(traced.message.raw for traced in psap.trace())
    assert {cseq(answer) for answer in alice.answers("INVITE")} == {cseq(refused)}, "the caller hears of its own"


@pytest.mark.usefixtures("real_psap")
def test_n8_the_psap_ends_such_a_call_and_calls_back(system: System, alice: Phone, psap: Phone) -> None:
    number = dial_911(alice, psap).address("From").user
    end(psap, alice)
    callback_reaches(system, psap, number, alice)


@pytest.mark.usefixtures("real_psap")
def test_n8_a_caller_who_gives_up_is_not_rung_for_any_longer(system: System, alice: Phone) -> None:
    psap = system.psap(auto_answer=False)
    alice.dial("911")
    psap.ringing()
    alice.hangup()
    psap.closed()
    alice.closed()
    assert [cseq(cancel) for cancel in psap.received("CANCEL")] == [cseq(psap.received("INVITE")[-1])]


@pytest.mark.parametrize("said", ["the offer alone", "the offer and its place"])
def test_l1_behind_nat_the_offer_beside_the_location_is_rtpengines(by_value: System, said: str) -> None:
    scenario = (SCENARIOS / "call_with_body.xml").read_text(encoding="utf-8")
    scenario = scenario.replace("SIP/2.0/[transport] [local_ip]:[local_port]", f"SIP/2.0/[transport] {PRIVATE}:5060")
    scenario = scenario.replace("@[local_ip]:[local_port]", f"@{PRIVATE}:5060")
    alone = said == "the offer alone"
    values = {
        "number": "911", "from": "<sip:somebody@elsewhere.invalid>", "duration_ms": "200",
        "content_type": "application/sdp" if alone else MULTIPART,
        "body": PRIVATE_SDP.rstrip("\n") if alone else with_document(example("teams.xml"), PRIVATE_SDP),
    }  # fmt: skip
    psap = by_value.trunk_callee("uas_answers", {}).start()
    answered(by_value.device(scenario, values))
    [invite] = psap.wait().received("INVITE")
    assert PRIVATE.encode() not in invite.body
    sdp = invite.body if alone else located(invite).sdp
    assert f"c=IN IP4 {by_value.layout.sip_address}\r\n".encode() in sdp
