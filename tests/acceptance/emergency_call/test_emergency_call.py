"""A phone dials 911: the PSAP sees the callback number and nothing else of the caller."""

import pytest

from acceptance.calls import dial_911, emergency_call, end, hear_each_other
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, POOL_NUMBERS, TENANT
from lab.phones import Phone
from lab.sipp import SCENARIOS, Credentials
from lab.system import System
from lab.waiting import wait_until

WEEK_S = 7 * 24 * 3600

OWN = f"sip:{ALICE.number}@{DOMAIN}"
TALKATIVE = "\n".join(
    [
        "Privacy: id;header;user",
        f'P-Preferred-Identity: "Alice" <{OWN}>',
        f'P-Asserted-Identity: "Alice" <{OWN}>',
        f"P-Asserted-Identity : <tel:{ALICE.number}>",
        f"Remote-Party-ID: <{OWN}>;party=calling;privacy=full",
        f"Diversion: <{OWN}>;reason=unconditional",
        f"History-Info: <{OWN}>;index=1",
        f"Referred-By: <{OWN}>",
        f"Reply-To: <{OWN}>",
        "Organization: alice",
        f"P-Charge-Info: <{OWN}>",
        f"P-Associated-URI: <{OWN}>",
        "User-to-User: alice;encoding=text",
        "Subject: alice",
        "User-Agent: alice",
        f"Call-Info: <http://example.invalid/{ALICE.number}>;purpose=info",
        f"X-Caller: {ALICE.number}",
    ]
)


def test_a1_a911_call_reaches_the_psap_and_both_sides_hear_each_other(alice: Phone, psap: Phone) -> None:
    invite = dial_911(alice, psap)
    assert invite.request_uri.startswith("sip:911@")
    hear_each_other(alice, psap)
    end(alice, psap)


def test_a1_nothing_has_to_be_switched_on_a_call_over_tcp_goes_as_well(system: System, psap: Phone) -> None:
    alice = system.phone(ALICE, transport="tcp")
    assert dial_911(alice, psap).address("From").user in POOL_NUMBERS
    end(psap, alice)


@pytest.mark.parametrize("dialled", ["911", "+911", "112", "9911", "+1911", "1911", "+1112"])
def test_a1_every_form_of_the_number_reaches_the_psap_as_911(system: System, psap: Phone, dialled: str) -> None:
    call = system.device("call", {"number": dialled, "from": "<sip:somebody@elsewhere.invalid>"}).run()
    assert call.ok, call.complaints
    assert psap.received("INVITE")[-1].request_uri.startswith("sip:911@")


@pytest.mark.parametrize("uri", ["urn:service:sos", "urn:service:sos.fire", "tel:911", "sip:9%311@{{domain}}"])
def test_a1_however_the_request_uri_names_the_number_it_reaches_the_psap_as_911(
    system: System, psap: Phone, uri: str
) -> None:
    scenario = (SCENARIOS / "call.xml").read_text(encoding="utf-8")
    scenario = scenario.replace("INVITE sip:{{number}}@{{domain}} SIP", f"INVITE {uri} SIP")
    call = system.device(scenario, {"number": "911", "from": "<sip:somebody@elsewhere.invalid>"}).run()
    assert call.ok, call.complaints
    assert psap.received("INVITE")[-1].request_uri.startswith("sip:911@")


@pytest.mark.parametrize("dialled", ["9115551234", "*911", "911%23", "91"])
def test_a1_what_only_looks_like_an_emergency_number_is_not_captured(system: System, psap: Phone, dialled: str) -> None:
    call = system.device("call_refused", {"number": dialled, "from": "<sip:x@elsewhere.invalid>", "code": "407"}).run()
    assert call.ok, call.complaints
    assert not psap.received("INVITE")


@pytest.mark.parametrize("whose", ["user", "tenant"])
def test_a1_the_number_is_that_of_the_country_the_caller_is_in(
    system: System, alice: Phone, psap: Phone, whose: str
) -> None:
    name = {"user": ALICE.name, "tenant": TENANT}[whose]
    system.holdfast.run(whose, "set", name, "--country", "GB")
    system.wait_synced()
    try:
        alice.dial("911")
        alice.closed()
        assert not psap.received("INVITE")
        alice.dial("999")
        psap.established()
        assert psap.received("INVITE")[-1].request_uri.startswith("sip:999@")
        alice.established()
        end(alice, psap)
    finally:
        system.holdfast.run(whose, "set", name, *(["--no-country"] if whose == "user" else ["--country", "US"]))
        system.wait_synced()


def test_a2_the_psap_sees_the_callback_number_and_no_trace_of_the_callers_own(system: System, psap: Phone) -> None:
    port = system.ports.one(DEVICE_ADDRESS)
    credentials = Credentials(ALICE.name, ALICE.password)
    assert system.device("register", {}, port=port, credentials=credentials).run().ok
    values = {"number": "911", "from": f'"Alice Doe" <{OWN}>', "headers": TALKATIVE}
    call = system.device("call", {**values, "contact_user": ALICE.number}, port=port).run()
    assert call.ok, call.complaints
    number = system.lease_of(ALICE)["number"]
    invite = psap.received("INVITE")[-1]
    assert invite.address("From").user == number
    assert invite.address("P-Asserted-Identity").user == number
    assert len(invite.all("P-Asserted-Identity")) == 1
    assert invite.get("Priority") == "emergency"
    for message in psap.received("INVITE") + psap.received("ACK") + psap.received("BYE"):
        for private in (ALICE.number.removeprefix("+1"), "Alice", "alice", "anonymous"):
            assert private not in message, f"{private} is in {message.start_line}"
        for name in ("Privacy", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info", "X-Caller"):
            assert not message.all(name), name
    psap.closed()
    assert system.device("register", {"expires": "0"}, port=port, credentials=credentials).run().ok


def test_a2_nothing_names_the_caller_in_the_later_requests_of_the_call(system: System, psap: Phone) -> None:
    scenario = (SCENARIOS / "call.xml").read_text(encoding="utf-8")
    for method in ("ACK", "BYE"):
        scenario = scenario.replace(f"CSeq: [cseq] {method}\n", f"CSeq: [cseq] {method}\n      {{{{headers}}}}\n")
    values = {"number": "911", "from": f'"Alice Doe" <{OWN}>', "headers": TALKATIVE}
    call = system.device(scenario, values).run()
    assert call.ok, call.complaints
    psap.closed()
    [bye] = psap.received("BYE")
    [ack] = psap.received("ACK")
    for message in (ack, bye):
        for private in (ALICE.number.removeprefix("+1"), "Alice", "alice"):
            assert private not in message, f"{private} is in {message.start_line}"


def test_a2_the_callers_phone_names_nobody_when_either_side_holds_the_call(alice: Phone, psap: Phone) -> None:
    dial_911(alice, psap)
    alice.hold()
    wait_until("the caller's re-INVITE", lambda: len(psap.received("INVITE")) == 2, within_s=5)
    held = psap.received("INVITE")[-1]
    assert held.address("Contact").user in POOL_NUMBERS
    assert not held.all("User-Agent")
    psap.hold()
    answers = wait_until(
        "the answer to the PSAP's", lambda: [a for a in psap.answers("INVITE") if a.status == 200], within_s=5
    )
    assert answers[-1].address("Contact").user in POOL_NUMBERS
    assert answers[-1].address("To").user in POOL_NUMBERS


def test_a2_the_answer_to_the_psaps_bye_names_nobody(alice: Phone, psap: Phone) -> None:
    dial_911(alice, psap)
    end(psap, alice)
    wait_until("the answer to the PSAP's BYE", lambda: psap.answers("BYE"), within_s=5)
    assert alice.name not in psap.answers("BYE")[-1]


def test_a2_the_phone_still_sees_its_own_dialog(alice: Phone, psap: Phone) -> None:
    """The rewriting is undone on the way back: a strict phone finds the From it sent in every answer."""
    emergency_call(alice, psap)
    assert {answer.address("From").user for answer in alice.answers("INVITE")} == {"alice"}


def test_a3_the_number_is_the_same_for_every_call_within_the_window(alice: Phone, psap: Phone) -> None:
    first = emergency_call(alice, psap)
    for phone in (alice, psap):
        phone.forget_events()
    assert emergency_call(alice, psap) == first


def test_a3_two_callers_never_see_the_same_number(alice: Phone, bob: Phone, psap: Phone) -> None:
    first = emergency_call(alice, psap)
    psap.forget_events()
    assert emergency_call(bob, psap) != first


def test_a3_the_record_of_who_held_a_number_reaches_postgresql(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    system.wait_shipped()
    assert system.database_rows("select aor from lease where number = %s", number) == [(ALICE.aor,)]


def test_a3_the_record_is_erased_everywhere_when_window_and_rest_are_over(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    system.wait_shipped()
    system.let_time_pass(WEEK_S)
    wait_until("the lease to be erased on the node", lambda: not system.leases(), within_s=10)
    system.wait_shipped()
    assert not system.database_rows("select * from lease where number = %s", number)
    assert not system.database_rows("select * from journal where payload::text like %s", f"%{ALICE.name}%")


def test_a5_without_an_outbound_number_the_call_is_refused_with_the_reason(
    system: System, alice: Phone, psap: Phone
) -> None:
    system.holdfast.run("tenant", "create", "Elsewhere", "--country", "US")
    system.holdfast.run("number", "add", "+12025550111", "--tenant", "Elsewhere")  # helps nobody of alice's tenant
    for user in (ALICE, BOB):
        system.holdfast.run("number", "set", user.number, "--outbound", "off")
    system.wait_synced()
    try:
        alice.dial("911")
        assert alice.closed().detail.startswith("403")
        [refusal] = [answer for answer in alice.answers("INVITE") if answer.status == 403]
        assert "no number enabled for outbound calls" in refusal.one("Warning")
        assert not psap.received("INVITE")
        last = system.edge_rows("select payload from journal where kind = 'refusal' order by seq desc limit 1")
        assert '"reason": "no_outbound_number"' in last[0]["payload"]
    finally:
        for user in (ALICE, BOB):
            system.holdfast.run("number", "set", user.number, "--outbound", "on")
        system.wait_synced()


def test_d1_a_user_whose_profile_permits_no_outbound_calls_is_refused(
    system: System, alice: Phone, psap: Phone
) -> None:
    system.holdfast.run("user", "set", ALICE.name, "--outbound", "off")
    system.wait_synced()
    alice.dial("911")
    assert alice.closed().detail.startswith("403")
    [refusal] = [t.message for t in alice.trace() if t.message.method == "INVITE" and not t.message.is_request
                 and t.message.status == 403]  # fmt: skip
    assert "profile permits no outbound calls" in refusal.one("Warning")
    assert not psap.received("INVITE")
    last = system.edge_rows("select payload from journal where kind = 'refusal' order by seq desc limit 1")
    assert '"reason": "outbound_not_permitted"' in last[0]["payload"]


def test_an_unknown_caller_is_never_challenged_and_gets_a_number_of_its_own(system: System, psap: Phone) -> None:
    """Whatever identity it claims: its lease is bound to its address, not to the user it names."""
    call = system.device("call", {"number": "911", "from": f"<sip:{ALICE.aor}>"}).run()
    assert call.ok, call.complaints
    assert 401 not in call.statuses()
    assert 407 not in call.statuses()
    number = psap.received("INVITE")[-1].address("From").user
    [lease] = [lease for lease in system.leases() if lease["number"] == number]
    assert lease["aor"] is None
    assert str(lease["caller_key"]).startswith("contact:udp:127.0.0.13:")


def test_a_cancelled_call_is_cancelled_at_the_psap_and_its_window_runs(system: System) -> None:
    with_ringing = system.trunk_callee("uas_rings", {}).start()
    call = system.device("call_cancelled", {"number": "911", "from": "<sip:somebody@elsewhere.invalid>"}).run()
    assert call.ok, call.complaints
    assert with_ringing.wait().received("CANCEL")
    assert not system.edge_rows("select * from emergency_call")
