"""Which process listens on which port of this machine, read from /proc (proc(5): net/tcp, net/udp)."""

import ipaddress
import pwd
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN
_UNCONNECTED = "07"  # a bound UDP socket


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket. `program` and `pid` are None where this user may not look into the process."""

    protocol: str
    address: str
    port: int
    user: str
    pid: int | None
    program: str | None

    @property
    def who(self) -> str:
        if self.pid is None:
            return f"a process of user {self.user}"
        return f"{self.program} (pid {self.pid})"


def listeners() -> tuple[Listener, ...]:
    """Every listening TCP and bound UDP socket of this network namespace."""
    owners = _owners()
    return tuple(_listeners("tcp", _LISTEN, owners)) + tuple(_listeners("udp", _UNCONNECTED, owners))


def on(everything: tuple[Listener, ...], protocol: str, address: str, port: int) -> Listener | None:
    """Who takes what is sent to this address and port."""
    every_address = ("0.0.0.0", "::")  # noqa: S104  compared, not bound
    for listener in everything:
        if (listener.protocol, listener.port) == (protocol, port) and listener.address in (address, *every_address):
            return listener
    return None


def _listeners(protocol: str, state: str, owners: dict[str, tuple[int, str]]) -> Iterator[Listener]:
    for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] != state:
                    continue
                host, _, port = fields[1].partition(":")
                pid, program = owners.get(fields[9], (None, None))
                yield Listener(protocol, _address(host), int(port, 16), _user(int(fields[7])), pid, program)


def _address(digits: str) -> str:
    # the kernel prints each 32-bit word of the address in the machine's own byte order
    words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _owners() -> dict[str, tuple[int, str]]:
    """Socket inode → pid and program, of all processes that this user may look into."""
    owners: dict[str, tuple[int, str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is not ours to look into
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    target = str(descriptor.readlink())
                    if target.startswith("socket:["):
                        owners.setdefault(target[len("socket:[") : -1], (int(process.name), _program(process)))
    return owners


def _program(process: Path) -> str:
    """The program as its command line names it; an interpreter with the script it runs."""
    arguments = (process / "cmdline").read_bytes().decode("utf-8", "backslashreplace").split("\0")
    name = Path(arguments[0].split()[0] if arguments[0].split() else "?").name
    if name.startswith("python") and len(arguments) > 1:
        rest = [argument for argument in arguments[1:] if argument and not argument.startswith("-")]
        return " ".join([Path(rest[0]).name if rest else name, *rest[1:2]])
    return name
