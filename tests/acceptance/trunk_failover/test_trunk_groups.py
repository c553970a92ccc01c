"""Trunk groups as provisioned: time limits, final codes, priority, weight, health; and the other path last."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from acceptance.devices import counters, device_of, journalled
from lab.carriers import CUSTOMER, CUSTOMER_NUMBERS, POLICY, SCREENING, USAGE, Carriers
from lab.layout import ALICE, POOL_NUMBERS, TENANT, TRUNK_GROUP
from lab.sipp import Outcome, Sipp
from lab.waiting import wait_until

CALL = {"number": "911", "from": "<sip:somebody@elsewhere.invalid>", "duration_ms": "200"}
FIRST, SECOND = "psap-1", "psap-2"


@pytest.fixture
def psaps(world: Carriers) -> Carriers:
    """Of all carriers only the group of the two PSAP trunks takes calls."""
    run = world.system.holdfast.run
    for trunk in (SCREENING, CUSTOMER):
        run("trunk", "set", trunk, "--enabled", "off")
    world.system.wait_synced()
    return world


def calls(world: Carriers, scenario: str = "call", **values: str) -> Outcome:
    outcome = world.system.device(scenario, {**CALL, **values}).run()
    assert outcome.ok, outcome.complaints
    return outcome


def at(world: Carriers, trunk: str, scenario: str = "uas_answers", **values: str) -> Sipp:
    """Somebody in the place of one of the two."""
    return world.system.trunk_callee(scenario, values, trunk=[FIRST, SECOND].index(trunk)).start()


def first_invite_at(peer: Sipp) -> float:
    return next(logged.at for logged in peer.messages() if logged.message and logged.message.method == "INVITE")


# Time limits and final codes ------------------------------------------------------------------------------------------


def test_a_trunk_that_says_nothing_is_given_up_after_its_groups_time(psaps: Carriers) -> None:
    psaps.provisioned("trunk-group", "set", TRUNK_GROUP, "--answers-within", "400")
    silent = at(psaps, FIRST, "uas_silent", duration_ms="3000")
    second = at(psaps, SECOND)
    calls(psaps)
    waited_s = first_invite_at(second) - first_invite_at(silent)
    assert 0.3 < waited_s < 1.5, "a trunk group made without --answers-within waits for three seconds"


def test_a_trunk_that_only_rings_is_given_up_after_its_groups_time(psaps: Carriers) -> None:
    """RFC 3261 §16.8: and it is cancelled, so that nobody answers there afterwards."""
    psaps.provisioned("trunk-group", "set", TRUNK_GROUP, "--rings-within", "10000")
    rings = at(psaps, FIRST, "uas_rings")
    second = at(psaps, SECOND)
    calls(psaps)
    assert 9 < first_invite_at(second) - first_invite_at(rings) < 13
    assert rings.wait().received("CANCEL")


def test_a_code_that_is_final_for_the_group_ends_the_call(psaps: Carriers) -> None:
    psaps.provisioned("trunk-group", "set", TRUNK_GROUP, "--final-codes", "404")
    at(psaps, FIRST, "uas_refuses", code="404")
    second = at(psaps, SECOND)
    assert calls(psaps, "call_refused", code="404").statuses()[-1] == 404
    assert not second.messages()
    assert not psaps.system.edge_rows("select * from emergency_call")


@pytest.mark.parametrize(("final_codes", "code"), [("404", "486"), ("none", "603")])
def test_a_code_that_is_not_final_for_the_group_is_passed_over(psaps: Carriers, final_codes: str, code: str) -> None:
    """A decline as well, which RFC 3261 §16.7 would have end the call: another PSAP's trunk may take it."""
    psaps.provisioned("trunk-group", "set", TRUNK_GROUP, "--final-codes", final_codes)
    at(psaps, FIRST, "uas_refuses", code=code)
    second = at(psaps, SECOND)
    calls(psaps)
    assert second.wait().received("INVITE")


# Priority, weight, health ---------------------------------------------------------------------------------------------


def test_the_trunk_of_the_lower_priority_number_is_first(psaps: Carriers) -> None:
    psaps.provisioned("trunk", "set", SECOND, "--priority", "0")
    first, second = at(psaps, FIRST), at(psaps, SECOND)
    calls(psaps)
    assert second.wait().received("INVITE")
    assert not first.messages()


def test_trunks_of_one_priority_share_the_calls_by_their_weights(psaps: Carriers) -> None:
    run = psaps.system.holdfast.run
    run("trunk", "set", FIRST, "--weight", "3")
    run("trunk", "set", SECOND, "--priority", "1", "--weight", "1")
    psaps.system.wait_synced()
    peers = [psaps.system.trunk_callee("uas_answers", {"ring_ms": "1"}, trunk=trunk) for trunk in (0, 1)]
    many = psaps.system.device("call", {**CALL, "duration_ms": "1"})
    many.calls = 120
    many.rate_per_s = 40
    for peer in peers:
        peer.calls = many.calls
        peer.start()
    outcome = many.run()
    assert outcome.ok, outcome.complaints
    taken = [
        len({logged.message.call_id for logged in peer.messages() if logged.message and not logged.sent})
        for peer in peers
    ]
    assert sum(taken) == many.calls
    # 90 ± 5 standard deviations, of which one is √(120 · ¾ · ¼)
    assert 66 <= taken[0] <= 114, taken


@pytest.fixture
def first_is_down(psaps: Carriers) -> Iterator[Carriers]:
    """The agent found that the first trunk answers no OPTIONS: its row, as edge.health writes it."""
    system = psaps.system
    [trunk] = system.edge_rows("select id, host, port, transport from trunk where name = ?", FIRST)

    def changed(statement: str, values: Mapping[str, object]) -> None:
        with closing(sqlite3.connect(system.settings.node.edge_store, timeout=5)) as connection, connection:
            connection.execute(statement, values)
            connection.execute("update store set network_version = network_version + 1")

    changed(
        """insert into trunk_health
               (trunk_id, address, port, transport, state, changed_at, checked_at, failures, reason)
           values (:id, :host, :port, :transport, 'down', :now, :now, 3, 'no answer')""",
        {**trunk, "now": time.time()},
    )
    yield psaps
    changed("delete from trunk_health where trunk_id = :id", trunk)


def test_a_trunk_that_answers_no_options_is_not_tried_first(first_is_down: Carriers) -> None:
    first, second = at(first_is_down, FIRST), at(first_is_down, SECOND)
    calls(first_is_down)
    assert second.wait().received("INVITE")
    assert not first.messages()


def test_a_trunk_that_answers_no_options_is_tried_when_the_others_fail(first_is_down: Carriers) -> None:
    """Health is a hint: an emergency call is given up only when no trunk is left."""
    first = at(first_is_down, FIRST)
    refuses = at(first_is_down, SECOND, "uas_refuses", code="503")
    calls(first_is_down)
    assert refuses.wait().received("INVITE")
    assert first.wait().received("INVITE")


# The other path last --------------------------------------------------------------------------------------------------


def test_when_the_customers_carrier_fails_the_call_takes_the_direct_offer(world: Carriers) -> None:
    world.system.holdfast.run("tenant", "set", TENANT, "--policy", POLICY)
    world.provisioned("route", "add", "--tenant", TENANT, "--usage", USAGE, "--number", "911", "--group", CUSTOMER)
    customer = world.answers(CUSTOMER, "uas_refuses", code="503")
    screening = world.answers(SCREENING)
    with device_of(world.system, ALICE) as alice:
        alice.calls("911")
    [refused] = customer.wait().received("INVITE")
    [invite] = screening.wait().received("INVITE")
    assert refused.address("From").user == invite.address("From").user in CUSTOMER_NUMBERS
    assert journalled(world.system, "call_started")["path"] == "direct_routing"


def test_when_the_direct_offer_fails_the_call_takes_the_tenants_own_carrier(world: Carriers) -> None:
    """Though no rule sends it there; a call of nobody's tenant does not."""
    refusing = [world.answers(SCREENING, "uas_refuses", calls=2, code="503")]
    refusing += [world.system.trunk_callee("uas_refuses", {"code": "503"}, trunk=trunk) for trunk in (0, 1)]
    for peer in refusing[1:]:
        peer.calls = 2
        peer.start()
    customer = world.answers(CUSTOMER)
    with device_of(world.system, ALICE) as alice:
        alice.calls("911")
    [invite] = customer.wait().received("INVITE")
    assert invite.address("From").user in POOL_NUMBERS, "the number is one that the first trunk's carrier brings back"
    world.system.media.kill()
    calls(world, "call_refused", code="503")
    assert all(len(peer.wait().received("INVITE")) == 2 for peer in refusing)


# No trunk left --------------------------------------------------------------------------------------------------------


def test_n1_without_the_media_server_the_caller_is_refused_at_once(psaps: Carriers) -> None:
    psaps.system.media.kill()
    for trunk in (FIRST, SECOND):
        at(psaps, trunk, "uas_refuses", code="503")
    before = counters(psaps.system)
    outcome = calls(psaps, "call_refused", code="503")
    invite, final = outcome.messages[0], next(m for m in outcome.messages if m.message and m.message.status == 503)
    assert final.at - invite.at < 2, "two refusals and the second in which the media server would have said 100"
    assert final.message
    assert "No trunk could take the call. Use another phone" in final.message.one("Warning")
    counted = counters(psaps.system) - before
    assert counted["trunk_failovers_total",] == 2
    assert counted["alarms_total", "emergency_call_failed"] == 1
    assert counted["emergency_calls_total", "emergency", "failed"] == 1
    wait_until("the call to be closed", lambda: not psaps.system.edge_rows("select * from emergency_call"), within_s=5)
