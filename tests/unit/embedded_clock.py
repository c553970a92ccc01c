"""An event loop whose clock jumps: when nothing is to be read, the next timer is due at once. Real sockets work in it.

What RFC 3261 lets take 32 seconds is thus tested in milliseconds, and in the same order of events each time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from holdfast.embedded.sip_message import Request, Response, parse

_T = TypeVar("_T")
_LONGEST_S = 100_000.0


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now_s


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: _JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # a millisecond of real time for what another thread or the kernel is just about to deliver
        ready = super().select(0) or super().select(0.001)
        if not ready and timeout:
            self._loop.now_s += timeout
        return ready


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; TimeoutError after a hundred thousand (unreal) seconds."""

    async def bounded() -> _T:
        async with asyncio.timeout(_LONGEST_S):
            return await main

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(bounded())


class Peer(asyncio.DatagramProtocol):
    """The other end of a SIP conversation, answered by the test itself. Knows when (loop time) each message came."""

    def __init__(self) -> None:
        self.received: list[tuple[float, Request | Response]] = []
        self._arrived = asyncio.Event()
        self._taken = 0
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls) -> "Peer":
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def address(self) -> tuple[str, int]:
        assert self._transport is not None
        name: tuple[str, int] = self._transport.get_extra_info("sockname")
        return name

    def datagram_received(self, data: bytes, _addr: tuple[str | int, ...]) -> None:
        self.received.append((asyncio.get_running_loop().time(), parse(data)))
        self._arrived.set()

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(data, to)

    async def next(self, wanted: Callable[[Request | Response], bool]) -> Request | Response:
        """The next message, from where the last call stopped, that is wanted; others are passed over."""
        while True:
            while self._taken < len(self.received):
                self._taken += 1
                message = self.received[self._taken - 1][1]
                if wanted(message):
                    return message
            self._arrived.clear()
            await self._arrived.wait()

    async def request(self, method: str) -> Request:
        found = await self.next(lambda message: isinstance(message, Request) and message.method == method)
        assert isinstance(found, Request)
        return found

    async def response(self, status: int) -> Response:
        found = await self.next(lambda message: isinstance(message, Response) and message.status == status)
        assert isinstance(found, Response)
        return found

    def times(self, method: str) -> list[float]:
        """When each request of this method came."""
        return [at for at, message in self.received if isinstance(message, Request) and message.method == method]


def answer_to(request: Request, status: int, *, body: bytes = b"", contact: str = "") -> bytes:
    """A response to a request, as a phone would make it."""
    names = ("via", "record-route", "from", "call-id", "cseq")
    copied = [(name, value) for name, value in request.headers if name in names]
    to = request.get("to")
    copied.append(("to", to if "tag=" in to or status == 100 else f"{to};tag=far"))
    if contact:
        copied.append(("contact", contact))
    return Response(copied, body, status, "Said").encode()
