"""Sending and receiving SIP messages at an address and port of one's own: over UDP, TCP and TLS."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial

from lab.layout import DOMAIN
from lab.sip_messages import declared_length

#: How long a connection is listened to before a look whether we are closing, and how long one read may take.
_LISTENS_FOR_S, _READS_FOR_S = 0.2, 0.5


class Link:
    """Where a message came from, and answers go: a datagram's sender, or a connection."""

    def __init__(self, send: Callable[[bytes], object], close: Callable[[], None] = lambda: None) -> None:
        self.send = send
        self.close = close


class Links:
    """Listens, and gives every whole message that comes to `take`, with the way back. `close` ends all of it.

    `accepts`, `connects`: what it shows, and whom it trusts, over TLS; a server is trusted as DOMAIN's.
    """

    def __init__(
        self,
        address: str,
        port: int,
        transport: str,
        take: Callable[[bytes, Link], None],
        *,
        accepts: ssl.SSLContext | None,
        connects: ssl.SSLContext | None,
    ) -> None:
        self._address = address
        self._take = take
        self._accepts, self._connects = accepts, connects
        self._links: list[Link] = []
        self._closing = False
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, port))
        self._is_udp = kind == socket.SOCK_DGRAM
        if not self._is_udp:
            self._socket.listen()
        self._listener = self._run(self._datagrams if self._is_udp else self._accept)

    def close(self) -> None:
        self._closing = True
        for link in self._links:
            link.close()
        with contextlib.suppress(OSError):  # it wakes the thread all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join(5)
        self._socket.close()

    def link_to(self, address: str, port: int) -> Link:
        """A way to send: a new connection, or none at all over UDP. OSError (ssl.SSLError) where it is refused."""
        if self._is_udp:
            return Link(partial(self._send_to, (address, port)))
        connection = socket.create_connection((address, port), timeout=5, source_address=(self._address, 0))
        if self._connects is not None:
            connection = self._connects.wrap_socket(connection, server_hostname=DOMAIN)
        return self._linked(connection)

    def _run(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _datagrams(self) -> None:
        while not self._closing:
            try:
                data, source = self._socket.recvfrom(65535)
            except OSError:
                return
            self._take(data, Link(partial(self._send_to, source)))

    def _send_to(self, target: tuple[str, int], data: bytes) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile
            self._socket.sendto(data, target)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
                self._run(self._greet, connection)
            except OSError:
                return

    def _greet(self, connection: socket.socket) -> None:
        if self._accepts is not None:
            try:
                connection = self._accepts.wrap_socket(connection, server_side=True)
            except OSError:  # whoever it was does not want us
                connection.close()
                return
        self._linked(connection)

    def _linked(self, connection: socket.socket) -> Link:
        turn = threading.Lock()  # a TLS connection must not be read and written at the same time
        connection.settimeout(_READS_FOR_S)

        def send(data: bytes) -> None:
            with turn, contextlib.suppress(OSError):  # closed meanwhile
                connection.sendall(data)

        def close() -> None:
            with contextlib.suppress(OSError):  # closed by the other side
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

        link = Link(send, close)
        self._links.append(link)
        self._run(self._stream, connection, turn, link)
        return link

    def _stream(self, connection: socket.socket, turn: threading.Lock, link: Link) -> None:
        data = b""
        while not self._closing:
            try:
                more = _read(connection, turn)
            except (OSError, ValueError):  # ValueError: it was closed while we waited
                return
            if more == b"":
                return
            data = (data + (more or b"")).lstrip(b"\r\n")
            while b"\r\n\r\n" in data:
                head, _, rest = data.partition(b"\r\n\r\n")
                length = declared_length(head)
                if len(rest) < length:
                    break
                self._take(head + b"\r\n\r\n" + rest[:length], link)
                data = rest[length:].lstrip(b"\r\n")


def _read(connection: socket.socket, turn: threading.Lock) -> bytes | None:
    """What came; b"" at the end; None when there is nothing for now, or nothing whole."""
    waiting = connection.pending() if isinstance(connection, ssl.SSLSocket) else 0
    if not waiting and not select.select([connection], [], [], _LISTENS_FOR_S)[0]:
        return None
    with turn:
        try:
            return connection.recv(65535)
        except TimeoutError:
            return None
