"""The callback's decisions, every pair of state and signal, and the races between answer, cancel and time-out."""

import itertools

import pytest

from holdfast.calls.callback import (
    RESULTS,
    TRANSITIONS,
    Action,
    CallbackResult,
    Progress,
    Signal,
    State,
    Target,
    signal_of,
    step,
)
from holdfast.esl.frames import Event

BRIDGE = "b1d6e000-0000-4000-8000-000000000002"
OTHER = "b1d6e000-0000-4000-8000-000000000003"


def play(*signals: Signal, attempts: int = 3) -> tuple[Progress, list[Action]]:
    progress = Progress(attempts)
    actions = []
    for signal in signals:
        progress, action = step(progress, signal)
        actions += [action] if action else []
    return progress, actions


def event(name: str, **headers: str) -> Event:
    fields = {key if key.startswith("variable_") else key.replace("_", "-"): value for key, value in headers.items()}
    return Event((("Event-Name", name), *fields.items()))


def bridge_ended(disposition: str, *, uuid: str = BRIDGE, state: str = "answered") -> Event:
    return event(
        "CHANNEL_EXECUTE_COMPLETE", Application_UUID=uuid, Answer_State=state,
        variable_originate_disposition=disposition,
    )  # fmt: skip


def test_d4_an_answered_callback_rings_once() -> None:
    progress, actions = play(Signal.STARTED, Signal.ANSWERED, Signal.TALK_ENDED, Signal.HUNG_UP_AFTER_TALK)
    assert (progress.state, progress.attempt) == (State.OVER, 1)
    assert actions == [Action.RING, Action.HANG_UP, Action.REPORT_ANSWERED]


def test_an_unanswered_callback_rings_as_often_as_allowed_and_then_parts() -> None:
    progress, actions = play(Signal.STARTED, *[Signal.UNANSWERED] * 3, Signal.HUNG_UP)
    assert actions == [Action.RING, Action.RING_AGAIN, Action.RING_AGAIN, Action.PART, Action.REPORT_UNANSWERED]
    assert (progress.state, progress.attempt) == (State.OVER, 3)


def test_a_busy_phone_is_rung_again_after_a_pause() -> None:
    _, actions = play(Signal.STARTED, Signal.REFUSED, Signal.ANSWERED, Signal.HUNG_UP_AFTER_TALK)
    assert actions == [Action.RING, Action.RING_AGAIN_LATER, Action.REPORT_ANSWERED]


def test_one_attempt_allowed_means_no_second_one() -> None:
    for signal in (Signal.REFUSED, Signal.UNANSWERED):
        _, actions = play(Signal.STARTED, signal, attempts=1)
        assert actions == [Action.RING, Action.PART]


@pytest.mark.parametrize("before", [(), (Signal.UNANSWERED,), (Signal.REFUSED, Signal.UNANSWERED)])
def test_the_psaps_cancel_ends_everything_at_any_moment(before: tuple[Signal, ...]) -> None:
    progress, actions = play(Signal.STARTED, *before, Signal.HUNG_UP)
    assert (progress.state, actions[-1]) == (State.OVER, Action.REPORT_CANCELLED)


@pytest.mark.parametrize("late", list(Signal))
def test_nothing_happens_after_the_end(late: Signal) -> None:
    over, _ = play(Signal.STARTED, Signal.HUNG_UP)
    assert step(over, late) == (over, None)


@pytest.mark.parametrize(
    "stray", [Signal.STARTED, Signal.ANSWERED, Signal.UNANSWERED, Signal.REFUSED, Signal.EXHAUSTED]
)
def test_nothing_but_its_end_ends_a_conversation(stray: Signal) -> None:
    talking, _ = play(Signal.STARTED, Signal.ANSWERED)
    assert step(talking, stray) == (talking, None)
    last, _ = play(Signal.STARTED, Signal.ANSWERED, attempts=1)
    assert step(last, stray) == (last, None)


def test_an_end_that_comes_before_its_answer_still_counts_as_answered() -> None:
    _, actions = play(Signal.STARTED, Signal.TALK_ENDED, Signal.ANSWERED, Signal.HUNG_UP_AFTER_TALK)
    assert actions == [Action.RING, Action.HANG_UP, Action.REPORT_ANSWERED]


def test_a_hangup_tells_of_an_answer_whose_events_were_lost() -> None:
    _, actions = play(Signal.STARTED, Signal.HUNG_UP_AFTER_TALK)
    assert actions == [Action.RING, Action.REPORT_ANSWERED]
    _, actions = play(Signal.STARTED, Signal.ANSWERED, Signal.HUNG_UP)
    assert actions == [Action.RING, Action.REPORT_ANSWERED]


def test_repeated_signals_change_nothing() -> None:
    once = play(Signal.STARTED, Signal.ANSWERED)
    assert play(Signal.STARTED, Signal.STARTED, Signal.ANSWERED, Signal.ANSWERED) == once


def test_every_state_and_signal_has_its_place() -> None:
    for state, signal in itertools.product(State, Signal):
        after, action = step(Progress(3, state, 1), signal)
        assert (after.state, action) == TRANSITIONS.get((state, signal), (state, None))
        assert after.attempt == 1 + (action in (Action.RING, Action.RING_AGAIN, Action.RING_AGAIN_LATER))
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.OVER}
    assert {signal for _, signal in TRANSITIONS} == set(Signal)
    assert {action for _, action in TRANSITIONS.values() if action} == set(Action)


def test_a_call_is_counted_exactly_when_it_is_over() -> None:
    for (state, _), (after, action) in TRANSITIONS.items():
        assert (after is State.OVER) == (action in RESULTS), state
    assert set(RESULTS.values()) == set(CallbackResult)


@pytest.mark.parametrize(
    ("told", "signal"),
    [
        (event("CHANNEL_BRIDGE"), Signal.ANSWERED),
        (event("CHANNEL_HANGUP_COMPLETE"), Signal.HUNG_UP),
        (event("CHANNEL_HANGUP_COMPLETE", variable_originate_disposition="USER_BUSY"), Signal.HUNG_UP),
        (event("CHANNEL_HANGUP_COMPLETE", variable_originate_disposition="SUCCESS"), Signal.HUNG_UP_AFTER_TALK),
        (bridge_ended("SUCCESS", state="hangup"), Signal.TALK_ENDED),
        (bridge_ended("SUCCESS"), Signal.TALK_ENDED),
        (bridge_ended("NO_ANSWER", state="ringing"), Signal.UNANSWERED),
        (bridge_ended("ALLOTTED_TIMEOUT"), Signal.UNANSWERED),
        (bridge_ended("USER_BUSY"), Signal.REFUSED),
        (bridge_ended("CALL_REJECTED"), Signal.REFUSED),
        (bridge_ended(""), Signal.REFUSED),
        (bridge_ended("ORIGINATOR_CANCEL", state="hangup"), None),
        (bridge_ended("USER_BUSY", uuid=OTHER), None),
        (event("CHANNEL_EXECUTE_COMPLETE", Application="bridge"), None),
        (event("CHANNEL_ANSWER"), None),
        (event("CHANNEL_HANGUP"), None),
        (Event(()), None),
    ],
)
def test_what_an_event_means(told: Event, signal: Signal | None) -> None:
    assert signal_of(told, BRIDGE) is signal


def test_d4_the_phones_are_rung_at_the_edge_as_a_psap_callback() -> None:
    assert Target("+12025550123", "[::1]", 5060, 30).dial_string() == (
        "{sip_h_X-Holdfast-Leg=deliver,sip_h_Priority=psap-callback,leg_timeout=30,ignore_early_media=true}"
        "sofia/holdfast/sip:+12025550123@[::1]:5060"
    )
