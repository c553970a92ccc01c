"""An edge store with trunks whose other ends are the test's own, and what watches them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from holdfast.core.health import DOWN_AFTER
from holdfast.core.lease import Moment
from holdfast.edge.health import TrunkWatch
from holdfast.edge.keeper import StoreKeeper
from holdfast.edge.store import EdgeStore, connect
from integration.sip_peers import UdpPeer, says, udp_peer


class Edge:
    """An edge store with trunks, what watches them, and a clock that stands until it is moved."""

    def __init__(self, path: Path, *, within_s: float = 5.0) -> None:
        self.path = path
        self.now = 1_700_000_000.0
        self.keeper = StoreKeeper(path)
        self.within_s = within_s
        self.connection = connect(path)
        self.connection.execute("insert into trunk_group (id, name, emergency, ordinary) values (1, 'psap', 1, 0)")
        self.watch = self.another_agent()

    def another_agent(self) -> TrunkWatch:
        """One that knows only what the store says."""
        self.watch = TrunkWatch(self.keeper, "127.0.0.1", answers_within_s=self.within_s, now=lambda: self.now)
        return self.watch

    def trunk(self, trunk_id: int, port: int, **changed: Any) -> None:
        row = {"id": trunk_id, "trunk_group_id": 1, "name": f"psap-{trunk_id}", "host": "127.0.0.1", "port": port,
               "transport": "udp", "priority": 1, "weight": 1, "source_addresses": "[]", "enabled": 1,
               **changed}  # fmt: skip
        self.connection.execute("delete from trunk where id = ?", (trunk_id,))
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"insert into trunk ({', '.join(row)}) values ({marks})", tuple(row.values()))

    async def rounds(self, count: int, *, every_s: float = 10.0) -> list[str]:
        unasked = []
        for _ in range(count):
            self.now += every_s
            unasked += await self.watch.round()
        return unasked

    def row(self, trunk_id: int = 1) -> dict[str, Any]:
        found = self.connection.execute("select * from trunk_health where trunk_id = ?", (trunk_id,)).fetchone()
        return dict(found) if found else {}

    def state(self, trunk_id: int = 1) -> str | None:
        return self.row(trunk_id).get("state")

    @property
    def version(self) -> int:
        """What makes the routing code read its trunks again."""
        return int(self.connection.execute("select network_version from store").fetchone()[0])

    @property
    def written(self) -> int:
        """A number that every write of the agent changes."""
        return int(self.connection.execute("pragma data_version").fetchone()[0])

    def is_healthy(self, *, in_s: float = 0.0) -> bool:
        """Whether the routing code, if it reads its trunks so much later, takes trunk 1 for healthy."""
        moment = Moment(self.now + in_s, "boot", in_s)
        return EdgeStore(self.connection).network(moment).trunks[0].healthy


def run(edge: Edge, test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            try:
                await test()
            finally:
                await edge.keeper.close()

    asyncio.run(bounded())


def shown(trunk: str) -> float | None:
    return REGISTRY.get_sample_value("holdfast_trunk_up", {"trunk": trunk})


def transitions(trunk: str, state: str) -> float | None:
    return REGISTRY.get_sample_value("holdfast_trunk_transitions_total", {"trunk": trunk, "state": state})


@asynccontextmanager
async def down_trunk(edge: Edge, **changed: Any) -> AsyncIterator[UdpPeer]:
    """Trunk 1, which answers 503 and is down; the peer behind it."""
    async with udp_peer(says(503)) as peer:
        edge.trunk(1, peer.port, **changed)
        await edge.rounds(DOWN_AFTER)
        assert edge.state() == "down"
        yield peer
