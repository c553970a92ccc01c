"""SIPp endpoints: scenarios are filled in exactly, and what passed is read back byte by byte."""

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.ports import Ports
from lab.sipp import SCENARIOS, Place, Sipp, read_message_log

CALLER, CALLED = "127.0.0.13", "127.0.0.20"
VALUES = {"number": "911", "domain": "lab.invalid", "from": "<sip:alice@lab.invalid>"}


def test_a_call_and_its_answer_are_read_from_both_sides(tmp_path: Path, ports: Ports) -> None:
    called = Sipp("uas_answers", Place(CALLED, ports.one(CALLED)), tmp_path / "called").start()
    place = Place(CALLER, ports.one(CALLER), f"{CALLED}:{called.place.port}")
    headers = "Privacy: id\nX-Latin1: J\udce9r\udcf4me"
    caller = Sipp("call", place, tmp_path / "caller", {**VALUES, "headers": headers, "duration_ms": "10"})
    outcome = caller.run(within_s=10)
    assert (outcome.ok, outcome.statuses(), outcome.complaints) == (True, [180, 200], "")
    [invite] = called.wait(within_s=10).received("INVITE")
    assert invite.one("privacy") == "id"
    assert b"J\xe9r\xf4me" in invite
    assert b"\n\r\n" not in invite.raw.partition(b"\r\n\r\n")[0]


def test_a_call_that_goes_otherwise_is_told(tmp_path: Path, ports: Ports) -> None:
    place = Place(CALLED, ports.one(CALLED), transport="tcp")
    called = Sipp("uas_refuses", place, tmp_path / "called", {"code": "480"}).start()
    place = Place(CALLER, ports.one(CALLER), f"{CALLED}:{called.place.port}", transport="tcp")
    outcome = Sipp("call", place, tmp_path / "caller", VALUES).run(within_s=10)
    assert not outcome.ok
    assert outcome.statuses() == [480]
    assert "unexpected message" in outcome.complaints
    called.stop()


def test_a_value_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="needs a value for 'domain'"):
        Sipp("call", Place(CALLER, 5060), tmp_path, {"number": "911"}).xml()


def test_a_line_for_an_empty_value_is_left_out_and_one_for_many_headers_is_not(tmp_path: Path) -> None:
    bare = Sipp("call", Place(CALLER, 5060), tmp_path, VALUES).xml()
    assert "Max-Forwards: 70\n      Content-Type" in bare
    full = Sipp("call", Place(CALLER, 5060), tmp_path, {**VALUES, "headers": "A: 1\nB: 2"}).xml()
    assert "Max-Forwards: 70\n      A: 1\nB: 2\n      Content-Type" in full


@pytest.mark.parametrize("scenario", sorted(path.stem for path in SCENARIOS.glob("*.xml")))
def test_every_scenario_can_be_filled_in(scenario: str, tmp_path: Path) -> None:
    values = {**VALUES, "user": "alice", "password": "secret", "body": "v=0", "content_type": "application/sdp"}
    assert "{{" not in Sipp(scenario, Place(CALLER, 5060), tmp_path, values).xml()


def test_an_entry_of_the_log_that_quotes_another_is_read_by_its_length() -> None:
    inner = b"-" * 47 + b" 2026-11-22 07:09:11.000000\nUDP message sent (1 bytes):\n\nX"
    log = b"-" * 47 + b" 2026-11-22 07:09:11.894538\nUDP message received [%d] bytes :\n\n" % len(inner) + inner + b"\n"
    [entry] = read_message_log(log)
    assert (entry.sent, entry.transport, entry.raw) == (False, "UDP", inner)
    assert entry.message is None
