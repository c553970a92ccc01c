"""N6: what `holdfast explain` says, and then the very call, placed for real: they must agree in everything.

The first trunk, the Request-URI, path and destination, the number that is shown, the refusal's code and words.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from acceptance.devices import Device, device_of, journalled
from acceptance.location.told import DATA, MULTIPART, SAYS_WHERE, example, located, with_document
from holdfast.edge import store as edge_store
from lab.carriers import BEHIND_PBX, CARRIER, CUSTOMER, PBX, POLICY, SCREENING, USAGE, Carriers
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, TENANT, TRUNK_GROUP
from lab.sip_messages import SipMessage
from lab.sipp import Outcome, Sipp
from lab.system import System
from lab.waiting import wait_until

Command = tuple[str, ...]
USER = ("--user", ALICE.name)
STRANGER = ("--from-address", DEVICE_ADDRESS)
FROM_PBX = ("--trunk", PBX, "--number", BEHIND_PBX)
ACCESS = "IEEE-802.11;i-wlan-node-id=001122AABBCC"
BY_RULE: tuple[Command, ...] = (
    ("tenant", "set", TENANT, "--policy", POLICY),
    ("route", "add", "--tenant", TENANT, "--usage", USAGE, "--number", "911", "--group", CUSTOMER),
)


@dataclass(frozen=True)
class Situation:
    """What is provisioned, who dials what, what `explain` is asked, and what the call itself carries."""

    name: str
    dialled: str = "911"
    provisioned: tuple[Command, ...] = ()
    caller: Command = USER
    asked: Command = ()
    headers: str = ""
    #: an example of tests/data/pidf_lo, which the phone sends
    document: str = ""
    #: what must come of it, so that no situation is another than it says: a trunk, a refusal's reason, "ordinary"
    comes_to: str = SCREENING


SITUATIONS = (
    Situation("a8: nobody knows where alice is"),
    Situation("c1: her registered address, not enhanced",
              provisioned=(("number", "set", ALICE.number, "--location", "austin"),)),
    Situation("c2: her number is enhanced", comes_to="psap-1",
              provisioned=(("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on"),)),
    Situation("l3: a place that she confirmed, of a validated address", comes_to="psap-1",
              provisioned=(("user", "set", ALICE.name, "--location", "austin"),)),
    Situation("l3: a place that was typed in", provisioned=(("user", "set", ALICE.name, "--location", "typed"),)),
    Situation("o3: the subnet that she is in", comes_to="psap-1", asked=("--from-address", DEVICE_ADDRESS),
              provisioned=(("network-element", "add", "subnet", "127.0.0.0/28", "--tenant", TENANT, "--location",
                            "austin"),)),
    Situation("o8: the access point that her phone names", comes_to="psap-1", asked=("--access", ACCESS),
              headers=f"P-Access-Network-Info: {ACCESS}",
              provisioned=(("network-element", "add", "bssid", "00-11-22-aa-bb-cc", "--tenant", TENANT, "--location",
                            "austin"),)),
    Situation("l1: where her phone says it is, measured", comes_to="psap-1", document="handset.xml"),
    Situation("l1: the same, told to the PSAP in the body", comes_to="psap-1", document="handset.xml",
              provisioned=(("trunk-group", "set", TRUNK_GROUP, "--location", "value"),)),
    Situation("l3: where her phone says it is, typed in", document="notification_uri.xml"),
    Situation("d8: a rule for the usage of the tenant's policy", provisioned=BY_RULE, comes_to=CUSTOMER),
    Situation("d8: a policy without a rule", provisioned=BY_RULE[:1]),
    Situation("o1: the carrier that owns her number", comes_to=CARRIER,
              provisioned=(("number", "set", ALICE.number, "--carrier", CARRIER),)),
    Situation("o5: Canada screens every call", asked=("--country", "CA"), headers="X-Emergency-Country: CA",
              provisioned=(("user", "set", ALICE.name, "--location", "austin"),)),
    Situation("a1: 999 in Great Britain", "999", asked=("--country", "GB"), headers="X-Emergency-Country: GB",
              comes_to=CARRIER),
    Situation("a1: 112 in the US", "112"),
    Situation("n7: a mask", "0911", provisioned=(*BY_RULE[:1], ("policy", "set", POLICY, "--tenant", TENANT, "--mask",
                                                                  "0911=911"))),
    Situation("n7: what the dial plan makes of it", "5911",
              provisioned=(("dial-rule", "add", "--tenant", TENANT, "--prefix", "5", "--strip", "1"),)),
    Situation("l1: somebody behind a PBX", caller=FROM_PBX),
    Situation("l2: a PBX's call by its tenant's rule", caller=FROM_PBX, provisioned=BY_RULE, comes_to=CUSTOMER),
    Situation("a1: a stranger", caller=STRANGER),
    Situation("a7: the test number", "933", comes_to="readback"),
    Situation("a1: the number of another country", "999", comes_to="ordinary"),
    Situation("a1: somebody's telephone number", "+12025550177", comes_to="ordinary"),
    Situation("d1: no outbound calls", provisioned=(("user", "set", ALICE.name, "--outbound", "off"),),
              comes_to="outbound_not_permitted"),
    Situation("a5: no outbound number", comes_to="no_outbound_number",
              provisioned=tuple(("number", "set", number, "--outbound", "off")
                                for number in (ALICE.number, BOB.number, BEHIND_PBX))),
    Situation("a6: nothing says in which country she is", comes_to="country_unknown",
              provisioned=(("tenant", "set", TENANT, "--country-required", "on"),)),
    Situation("a6: a country that is not served", "112", asked=("--country", "DE"), headers="X-Emergency-Country: DE",
              comes_to="country_not_served"),
    Situation("a6: no trunk for her country", "112", asked=("--country", "DK"), headers="X-Emergency-Country: DK",
              comes_to="no_emergency_trunk",
              provisioned=tuple(("trunk-group", "set", group, "--country", "US")
                                for group in (TRUNK_GROUP, SCREENING, CUSTOMER))),
)  # fmt: skip


def explained(world: Carriers, situation: Situation) -> dict[str, Any]:
    said = [*situation.caller, *situation.asked]
    if situation.document:
        said += ["--pidf-lo", str(DATA / "examples" / situation.document)]
    told: dict[str, Any] = world.system.holdfast.json("explain", "--dial", situation.dialled, *said)
    assert told["hindered_by"] is None
    return told


def call(world: Carriers, alice: Device, situation: Situation, scenario: str, **values: str) -> Outcome:
    """Place it from whoever's device or trunk it is."""
    said = {"headers": situation.headers, **values}
    if situation.document:
        said |= {"content_type": MULTIPART, "headers": SAYS_WHERE, "body": with_document(example(situation.document))}
        scenario = "call_with_body"
    if situation.caller == USER:
        device = alice.sipp(scenario, situation.dialled, **said)
    else:
        pbx = situation.caller == FROM_PBX
        whose = f"<sip:{BEHIND_PBX}@pbx.invalid>" if pbx else "<sip:somebody@elsewhere.invalid>"
        said |= {"number": situation.dialled, "from": whose, "duration_ms": "200"}
        device = world.system.device(scenario, said, address=world.places[PBX].address if pbx else DEVICE_ADDRESS)
    outcome = device.run()
    assert outcome.ok, outcome.complaints
    return outcome


def at(world: Carriers, trunk: str) -> Sipp:
    """Whoever answers behind this trunk."""
    if trunk in world.places:
        return world.answers(trunk)
    return world.system.trunk_callee("uas_answers", {}, trunk=int(trunk[-1]) - 1).start()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_n6_the_call_goes_as_it_was_explained(world: Carriers, situation: Situation) -> None:
    for command in situation.provisioned:
        world.system.holdfast.run(*command)
    world.system.wait_synced()
    with device_of(world.system, ALICE) as alice:
        told, last = explained(world, situation), journalled(world.system, "call_started")
        match told["outcome"]:
            case "ordinary":
                assert situation.comes_to == "ordinary"
                assert call(world, alice, situation, "call_refused", code="407").statuses()[-1] == 407
                assert journalled(world.system, "call_started") == last
            case "refused":
                assert situation.comes_to == told["reason"]
                world.system.media.kill()  # nobody to announce it: at once
                refusal = call(world, alice, situation, "call_refused", code=str(told["code"])).answers()[-1]
                assert_refused_as_told(world.system, refusal, told)
            case "readback":
                assert situation.comes_to == "readback"
                call(world, alice, situation, "call")
                kept = journalled(world.system, "call_started")
                assert (kept["kind"], kept["number"]) == ("readback", told["number_shown"])
            case _:
                first = told["trunks"][0]
                assert situation.comes_to == first["trunk"]
                answers = at(world, first["trunk"])
                call(world, alice, situation, "call")
                [invite] = answers.wait().received("INVITE")
                assert_gone_as_told(world.system, invite, told)


def assert_refused_as_told(system: System, refusal: SipMessage, told: dict[str, Any]) -> None:
    assert (refusal.status, refusal.reason) == (told["code"], told["phrase"])
    assert told["text"] in refusal.one("Warning")
    assert journalled(system, "refusal")["reason"] == told["reason"]


def assert_gone_as_told(system: System, invite: SipMessage, told: dict[str, Any]) -> None:
    assert invite.request_uri == told["trunks"][0]["request_uri"]
    assert invite.address("From").user == told["number_shown"]
    kept = journalled(system, "call_started")
    topics = ("country", "path", "destination", "location", "validation", "notify_desk")
    assert {topic: kept[topic] for topic in topics} == {topic: told[topic] for topic in topics}
    [pool] = system.edge_rows(
        "select name from pool where id = (select pool_id from pool_number where number = ?)", told["number_shown"]
    )
    assert pool["name"] == told["pool"]
    if told["trunks"][0]["location_method"] == "value":
        assert told["location_told"]
        assert located(invite)
    else:
        assert invite.one("Content-Type") == "application/sdp"


def test_n6_a9_as_many_calls_as_may_be(world: Carriers) -> None:
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "1")
    situation = Situation("one call too many")
    answers = world.answers(SCREENING)
    with device_of(world.system, BOB) as bob, device_of(world.system, ALICE) as alice:
        assert explained(world, situation)["in_progress"] == {"here": 0, "elsewhere": 0}
        in_progress = bob.sipp("call", "911", duration_ms="4000").start()
        wait_until(
            "a call in progress", lambda: world.system.edge_rows("select * from emergency_call"), within_s=10
        )  # fmt: skip
        told = explained(world, situation)
        assert told["in_progress"] == {"here": 1, "elsewhere": 0}
        refusal = call(world, alice, situation, "call_refused", code="503").answers()[-1]
        assert_refused_as_told(world.system, refusal, told)
        assert in_progress.wait().ok
    assert answers.wait().ok


def everything(system: System) -> list[str]:
    """Every row of the store."""
    with closing(edge_store.connect(system.settings.node.edge_store, create=False)) as connection:
        return list(connection.iterdump())


def test_n6_n1_with_postgresql_agent_and_kamailio_down_it_says_the_same_and_writes_nothing(world: Carriers) -> None:
    world.provisioned("user", "set", ALICE.name, "--location", "austin")
    before = explained(world, Situation("as before"))
    world.system.postgres.stop()
    world.system.agent.kill()
    world.system.kamailio.kill()
    rows = everything(world.system)
    told: dict[str, Any] = world.system.holdfast.json("explain", "--dial", "911", *USER)
    world.system.holdfast.run("explain", "--dial", "933", *USER)
    world.system.holdfast.run("explain", "--dial", "112", *STRANGER, "--country", "DE")
    assert "no call would be taken here now" in told.pop("hindered_by")
    assert told == {name: value for name, value in before.items() if name != "hindered_by"}
    assert everything(world.system) == rows
