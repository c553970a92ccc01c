"""A SIP element of a test's own: what neither baresip nor SIPp does, such as TLS with certificates, or REFER.

It answers every request by itself, so that nothing waits for the test: an INVITE as `takes_calls` says, others with 200
or what `replies` says. The test makes calls, sends requests within them, and looks at what came. Nothing is sent twice,
since nothing is lost on loopback.
"""

import hashlib
import re
import secrets
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lab.errors import LabError
from lab.sip_links import Link, Links
from lab.sip_messages import SipMessage, SipParseError, parse
from lab.waiting import wait_until

_T = TypeVar("_T")
_TAG = ";tag="
_SDP = "application/sdp"


class SipPeer:
    """Listens at an address and port of its own. `accepts`, `connects`: what it shows, and whom it trusts, over TLS."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        transport: str = "udp",
        accepts: ssl.SSLContext | None = None,
        connects: ssl.SSLContext | None = None,
    ) -> None:
        self.address, self.port, self.transport = address, port, transport
        #: the status an INVITE is answered with; 180: it rings until it is cancelled; None: no answer at all
        self.takes_calls: int | None = 200
        #: methods that are answered with something else than 200
        self.replies: dict[str, int] = {"REFER": 202}
        self.received: list[SipMessage] = []
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._closing = False
        self._links = Links(address, port, transport, self._take, accepts=accepts, connects=connects)

    def __enter__(self) -> "SipPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every call that is up, without waiting for an answer. Harmless when it is closed."""
        if not self._closing:
            for call in self.calls:
                call.end()
            self._closing = True
            self._links.close()

    @property
    def contact(self) -> str:
        return f"<sip:peer@{self.address}:{self.port};transport={self.transport}>"

    # what the test does -------------------------------------------------------------------------------------------

    def link_to(self, address: str, port: int) -> Link:
        """A way to send: a new connection, or none at all over UDP. OSError (ssl.SSLError) where it is refused."""
        return self._links.link_to(address, port)

    def call(self, link: Link, uri: str, *, from_: str, to: str = "", headers: str = "", body: str = "") -> "Call":
        """Send an INVITE. `from_` and `to` as they stand in the header; `headers`: more lines, with a body's type."""
        call = self._dialog(link, from_, to or f"<{uri}>", uri)
        call.send("INVITE", headers=headers, body=body or self._sdp(), content_type="" if body else _SDP)
        return call

    def register(self, link: Link, user: str, domain: str, password: str, *, expires: int = 600) -> None:
        """Register, with digest authentication; LabError if it is refused."""
        call = self._dialog(link, f"<sip:{user}@{domain}>", f"<sip:{user}@{domain}>", f"sip:{domain}")
        headers = f"Expires: {expires}"
        call.request("REGISTER", headers=headers)
        answer = call.request("REGISTER", headers=f"{headers}\r\n{call.credentials(user, password)}")
        if answer.status != 200:
            raise LabError(f"{user} cannot register: {answer.start_line}")

    def _dialog(self, link: Link, from_: str, to: str, target: str) -> "Call":
        call = Call(self, link, secrets.token_hex(8), from_ + _TAG + secrets.token_hex(4), to, target)
        with self._lock:
            self.calls.append(call)
        return call

    def requests(self, method: str) -> list[SipMessage]:
        with self._lock:
            return [message for message in self.received if message.is_request and message.method == method]

    def called(self, *, within_s: float = 8.0) -> "Call":
        """Wait for the first call that it took."""
        return self.wait("a call", lambda: next((call for call in self.calls if call.incoming), None), within_s)

    def wait(self, what: str, condition: Callable[[], _T | None], within_s: float = 8.0) -> _T:
        seen = lambda: f"it received {[message.start_line for message in self.received]}"  # noqa: E731
        return wait_until(what, condition, within_s=within_s, why=seen)

    # inside -------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes, link: Link) -> None:
        try:
            message = parse(data)
        except SipParseError:
            return
        with self._lock:
            again = any(known.raw == message.raw for known in self.received)
            call = next((call for call in self.calls if call.call_id == message.call_id), None)
        if again:
            return
        if message.is_request and message.method == "INVITE" and call is None:
            call = Call.taken(self, link, message)
            with self._lock:
                self.calls.append(call)
        if call is not None and message.is_request:
            call.link = link if self.transport != "udp" else call.link
        if call is not None and message.status >= 200 and message.method == "INVITE":
            call.acknowledge(message)
        with self._lock:
            self.received.append(message)
            if call is not None:
                call.messages.append(message)
        if message.is_request and message.method != "ACK":
            self._answer(message, call, link)

    def _answer(self, request: SipMessage, call: "Call | None", link: Link) -> None:
        code = self.replies.get(request.method, 200)
        if request.method == "INVITE":
            if self.takes_calls is None:
                return
            code = self.takes_calls
            if call is not None and code == 200:
                call.accept()
                return
        if request.method == "CANCEL" and call is not None and call.invite is not None:
            link.send(self.reply(call.invite, 487, call.tag).encode())
        link.send(self.reply(request, code, call.tag if call else "none").encode())

    def reply(self, request: SipMessage, code: int, tag: str) -> str:
        """An answer to a request, as text."""
        lines = [f"SIP/2.0 {code} As The Test Says"]
        for name in ("via", "record-route", "from", "to", "call-id", "cseq"):
            values = request.all(name)
            lines += [f"{name}: {value}{_TAG}{tag}" if name == "to" and _TAG not in value else f"{name}: {value}"
                      for value in values]  # fmt: skip
        body = self._sdp() if request.method == "INVITE" and code == 200 else ""
        if request.method in ("INVITE", "REFER"):
            lines.append(f"Contact: {self.contact}")
        return _message(lines, body, _SDP)

    def _sdp(self) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\nt=0 0\r\n"
            "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )


@dataclass
class Call:
    """One dialog, made or taken. `local` and `remote` as they stand in From or To, with their tags."""

    peer: SipPeer
    link: Link
    call_id: str
    local: str
    remote: str
    target: str
    incoming: bool = False
    invite: SipMessage | None = None
    routes: list[str] = field(default_factory=list)
    messages: list[SipMessage] = field(default_factory=list)
    _sequence: int = 0
    _branch: str = ""
    #: answered
    _is_up: bool = False

    @classmethod
    def taken(cls, peer: SipPeer, link: Link, invite: SipMessage) -> "Call":
        target = invite.address("Contact").uri if invite.all("Contact") else ""
        tag = secrets.token_hex(4)
        return cls(peer, link, invite.call_id, invite.one("To") + _TAG + tag, invite.one("From"), target, incoming=True,
                   invite=invite, routes=invite.values("Record-Route"))  # fmt: skip

    @property
    def tag(self) -> str:
        return self.local.partition(_TAG)[2]

    def send(self, method: str, *, headers: str = "", body: str = "", content_type: str = "") -> int:
        """Send a request; its CSeq number."""
        self._sequence += 1
        self._branch = f"z9hG4bK{secrets.token_hex(8)}"
        self._send(method, [*(f"Route: {route}" for route in self.routes), *headers.splitlines()], body, content_type)
        return self._sequence

    def _send(self, method: str, headers: list[str], body: str = "", content_type: str = "") -> None:
        peer = self.peer
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/{peer.transport.upper()} {peer.address}:{peer.port};branch={self._branch};rport",
            f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.call_id}", f"CSeq: {self._sequence} {method}",
            "Max-Forwards: 70", f"Contact: {peer.contact}", *headers,
        ]  # fmt: skip
        self.link.send(_message(lines, body, content_type).encode("utf-8", "surrogateescape"))

    def request(self, method: str, *, headers: str = "", body: str = "", content_type: str = "") -> SipMessage:
        """Send a request within the call; its final answer."""
        self.send(method, headers=headers, body=body, content_type=content_type)
        return self.answer()

    def answer(self) -> SipMessage:
        """The final answer to the request that was sent last."""
        sequence = str(self._sequence)

        def final() -> SipMessage | None:
            answers = (one for one in list(self.messages) if one.status >= 200)
            return next((one for one in answers if one.one("CSeq").split()[0] == sequence), None)

        return self.peer.wait(f"an answer to request {sequence}", final)

    def acknowledge(self, answer: SipMessage) -> None:
        """A final answer to its INVITE came; where it is 200, its dialog is known (RFC 3261 §13.2.2.4, §17.1.1.3)."""
        if answer.status == 200:
            self._is_up = True
            self.remote = answer.one("To")
            self.routes = answer.values("Record-Route")[::-1]
            self.target = answer.address("Contact").uri
            self._branch = f"z9hG4bK{secrets.token_hex(8)}"
            self._send("ACK", [f"Route: {route}" for route in self.routes])
        else:
            to, self.remote = self.remote, answer.one("To")
            self._send("ACK", [])
            self.remote = to

    def accept(self) -> None:
        """Answer a call that rings."""
        self._is_up = True
        if self.invite is not None:
            self.link.send(self.peer.reply(self.invite, 200, self.tag).encode())

    def credentials(self, user: str, password: str) -> str:
        """The header that answers the challenge that came last (RFC 2617)."""
        last = self.answer()
        name, kind = ("WWW-Authenticate", "Authorization")
        if last.status == 407:
            name, kind = ("Proxy-Authenticate", "Proxy-Authorization")
        asked = dict(re.findall(r'(\w+)="([^"]*)"', last.one(name)))
        return f"{kind}: {_digest(user, password, asked, last.method, self.target)}"

    def requests(self, method: str) -> list[SipMessage]:
        """What came within it."""
        return [message for message in list(self.messages) if message.is_request and message.method == method]

    def hang_up(self) -> None:
        self.request("BYE")

    def end(self) -> None:
        """Send a BYE if the call is up, and a CANCEL if it still rings."""
        over = self.requests("BYE") or any(one.status and one.method == "BYE" for one in self.messages)
        answered = any(one.status >= 200 for one in self.messages)
        if self._is_up and not over:
            self.send("BYE")
        elif not self.incoming and not answered:
            self._send("CANCEL", [])


def _message(lines: list[str], body: str, content_type: str) -> str:
    kind = [f"Content-Type: {content_type}"] if body and content_type else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body.encode())}", "", body])


def _digest(user: str, password: str, asked: dict[str, str], method: str, uri: str) -> str:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    realm, nonce, client_nonce = asked["realm"], asked["nonce"], secrets.token_hex(4)
    ha1, ha2 = md5(f"{user}:{realm}:{password}"), md5(f"{method}:{uri}")
    response = md5(f"{ha1}:{nonce}:00000001:{client_nonce}:auth:{ha2}")
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", qop=auth,'
        f' nc=00000001, cnonce="{client_nonce}"'
    )
