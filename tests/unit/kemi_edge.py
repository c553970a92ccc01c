"""An edge for the routing code in tests: a real store in a file, and Kamailio's double around it."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import emergency_routes
from holdfast.core.model import CallKind
from holdfast.edge import clock, store_file
from holdfast.edge.store import EdgeStore
from holdfast.errors import EdgeStoreUnavailable
from kemi import context, ksr
from unit.edge_rows import POOL, Clocks, caller, own, provision, row, store_subscriber, subscriber
from unit.ksr_double import Fail, Kamailio, Ksr
from unit.ksr_message import Message

NUMBERS = ("+12025550101", "+12025550102", "+12025550103")
USERS = (1, 2, 3)
TRUNK = "192.0.2.1"
MEDIA = ("127.0.0.1", 5080)
DEFINES = {
    "SIP_DOMAIN": "example.org", "SIP_HOSTPORT": "198.51.100.1:5060", "MEDIA_ADDRESS": MEDIA[0],
    "MEDIA_PORT": str(MEDIA[1]), "LANGUAGE": "en", "HTTP_PORT": "9102", "RTPENGINE": "udp:127.0.0.1:2223",
    "TLS_CONFIG": "", "DEFAULT_COUNTRY": "US", "IP_COUNTRY_FILE": "", "LOCATION_BASE_URL": "https://lis.example.org",
    "LOCATION_VALID_S": "86400",
}  # fmt: skip

_NOTHING_KNOWN = vars(context)["_network"]


class Edge:
    """One node with its store. `call` gives a message to a callback of Kamailio's and returns what was done with it.

    The store is a real one in memory, so that thousands of calls can each begin with the same; the file beside it only
    stands for it.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "edge.db"
        self.path.touch()
        self.clocks = Clocks()
        self._patch = monkeypatch
        self._is_gone = False
        monkeypatch.setattr(clock, "now", self.clocks.now)
        monkeypatch.setattr("holdfast.edge.store.connect", self._connect)
        with closing(store_file.connect(folder / "provisioned.db")) as connection:
            provision(connection)
            own(connection, NUMBERS)
            for user in USERS:
                store_subscriber(connection, subscriber(user))
            connection.execute("pragma journal_mode = delete")  # a copy in memory has no write-ahead log
            self._provisioned = connection.serialize()
        self.db = sqlite3.connect(":memory:")
        self.reset()

    def _connect(self, path: Path) -> sqlite3.Connection:
        if self._is_gone:
            raise EdgeStoreUnavailable(f"edge store {path}: gone")
        return self.db

    def reset(self) -> None:
        """Begin anew: the store as it was provisioned, and a Kamailio that has just started."""
        self.db.close()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.deserialize(self._provisioned)
        self.store = EdgeStore(self.db)
        self._is_gone = False
        self._patch.setattr(context, "_open", None)
        self._patch.setattr(context, "_network", _NOTHING_KNOWN)
        self._patch.setattr(context, "_started_at", 0.0)
        context.config.cache_clear()
        self.kamailio = Kamailio(defines={**DEFINES, "EDGE_STORE": str(self.path)})

    def store_is_gone(self) -> None:
        """The file cannot be opened any more."""
        self._is_gone = True
        self._patch.setattr(context, "_open", None)

    def change(self, statement: str, *values: object) -> None:
        """Change the provisioning, as the agent does."""
        self.db.execute(statement, values)
        self.db.execute("update store set revision = revision + 1")
        self._patch.setattr(context, "_network", _NOTHING_KNOWN)  # SQLite tells what others wrote, and here is one only

    def rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(found) for found in self.db.execute(query)]

    def call(
        self,
        message: Message,
        callback: str = "ksr_request_route",
        *arguments: object,
        fail: Fail | None = None,
    ) -> Ksr:
        """The double that `callback` was given, when it has come back; it must always say 1."""
        double = Ksr(self.kamailio, message, fail)
        self._patch.setattr(ksr, "KSR", double)
        result = getattr(emergency_routes.mod_init(), callback)(None, *arguments)
        assert result == 1
        return double

    def lends(self, who: int, *, hung_up: bool = True) -> str:
        """The number that is lent to a registered user, who called a moment ago."""
        lease = self.store.begin_call(f"lent-{who}", CallKind.EMERGENCY, caller(who), (POOL,), self.clocks.now())
        if hung_up:
            self.store.end_call(f"lent-{who}", self.clocks.now(), reason="bye")
        assert lease is not None
        self.kamailio.tables["holders"][lease.number] = f"{lease.contact_uri}|{lease.source_uri}"
        return lease.number

    def registers(self, who: int) -> None:
        self.kamailio.tables["devices"][f"udp:10.0.0.{who}:5060"] = f"user{who}"
        registered = self.kamailio.answers.setdefault("registered", [])
        registered.append(f"sip:user{who}@example.org")

    def with_shared_number(self, number: str) -> None:
        row(self.db, "pool_number", number=number, pool_id=1, shared=1)
        self.db.execute("delete from number_state")


def invite(number: str = "911", **changes: Any) -> Message:
    """An INVITE of user 1's phone, which nobody has identified."""
    usual = Message(uri=f"sip:{number}@example.org".encode(), to_user=number.encode())
    return dataclasses.replace(usual, **changes)


def from_trunk(number: str, **changes: Any) -> Message:
    """A call from the carrier: a PSAP's, as far as anybody can tell."""
    usual = invite(number, address=TRUNK, from_user=b"+15005550911", from_name=b"", call_id=b"psap-1",
                   contact=b"sip:psap@192.0.2.1:5060")  # fmt: skip
    return dataclasses.replace(usual, **changes)


def from_media_server(number: str, **changes: Any) -> Message:
    """The media server's leg towards the caller's phones."""
    usual = from_trunk(number, address=MEDIA[0], port=MEDIA[1], call_id=b"leg-1", contact=b"sip:m@127.0.0.1:5080",
                       headers=[("X-Holdfast-Leg", b"deliver"), ("Priority", b"psap-callback")])  # fmt: skip
    return dataclasses.replace(usual, **changes)
