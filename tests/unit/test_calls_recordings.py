"""The controller against recorded calls of a real FreeSWITCH: it must still say, byte for byte, what it said then."""

import asyncio
from pathlib import Path

import pytest

from holdfast import controller_metrics, settings
from holdfast.calls.controller import serve_call
from holdfast.calls.prompts import Languages, Prompts
from holdfast.esl.outbound import OutboundServer, Session
from unit.esl_doubles import Tape, replay, run

SETTINGS = settings.from_document(
    {"node": {"name": "edge-1"}, "controller": {"ring_s": 3, "callback_attempts": 2}}, Path("/etc/holdfast.toml")
)
ENGLISH = Prompts(Path("/srv/holdfast/prompts/en"))


def counted(name: str, **labels: str) -> float:
    return controller_metrics.registry.get_sample_value(name, labels) or 0.0


async def replayed(name: str) -> None:
    served = asyncio.Event()

    async def serve(session: Session) -> None:
        try:
            await serve_call(session, SETTINGS, Languages({"en": ENGLISH}, ENGLISH))
        finally:
            served.set()

    server = OutboundServer(serve, accept_from="127.0.0.1", on_refused=pytest.fail)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await replay(Tape.load(name), reader, writer)
    await served.wait()
    assert await reader.read() == b""  # not one command more than was recorded
    writer.close()
    await server.stop()


@pytest.mark.parametrize(
    ("name", "feature", "result", "attempts"),
    [
        ("readback", "readback", "played", 0),
        ("readback-hung-up", "readback", "hung_up", 0),
        ("callback-phone-hangs-up", "callback", "answered", 1),
        ("callback-psap-hangs-up", "callback", "answered", 1),
        ("callback-busy-then-answered", "callback", "answered", 2),
        ("callback-unanswered", "callback", "no_answer", 2),
        ("callback-cancelled", "callback", "cancelled", 1),
        ("callback-hung-up-at-prompt", "callback", "cancelled", 2),
    ],
)
def test_a_recorded_call_goes_as_it_went(name: str, feature: str, result: str, attempts: int) -> None:
    before = counted("holdfast_controller_calls_total", feature=feature, result=result)
    rung = counted("holdfast_controller_callback_attempts_total")
    run(replayed(name))
    assert counted("holdfast_controller_calls_total", feature=feature, result=result) == before + 1
    assert counted("holdfast_controller_callback_attempts_total") == rung + attempts
    assert counted("holdfast_controller_calls_in_progress", feature=feature) == 0


def test_n1_a_call_that_the_dialplan_took_back_is_let_go() -> None:
    before = counted("holdfast_controller_deadman_disarm_failures_total", reason="too_late")
    run(replayed("too-late"))
    assert counted("holdfast_controller_deadman_disarm_failures_total", reason="too_late") == before + 1
