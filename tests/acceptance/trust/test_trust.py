"""N9: what a message says of itself counts only where it comes from somebody who may say it."""

from acceptance.calls import emergency_call
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN
from lab.phones import Phone
from lab.sipp import Credentials
from lab.system import System

MARKED = "\n".join(["Priority: psap-callback", "X-Holdfast-Leg: deliver", "x-holdfast-callback-number : +12025550140"])


def test_n9_a_phone_that_marks_its_call_rings_nobody_who_does_not_want_calls(
    system: System, alice: Phone, bob: Phone
) -> None:
    system.holdfast.run("user", "set", ALICE.name, "--dnd", "on")
    system.wait_synced()
    values = {"number": ALICE.name, "from": f"<sip:{BOB.aor}>", "headers": MARKED, "code": "407"}
    call = system.device("call_refused", values).run()
    assert call.ok, call.complaints
    bob.dial(f"sip:{ALICE.aor}")
    assert bob.closed().detail.startswith("486")
    assert not alice.received("INVITE")


def test_n9_marks_of_an_untrusted_caller_are_removed_and_its_call_is_ordinary(system: System, alice: Phone) -> None:
    values = {"number": ALICE.name, "from": f"<sip:{BOB.aor}>", "headers": MARKED, "duration_ms": "300"}
    device = system.device("call_authenticated", values, credentials=Credentials(BOB.name, BOB.password))
    device.start()
    alice.ringing()
    alice.answer()
    outcome = device.wait()
    assert outcome.ok, outcome.complaints
    invite = alice.received("INVITE")[-1]
    assert not invite.all("Priority")
    assert not [name for name, _ in invite.headers if name.startswith("x-holdfast")]


def test_n9_nobody_but_the_media_server_may_have_a_callback_delivered(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    before = len(alice.received("INVITE"))
    for address in (DEVICE_ADDRESS, system.settings.media.address):  # its address alone makes nobody the media server
        for target in (number, "callback", "readback"):
            values = {"number": target, "from": f"<sip:{BOB.aor}>", "headers": MARKED, "code": "407"}
            call = system.device("call_refused", values, address=address).run()
            assert call.ok, call.complaints
    assert len(alice.received("INVITE")) == before


def test_a_live_and_an_idle_callback_number_look_alike_to_a_phone(
    system: System, alice: Phone, bob: Phone, psap: Phone
) -> None:
    live = emergency_call(alice, psap)
    idle = next(number for number in system.idle_numbers() if number != live)
    answers = []
    for number in (live, idle):
        bob.dial(f"sip:{number}@{DOMAIN}")
        answers.append(bob.closed().detail)
        bob.forget_events()
    assert answers[0] == answers[1]
    assert answers[0].startswith("404")


def test_private_headers_of_a_caller_never_reach_the_media_server_or_the_psap(system: System, psap: Phone) -> None:
    spoofed = "X-Holdfast-Callback-Number: +19995550000\nX-HOLDFAST-Language: xx\nX-Holdfast-Leg : deliver"
    values = {"from": "<sip:x@elsewhere.invalid>", "headers": spoofed}
    mark = system.collector.mark()
    assert system.device("call", {**values, "number": "911"}).run().ok
    assert not [name for name, _ in psap.received("INVITE")[-1].headers if name.startswith("x-holdfast")]
    assert system.device("call", {**values, "number": "933", "duration_ms": "300"}).run().ok
    told = [item.message() for item in system.collector.messages(mark) if item.target == system.media_endpoint]
    invites = [message for message in told if message is not None and message.is_request and message.method == "INVITE"]
    assert invites
    for invite in invites:
        assert invite.one("X-Holdfast-Language") == "en"
        assert invite.one("X-Holdfast-Callback-Number") != "+19995550000"
        assert not invite.all("X-Holdfast-Leg")


def test_a_route_header_of_the_sender_leads_no_call_astray(system: System, psap: Phone) -> None:
    values = {"number": "911", "from": "<sip:x@elsewhere.invalid>", "headers": "Route: <sip:127.0.0.66:5060;lr>"}
    call = system.device("call", values).run()
    assert call.ok, call.complaints
    assert psap.received("INVITE")
