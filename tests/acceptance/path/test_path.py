"""Which way a call goes: the platform's offer, the customer's carrier, the number's; the PSAP or a screening centre.

Every decision of the table in docs/decision-table.csv is a unit test; here a message of each kind takes the way.
"""

import json

import pytest

from lab.carriers import CARRIER, CUSTOMER, CUSTOMER_NUMBERS, POLICY, SCREENING, USAGE, Carriers
from lab.layout import ALICE, DEVICE_ADDRESS, POOL_NUMBERS, TENANT
from lab.sipp import Credentials, Outcome
from lab.system import System

AS_ALICE = Credentials(ALICE.name, ALICE.password)


def call_as_alice(system: System, number: str = "911", scenario: str = "call", **values: str) -> Outcome:
    """Register a device of alice's and let it call."""
    port = system.ports.one(DEVICE_ADDRESS)
    assert system.device("register", {}, port=port, credentials=AS_ALICE).run().ok
    said = {"number": number, "from": f"<sip:{ALICE.aor}>", "duration_ms": "200", **values}
    call = system.device(scenario, said, port=port).run()
    assert call.ok, call.complaints
    assert system.device("register", {"expires": "0"}, port=port, credentials=AS_ALICE).run().ok
    return call


def journalled(system: System) -> dict[str, object]:
    """What the journal says of the last call."""
    [last] = system.edge_rows("select payload from journal where kind = 'call_started' order by seq desc limit 1")
    found: dict[str, object] = json.loads(last["payload"])
    return found


def test_a8_c1_a_call_without_a_usable_location_goes_to_the_screening_centre(world: Carriers) -> None:
    screening = world.answers(SCREENING)
    call_as_alice(world.system)
    [invite] = screening.wait().received("INVITE")
    assert invite.request_uri.startswith("sip:911@")
    assert invite.address("From").user in POOL_NUMBERS
    assert journalled(world.system)["destination"] == "screening"


def test_c2_an_enhanced_number_goes_to_the_local_psap(world: Carriers) -> None:
    world.provisioned("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on")
    psap = world.system.trunk_callee("uas_answers", {}).start()
    call_as_alice(world.system)
    assert psap.wait().received("INVITE")
    assert journalled(world.system)["location"] == "registered"


def test_l3_a_location_that_was_typed_in_is_verified_by_voice_first(world: Carriers) -> None:
    world.provisioned("user", "set", ALICE.name, "--location", "typed")
    screening = world.answers(SCREENING)
    call_as_alice(world.system)
    assert screening.wait().received("INVITE")


@pytest.mark.parametrize(("element", "key"), [("subnet", "127.0.0.13/32"), ("bssid", "00-11-22-aa-bb-cc")])
def test_o3_o8_where_the_device_is_attached_overrides_the_registered_address(
    world: Carriers, element: str, key: str
) -> None:
    world.provisioned("number", "set", ALICE.number, "--location", "typed")
    world.provisioned("network-element", "add", element, key, "--tenant", TENANT, "--location", "austin")
    psap = world.system.trunk_callee("uas_answers", {}).start()
    call_as_alice(world.system, headers="P-Access-Network-Info: IEEE-802.11;i-wlan-node-id=001122AABBCC")
    [invite] = psap.wait().received("INVITE")
    assert not invite.all("P-Access-Network-Info")
    assert journalled(world.system)["location"] == "dynamic"


def test_o5_a_call_from_canada_is_screened_nationally_though_its_location_is_known(world: Carriers) -> None:
    world.provisioned("user", "set", ALICE.name, "--location", "austin")
    screening = world.answers(SCREENING)
    call_as_alice(world.system, headers="X-Emergency-Country: CA")
    [invite] = screening.wait().received("INVITE")
    assert not invite.all("X-Emergency-Country")
    assert journalled(world.system)["country"] == "CA"


def test_d8_l2_with_a_rule_for_the_usage_the_call_takes_the_customers_own_carrier(world: Carriers) -> None:
    world.provisioned("tenant", "set", TENANT, "--policy", POLICY)
    screening = world.answers(SCREENING)
    call_as_alice(world.system)
    assert screening.wait().received("INVITE"), "a policy whose usage has no rule leaves the call to the direct offer"
    world.provisioned("route", "add", "--tenant", TENANT, "--usage", USAGE, "--number", "911", "--group", CUSTOMER)
    customer = world.answers(CUSTOMER)
    call_as_alice(world.system)
    [invite] = customer.wait().received("INVITE")
    assert invite.address("From").user in CUSTOMER_NUMBERS, "the number is one that this carrier brings back"
    assert journalled(world.system)["path"] == "direct_routing"


def test_o1_a_call_goes_to_the_carrier_that_owns_the_users_number(world: Carriers) -> None:
    world.provisioned("number", "set", ALICE.number, "--carrier", CARRIER)
    carrier = world.answers(CARRIER)
    call_as_alice(world.system)
    assert carrier.wait().received("INVITE")


def test_when_the_screening_centre_is_gone_the_call_goes_to_the_psap(world: Carriers) -> None:
    psap = world.system.trunk_callee("uas_answers", {}).start()
    call_as_alice(world.system)
    assert psap.wait().received("INVITE")
