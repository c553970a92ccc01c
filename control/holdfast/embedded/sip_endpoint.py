"""The media server's SIP port: one UDP socket, its transactions, and who gets which request.

Only the edge may speak: a request from any other address is answered 403, a response is dropped.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from typing import Protocol, cast

from holdfast.core.headers import uri_host
from holdfast.embedded.sip_fields import Address, parse_name_addr, parse_via
from holdfast.embedded.sip_message import Request, Response, SipParseError, parse
from holdfast.embedded.sip_transactions import ClientState, ClientTransaction, Headers, ServerTransaction, new_branch

log = logging.getLogger(__name__)

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"
PRODUCT = "Holdfast embedded media server"


class DialogUser(Protocol):
    """Who is told of the requests within a dialog."""

    def request_received(self, transaction: ServerTransaction) -> None: ...

    def ack_received(self, request: Request) -> None: ...


class SipEndpoint(asyncio.DatagramProtocol):
    """`local` is where it listens and what it names as its own address; `peer` is the edge's IP address."""

    def __init__(self, local: Address, peer: str, on_invite: Callable[[ServerTransaction], None]) -> None:
        self.local = local
        self.peer = str(ipaddress.ip_address(peer))
        self.on_invite = on_invite
        #: by Call-ID and local tag
        self.dialogs: dict[tuple[str, str], DialogUser] = {}
        self._servers: dict[tuple[str, str, str], ServerTransaction] = {}
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def contact(self) -> str:
        return f"<sip:holdfast@{uri_host(self.local[0])}:{self.local[1]}>"

    @property
    def idle(self) -> bool:
        """Nothing that was sent still waits for its answer."""
        return not any(client.state is not ClientState.COMPLETED for client in self._clients.values())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def close(self) -> None:
        if self._transport:
            self._transport.close()
            self._transport = None

    def error_received(self, exc: Exception) -> None:
        # an ICMP answer to something sent; the transaction's own timers deal with silence
        log.warning("SIP: %s", exc)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        source = (str(addr[0]), int(addr[1]))
        if not data.strip(b"\r\n\0"):
            return  # a keepalive
        try:
            message = parse(data)
            if isinstance(message, Request):
                self._request(message, source)
            elif source[0] == self.peer:
                self._response(message)
        except SipParseError as error:
            log.warning("SIP from %s port %s dropped: %s", *source, error)
        except Exception:  # the edge of a callback: one message must not end the others' calls
            log.exception("SIP from %s port %s could not be handled", *source)

    def send(self, data: bytes, address: Address) -> None:
        if self._transport:
            self._transport.sendto(data, address)

    def request(
        self, request: Request, destination: Address, on_response: Callable[[Response], None]
    ) -> ClientTransaction:
        """Send a request (without Via) in a transaction of its own."""
        branch = new_branch()
        request.headers.insert(0, ("via", self._via(branch)))
        request.headers.append(("user-agent", PRODUCT))
        return self._client(request, branch, destination, on_response)

    def cancel(self, invite: ClientTransaction) -> None:
        """Cancel a sent INVITE: at once if it was heard of (§9.1), else when the first provisional answer comes."""
        if invite.state is ClientState.CALLING:
            invite.wants_cancel = True
        elif invite.state is ClientState.PROCEEDING:
            branch = parse_via(invite.request.get("via")).branch
            self._client(invite.cancel_request(), branch, invite.destination, lambda _: None)

    def send_ack(self, request: Request, destination: Address) -> bytes:
        """Send the ACK of a 2xx, which is no transaction; returns it for when the 2xx is repeated."""
        request.headers.insert(0, ("via", self._via(new_branch())))
        encoded = request.encode()
        self.send(encoded, destination)
        return encoded

    def _via(self, branch: str) -> str:
        return f"SIP/2.0/UDP {uri_host(self.local[0])}:{self.local[1]};branch={branch};rport"

    def _client(
        self, request: Request, branch: str, destination: Address, on_response: Callable[[Response], None]
    ) -> ClientTransaction:
        key = (branch, request.method)

        def forget() -> None:
            self._clients.pop(key, None)

        client = self._clients[key] = ClientTransaction(request, destination, self.send, forget, on_response)
        return client

    def _response(self, response: Response) -> None:
        via = parse_via(response.all("via")[0]) if response.has("via") else None
        client = self._clients.get((via.branch, response.cseq[1])) if via else None
        if not client:
            return  # of a transaction that is over: nothing to do about it
        client.received(response)
        if client.wants_cancel and response.status < 200:
            client.wants_cancel = False
            self.cancel(client)

    def _request(self, request: Request, source: Address) -> None:
        if not request.has("via"):
            raise SipParseError("no Via")
        via = parse_via(request.all("via")[0])
        if not via.branch:
            raise SipParseError("no branch in Via")
        method = "INVITE" if request.method in ("ACK", "CANCEL") else request.method
        known = self._servers.get((via.branch, via.sent_by, method))
        if request.method == "ACK":
            self._ack(request, known, source)
            return
        if known and request.method == known.request.method:
            known.repeat()
            return
        key = (via.branch, via.sent_by, request.method)

        def forget() -> None:
            self._servers.pop(key, None)

        transaction = ServerTransaction(request, via, source, self.send, forget)
        if source[0] != self.peer:
            log.warning("SIP %s from %s refused: not the edge", request.method, source[0])
            transaction.respond(403, "Forbidden")
            transaction.acknowledged()  # said once: strangers are not to make this port send more than they do
            return
        self._servers[key] = transaction
        try:
            self._dispatch(transaction, known)
        except SipParseError as error:
            transaction.respond(400, f"Bad Request - {error}")
        except Exception:
            transaction.respond(500, "Server Internal Error")
            raise

    def _ack(self, request: Request, invite: ServerTransaction | None, source: Address) -> None:
        if source[0] != self.peer:
            return
        if invite and invite.status >= 300:  # the ACK of a refusal is part of its transaction: same branch
            invite.acknowledged()
        elif user := self.dialogs.get((request.get("call-id"), parse_name_addr(request.get("to")).tag)):
            user.ack_received(request)

    def _dispatch(self, transaction: ServerTransaction, cancelled: ServerTransaction | None) -> None:
        request = transaction.request
        _check(request)
        if request.method == "CANCEL":
            if cancelled:
                transaction.to_tag = cancelled.to_tag
                transaction.respond(200, "OK")
                cancelled.cancelled()
            else:
                transaction.respond(481, "Call/Transaction Does Not Exist")
            return
        tag = parse_name_addr(request.get("to")).tag
        user = self.dialogs.get((request.get("call-id"), tag)) if tag else None
        if user:
            user.request_received(transaction)
        elif tag:
            transaction.respond(481, "Call/Transaction Does Not Exist")
        elif request.method == "INVITE":
            transaction.respond(100, "Trying")
            self.on_invite(transaction)
        elif request.method == "OPTIONS":
            transaction.respond(200, "OK", options_headers())
        else:
            transaction.respond(405, "Method Not Allowed", [("allow", ALLOW)])


def options_headers() -> Headers:
    return [("allow", ALLOW), ("accept", "application/sdp"), ("server", PRODUCT)]


def _check(request: Request) -> None:
    """What every request must have (RFC 3261 §8.1.1). Raises SipParseError, which becomes a 400."""
    _, method = request.cseq
    if method != request.method:
        raise SipParseError("CSeq names another method")
    if not request.get("call-id"):
        raise SipParseError("no Call-ID")
    if not parse_name_addr(request.get("from")).tag:
        raise SipParseError("no tag in From")
    parse_name_addr(request.get("to"))
