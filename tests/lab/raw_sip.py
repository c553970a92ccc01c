"""Bytes sent as they are, for what no SIP endpoint would send: malformed requests, hostile headers, floods."""

import socket
import time


def exchange(
    request: bytes, target: tuple[str, int], *, source: tuple[str, int] = ("127.0.0.13", 0), within_s: float = 2.0
) -> bytes | None:
    """Send one UDP datagram and return the first final answer's bytes (1xx are passed over), or None if none comes.

    `{here}` in the request is replaced by the sender's address:port, so that Via can name it.
    """
    deadline = time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(source)
        sender.connect(target)
        address, port = sender.getsockname()
        sender.send(request.replace(b"{here}", f"{address}:{port}".encode()))
        while (left := deadline - time.monotonic()) > 0:
            sender.settimeout(left)
            try:
                answer = sender.recv(65535)
            except (TimeoutError, ConnectionRefusedError):
                return None
            if not answer.startswith(b"SIP/2.0 1"):
                return answer
    return None
