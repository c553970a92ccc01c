"""`holdfast api`: the control plane's HTTP server. It speaks plain HTTP on loopback; a proxy before it speaks TLS.

No request's path is ever logged: that of a location URI is the key to where somebody is.
"""

import asyncio
import logging
import signal
import socket
import sys

import uvicorn

from holdfast import metrics, plane_metrics
from holdfast.errors import SettingsError
from holdfast.plane import location_api, references
from holdfast.settings import Settings

log = logging.getLogger(__name__)

#: Connections and requests at once; who comes above that gets a 503.
MOST_AT_ONCE = 512
#: How long requests that are being answered may go on when the server is told to stop, in seconds.
STOP_WITHIN_S = 3


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0. SettingsError: a port cannot be had. InputError: database.dsn cannot be read."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    info = references.conninfo(settings)
    with _listener(settings.api.address, settings.api.port) as listener:
        page = metrics.serve(settings.api.metrics_port, registry=plane_metrics.registry)
        log.info("location URIs are answered at http://%s:%d/location/", settings.api.address, settings.api.port)
        try:
            asyncio.run(_serve(info, listener))
        finally:
            page.shutdown()
            page.server_close()
    return 0


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=MOST_AT_ONCE)
    except OSError as error:
        raise SettingsError(
            f"the API cannot listen on {address}:{port}: {error.strerror}",
            mend="another process has that port, or this machine has no such address: correct api.address and api.port",
        ) from error


async def _serve(info: str, listener: socket.socket) -> None:
    app = location_api.application(references.References(info))
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, limit_concurrency=MOST_AT_ONCE, timeout_graceful_shutdown=STOP_WITHIN_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # while it serves uvicorn has handlers of its own; when it has stopped it raises the signal again, which would
        # end the process by that signal instead of with status 0
        loop.add_signal_handler(number, server.handle_exit, number, None)
    await server.serve(sockets=[listener])
