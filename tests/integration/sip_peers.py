"""A trunk's other end that only answers OPTIONS, on loopback, in the test's own event loop: as told, and oddly."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast

#: What a peer says to a request: any number of messages.
Answers = Callable[[str], list[bytes]]


def says(status: int) -> Answers:
    return lambda request: [reply(request, status)]


def silence(_request: str) -> list[bytes]:
    return []


def reply(request: str, status: int, *, body: str = "", **changed: str) -> bytes:
    """The answer to a request, with headers changed by name (`-` as `_`)."""
    named = dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if line)
    headers = {name: named[name] for name in ("Via", "From", "To", "Call-ID", "CSeq")}
    headers["To"] += ";tag=peer"
    headers["Content-Length"] = str(len(body))
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"SIP/2.0 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    return "\r\n".join(lines).encode("latin-1")


class UdpPeer(asyncio.DatagramProtocol):
    """`answers` may be changed at any time; `requests` and `sources` are what came so far."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.sources: list[tuple[str, int]] = []
        self.transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        assert self.transport is not None
        self.requests.append(data.decode("ascii"))
        self.sources.append((str(addr[0]), int(addr[1])))
        for message in self.answers(self.requests[-1]):
            self.transport.sendto(message, addr)


@contextlib.asynccontextmanager
async def udp_peer(answers: Answers, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[UdpPeer]:
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(lambda: UdpPeer(answers), local_addr=(host, port))
    try:
        yield peer
    finally:
        transport.close()


class StreamPeer:
    """Over TCP or TLS. `at_once` is how many connections were open at most."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.port = 0
        self.open = 0
        self.at_once = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.at_once = max(self.at_once, self.open)
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            self.requests.append(request)
            for piece in self.answers(request):
                writer.write(piece)
                await writer.drain()
            if not self.answers(request):
                return  # closes
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def stream_peer(answers: Answers, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[StreamPeer]:
    peer = StreamPeer(answers)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
