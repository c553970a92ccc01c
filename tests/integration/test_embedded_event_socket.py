"""The embedded media server's event socket, as clients that connect to it see it."""

import json
from pathlib import Path

import pytest

from integration.embedded import EmbeddedServer
from integration.media_server import Controller, running
from lab.errors import NotStarted


def test_a_wrong_password_ends_the_connection_and_the_right_one_is_nowhere_in_the_log(server: EmbeddedServer) -> None:
    with server.connection() as esl:
        assert esl.frame()[0] == {"Content-Type": "auth/request"}
        assert esl.command("auth wrong") == "-ERR invalid"
        assert esl.frame()[0]["Content-Type"] == "text/disconnect-notice"
        assert esl.frame() == ({}, "")
    with server.client():
        pass
    assert server.password not in server.daemon.log()


def test_nothing_is_told_or_done_before_the_password(server: EmbeddedServer) -> None:
    with server.connection() as esl:
        esl.frame()
        for command in ("api status", "event plain ALL", "api show channels as json"):
            assert esl.command(command) == "-ERR command not found"
        assert esl.command(f"auth {server.password}") == "+OK accepted"
        assert esl.command("api status").startswith("UP 0 years")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("reload mod_x", "-ERR command not found"),
        ("sendmsg\ncall-command: hangup", "-ERR command not found"),
        ("myevents", "-ERR command not found"),
        ("api originate user/1 &echo", "-ERR originate Command not found!"),
        ("api show calls", "-ERR show Command not found!"),
        ("api uuid_kill 00000000-0000-0000-0000-000000000000", "-ERR No such channel!"),
        ("api sched_del 00000000-0000-0000-0000-000000000000", "+OK Deleted: 0"),
        ("event json ALL", "-ERR only event plain is known"),
        ("event plain", "-ERR no keywords supplied"),
        ("event plain CHANNEL_ANSWER NONSENSE", "-ERR unknown event NONSENSE"),
        ("event plain CHANNEL_ANSWER HEARTBEAT", "+OK event listener enabled plain"),
        ("noevents", "+OK no longer listening for events"),
        ("filter Unique-ID 1", "+OK filter added. [Unique-ID]=[1]"),
        ("filter Unique-ID", "-ERR invalid syntax"),
        ("\x80\xff\x00", "-ERR command not found"),
        ("exit", "+OK bye"),
    ],
)
def test_a_command_is_done_or_honestly_refused(server: EmbeddedServer, command: str, answer: str) -> None:
    with server.client() as esl:
        assert esl.command(command) == answer


def test_a_message_that_announces_too_much_ends_its_own_connection_only(server: EmbeddedServer) -> None:
    with server.client() as esl, server.client() as other:
        assert esl.command("sendmsg\nContent-Length: 99999999").startswith("-ERR")
        assert esl.frame() == ({}, "")
        assert other.command("api status")


def test_a_client_sees_a_call_filters_its_events_and_can_end_it(server: EmbeddedServer, tmp_path: Path) -> None:
    with Controller(server) as controller, server.client() as watcher:
        watcher.command("event plain CHANNEL_ANSWER CHANNEL_EXECUTE CHANNEL_HANGUP_COMPLETE")
        watcher.command("filter Event-Name CHANNEL_HANGUP_COMPLETE")
        caller = server.call(tmp_path, "readback", scenario="call_ended_by_peer")
        with controller.take() as esl:
            esl.execute("answer")
            esl.execute("playback", "silence_stream://-1")
            esl.event("CHANNEL_EXECUTE", Application="playback")
            [row] = server.channels()
            killed = watcher.command(f"api uuid_kill {esl.uuid} CALL_REJECTED")
            ended = watcher.event("CHANNEL_HANGUP_COMPLETE")
        assert caller.wait().ok
    assert row["uuid"] == esl.uuid
    assert row["callstate"] == "ACTIVE"
    assert row["application"] == "playback"
    assert killed == "+OK"
    assert ended["Hangup-Cause"] == "CALL_REJECTED"
    assert not watcher.events
    server.wait_for_the_end_of_calls()
    assert json.loads(server.api("show channels as json")) == {"row_count": 0}


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("call-command: execute\nexecute-app-name: record", "-ERR invalid application [record]"),
        ("call-command: execute\nexecute-app-name: playback\nloops: 2", "-ERR loops is not supported"),
        ("call-command: unicast", "-ERR invalid call-command"),
    ],
)
def test_what_a_controller_may_not_do_to_a_call_is_refused(
    server: EmbeddedServer, tmp_path: Path, message: str, answer: str
) -> None:
    with Controller(server) as controller:
        caller = server.call(tmp_path, "readback", scenario="call_refused", code=603)
        with controller.take() as esl:
            assert esl.command(f"sendmsg\n{message}") == answer
            assert esl.command(f"sendmsg {'0' * 36}\ncall-command: hangup").startswith("-ERR invalid session id")
            assert esl.execute("hangup", "CALL_REJECTED") == "+OK"
            assert caller.wait().ok


def test_commands_in_pieces_and_in_one_piece_are_answered_in_order(server: EmbeddedServer, tmp_path: Path) -> None:
    with Controller(server) as controller:
        caller = server.call(tmp_path, "readback", duration_ms=100)
        with controller.accept() as esl:
            esl.send("connect\n\nlinger\n\nmyevents")
            kinds = [esl.frame()[0].get("Reply-Text") for _ in range(3)]
            assert kinds == ["%2BOK%0A", "+OK will linger", "+OK Events Enabled"]
            body = "silence_stream://40"
            head = "sendmsg\ncall-command: execute\nexecute-app-name: playback\nEvent-UUID: u-1"
            esl.execute("answer")
            for character in f"{head}\nContent-Length: {len(body)}\n\n{body}":
                esl.push(character)
            played = esl.event("CHANNEL_EXECUTE_COMPLETE", Event_UUID="u-1")
            assert played["Application-Data"] == "silence_stream%3A//40"
        assert caller.wait().ok


def test_a_port_in_use_is_named_with_the_way_out(server: EmbeddedServer, tmp_path: Path) -> None:
    second = EmbeddedServer(tmp_path)
    text = (tmp_path / "holdfast.toml").read_text()
    own, taken = second.settings.media.esl_port, server.settings.media.esl_port
    (tmp_path / "holdfast.toml").write_text(text.replace(f"esl_port = {own}", f"esl_port = {taken}"))
    with (
        pytest.raises(NotStarted, match=rf"TCP port {taken} \(media\.esl_port\).*set another media\.esl_port"),
        running(second),
    ):
        pass
