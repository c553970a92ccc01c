"""The embedded media server's process: `main(settings)` runs it until SIGTERM or SIGINT."""

import asyncio
import contextlib
import logging
import signal
import sys

from holdfast.embedded import causes, dialplan
from holdfast.embedded.call import Exchange
from holdfast.embedded.channel import EventBus
from holdfast.embedded.esl_inbound import InboundListener
from holdfast.embedded.media import MediaClock, MediaPorts
from holdfast.embedded.sip_endpoint import SipEndpoint
from holdfast.embedded.sip_transactions import ServerTransaction
from holdfast.embedded.wav import PromptUnusable, load
from holdfast.errors import HoldfastError
from holdfast.settings import Settings

log = logging.getLogger(__name__)

#: From the signal to the exit: calls are told (BYE) and their answers are waited for that long.
_FAREWELL_S = 1.5
_HEARTBEAT_S = 20.0


class PortUnavailable(HoldfastError):
    """A port that the media server needs cannot be had."""


def main(settings: Settings) -> int:
    """Serve until told to stop; returns 0. Raises HoldfastError if it cannot start, saying how to mend it."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    password = settings.media.esl_password()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # a caller is not to wait for the disk: read once what will be played again and again
    await asyncio.to_thread(_read_prompts, settings)
    exchange = await open_exchange(settings)
    listener = InboundListener(exchange, password)
    try:
        # last of all, so that a port that accepts means a server that is ready
        await listener.start(settings.media.esl_address, settings.media.esl_port)
    except OSError as error:
        raise _unavailable("TCP", "esl_port", settings.media.esl_port, error) from error
    log.info("embedded media server ready: SIP port %d", settings.media.sip_port)
    heartbeat = asyncio.create_task(_beat(exchange))
    await stop.wait()
    heartbeat.cancel()
    await _farewell(exchange)
    await listener.stop()
    exchange.endpoint.close()


async def open_exchange(settings: Settings) -> Exchange:
    """Take calls on the SIP port. Raises PortUnavailable."""
    media = settings.media

    def on_invite(transaction: ServerTransaction) -> None:
        dialplan.take(exchange, transaction)

    endpoint = SipEndpoint((media.address, media.sip_port), settings.sip.address, on_invite)
    ports = MediaPorts(media.address, media.rtp_first_port, media.rtp_last_port)
    exchange = Exchange(settings, endpoint, ports, MediaClock(), EventBus(), {}, {})
    try:
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: endpoint, local_addr=(media.address, media.sip_port)
        )
    except OSError as error:
        raise _unavailable("UDP", "sip_port", media.sip_port, error) from error
    return exchange


def _unavailable(protocol: str, key: str, port: int, error: OSError) -> PortUnavailable:
    return PortUnavailable(
        f"{protocol} port {port} (media.{key}): {error.strerror or error}",
        mend=f"stop what uses it ('ss -lpn sport = :{port}' names it), or set another media.{key}",
    )


def _read_prompts(settings: Settings) -> None:
    for path in sorted((settings.media.prompts_dir / settings.media.language).glob("**/*.wav")):
        try:
            load(path)
        except PromptUnusable as error:
            log.warning("prompt: %s", error)


async def _beat(exchange: Exchange) -> None:
    while True:
        exchange.bus.publish("HEARTBEAT", [("Session-Count", str(len(exchange.channels)))])
        await asyncio.sleep(_HEARTBEAT_S)


async def _farewell(exchange: Exchange) -> None:
    """Hang up every call, and wait until the far ends have said that they know."""
    exchange.endpoint.on_invite = lambda transaction: transaction.respond(503, "Service Unavailable")
    calls = list(exchange.calls.values())
    for call in calls:
        call.leg.hangup(causes.SHUTDOWN)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await asyncio.gather(*(call.done for call in calls))
            while not exchange.endpoint.idle:
                await asyncio.sleep(0.02)
