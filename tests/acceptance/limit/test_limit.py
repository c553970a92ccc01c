"""A9: as many emergency calls at once as a tenant may have, and not one more; never counted twice, never left over."""

from collections.abc import Callable, Iterator

import pytest

from acceptance.calls import end
from acceptance.devices import Device, counters, device_of, journalled
from lab.carriers import SCREENING, Carriers
from lab.layout import ALICE, BOB, TENANT
from lab.phones import Phone
from lab.sipp import Outcome
from lab.system import System
from lab.waiting import wait_until

Limit = Callable[..., None]
STRANGER = "<sip:somebody@elsewhere.invalid>"


@pytest.fixture
def limit(system: System) -> Iterator[Limit]:
    """Set the tenant's limits, as an operator does; the test's end sets the usual ones again."""

    def to(*, emergency: int = 10, test: int = 10) -> None:
        limits = ("--max-emergency-calls", str(emergency), "--max-test-calls", str(test))
        system.holdfast.run("tenant", "set", TENANT, *limits)
        system.wait_synced()

    yield to
    to()


def in_progress(system: System, calls: int, *, within_s: float = 10) -> None:
    """Wait until the node counts so many calls of the tenant."""
    query = "select * from emergency_call where tenant_id is not null"
    wait_until(
        f"{calls} calls in progress", lambda: len(system.edge_rows(query)) == calls, within_s=within_s,
        why=lambda: str(system.edge_rows(query)),
    )  # fmt: skip


def refused_at_once(device: Device, number: str = "911") -> Outcome:
    """One call too many: the answer is immediate, and says what to do."""
    outcome = device.sipp("call_refused", number, code="503").run()
    assert outcome.ok, outcome.complaints
    invite, *answers = [logged for logged in outcome.messages if logged.message]
    final = next(logged for logged in answers if logged.message and logged.message.status == 503)
    assert final.at - invite.at < 1
    return outcome


def dial(phone: Phone) -> Phone:
    """A phone that calls for help and is answered."""
    phone.dial("911")
    phone.established()
    return phone


def test_a9_one_call_too_many_is_refused_at_once_counted_and_alarmed(
    system: System, limit: Limit, alice: Phone, bob: Phone, psap: Phone
) -> None:
    limit(emergency=2)
    dial(alice)
    dial(bob)
    with device_of(system, ALICE) as third:
        before = counters(system)
        refusal = refused_at_once(third).answers()[-1]
        assert refusal.reason == "Too Many Emergency Calls"
        assert "as many emergency calls in progress as it may have. Use another phone" in refusal.one("Warning")
        counted = counters(system) - before
        assert counted["refusals_total", "too_many_emergency_calls"] == 1
        assert counted["alarms_total", "call_limit_reached"] == 1
        assert counted["emergency_calls_total", "emergency", "refused"] == 1
        said = journalled(system, "refusal")
        assert (said["reason"], said["code"], said["kind"]) == ("too_many_emergency_calls", 503, "emergency")
        assert len(psap.received("INVITE")) == 2

        alice.hangup()
        alice.closed()
        in_progress(system, 1)
        third.calls("911")
    end(bob, psap)


def test_a9_a_stranger_is_nobodys_call_and_goes_though_the_tenant_has_as_many_as_it_may(
    system: System, limit: Limit, alice: Phone, psap: Phone
) -> None:
    limit(emergency=1)
    dial(alice)
    call = system.device("call", {"number": "911", "from": STRANGER}).run()
    assert call.ok, call.complaints
    end(alice, psap)


def test_a9_test_calls_have_a_limit_of_their_own(
    system: System, limit: Limit, alice: Phone, bob: Phone, psap: Phone
) -> None:
    limit(emergency=1, test=1)
    alice.dial("933")
    alice.established()
    with device_of(system, BOB) as device:
        refusal = refused_at_once(device, "933").answers()[-1]
        assert refusal.reason == "Too Many Test Calls"
        assert "as many test calls in progress as it may have. Emergency calls still work." in refusal.one("Warning")
        assert journalled(system, "refusal")["reason"] == "too_many_readback_calls"
    dial(bob)  # a test call takes no emergency call's place
    end(bob, psap)
    alice.hangup()
    alice.closed()


def test_a9_calls_that_ended_with_kamailio_are_counted_off(
    system: System, limit: Limit, alice: Phone, bob: Phone, psap: Phone
) -> None:
    limit(emergency=2)
    dial(alice)
    dial(bob)
    system.kamailio.kill()
    system.restart("kamailio")
    in_progress(system, 2)  # nobody saw them end: their numbers stay lent
    with device_of(system, ALICE) as third:
        third.calls("911")
    end(alice, psap)
    end(bob, psap)


def test_a9_ten_calls_at_once_go_by_default_and_the_eleventh_is_refused(system: System) -> None:
    psap = system.trunk_callee("uas_answers", {})
    psap.calls = 11
    psap.start()
    with device_of(system, ALICE) as ten, device_of(system, BOB) as eleventh:
        calls = ten.sipp("call", "911", duration_ms="5000")
        calls.calls = 10
        calls.start()
        in_progress(system, 10)
        refused_at_once(eleventh)
        outcome = calls.wait()
        assert outcome.ok, outcome.complaints
        assert outcome.statuses().count(200) == 10
        in_progress(system, 0)
        eleventh.calls("911")
    assert psap.wait().ok


def test_a9_o6_a_call_that_the_screening_centre_passes_on_is_not_counted_again(world: Carriers) -> None:
    system = world.system
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "1")
    screening = world.answers(SCREENING)
    psap = system.trunk_callee("uas_answers", {}).start()
    with device_of(system, ALICE) as alice, device_of(system, BOB) as bob:
        screened = alice.sipp("call", "911", duration_ms="4000").start()
        in_progress(system, 1)
        refused_at_once(bob)
        number = journalled(system, "call_started")["number"]
        passing_on = {"number": "911", "from": f"<sip:{number}@screening.invalid>", "duration_ms": "200"}
        passed_on = system.device("call", passing_on, address=world.places[SCREENING].address).run()
        assert passed_on.ok, passed_on.complaints
        [invite] = psap.wait().received("INVITE")
        assert invite.address("From").user == number
        outcome = screened.wait()
        assert outcome.ok, outcome.complaints
    assert screening.wait().ok
