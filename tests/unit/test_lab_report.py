"""Ladders and the report: legs of one call in one diagram, and nothing that came over the network becomes markup."""

import html.parser

import pytest

from lab import audio
from lab.ladder import Ladder, Parts, ladders, printable
from lab.report import Check, Recording, Report, Scene, render
from lab.trace import Captured

PHONE, EDGE, MEDIA, PSAP = "127.0.0.11:5070", "127.0.0.1:5060", "127.0.0.1:5080", "127.0.0.20:5062"
PARTS = Parts({"127.0.0.11": "phone", EDGE: "Kamailio", MEDIA: "media server", PSAP: "PSAP"})
NUMBER = "+12025550142"


def sip(start: str, call_id: str, cseq: str = "1 INVITE", *headers: str) -> bytes:
    lines = [start, f"Call-ID: {call_id}", f"CSeq: {cseq}", *headers, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def captured(at: float, source: str, target: str, raw: bytes) -> Captured:
    return Captured(at, source, target, "UDP", raw)


def callback() -> list[Captured]:
    """A PSAP's callback through a B2BUA: two Call-IDs; between them an unrelated call and a registration."""
    told = f"X-Holdfast-Callback-Number: {NUMBER}"
    return [
        captured(10.0, PSAP, EDGE, sip(f"INVITE sip:{NUMBER}@x SIP/2.0", "a")),
        captured(10.001, EDGE, MEDIA, sip("INVITE sip:callback@m SIP/2.0", "a", "1 INVITE", told)),
        captured(10.002, "127.0.0.99:5060", EDGE, sip("INVITE sip:bob@x SIP/2.0", "other")),
        captured(10.003, "127.0.0.11:9999", EDGE, sip("REGISTER sip:x SIP/2.0", "r", "1 REGISTER")),
        captured(10.004, MEDIA, EDGE, sip(f"INVITE sip:{NUMBER}@x SIP/2.0", "b")),
        captured(10.005, EDGE, PHONE, sip("INVITE sip:alice@p SIP/2.0", "b")),
        captured(10.006, EDGE, PHONE, sip("INVITE sip:alice@p SIP/2.0", "b")),  # mirrored twice, sent once
        captured(10.505, EDGE, PHONE, sip("INVITE sip:alice@p SIP/2.0", "b")),
        captured(10.6, PHONE, EDGE, sip("SIP/2.0 486 Busy Here", "b")),
    ]


def test_both_legs_of_a_back_to_back_call_stand_in_one_ladder() -> None:
    first, second = ladders(callback(), PARTS)
    assert first.call_ids == ("a", "b")
    assert first.columns == ("phone", "Kamailio", "media server", "PSAP")
    assert [arrow.leg for arrow in first.arrows] == [0, 0, 1, 1, 1, 1]
    assert second.call_ids == ("other",)
    assert second.columns == ("Kamailio", "127.0.0.99:5060")


def test_a_leg_to_another_number_is_another_call() -> None:
    messages = callback()
    messages[4] = captured(10.004, MEDIA, EDGE, sip("INVITE sip:+12025550199@x SIP/2.0", "b"))
    assert [ladder.call_ids for ladder in ladders(messages, PARTS)] == [("a",), ("other",), ("b",)]


def test_times_start_at_the_first_message_and_retransmissions_and_failures_are_marked() -> None:
    arrows = ladders(callback(), PARTS)[0].arrows
    assert [round(arrow.at_ms) for arrow in arrows] == [0, 1, 4, 5, 505, 600]
    assert [arrow.retransmission for arrow in arrows] == [False, False, False, False, True, False]
    assert [arrow.failed for arrow in arrows] == [False] * 5 + [True]
    assert arrows[0].label == f"INVITE {NUMBER}"
    assert arrows[-1].label == "486 Busy Here"


def test_no_request_stands_after_its_own_answer() -> None:
    answer = captured(1.010, PHONE, EDGE, sip("SIP/2.0 180 Ringing", "a"))
    request = captured(1.015, EDGE, PHONE, sip("INVITE sip:alice@p SIP/2.0", "a"))  # mirrored late
    [ladder] = ladders([captured(1.0, PSAP, EDGE, sip("INVITE sip:x@y SIP/2.0", "a")), answer, request], PARTS)
    assert [(round(arrow.at_ms), arrow.label) for arrow in ladder.arrows] == [
        (0, "INVITE x"),
        (10, "INVITE alice"),
        (10, "180 Ringing"),
    ]


def test_bytes_and_controls_become_visible() -> None:
    assert printable("J\udce9r\x1b[31m\x00\n") == "J\\xe9r\\x1b[31m\\x00\n"


class Tags(html.parser.HTMLParser):
    """Collects start tags and attributes; `scripts` counts <script> elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture
def hostile() -> Report:
    attack = "</title></pre><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    raw = sip("INVITE sip:911@x SIP/2.0", attack, "1 INVITE", f"Subject: {attack}\udce9")
    drawn: list[Ladder] = ladders([captured(1.0, PHONE, EDGE, raw)], PARTS)
    check = Check("A2", attack, attack, attack, ok=False)
    lease = {"number": NUMBER, "holder": attack, "ended": None}
    scene = Scene(attack, attack, [check], [Recording(attack, audio.melody("alice"))], drawn, [lease])
    return Report(attack, {"media server": attack}, [scene])


def test_nothing_from_outside_becomes_markup(hostile: Report) -> None:
    page = render(hostile)
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 1
    assert "img" not in tags.tags
    assert tags.handlers == []
    assert "\\xe9" in page


def test_the_page_needs_nothing_from_elsewhere(hostile: Report) -> None:
    tags = Tags()
    tags.feed(render(hostile))
    assert all(source.startswith(("data:audio/wav;base64,", "#")) for source in tags.sources)
    assert sum(source.startswith("data:") for source in tags.sources) == 1


def test_a_report_is_ok_only_if_something_was_checked_and_everything_held() -> None:
    good, bad = Check("A1", "x", "y", "y", ok=True), Check("A1", "x", "y", "z", ok=False)
    assert Report("t", {}, [Scene("s", checks=[good])]).ok
    assert not Report("t", {}, [Scene("s", checks=[good, bad])]).ok
    assert not Report("t", {}, []).ok
    assert "1 of 2 checks failed" in render(Report("t", {}, [Scene("s", checks=[good, bad])]))
