"""The controller: takes a call over by disarming its dead man's switch first, or lets go of it."""

import asyncio
import json
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast import controller_metrics, settings
from holdfast.calls import controller
from holdfast.calls.controller import Controller, serve_call
from holdfast.calls.prompts import Languages, Prompts
from holdfast.errors import SettingsError
from holdfast.esl.client import MediaHealth
from holdfast.esl.frames import Event
from holdfast.esl.outbound import OutboundServer
from holdfast.settings import Settings
from lab.ports import Ports
from unit.esl_doubles import CHANNEL_UUID, CallPeer, EventSocket, api_bytes, read_command, reply_bytes, run

ENGLISH = Prompts(Path("/srv/prompts/en"))
LANGUAGES = Languages({"en": ENGLISH, "da": Prompts(Path("/srv/prompts/da"))}, ENGLISH)
SETTINGS = settings.from_document({"node": {"name": "edge-1"}}, Path("/etc/holdfast.toml"))
READBACK = {"holdfast_feature": "readback", "holdfast_callback_number": "+12025550123", "holdfast_language": "da"}
CALLBACK = {**READBACK, "holdfast_feature": "callback"}


def counted(name: str, **labels: str) -> float:
    return controller_metrics.registry.get_sample_value(f"holdfast_controller_{name}", labels) or 0.0


class OneCall:
    """An outbound server that serves calls as the controller does, and one call to it."""

    def __init__(self, **peer: Any) -> None:
        self._peer = peer

    async def __aenter__(self) -> CallPeer:
        self._server = OutboundServer(
            lambda session: serve_call(session, SETTINGS, LANGUAGES), accept_from="127.0.0.1", on_refused=pytest.fail
        )
        await self._server.start("127.0.0.1", 0)
        peer = await CallPeer.call(self._server.port, **self._peer)
        self._serving = asyncio.create_task(peer.serve())
        return peer

    async def __aexit__(self, *error: object) -> None:
        if error[0] is None:
            await self._serving  # until the controller lets go
        await self._server.stop()
        self._serving.cancel()


def test_n1_the_dead_mans_switch_is_disarmed_before_anything_is_done_to_the_call() -> None:
    async def test() -> None:
        async with OneCall(variables=CALLBACK) as peer:
            await peer.until("bridge")
            peer.send("CHANNEL_HANGUP_COMPLETE")
        assert peer.commands[:5] == ["connect", "linger", "myevents", "sendmsg", f"api sched_del {CHANNEL_UUID}"]
        assert set(peer.commands[5:]) == {"sendmsg"}

    run(test())


@pytest.mark.parametrize("answer", ["+OK Deleted: 0\n", "-ERR no\n", "", "+OK"])
def test_n1_a_call_whose_switch_was_not_disarmed_is_let_go(answer: str) -> None:
    async def test() -> None:
        async with OneCall(variables=CALLBACK, sched_del=answer) as peer:
            pass
        assert peer.commands[-1].startswith("api sched_del")
        assert not peer.hung_up.is_set()

    reason = "refused" if answer.startswith("-ERR") else "too_late"
    before = counted("deadman_disarm_failures_total", reason=reason)
    run(test())
    assert counted("deadman_disarm_failures_total", reason=reason) == before + 1


def test_n1_the_switch_stays_armed_until_the_call_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "TAKE_OVER_DEADLINE_S", 0.05)
    before = counted("deadman_disarm_failures_total", reason="timeout")

    async def test() -> None:
        async with OneCall(variables=CALLBACK, parks=False) as peer:
            pass
        assert peer.commands == ["connect", "linger", "myevents", "sendmsg"]
        assert not peer.hung_up.is_set()

    run(test())
    assert counted("deadman_disarm_failures_total", reason="timeout") == before + 1


def test_n1_a_switch_that_is_not_disarmed_in_time_lets_go_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "TAKE_OVER_DEADLINE_S", 0.05)
    before = counted("deadman_disarm_failures_total", reason="timeout")

    async def test() -> None:
        server = OutboundServer(
            lambda session: serve_call(session, SETTINGS, LANGUAGES), accept_from="127.0.0.1", on_refused=pytest.fail
        )
        await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await read_command(reader) == "connect"
        writer.write(f"Unique-ID: {CHANNEL_UUID}\nContent-Type: command/reply\nReply-Text: %2BOK\n\n".encode())
        assert await read_command(reader) == "linger"
        assert await reader.read() == b""
        await server.stop()

    run(test())
    assert counted("deadman_disarm_failures_total", reason="timeout") == before + 1


@pytest.mark.parametrize(
    "changed",
    [{"holdfast_feature": "other"}, {"holdfast_callback_number": "+1}${x}"}, {"holdfast_callback_number": ""}],
)
def test_a_call_that_does_not_say_what_it_is_for_is_left_to_the_dialplan(changed: dict[str, str]) -> None:
    async def test() -> None:
        async with OneCall(variables=CALLBACK | changed) as peer:
            pass
        assert peer.executed.empty()

    run(test())


def test_a7_the_number_is_read_back_twice_digit_by_digit_in_the_callers_language() -> None:
    async def test() -> None:
        async with OneCall(variables=READBACK) as peer:
            argument, event_uuid = await peer.until("playback")
            parts = argument.removeprefix("file_string://").split("!")
            clips = [part.removeprefix("/srv/prompts/da/") for part in parts]
            said = [clip.removesuffix(".wav") for clip in clips if not clip.startswith("silence_stream://")]
            digits = [f"digits/{digit}" for digit in "12025550123"]
            assert said == ["readback/intro", *digits, "readback/again", *digits, "readback/end"]
            assert clips[0] == "silence_stream://500"
            peer.complete(event_uuid, Application_Response="FILE PLAYED", Answer_State="answered")
            await peer.hung_up.wait()
            peer.send("CHANNEL_HANGUP_COMPLETE")

    before = counted("calls_total", feature="readback", result="played")
    run(test())
    assert counted("calls_total", feature="readback", result="played") == before + 1


@pytest.mark.parametrize("completes_first", [True, False])
def test_a_caller_who_hangs_up_early_ends_the_readback_quietly(completes_first: bool) -> None:
    async def test() -> None:
        async with OneCall(variables=READBACK) as peer:
            _, event_uuid = await peer.until("playback")
            if completes_first:
                peer.complete(event_uuid, Application_Response="FILE PLAYED", Answer_State="hangup")
            peer.send("CHANNEL_HANGUP_COMPLETE")
        assert not peer.hung_up.is_set()

    before = counted("calls_total", feature="readback", result="hung_up")
    run(test())
    assert counted("calls_total", feature="readback", result="hung_up") == before + 1


def test_n1_an_announcement_that_cannot_be_played_is_left_to_the_dialplan() -> None:
    async def test() -> None:
        async with OneCall(variables=READBACK) as peer:
            _, event_uuid = await peer.until("playback")
            peer.complete(event_uuid, Application_Response="FILE NOT FOUND", Answer_State="answered")
        assert not peer.hung_up.is_set()

    before = counted("calls_total", feature="readback", result="released")
    run(test())
    assert counted("calls_total", feature="readback", result="released") == before + 1


def test_a_busy_phone_is_announced_and_rung_again_with_the_same_dial_string() -> None:
    async def test() -> None:
        async with OneCall(variables=CALLBACK) as peer:
            first, event_uuid = await peer.until("bridge")
            peer.complete(event_uuid, variable_originate_disposition="USER_BUSY", Answer_State="ringing")
            prompt, prompt_uuid = await peer.until("playback")
            assert prompt == "file_string:///srv/prompts/da/callback/no_answer_again.wav!silence_stream://3000"
            peer.complete(prompt_uuid, Application_Response="FILE PLAYED")
            second, event_uuid = await peer.until("bridge")
            assert second == first
            peer.send("CHANNEL_BRIDGE")
            peer.complete(event_uuid, variable_originate_disposition="SUCCESS", Answer_State="hangup")
            peer.send("CHANNEL_HANGUP_COMPLETE", variable_originate_disposition="SUCCESS")

    before = counted("calls_total", feature="callback", result="answered")
    run(test())
    assert counted("calls_total", feature="callback", result="answered") == before + 1


def test_a_completion_of_an_earlier_bridge_that_comes_twice_rings_nobody() -> None:
    async def test() -> None:
        async with OneCall(variables=CALLBACK) as peer:
            _, first = await peer.until("bridge")
            for _ in range(2):
                peer.complete(first, variable_originate_disposition="NO_ANSWER", Answer_State="ringing")
            await peer.until("bridge")
            peer.complete(first, variable_originate_disposition="NO_ANSWER", Answer_State="answered")
            peer.send("CHANNEL_HANGUP_COMPLETE")
        assert peer.executed.empty()

    run(test())


@contextmanager
def node_settings() -> Iterator[Settings]:
    """Settings with ports of this test's own."""
    with closing(Ports()) as ports:
        yield settings.from_document(
            {
                "node": {"name": "edge-1"},
                "media": {"esl_port": ports.one()},
                "controller": {"port": ports.one(), "metrics_port": ports.one()},
            },
            Path("/etc/holdfast.toml"),
        )


async def connected(port: int, running: asyncio.Task[None]) -> CallPeer:
    """A call to a controller that is just starting."""
    while not running.done():
        try:
            return await CallPeer.call(port, variables=CALLBACK)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
    await running
    raise AssertionError("the controller ended")


def test_n1_a_controller_that_ends_leaves_the_call_to_the_media_server() -> None:
    async def test(own: Settings) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(Controller(own, LANGUAGES).run(stop))
        peer = await connected(own.controller.port, running)
        serving = asyncio.create_task(peer.serve())
        await peer.until("bridge")
        stop.set()
        await running
        await serving
        assert not peer.hung_up.is_set()
        with pytest.raises(ConnectionRefusedError):
            await CallPeer.call(own.controller.port)

    before = counted("calls_total", feature="callback", result="released")
    with node_settings() as own:
        run(test(own))
    assert counted("calls_total", feature="callback", result="released") == before + 1
    assert counted("calls_in_progress", feature="callback") == 0


def test_a_call_whose_end_was_lost_is_given_up_when_the_media_server_no_longer_lists_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controller, "LISTED_AFTER_S", -1.0)
    listed = {"rows": [{"uuid": CHANNEL_UUID}]}

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Content-Type: auth/request\n\n")
        await read_command(reader)
        writer.write(reply_bytes("+OK accepted"))
        assert await read_command(reader) == "event plain HEARTBEAT"
        writer.write(reply_bytes("+OK"))
        assert await read_command(reader) == "api show channels as json"
        writer.write(api_bytes(json.dumps(listed)))
        listed.clear()
        await read_command(reader)  # and goes away: a lost connection

    async def test(own: Settings) -> None:
        async with EventSocket(script) as media:
            own = replace(own, media=replace(own.media, esl_port=media.port, esl_password_file=password))
            running = asyncio.create_task(Controller(own, LANGUAGES).run(asyncio.Event()))
            peer = await connected(own.controller.port, running)
            await peer.serve()  # until the controller lets go of it
            assert media.connections >= 2
            assert counted("esl_connected") == 1
            running.cancel()
            await asyncio.wait([running])

    before = counted("calls_total", feature="callback", result="released")
    with node_settings() as own, tempfile.TemporaryDirectory() as directory:
        password = Path(directory) / "esl-password"
        password.write_text("x" * 43)
        run(test(own))
    assert counted("calls_total", feature="callback", result="released") == before + 1


def test_a_port_in_use_is_named_with_its_mend() -> None:
    with node_settings() as own, socket.create_server(("127.0.0.1", own.controller.port)):
        with pytest.raises(SettingsError, match=rf"cannot listen on 127.0.0.1:{own.controller.port}") as error:
            run(Controller(own, LANGUAGES).run(asyncio.Event()))
        assert "controller.port" in error.value.mend


def test_health_and_heartbeat_are_shown() -> None:
    for health, shown in ((MediaHealth.STALLED, (0, 1)), (MediaHealth.GONE, (0, 0)), (MediaHealth.CONNECTED, (1, 0))):
        controller.show_health(health)
        assert (counted("esl_connected"), counted("media_stalled")) == shown
    controller.show_heartbeat(Event((("Session-Count", "12"),)))
    controller.show_heartbeat(Event((("Session-Count", "many"),)))
    assert counted("media_channels") == 12
