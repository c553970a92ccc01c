"""Asking this node's Kamailio over its JSON-RPC datagram socket (module jsonrpcs, `dgram_socket`).

One request, one datagram back to the path we bind. Kamailio sends nothing to a sender without a path.
"""

import json
import os
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import HoldfastError

DEADLINE_S = 2.0
#: Kamailio 5.6 sends no answer that is larger than 128 KiB (jsonrpcs_sock.c), only a line to its log
_LARGEST = 128 * 1024


class KamailioUnavailable(HoldfastError):
    """Kamailio does not answer."""


class KamailioSilent(KamailioUnavailable):
    """Kamailio, or somebody, has the socket open, and gave no answer in time."""


class KamailioRefused(HoldfastError):
    """Kamailio answered with an error."""


def call(rpc_socket: Path, method: str, *parameters: str | float, deadline_s: float = DEADLINE_S) -> Any:
    """The result of one RPC command. KamailioUnavailable: nothing listens or nothing came back in time."""
    request_id = secrets.randbits(31)
    request = {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": request_id}
    folder = tempfile.mkdtemp(prefix="holdfast-rpc-")
    ours = f"{folder}/reply"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(ours)
            _let_in(folder, ours, rpc_socket)
            channel.settimeout(deadline_s)
            channel.sendto(json.dumps(request).encode("ascii"), str(rpc_socket))
            answer = _answer(channel, request_id, time.monotonic() + deadline_s)
    except TimeoutError as error:
        raise KamailioSilent(
            f"Kamailio did not answer {method} within {deadline_s:g} s",
            mend="its log may say why; an answer over 128 KiB, of thousands of users, is never sent",
        ) from error
    except OSError as error:
        raise KamailioUnavailable(
            f"Kamailio is not running, or not for us: {rpc_socket}: {error.strerror or error}",
            mend="start Kamailio, or run this as its user or root",
        ) from error
    finally:
        with suppress(FileNotFoundError):
            Path(ours).unlink()
        Path(folder).rmdir()
    if "error" in answer:
        raise KamailioRefused(f"Kamailio refused {method}: {_reason(answer['error'])}", mend="see Kamailio's log")
    return answer.get("result")


def _let_in(folder: str, ours: str, rpc_socket: Path) -> None:
    """Let Kamailio's user, who owns the socket, send to ours."""
    owner = rpc_socket.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        os.chown(ours, owner, -1)
        os.chown(folder, owner, -1)


def _answer(channel: socket.socket, request_id: int, deadline: float) -> dict[str, Any]:
    """The answer to our request; anything else that comes is left aside."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        data = channel.recv(_LARGEST)
        # usernames and contacts are what strangers sent, in whatever bytes
        with suppress(ValueError):
            answer = json.loads(data.decode("utf-8", "replace"), strict=False)
            if isinstance(answer, dict) and answer.get("id") == request_id:
                return answer


def _reason(error: object) -> str:
    return str(error.get("message")) if isinstance(error, dict) else str(error)


def started_at(rpc_socket: Path, *, deadline_s: float = DEADLINE_S) -> float:
    """When this Kamailio started, in whole UTC seconds: its $Tb, however the clock was set since.

    KamailioUnavailable, KamailioRefused: nobody can say.
    """
    asked_at = int(time.time())
    answer = call(rpc_socket, "core.uptime", deadline_s=deadline_s)
    heard_at = int(time.time())
    try:
        second, uptime_s = int(answer["now"].rpartition(":")[2].partition(" ")[0]), int(answer["uptime"])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise KamailioRefused(f"Kamailio said of its uptime {answer!r}", mend="see Kamailio's log") from error
    # "now", which uptime was reckoned by, is local time as ctime(3) writes it; its seconds are the same in every zone
    for now in range(asked_at - 1, heard_at + 1):
        if now % 60 == second:
            return float(now - uptime_s)
    raise KamailioSilent("the clock was set while Kamailio answered", mend="nothing to do: it is asked again")


@dataclass(frozen=True, slots=True)
class Registration:
    """One contact of a user. `expires_s` None: Kamailio gives no number (permanent, or just expired)."""

    user: str
    contact: str
    received: str | None
    expires_s: int | None
    user_agent: str
    call_id: str


def registered_users(rpc_socket: Path) -> tuple[str, ...]:
    """Every user that is registered, in order. The list of about 6000 fits into Kamailio's answer."""
    domains = call(rpc_socket, "ul.dump", "brief")["Domains"]
    return tuple(sorted(aor["AoR"] for domain in domains for aor in domain["Domain"]["AoRs"]))


def registrations(rpc_socket: Path, user: str) -> tuple[Registration, ...]:
    """The contacts of one user, by username or user@domain (usrloc looks at the username alone); none: not there."""
    try:
        found = call(rpc_socket, "ul.lookup", "location", user)
    except KamailioRefused as error:
        if "not found" in str(error):
            return ()
        raise
    return tuple(_registration(str(found["AoR"]), contact["Contact"]) for contact in found["Contacts"])


def _registration(user: str, contact: dict[str, Any]) -> Registration:
    expires = contact["Expires"]
    received = str(contact["Received"])
    return Registration(
        user=user,
        contact=str(contact["Address"]),
        received=None if received == "[not set]" else received,
        expires_s=expires if isinstance(expires, int) else None,
        user_agent=str(contact["User-Agent"]),
        call_id=str(contact["Call-ID"]),
    )
