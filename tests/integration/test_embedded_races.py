"""Answers, cancels and changes that cross each other on the wire, and routes through proxies."""

import signal
from pathlib import Path

from integration.embedded import EmbeddedServer
from integration.embedded_scenarios import (
    SDP,
    final,
    pause,
    recv,
    recv_invite,
    recv_response,
    reply,
    request,
    scenario,
)  # fmt: skip
from integration.media_server import NUMBER, Controller, running, wait_for_an_invite
from integration.rtp_line import Line
from lab.waiting import wait_until

BYE_ANSWER = reply("200 OK", tag="")


def answer_crossing_cancel(ending: str) -> str:
    """Rings; when the CANCEL comes, the 200 is already on its way."""
    return scenario(
        "answer_crosses_cancel",
        recv_invite(),
        reply("180 Ringing"),
        recv("CANCEL"),
        reply("200 OK"),
        final("200 OK", body=SDP),
        recv("ACK"),
        ending,
    )


def callback(offer: str = "", answer: str = "") -> list[str]:
    """A PSAP's call until it is answered: with the offer in the INVITE, or else with its answer to ours in the ACK."""
    return [
        request("INVITE", 1, body=offer, headers=f"X-Holdfast-Callback-Number: {NUMBER}", answered=False),
        recv_response(100, optional="true"),
        recv_response(180, optional="true", rrs="true"),
        recv_response(200, rrs="true"),
        request("ACK", 1, body=answer),
    ]


def test_an_answer_that_crosses_our_cancel_is_kept_while_the_psap_is_there(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, answer_crossing_cancel(recv("BYE") + BYE_ANSWER))
    with Controller(server) as controller:
        caller = server.call(tmp_path, "callback", duration_ms=200)
        with controller.take() as esl:
            esl.execute("set", "hangup_after_bridge=true")
            esl.execute("bridge", server.dial(1))
            assert esl.event("CHANNEL_BRIDGE")["variable_originate_disposition"] == "SUCCESS"
            outcome = caller.wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok


def test_an_answer_that_crosses_the_cancel_of_a_psap_who_gave_up_is_acknowledged_and_ended(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    edge = server.edge(tmp_path, answer_crossing_cancel(recv("BYE") + BYE_ANSWER))
    outcome = server.call(tmp_path, "callback", scenario="call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    delivered = edge.wait()
    assert delivered.ok, delivered.complaints


def test_a_phone_that_answers_before_the_first_cancel_can_be_sent_is_ended_too(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    # nothing provisional was heard: no CANCEL may be sent (RFC 3261 §9.1), and then the call is answered
    late = scenario("late", recv_invite(), pause(700), final("200 OK", body=SDP), recv("ACK"), recv("BYE"), BYE_ANSWER)
    edge = server.edge(tmp_path, late)
    outcome = server.call(tmp_path, "callback", scenario="call_cancelled").wait()
    assert outcome.ok, outcome.complaints
    assert edge.wait().ok
    assert "CANCEL" not in {m.message.method for m in edge.messages() if m.message}


def test_the_second_of_two_phones_that_answer_at_once_is_acknowledged_and_ended(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    forked = scenario(
        "forked",
        recv_invite(),
        final("200 OK", tag="one", body=SDP).replace(' retrans="500"', ""),
        recv("ACK"),
        final("200 OK", tag="two", body=SDP, via="Via: [$via]").replace(' retrans="500"', ""),
        recv("ACK"),
        recv("BYE"),
        BYE_ANSWER,
        recv("BYE"),
        BYE_ANSWER,
    ).replace(
        "</action></recv>",
        '<ereg regexp="SIP.*" search_in="hdr" header="Via:" assign_to="via"/></action></recv>',
        1,
    )
    edge = server.edge(tmp_path, forked)
    outcome = server.call(tmp_path, "callback", duration_ms=400).wait()
    assert outcome.ok, outcome.complaints
    delivered = edge.wait()
    assert delivered.ok, delivered.complaints
    tags = [m.one("To").rpartition("tag=")[2][-3:] for m in delivered.received("BYE")]
    assert tags == ["two", "one"]


def test_requests_in_a_call_follow_the_route_that_the_answer_recorded(server: EmbeddedServer, tmp_path: Path) -> None:
    port = server.settings.sip.port
    headers = f"Record-Route: <sip:127.0.0.1:{port};lr;second>\nRecord-Route: <sip:127.0.0.1:{port};lr;first>"
    headers += "\nContact: <sip:phone@phone.invalid:5070;ob>"
    routed = scenario(
        "routed", recv_invite(), final("200 OK", body=SDP, headers=headers), recv("ACK"), recv("BYE"), BYE_ANSWER
    )
    edge = server.edge(tmp_path, routed)
    outcome = server.call(tmp_path, "callback", duration_ms=200).wait()
    assert outcome.ok, outcome.complaints
    delivered = edge.wait()
    assert delivered.ok, delivered.complaints
    for method in ("ACK", "BYE"):
        [message] = delivered.received(method)
        assert message.raw.startswith(f"{method} sip:phone@phone.invalid:5070;ob SIP/2.0".encode())
        assert message.raw.index(b";lr;first>") < message.raw.index(b";lr;second>")


def test_a_psap_may_hold_the_call_move_its_media_and_refresh_it(server: EmbeddedServer, tmp_path: Path) -> None:
    held = SDP.replace("o=lab 1 1", "o=lab 1 2") + "\n      a=sendonly"
    with Line() as moved:
        elsewhere = SDP.replace("o=lab 1 1", "o=lab 1 3").replace("[media_port]", str(moved.port))
        busy = scenario(
            "changes",
            *callback(offer=SDP),
            request("INVITE", 2, body=held),
            recv_response(200),
            request("ACK", 2),
            request("INVITE", 3, body=elsewhere),
            recv_response(200),
            request("ACK", 3),
            pause(300),
            request("UPDATE", 4, headers="Session-Expires: 1800\nSupported: timer"),
            recv_response(200),
            request("INVITE", 5),
            recv_response(200),
            request("ACK", 5, body=elsewhere),
            request("INVITE", 6, body=SDP.replace("RTP/AVP 0", "RTP/AVP 18").replace("0 PCMU", "18 G729")),
            recv_response(488),
            request("ACK", 6),
            request("OPTIONS", 7),
            recv_response(200),
            request("REFER", 8),
            recv_response(405),
            pause(300),
            request("BYE", 9),
            recv_response(200),
        )
        edge = server.edge(tmp_path, "uas_answers", ring_ms=0, echo=True)
        outcome = server.sipp(busy, tmp_path, calls_us=True, number="callback").run()
        assert outcome.ok, outcome.complaints
        assert moved.echoes() > 10
    assert edge.wait().ok
    answers = [m.message.raw for m in outcome.messages if not m.sent and m.message and m.message.status == 200]
    assert b"a=recvonly" in next(raw for raw in answers if b"CSeq: 2 INVITE" in raw)
    assert b"a=sendrecv" in next(raw for raw in answers if b"CSeq: 3 INVITE" in raw)
    assert b"Session-Expires: 1800;refresher=uac" in next(raw for raw in answers if b"CSeq: 4 UPDATE" in raw)
    assert b"RTP/AVP 0 8 101" in next(raw for raw in answers if b"CSeq: 5 INVITE" in raw)


def test_a_psap_that_leaves_the_offer_to_us_is_answered_and_heard(server: EmbeddedServer, tmp_path: Path) -> None:
    with Line() as psap:
        own = SDP.replace("[media_port]", str(psap.port))
        offerless = scenario(
            "offerless",
            *callback(answer=own),
            pause(500),
            request("BYE", 2),
            recv_response(200),
        )
        edge = server.edge(tmp_path, "uas_answers", ring_ms=0, echo=True)
        outcome = server.sipp(offerless, tmp_path, calls_us=True, number="callback").run()
        assert outcome.ok, outcome.complaints
        assert psap.echoes() > 10
    assert edge.wait().ok


def test_n1_a_server_told_to_stop_ends_every_call_and_is_gone(tmp_path: Path) -> None:
    with running(EmbeddedServer(tmp_path)) as server:
        edge = server.edge(tmp_path, "uas_rings")
        talking = server.call(tmp_path, "readback", scenario="call_ended_by_peer")
        ringing = server.call(tmp_path, "callback", scenario="call_refused", code=503)
        wait_for_an_invite(edge, within_s=4)
        wait_until(
            "an answer", lambda: any(m.message and m.message.status == 200 for m in talking.messages()), within_s=10
        )
        server.daemon.send(signal.SIGTERM)
        assert server.daemon.wait(within_s=10) == 0
        assert talking.wait().ok
        assert ringing.wait().ok
        assert edge.wait().ok
