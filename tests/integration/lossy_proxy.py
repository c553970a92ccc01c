"""A proxy before PostgreSQL's unix socket that breaks the connection around a COMMIT."""

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Literal, Self

Loss = Literal["request", "reply"]


class LossyProxy:
    """Breaks the first connection that commits, before PostgreSQL saw the COMMIT or after it answered.

    With `then_down` nothing can connect afterwards.
    """

    def __init__(self, behind: Path, loss: Loss, *, then_down: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-proxy-", dir="/tmp"))
        self._behind = behind / ".s.PGSQL.5432"
        self._loss = loss
        self._then_down = then_down
        self._broken = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            _end(one)
        shutil.rmtree(self.folder)

    @property
    def broke(self) -> bool:
        return self._broken.is_set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._broken.is_set() and self._then_down:
                    _end(client)
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._behind))
                self._sockets += [client, server]
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"commit\0" in data and not self._broken.is_set():
                    self._broken.set()
                    if self._loss == "reply":
                        server.sendall(data)
                        continue  # the reply is what is lost
                    break
                server.sendall(data)
        _end(client)
        _end(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                # the first answer after the COMMIT of the broken connection is the one that is lost
                if self._broken.is_set() and data.startswith(b"C") and b"COMMIT\0" in data and self._loss == "reply":
                    self._loss = "request"
                    break
                client.sendall(data)
        _end(client)
        _end(server)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
