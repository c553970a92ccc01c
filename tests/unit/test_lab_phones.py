"""Two real phones call each other: events, recordings and traces say what happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import LabError, Timeout
from lab.phones import Account, Endpoint, Phone
from lab.ports import Ports
from lab.recordings import clip_score


@pytest.fixture
def alice(tmp_path: Path, ports: Ports) -> Iterator[Phone]:
    phone = Phone("alice", tmp_path / "alice", Endpoint.at("127.0.0.11", ports), Account("alice", "127.0.0.11", ""))
    yield phone.start()
    phone.stop()


@pytest.fixture
def bob(tmp_path: Path, ports: Ports) -> Iterator[Phone]:
    account = Account("bob", "127.0.0.12", "", also=("911",))
    phone = Phone("bob", tmp_path / "bob", Endpoint.at("127.0.0.12", ports), account)
    yield phone.start()
    phone.stop()


def test_both_hear_each_other_and_it_is_recorded(alice: Phone, bob: Phone) -> None:
    alice.dial(f"sip:911@{bob.contact}")
    bob.ringing()
    bob.answer()
    alice.established()
    bob.established()
    assert alice.hears(bob.clip) > 0.95
    assert bob.hears(alice.clip) > 0.95
    bob.hangup()
    bob.closed()
    alice.closed()
    [recording] = alice.recordings()
    assert clip_score(recording, bob.clip) > 0.95
    assert clip_score(recording, alice.clip) < 0.4
    [invite] = bob.received("INVITE")
    assert invite.address("from").user == "alice"
    assert [traced.message.status for traced in alice.trace() if not traced.sent][:2] == [180, 200]


def test_a_refused_call_says_why_and_a_cancelled_one_ends(alice: Phone, bob: Phone) -> None:
    alice.dial(f"sip:bob@{bob.contact}")
    bob.ringing()
    bob.hangup()
    assert alice.closed().detail.startswith("486")
    bob.closed()
    alice.dial(f"sip:bob@{bob.contact}")
    bob.ringing()
    alice.hangup()
    alice.closed()
    bob.closed()
    with pytest.raises(Timeout, match=r"no CALL_INCOMING within 0\.05 s"):
        bob.ringing(within_s=0.05)


def test_a_call_that_fails_is_not_established(alice: Phone, bob: Phone) -> None:
    alice.dial(f"sip:nobody@{bob.contact}")
    with pytest.raises(LabError, match="404"):
        alice.established()


def test_a_phone_that_was_killed_says_so(alice: Phone) -> None:
    alice.kill()
    assert not alice.running
    with pytest.raises(LabError, match="not running"):
        alice.dial("sip:x@127.0.0.1")


def test_a_phone_that_is_started_again_has_no_past(alice: Phone, bob: Phone) -> None:
    """What it said before is no answer to whether it has registered now."""
    alice.dial(f"sip:nobody@{bob.contact}")
    alice.closed()
    assert [answer.status for answer in alice.answers("INVITE")] == [404]
    alice.kill()
    alice.start()
    assert alice.trace() == []
    assert alice.events() == []
