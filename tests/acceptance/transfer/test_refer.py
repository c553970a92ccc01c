"""O6: the screening centre transfers the caller by a REFER within the call; the caller's phone follows it."""

import pytest

from holdfast.edge import kamailio_rpc
from lab.carriers import BEHIND_PBX, PBX, SCREENING, Carriers
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, POOL_NUMBERS, TENANT
from lab.phones import Phone
from lab.sip_messages import SipMessage
from lab.sip_peer import Call, SipPeer

REFERS = "Refer-To: <sip:911@psap.invalid>\nReferred-By: <sip:operator-7@screening.invalid>"
STRANGER = "<sip:somebody@elsewhere.invalid>"


@pytest.fixture
def alice(world: Carriers) -> Phone:
    return world.system.phone(ALICE)


@pytest.fixture
def psap(world: Carriers) -> Phone:
    return world.system.psap()


@pytest.fixture
def centre(world: Carriers) -> SipPeer:
    return world.peer(SCREENING)


def dial(world: Carriers, phone: SipPeer, uri: str = "sip:911@lab.holdfast.invalid") -> Call:
    """A phone that nobody knows calls, until it is answered."""
    call = phone.call(world.system.kamailio_link(phone), uri, from_=STRANGER)
    assert call.answer().status == 200
    return call


def stranger(world: Carriers, transport: str = "udp") -> SipPeer:
    return world.system.peer(DEVICE_ADDRESS, transport=transport)


def calls_on(world: Carriers, number: str) -> int:
    """How many calls are in progress on the lease of this number."""
    return sum(int(lease["calls"]) for lease in world.system.leases() if lease["number"] == number)


def shown_to(callee: SipPeer) -> str:
    """The number that a call came with, the last one."""
    return callee.requests("INVITE")[-1].address("From").user


def who_is_named(messages: list[SipMessage]) -> list[str]:
    """Messages that name alice in their headers."""
    heads = {message.start_line: message.raw.partition(b"\r\n\r\n")[0].lower() for message in messages}
    return [start for start, head in heads.items() if b"alice" in head]


@pytest.mark.parametrize(
    "refer",
    [
        REFERS,
        "Refer-To: <urn:service:sos>",
        "r: sip:+911;phone-context=example.com@psap.invalid;user=phone",
        "Refer-To: <sip:911@psap.invalid;method=INVITE?Replaces=1%40x%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        "Refer-To: <tel:911>",
    ],
)
def test_o6_the_phone_follows_to_the_psap_and_shows_the_same_number(
    world: Carriers, alice: Phone, psap: Phone, centre: SipPeer, refer: str
) -> None:
    alice.dial("911")
    alice.established()
    accepted = centre.called().request("REFER", headers=refer)
    assert accepted.status == 202
    psap.established()
    reports = centre.wait("the report", lambda: [n for n in centre.requests("NOTIFY") if b"200" in n.body])
    shown = shown_to(centre)
    assert shown in POOL_NUMBERS
    [invite] = psap.received("INVITE")
    assert invite.address("From").user == shown
    assert invite.request_uri.startswith("sip:911@")
    assert reports[0].body == b"SIP/2.0 200 OK\r\n"
    assert not who_is_named([*centre.received, *psap.received("INVITE")])
    [referred] = alice.received("REFER")
    assert not referred.all("Referred-By")
    assert "psap.invalid" not in referred.one("Refer-To")
    centre.called().hang_up()
    alice.closed()
    assert calls_on(world, shown) == 1


def test_o6_the_callback_after_the_transfer_rings_the_callers_phone(
    world: Carriers, alice: Phone, psap: Phone, centre: SipPeer
) -> None:
    alice.dial("911")
    assert centre.called().request("REFER", headers=REFERS).status == 202
    psap.established()
    centre.called().hang_up()
    number = psap.received("INVITE")[-1].address("From").user
    psap.hangup()
    psap.closed()
    calls_back = {"number": number, "from": "<sip:+12025550199@psap.invalid>"}
    assert world.system.trunk_caller("call_cancelled", calls_back).run().ok
    assert alice.received("INVITE")[-1].get("Priority") == "psap-callback"
    assert len(centre.requests("INVITE")) == 1


@pytest.mark.parametrize(
    ("refer", "called"),
    [
        ("Refer-To: <sip:+12025550188@screening.invalid;user=phone>", "sip:+12025550188@127.0.0.20:"),
        ("Refer-To: <tel:+1-202-555-0188>", "sip:+12025550188@127.0.0.20:"),
        ("Refer-To: <sip:desk-7@esinet.invalid:5070;transport=tls?Subject=x>", "sip:desk-7@esinet.invalid:5070"),
    ],
)
def test_o6_the_centre_may_name_the_psap(
    world: Carriers, alice: Phone, centre: SipPeer, refer: str, called: str
) -> None:
    trunk = world.system.layout.trunks[0]
    psap = world.system.peer(trunk.address, trunk.port)
    alice.dial("911")
    assert centre.called().request("REFER", headers=refer).status == 202
    psap.called()
    assert psap.requests("INVITE")[0].request_uri.startswith(called)
    assert shown_to(psap) == shown_to(centre)


@pytest.mark.parametrize(
    "refer",
    [
        "Refer-To: <http://elsewhere.invalid/>",
        "Refer-To: <sip:elsewhere.invalid>",
        "Refer-To: <sip:a|b@elsewhere.invalid>",
        "Refer-To: <sip:J\udcf6rg@elsewhere.invalid>",
        "Subject: without any",
        f"Refer-To: <sip:{POOL_NUMBERS[-1]}@elsewhere.invalid>",
    ],
)
def test_a_refer_to_that_leads_nowhere_is_refused_and_the_call_goes_on(
    world: Carriers, centre: SipPeer, refer: str
) -> None:
    phone = stranger(world)
    call = dial(world, phone)
    assert centre.called().request("REFER", headers=refer).status == 400
    assert call.request("INFO").status == 200
    call.hang_up()
    assert not phone.requests("REFER")


def test_only_a_screening_centre_transfers_an_emergency_call(world: Carriers, alice: Phone) -> None:
    """RFC 6881 SP-38. A phone that followed the PSAP's REFER would call whom the PSAP pleases, as itself."""
    world.provisioned("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on")
    trunk = world.system.layout.trunks[0]
    psap = world.system.peer(trunk.address, trunk.port)
    alice.dial("911")
    alice.established()
    assert psap.called().request("REFER", headers="Refer-To: <sip:mallory@elsewhere.invalid>").status == 403
    assert psap.called().request("REFER", headers="Refer-To: <sip:911@elsewhere.invalid>").status == 403
    assert not alice.received("REFER")


def test_the_callers_own_phone_transfers_nothing(world: Carriers, centre: SipPeer) -> None:
    call = dial(world, stranger(world))
    assert call.request("REFER", headers="Refer-To: <sip:bob@elsewhere.invalid>").status == 403
    assert not centre.requests("REFER")


def test_a_strangers_refer_into_somebodys_call_is_refused(world: Carriers, alice: Phone, centre: SipPeer) -> None:
    """Whoever learns the tags of a call could send one along its route."""
    alice.dial("911")
    alice.established()
    theirs = centre.called()
    mallory = stranger(world)
    forged = Call(
        mallory, world.system.kamailio_link(mallory), theirs.call_id, theirs.local, theirs.remote, theirs.target,
        routes=theirs.routes,
    )  # fmt: skip
    mallory.calls.append(forged)
    assert forged.request("REFER", headers=REFERS).status == 403
    assert not alice.received("REFER")


def referred(world: Carriers, phone: SipPeer, centre: SipPeer) -> str:
    """A phone is transferred, and does not call yet; the URI that it is to call."""
    dial(world, phone)
    theirs = centre.calls[-1]
    assert theirs.request("REFER", headers=REFERS).status == 202
    theirs.hang_up()
    return phone.requests("REFER")[-1].address("Refer-To").uri


def test_o6_a_phone_that_drops_the_uris_parameter_is_known_by_its_live_number(
    world: Carriers, centre: SipPeer, psap: Phone
) -> None:
    phone = stranger(world)
    referred(world, phone, centre)
    dial(world, phone)
    assert psap.received("INVITE")[0].address("From").user == shown_to(centre)


def test_o6_a_phone_that_comes_over_another_connection_is_known_by_the_token(
    world: Carriers, centre: SipPeer, psap: Phone
) -> None:
    phone = stranger(world, "tcp")
    uri = referred(world, phone, centre)
    dial(world, phone, uri)
    assert psap.received("INVITE")[0].address("From").user == shown_to(centre)
    assert calls_on(world, shown_to(centre)) == 1
    dial(world, phone)  # a third connection, of somebody whom nobody knows
    assert len(centre.requests("INVITE")) == 2


def test_o6_a_pbx_follows_for_the_person_who_called(world: Carriers, centre: SipPeer, psap: Phone) -> None:
    pbx = world.peer(PBX)
    link = world.system.kamailio_link(pbx)
    for caller in (BEHIND_PBX, BOB.number):
        call = pbx.call(link, f"sip:911@{DOMAIN}", from_=f"<sip:{caller}@{pbx.address}>")
        assert call.answer().status == 200
    shown = centre.requests("INVITE")[0].address("From").user
    [theirs] = [call for call in centre.calls if call.invite and call.invite.address("From").user == shown]
    assert theirs.request("REFER", headers=REFERS).status == 202
    uri = pbx.requests("REFER")[0].address("Refer-To").uri
    call = pbx.call(link, uri, from_=f"<sip:{BEHIND_PBX}@{pbx.address}>")
    assert call.answer().status == 200
    assert psap.received("INVITE")[0].address("From").user == shown


def test_a_transfer_is_good_for_one_call_and_for_nobody_else(world: Carriers, centre: SipPeer, psap: Phone) -> None:
    phone, other = stranger(world), stranger(world)
    uri = referred(world, phone, centre)
    dial(world, other)
    assert len(centre.requests("INVITE")) == 2
    dial(world, phone, uri)
    assert len(psap.received("INVITE")) == 1
    dial(world, phone, uri)
    dial(world, phone)
    assert len(centre.requests("INVITE")) == 4


def test_a_test_call_uses_up_no_transfer(world: Carriers, centre: SipPeer, psap: Phone) -> None:
    phone = stranger(world)
    referred(world, phone, centre)
    dial(world, phone, "sip:933@lab.holdfast.invalid").hang_up()
    dial(world, phone)
    assert psap.received("INVITE")


def test_a_transfer_expires(world: Carriers, centre: SipPeer) -> None:
    rpc = world.system.settings.node.kamailio_rpc
    phone = stranger(world)
    uri = referred(world, phone, centre)
    kept = [entry["name"] for slot in kamailio_rpc.call(rpc, "htable.dump", "transfers") for entry in slot["slot"]]
    assert len(kept) == 2
    for name in kept:
        kamailio_rpc.call(rpc, "htable.delete", "transfers", name)  # as its clock does
    dial(world, phone, uri)
    assert len(centre.requests("INVITE")) == 2


def test_the_report_of_a_phone_names_nobody(world: Carriers, centre: SipPeer) -> None:
    call = dial(world, stranger(world))
    said = 'SIP/2.0 200 alice is through\r\nFrom: "Alice Doe" <sip:alice@lab.invalid>;tag=1\r\n'
    event = "Event: refer\r\nSubscription-State: terminated;reason=noresource"
    call.request("NOTIFY", headers=event, body=said, content_type="message/sipfrag;version=2.0")
    [notify] = centre.requests("NOTIFY")
    assert notify.body == b"SIP/2.0 200 OK\r\n"
    assert notify.one("Event") == "refer"
    assert notify.one("Content-Type").startswith("message/sipfrag")


def test_o6_a_phone_that_refuses_a_refer_is_passed_on_by_a_second_call(
    world: Carriers, centre: SipPeer, psap: Phone
) -> None:
    phone = stranger(world)
    phone.replies["REFER"] = 405
    dial(world, phone)
    assert centre.called().request("REFER", headers=REFERS).status == 405
    number = shown_to(centre)
    second = centre.call(
        world.system.kamailio_link(centre), "sip:911@lab.holdfast.invalid", from_=f"<sip:{number}@screening.invalid>"
    )
    assert second.answer().status == 200
    assert psap.received("INVITE")[0].address("From").user == number


def test_what_is_passed_on_counts_once(world: Carriers, alice: Phone, psap: Phone, centre: SipPeer) -> None:
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "2")
    alice.dial("911")
    assert centre.called().request("REFER", headers=REFERS).status == 202
    psap.established()
    bob = world.system.phone(BOB)
    bob.dial("911")
    bob.established()
    bob.forget_events()
    bob.hangup()
    bob.closed()
    world.provisioned("tenant", "set", TENANT, "--max-emergency-calls", "1")
    centre.called().hang_up()
    alice.closed()
    bob.dial("911")
    assert bob.closed().detail.startswith("503"), "the call that was passed on counts in place of the one to the centre"
