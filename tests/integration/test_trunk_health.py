"""Trunks' health on real sockets: who answers, who does not, who flaps; and what the edge store says of it when."""

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.core.health import DOWN_AFTER, STALE_AFTER_S, UP_AFTER
from holdfast.edge.health import WRITE_AGAIN_S
from holdfast.edge.store import connect
from integration.sip_peers import reply, says, silence, stream_peer, udp_peer
from integration.watched_trunks import Edge, down_trunk, run, shown
from lab.phones import Account, Endpoint, Phone
from lab.ports import Ports

#: A silent peer is waited for this long.
IN_VAIN_S = 0.4
SILENT = "no answer"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path / "edge.db")
    with closing(made.connection):
        yield made


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Edge]:
    """One that does not wait long for an answer."""
    made = Edge(tmp_path / "edge.db", within_s=IN_VAIN_S)
    with closing(made.connection):
        yield made


# Hysteresis, on real sockets


def test_a_trunk_that_refuses_is_down_and_comes_back(edge: Edge) -> None:
    async def test() -> None:
        async with udp_peer(says(200)) as peer:
            edge.trunk(1, peer.port)
            await edge.rounds(1)
            assert (edge.state(), edge.row()["reason"], shown("psap-1")) == ("up", "answered 200", 1.0)
            assert edge.is_healthy()
            before = edge.version
            peer.answers = says(503)
            await edge.rounds(DOWN_AFTER - 1)
            assert edge.state() == "up"
            await edge.rounds(1)
            assert edge.row() == {
                "trunk_id": 1, "address": "127.0.0.1", "port": peer.port, "transport": "udp", "state": "down",
                "changed_at": edge.now, "checked_at": edge.now, "failures": DOWN_AFTER, "reason": "answered 503",
            }  # fmt: skip
            assert (shown("psap-1"), edge.version) == (0.0, before + 1)
            assert not edge.is_healthy()
            peer.answers = says(405)
            await edge.rounds(UP_AFTER - 1)
            assert edge.state() == "down"
            await edge.rounds(1)
            assert (edge.state(), edge.row()["failures"]) == ("up", 0)
            assert (shown("psap-1"), edge.version) == (1.0, before + 2)

    run(edge, test)
    assert len(edge.connection.execute("select * from trunk_health").fetchall()) == 1


def test_a_silent_trunk_is_down_and_the_others_are_not(hasty: Edge) -> None:
    async def test() -> None:
        async with udp_peer(silence) as silent, udp_peer(says(200)) as udp, stream_peer(says(404)) as tcp:
            hasty.trunk(1, silent.port)
            hasty.trunk(2, udp.port)
            hasty.trunk(3, tcp.port, transport="tcp")
            await hasty.rounds(DOWN_AFTER)
        assert [hasty.state(trunk_id) for trunk_id in (1, 2, 3)] == ["down", "up", "up"]
        assert hasty.row()["reason"] == SILENT
        await hasty.rounds(DOWN_AFTER)  # now nobody listens at the others' ports
        assert [hasty.state(trunk_id) for trunk_id in (1, 2, 3)] == ["down"] * 3

    run(hasty, test)


def test_a_trunk_that_flaps_changes_nothing_and_writes_nothing(edge: Edge) -> None:
    async def test() -> None:
        async with udp_peer(says(200)) as peer:
            edge.trunk(1, peer.port)
            await edge.rounds(1)
            written = edge.written
            for status in (503, 503, 200) * 4:
                peer.answers = says(status)
                await edge.rounds(1, every_s=1.0)
            assert (edge.state(), edge.written) == ("up", written)

    run(edge, test)


def test_garbage_and_forged_answers_are_silence(hasty: Edge) -> None:
    async def test() -> None:
        async with udp_peer(
            lambda request: [b"\xff\0", b"SIP/2.0 200 OK\r\n\r\n", reply(request, 200, Call_ID="x")]
        ) as peer:
            hasty.trunk(1, peer.port)
            await hasty.rounds(DOWN_AFTER)
            assert (hasty.state(), hasty.row()["reason"]) == ("down", SILENT)

    run(hasty, test)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_real_phone_lives_dies_and_lives(edge: Edge, tmp_path: Path, ports: Ports, transport: str) -> None:
    """Baresip answers 404: it knows no user without a name. That is as good as any answer."""
    phone = Phone("psap", tmp_path / "psap", Endpoint.at("127.0.0.20", ports), Account("psap", "127.0.0.20", ""))
    edge.trunk(1, phone.endpoint.sip_port, host="127.0.0.20", transport=transport)

    async def test() -> None:
        phone.start()
        try:
            await edge.rounds(1)
            assert (edge.state(), edge.row()["reason"]) == ("up", "answered 404")
            phone.kill()
            await edge.rounds(DOWN_AFTER)
            assert (edge.state(), edge.row()["reason"]) == ("down", "nobody listens there")
            phone.start()
            await edge.rounds(UP_AFTER)
            assert edge.state() == "up"
        finally:
            phone.stop()

    run(edge, test)


# What the store says


def test_what_is_known_is_written_again_before_it_is_too_old(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge), udp_peer(says(200)) as well:
            edge.trunk(2, well.port)
            await edge.rounds(1)
            for _ in range(30):
                await edge.rounds(1)
                for trunk_id, state in ((1, "down"), (2, "up")):
                    row = edge.row(trunk_id)
                    assert row["state"] == state
                    assert edge.now - row["checked_at"] < WRITE_AGAIN_S < STALE_AFTER_S

    run(edge, test)


def test_the_routing_code_reads_again_when_a_trunk_goes_down_or_comes_up_and_not_else(edge: Edge) -> None:
    async def test() -> None:
        async with udp_peer(says(200)) as peer:
            edge.trunk(1, peer.port)
            before = edge.version
            await edge.rounds(20)
            assert edge.version == before
            peer.answers = says(503)
            await edge.rounds(DOWN_AFTER)
            assert edge.version == before + 1
            await edge.rounds(20)
            assert edge.version == before + 1
            peer.answers = says(200)
            await edge.rounds(20)
            assert edge.version == before + 2

    run(edge, test)


def test_the_store_is_written_once_a_minute_while_nothing_changes(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge):
            writes = 0
            for _ in range(24):
                before = edge.written
                await edge.rounds(1)
                writes += edge.written != before
            assert writes == 4

    run(edge, test)


def test_a_clock_that_was_set_back_is_taken_as_it_is(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge):
            edge.now -= 86_400.0
            await edge.rounds(DOWN_AFTER)
            assert (edge.state(), edge.row()["checked_at"]) == ("down", edge.now)

    run(edge, test)


def test_when_the_agent_is_gone_its_results_expire(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge):
            assert not edge.is_healthy()
            assert not edge.is_healthy(in_s=STALE_AFTER_S - 1)
            assert edge.is_healthy(in_s=STALE_AFTER_S + 1)

    run(edge, test)


def test_an_agent_that_starts_again_goes_on_where_the_last_one_ended(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge) as peer:
            since = edge.row()["changed_at"]
            edge.another_agent()
            peer.answers = says(200)
            await edge.rounds(1)
            assert (edge.state(), edge.row()["changed_at"], shown("psap-1")) == ("down", since, 0.0)
            await edge.rounds(1)
            assert edge.state() == "up"

    run(edge, test)


def test_an_agent_that_starts_again_late_knows_nothing(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge):
            before = edge.version
            edge.another_agent()
            edge.now += STALE_AFTER_S
            await edge.rounds(1)
            assert edge.row() == {}
            assert math.isnan(shown("psap-1") or 0)
            assert edge.version == before + 1

    run(edge, test)


def test_a_store_that_was_replaced_is_told_everything(edge: Edge) -> None:
    async def test() -> None:
        async with down_trunk(edge) as peer:
            for file in edge.path.parent.glob("edge.db*"):
                file.unlink()
            edge.connection.close()
            edge.connection = connect(edge.path)
            edge.trunk(1, peer.port)
            await edge.rounds(1)
            assert edge.state() == "down"

    run(edge, test)
