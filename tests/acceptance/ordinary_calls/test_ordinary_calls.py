"""Ordinary life: phones register, call each other, call out, are called; what may not be is refused clearly."""

from collections.abc import Iterator

import pytest

from acceptance.calls import end, hear_each_other
from lab.layout import ALICE, BOB, DOMAIN, TENANT
from lab.phones import Phone
from lab.sipp import SCENARIOS, Credentials
from lab.system import System

CARRIER = "127.0.0.30"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_phones_call_each_other(system: System, transport: str) -> None:
    alice, bob = system.phone(ALICE, transport=transport), system.phone(BOB)
    alice.dial(f"sip:{BOB.aor}")
    bob.ringing()
    bob.answer()
    alice.established()
    hear_each_other(alice, bob)
    end(bob, alice)
    assert not system.edge_rows("select * from emergency_call")


def test_a_user_is_called_by_number_as_well(alice: Phone, bob: Phone) -> None:
    alice.dial(BOB.number)
    bob.ringing()
    alice.hangup()
    bob.closed()


@pytest.mark.parametrize(("user", "password"), [(ALICE.name, "wrong"), ("nobody", "wrong")])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(system: System, user: str, password: str) -> None:
    outcome = system.device("register_refused", {"code": "403"}, credentials=Credentials(user, password)).run()
    assert outcome.ok, outcome.complaints


def test_credentials_register_no_other_user(system: System) -> None:
    """Alice's own credentials, for bob's address of record."""
    text = (SCENARIOS / "register_refused.xml").read_text(encoding="utf-8")
    scenario = text.replace("username={{user}}", f"username={ALICE.name}")
    values = {"code": "403", "user": BOB.name, "password": ALICE.password}
    outcome = system.device(scenario, values, credentials=Credentials(ALICE.name, ALICE.password)).run()
    assert outcome.ok, outcome.complaints
    assert BOB.aor not in {row["user"] for row in system.holdfast.json("registration", "list")}


def test_a_call_without_credentials_is_challenged(system: System, alice: Phone) -> None:
    values = {"number": ALICE.name, "from": f"<sip:{BOB.aor}>", "code": "407"}
    call = system.device("call_refused", values).run()
    assert call.ok, call.complaints
    assert not alice.received("INVITE")


@pytest.mark.parametrize(
    ("target", "answer"), [("nobody", "404"), ("12345", "404"), (BOB.name, "480"), ("+12025550140", "404")]
)
def test_who_cannot_be_reached_is_said(alice: Phone, target: str, answer: str) -> None:
    """The last is a callback number: to a phone it is nobody, whether it is lent or not."""
    alice.dial(f"sip:{target}@{DOMAIN}")
    assert alice.closed().detail.startswith(answer)


def test_do_not_disturb_inbound_disabled_and_forwarding(system: System, alice: Phone, bob: Phone) -> None:
    for options, answer in ((("--dnd", "on"), "486"), (("--dnd", "off", "--inbound", "off"), "403")):
        system.holdfast.run("user", "set", BOB.name, *options)
        system.wait_synced()
        alice.dial(f"sip:{BOB.aor}")
        assert alice.closed().detail.startswith(answer)
    system.holdfast.run("user", "set", BOB.name, "--inbound", "on", "--forward-to", ALICE.aor)
    system.wait_synced()
    caller = system.trunk_caller("call_cancelled", {"number": BOB.number, "from": "<sip:+12025550188@carrier.invalid>"})
    assert caller.run().ok
    assert alice.received("INVITE")
    assert not bob.received("INVITE")


@pytest.fixture
def carrier(system: System) -> Iterator[tuple[str, int]]:
    """A trunk for ordinary calls."""
    port = system.ports.one(CARRIER)
    run, name = system.holdfast.run, f"carrier-{port}"
    run("trunk-group", "create", name, "--ordinary")
    run("trunk", "create", name, "--group", name, "--host", CARRIER, "--port", str(port), "--source", CARRIER)
    system.wait_synced()
    yield CARRIER, port
    run("trunk", "set", name, "--enabled", "off")
    system.wait_synced()


def test_calls_go_out_to_and_come_in_from_a_trunk(system: System, alice: Phone, carrier: tuple[str, int]) -> None:
    address, port = carrier
    callee = system.waiting_device("uas_answers", {}, address=address, port=port).start()
    alice.dial("2025550177")
    alice.established()
    alice.hangup()
    [invite] = callee.wait().received("INVITE")
    assert invite.request_uri.startswith("sip:+12025550177@")
    assert invite.address("P-Asserted-Identity").user == ALICE.number
    values = {"number": ALICE.number, "from": "<sip:+12025550177@carrier.invalid>"}
    alice.forget_events()
    caller = system.device("call_cancelled", values, address=address)
    assert caller.run().ok
    assert alice.received("INVITE")
    # an ordinary trunk carries no emergency call, and an emergency trunk no ordinary one
    assert not system.edge_rows("select * from emergency_call")


def test_a1_no_ordinary_trunk_carries_an_emergency_call(system: System, carrier: tuple[str, int]) -> None:
    address, port = carrier
    callee = system.waiting_device("uas_answers", {}, address=address, port=port).start()
    for trunk in (0, 1):
        system.trunk_callee("uas_refuses", {"code": "503"}, trunk=trunk).start()
    values = {"number": "911", "from": "<sip:somebody@elsewhere.invalid>", "code": "503"}
    call = system.device("call_refused", values).run()
    assert call.ok, call.complaints
    assert not callee.messages()


def test_registrations_and_what_a_tenant_has_are_listed(system: System, alice: Phone) -> None:
    [registration] = [row for row in system.holdfast.json("registration", "list") if row["user"] == ALICE.name]
    assert alice.contact in str(registration)
    assert {user["username"] for user in system.holdfast.json("user", "list", "--tenant", TENANT)} >= {"alice", "bob"}
