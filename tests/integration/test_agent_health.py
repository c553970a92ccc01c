"""The agent watches the trunks that there are: they move, change their names and go; and it can be told not to."""

import asyncio
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.core.health import DOWN_AFTER, STALE_AFTER_S
from holdfast.edge import health
from holdfast.edge.agent import Agent
from holdfast.edge.health import pause_s
from holdfast.errors import EdgeStoreUnavailable
from holdfast.plane import db
from holdfast.settings import from_document
from integration.agents import EdgeNode, provision
from integration.postgres import Database
from integration.sip_peers import says, stream_peer, udp_peer
from integration.watched_trunks import Edge, down_trunk, run, shown, transitions
from lab.ports import Ports


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path / "edge.db")
    with closing(made.connection):
        yield made


def test_of_another_destination_nothing_is_known(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge), udp_peer(says(503)) as elsewhere, stream_peer(says(503)) as tcp:
            for host, port, transport in (
                ("127.0.0.1", elsewhere.port, "udp"),
                ("127.0.0.1", tcp.port, "tcp"),
                ("127.0.0.2", tcp.port, "tcp"),
            ):
                before = edge.version
                edge.trunk(1, port, host=host, transport=transport)
                await edge.rounds(1)
                assert (edge.row(), edge.version) == ({}, before + 1)
                assert math.isnan(shown("psap-1") or 0)
                await edge.rounds(DOWN_AFTER - 1)
                assert edge.state() == "down"

    run(edge, test)


@pytest.mark.parametrize("how", ["delete from trunk", "update trunk set enabled = 0"])
def test_a_trunk_that_is_gone_leaves_nothing_behind(edge: Edge, how: str) -> None:
    async def test() -> None:
        async with down_trunk(edge, name="going"):
            before = edge.version
            assert (shown("going"), transitions("going", "down")) == (0.0, 1.0)
            edge.connection.execute(how)
            await edge.rounds(1)
            assert (edge.row(), edge.version) == ({}, before + 1)
            assert (shown("going"), transitions("going", "down"), transitions("going", "up")) == (None, None, None)

    run(edge, test)


def test_a_trunk_is_shown_by_its_present_name(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge, name="former") as peer, udp_peer(says(200)) as other:
            edge.trunk(2, other.port, name="other")
            await edge.rounds(1)
            edge.trunk(1, peer.port, name="other")
            edge.trunk(2, other.port, name="former")
            await edge.rounds(1)
            assert (shown("other"), shown("former")) == (0.0, 1.0)
            edge.trunk(1, peer.port, name="latter")
            await edge.rounds(1)
            assert (shown("latter"), shown("other"), edge.state()) == (0.0, None, "down")

    run(edge, test)


def test_a_host_name_is_asked_at_the_address_that_dns_gave(edge: Edge) -> None:
    async def test() -> None:
        async with udp_peer(says(200)) as peer:
            edge.trunk(1, peer.port, host="sbc.example.net")
            assert await edge.rounds(DOWN_AFTER) == []
            assert edge.row() == {}
            assert math.isnan(shown("psap-1") or 0)
            edge.connection.execute("insert into trunk_address values ('sbc.example.net', '127.0.0.1', 0)")
            await edge.rounds(1)
            assert (edge.state(), edge.row()["address"]) == ("up", "127.0.0.1")
            assert peer.requests[0].startswith(f"OPTIONS sip:sbc.example.net:{peer.port} SIP/2.0\r\n")

    run(edge, test)


def test_a_trunk_that_cannot_be_asked_is_named_and_counts_as_healthy(edge: Edge) -> None:
    async def test() -> None:
        edge.trunk(1, 5060, host="::1")
        (unasked,) = await edge.rounds(1)
        assert unasked.startswith("trunk psap-1: ")
        assert edge.row() == {}

    run(edge, test)


def test_a_trunk_that_can_no_longer_be_asked_is_forgotten(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge) as peer:
            edge.watch._from_address = "192.0.2.1"  # noqa: SLF001  as if the address went to another machine
            written = edge.written
            await edge.rounds(int(STALE_AFTER_S / 10))
            assert edge.written == written
            await edge.rounds(1)
            assert edge.row() == {}
            assert len(peer.requests) == DOWN_AFTER

    run(edge, test)


def test_many_trunks_are_asked_a_few_at_a_time(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ASKED_AT_ONCE", 5)

    async def test() -> None:
        async with stream_peer(says(200)) as peer:
            for trunk_id in range(1, 61):
                edge.trunk(trunk_id, peer.port, transport="tcp", name=f"many-{trunk_id}")
            await edge.rounds(1)
            assert (len(peer.requests), edge.state(60)) == (60, "up")
            assert 1 < peer.at_once <= 20  # a connection that was closed may not have been seen closed yet

    run(edge, test)


def test_a_store_that_is_locked_loses_nothing(edge: Edge) -> None:
    async def test() -> None:
        async with udp_peer(says(503)) as peer:
            edge.trunk(1, peer.port)
            await edge.rounds(DOWN_AFTER - 1)
            with closing(sqlite3.connect(edge.path, isolation_level=None)) as other:
                other.execute("begin immediate")
                with pytest.raises(EdgeStoreUnavailable):
                    await edge.rounds(1)
                other.execute("rollback")
            assert edge.row() == {}
            await edge.rounds(1)
            assert (edge.state(), edge.row()["changed_at"]) == ("down", edge.now - 10.0)

    run(edge, test)


# The agent


def test_rounds_are_not_kept_in_step() -> None:
    pauses = [pause_s(10.0) for _ in range(100)]
    assert all(8.0 <= pause <= 12.0 for pause in pauses)
    assert len(set(pauses)) > 90


def test_an_agent_that_is_told_to_asks_nobody(tmp_path: Path) -> None:
    document = {"node": {"name": "edge-1", "state_dir": str(tmp_path)}, "agent": {"options_every_s": 0}}
    agent = Agent(from_document(document, tmp_path / "holdfast.toml"))

    async def test() -> None:
        async with asyncio.timeout(10):
            await agent._keep_health()  # noqa: SLF001  it is over at once

    asyncio.run(test())
    assert not (tmp_path / "edge.db").exists()


def test_a_real_agent_shows_a_trunk_that_dies_and_forgets_one_that_is_deleted(
    database: Database, tmp_path: Path, ports: Ports
) -> None:
    provision(database)

    async def test() -> None:
        with EdgeNode(tmp_path, database.dsn(db.AGENT), ports, options_every_s=0.1) as node:
            async with udp_peer(says(200)) as peer:
                with database.connect() as connection:
                    connection.execute("update trunk set host = '127.0.0.1', port = %s", (peer.port,))
                await asyncio.to_thread(node.start)
                await asyncio.to_thread(node.shows, "holdfast_trunk_up{trunk=psap-1}", 1.0)
                assert peer.sources[0][0] == "127.0.0.1"
            await asyncio.to_thread(node.shows, "holdfast_trunk_up{trunk=psap-1}", 0.0)
            assert node.asks("select state, reason from trunk_health") == [("down", "nobody listens there")]
            assert "trunk psap-1 is down: nobody listens there" in node.log()
            with database.connect() as connection:
                connection.execute("delete from trunk")
            gone = "select count(*) from trunk_health"
            await asyncio.to_thread(node.comes_to, "the trunk's health to be forgotten", gone, 0)
            assert "holdfast_trunk_up{trunk=psap-1}" not in node.metrics()

    asyncio.run(test())
