"""What no phone should send: every message gets a clear answer or none, and the next emergency call goes through."""

import socket
from collections.abc import Iterator

import pytest

from acceptance.calls import emergency_call
from lab.layout import ALICE, POOL_NUMBERS
from lab.phones import Phone
from lab.sip_messages import SipMessage, parse
from lab.system import System

HEAD = (
    b"INVITE sip:911@lab.holdfast.invalid SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP %(here)s;branch=z9hG4bK%(id)s;rport\r\n"
    b"From: %(from)s;tag=%(id)s\r\nTo: <sip:911@lab.holdfast.invalid>\r\nCall-ID: bad-%(id)s\r\nCSeq: 1 INVITE\r\n"
    b"Contact: %(contact)s\r\nMax-Forwards: 70\r\n"
)
END = b"Content-Length: 0\r\n\r\n"


class Line:
    """A UDP socket that talks raw bytes to Kamailio."""

    def __init__(self, system: System) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.14", system.ports.one("127.0.0.14")))
        self._socket.connect((system.layout.sip_address, system.layout.sip_port))
        self._socket.settimeout(5)
        self.here = b"%s:%d" % (b"127.0.0.14", self._socket.getsockname()[1])

    def send(self, raw: bytes) -> None:
        self._socket.send(raw)

    def final_answer(self, call_id: str) -> SipMessage:
        """The final answer of this call; what an earlier test's call still sends is passed over."""
        while True:
            answer = parse(self._socket.recv(65535))
            if not answer.is_request and answer.status >= 200 and answer.call_id == call_id:
                return answer

    def close(self) -> None:
        self._socket.close()

    def invite(self, name: bytes, *, caller: bytes = b"<sip:x@y.invalid>", contact: bytes = b"<sip:x@127.0.0.14>",
               extra: bytes = b"") -> bytes:  # fmt: skip
        return HEAD % {b"here": self.here, b"id": name, b"from": caller, b"contact": contact} + extra + END


@pytest.fixture
def line(system: System) -> Iterator[Line]:
    raw = Line(system)
    yield raw
    raw.close()


HOSTILE = {
    b"latin1": {"caller": b'"Ren\xe9 M\xfcller" <sip:x@y.invalid>'},
    b"latin1contact": {"contact": b'"Ren\xe9" <sip:ren\xe9@127.0.0.14>'},
    b"subject": {"extra": b"Subject: \xff\xfe\x80\r\nPriority: \xe9\r\nP-Asserted-Identity: \xe9\r\n"},
    b"badcontact": {"contact": b"<<<sip:"},
    b"star": {"contact": b"*"},
    b"quotes": {"caller": b'"a\\"b,<;>%00" <sip:x@y.invalid>'},
    b"smuggled": {"extra": b"P-Asserted-Identity : <sip:+12025550101@x>\r\nPrivacy\t: id\r\n"},
    b"long": {"extra": b"X-Long: " + b"x" * 8000 + b"\r\n"},
    b"many": {"extra": b"".join(b"X-%d: y\r\n" % number for number in range(300))},
    b"format": {"caller": b'"%s%n$ru$(avp(x))" <sip:%24ru@y.invalid>'},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_emergency_call_with_hostile_headers_still_reaches_the_psap(system: System, line: Line, name: bytes) -> None:
    psap = system.trunk_callee("uas_refuses", {"code": "486"}).start()
    line.send(line.invite(name, **HOSTILE[name]))
    assert line.final_answer(f"bad-{name.decode()}").status == 486
    [invite] = psap.wait().received("INVITE")
    assert invite.address("From").user in POOL_NUMBERS
    assert "12025550101" not in invite
    assert not system.edge_rows("select * from emergency_call")


MALFORMED = {
    "CSeq of another method": b"CSeq: 1 BYE",
    "absurd CSeq": b"CSeq: 99999999999 INVITE",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_invite_is_answered_400(line: Line, what: str) -> None:
    invite = line.invite(b"malformed").replace(b"911@", b"alice@").replace(b"CSeq: 1 INVITE", MALFORMED[what])
    line.send(invite)
    assert line.final_answer("bad-malformed").status == 400


NOISE = (
    b"\x00" * 200, b"\r\n\r\n", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 1000, b"GET / HTTP/1.1\r\n\r\n",
    b"INVITE sip:911 SIP/2.0\r\n\r\n", b"INVITE sip:%99@x SIP/2.0\r\nVia: x\r\n\r\n",
    b"INVITE sip:911@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.14;branch=z9hG4bKl\r\nContent-Length: -5\r\n\r\n",
)  # fmt: skip


def test_after_noise_of_every_kind_the_next_emergency_call_goes_through(
    system: System, alice: Phone, psap: Phone, line: Line
) -> None:
    for noise in NOISE:
        for _ in range(20):
            line.send(noise)
    assert emergency_call(alice, psap) in POOL_NUMBERS
    assert system.kamailio.running


def test_n3_a_pool_that_runs_dry_refuses_no_call(system: System, alice: Phone, psap: Phone) -> None:
    """Nine callers, eight numbers: the ninth leaves with its own number, and an alarm is written."""
    for _ in POOL_NUMBERS:
        assert system.device("call", {"number": "911", "from": "<sip:x@elsewhere.invalid>"}).run().ok
    assert {lease["number"] for lease in system.leases() if lease["calls"] == 0} >= set(POOL_NUMBERS)
    assert emergency_call(alice, psap) == ALICE.number
    alarms = system.edge_rows("select payload from journal where kind = 'alarm' order by seq desc limit 1")
    assert "pool_empty" in alarms[0]["payload"]
    alice.forget_events()
    alice.dial("933")
    assert alice.closed().detail.startswith("503")
