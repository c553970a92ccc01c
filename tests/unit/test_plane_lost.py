"""LoST (RFC 5222): servers are asked over real HTTP, and whatever they answer, the asking ends soon and says why."""

import gzip
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from holdfast.plane import lost
from holdfast.plane.lost import LostUnreachable, Question, ask
from holdfast.plane.lost_xml import MOST_BYTES, Found, LostError, Validity, Whereof
from unit.lost_server import (
    CIVIC,
    CIVIC_EXTENSION,
    Answer,
    Asked,
    LostServer,
    errors,
    lost_server,
    mapping,
    redirect,
    send,
    validation,
)

AUSTIN = Whereof(
    "US", {"A1": "TX", "A3": "Austin", "HNO": "12", "RD": "Main & <5th>", "STS": "St", "MP": "7"}, 30.2672, -97.7431
)
NOWHERE_IN_PARTICULAR = Whereof("US", {}, 37.775, -122.422)


@pytest.fixture
def server() -> Iterator[LostServer]:
    with lost_server(lambda _: mapping("sip:nypd@example.com")) as running:
        yield running


def answer_of(server: LostServer, place: Whereof = AUSTIN, *, validate: bool = False) -> lost.Answer:
    (answer,) = ask([Question(server.url, place, validate)])
    return answer


def refusal(server: LostServer, answer: Callable[[Asked], Answer]) -> str:
    """What is said of such an answer, which must be an error."""
    server.answer = answer
    error = answer_of(server)
    assert isinstance(error, LostError), error
    assert error.mend
    return str(error)


def test_a_civic_address_and_a_point_are_asked_in_the_profiles_of_rfc_5222(server: LostServer) -> None:
    assert answer_of(server) == Found("sip:nypd@example.com", 3786918273.0, None, ())
    (asked,) = server.asked
    assert asked.headers["content-type"] == "application/lost+xml;charset=utf-8"
    assert asked.civic == {"country": "US", **AUSTIN.civic}
    # RFC 5139 §4 is a sequence, and RFC 6848's elements come after it in a namespace of their own
    found = asked.root.find(f".//{{{CIVIC}}}civicAddress")
    assert found is not None
    assert [child.tag for child in found] == [
        *(f"{{{CIVIC}}}{name}" for name in ("country", "A1", "A3", "RD", "STS", "HNO")), f"{{{CIVIC_EXTENSION}}}MP",
    ]  # fmt: skip
    assert asked.point == "30.2672000 -97.7431000"
    assert (asked.root.get("recursive"), asked.root.get("serviceBoundary")) == ("true", "reference")
    assert asked.root[-1].text == "urn:service:sos"
    assert not asked.validates


def test_a_point_alone_is_asked_without_a_civic_address_and_never_validated(server: LostServer) -> None:
    assert isinstance(answer_of(server, NOWHERE_IN_PARTICULAR, validate=True), Found)
    (asked,) = server.asked
    assert (asked.civic, asked.point, asked.validates) == ({}, "37.7750000 -122.4220000", False)


def test_what_a_server_says_of_an_address_comes_back_by_element_names(server: LostServer) -> None:
    said = validation(valid="country A1 A3", invalid="PC", unchecked="HNO RD")
    server.answer = lambda _: mapping("sip:nypd@example.com", validation=said)
    answer = answer_of(server, validate=True)
    assert isinstance(answer, Found)
    assert answer.validity == Validity(("country", "A1", "A3"), ("PC",), ("HNO", "RD"))
    assert server.asked[0].validates


@pytest.mark.parametrize(
    ("expires", "valid_until"),
    [("NO-EXPIRATION", None), ("NO-CACHE", 0.0), ("2010-01-01T00:00:00+01:00", 1262300400.0)],
)
def test_how_long_an_answer_holds_is_read(server: LostServer, expires: str, valid_until: float | None) -> None:
    server.answer = lambda _: mapping("sip:nypd@example.com", expires=expires)
    answer = answer_of(server)
    assert isinstance(answer, Found)
    assert answer.valid_until == valid_until


def test_the_first_uri_that_sip_can_call_is_taken_and_warnings_are_passed_on(server: LostServer) -> None:
    warning = '<warnings source="a.example"><defaultMappingReturned message="no such street" xml:lang="en"/></warnings>'
    server.answer = lambda _: mapping(
        "xmpp:nypd@example.com", "sip:psap.example", "tel:+12125550100", "sip:x@y.example", warnings=warning
    )
    answer = answer_of(server)
    assert answer == Found("tel:+12125550100", 3786918273.0, None, ("defaultMappingReturned ('no such street')",))


def test_one_redirect_is_followed_to_the_same_port_and_path(server: LostServer) -> None:
    port = urlsplit(server.url).port
    assert port
    with lost_server(lambda _: mapping("sip:east@example.com"), host="127.0.0.2", port=port) as east:
        server.answer = lambda _: redirect("127.0.0.2")
        assert answer_of(server) == Found("sip:east@example.com", 3786918273.0, None, ())
        assert [asked.path for asked in east.asked] == ["/lost"]
        assert east.asked[0].civic == server.asked[0].civic
        east.answer = lambda _: redirect("127.0.0.1")
        assert "redirects again to 127.0.0.1" in str(answer_of(server))
        assert len(server.asked) == 2  # the second redirect was not followed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (errors("notFound", "No PSAP there."), "refuses: notFound ('No PSAP there.')"),
        (errors("loop", ""), "refuses: loop"),
        (errors("forbidden", "x" * 5000), "refuses: forbidden ('xxxx"),
        (errors("badRequest", "\u202eesrever&#10;"), "badRequest ('\\u202eesrever\\n')"),
        (mapping(), "names no PSAP that SIP can call"),
        (mapping("javascript:alert(1)"), "but 'javascript:alert(1)'"),
        (mapping("sip:a@b.example?Route=%3Csip:evil%3E"), "names no PSAP that SIP can call"),
        (mapping("sip:a@b.example", service="urn:service:counseling"), "but the service 'urn:service:counseling'"),
        (mapping("sip:a@b.example", expires="tomorrow"), "expires at 'tomorrow', which is no time"),
        (redirect("127.0.0.1"), "redirects to itself"),
        (redirect("evil.example/x?y"), "which is no server's name"),
        (redirect("localhost"), "which is no server's name"),
        (b"", "not well-formed"),
        (b"<html><body>It works!</body></html>", "is not a LoST server's: it is a 'html'"),
        (b"<a><b></a>", "not well-formed"),
        (b"\xff\xfe\x00<", "is not in UTF-8"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><errors xmlns="urn:ietf:params:xml:ns:lost1"/>', "declares a document type"),
        (b"<a>" * 5000, "more than 32 elements deep"),
        (b"<a>" + b"<b/>" * 20_000 + b"</a>", "more than 20000 elements"),
        (b"x" * (MOST_BYTES + 1), f"sends more than {MOST_BYTES} bytes"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_used_is_an_error_that_says_why(server: LostServer, answer: bytes, said: str) -> None:
    told = refusal(server, lambda _: answer)
    assert said in told
    assert len(told) < 500
    assert told.isprintable()


@pytest.mark.parametrize(
    ("status", "said"), [(302, "answers with HTTP 302"), (404, "answers with HTTP 404"), (503, "answers with HTTP 503")]
)
def test_http_that_is_no_success_is_an_error_and_no_redirect_of_http_is_followed(
    server: LostServer, status: int, said: str
) -> None:
    told = refusal(server, lambda _: lambda http: send(http, b"", status=status, headers={"Location": server.url}))
    assert said in told
    assert len(server.asked) == 1


def test_a_compressed_answer_is_not_unpacked(server: LostServer) -> None:
    bomb = gzip.compress(b"x" * 100_000_000)
    told = refusal(server, lambda _: lambda http: send(http, bomb, headers={"Content-Encoding": "gzip"}))
    assert "compresses its answer" in told
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_an_answer_that_breaks_off_is_an_error(server: LostServer) -> None:
    def break_off(http: BaseHTTPRequestHandler) -> None:
        http.send_response(200)
        http.send_header("Content-Length", "1000")
        http.end_headers()
        http.wfile.write(b"<findServiceResponse")
        http.close_connection = True

    assert "cannot be asked" in refusal(server, lambda _: break_off)


@pytest.mark.parametrize("where", ["before the answer", "in the headers", "in the body"])
def test_a_server_that_takes_for_ever_is_given_up(
    server: LostServer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(lost, "ANSWERED_WITHIN_S", 0.4)

    def drip(http: BaseHTTPRequestHandler) -> None:
        if where != "before the answer":
            http.wfile.write(b"HTTP/1.1 200 OK\r\n" if where == "in the headers" else b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.over.wait(0.05):
            if where != "before the answer":
                http.wfile.write(b"x")  # never silent for long enough to be caught by a time-out of reading

    assert "did not answer within 0 s" in refusal(server, lambda _: drip)


def test_a_server_that_is_away_is_asked_a_few_times_only() -> None:
    with lost_server(lambda _: mapping("sip:a@b.example")) as gone:
        pass
    answers = ask([Question(gone.url, AUSTIN)] * 50)
    assert all(isinstance(answer, LostUnreachable) for answer in answers)
    assert sum("was asked no more" in str(answer) for answer in answers) >= 50 - lost.GIVEN_UP_AFTER - lost.AT_ONCE
    assert "cannot be asked" in str(answers[0])


def test_one_server_that_is_away_keeps_nobody_from_asking_another(server: LostServer) -> None:
    with lost_server(lambda _: b"") as gone:
        pass
    questions = [Question(url, AUSTIN) for url in (gone.url, server.url) for _ in range(10)]
    answers = ask(questions)
    assert [isinstance(answer, Found) for answer in answers] == [False] * 10 + [True] * 10


def test_a_server_that_refuses_is_asked_again_and_again(server: LostServer) -> None:
    server.answer = lambda _: errors("notFound", "")
    answers = ask([Question(server.url, AUSTIN)] * 20)
    assert all("notFound" in str(answer) for answer in answers)
    assert len(server.asked) == 20


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http://no-such-host.invalid/lost"])
def test_a_url_that_leads_nowhere_is_an_error(url: str) -> None:
    (answer,) = ask([Question(url, AUSTIN)])
    assert isinstance(answer, LostUnreachable)
    assert "cannot be asked" in str(answer)
