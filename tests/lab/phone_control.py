"""baresip's ctrl_tcp: JSON objects as netstrings (`len:{…},`) over TCP; commands in, answers and events out."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError, Timeout

_LARGEST = 1 << 20


@dataclass(frozen=True)
class PhoneEvent:
    """One event of a phone: baresip's type (CALL_INCOMING…), its account's URI, the SIP Call-ID, the peer, a detail."""

    at: float
    type: str
    account: str
    call_id: str
    peer: str
    detail: str


class Control:
    """One connection to one phone, read by a thread of its own."""

    def __init__(self, address: str, port: int, name: str) -> None:
        self._name = name
        self._socket = socket.create_connection((address, port), timeout=5)
        self._socket.settimeout(None)
        self._changed = threading.Condition()
        self._events: list[PhoneEvent] = []
        self._responses: dict[str, dict[str, Any]] = {}
        self._tokens = itertools.count(1)
        self._closed = False
        self._thread = threading.Thread(target=self._receive, name=f"phone-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close() if self._closed else self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def command(self, command: str, parameters: str = "", *, within_s: float = 5.0) -> str:
        """Run a command and return what it printed; LabError when the phone refuses it."""
        token = str(next(self._tokens))
        request = json.dumps({"command": command, "params": parameters, "token": token}).encode()
        self._socket.sendall(b"%d:%s," % (len(request), request))
        with self._changed:
            if not self._changed.wait_for(lambda: token in self._responses or self._closed, within_s):
                raise Timeout(f"phone {self._name} did not answer the command {command!r} within {within_s:g} s")
            response = self._responses.pop(token, None)
        if response is None:
            raise LabError(f"phone {self._name} went away during the command {command!r}")
        if not response.get("ok"):
            raise LabError(f"phone {self._name} refused {command!r}: {response.get('data', '')}")
        return str(response.get("data", ""))

    def events(self) -> list[PhoneEvent]:
        with self._changed:
            return list(self._events)

    def wait_for(self, matches: Callable[[PhoneEvent], bool], *, since: int, within_s: float) -> int | None:
        """The index of the first matching event from index `since` on, or None if none comes in time."""
        deadline = time.monotonic() + within_s
        with self._changed:
            looked = since
            while True:
                while looked < len(self._events):
                    if matches(self._events[looked]):
                        return looked
                    looked += 1
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return None
                self._changed.wait(left)

    def _receive(self) -> None:
        buffered = b""
        try:
            while chunk := self._socket.recv(65536):
                buffered = self._take(buffered + chunk)
        except OSError:
            pass  # closed by us, or the phone was killed: either way the end
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _take(self, data: bytes) -> bytes:
        """Handle every whole netstring; return the bytes of the unfinished one."""
        while (colon := data.find(b":")) > 0:
            length = int(data[:colon])
            if length > _LARGEST:
                raise OSError(f"netstring of {length} bytes")
            end = colon + 1 + length
            if len(data) <= end:
                break
            self._handle(json.loads(data[colon + 1 : end].decode("utf-8", "replace"), strict=False))
            data = data[end + 1 :]
        return data

    def _handle(self, item: dict[str, Any]) -> None:
        with self._changed:
            if item.get("response"):
                self._responses[str(item.get("token", ""))] = item
            else:
                keys = ("type", "accountaor", "id", "peeruri", "param")
                self._events.append(PhoneEvent(time.time(), *(str(item.get(key, "")) for key in keys)))
            self._changed.notify_all()
