"""The SIP peer of tests: it takes and makes calls, over each transport, and says what came."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.certificates import Authority, accepting, connecting
from lab.errors import Timeout
from lab.layout import DOMAIN
from lab.ports import Ports
from lab.sip_peer import Call, SipPeer

HERE, THERE = "127.0.0.13", "127.0.0.14"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tls"), "ca.invalid")


@pytest.fixture(params=["udp", "tcp", "tls"])
def pair(request: pytest.FixtureRequest, ports: Ports, authority: Authority) -> Iterator[tuple[SipPeer, SipPeer]]:
    """Two of them, one transport."""
    tls: dict[str, ssl.SSLContext | None] = {}
    if request.param == "tls":
        tls = {"accepts": accepting(authority.sign(DOMAIN, DOMAIN)), "connects": connecting(authority)}
    with (
        SipPeer(HERE, ports.one(HERE), transport=request.param, **tls) as here,
        SipPeer(THERE, ports.one(THERE), transport=request.param, **tls) as there,
    ):
        yield here, there


def call(here: SipPeer, there: SipPeer) -> Call:
    return here.call(here.link_to(there.address, there.port), f"sip:911@{there.address}", from_="<sip:x@here.invalid>")


def test_a_call_is_taken_and_requests_go_both_ways_within_it(pair: tuple[SipPeer, SipPeer]) -> None:
    here, there = pair
    made = call(here, there)
    assert made.answer().status == 200
    taken = there.called()
    there.wait("the ACK", lambda: taken.requests("ACK"))
    here.replies["REFER"] = 603
    assert taken.request("REFER", headers="Refer-To: <sip:a@b.invalid>").status == 603
    assert [referred.one("Refer-To") for referred in here.requests("REFER")] == ["<sip:a@b.invalid>"]
    assert made.request("NOTIFY", headers="Event: refer", body="SIP/2.0 200 OK", content_type="x/y").status == 200
    [notify] = taken.requests("NOTIFY")
    assert (notify.body, notify.one("Content-Type")) == (b"SIP/2.0 200 OK", "x/y")
    made.hang_up()
    assert taken.requests("BYE")


def test_a_call_is_refused_or_rings_until_it_is_given_up(pair: tuple[SipPeer, SipPeer]) -> None:
    here, there = pair
    there.takes_calls = 486
    assert call(here, there).answer().status == 486
    there.takes_calls = 180
    ringing = call(here, there)
    there.wait("the second call", lambda: len(there.calls) == 2)
    ringing.end()
    assert ringing.answer().status == 487
    there.takes_calls = None
    silent = call(here, there)
    there.wait("the third call", lambda: len(there.calls) == 3)
    assert not silent.messages


def test_a_peer_that_closes_hangs_up(pair: tuple[SipPeer, SipPeer]) -> None:
    here, there = pair
    assert call(here, there).answer().status == 200
    here.close()
    there.wait("the BYE", lambda: there.requests("BYE"))


def test_what_does_not_come_is_told_with_what_came(ports: Ports) -> None:
    with SipPeer(HERE, ports.one(HERE)) as here, pytest.raises(Timeout, match="a call; it received"):
        here.called(within_s=0.05)


def test_a_client_refuses_a_server_that_nobody_vouches_for(tmp_path: Path, ports: Ports, authority: Authority) -> None:
    nobodys = Authority.create(tmp_path, "nobodys.invalid").sign(DOMAIN, DOMAIN)
    with (
        SipPeer(HERE, ports.one(HERE), transport="tls", connects=connecting(authority)) as here,
        SipPeer(THERE, ports.one(THERE), transport="tls", accepts=accepting(nobodys)) as there,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        here.link_to(there.address, there.port)
