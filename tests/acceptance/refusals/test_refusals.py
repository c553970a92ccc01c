"""Who may not call, and how they are told so: code, phrase and Warning, counted and journalled, never silent."""

from dataclasses import dataclass

import pytest

from acceptance.devices import counters, device_of, journalled
from lab.carriers import BEHIND_PBX, CUSTOMER, POLICY, SCREENING, USAGE, Carriers
from lab.layout import ALICE, BOB, TENANT, TRUNK_GROUP
from lab.sip_messages import SipMessage

Command = tuple[str, ...]
#: NANP 555-01xx in Jamaica, which is not served.
JAMAICAN = "+18765550101"
NO_OUTBOUND_NUMBER: tuple[Command, ...] = tuple(
    ("number", "set", number, "--outbound", "off") for number in (ALICE.number, BOB.number, BEHIND_PBX)
)
COUNTRY_REQUIRED: tuple[Command, ...] = (("tenant", "set", TENANT, "--country-required", "on"),)
AS_A_JAMAICAN: tuple[Command, ...] = (
    ("number", "add", JAMAICAN, "--tenant", TENANT),
    ("user", "set", ALICE.name, "--number", JAMAICAN),
)
BY_RULE: tuple[Command, ...] = (
    ("tenant", "set", TENANT, "--policy", POLICY),
    ("route", "add", "--tenant", TENANT, "--usage", USAGE, "--number", "*", "--group", CUSTOMER),
)


@dataclass(frozen=True)
class Refused:
    """What is provisioned and dialled, and what the caller hears. `signalled`: the country that the phone says."""

    name: str
    provisioned: tuple[Command, ...]
    reason: str
    words: str
    dialled: str = "911"
    signalled: str = ""
    kind: str = "emergency"


REFUSALS = (
    Refused("a5: the tenant owns no number for outbound calls", NO_OUTBOUND_NUMBER, "no_outbound_number",
            "owns no number enabled for outbound calls"),
    Refused("a5: the test call says so, too", NO_OUTBOUND_NUMBER, "no_outbound_number",
            "owns no number enabled for outbound calls", "933", kind="readback"),
    Refused("d1: the profile permits no outbound calls", (("user", "set", ALICE.name, "--outbound", "off"),),
            "outbound_not_permitted", "This user's profile permits no outbound calls"),
    Refused("d1: a customer's own carrier does not change that",
            (*BY_RULE, ("user", "set", ALICE.name, "--outbound", "off")),
            "outbound_not_permitted", "This user's profile permits no outbound calls"),
    Refused("a6: nothing reliable says where the caller is", COUNTRY_REQUIRED, "country_unknown",
            "must send its country code"),
    Refused("a6: a code that is none counts as none", COUNTRY_REQUIRED, "country_unknown",
            "must send its country code", signalled="Narnia"),
    Refused("a6: a calling code is no country code", COUNTRY_REQUIRED, "country_unknown",
            "must send its country code", signalled="+1"),
    Refused("a6: two codes that contradict each other say nothing", COUNTRY_REQUIRED, "country_unknown",
            "must send its country code", signalled="US\nX-Emergency-Country: DK"),
    Refused("a6: the client is in a country that is not served", (), "country_not_served",
            "Emergency calls from this country (DE) are not served", "112", "DE"),
    Refused("d2: the tenant does not serve a country that the platform serves",
            (("country", "set", "GB", "--served", "off", "--tenant", TENANT),), "country_not_served",
            "Emergency calls from this country (GB) are not served", "999", "GB"),
    Refused("d2: the tenant's rule counts before the platform's",
            (("country", "set", "DE", "--served", "on"),
             ("country", "set", "DE", "--served", "off", "--tenant", TENANT)),
            "country_not_served", "Emergency calls from this country (DE) are not served", "112", "DE"),
    Refused("c3: the caller's number is of a country that is not served", AS_A_JAMAICAN, "number_not_served",
            "Numbers of this number's country have no access to emergency calling"),
)  # fmt: skip


def said(signalled: str) -> dict[str, str]:
    return {"headers": f"X-Emergency-Country: {signalled}"} if signalled else {}


def provision(world: Carriers, commands: tuple[Command, ...]) -> None:
    for command in commands:
        world.system.holdfast.run(*command)
    world.system.wait_synced()


def assert_told(refusal: SipMessage, words: str) -> None:
    warning = refusal.one("Warning")
    assert warning.startswith('399 holdfast "'), "RFC 3261 §20.43: code, agent and quoted text"
    assert words in warning
    assert "Use another phone to call for help." in warning, "whoever is refused must know what else to do"


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_a_call_that_may_not_go_is_refused_in_words_counted_and_journalled(world: Carriers, case: Refused) -> None:
    provision(world, case.provisioned)
    with device_of(world.system, ALICE) as alice:
        before, last = counters(world.system), journalled(world.system, "call_started")
        refusal = alice.is_refused(case.dialled, 403, **said(case.signalled))
        assert_told(refusal, case.words)
        counted = counters(world.system) - before
    assert counted["refusals_total", case.reason] == 1
    assert counted["emergency_calls_total", case.kind, "refused"] == 1
    [tenant] = world.system.edge_rows("select id from tenant where name = ?", TENANT)
    assert journalled(world.system, "refusal") == {
        "reason": case.reason, "code": 403, "tenant_id": tenant["id"], "kind": case.kind,
    }  # fmt: skip
    assert journalled(world.system, "call_started") == last, "nothing is lent for a call that does not go"
    assert not world.system.edge_rows("select * from emergency_call")


@dataclass(frozen=True)
class Permitted:
    """The counterpart of a refusal: what makes the call go after all."""

    name: str
    provisioned: tuple[Command, ...]
    country: str
    dialled: str = "911"
    signalled: str = ""
    trunk: str = SCREENING


PERMITTED = (
    Permitted("a5: the customer's own carrier asks for no number of the platform's", (*NO_OUTBOUND_NUMBER, *BY_RULE),
              "US", trunk=CUSTOMER),
    Permitted("c3: nor whose country the number is", (*AS_A_JAMAICAN, *BY_RULE), "US", trunk=CUSTOMER),
    Permitted("c3: a tenant that serves the number's country",
              (*AS_A_JAMAICAN, ("country", "set", "JM", "--served", "on", "--tenant", TENANT)), "US"),
    Permitted("a6: a territory is given as the US", COUNTRY_REQUIRED, "US", signalled="gu"),
    Permitted("a6: space around the code", COUNTRY_REQUIRED, "US", signalled=" us  "),
    Permitted("a6: the same code twice says what it says once", COUNTRY_REQUIRED, "US",
              signalled="US\nX-Emergency-Country: US"),
    Permitted("a6: the user is provisioned with a country", (*COUNTRY_REQUIRED, ("user", "set", ALICE.name,
              "--country", "GB")), "GB", "999"),
    Permitted("a6: the place where the user confirmed to be", (*COUNTRY_REQUIRED, ("user", "set", ALICE.name,
              "--location", "typed")), "US"),
    Permitted("d2: a country that the tenant serves", (("country", "set", "DE", "--served", "on", "--tenant", TENANT),),
              "DE", "112", "DE"),
    Permitted("d2: a country that the platform serves for all", (("country", "set", "DE", "--served", "on"),),
              "DE", "110", "DE"),
)  # fmt: skip


@pytest.mark.parametrize("case", PERMITTED, ids=lambda case: case.name)
def test_a_call_that_may_go_goes(world: Carriers, case: Permitted) -> None:
    provision(world, case.provisioned)
    answers = world.answers(case.trunk)
    with device_of(world.system, ALICE) as alice:
        alice.calls(case.dialled, **said(case.signalled))
    [invite] = answers.wait().received("INVITE")
    assert invite.request_uri.startswith(f"sip:{case.dialled}@")
    assert journalled(world.system, "call_started")["country"] == case.country


def test_d2_a_number_of_another_country_is_an_ordinary_one_however_it_is_refused_there(world: Carriers) -> None:
    """110 is Germany's police: for a caller in the US it is nobody, and answered like any other unknown number."""
    with device_of(world.system, ALICE) as alice:
        before = counters(world.system)
        alice.is_refused("110", 407)
        assert not {name for name in counters(world.system) - before if name[0] == "refusals_total"}


def test_a6_no_trunk_for_the_callers_country_is_said_in_words(world: Carriers) -> None:
    """After the announcement, which test_announcement.py listens to; here nobody is there to make it."""
    for group in (TRUNK_GROUP, SCREENING, CUSTOMER):
        world.system.holdfast.run("trunk-group", "set", group, "--country", "US")
    world.system.wait_synced()
    world.system.media.kill()
    with device_of(world.system, ALICE) as alice:
        before = counters(world.system)
        refusal = alice.is_refused("112", 503, **said("DK"))
        assert_told(refusal, "No trunk for emergency calls is provisioned")
        counted = counters(world.system) - before
    assert counted["refusals_total", "no_emergency_trunk"] == 1
    assert counted["alarms_total", "emergency_call_failed"] == 1
    assert journalled(world.system, "refusal")["reason"] == "no_emergency_trunk"


def test_o7_whether_the_security_desk_is_told_follows_the_callers_country(world: Carriers) -> None:
    told = {}
    provision(world, (
        ("country", "set", "GB", "--notify-desk", "off"),
        ("country", "set", "CA", "--notify-desk", "on"),
        ("country", "set", "CA", "--notify-desk", "off", "--tenant", TENANT),
    ))  # fmt: skip
    answers = world.answers(SCREENING, calls=3)
    with device_of(world.system, ALICE) as alice:
        for country, dialled in (("US", "911"), ("GB", "999"), ("CA", "911")):
            alice.calls(dialled, **said(country))
            told[country] = journalled(world.system, "call_started")["notify_desk"]
    assert answers.wait().ok
    assert told == {"US": True, "GB": False, "CA": False}


def test_a_refusal_is_never_a_challenge(world: Carriers) -> None:
    """Neither for a device that registered nor for somebody unknown."""
    provision(world, COUNTRY_REQUIRED)
    with device_of(world.system, ALICE) as alice:
        outcome = alice.sipp("call_refused", "911", code="403").run()
        assert outcome.statuses() == [403]
