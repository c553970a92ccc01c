"""`doctor` looks at this node's processes: who holds each port, and whether they answer."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.calls import prompts
from holdfast.commands import listeners
from holdfast.commands.finding import Finding, fail, fail_with, ok, warn
from holdfast.commands.listeners import Listener
from holdfast.edge import kamailio_rpc
from holdfast.errors import HoldfastError
from holdfast.esl.client import InboundClient, MediaHealth
from holdfast.settings import Settings

_MEDIA_WITHIN_S = 4.0


@dataclass(frozen=True, slots=True)
class _Port:
    """A port of ours: `programs` may hold it, `start` says how it comes to be held."""

    check: str
    protocol: str
    address: str
    port: int
    programs: tuple[str, ...]
    start: str


def _ports(settings: Settings) -> tuple[_Port, ...]:
    sip, media, controller = settings.sip, settings.media, settings.controller
    kamailio, media_server = ("kamailio",), ("freeswitch", "embedded-media")
    start_kamailio = "start Kamailio"
    start_media = "start FreeSWITCH (or 'holdfast embedded-media')"
    start_controller = "start 'holdfast controller'"
    return (
        _Port("kamailio", "udp", sip.address, sip.port, kamailio, start_kamailio),
        _Port("kamailio", "tcp", sip.address, sip.port, kamailio, start_kamailio),
        _Port("kamailio", "tcp", settings.kamailio.http_address, settings.kamailio.http_port, kamailio, start_kamailio),
        _Port("media server", "udp", media.address, media.sip_port, media_server, start_media),
        _Port("media server", "tcp", media.esl_address, media.esl_port, media_server, start_media),
        _Port("controller", "tcp", controller.address, controller.port, ("controller",), start_controller),
        _Port("controller", "tcp", "127.0.0.1", controller.metrics_port, ("controller",), start_controller),
        _Port("agent", "tcp", "127.0.0.1", settings.agent.metrics_port, ("agent",), "start 'holdfast agent'"),
    )


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Whether each of our ports is held, and by us."""
    everything = listeners.listeners()
    for port in _ports(settings):
        yield _check_port(port, listeners.on(everything, port.protocol, port.address, port.port))


def _check_port(port: _Port, holder: Listener | None) -> Finding:
    where = f"{port.address}:{port.port}/{port.protocol}"
    if holder is None:
        return fail(port.check, f"nothing listens on {where}", port.start)
    if holder.program is not None and not any(program in holder.program for program in port.programs):
        return fail(
            port.check,
            f"{where} is held by {holder.who}",
            "stop that program, or choose another port in the settings file",
        )
    if holder.program is None:
        return warn(port.check, f"{where} is held by {holder.who}", "run doctor as root to see which program it is")
    return ok(port.check, f"{where} is held by {holder.who}")


def check_kamailio(settings: Settings) -> Finding:
    """Whether Kamailio's own interface answers."""
    rpc_socket = settings.node.kamailio_rpc
    try:
        version = kamailio_rpc.call(rpc_socket, "core.version")
        uptime = kamailio_rpc.call(rpc_socket, "core.uptime")["uptime"]
    except HoldfastError as error:
        return fail_with("kamailio", error)
    return ok("kamailio", f"{str(version).strip()} answers, up for {uptime} s")


def check_media(settings: Settings) -> Finding:
    """Whether the media server lets us in and answers a command. Without it 933 fails; calls and callbacks go on."""
    where = f"{settings.media.esl_address}:{settings.media.esl_port}"
    try:
        settings.media.esl_password()
        health = asyncio.run(_media_health(settings))
    except HoldfastError as error:
        return fail_with("media server", error)
    if health is MediaHealth.CONNECTED:
        return ok("media server", f"it answers on its event socket at {where}")
    if health is MediaHealth.STALLED:
        return fail("media server", f"it takes connections at {where}, but does not answer", "restart it")
    return fail(
        "media server",
        f"its event socket at {where} is closed, or refuses our password",
        "start it; after a new password ('holdfast render'), start it again",
    )


async def _media_health(settings: Settings) -> MediaHealth:
    log = logging.getLogger("holdfast.esl")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the finding says it
    seen: asyncio.Future[MediaHealth] = asyncio.get_running_loop().create_future()

    def first(health: MediaHealth) -> None:
        # connected is not yet answered: on_up, which asks, comes after it
        if health is not MediaHealth.CONNECTED and not seen.done():
            seen.set_result(health)

    async def ask(client: InboundClient) -> None:
        await client.api("status")
        if not seen.done():
            seen.set_result(MediaHealth.CONNECTED)

    client = InboundClient(
        settings.media.esl_address, settings.media.esl_port, settings.media.esl_password,
        on_health=first, on_up=ask, on_event=lambda _: None, event_names=(),
    )  # fmt: skip
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(_MEDIA_WITHIN_S):
            return await seen
    except TimeoutError:
        return MediaHealth.STALLED
    finally:
        running.cancel()
        await asyncio.wait([running])
        log.setLevel(level)


def check_prompts(settings: Settings) -> Finding:
    """Whether every prompt that 933 and the callback speak is there, as the media server can play it."""
    try:
        languages = prompts.load(settings.media)
    except HoldfastError as error:
        return fail_with("prompts", error)
    spoken = ", ".join(sorted(languages.complete))
    if settings.media.language not in languages.complete:
        return warn(
            "prompts",
            f"language {settings.media.language} is not complete below {settings.media.prompts_dir}; spoken: {spoken}",
            f"complete {settings.media.prompts_dir / settings.media.language}",
        )
    return ok("prompts", f"complete below {settings.media.prompts_dir}: {spoken}")
