"""What `holdfast doctor` finds: one line each, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.errors import HoldfastError


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # calls go on, but somebody should look
    FAIL = "FAIL"  # some promise to a caller is not kept now, or will not be after the next fault


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` is empty where nothing need be done."""

    check: str
    level: Level
    message: str
    mend: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, mend: str) -> Finding:
    return Finding(check, Level.WARN, message, mend)


def fail(check: str, message: str, mend: str) -> Finding:
    return Finding(check, Level.FAIL, message, mend)


def fail_with(check: str, error: HoldfastError) -> Finding:
    """An error of ours carries its own mend."""
    return Finding(check, Level.FAIL, str(error), error.mend)
