"""What the embedded media server does when nobody answers: every wait of a call, on a clock that jumps."""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast import settings
from holdfast.core.lease import MAX_CALL_S
from holdfast.embedded.bridge import HOLD_TIMEOUT_S, MEDIA_TIMEOUT_S
from holdfast.embedded.call import Exchange
from holdfast.embedded.channel import Event
from holdfast.embedded.server import open_exchange
from holdfast.embedded.sip_message import Request
from lab.ports import Ports
from unit.embedded_clock import Peer, answer_to, run

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
RING_S = 20


class Told:
    """Keeps the events of every call."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def causes(self) -> list[str | None]:
        return [event.get("Hangup-Cause") for event in self.events if event.name == "CHANNEL_HANGUP"]


@dataclass
class Scene:
    """A media server in this very process, the edge that talks to it, and what it told."""

    exchange: Exchange
    edge: Peer
    told: Told

    @property
    def server(self) -> tuple[str, int]:
        return self.exchange.endpoint.local

    def send(
        self, method: str, cseq: int = 1, *, to_tag: str = "", body: bytes = SDP, number: str = "+12025550123"
    ) -> None:
        here = f"127.0.0.1:{self.edge.address[1]}"
        to = "<sip:callback@127.0.0.1>" + (f";tag={to_tag}" if to_tag else "")
        headers = [
            ("via", f"SIP/2.0/UDP {here};branch=z9hG4bK{method if method != 'CANCEL' else 'INVITE'}{cseq}"),
            ("from", "<sip:psap@127.0.0.1>;tag=psap"),
            ("to", to),
            ("call-id", "call-1"),
            ("cseq", f"{cseq} {method}"),
            ("contact", f"<sip:psap@{here}>"),
            ("x-holdfast-callback-number", number),
        ]
        self.edge.send(Request(headers, body, method, "sip:callback@127.0.0.1").encode(), self.server)

    async def phone_answers(self) -> None:
        """A callback up to the moment at which a phone answers it."""
        self.send("INVITE")
        invite = await self.edge.request("INVITE")
        contact = f"<sip:phone@127.0.0.1:{self.edge.address[1]}>"
        self.edge.send(answer_to(invite, 200, body=SDP, contact=contact), self.server)

    async def established(self) -> str:
        """A callback that a phone answered; the PSAP's To tag."""
        await self.phone_answers()
        await self.edge.request("ACK")
        answer = await self.edge.response(200)
        tag = answer.get("to").partition("tag=")[2]
        self.send("ACK", to_tag=tag, body=b"")
        return tag

    async def answer_byes(self) -> None:
        """Both sides are told that the call is over."""
        for _ in range(2):
            bye = await self.edge.request("BYE")
            self.edge.send(answer_to(bye, 200), self.server)

    def stop_media_clock(self) -> None:
        """No 20 ms ticks for what takes minutes or hours."""
        self.exchange.clock.sessions.clear()

    async def over(self) -> None:
        await asyncio.gather(*(call.done for call in list(self.exchange.calls.values())))
        self.exchange.endpoint.close()


async def scene(tmp_path: Path) -> Scene:
    ports = Ports()
    first, last = ports.block(40)
    edge = await Peer.open()
    document = {
        "node": {"name": "edge-1"},
        "sip": {"address": "127.0.0.1", "port": edge.address[1]},
        "media": {
            "address": "127.0.0.1",
            "sip_port": ports.one(),
            "rtp_first_port": first,
            "rtp_last_port": last,
            "prompts_dir": str(tmp_path),
        },
        "controller": {"port": ports.one(), "ring_s": RING_S, "callback_attempts": 1},
    }
    exchange = await open_exchange(settings.from_document(document, tmp_path / "holdfast.toml"))
    told = Told()
    exchange.bus.add(told)
    return Scene(exchange, edge, told)


def intervals(times: list[float]) -> list[float]:
    return [round(after - before, 3) for before, after in itertools.pairwise(times)]


def test_a_bridge_whose_both_byes_were_lost_ends_when_no_audio_comes_any_more(tmp_path: Path) -> None:
    async def main() -> tuple[Scene, float]:
        stage = await scene(tmp_path)
        await stage.established()
        stage.stop_media_clock()
        began = asyncio.get_running_loop().time()
        await stage.answer_byes()
        lasted = asyncio.get_running_loop().time() - began
        await stage.over()
        return stage, lasted

    stage, lasted = run(main())
    assert lasted == pytest.approx(MEDIA_TIMEOUT_S, abs=1)
    assert stage.told.causes() == ["MEDIA_TIMEOUT", "MEDIA_TIMEOUT"]


def test_a_phone_that_never_answers_the_invite_is_given_up_after_the_ringing_time(tmp_path: Path) -> None:
    async def main() -> tuple[Scene, list[float]]:
        stage = await scene(tmp_path)
        stage.send("INVITE")
        await stage.edge.response(200)
        times = stage.edge.times("INVITE")
        await stage.over()
        return stage, times

    stage, times = run(main())
    assert intervals(times) == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert not stage.edge.times("CANCEL")  # nothing provisional came: §9.1
    disposition = [event.get("variable_originate_disposition") for event in stage.told.events][-1]
    assert disposition == "ALLOTTED_TIMEOUT"


def test_an_answer_that_nobody_acknowledges_is_repeated_and_then_ended(tmp_path: Path) -> None:
    async def main() -> tuple[Scene, list[float]]:
        stage = await scene(tmp_path)
        await stage.phone_answers()
        await stage.edge.response(200)
        stage.stop_media_clock()
        await stage.edge.request("BYE")
        await stage.over()
        answers = [at for at, message in stage.edge.received if getattr(message, "status", 0) == 200]
        return stage, answers

    stage, answers = run(main())
    assert intervals(answers)[:8] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert "RECOVERY_ON_TIMER_EXPIRE" in stage.told.causes()


def test_a_bye_that_must_wait_for_the_ack_is_sent_when_the_ack_comes(tmp_path: Path) -> None:
    async def main() -> Scene:
        stage = await scene(tmp_path)
        await stage.phone_answers()
        ack = await stage.edge.request("ACK")
        answer = await stage.edge.response(200)
        bye = Request(
            [("via", f"SIP/2.0/UDP 127.0.0.1:{stage.edge.address[1]};branch=z9hG4bKphone"), ("from", ack.get("to")),
             ("to", ack.get("from")), ("call-id", ack.get("call-id")), ("cseq", "9 BYE")], b"", "BYE", "sip:x@127.0.0.1"
        )  # fmt: skip
        stage.edge.send(bye.encode(), stage.server)
        await asyncio.sleep(0.3)
        assert not stage.edge.times("BYE")
        stage.send("ACK", to_tag=answer.get("to").partition("tag=")[2], body=b"")
        await stage.edge.request("BYE")
        await stage.over()
        return stage

    assert run(main()).told.causes() == ["NORMAL_CLEARING", "NORMAL_CLEARING"]


def test_a_psap_who_gives_up_the_moment_a_phone_answers_leaves_nobody_in_a_call(tmp_path: Path) -> None:
    async def main() -> tuple[Scene, float]:
        stage = await scene(tmp_path)
        await stage.phone_answers()
        stage.send("CANCEL")
        began = asyncio.get_running_loop().time()
        bye = await stage.edge.request("BYE")
        lasted = asyncio.get_running_loop().time() - began
        stage.edge.send(answer_to(bye, 200), stage.server)
        await stage.over()
        return stage, lasted

    stage, lasted = run(main())
    assert lasted < 1
    assert stage.told.causes() == ["ORIGINATOR_CANCEL", "ORIGINATOR_CANCEL"]
    assert "CHANNEL_BRIDGE" not in {event.name for event in stage.told.events}


def test_a_refusal_is_acknowledged_where_the_invite_went_whatever_contact_it_names(tmp_path: Path) -> None:
    async def main() -> Request:
        stage = await scene(tmp_path)
        elsewhere = await Peer.open()
        stage.send("INVITE")
        invite = await stage.edge.request("INVITE")
        contact = f"<sip:phone@127.0.0.1:{elsewhere.address[1]}>"
        stage.edge.send(answer_to(invite, 486, contact=contact), stage.server)
        ack = await stage.edge.request("ACK")
        assert ack.get("via") == invite.get("via")
        assert ack.uri == invite.uri
        await stage.over()
        assert not elsewhere.received
        return ack

    assert run(main()).cseq == (1, "ACK")


def test_a_call_that_nothing_else_ends_is_ended_at_the_longest_time_a_call_may_last(tmp_path: Path) -> None:
    async def main() -> tuple[Scene, float]:
        stage = await scene(tmp_path)
        began = asyncio.get_running_loop().time()
        await stage.established()
        [call] = stage.exchange.calls.values()
        call.leg.media.received_at_s = float("inf")  # somebody talks all the time
        stage.stop_media_clock()
        await stage.answer_byes()
        await stage.over()
        return stage, asyncio.get_running_loop().time() - began

    stage, lasted = run(main())
    assert lasted == pytest.approx(MAX_CALL_S, abs=5)
    assert "ALLOTTED_TIMEOUT" in stage.told.causes()


def test_requests_of_no_call_and_late_ones_of_a_call_are_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        stage = await scene(tmp_path)
        tag = await stage.established()
        for method, cseq, to_tag, status in (
            ("OPTIONS", 1, "", 200),
            ("MESSAGE", 1, "", 405),
            ("BYE", 2, "nobody", 481),
            ("CANCEL", 77, "", 481),
            ("OPTIONS", 5, tag, 200),
            ("INFO", 4, tag, 500),
            ("PRACK", 6, tag, 405),
            ("BYE", 7, tag, 200),
            ("BYE", 8, tag, 481),
        ):
            stage.send(method, cseq, to_tag=to_tag, body=b"")
            answer = await stage.edge.next(lambda message: getattr(message, "status", 0) >= 200)
            assert (answer.cseq[1], getattr(answer, "status", 0)) == (method, status)
        stage.edge.send(
            b"INVITE sip:callback@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx;rport\r\n\r\n",
            stage.server,
        )
        await stage.edge.response(400)
        for noise in (b"", b"\r\n\r\n", b"\xff" * 40, b"SIP/2.0 200 OK\r\n\r\n", b"ACK sip:a SIP/2.0\r\n\r\n"):
            stage.edge.send(noise, stage.server)
        stage.send("OPTIONS", 9, body=b"")
        await stage.edge.response(200)
        await stage.over()

    run(main())


def test_a_held_call_is_given_ten_minutes_of_silence(tmp_path: Path) -> None:
    async def main() -> float:
        stage = await scene(tmp_path)
        tag = await stage.established()
        stage.send("INVITE", 2, to_tag=tag, body=SDP + b"a=sendonly\r\n")
        await stage.edge.next(lambda message: message.cseq == (2, "INVITE"))
        stage.send("ACK", 2, to_tag=tag, body=b"")
        stage.stop_media_clock()
        began = asyncio.get_running_loop().time()
        await stage.edge.request("BYE")
        lasted = asyncio.get_running_loop().time() - began
        await stage.over()
        return lasted

    assert run(main()) == pytest.approx(HOLD_TIMEOUT_S, abs=61)


def test_n1_a_controller_that_stalls_after_it_took_the_call_does_not_keep_the_psap_for_ever(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"connect\n\n")
        channel = (await reader.readuntil(b"\n\n")).decode()
        uuid = next(line[11:] for line in channel.split("\n") if line.startswith("Unique-ID: "))
        writer.write(f"api sched_del {uuid}\n\n".encode())
        with contextlib.suppress(ConnectionError):
            await reader.read()

    async def main() -> tuple[Scene, float]:
        stage = await scene(tmp_path)
        controller = stage.exchange.settings.controller
        listener = await asyncio.start_server(serve, controller.address, controller.port)
        began = asyncio.get_running_loop().time()
        stage.send("INVITE")
        await stage.edge.response(503)
        lasted = asyncio.get_running_loop().time() - began
        await stage.over()
        listener.close()
        return stage, lasted

    stage, lasted = run(main())
    assert lasted == pytest.approx(60 + 1 * (RING_S + 15), abs=2)
    assert stage.told.causes() == ["NORMAL_TEMPORARY_FAILURE"]
