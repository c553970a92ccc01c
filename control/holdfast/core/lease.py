"""When a lease of a callback number is live, resting or over: pure rules over two clocks.

The window ends at max(first dial, end of the last call or callback) + window, and never while a call is in progress
(N2). A clock that jumps cannot end it early: within one boot the boot-time clock must have seen the time pass too.
"""

from dataclasses import dataclass
from enum import StrEnum

MIN_WINDOW_S = 3600
#: A call whose end nobody saw (Kamailio died with it) is held to be in progress for this long after its start.
MAX_CALL_S = 24 * 3600


class LeaseState(StrEnum):
    LIVE = "live"  # a callback reaches the holder
    RESTING = "resting"  # the window is over; nobody else may have the number yet
    OVER = "over"  # the number is idle


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of both clocks: UTC seconds, and CLOCK_BOOTTIME seconds of the boot `boot_id`."""

    wall_s: float
    boot_id: str
    boottime_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A callback number lent to a caller. `calls` is the number of calls in progress on it."""

    id: str
    number: str
    pool_id: int
    shared: bool
    caller_key: str
    tenant_id: int | None
    subscriber_id: int | None
    aor: str | None
    display_name: str
    contact_uri: str
    source_uri: str
    window_s: int
    rest_s: int
    first_dial_at: float
    last_end_at: float | None
    marked_at: float
    boot_id: str
    boottime_s: float
    calls: int = 0

    @property
    def window_ends_at(self) -> float:
        """UTC seconds; meaningless while a call is in progress."""
        return self.marked_at + self.window_s

    @property
    def rest_ends_at(self) -> float:
        return self.window_ends_at + self.rest_s


def age_s(lease: Lease, now: Moment) -> float:
    """How long ago the window was last restarted, in seconds: the least that either clock vouches for."""
    wall = now.wall_s - lease.marked_at
    if lease.boot_id == now.boot_id:
        return min(wall, now.boottime_s - lease.boottime_s)
    return wall


def state(lease: Lease, now: Moment) -> LeaseState:
    """The one place that says whether a number may be used again."""
    age = age_s(lease, now)
    if lease.calls or age < lease.window_s:
        return LeaseState.LIVE
    return LeaseState.RESTING if age < lease.window_s + lease.rest_s else LeaseState.OVER
