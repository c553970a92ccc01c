"""An edge agent as `holdfast agent` runs it. AGENT_DIES_AT makes it kill itself, as kill -9 would, at one stage.

AGENT_DIES_AT is `<class>.<method>:<before|after>:<n>`: in the n-th call, before its work or right after it. `Commit`
stands for every transaction of replica and outbox. AGENT_STORE_PAGES is as much as its edge store may grow to.
"""

import functools
import importlib
import inspect
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast import settings
from holdfast.edge import agent, keeper, store

MODULES = {
    "Replica": "holdfast.edge.replica",
    "Outbox": "holdfast.edge.outbox",
    "Uplink": "holdfast.edge.uplink",
    "EdgeStore": "holdfast.edge.store",
}


def die_at(stage: str) -> None:
    """Arrange for the process's end."""
    where, when, count = stage.split(":")
    if where == "Commit":
        _die_in_commits(when, int(count))
        return
    owner, method = where.split(".")
    found = getattr(importlib.import_module(MODULES[owner]), owner)
    setattr(found, method, _dying(getattr(found, method), when, int(count)))


def _dying(method: Callable[..., Any], when: str, count: int) -> Callable[..., Any]:
    calls = iter(range(1, count + 1))

    @functools.wraps(method)
    def sync(*arguments: Any, **named: Any) -> Any:
        last = next(calls, None) == count
        if last and when == "before":
            _die()
        result = method(*arguments, **named)
        if last:
            _die()
        return result

    @functools.wraps(method)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        last = next(calls, None) == count
        if last and when == "before":
            _die()
        result = await method(*arguments, **named)
        if last:
            _die()
        return result

    return awaited if inspect.iscoroutinefunction(method) else sync


def _die_in_commits(when: str, count: int) -> None:
    """Right before or after the n-th transaction of replica and outbox ends."""
    for name in ("holdfast.edge.replica", "holdfast.edge.outbox"):
        module = importlib.import_module(name)
        whole = module.transaction
        calls = iter(range(1, count + 1))

        @contextmanager
        def dying(connection: Any, whole: Any = whole, calls: Iterator[int] = calls) -> Iterator[None]:
            last = next(calls, None) == count
            with whole(connection):
                yield
                if last and when == "before":
                    _die()
            if last:
                _die()

        module.transaction = dying  # type: ignore[attr-defined]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def limit_store(pages: int) -> None:
    """Let the store grow to so many pages and no more, as on a disk that is full."""

    def limited(path: Path) -> sqlite3.Connection:
        connection = store.connect(path)
        connection.execute(f"pragma max_page_count = {pages}")
        return connection

    vars(keeper)["connect"] = limited


if __name__ == "__main__":
    if "AGENT_STORE_PAGES" in os.environ:
        limit_store(int(os.environ["AGENT_STORE_PAGES"]))
    if "AGENT_DIES_AT" in os.environ:
        die_at(os.environ["AGENT_DIES_AT"])
    sys.exit(agent.main(settings.load()))
