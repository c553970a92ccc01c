"""The lease rules: windows, rests and the clocks they are measured by."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.lease import MIN_WINDOW_S, Lease, LeaseState, Moment, age_s, state

WALL_S = 1_700_000_000.0
BOOTTIME_S = 5_000.0
REST_S = 600

LEASE = Lease(
    id="1", number="+12025550199", pool_id=1, shared=False, caller_key="subscriber:1", tenant_id=1, subscriber_id=1,
    aor="alice@example.org", display_name="Alice", contact_uri="sip:alice@10.0.0.5",
    source_uri="sip:10.0.0.5:5060;transport=udp", window_s=MIN_WINDOW_S, rest_s=REST_S, first_dial_at=WALL_S,
    last_end_at=None, marked_at=WALL_S, boot_id="boot-1", boottime_s=BOOTTIME_S,
)  # fmt: skip

ages = st.floats(min_value=0, max_value=10 * MIN_WINDOW_S)
jumps = st.floats(min_value=-1e9, max_value=1e9)


def later(passed_s: float, *, jumped_s: float = 0.0, boot_id: str = "boot-1") -> Moment:
    """The clocks after `passed_s` true seconds, the wall clock having been set by `jumped_s`."""
    boottime_s = BOOTTIME_S + passed_s if boot_id == LEASE.boot_id else 12.0
    return Moment(WALL_S + passed_s + jumped_s, boot_id, boottime_s)


@pytest.mark.parametrize(
    ("passed_s", "expected"),
    [
        (0.0, LeaseState.LIVE),
        (MIN_WINDOW_S - 0.001, LeaseState.LIVE),
        (float(MIN_WINDOW_S), LeaseState.RESTING),
        (MIN_WINDOW_S + REST_S - 0.001, LeaseState.RESTING),
        (float(MIN_WINDOW_S + REST_S), LeaseState.OVER),
        (7 * 86400.0, LeaseState.OVER),
    ],
)
def test_n2_the_window_and_the_rest_end_exactly_when_they_are_over(passed_s: float, expected: LeaseState) -> None:
    assert state(LEASE, later(passed_s)) is expected


def test_a_number_without_a_rest_is_idle_when_its_window_ends() -> None:
    lease = dataclasses.replace(LEASE, rest_s=0)
    assert state(lease, later(MIN_WINDOW_S - 0.001)) is LeaseState.LIVE
    assert state(lease, later(MIN_WINDOW_S)) is LeaseState.OVER


@given(passed_s=ages, jumped_s=jumps)
def test_n2_no_clock_jump_within_a_boot_ends_the_window_early(passed_s: float, jumped_s: float) -> None:
    moment = later(passed_s, jumped_s=jumped_s)
    assert age_s(LEASE, moment) <= passed_s + 0.001
    if passed_s < MIN_WINDOW_S - 0.001:
        assert state(LEASE, moment) is LeaseState.LIVE
    elif passed_s < MIN_WINDOW_S + REST_S - 0.001:
        assert state(LEASE, moment) is not LeaseState.OVER


@given(passed_s=ages, jumped_s=jumps, calls=st.integers(1, 9))
def test_n2_the_window_never_ends_during_a_call(passed_s: float, jumped_s: float, calls: int) -> None:
    lease = dataclasses.replace(LEASE, calls=calls)
    assert state(lease, later(passed_s, jumped_s=jumped_s)) is LeaseState.LIVE
    assert state(lease, later(passed_s, jumped_s=jumped_s, boot_id="boot-2")) is LeaseState.LIVE


@given(passed_s=ages)
def test_after_a_reboot_the_wall_clock_decides(passed_s: float) -> None:
    assert age_s(LEASE, later(passed_s, boot_id="boot-2")) == pytest.approx(passed_s, abs=1e-3)


def test_a_wall_clock_that_was_set_back_holds_the_number_rather_than_releases_it() -> None:
    assert state(LEASE, later(MIN_WINDOW_S + REST_S, jumped_s=-86400.0)) is LeaseState.LIVE
    assert state(LEASE, later(MIN_WINDOW_S, jumped_s=-86400.0, boot_id="boot-2")) is LeaseState.LIVE


def test_the_ends_are_told_in_utc_seconds() -> None:
    assert LEASE.window_ends_at == WALL_S + MIN_WINDOW_S
    assert LEASE.rest_ends_at == WALL_S + MIN_WINDOW_S + REST_S


def test_a3_the_window_is_an_hour_at_least() -> None:
    assert MIN_WINDOW_S == 60 * 60
