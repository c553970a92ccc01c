"""One OPTIONS to one trunk, over UDP, TCP or TLS, from the node's own SIP address, and what came of it.

Everything that comes back may be hostile. Sockets are connected, so that the kernel passes on what comes from the
trunk's own address and port and nothing else; core.options says what is an answer; what a peer may send is bounded in
time, bytes and messages.
"""

import asyncio
import contextlib
import secrets
import socket
import ssl
from dataclasses import dataclass

from holdfast.core.headers import uri_host
from holdfast.core.health import Finding, finding_of
from holdfast.core.options import MAX_HEAD_BYTES, Head, Question, read_head, uri_of
from holdfast.errors import HoldfastError

#: How long one answer is waited for, connecting included, in seconds. Over UDP that is four packets.
ANSWERS_WITHIN_S = 4.0
#: RFC 3261 §17.1.2.1: a request is sent again after T1, then after twice as long each time, up to T2.
T1_S = 0.5
T2_S = 4.0
#: Whoever sends so many messages that answer nothing is not listened to any longer.
MOST_MESSAGES = 50
#: The longest body that is skipped on a stream, in bytes.
MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking; `why` in the words of an operator, free of anything that the peer wrote."""

    finding: Finding
    why: str


class CannotAskError(HoldfastError):
    """A trunk could not be asked for its health, for a reason of this node's own."""

    mend = "see that sip.address is an address of this machine"


NONSENSE = Outcome(Finding.FAILED, "sends nonsense")
_WORDS: dict[type[Exception], str] = {
    TimeoutError: "no answer",
    ConnectionRefusedError: "nobody listens there",
    ConnectionResetError: "closed the connection",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked: an IP address, and what it is called (`host` is a name, or the address again)."""

    host: str
    address: str
    port: int
    transport: str

    @property
    def destination(self) -> tuple[str, int, str]:
        return self.address, self.port, self.transport


async def ask(peer: Peer, from_address: str, within_s: float = ANSWERS_WITHIN_S) -> Outcome:
    """Send one OPTIONS from `from_address` and wait for its final answer. CannotAskError: see there."""
    uri = uri_of(peer.host, peer.port)
    if uri is None:
        raise CannotAskError(f"{peer.host!r} cannot stand in a SIP URI", mend="correct the trunk's host")
    with contextlib.closing(_bound(peer, from_address)) as connection:
        try:
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().sock_connect(connection, (peer.address, peer.port))
                host, port = connection.getsockname()[:2]
                question = Question(uri, peer.transport, f"{uri_host(host)}:{port}", secrets.token_hex(16))
                if peer.transport == "udp":
                    return await _by_datagrams(connection, question)
                return await _by_stream(connection, question, peer.host)
        except (TimeoutError, ConnectionRefusedError, ConnectionResetError) as error:
            return Outcome(Finding.FAILED, _WORDS[type(error)])
        except ssl.SSLError as error:
            return _no_tls(error)
        except OSError as error:
            return Outcome(Finding.FAILED, error.strerror or type(error).__name__)
        except ValueError as error:  # the ssl library's, for a name that can be in no certificate
            raise CannotAskError(
                f"{peer.host!r} cannot be in a certificate", mend="correct the trunk's host"
            ) from error


def _bound(peer: Peer, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in peer.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if peer.transport == "udp" else socket.SOCK_STREAM
    try:
        made = socket.socket(family, kind)
        try:
            made.setblocking(False)  # noqa: FBT003  the library's own
            made.bind((address, 0))
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise CannotAskError(f"nothing can be sent from {address} to {peer.address}: {error.strerror}") from error
    return made


# UDP


class _Listener(asyncio.DatagramProtocol):
    """Waits for the one answer among all that comes."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._messages = 0
        self.heard = False
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: tuple[str | int, ...]) -> None:
        self._messages += 1
        head, blank, _body = data.partition(b"\r\n\r\n")
        read = read_head(head + blank, self._question)
        if self.outcome.done():
            return
        if read is not None and read.status is not None:
            self.heard = True
            if read.status >= 200:
                self.outcome.set_result(_answered(read.status))
        elif self._messages >= MOST_MESSAGES:
            self.outcome.set_result(NONSENSE)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: RFC 3261 §8.1.3.1 treats it as a 503."""
        if not self.outcome.done():
            self.outcome.set_exception(exc)


async def _by_datagrams(connection: socket.socket, question: Question) -> Outcome:
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(lambda: _Listener(question), sock=connection)
    pause_s = T1_S
    try:
        while not listener.outcome.done():
            if not listener.heard:  # a provisional answer: it need not be asked again
                transport.sendto(question.encode())
            await asyncio.wait([listener.outcome], timeout=pause_s)
            pause_s = min(2 * pause_s, T2_S)
        return listener.outcome.result()
    finally:
        transport.abort()


# TCP and TLS


async def _by_stream(connection: socket.socket, question: Question, host: str) -> Outcome:
    tls = question.transport == "tls"
    reader, writer = await asyncio.open_connection(
        sock=connection, limit=MAX_HEAD_BYTES, ssl=_any_certificate() if tls else None,
        server_hostname=host if tls else None,
    )  # fmt: skip
    try:
        writer.write(question.encode())
        for _ in range(MOST_MESSAGES):
            head = await reader.readuntil(b"\r\n\r\n")
            read = read_head(head.lstrip(b"\r\n"), question) if head.strip() else Head(None, 0)  # a keep-alive
            if read is None or read.body_bytes > MAX_BODY_BYTES:
                return NONSENSE
            if read.status is not None and read.status >= 200:
                return _answered(read.status)
            await reader.readexactly(read.body_bytes)
    except asyncio.IncompleteReadError:
        return Outcome(Finding.FAILED, "closed the connection")
    except asyncio.LimitOverrunError:
        return NONSENSE
    finally:
        writer.transport.abort()
    return NONSENSE


def _any_certificate() -> ssl.SSLContext:
    """What is asked is whether a peer lives, and no secret is sent: whether its certificate is right is for calls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _no_tls(error: ssl.SSLError) -> Outcome:
    """An alert is what a peer sends that lives and will not have this client, such as one without a certificate."""
    reason = error.reason or type(error).__name__
    if "ALERT" in reason:
        raise CannotAskError(
            f"it ends the TLS handshake: {reason}", mend="the agent has no certificate to show; calls are not affected"
        ) from error
    return Outcome(Finding.FAILED, f"no TLS: {reason}")


def _answered(status: int) -> Outcome:
    return Outcome(finding_of(status), f"answered {status}")
