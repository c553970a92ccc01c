"""The event socket that clients connect to: a password, events, and the API."""

import asyncio
import contextlib
import hmac
import ipaddress
import logging

from holdfast.embedded import api
from holdfast.embedded import esl_frames as frames
from holdfast.embedded.call import Exchange
from holdfast.embedded.esl_connection import EslConnection

log = logging.getLogger(__name__)

#: A client that has not given the password by then is dropped.
AUTH_S = 10.0
_MOST_CLIENTS = 32


class _Client(EslConnection):
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, exchange: Exchange, password: str
    ) -> None:
        super().__init__(reader, writer)
        self._password = password
        self._bus = exchange.bus
        self._allowed = self.commands | {
            "api": lambda command: frames.api_response(api.call(exchange, command.argument))
        }
        self.commands = {"auth": self._authenticate, "exit": self._exit}

    async def run(self) -> None:
        self.write(frames.auth_request())
        late = asyncio.get_running_loop().call_later(AUTH_S, self._too_late)
        try:
            await self.serve()
        finally:
            late.cancel()
            self._bus.remove(self)

    def end(self) -> None:
        self.finish(frames.disconnect_notice())

    def _authenticate(self, command: frames.Command) -> bytes:
        given = command.argument.encode("latin-1")
        if not hmac.compare_digest(given, self._password.encode("ascii")):
            log.warning("event socket: a client gave a wrong password")
            self.write(frames.command_reply("-ERR invalid"))
            self.end()
            return b""
        self.commands = self._allowed
        self._bus.add(self)
        return frames.command_reply("+OK accepted")

    def _too_late(self) -> None:
        if self.commands is not self._allowed:
            self.end()


def _is_local(writer: asyncio.StreamWriter) -> bool:
    """Whether the client is on this machine: the password is not the only lock."""
    peer, own = (str(writer.get_extra_info(name)[0]) for name in ("peername", "sockname"))
    return peer == own or ipaddress.ip_address(peer.partition("%")[0]).is_loopback


class InboundListener:
    """Accepts clients on the event socket's port."""

    def __init__(self, exchange: Exchange, password: str) -> None:
        self._exchange = exchange
        self._password = password
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    async def start(self, address: str, port: int) -> None:
        """Raises OSError if the port cannot be had."""
        self._server = await asyncio.start_server(self._serve, address, port)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for client in list(self._clients):
            client.end()
        if self._server:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_local(writer) or len(self._clients) >= _MOST_CLIENTS:
            log.warning("event socket: a connection was refused")
            writer.transport.abort()
            return
        client = _Client(reader, writer, self._exchange, self._password)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)
