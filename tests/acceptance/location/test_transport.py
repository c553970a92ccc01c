"""RFC 3261 §18.1.1: what is too long for UDP goes over TCP, and over UDP after all where that does not work."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from acceptance.devices import Device, counters, device_of
from acceptance.location.told import (
    MULTIPART,
    SAYS_WHERE,
    SDP,
    answered,
    assert_plain,
    example,
    located,
    on_the_wire,
    with_document,
)
from holdfast.edge import kamailio_rpc
from lab.carriers import Carriers
from lab.layout import ALICE, TRUNK_GROUP, TrunkPlace
from lab.sip_messages import SipMessage
from lab.sip_peer import SipPeer
from lab.sipp import LoggedMessage, Outcome
from lab.waiting import wait_until

#: Lines that a telephone with many codecs has, and that make its offer too long for UDP.
LONG_SDP = SDP + "".join(f"a=rtpmap:{number} AMR-WB/16000/1\n" for number in range(96, 127)) + "a=sendrecv\n"


@pytest.fixture
def by_value(world: Carriers) -> Carriers:
    """The PSAP's trunks take the location in the body, and Kamailio has forgotten what it knew of them and TCP."""
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "value")
    kamailio = world.system.settings.node.kamailio_rpc
    kamailio_rpc.call(kamailio, "htable.flush", "udp_only")
    wait_until(
        "no connection to be left of other tests",
        lambda: not kamailio_rpc.call(kamailio, "core.tcp_list"),
        within_s=10,
    )
    return world


@pytest.fixture
def alice(by_value: Carriers) -> Iterator[Device]:
    with device_of(by_value.system, ALICE) as device:
        yield device


def place_of(alice: Device, trunk: int = 0) -> TrunkPlace:
    return alice.system.layout.trunks[trunk]


@contextmanager
def both(alice: Device) -> Iterator[tuple[SipPeer, SipPeer]]:
    """A PSAP that listens on UDP and on TCP."""
    place = place_of(alice)
    peers = [alice.system.peer(place.address, place.port, transport) for transport in ("udp", "tcp")]
    try:
        yield peers[0], peers[1]
    finally:
        for peer in peers:
            peer.close()


def calls(alice: Device) -> Outcome:
    """A call that says where it is."""
    body = with_document(example("teams.xml"))
    return answered(alice.sipp("call_with_body", "911", content_type=MULTIPART, headers=SAYS_WHERE, body=body))


def calls_with(alice: Device, sdp: str) -> Outcome:
    return answered(alice.sipp("call_with_body", "911", content_type="application/sdp", body=sdp.rstrip("\n")))


def answered_after_s(outcome: Outcome) -> float:
    """From the caller's INVITE to the answer."""

    def at(first_line: bytes, messages: list[LoggedMessage]) -> float:
        return next(logged.at for logged in messages if logged.raw.startswith(first_line))

    return at(b"SIP/2.0 200", outcome.messages) - at(b"INVITE", outcome.messages)


def via_of(message: SipMessage) -> str:
    return message.values("Via")[0].split()[0].rpartition("/")[2]


def tcp_failures(alice: Device) -> int:
    return counters(alice.system)["tcp_connect_failed",]


def test_l1_an_invite_with_a_location_goes_over_tcp_and_one_without_over_udp(by_value: Carriers, alice: Device) -> None:
    with both(alice) as (udp, tcp):
        calls(alice)
        [invite] = tcp.requests("INVITE")
        assert located(invite).sdp == on_the_wire(SDP)
        assert via_of(invite) == "TCP"
        assert len(tcp.requests("ACK")) == len(tcp.requests("BYE")) == 1
        assert not udp.requests("INVITE")
        by_value.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "none")
        calls(alice)
        [invite] = udp.requests("INVITE")
        assert_plain(invite, on_the_wire(SDP))
        assert len(tcp.requests("INVITE")) == 1


def test_an_offer_that_is_too_long_by_itself_goes_over_tcp_as_well(by_value: Carriers, alice: Device) -> None:
    by_value.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "none")
    with both(alice) as (udp, tcp):
        calls_with(alice, LONG_SDP)
        [invite] = tcp.requests("INVITE")
        assert invite.body == on_the_wire(LONG_SDP)
        assert not udp.requests("INVITE")


def test_the_psap_ends_a_call_that_came_over_tcp(alice: Device) -> None:
    with both(alice) as (_, tcp):
        body = with_document(example("teams.xml"))
        values = {"content_type": MULTIPART, "headers": SAYS_WHERE, "body": body, "duration_ms": "8000"}
        waits = alice.sipp("call_with_body_ended_by_peer", "911", **values).start()
        call = tcp.called()
        tcp.wait("the call to be up", lambda: call.requests("ACK") or None)
        assert call.request("BYE").status == 200
        outcome = waits.wait()
        assert outcome.ok, outcome.complaints
    assert not alice.system.edge_rows("select * from emergency_call")


def test_a_trunk_where_nobody_listens_on_tcp_gets_the_call_over_udp_at_once(alice: Device) -> None:
    psap = alice.system.trunk_callee("uas_answers", {}).start()
    before = tcp_failures(alice)
    assert answered_after_s(calls(alice)) < 1
    [invite] = psap.wait().received("INVITE")
    assert located(invite).sdp == on_the_wire(SDP)
    assert via_of(invite) == "UDP"
    assert tcp_failures(alice) - before == 1
    psap = alice.system.trunk_callee("uas_answers", {}).start()
    calls(alice)
    assert psap.wait().received("INVITE")
    assert tcp_failures(alice) - before == 1, "for an hour nobody tries again"


@contextmanager
def deaf(place: TrunkPlace, how: str) -> Iterator[None]:
    """A TCP port that lets nobody in (as a firewall that drops), or that takes everything and says nothing."""
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((place.address, place.port))
        listener.listen(0 if how == "drops" else 5)
        waiting = [socket.socket() for _ in range(4 if how == "drops" else 0)]
        for one in waiting:  # the queue is full; the kernel answers no SYN any more
            one.setblocking(False)
            one.connect_ex((place.address, place.port))
        yield
        for one in waiting:
            one.close()


@pytest.mark.parametrize("how", ["drops", "says nothing"])
def test_a_trunk_that_is_deaf_on_tcp_gets_the_call_over_udp_after_a_moment(alice: Device, how: str) -> None:
    place = place_of(alice)
    psap = alice.system.peer(place.address, place.port)
    with closing(psap), deaf(place, how):
        assert 1 < answered_after_s(calls(alice)) < 3
        [invite] = psap.requests("INVITE")
        assert located(invite).sdp == on_the_wire(SDP)
        assert answered_after_s(calls(alice)) < 1, "the next call loses no time"
        assert len(psap.requests("INVITE")) == 2


def test_when_no_trunk_is_left_one_that_never_saw_the_long_call_gets_it_without_its_location(alice: Device) -> None:
    """Fragments of UDP may be lost every time, and nobody hears of it."""
    ignores = alice.system.trunk_callee("uas_ignores_then_answers", {}).start()
    refuses = alice.system.trunk_callee("uas_refuses", {"code": "503"}, trunk=1).start()
    calls(alice)
    outcome = ignores.wait()
    assert outcome.ok, outcome.complaints
    invites = outcome.received("INVITE")
    assert located(invites[0])
    assert_plain(invites[-1], on_the_wire(SDP))
    [refused] = refuses.wait().received("INVITE")
    assert located(refused), "the next trunk first, and that with the location"
