"""The call controller: one process that FreeSWITCH connects to once per call.

It is never needed for a call to go on. Each call comes with a dead man's switch armed in the dialplan; the controller
disarms it first, or lets go of the call. When the controller ends, the dialplan carries on.
"""

import asyncio
import contextlib
import logging
import re
import signal
import time
from dataclasses import dataclass

from holdfast import controller_metrics, metrics
from holdfast.calls import callback, prompts, readback
from holdfast.calls.prompts import Languages, Prompts
from holdfast.core.headers import uri_host
from holdfast.errors import EslError, EslTimeout, InputError, SettingsError
from holdfast.esl import commands
from holdfast.esl.client import InboundClient, MediaHealth
from holdfast.esl.connection import CommandRefused
from holdfast.esl.frames import Event
from holdfast.esl.outbound import ChannelEnded, OutboundServer, Session
from holdfast.settings import Settings

log = logging.getLogger(__name__)

#: From the connection to the disarmed switch. The dialplan's switch fires within 2 s of the call.
TAKE_OVER_DEADLINE_S = 1.0
#: FreeSWITCH lists a channel a moment after it exists; a younger session proves nothing by not being listed.
LISTED_AFTER_S = 5.0

_E164 = re.compile(r"\+[0-9]{3,15}")
_DELETED = re.compile(r"\+OK Deleted: (\d+)")
RELEASED = "released"


class TooLate(EslError):
    """The dead man's switch had already fired: the dialplan has the call."""


_REASONS = {EslTimeout: "timeout", TooLate: "too_late", CommandRefused: "refused", ChannelEnded: "hung_up"}


@dataclass(frozen=True, slots=True)
class Request:
    """What the dialplan says a call is for."""

    feature: str  # readback or callback
    number: str  # E.164
    language: str

    @classmethod
    def of_channel(cls, channel: Event) -> "Request":
        feature, number = channel.variable("holdfast_feature"), channel.variable("holdfast_callback_number")
        if feature not in ("readback", "callback"):
            raise InputError(f"no such feature: {feature!r}")
        if not _E164.fullmatch(number):
            raise InputError("the call names no E.164 callback number")
        return cls(feature, number, channel.variable("holdfast_language"))


class Controller:
    """Both sides of the event socket: calls that FreeSWITCH brings, and a connection that watches FreeSWITCH."""

    def __init__(self, settings: Settings, languages: Languages) -> None:
        self._settings = settings
        media = settings.media
        self._server = OutboundServer(
            lambda session: serve_call(session, settings, languages),
            accept_from=settings.controller.address,  # a connection within the node comes from where it goes to
            on_refused=lambda reason: controller_metrics.refused_connections.labels(reason).inc(),
        )
        self._client = InboundClient(
            media.esl_address,
            media.esl_port,
            media.esl_password,
            on_health=show_health,
            on_up=self._compare_channels,
            on_event=show_heartbeat,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then let go of every call. SettingsError: the port cannot be had."""
        where = self._settings.controller
        try:
            await self._server.start(where.address, where.port)
        except OSError as error:
            raise SettingsError(
                f"the controller cannot listen on {where.address}:{where.port}: {error.strerror}",
                mend="another process has that port: stop it, or set another controller.port",
            ) from error
        watching = asyncio.create_task(self._client.run(), name="esl-watch")
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
            if watching in done:
                await watching  # it never ends by itself: show why it did
        finally:
            stopping.cancel()
            watching.cancel()
            await self._server.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _compare_channels(self, client: InboundClient) -> None:
        """After a gap in the connection: calls whose end was lost are gone from the media server's list."""
        held = [
            session for session in self._server.sessions.values()
            if time.monotonic() - session.since_monotonic_s > LISTED_AFTER_S
        ]  # fmt: skip
        listed = await client.channel_uuids()
        for session in held:
            if session.channel_uuid not in listed:
                session.give_up("the media server no longer has this call")


async def serve_call(session: Session, settings: Settings, languages: Languages) -> None:
    """One call, from the media server's connection to its end. EslError, InputError: the dialplan carries it on."""
    await take_over(session)
    request = Request.of_channel(session.channel)
    result = RELEASED
    with controller_metrics.calls_in_progress.labels(request.feature).track_inprogress():
        try:
            result = await _feature(session, request, settings, languages.of_call(request.language))
        finally:
            controller_metrics.calls.labels(request.feature, result).inc()
    log.info("%s %s: %s", request.feature, session.channel_uuid, result)


async def _feature(session: Session, request: Request, settings: Settings, spoken: Prompts) -> str:
    if request.feature == "readback":
        return await readback.run(session, request.number, spoken)
    edge, limits = settings.sip, settings.controller
    target = callback.Target(request.number, uri_host(edge.address), edge.port, limits.ring_s)
    count = controller_metrics.callback_attempts.inc
    return await callback.Callback(session, target, limits.callback_attempts, spoken, on_attempt=count).run()


async def take_over(session: Session) -> None:
    """Disarm the dead man's switch, or give the call back by raising an EslError."""
    try:
        await _disarm(session)
    except EslError as error:
        controller_metrics.deadman_failures.labels(_REASONS.get(type(error), "lost")).inc()
        raise
    controller_metrics.take_over_seconds.observe(time.monotonic() - session.since_monotonic_s)


async def _disarm(session: Session) -> None:
    try:
        async with asyncio.timeout(TAKE_OVER_DEADLINE_S):
            await session.follow()
            # FreeSWITCH parks a call some time after `connect`. A controller that dies before that is never missed: the
            # call would wait for park_timeout. It runs applications only while it is parked; so the switch stays armed
            # until one has run.
            parked = await session.execute("set", "holdfast_controlled=true")
            await session.completion(parked, TAKE_OVER_DEADLINE_S)
            answer = await session.api(commands.sched_del(session.channel_uuid))
    except TimeoutError as error:
        raise EslTimeout(f"the dead man's switch was not disarmed within {TAKE_OVER_DEADLINE_S:g} s") from error
    deleted = _DELETED.fullmatch(answer)
    if deleted is None or int(deleted[1]) == 0:
        raise TooLate


def show_health(health: MediaHealth) -> None:
    controller_metrics.esl_connected.set(health is MediaHealth.CONNECTED)
    controller_metrics.media_stalled.set(health is MediaHealth.STALLED)


def show_heartbeat(event: Event) -> None:
    count = event.get("Session-Count")
    if count.isascii() and count.isdigit():
        controller_metrics.media_calls.set(int(count))


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0. SettingsError: a port, the ESL password or a prompt is missing."""
    languages = prompts.load(settings.media)
    settings.media.esl_password()
    page = metrics.serve(settings.controller.metrics_port, registry=controller_metrics.registry)
    try:
        asyncio.run(_run(settings, languages))
    finally:
        page.shutdown()
        page.server_close()
    return 0


async def _run(settings: Settings, languages: Languages) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Controller(settings, languages).run(stop)
