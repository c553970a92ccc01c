"""Small readiness probes over the network."""

import socket
import urllib.request


def accepts_tcp(address: str, port: int) -> bool:
    """Whether somebody accepts a TCP connection there now."""
    try:
        with socket.create_connection((address, port), timeout=1.0):
            return True
    except OSError:
        return False


def answers_sip(address: str, port: int, within_s: float = 0.5) -> bool:
    """Whether a SIP element answers an OPTIONS over UDP, with whatever status (RFC 3261 section 11)."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(within_s)
        try:
            probe.connect((address, port))
            here, here_port = probe.getsockname()[:2]
            probe.send(
                (
                    f"OPTIONS sip:{address}:{port} SIP/2.0\r\n"
                    f"Via: SIP/2.0/UDP {here}:{here_port};branch=z9hG4bKready{here_port};rport\r\n"
                    f"From: <sip:ready@{here}>;tag=ready{here_port}\r\nTo: <sip:{address}:{port}>\r\n"
                    f"Call-ID: ready-{here_port}@{here}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\n"
                    "Content-Length: 0\r\n\r\n"
                ).encode()
            )
            return probe.recv(65535).startswith(b"SIP/2.0 ")
        except OSError:
            return False


def http_get(url: str, within_s: float = 2.0) -> str | None:
    """The body of a 200 answer, or None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=within_s) as answer:
            body: bytes = answer.read()
            return body.decode("utf-8", "replace")
    except OSError:  # no connection, or an answer other than 200
        return None
