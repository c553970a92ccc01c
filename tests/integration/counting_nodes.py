"""Edge nodes whose agents tell each other of their calls (A9), each with a Kamailio that says since when it runs."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from holdfast.core.lease import Moment
from holdfast.core.model import Caller, CallKind, Tenant
from holdfast.edge import clock, kamailio_rpc
from holdfast.edge.store import CallLimit, EdgeStore
from holdfast.errors import TooManyCalls
from integration.agents import EdgeNode
from integration.small_kamailio import small_kamailio
from lab.ports import Ports
from lab.waiting import wait_until

MOST = 10
#: What is known within a second is waited for so long: these machines are shared.
SOON_S = 5.0
TENANT = Tenant(1, "Acme", "US", MOST, None)


class Node:
    """An edge node with a Kamailio of its own, which only says since when it runs."""

    def __init__(self, folder: Path, dsn: str, ports: Ports, name: str, *, poll_s: float) -> None:
        folder.mkdir()
        self.folder = folder
        self.edge = EdgeNode(folder, dsn, ports, name=name, poll_s=poll_s)
        self._kamailio: ExitStack | None = None
        self._calls = itertools.count(1)

    def start(self) -> None:
        self.starts_kamailio()
        self.edge.start()
        self.edge.catches_up()

    def stop(self) -> None:
        self.edge.stop()
        self.stops_kamailio()

    def starts_kamailio(self) -> None:
        self._kamailio = ExitStack()
        self._kamailio.enter_context(small_kamailio(self.folder))

    def stops_kamailio(self) -> None:
        if self._kamailio is not None:
            self._kamailio.close()
        self._kamailio = None

    def dials(self, kind: CallKind = CallKind.EMERGENCY, *, most: int = MOST, now: Moment | None = None) -> str:
        """Begin a call as the routing code does; its Call-ID. TooManyCalls."""
        limit = CallLimit(most, kamailio_rpc.started_at(self.edge.folder / "kamailio.rpc") if self._kamailio else 0.0)
        call_id = f"{self.folder.name}-{next(self._calls)}"
        who = Caller(call_id, "", contact_uri="sip:a@192.0.2.9", source_uri="sip:b", tenant=TENANT)
        with self.edge.store() as connection:
            EdgeStore(connection).begin_call(call_id, kind, who, (), now or clock.now(), limit=limit)
        return call_id

    def is_refused(self, kind: CallKind = CallKind.EMERGENCY, *, most: int = MOST) -> bool:
        """Whether one call more is one too many. If not it is over at once."""
        try:
            self.edge.hangs_up(self.dials(kind, most=most))
        except TooManyCalls:
            return True
        return False

    def knows_of(self, kind: CallKind = CallKind.EMERGENCY) -> int:
        """How many calls of the tenant there are elsewhere, as its store has it."""
        rows = self.edge.asks(f"select calls from calls_elsewhere where tenant_id = 1 and kind = '{kind}'")
        return int(rows[0][0]) if rows else 0

    def comes_to_know_of(self, calls: int, kind: CallKind = CallKind.EMERGENCY, *, within_s: float = SOON_S) -> None:
        wait_until(
            f"{self.folder.name} to know of {calls} calls elsewhere", lambda: self.knows_of(kind) == calls,
            within_s=within_s, why=lambda: f"it knows of {self.knows_of(kind)}; {self.edge.log()[-1500:]}",
        )  # fmt: skip


@contextmanager
def running(folder: Path, dsn: str, ports: Ports, *, poll_s: float = 60) -> Iterator[list[Node]]:
    """Nodes edge-1 and edge-2, which hold everything. Polling finds out nothing while a test lasts."""
    with ExitStack() as stack:
        nodes = []
        for name in ("edge-1", "edge-2"):
            node = Node(folder / name, dsn, ports, name, poll_s=poll_s)
            stack.callback(node.stop)
            node.start()
            nodes.append(node)
        yield nodes
