"""Waiting for a condition, with a deadline. Nothing in the lab waits in any other way."""

import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import Timeout

_T = TypeVar("_T")


def wait_until(
    what: str,
    condition: Callable[[], _T | None],
    *,
    within_s: float,
    every_s: float = 0.03,
    why: Callable[[], str] = str,
) -> _T:
    """Ask `condition` until it returns something true, and return that.

    `what` completes "waited N s for …"; `why` may add what was seen instead. Raises Timeout.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            seen = why()
            raise Timeout(f"waited {within_s:g} s for {what}" + (f"; {seen}" if seen else ""))
        time.sleep(every_s)
