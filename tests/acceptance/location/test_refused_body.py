"""N8: a trunk that does not take a location in the body gets the call again without it, at once."""

from collections.abc import Iterator

import pytest

from acceptance.devices import Device, counters, device_of
from acceptance.location.told import (
    MULTIPART,
    SAYS_WHERE,
    SDP,
    answered,
    assert_plain,
    example,
    located,
    on_the_wire,
    with_document,
)
from lab.carriers import Carriers
from lab.layout import ALICE, TRUNK_GROUP
from lab.sipp import Outcome

REFUSED = ("location_refused_total",)
FAILED_OVER = ("trunk_failovers_total",)


@pytest.fixture
def by_value(world: Carriers) -> Carriers:
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "value")
    return world


@pytest.fixture
def alice(by_value: Carriers) -> Iterator[Device]:
    with device_of(by_value.system, ALICE) as device:
        yield device


def calls(alice: Device) -> None:
    """A call that says where it is."""
    body = with_document(example("teams.xml"))
    answered(alice.sipp("call_with_body", "911", content_type=MULTIPART, headers=SAYS_WHERE, body=body))


def waited_for_the_second_invite_s(psap: Outcome) -> float:
    """From the refusal to the same call's second INVITE."""
    refused = next(logged.at for logged in psap.messages if logged.sent)
    again = [logged.at for logged in psap.messages if not logged.sent and logged.raw.startswith(b"INVITE")][-1]
    return again - refused


@pytest.mark.parametrize("code", ["405", "415", "488", "513"])
def test_n8_the_same_trunk_gets_the_call_again_at_once_without_its_location(alice: Device, code: str) -> None:
    before = counters(alice.system)
    psap = alice.system.trunk_callee("uas_refuses_then_answers", {"code": code}).start()
    calls(alice)
    outcome = psap.wait()
    assert outcome.ok, outcome.complaints
    with_body, without = outcome.received("INVITE")
    assert located(with_body).sdp == on_the_wire(SDP)
    assert_plain(without, on_the_wire(SDP))
    for name in ("From", "Contact", "P-Asserted-Identity", "To", "Call-ID"):
        assert without.one(name) == with_body.one(name)
    assert without.request_uri == with_body.request_uri
    assert (with_body.one("CSeq"), without.one("CSeq")) == ("1 INVITE", "2 INVITE"), "RFC 3261 §8.1.3.5"
    assert [ack.one("CSeq") for ack in outcome.received("ACK")] == ["1 ACK", "2 ACK"]
    assert [bye.one("CSeq") for bye in outcome.received("BYE")] == ["3 BYE"]
    assert waited_for_the_second_invite_s(outcome) < 0.5
    after = counters(alice.system)
    assert after[REFUSED] - before[REFUSED] == 1
    assert after[FAILED_OVER] == before[FAILED_OVER]


def test_n8_a_trunk_that_refuses_both_is_passed_over_for_the_next_which_is_told_again(alice: Device) -> None:
    before = counters(alice.system)
    first = alice.system.trunk_callee("uas_refuses_twice", {"code": "415"}).start()
    second = alice.system.trunk_callee("uas_answers", {}, trunk=1).start()
    calls(alice)
    with_body, without = first.wait().received("INVITE")
    assert located(with_body)
    assert_plain(without, on_the_wire(SDP))
    [invite] = second.wait().received("INVITE")
    assert located(invite).texts("LOC") == ["Building 31"]
    assert invite.one("From") == with_body.one("From")
    after = counters(alice.system)
    assert (after[REFUSED] - before[REFUSED], after[FAILED_OVER] - before[FAILED_OVER]) == (1, 1)


def test_n8_each_trunk_that_refuses_the_body_gets_the_call_without_it(alice: Device) -> None:
    first = alice.system.trunk_callee("uas_refuses_twice", {"code": "488"}).start()
    second = alice.system.trunk_callee("uas_refuses_then_answers", {"code": "513"}, trunk=1).start()
    calls(alice)
    assert len(first.wait().received("INVITE")) == 2
    with_body, without = second.wait().received("INVITE")
    assert located(with_body)
    assert_plain(without, on_the_wire(SDP))


@pytest.mark.parametrize(("code", "again"), [("420", True), ("415", False)])
def test_n8_the_operator_says_which_answers_refuse_the_body(
    by_value: Carriers, alice: Device, code: str, again: bool
) -> None:
    by_value.provisioned("trunk-group", "set", TRUNK_GROUP, "--location-refused-codes", "420")
    if again:
        first = alice.system.trunk_callee("uas_refuses_then_answers", {"code": code}).start()
        calls(alice)
        assert_plain(first.wait().received("INVITE")[-1], on_the_wire(SDP))
    else:
        alice.system.trunk_callee("uas_refuses", {"code": code}).start()
        second = alice.system.trunk_callee("uas_answers", {}, trunk=1).start()
        calls(alice)
        assert located(second.wait().received("INVITE")[0])


@pytest.mark.parametrize("method", ["none", "provider-id", "reference"])
def test_n8_the_refusal_of_a_call_without_such_a_body_is_a_failure_like_any_other(
    by_value: Carriers, alice: Device, method: str
) -> None:
    by_value.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", method)
    before = counters(alice.system)
    first = alice.system.trunk_callee("uas_refuses", {"code": "415"}).start()
    second = alice.system.trunk_callee("uas_answers", {}, trunk=1).start()
    calls(alice)
    assert first.wait().received("INVITE")
    assert second.wait().received("INVITE")
    after = counters(alice.system)
    assert (after[REFUSED] - before[REFUSED], after[FAILED_OVER] - before[FAILED_OVER]) == (0, 1)
