"""No callback may fail silently: whatever goes wrong in Python, the native fallback still relays the call."""

import functools
import traceback
from collections.abc import Callable
from typing import Any

from kemi import ksr
from kemi.context import alarm


def guarded(instead: Callable[[], None]) -> Callable[[Callable[..., None]], Callable[..., int]]:
    """Make a KSR callback of a method; on any exception `instead` is done, and the exception is alarmed."""

    def decorate(method: Callable[..., None]) -> Callable[..., int]:
        @functools.wraps(method)
        def callback(*arguments: Any) -> int:
            try:
                method(*arguments)
            except Exception as error:  # noqa: BLE001  the edge of a callback: silence here is a lost call
                _report(method.__name__, error)
                try:
                    instead()
                except Exception as again:  # noqa: BLE001  nothing is left to try
                    _report(f"{method.__name__}, what was done instead", again)
            return 1

        return callback

    return decorate


def _report(where: str, error: Exception) -> None:
    try:
        alarm("routing_exception", f"{where}: {error!r} {' '.join(traceback.format_tb(error.__traceback__)[-2:])}")
    except Exception:  # noqa: BLE001  the alarm is best effort; the call is not
        ksr.error(f"ALARM routing_exception: {where}")


def nothing() -> None:
    """For callbacks after which Kamailio goes on by itself."""
