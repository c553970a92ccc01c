"""The server that FreeSWITCH connects to: one session per call, and a call that outlives whatever happens to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from holdfast.errors import EslDisconnected, EslError, EslProtocolError, EslTimeout
from holdfast.esl import outbound
from holdfast.esl.commands import Command, api, connect
from holdfast.esl.connection import CommandRefused, EslConnection
from holdfast.esl.frames import Event, Frame
from holdfast.esl.outbound import ChannelEnded, OutboundServer, Session
from unit.esl_doubles import CHANNEL_UUID, CallPeer, EventSocket, event_bytes, read_command, reply_bytes, run


@dataclass
class Calls:
    """An outbound server whose sessions the test drives itself."""

    server: OutboundServer
    sessions: asyncio.Queue[Session]
    release: asyncio.Event
    refused: asyncio.Queue[str]


@asynccontextmanager
async def calls(*, accept_from: str = "127.0.0.1", max_sessions: int = 5) -> AsyncIterator[Calls]:
    sessions: asyncio.Queue[Session] = asyncio.Queue()
    release = asyncio.Event()
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def serve(session: Session) -> None:
        sessions.put_nowait(session)
        await release.wait()

    server = OutboundServer(serve, accept_from=accept_from, on_refused=refused.put_nowait, max_sessions=max_sessions)
    await server.start("127.0.0.1", 0)
    try:
        yield Calls(server, sessions, release, refused)
    finally:
        await server.stop()


def with_call(test: Callable[[Session, CallPeer], Awaitable[None]]) -> None:
    """Run a test with one call in progress."""

    async def whole() -> None:
        async with calls() as running:
            peer = await CallPeer.call(running.server.port)
            serving = asyncio.create_task(peer.serve())
            session = await running.sessions.get()
            await session.follow()
            await test(session, peer)
            running.release.set()
            await serving

    run(whole())


def test_a_session_knows_its_channel_and_follows_it() -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        assert session.channel_uuid == CHANNEL_UUID
        assert peer.commands == ["connect", "linger", "myevents"]

    with_call(test)


def test_an_application_is_complete_when_its_own_uuid_says_so() -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        first = await session.execute("playback", "/a.wav")
        second = await session.execute("playback", "/a.wav")
        peer.send("CHANNEL_EXECUTE_COMPLETE", Application="playback", Application_UUID="somebody-elses")
        peer.complete(second.event_uuid, Application="playback", Application_Response="second")
        assert (await session.completion(second, 1)).get("Application-Response") == "second"
        assert not first.completed.done()
        peer.complete(first.event_uuid, Application="playback", Application_Response="first")
        peer.complete(first.event_uuid, Application="playback", Application_Response="first again")
        assert (await session.completion(first, 1)).get("Application-Response") == "first"

    with_call(test)


def test_what_a_hangup_leaves_undone_ends_with_channel_ended() -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        never = await session.execute("playback", "/a.wav")
        peer.send("CHANNEL_HANGUP_COMPLETE", Hangup_Cause="NORMAL_CLEARING")
        with pytest.raises(ChannelEnded):
            await session.completion(never, 1)
        assert (await session.ended(1)).get("Hangup-Cause") == "NORMAL_CLEARING"
        with pytest.raises(ChannelEnded):
            await session.completion(await session.execute("answer"), 1)

    with_call(test)


def test_events_come_in_order_and_end_after_the_channels_last() -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        for name in ("CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"):
            peer.send(name)
        names = [event.name if (event := await session.next_event(1)) else None for _ in range(4)]
        assert names == ["CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE", None, None]

    with_call(test)


def test_every_wait_for_a_call_has_an_end() -> None:
    async def test(session: Session, _peer: CallPeer) -> None:
        execution = await session.execute("playback", "/a.wav")
        for wait in (session.next_event(0.01), session.completion(execution, 0.01), session.ended(0.01)):
            with pytest.raises(EslTimeout):
                await wait

    with_call(test)


def test_the_first_disconnect_notice_ends_nothing_and_the_second_does() -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        notice = b"Content-Type: text/disconnect-notice\nContent-Disposition: %s\nContent-Length: 0\n\n"
        peer.writer.write(notice % b"linger")
        peer.send("CHANNEL_ANSWER")
        assert await session.next_event(1) is not None
        peer.writer.write(notice % b"disconnect")
        with pytest.raises(EslDisconnected):
            await session.ended(1)
        assert not session.is_open

    with_call(test)


@pytest.mark.parametrize("hostile", [b"\0\0\n", b"Content-Type: text/unheard-of\n\n", b"Content-Length: -1\n\n"])
def test_hostile_bytes_end_the_session_and_nothing_else(hostile: bytes) -> None:
    async def test(session: Session, peer: CallPeer) -> None:
        peer.writer.write(hostile)
        with pytest.raises(EslProtocolError):
            await session.ended(1)
        with pytest.raises(EslDisconnected, match="not sent"):
            await session.execute("answer")

    with_call(test)


def test_a_lost_socket_fails_what_waits_and_a_channel_can_be_given_up() -> None:
    async def lost(session: Session, peer: CallPeer) -> None:
        execution = await session.execute("playback", "/a.wav")
        peer.writer.close()
        for wait in (session.completion(execution, 1), session.next_event(1), session.ended(1)):
            with pytest.raises(EslDisconnected):
                await wait

    async def given_up(session: Session, _peer: CallPeer) -> None:
        session.give_up("no longer listed")
        with pytest.raises(EslDisconnected, match="no longer listed"):
            await session.next_event(1)
        session.give_up("twice does no harm")

    with_call(lost)
    with_call(given_up)


def test_a_flood_of_events_that_nobody_takes_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MAX_WAITING_EVENTS", 10)

    async def test(session: Session, peer: CallPeer) -> None:
        peer.writer.write(event_bytes("CHANNEL_STATE") * 11)
        with pytest.raises(EslProtocolError, match="more than 10 events"):
            await session.ended(1)

    with_call(test)


def test_a_stranger_is_turned_away() -> None:
    async def test() -> None:
        async with calls(accept_from="127.0.0.9") as running:
            reader, _writer = await asyncio.open_connection("127.0.0.1", running.server.port)
            assert await reader.read() == b""
            assert await running.refused.get() == "address"

    run(test())


def test_one_call_too_many_is_turned_away_and_the_next_after_an_end_is_not() -> None:
    async def test() -> None:
        async with calls(max_sessions=1) as running:
            first = await CallPeer.call(running.server.port)
            serving = asyncio.create_task(first.serve())
            await running.sessions.get()
            reader, _writer = await asyncio.open_connection("127.0.0.1", running.server.port)
            assert await reader.read() == b""
            assert await running.refused.get() == "full"
            running.release.set()
            await serving
            while running.server.connections:
                await asyncio.sleep(0)
            second = await CallPeer.call(running.server.port)
            serving = asyncio.create_task(second.serve())
            await running.sessions.get()
            await serving

    run(test())


@pytest.mark.parametrize(
    "answer", [b"", b"Content-Type: command/reply\n\n", b"Unique-ID: all\nContent-Type: command/reply\n\n", b"\xff\n"]
)
def test_a_connection_that_brings_no_channel_is_closed(answer: bytes) -> None:
    async def test() -> None:
        async with calls() as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port)
            assert await read_command(reader) == "connect"
            writer.write(answer)
            if not answer:
                writer.close()
            assert await reader.read() == b""
            assert await running.refused.get() == "handshake"
            assert running.sessions.empty()

    run(test())


def test_a_connection_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "CONNECT_DEADLINE_S", 0.05)

    async def test() -> None:
        async with calls() as running:
            reader, _writer = await asyncio.open_connection("127.0.0.1", running.server.port)
            assert await reader.read() == b"connect\n\n"
            assert await running.refused.get() == "handshake"

    run(test())


def test_stopping_lets_go_of_calls_without_hanging_up() -> None:
    async def test() -> None:
        async with calls() as running:
            peer = await CallPeer.call(running.server.port)
            serving = asyncio.create_task(peer.serve())
            await running.sessions.get()
            port = running.server.port
            await running.server.stop()
            await serving
            assert not peer.hung_up.is_set()
            with pytest.raises(ConnectionError):
                await CallPeer.call(port)

    run(test())


def test_a_reply_to_no_command_ends_the_connection_and_a_refusal_does_not() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await read_command(reader) == "connect"
        writer.write(reply_bytes("-ERR no"))
        assert await read_command(reader) == "api status"
        writer.write(reply_bytes("+OK") + reply_bytes("+OK"))
        await reader.read()

    async def test() -> None:
        events: list[Event] = []
        frames: list[Frame] = []
        async with EventSocket(script) as server:
            streams = await asyncio.open_connection("127.0.0.1", server.port)
            connection = EslConnection(*streams, on_event=events.append, on_frame=frames.append)
            with pytest.raises(CommandRefused, match="-ERR no"):
                await connection.send(connect())
            await connection.send(api("status"))
            assert isinstance(await connection.lost(), EslProtocolError)
            with pytest.raises(EslDisconnected):
                await connection.send(Command("anything", b"anything\n\n"))
            await connection.close()
            assert issubclass(CommandRefused, EslError)
            assert (events, frames) == ([], [])

    run(test())
