"""The inbound connection: we connect to FreeSWITCH's event socket, stay connected, and know how it is.

A lost connection is made again with back-off; what was under way on the old one is never sent again. FreeSWITCH keeps
no events for an absent listener, so `on_up` runs after every connect: there the owner compares what FreeSWITCH holds
(`channel_uuids`) with what it holds itself.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from holdfast.errors import EslDisconnected, EslError, EslProtocolError, EslTimeout, InputError, SettingsError
from holdfast.esl import commands
from holdfast.esl.connection import REPLY_DEADLINE_S, CommandRefused, EslConnection
from holdfast.esl.frames import Event, Frame

log = logging.getLogger(__name__)


class MediaHealth(StrEnum):
    CONNECTED = "connected"
    STALLED = "stalled"  # it has the connection, or takes one, but does not answer
    GONE = "gone"  # nothing listens there, or it refuses us


@dataclass(frozen=True, slots=True)
class Timing:
    """Every wait of the inbound connection, in seconds."""

    connect_deadline_s: float = 2.0
    reply_deadline_s: float = REPLY_DEADLINE_S
    poll_s: float = 5.0  # between two `api status`
    poll_deadline_s: float = 2.0
    retry_first_s: float = 0.2
    retry_last_s: float = 5.0

    def retry_s(self, failures: int) -> float:
        """The wait before the next attempt: doubles to a limit, and is spread so that nodes do not come in step."""
        longest = min(self.retry_last_s, self.retry_first_s * 2.0 ** min(failures, 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret depends on it


class InboundClient:
    """`run()` it in a task; `api` and `channel_uuids` work while connected and raise EslDisconnected otherwise.

    `password` is asked for at every connect, because the file may have been rendered anew; it is never logged.
    """

    def __init__(
        self,
        address: str,
        port: int,
        password: Callable[[], str],
        *,
        on_health: Callable[[MediaHealth], None],
        on_up: Callable[["InboundClient"], Awaitable[None]],
        on_event: Callable[[Event], None],
        event_names: Iterable[str] = ("HEARTBEAT",),
        timing: Timing | None = None,
    ) -> None:
        self._address = address
        self._port = port
        self._password = password
        self._on_health = on_health
        self._on_up = on_up
        self._on_event = on_event
        self._event_names = tuple(event_names)
        self._timing = timing or Timing()
        self._connection: EslConnection | None = None

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        failures = 0
        while True:
            connection: EslConnection | None = None
            try:
                connection = await self._connect()
                failures = 0
                await self._stay(connection)
            except (EslError, SettingsError) as error:  # the password's file may be rendered anew
                health = MediaHealth.STALLED if isinstance(error, EslTimeout) else MediaHealth.GONE
                if failures == 0:
                    log.warning("event socket of the media server: %s; trying again", error)
                self._on_health(health)
            finally:
                self._connection = None
                if connection is not None:
                    await connection.close()
            await asyncio.sleep(self._timing.retry_s(failures))
            failures += 1

    async def api(self, name: str, *arguments: str, deadline_s: float | None = None) -> str:
        """Run an API command and give its answer. EslDisconnected, EslTimeout: it may or may not have run."""
        if self._connection is None:
            raise EslDisconnected(f"'api {name}' was not sent: there is no connection to the media server")
        frame = await self._connection.send(
            commands.api(name, *arguments), deadline_s=deadline_s or self._timing.reply_deadline_s
        )
        return frame.body.decode("utf-8", "replace")

    async def channel_uuids(self) -> frozenset[str]:
        """The UUIDs of all channels that FreeSWITCH has now."""
        return parse_channels(await self.api("show", "channels", "as", "json"))

    async def _connect(self) -> EslConnection:
        timing = self._timing
        try:
            async with asyncio.timeout(timing.connect_deadline_s):
                reader, writer = await asyncio.open_connection(self._address, self._port)
        except TimeoutError as error:
            raise EslTimeout(f"{self._address}:{self._port} did not take the connection") from error
        except OSError as error:
            raise EslDisconnected(f"{self._address}:{self._port}: {error.strerror or error}") from error
        asked = asyncio.Event()

        def on_frame(frame: Frame) -> None:
            if frame.content_type != "auth/request" or asked.is_set():
                raise EslProtocolError("a frame of an unknown kind")
            asked.set()

        connection = EslConnection(reader, writer, on_event=self._on_event, on_frame=on_frame)
        try:
            await self._authenticate(connection, asked)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _authenticate(self, connection: EslConnection, asked: asyncio.Event) -> None:
        waits = [asyncio.create_task(asked.wait()), asyncio.create_task(connection.lost())]
        try:
            await asyncio.wait(waits, timeout=self._timing.reply_deadline_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not connection.is_open:
            raise await connection.lost()
        if not asked.is_set():
            raise EslTimeout("the media server took the connection but did not ask for the password")
        try:
            await connection.send(commands.auth(self._password()), deadline_s=self._timing.reply_deadline_s)
        except CommandRefused as error:
            raise EslDisconnected("the media server refused the ESL password") from error
        if self._event_names:
            await connection.send(commands.events(self._event_names), deadline_s=self._timing.reply_deadline_s)

    async def _stay(self, connection: EslConnection) -> None:
        self._connection = connection
        log.info("connected to the media server's event socket")
        self._on_health(MediaHealth.CONNECTED)
        await self._on_up(self)
        while True:
            await self.api("status", deadline_s=self._timing.poll_deadline_s)
            lost = asyncio.create_task(connection.lost())
            done, _ = await asyncio.wait([lost], timeout=self._timing.poll_s)
            lost.cancel()
            if done:
                raise lost.result()


def parse_channels(answer: str) -> frozenset[str]:
    """The answer to `show channels as json` → channel UUIDs. EslProtocolError if it is anything else."""
    try:
        rows = json.loads(answer).get("rows", [])
        return frozenset(commands.uuid(str(row["uuid"])) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise EslProtocolError("the answer to 'show channels as json' is no list of channels") from error
