"""SIP over TLS: phones, a PBX that shows a certificate or does not, trunks that are called."""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from acceptance.calls import answered_callback, dial_911, end, hear_each_other
from acceptance.pbx.steps import Pbx, called_back, shown_to
from lab.carriers import BEHIND_PBX, PBX, SCREENING, Carriers
from lab.certificates import Authority, Certificate, accepting, connecting
from lab.layout import ALICE, BOB, DEVICE_ADDRESS, DOMAIN, POOL_NUMBERS
from lab.sip_messages import SipMessage
from lab.sip_peer import SipPeer
from lab.system import System
from lab.waiting import wait_until

PBX_ADDRESS, TRUNK_ADDRESS = "127.0.0.28", "127.0.0.29"
NAME = "sbc.acme.invalid"


@pytest.fixture(scope="session")
def authority(whole_world: Carriers) -> Authority:
    """The one that Kamailio trusts."""
    assert whole_world.system.authority is not None
    return whole_world.system.authority


@pytest.fixture(scope="session")
def other_authority(whole_world: Carriers) -> Authority:
    return Authority.create(whole_world.system.folder / "tls", "nobodys-ca")


def peer(
    system: System,
    address: str,
    authority: Authority,
    shown: Certificate | None = None,
    listens: Certificate | None = None,
) -> SipPeer:
    """A SIP element over TLS that shows a certificate when it connects, and one where it listens."""
    return system.peer(
        address, transport="tls", connects=connecting(authority, shown), accepts=accepting(listens) if listens else None
    )


# Phones


@pytest.mark.parametrize("media_server", [True, False])
def test_a_phone_over_tls_calls_for_help_and_is_called_back(world: Carriers, media_server: bool) -> None:
    system = world.system
    world.provisioned("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on")
    alice, psap = system.phone(ALICE, transport="tls"), system.psap()
    assert {message.transport for message in alice.trace()} == {"TLS"}
    invite = dial_911(alice, psap)
    number = invite.address("From").user
    assert number in POOL_NUMBERS
    hear_each_other(alice, psap)
    alice.hold()  # a request within the call, from the phone
    wait_until("the re-INVITE", lambda: len(psap.received("INVITE")) == 2, within_s=5)
    end(psap, alice)
    assert not naming_alice(psap.received("INVITE"))
    if not media_server:
        system.media.kill()
    answered_callback(system, psap, number, alice)
    hear_each_other(alice, psap)
    assert not naming_alice(psap.answers("INVITE"))


def naming_alice(messages: list[SipMessage]) -> list[bytes]:
    heads = [message.raw.partition(b"\r\n\r\n")[0] for message in messages]
    return [head for head in heads if b"alice" in head]


def test_phones_over_tls_and_over_udp_call_each_other(world: Carriers) -> None:
    alice, bob = world.system.phone(ALICE, transport="tls"), world.system.phone(BOB)
    for caller, callee, target in ((alice, bob, BOB.aor), (bob, alice, ALICE.aor)):
        caller.dial(f"sip:{target}")
        callee.ringing()
        callee.answer()
        caller.established()
        hear_each_other(caller, callee)
        end(callee, caller)


def test_a_phone_behind_a_firewall_is_called_over_the_connection_that_it_registered_on(
    world: Carriers, authority: Authority, centre: SipPeer, psap: SipPeer
) -> None:
    """It shows no certificate that could be verified, and nobody could connect to it."""
    phone = peer(world.system, DEVICE_ADDRESS, authority)
    link = world.system.kamailio_link(phone)
    phone.register(link, ALICE.name, DOMAIN, ALICE.password)
    call = phone.call(link, f"sip:911@{DOMAIN}", from_=f"<sip:{ALICE.aor}>")
    assert call.answer().status == 200
    call.hang_up()
    assert called_back(world, psap, shown_to(centre), phone)
    phone.register(link, ALICE.name, DOMAIN, ALICE.password, expires=0)


@pytest.mark.parametrize("shown", ["none", "another authority's", "its own"])
def test_a_strangers_certificate_stops_no_call_for_help(
    world: Carriers, authority: Authority, other_authority: Authority, centre: SipPeer, shown: str
) -> None:
    own = {"another authority's": other_authority.sign("phone"), "its own": other_authority.own}.get(shown)
    phone = peer(world.system, DEVICE_ADDRESS, authority, own)
    call = phone.call(world.system.kamailio_link(phone), f"sip:911@{DOMAIN}", from_="<sip:x@elsewhere.invalid>")
    assert call.answer().status == 200
    assert shown_to(centre) in POOL_NUMBERS


@pytest.mark.parametrize(("version", "spoken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_nothing_older_than_tls_1_2_is_spoken(world: Carriers, version: str, spoken: bool) -> None:
    where = f"{world.system.layout.sip_address}:{world.system.tls_port}"
    client = ["openssl", "s_client", "-connect", where, version, "-cipher", "ALL:@SECLEVEL=0"]
    result = subprocess.run(client, input=b"", capture_output=True, timeout=10)
    assert (result.returncode == 0) is spoken, result.stderr


def test_n1_many_calls_at_once_with_certificates_good_and_bad_end_none_of_kamailios_processes(
    world: Carriers, authority: Authority, other_authority: Authority, centre: SipPeer
) -> None:
    """Debian's Kamailio 5.6 with OpenSSL 3 ends within seconds of this, unless its processes forget what they share."""
    system = world.system
    shown = [None, authority.sign("a"), other_authority.sign("b")]
    phones = [peer(system, DEVICE_ADDRESS, authority, shown[number % 3]) for number in range(30)]

    def calls(phone: SipPeer) -> list[int]:
        statuses = []
        for _ in range(5):
            with socket.create_connection((system.layout.sip_address, system.tls_port), timeout=5) as no_tls:
                no_tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            call = phone.call(system.kamailio_link(phone), f"sip:911@{DOMAIN}", from_="<sip:x@elsewhere.invalid>")
            statuses.append(call.answer().status)
            call.hang_up()
        return statuses

    with ThreadPoolExecutor(len(phones)) as pool:
        statuses = [status for some in pool.map(calls, phones) for status in some]
    assert statuses == [200] * len(statuses)
    assert len(centre.requests("INVITE")) == len(statuses)
    assert system.kamailio.running
    assert "CRITICAL" not in system.kamailio.log()


# A PBX that must show a certificate


def tls_pbx(world: Carriers, authority: Authority, shown: Certificate | None) -> Pbx:
    """A trunk over TLS that is believed by its certificate alone."""
    listens = authority.sign(NAME, NAME)
    pbx = Pbx(world, peer(world.system, PBX_ADDRESS, authority, shown, listens))
    where = ("--host", PBX_ADDRESS, "--port", str(pbx.peer.port), "--source", PBX_ADDRESS, "--transport", "tls")
    world.provisioned("trunk", "create", "pbx-tls", "--group", PBX, *where, "--certificate-name", NAME)
    return pbx


@pytest.mark.parametrize(
    "names", [(NAME, "sbc-1.acme.invalid", NAME), ("somebody", "sbc-1.acme.invalid", "SBC.Acme.invalid"), (NAME,)]
)
@pytest.mark.parametrize("media_server", [True, False])
def test_a_pbx_that_shows_its_certificate_calls_for_its_people_and_is_called_back(
    world: Carriers, authority: Authority, centre: SipPeer, psap: SipPeer, names: tuple[str, ...], media_server: bool
) -> None:
    pbx = tls_pbx(world, authority, authority.sign(*names))
    number = pbx.emergency_call(centre, BEHIND_PBX)
    [lease] = [lease for lease in world.system.leases() if lease["number"] == number]
    assert lease["tenant_id"] is not None
    if not media_server:
        world.system.media.kill()
    invite = called_back(world, psap, number, pbx.peer)
    assert invite.request_uri == f"sip:{BEHIND_PBX}@{PBX_ADDRESS}:{pbx.peer.port}"
    assert invite.values("Via")[0].startswith("SIP/2.0/TLS")


@pytest.mark.parametrize("shown", ["none", "another authority's", "another name", "the name beside others", "expired"])
def test_n9_without_its_certificate_it_is_a_stranger_whose_call_for_help_goes_all_the_same(
    world: Carriers, authority: Authority, other_authority: Authority, centre: SipPeer, shown: str
) -> None:
    certificate = {
        "another authority's": other_authority.sign(NAME, NAME),
        "another name": authority.sign("sbc.globex.invalid", f"x{NAME}", f"{NAME}x"),
        "the name beside others": authority.sign(NAME, "sbc.globex.invalid"),
        "expired": authority.sign(NAME, NAME, expired=True),
    }.get(shown)
    pbx = tls_pbx(world, authority, certificate)
    number = pbx.emergency_call(centre, BEHIND_PBX)
    [lease] = [lease for lease in world.system.leases() if lease["number"] == number]
    assert lease["tenant_id"] is None
    assert lease["caller_key"].startswith(f"contact:tls:{PBX_ADDRESS}:")
    assert pbx.dial(ALICE.number, BEHIND_PBX).answer().status == 407
    assert pbx.dial(number, BEHIND_PBX).answer().status == 407, "nor is it a carrier"


def test_n9_its_address_alone_is_not_believed(world: Carriers, authority: Authority, centre: SipPeer) -> None:
    tls_pbx(world, authority, None)
    impostor = Pbx(world, world.system.peer(PBX_ADDRESS))
    number = impostor.emergency_call(centre, BEHIND_PBX)
    [lease] = [lease for lease in world.system.leases() if lease["number"] == number]
    assert lease["tenant_id"] is None


def test_a_pbx_that_registers_over_tls_is_called_back_by_number(
    world: Carriers, authority: Authority, centre: SipPeer, psap: SipPeer
) -> None:
    world.provisioned("user", "set", BOB.name, "--pbx", "on")
    phone = peer(world.system, DEVICE_ADDRESS, authority)
    link = world.system.kamailio_link(phone)
    phone.register(link, BOB.name, DOMAIN, BOB.password)
    call = phone.call(link, f"sip:911@{DOMAIN}", from_=f"<sip:{BEHIND_PBX}@{DOMAIN}>")
    assert call.answer().status == 200
    call.hang_up()
    assert called_back(world, psap, shown_to(centre), phone).request_uri.startswith(f"sip:{BEHIND_PBX}@")
    phone.register(link, BOB.name, DOMAIN, BOB.password, expires=0)


# Trunks that are called


def tls_trunk(world: Carriers, listener: SipPeer) -> None:
    """A screening centre's trunk over TLS, tried before the one over UDP."""
    where = ("--host", listener.address, "--port", str(listener.port), "--source", listener.address)
    world.provisioned(
        "trunk", "create", "screening-tls", "--group", SCREENING, *where, "--transport", "tls", "--priority", "0"
    )


def test_a_trunk_over_tls_is_called_over_tls(world: Carriers, authority: Authority, centre: SipPeer) -> None:
    over_tls = peer(world.system, TRUNK_ADDRESS, authority, listens=authority.sign("trunk", "trunk.carrier.invalid"))
    tls_trunk(world, over_tls)
    alice = world.system.phone(ALICE)
    alice.dial("911")
    alice.established()
    [invite] = over_tls.requests("INVITE")
    assert invite.values("Via")[0].startswith("SIP/2.0/TLS")
    over_tls.called().hang_up()
    alice.closed()
    assert not centre.requests("INVITE")


@pytest.mark.parametrize("fault", ["a certificate that nobody vouches for", "expired", "no TLS at all", "gone"])
def test_sp_31_a_trunk_that_cannot_be_called_over_tls_is_called_without(
    world: Carriers, authority: Authority, other_authority: Authority, centre: SipPeer, fault: str
) -> None:
    """RFC 6881: TLS is tried first, and then the group's second trunk, which is without."""
    shown = {"expired": authority.sign("trunk", "a.invalid", expired=True)}.get(fault, other_authority.sign("trunk"))
    if fault == "no TLS at all":
        over_tls = world.system.peer(TRUNK_ADDRESS, transport="tcp")
    else:
        over_tls = peer(world.system, TRUNK_ADDRESS, authority, listens=shown)
    tls_trunk(world, over_tls)
    if fault == "gone":
        over_tls.close()
    alice = world.system.phone(ALICE)
    alice.dial("911")
    alice.established()
    assert shown_to(centre) in POOL_NUMBERS
    assert not over_tls.requests("INVITE")
