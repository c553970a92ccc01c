"""A trunk's health: the table of its states, what an answer says, and when a result is too old."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.health import (
    DOWN_AFTER,
    REFUSES_CALLS,
    STALE_AFTER_S,
    TRANSITIONS,
    UP_AFTER,
    Evidence,
    Finding,
    Health,
    State,
    counts_as_down,
    finding_of,
)
from holdfast.core.options import MAX_HEAD_BYTES, Question, read_head, uri_of
from holdfast.settings import MOST_OPTIONS_EVERY_S

NOW = 1_700_000_000.0
FINDINGS = {"a": Finding.ANSWERED, "f": Finding.FAILED}


def after(findings: str, health: Health | None = None) -> Health:
    """The health after these findings: `a` answered, `f` failed."""
    health = health or Health()
    for finding in findings:
        health = health.after(FINDINGS[finding])
    return health


# The states


def test_the_table_has_every_state_with_every_evidence() -> None:
    assert set(TRANSITIONS) == set(itertools.product(State, Evidence))


@pytest.mark.parametrize(
    ("findings", "state"),
    [
        ("", State.UNKNOWN),
        ("a", State.UP),
        ("f", State.UNKNOWN),
        ("ff", State.UNKNOWN),
        ("fff", State.DOWN),
        ("ffa", State.UP),
        ("ff" + "a" + "ff", State.UP),
        ("a" + "ff", State.UP),
        ("a" + "fff", State.DOWN),
        ("a" + "ffaffaff", State.UP),
        ("fff" + "a", State.DOWN),
        ("fff" + "aa", State.UP),
        ("fff" + "afa", State.DOWN),
        ("fff" + "afafafafafaf", State.DOWN),
        ("fff" + "aa" + "ff", State.UP),
        ("fff" + "aa" + "fff", State.DOWN),
    ],
)
def test_it_takes_several_in_a_row_to_change_a_state(findings: str, state: State) -> None:
    assert after(findings).state is state


@pytest.mark.parametrize("findings", ["", "a", "ff", "fff", "fffa"])
def test_what_is_forgotten_begins_anew(findings: str) -> None:
    assert after(findings).forgotten() == Health()


@given(findings=st.text("af", max_size=60))
def test_a_state_changes_only_on_as_many_in_a_row_as_it_takes(findings: str) -> None:
    health = Health()
    for count in range(1, len(findings) + 1):
        health, before = after(findings[count - 1], health), health.state
        latest = findings[:count]
        if before is State.DOWN and health.state is State.UP:
            assert latest.endswith("a" * UP_AFTER)
        elif before is not State.DOWN and health.state is State.DOWN:
            assert latest.endswith("f" * DOWN_AFTER)
        elif before is not health.state:
            assert (before, health.state) == (State.UNKNOWN, State.UP)
    if findings.endswith("f" * DOWN_AFTER):
        assert health.state is State.DOWN
    if findings.endswith("a" * UP_AFTER):
        assert health.state is State.UP


# Answers


def test_every_final_answer_but_five_proves_that_a_trunk_takes_calls() -> None:
    failed = {status for status in range(200, 700) if finding_of(status) is Finding.FAILED}
    assert failed == REFUSES_CALLS == {408, 500, 502, 503, 504}
    for lives in (200, 302, 401, 403, 404, 405, 480, 481, 483, 486, 488, 501, 505, 513, 603):
        assert finding_of(lives) is Finding.ANSWERED


# How old a result may be


@pytest.mark.parametrize(
    ("state", "age_s", "down"),
    [
        ("down", 0.0, True),
        ("down", STALE_AFTER_S, True),
        ("down", STALE_AFTER_S + 0.1, False),
        ("down", 90 * 86_400.0, False),
        ("down", -STALE_AFTER_S - 0.1, False),  # the clock was set back since
        ("up", 0.0, False),
        ("up", STALE_AFTER_S + 1, False),
    ],
)
def test_only_a_fresh_failure_counts(state: str, age_s: float, down: bool) -> None:
    assert counts_as_down(state, NOW - age_s, NOW) is down


def test_a_trunk_without_a_result_counts_as_healthy() -> None:
    assert not counts_as_down(None, None, NOW)


def test_two_rounds_may_be_missed_before_a_result_is_too_old() -> None:
    assert MOST_OPTIONS_EVERY_S * 3 <= STALE_AFTER_S


# The question

QUESTION = Question("sip:sbc.example.net:5060", "udp", "192.0.2.1:40000", "0123456789abcdef0123456789abcdef")


def answer(**changed: str | None) -> bytes:
    """The peer's answer; `changed` replaces a line by its name, None leaves it out."""
    lines: dict[str, str | None] = {
        "status": "SIP/2.0 200 OK",
        "via": f"Via: SIP/2.0/UDP {QUESTION.sent_by};branch={QUESTION.branch};rport=40000;received=192.0.2.1",
        "from": f"From: <sip:health@192.0.2.1>;tag={QUESTION.secret}",
        "to": f"To: <{QUESTION.uri}>;tag=peer",
        "call_id": f"Call-ID: {QUESTION.secret}",
        "cseq": "CSeq: 1 OPTIONS",
        "length": "Content-Length: 0",
        **changed,
    }
    return "\r\n".join([*(line for line in lines.values() if line is not None), "", ""]).encode("latin-1")


def status_of(message: bytes) -> int | None:
    read = read_head(message, QUESTION)
    return read.status if read else None


def test_the_question_names_nobody_and_goes_no_further_than_the_element_behind_the_peer() -> None:
    text = QUESTION.encode().decode("ascii")
    assert text.startswith("OPTIONS sip:sbc.example.net:5060 SIP/2.0\r\n")
    assert text.endswith("Content-Length: 0\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in text.split("\r\n")[1:-2])
    assert headers["From"] == f"<sip:health@192.0.2.1>;tag={QUESTION.secret}"
    assert headers["To"] == "<sip:sbc.example.net:5060>"
    assert headers["Via"] == f"SIP/2.0/UDP 192.0.2.1:40000;branch=z9hG4bK{QUESTION.secret};rport"
    assert headers["Max-Forwards"] == "1"
    assert headers["User-Agent"] == "Holdfast"
    assert set(headers) == {"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Accept", "User-Agent",
                            "Content-Length"}  # fmt: skip


@pytest.mark.parametrize(
    ("host", "uri"),
    [
        ("sbc.example.net", "sip:sbc.example.net:5060"),
        ("192.0.2.7", "sip:192.0.2.7:5060"),
        ("2001:db8::7", "sip:[2001:db8::7]:5060"),
        ("a b", None),
        ("a\r\nVia: x", None),
        ("a>;x", None),
        ("user@host", "sip:user@host:5060"),  # PostgreSQL refuses it; it could do no harm
        ("", None),
    ],
)
def test_only_what_may_stand_in_a_uri_is_asked(host: str, uri: str | None) -> None:
    assert uri_of(host, 5060) == uri


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"via": f"v:SIP / 2.0 / UDP 192.0.2.1:40000 ; rport ; branch={QUESTION.branch}"},
        {"via": f"VIA : SIP/2.0/UDP\r\n 192.0.2.1:40000;branch={QUESTION.branch}"},
        {"from": f'f: "a \xff" <sip:health@192.0.2.1>;x;tag={QUESTION.secret}'},
        {"from": f"From: sip:health@192.0.2.1;tag={QUESTION.secret}"},
        {"call_id": f"i:\t{QUESTION.secret} "},
        {"cseq": "CSeq: 0001\tOPTIONS"},
        {"length": None},
        {"length": "l: 12"},
    ],
)
def test_an_answer_is_known_however_it_is_written(changed: dict[str, str | None]) -> None:
    assert status_of(answer(**changed)) == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"via": None},
        {"via": "Via: SIP/2.0/UDP 192.0.2.1:40000"},
        {"via": "Via: SIP/2.0/UDP 192.0.2.1:40000;branch=z9hG4bKother"},
        {"via": f"Via: SIP/2.0/UDP 192.0.2.1:40000;branch={QUESTION.branch}x"},
        {"via": f"Via: SIP/2.0/UDP 192.0.2.1:40000;branch=z9hG4bKother;branch={QUESTION.branch}"},
        {"via": f"Via: SIP/2.0/UDP a;branch={QUESTION.branch}, SIP/2.0/UDP b;branch={QUESTION.branch}"},
        {"via": f"Via: SIP/2.0/UDP a;branch={QUESTION.branch}\r\nVia: SIP/2.0/UDP b"},
        {"from": "From: <sip:health@192.0.2.1>"},
        {"from": "From: <sip:health@192.0.2.1>;tag=other"},
        {"from": f"From: <sip:health@192.0.2.1;tag={QUESTION.secret}>"},
        {"call_id": None},
        {"call_id": "Call-ID: other"},
        {"call_id": f"Call-ID: {QUESTION.secret}@host"},
        {"call_id": f"Call-ID: {QUESTION.secret}\r\ni: {QUESTION.secret}"},
        {"cseq": "CSeq: 2 OPTIONS"},
        {"cseq": "CSeq: 1 INVITE"},
        {"cseq": "CSeq: 1"},
        {"to": "no colon"},
        {"to": "To: <sip:a>\rVia: x"},
        {"to": "To: <sip:a>\nVia: x"},
        {"to": "To: <sip:a>\0"},
        {"to": "T o: <sip:a>"},
        {"length": "Content-Length: -1"},
        {"length": "Content-Length: 0\r\nl: 0"},
        {"length": "Content-Length: 99999999"},
        {"status": "SIP/2.0 99 Odd"},
        {"status": "SIP/2.0 700 Odd"},
        {"status": "SIP/2.0 2000 Odd"},
        {"status": "SIP/3.0 200 OK"},
        {"status": "HTTP/1.1 200 OK"},
        {"status": "OPTIONS sip:192.0.2.1 SIP/2.0"},
        {"status": ""},
    ],
)
def test_what_is_not_exactly_an_answer_to_the_question_is_none(changed: dict[str, str]) -> None:
    assert status_of(answer(**changed)) is None


def test_a_message_without_end_or_far_too_long_is_none() -> None:
    assert status_of(answer()[:-2]) is None
    assert status_of(answer(to="To: " + "x" * MAX_HEAD_BYTES)) is None
    assert status_of(answer(to="To: " + "x" * (MAX_HEAD_BYTES // 2))) == 200


def test_the_body_is_counted() -> None:
    read = read_head(answer(length="l : 12"), QUESTION)
    assert read is not None
    assert read.body_bytes == 12


@given(garbage=st.binary(max_size=400), at=st.integers(0, 400))
def test_no_bytes_are_too_odd_to_be_read(garbage: bytes, at: int) -> None:
    read_head(garbage + b"\r\n\r\n", QUESTION)
    whole = answer()
    at = min(at, len(whole))
    read_head(whole[:at] + garbage + whole[at:], QUESTION)
