"""The inbound connection: connects again, never sends a command twice, never waits for ever, hides the password."""

import asyncio
import logging
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from holdfast.errors import EslDisconnected, EslProtocolError, EslTimeout, SettingsError
from holdfast.esl.client import InboundClient, MediaHealth, Timing, parse_channels
from holdfast.esl.connection import CommandRefused
from holdfast.esl.frames import Event
from unit.esl_doubles import (
    CHANNEL_UUID,
    EventSocket,
    Tape,
    api_bytes,
    event_bytes,
    read_command,
    replay,
    reply_bytes,
    run,
)

PASSWORD = "x" * 43
FAST = Timing(
    connect_deadline_s=1, reply_deadline_s=1, poll_s=0.02, poll_deadline_s=0.5, retry_first_s=0.01, retry_last_s=0.02
)
PATIENT = Timing(poll_s=60)


@dataclass
class Watched:
    """A client and what it told its owner."""

    port: int
    timing: Timing = PATIENT
    password: Callable[[], str] = lambda: PASSWORD
    on_up: Callable[[InboundClient], Awaitable[None]] | None = None
    health: list[MediaHealth] = field(default_factory=list)
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    ups: asyncio.Queue[InboundClient] = field(default_factory=asyncio.Queue)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> "Watched":
        self.client = InboundClient(
            "127.0.0.1", self.port, self.password,
            on_health=self._on_health, on_up=self.on_up or self.ups.put, on_event=self.events.put_nowait,
            timing=self.timing,
        )  # fmt: skip
        self.task = asyncio.create_task(self.client.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    def _on_health(self, health: MediaHealth) -> None:
        self.health.append(health)
        self.changed.set()

    async def until(self, health: MediaHealth) -> None:
        while not self.health or self.health[-1] is not health:
            self.changed.clear()
            await self.changed.wait()


async def greet(reader: Reader, writer: Writer) -> None:
    """The recorded beginning: ask for the password, take it, enable events."""
    writer.write(b"Content-Type: auth/request\n\n")
    assert await read_command(reader) == f"auth {PASSWORD}"
    writer.write(reply_bytes("+OK accepted"))
    assert await read_command(reader) == "event plain HEARTBEAT"
    writer.write(reply_bytes("+OK event listener enabled plain"))


async def healthy(reader: Reader, writer: Writer) -> None:
    await greet(reader, writer)
    while True:
        answers = {"api status": "UP 0 years", "api show channels as json": '{"row_count":0}', "api bad": "-ERR bad\n"}
        writer.write(api_bytes(answers[await read_command(reader)]))


def test_it_authenticates_listens_and_answers_api_calls() -> None:
    async def test() -> None:
        async with EventSocket(healthy) as server, Watched(server.port) as watched:
            client = await watched.ups.get()
            assert watched.health == [MediaHealth.CONNECTED]
            assert await client.api("status") == "UP 0 years"
            assert await client.channel_uuids() == frozenset()
            with pytest.raises(CommandRefused, match="-ERR bad"):
                await client.api("bad")

    run(test())


def test_events_reach_the_owner() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await greet(reader, writer)
        writer.write(event_bytes("HEARTBEAT", Session_Count="7"))
        await reader.read()

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port) as watched:
            assert (await watched.events.get()).get("Session-Count") == "7"

    run(test())


def test_a_lost_connection_is_made_again_and_told_to_the_owner_each_time() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await greet(reader, writer)
        await read_command(reader)  # and close: the command may have run

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port, FAST) as watched:
            for _ in range(3):
                await watched.ups.get()
            assert server.connections >= 3
            assert watched.health[:3] == [MediaHealth.CONNECTED, MediaHealth.GONE, MediaHealth.CONNECTED]

    run(test())


def test_a_command_that_may_have_run_is_never_sent_again() -> None:
    sent: list[str] = []

    async def script(reader: Reader, writer: Writer) -> None:
        await greet(reader, writer)
        while (command := await read_command(reader)) == "api status":
            writer.write(api_bytes("UP"))
        sent.append(command)

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port, FAST) as watched:
            client = await watched.ups.get()
            with pytest.raises(EslDisconnected, match="may have run"):
                await client.api("uuid_kill", CHANNEL_UUID)
            await watched.ups.get()
            await watched.until(MediaHealth.CONNECTED)
            assert sent == [f"api uuid_kill {CHANNEL_UUID}"]

    run(test())


def test_a_server_that_stops_answering_counts_as_stalled_and_is_tried_again() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await greet(reader, writer)
        await reader.read()

    async def test() -> None:
        timing = Timing(poll_s=0.02, poll_deadline_s=0.05, retry_first_s=0.01)
        async with EventSocket(script) as server, Watched(server.port, timing) as watched:
            await watched.until(MediaHealth.STALLED)
            await watched.until(MediaHealth.CONNECTED)
            assert server.connections >= 2

    run(test())


def test_a_server_that_never_asks_for_the_password_counts_as_stalled() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(b"\n")
        await reader.read()

    async def test() -> None:
        timing = Timing(reply_deadline_s=0.05, retry_first_s=0.01)
        async with EventSocket(script) as server, Watched(server.port, timing) as watched:
            await watched.until(MediaHealth.STALLED)

    run(test())


def test_a_reply_that_comes_too_late_is_not_taken_for_the_next_commands() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await greet(reader, writer)
        for expected, answer in (("api status", "UP"), ("api slow", ""), ("api quick", "the answer to slow")):
            assert await read_command(reader) == expected
            writer.write(api_bytes(answer) if answer else b"")
        writer.write(api_bytes("the answer to quick"))
        await reader.read()

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port) as watched:
            client = await watched.ups.get()
            with pytest.raises(EslTimeout):
                await client.api("slow", deadline_s=0.05)
            assert await client.api("quick") == "the answer to quick"

    run(test())


@pytest.mark.parametrize(
    "refusal",
    [
        b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n",
        b"\0\0\0\n",
        b"HTTP/1.1 400 Bad Request\n\n",
    ],
)
def test_a_refusal_or_another_protocol_is_no_connection(refusal: bytes) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        writer.write(refusal)
        await reader.read()

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port, FAST) as watched:
            await watched.until(MediaHealth.GONE)
            assert MediaHealth.CONNECTED not in watched.health

    run(test())


def test_the_recorded_refusal_of_a_password_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await replay(Tape.load("inbound-refused"), reader, writer)

    async def test() -> None:
        wrong = "wrong-password-000000"
        async with EventSocket(script) as server, Watched(server.port, FAST, password=lambda: wrong) as watched:
            await watched.until(MediaHealth.GONE)
        assert "refused the ESL password" in caplog.text
        assert wrong not in caplog.text

    with caplog.at_level(logging.DEBUG):
        run(test())


def test_the_recorded_watching_of_freeswitch_is_what_it_still_does() -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await replay(Tape.load("inbound-health"), reader, writer)

    async def list_channels(client: InboundClient) -> None:
        assert await client.channel_uuids() == frozenset()

    async def test() -> None:
        async with EventSocket(script) as server, Watched(server.port, FAST, on_up=list_channels) as watched:
            heartbeat = await watched.events.get()
            assert (heartbeat.name, heartbeat.get("FreeSWITCH-Hostname")) == ("HEARTBEAT", "edge-1")
            await watched.until(MediaHealth.GONE)  # the recording is over, all of it

    run(test())


def test_a_password_file_that_is_gone_is_waited_for() -> None:
    def missing() -> str:
        raise SettingsError("media.esl_password_file: gone")

    async def test() -> None:
        async with EventSocket(healthy) as server, Watched(server.port, FAST, password=missing) as watched:
            await watched.until(MediaHealth.GONE)
            assert not watched.task.done()

    run(test())


def test_without_a_connection_an_api_call_says_that_it_was_not_sent() -> None:
    async def test() -> None:
        async with Watched(1, FAST) as watched:
            await watched.until(MediaHealth.GONE)
            with pytest.raises(EslDisconnected, match="not sent"):
                await watched.client.api("status")

    run(test())


def test_the_wait_before_a_new_attempt_doubles_up_to_a_limit() -> None:
    timing = Timing(retry_first_s=0.2, retry_last_s=5.0)
    for failures, longest in ((0, 0.2), (1, 0.4), (3, 1.6), (5, 5.0), (10_000, 5.0)):
        waits = [timing.retry_s(failures) for _ in range(50)]
        assert longest / 2 <= min(waits) <= max(waits) <= longest


def test_the_recorded_list_of_channels_is_read() -> None:
    answer = Tape.load("inbound-channels").received().partition(b'{"row_count"')[2].partition(b"Content-Type")[0]
    assert parse_channels('{"row_count"' + answer.decode()) == {"1b3e14f1-f10d-4d17-bc57-b46e87b59834"}


@pytest.mark.parametrize(
    "answer",
    ["", "+OK", "[]", '{"rows":{}}x', '{"rows":[{}]}', '{"rows":[{"uuid":"all"}]}', '{"rows":5}', '{"rows":[1]}'],
)
def test_an_answer_that_is_no_list_of_channels_is_an_error(answer: str) -> None:
    with pytest.raises(EslProtocolError):
        parse_channels(answer)
