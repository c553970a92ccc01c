"""The other end of a media server's event socket, as a test speaks it: line by line, blocking."""

import socket
from collections.abc import Iterator

from lab.errors import LabError


class EslPeer:
    """A blocking ESL connection, for both directions; every wait ends with the socket's timeout."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        self._socket = connection
        self._file = connection.makefile("rb")
        #: what `connect` was answered
        self.channel: dict[str, str] = {}
        #: events that came while a reply was waited for
        self.events: list[dict[str, str]] = []

    def __enter__(self) -> "EslPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def uuid(self) -> str:
        return self.channel["Unique-ID"]

    def close(self) -> None:
        """Close it, as the kernel does for a process that dies."""
        self._file.close()
        self._socket.close()

    def frame(self) -> tuple[dict[str, str], str]:
        """Headers (empty at the end of the stream) and body."""
        headers = _headers(iter(self._file.readline, b""))
        body = self._file.read(int(headers.get("Content-Length", "0"))).decode("latin-1")
        return headers, body

    def send(self, text: str) -> None:
        self.push(text + "\n\n")

    def push(self, text: str) -> None:
        """Send just this much."""
        self._socket.sendall(text.encode("latin-1"))

    def command(self, text: str) -> str:
        """Send a command; the reply's text, or the body of an api response."""
        self.send(text)
        while True:
            headers, body = self.frame()
            kind = headers.get("Content-Type")
            if kind == "text/event-plain":
                self.events.append(_headers(iter(body.encode("latin-1").splitlines())))
            elif kind == "api/response":
                return body.strip()
            elif kind == "command/reply":
                if "Unique-ID" in headers:
                    self.channel = headers
                return headers["Reply-Text"]
            elif not headers:
                raise LabError(f"the event socket was closed after {text!r}")

    def take_over(self) -> "EslPeer":
        """As the real controller does: connect, hear the channel's events, be heard, disarm the dead man's switch."""
        self.command("connect")
        for command, reply in (("linger", "+OK will linger"), ("myevents", "+OK Events Enabled")):
            if self.command(command) != reply:
                raise LabError(f"{command} was refused")
        self.execute("set", "holdfast_controlled=true", uuid := "c0417011-ed00-4000-8000-000000000001")
        self.event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=uuid)
        if (reply := self.command(f"api sched_del {self.uuid}")) != "+OK Deleted: 1":
            raise LabError(f"the dead man's switch was not armed: {reply}")
        return self

    def execute(self, application: str, argument: str = "", uuid: str = "") -> str:
        lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}"]
        lines += [f"execute-app-arg: {argument}"] if argument else []
        return self.command("\n".join([*lines, *([f"Event-UUID: {uuid}"] if uuid else [])]))

    def event(self, name: str, **wanted: str) -> dict[str, str]:
        """The next event of this name whose headers (_ for -) have these values; what comes before it is dropped."""
        while True:
            if self.events:
                found = self.events.pop(0)
            else:
                headers, body = self.frame()
                if not headers:
                    raise LabError(f"the event socket was closed before {name}")
                found = _headers(iter(body.encode("latin-1").splitlines()))
            if found.get("Event-Name") == name and all(
                found.get(header.replace("_", "-")) == value for header, value in wanted.items()
            ):
                return found


def _headers(lines: Iterator[bytes]) -> dict[str, str]:
    headers = {}
    for raw in lines:
        text = raw.decode("latin-1").strip()
        if not text:
            break
        name, _, value = text.partition(": ")
        headers[name] = value
    return headers
