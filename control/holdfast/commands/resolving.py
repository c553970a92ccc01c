"""What host names stand for, asked with a deadline."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable, Mapping

from holdfast.core.headers import is_nobodys
from holdfast.errors import InputError

_WITHIN_S = 5.0


def resolve(host: str) -> tuple[str, ...]:
    """The host's addresses. InputError when it has none, or the name servers take too long to say so."""
    found = addresses_of([host])[host]
    if not found:
        raise InputError(
            f"the host {host} does not resolve", mend="correct the name, or add --no-resolve-check if it will later"
        )
    nobodys = next((address for address in found if is_nobodys(address)), None)
    if nobodys is not None:
        raise InputError(
            f"the host {host} stands for {nobodys}, which is no host's address",
            mend="give the host of the carrier or PBX",
        )
    return found


def addresses_of(hosts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The addresses of each host, asked at once; none for a host whose name servers know none, or take too long."""
    found: dict[str, tuple[str, ...]] = {}
    # getaddrinfo knows no deadline, so it runs in threads that may be left behind
    threads = {host: threading.Thread(target=_look_up, args=(host, found), daemon=True) for host in set(hosts)}
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + _WITHIN_S
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    return {host: found.get(host, ()) for host in threads}


def _look_up(host: str, found: dict[str, tuple[str, ...]]) -> None:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return
    found[host] = tuple(dict.fromkeys(_plain(str(answer[4][0])) for answer in answers))


def _plain(address: str) -> str:
    """Without a zone, and an IPv4 address inside an IPv6 one as what it is: so it stands in the source of a packet."""
    read = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(read, "ipv4_mapped", None) or read)


def is_address(host: str) -> bool:
    """Whether the host is an address already, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
