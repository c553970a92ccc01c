"""One OPTIONS to a real peer on loopback: whatever comes back, it is known for what it is, and in time."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.core.health import Finding
from holdfast.edge.ping import MOST_MESSAGES, T1_S, CannotAskError, Outcome, Peer, ask
from integration.sip_peers import Answers, reply, says, silence, stream_peer, udp_peer

_T = TypeVar("_T")

#: Long enough for a busy machine where an answer comes; a peer that is silent is waited for this long.
SOON_S = 5.0
IN_VAIN_S = 0.2


def run(test: Callable[[], Awaitable[_T]]) -> _T:
    async def bounded() -> _T:
        async with asyncio.timeout(30):
            return await test()

    return asyncio.run(bounded())


def at(port: int, transport: str = "udp") -> Peer:
    return Peer("127.0.0.1", "127.0.0.1", port, transport)


def over_udp(answers: Answers, within_s: float = SOON_S) -> Outcome:
    async def test() -> Outcome:
        async with udp_peer(answers) as peer:
            return await ask(at(peer.port), "127.0.0.1", within_s)

    return run(test)


def over_tcp(answers: Answers, within_s: float = SOON_S) -> Outcome:
    async def test() -> Outcome:
        async with stream_peer(answers) as peer:
            return await ask(at(peer.port, "tcp"), "127.0.0.1", within_s)

    return run(test)


BOTH = pytest.mark.parametrize("over", [over_udp, over_tcp])


@BOTH
@pytest.mark.parametrize(
    ("status", "finding"),
    [(200, Finding.ANSWERED), (405, Finding.ANSWERED), (483, Finding.ANSWERED),
     (408, Finding.FAILED), (503, Finding.FAILED)],
)  # fmt: skip
def test_a_final_answer_is_what_it_says(over: Callable[[Answers], Outcome], status: int, finding: Finding) -> None:
    assert over(says(status)) == Outcome(finding, f"answered {status}")


@BOTH
def test_a_provisional_answer_is_not_yet_one(over: Callable[..., Outcome]) -> None:
    assert over(lambda request: [reply(request, 100), reply(request, 200)]) == Outcome(Finding.ANSWERED, "answered 200")
    assert over(lambda request: [reply(request, 100)], IN_VAIN_S) == Outcome(Finding.FAILED, "no answer")


@BOTH
def test_what_answers_another_question_is_passed_over(over: Callable[..., Outcome]) -> None:
    def answers(request: str) -> list[bytes]:
        right = reply(request, 503)
        wrong = reply(request, 200, Call_ID="guessed", body="a body\r\n\r\n"), reply(request, 200, CSeq="1 INVITE")
        own = b"OPTIONS sip:holdfast@127.0.0.1 SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
        return [b"\r\n\r\n", *wrong, own, right]

    assert over(answers) == Outcome(Finding.FAILED, "answered 503")


@BOTH
def test_a_peer_that_never_stops_talking_is_not_listened_to(over: Callable[..., Outcome]) -> None:
    assert over(lambda request: [reply(request, 200, Call_ID="other")] * MOST_MESSAGES).why == "sends nonsense"


# UDP


def test_datagrams_of_nonsense_before_an_answer_do_no_harm() -> None:
    nonsense = [b"", b"\0", b"\xff" * 2000, b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 200\r\nVia\r\n\r\n", b"x" * 60_000]
    outcome = over_udp(lambda request: [*nonsense, reply(request, 200)])
    assert outcome == Outcome(Finding.ANSWERED, "answered 200")


def test_a_lost_packet_is_sent_again() -> None:
    async def test() -> tuple[Outcome, list[str]]:
        async with udp_peer(lambda request: says(200)(request) if len(peer.requests) == 2 else []) as peer:
            return await ask(at(peer.port), "127.0.0.1", SOON_S), peer.requests

    outcome, requests = run(test)
    assert outcome == Outcome(Finding.ANSWERED, "answered 200")
    assert len(requests) == 2
    assert requests[0] == requests[1]


def test_a_peer_that_has_heard_is_not_asked_again() -> None:
    async def test() -> list[str]:
        async with udp_peer(lambda request: [reply(request, 100)]) as peer:
            await ask(at(peer.port), "127.0.0.1", 3 * T1_S)
            return peer.requests

    assert len(run(test)) == 1


def test_silence_ends_with_its_time() -> None:
    assert over_udp(silence, IN_VAIN_S) == Outcome(Finding.FAILED, "no answer")


def test_an_answer_from_another_port_or_address_is_not_heard() -> None:
    async def test() -> tuple[Outcome, int]:
        async with udp_peer(silence) as peer, udp_peer(silence) as port, udp_peer(silence, "127.0.0.2") as address:

            def through_others(request: str) -> list[bytes]:
                for other in (port, address):
                    assert other.transport is not None
                    other.transport.sendto(reply(request, 200), peer.sources[-1])
                return []

            peer.answers = through_others
            return await ask(at(peer.port), "127.0.0.1", IN_VAIN_S), len(peer.requests)

    assert run(test) == (Outcome(Finding.FAILED, "no answer"), 1)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_port_where_nobody_listens_is_known_at_once(transport: str) -> None:
    async def test() -> Outcome:
        async with udp_peer(silence) as udp, stream_peer(silence) as tcp:
            port = udp.port if transport == "udp" else tcp.port
        return await ask(at(port, transport), "127.0.0.1", SOON_S)

    assert run(test) == Outcome(Finding.FAILED, "nobody listens there")


def test_trunks_see_the_nodes_own_address() -> None:
    async def test() -> tuple[str, str]:
        async with udp_peer(says(200)) as peer:
            await ask(at(peer.port), "127.0.0.9", SOON_S)
            return peer.sources[0][0], peer.requests[0]

    source, request = run(test)
    assert source == "127.0.0.9"
    assert "\r\nVia: SIP/2.0/UDP 127.0.0.9:" in request
    assert "\r\nFrom: <sip:health@127.0.0.9>;tag=" in request


def test_every_question_has_secrets_of_its_own() -> None:
    async def test() -> list[str]:
        async with udp_peer(says(200)) as peer:
            for _ in range(3):
                await ask(at(peer.port), "127.0.0.1", SOON_S)
            return peer.requests

    branches = {request.split(";branch=")[1].split(";")[0] for request in run(test)}
    assert len(branches) == 3
    assert all(len(branch) == len("z9hG4bK") + 32 for branch in branches)


@pytest.mark.parametrize(
    ("peer", "from_address"),
    [
        (at(5060), "192.0.2.1"),  # not this machine's
        (at(5060, "tcp"), "192.0.2.1"),
        (Peer("::1", "::1", 5060, "udp"), "127.0.0.1"),  # no way from one family to the other
        (Peer("two words", "127.0.0.1", 5060, "udp"), "127.0.0.1"),
        (Peer("a\r\nVia: b", "127.0.0.1", 5060, "udp"), "127.0.0.1"),
    ],
)
def test_what_cannot_be_asked_for_our_own_reasons_says_nothing_of_the_trunk(peer: Peer, from_address: str) -> None:
    with pytest.raises(CannotAskError) as caught:
        run(lambda: ask(peer, from_address, SOON_S))
    assert caught.value.mend


# TCP and TLS


def test_an_answer_in_pieces_is_put_together() -> None:
    def pieces(request: str) -> list[bytes]:
        whole = b"\r\n\r\n" + reply(request, 200)
        return [whole[at : at + 7] for at in range(0, len(whole), 7)]

    assert over_tcp(pieces) == Outcome(Finding.ANSWERED, "answered 200")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (silence, "closed the connection"),
        (lambda _: [b"HTTP/1.1 400 Bad Request\r\nno colon\r\n\r\n"], "sends nonsense"),
        (lambda _: [b"x" * 200_000], "sends nonsense"),
        (lambda request: [reply(request, 200, Call_ID="other", Content_Length="999999")], "sends nonsense"),
        (lambda request: [reply(request, 200, Call_ID="other", Content_Length="-1")], "sends nonsense"),
    ],
)
def test_a_stream_that_is_no_sip_is_a_failure(answers: Answers, why: str) -> None:
    assert over_tcp(answers) == Outcome(Finding.FAILED, why)


def test_a_stream_that_never_ends_its_headers_ends_with_its_time() -> None:
    assert over_tcp(lambda _: [b"SIP/2.0 200 OK\r\n"], IN_VAIN_S) == Outcome(Finding.FAILED, "no answer")


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ssl.SSLContext]:
    """A TLS server's context, with a certificate that nobody vouches for."""
    folder: Path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=sbc.example.net", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=30,
    )  # fmt: skip

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return made

    return context


def test_a_peer_is_asked_over_tls_whatever_its_certificate(server_tls: Callable[[], ssl.SSLContext]) -> None:
    async def test() -> tuple[Outcome, str]:
        async with stream_peer(says(200), tls=server_tls()) as peer:
            named = Peer("other.example.net", "127.0.0.1", peer.port, "tls")
            return await ask(named, "127.0.0.1", SOON_S), peer.requests[0]

    outcome, request = run(test)
    assert outcome == Outcome(Finding.ANSWERED, "answered 200")
    assert request.startswith("OPTIONS sip:other.example.net:")
    assert "\r\nVia: SIP/2.0/TLS 127.0.0.1:" in request


def test_a_peer_that_speaks_no_tls_is_a_failure() -> None:
    async def test() -> Outcome:
        server = await asyncio.start_server(_greets, "127.0.0.1", 0)
        async with server:
            return await ask(at(server.sockets[0].getsockname()[1], "tls"), "127.0.0.1", SOON_S)

    async def _greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome\r\n")

    assert run(test) == Outcome(Finding.FAILED, "no TLS: WRONG_VERSION_NUMBER")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_wants_our_certificate_lives_but_cannot_be_asked(
    server_tls: Callable[[], ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    tls = server_tls()
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.minimum_version = tls.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        refused = thread.submit(_refuse, listener, tls)  # asyncio's server sends no alert
        with pytest.raises(CannotAskError, match="ALERT"):
            run(lambda: ask(at(listener.getsockname()[1], "tls"), "127.0.0.1", SOON_S))
        refused.result(timeout=SOON_S)


def _refuse(listener: socket.socket, tls: ssl.SSLContext) -> None:
    listener.settimeout(SOON_S)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(SOON_S)
        raw = connection.dup()
        with pytest.raises(ssl.SSLError), contextlib.closing(tls.wrap_socket(connection, server_side=True)):
            pass
        with raw, contextlib.suppress(OSError):  # what was sent meanwhile is read, else the alert would be lost
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass


def test_a_host_that_no_certificate_can_name_is_not_asked() -> None:
    async def test() -> Outcome:
        async with stream_peer(silence) as peer:
            return await ask(Peer(".dot", "127.0.0.1", peer.port, "tls"), "127.0.0.1", SOON_S)

    with pytest.raises(CannotAskError):
        run(test)
