"""Ports for one lab: free ones from a block that no other lab on this machine uses, or fixed ones, checked first."""

import errno
import random
import socket

from holdfast.commands import listeners
from lab.errors import LabError, PortInUse

#: Blocks lie below Linux' ephemeral ports (32768 and up), so that no client socket takes one by chance.
BLOCK_SIZE = 1000
BLOCKS = tuple(range(11000, 32000, BLOCK_SIZE))


class Ports:
    """A block of ports, claimed for as long as this object (or its process) lives."""

    def __init__(self) -> None:
        self._claim, self.first = _claim_block()
        self._next = self.first

    def close(self) -> None:
        self._claim.close()

    def mark(self) -> int:
        """How far the block is used; `give_back` takes it."""
        return self._next

    def give_back(self, mark: int) -> None:
        """Everything that was taken since `mark` is free again: whoever had it is stopped."""
        self._next = mark

    def one(self, address: str = "127.0.0.1") -> int:
        """A port that is free on `address` for UDP and TCP."""
        while True:
            port = self._take(1)
            if is_free(address, port):
                return port

    def block(self, count: int) -> tuple[int, int]:
        """First and last of `count` ports in a row (for RTP), the first one even."""
        if self._next % 2:
            self._take(1)
        first = self._take(count)
        return first, first + count - 1

    def _take(self, count: int) -> int:
        first = self._next
        if first + count > self.first + BLOCK_SIZE:
            raise LabError(f"the lab's {BLOCK_SIZE} ports from {self.first} on are used up")
        self._next += count
        return first


def _claim_block() -> tuple[socket.socket, int]:
    # An abstract socket's name is free again the moment its process ends, however it ends.
    for first in random.sample(BLOCKS, len(BLOCKS)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0holdfast-lab-ports-{first}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return claim, first
    raise LabError("every block of lab ports is taken", mend="end another lab on this machine first")


def is_free(address: str, port: int) -> bool:
    """Whether UDP and TCP sockets can be bound to this address and port now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # a closed connection in TIME_WAIT does not hinder a server
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
                raise LabError(f"{address}:{port} cannot be bound: {error.strerror}") from error
    return True


def require_free(purpose: str, address: str, port: int, mend: str) -> None:
    """Raise PortInUse, naming the process that holds the port, unless it is free."""
    if is_free(address, port):
        return
    everybody = listeners.listeners()
    found = (listeners.on(everybody, protocol, address, port) for protocol in ("udp", "tcp"))
    by = next((holder.who for holder in found if holder), "a process that cannot be seen")
    raise PortInUse(f"{purpose} needs port {port} on {address}, which is in use by {by}", mend=mend)
