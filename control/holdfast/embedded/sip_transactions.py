"""SIP transactions over UDP (RFC 3261 §17, with RFC 6026 for the 2xx of an INVITE), on asyncio's clock.

A transaction resends and gives up by itself; its user is told of each new message once.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from enum import Enum, auto

from holdfast.core.headers import uri_host
from holdfast.embedded.sip_fields import DEFAULT_PORT, Address, Via, parse_name_addr, parse_via
from holdfast.embedded.sip_message import Request, Response, SipParseError

T1_S = 0.5
T2_S = 4.0
#: 64*T1: how long anything is resent or remembered.
GIVE_UP_S = 64 * T1_S

Headers = Sequence[tuple[str, str]]
Send = Callable[[bytes, Address], None]


def new_branch() -> str:
    return "z9hG4bK" + secrets.token_hex(12)


def new_tag() -> str:
    return secrets.token_hex(8)


class _Resender:
    """Sends the same datagram again and again, each time after twice as long, until stopped or for 64*T1."""

    def __init__(self, send: Callable[[], None], longest_s: float, gave_up: Callable[[], None]) -> None:
        self._send, self._longest_s, self._gave_up = send, longest_s, gave_up
        loop = asyncio.get_running_loop()
        self._interval_s = T1_S
        self._again = loop.call_later(T1_S, self._fire)
        self._end = loop.call_later(GIVE_UP_S, self._expire)

    def _fire(self) -> None:
        self._send()
        self._interval_s = min(2 * self._interval_s, self._longest_s)
        self._again = asyncio.get_running_loop().call_later(self._interval_s, self._fire)

    def _expire(self) -> None:
        self.stop()
        self._gave_up()

    def stop(self) -> None:
        self._again.cancel()
        self._end.cancel()


class ServerTransaction:
    """A request that arrived, and what was answered.

    `on_cancel` is called when an unanswered INVITE is cancelled (the 487 is then the user's to send),
    `on_unacknowledged` when nobody ACKed a 2xx within 64*T1.
    """

    def __init__(self, request: Request, via: Via, source: Address, send: Send, forget: Callable[[], None]) -> None:
        self.request = request
        self.source = source
        self.on_cancel: Callable[[], None] | None = None
        self.on_unacknowledged: Callable[[], None] | None = None
        self.to_tag = tag_or_empty(request.get("to")) or new_tag()
        self.status = 0
        self._send = send
        self._forget = forget
        # RFC 3581: without rport the answer goes to the port that the sender names as its own
        self._answer_to = source if "rport" in via.parameters else (source[0], via.port or DEFAULT_PORT)
        self._encoded = b""
        self._resender: _Resender | None = None

    @property
    def answered(self) -> bool:
        """A final response was sent."""
        return self.status >= 200

    def respond(self, status: int, reason: str, headers: Headers = (), body: bytes = b"") -> None:
        """Answer. Only the first final answer counts; what comes after it is ignored."""
        if self.answered:
            return
        self.status = status
        self._encoded = self._response(status, reason, headers, body).encode()
        self._transmit()
        if status < 200:
            return
        if self.request.method == "INVITE":
            # a 2xx too is resent here until the ACK: RFC 6026 leaves that to the user, who would do just this
            self._resender = _Resender(self._transmit, T2_S, self._not_acknowledged)
        asyncio.get_running_loop().call_later(GIVE_UP_S, self._forget)

    def repeat(self) -> None:
        """The request came again: so does the answer."""
        if self._encoded:
            self._transmit()

    def acknowledged(self) -> None:
        """The ACK came."""
        if self._resender:
            self._resender.stop()

    def cancelled(self) -> None:
        """A CANCEL for this transaction came."""
        if not self.answered and self.on_cancel:
            self.on_cancel()

    def _transmit(self) -> None:
        self._send(self._encoded, self._answer_to)

    def _not_acknowledged(self) -> None:
        if self.status < 300 and self.on_unacknowledged:
            self.on_unacknowledged()

    def _response(self, status: int, reason: str, headers: Headers, body: bytes) -> Response:
        to = self.request.get("to")
        if status > 100 and not tag_or_empty(to):
            to = f"{to};tag={self.to_tag}"
        copied = [("via", value) for value in self.request.all("via")]
        copied[0] = ("via", _with_source(copied[0][1], self.source))
        if self.request.method == "INVITE" and 100 < status < 300:
            copied += [("record-route", value) for value in self.request.all("record-route")]
        copied += [("from", self.request.get("from")), ("to", to)]
        copied += [(name, self.request.get(name)) for name in ("call-id", "cseq")]
        return Response([*copied, *headers], body, status, reason)


def _with_source(via: str, source: Address) -> str:
    # RFC 3261 §18.2.1 and RFC 3581: say where the request really came from
    parsed = parse_via(via)
    if "rport" in parsed.parameters and parsed.parameters["rport"] is None:
        head, _, tail = via.partition(";")
        kept = [part for part in tail.split(";") if part.partition("=")[0].strip().lower() not in ("rport", "received")]
        return ";".join([head, *kept, f"received={uri_host(source[0])}", f"rport={source[1]}"])
    return via if parsed.host == source[0] else f"{via};received={uri_host(source[0])}"


class ClientState(Enum):
    """What a client transaction waits for."""

    CALLING = auto()  # any response
    PROCEEDING = auto()  # a final response
    COMPLETED = auto()  # nothing: repeated responses are absorbed, a 2xx of an INVITE is passed on


class ClientTransaction:
    """A request that was sent, resent until something answers.

    `on_response` gets each provisional response, the first final one, and (INVITE only) every 2xx that follows, for
    a forked INVITE may be answered twice. When nobody answers it gets a 408 made here.
    """

    def __init__(
        self,
        request: Request,
        destination: Address,
        send: Send,
        forget: Callable[[], None],
        on_response: Callable[[Response], None],
    ) -> None:
        self.request = request
        self.destination = destination
        self.on_response = on_response
        self.state = ClientState.CALLING
        self.wants_cancel = False
        self._send = send
        self._forget = forget
        self._encoded = request.encode()
        self._ack = b""
        self._transmit()
        longest = GIVE_UP_S if request.method == "INVITE" else T2_S
        self._resender = _Resender(self._transmit, longest, self._nobody_answers)

    def received(self, response: Response) -> None:
        """A response with this transaction's branch and method came."""
        if self.state is ClientState.COMPLETED:
            if 200 <= response.status < 300 and self.request.method == "INVITE" and not self._ack:
                self.on_response(response)
            elif self._ack:
                self._send(self._ack, self.destination)
        elif response.status < 200:
            self._proceed(response)
        else:
            self._complete(response)

    def _proceed(self, response: Response) -> None:
        if self.state is ClientState.CALLING and self.request.method == "INVITE":
            self._resender.stop()
        self.state = ClientState.PROCEEDING
        self.on_response(response)

    def _complete(self, response: Response) -> None:
        self._finish()
        if self.request.method == "INVITE" and response.status >= 300:
            # §17.1.1.3: hop by hop, to where the INVITE went, whatever Contact the refusal names
            self._ack = self._ack_for(response).encode()
            self._send(self._ack, self.destination)
        self.on_response(response)

    def give_up(self) -> None:
        """No more is to come of this transaction: stop waiting for a final response (after an unanswered CANCEL)."""
        if self.state is not ClientState.COMPLETED:
            self._nobody_answers()

    def cancel_request(self) -> Request:
        """The CANCEL for this INVITE (§9.1): the same branch, Request-URI and route."""
        return Request([*self._hop_headers("CANCEL"), ("to", self.request.get("to"))], b"", "CANCEL", self.request.uri)

    def _ack_for(self, response: Response) -> Request:
        return Request([*self._hop_headers("ACK"), ("to", response.get("to"))], b"", "ACK", self.request.uri)

    def _hop_headers(self, method: str) -> list[tuple[str, str]]:
        number, _ = self.request.cseq
        kept = [(name, value) for name, value in self.request.headers if name in ("via", "route", "from", "call-id")]
        return [*kept, ("max-forwards", "70"), ("cseq", f"{number} {method}")]

    def _transmit(self) -> None:
        self._send(self._encoded, self.destination)

    def _finish(self) -> None:
        self._resender.stop()
        self.state = ClientState.COMPLETED
        # remembered a while longer: a late 2xx must still be acknowledged and ended
        asyncio.get_running_loop().call_later(GIVE_UP_S, self._forget)

    def _nobody_answers(self) -> None:
        self._finish()
        copied = [(name, self.request.get(name)) for name in ("via", "from", "to", "call-id", "cseq")]
        self.on_response(Response(copied, b"", 408, "Request Timeout"))


def tag_or_empty(value: str) -> str:
    """The tag of a From or To value; empty if there is none, also where the value cannot be read."""
    try:
        return parse_name_addr(value).tag
    except SipParseError:
        return ""
