"""An emergency call is given up only when no trunk is left; its caller then hears so, and is told so once more."""

import pytest

from acceptance.devices import counters, journalled
from lab.audio import read_wav
from lab.carriers import CUSTOMER, SCREENING, Carriers
from lab.layout import ALICE, TRUNK_GROUP
from lab.phones import Phone
from lab.recordings import find_clips, trimmed
from lab.services import prompts


def times_said(phone: Phone) -> int:
    """How often the sentence is in what the phone received."""
    sentence = trimmed(read_wav(prompts() / "en" / "emergency" / "unavailable.wav").astype(float))
    return len(find_clips(read_wav(phone.recordings()[-1]).astype(float), {"unavailable": sentence}))


def refused_after_the_announcement(world: Carriers, alice: Phone, words: str) -> None:
    before = counters(world.system)
    alice.dial("911")
    assert alice.closed(within_s=40).detail.startswith("503")
    assert times_said(alice) == 2
    statuses = [answer.status for answer in alice.answers("INVITE")]
    assert 200 not in statuses, "no phone may take it for a call that works"
    [refusal] = [answer for answer in alice.answers("INVITE") if answer.status == 503]
    assert words in refusal.one("Warning")
    assert (counters(world.system) - before)["alarms_total", "emergency_call_failed"] == 1


def test_a_phone_whose_call_no_trunk_took_hears_so_twice_and_is_then_refused(world: Carriers) -> None:
    alice = world.system.phone(ALICE)
    refusing = [world.answers(name, "uas_refuses", code="503") for name in (SCREENING, CUSTOMER)]
    refusing += [world.system.trunk_callee("uas_refuses", {"code": "500"}, trunk=trunk).start() for trunk in (0, 1)]
    refused_after_the_announcement(world, alice, "No trunk could take the call. Use another phone to call for help.")
    shown = {peer.wait().received("INVITE")[0].address("From").user for peer in refusing}
    number = journalled(world.system, "call_started")["number"]
    assert shown == {number}
    assert number in {lease["number"] for lease in world.system.leases()}, "it stays lent: a PSAP may have seen it"
    assert not world.system.edge_rows("select * from emergency_call")


@pytest.mark.parametrize("why", ["the callers' country has none", "none is enabled"])
def test_a_phone_for_whose_call_there_is_no_trunk_hears_so_and_is_told_the_reason(world: Carriers, why: str) -> None:
    alice = world.system.phone(ALICE)
    run = world.system.holdfast.run
    if why == "none is enabled":
        for trunk in ("psap-1", "psap-2", SCREENING, CUSTOMER):
            run("trunk", "set", trunk, "--enabled", "off")
    else:
        for group in (TRUNK_GROUP, SCREENING, CUSTOMER):
            run("trunk-group", "set", group, "--country", "US")
        run("user", "set", ALICE.name, "--country", "CA")
    world.system.wait_synced()
    last = journalled(world.system, "call_started")
    refused_after_the_announcement(
        world, alice, "No trunk for emergency calls is provisioned. Use another phone to call for help."
    )
    assert journalled(world.system, "call_started") == last, "no number is lent for a call that nobody could see"
