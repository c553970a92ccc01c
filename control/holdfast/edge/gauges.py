"""What the agent's gauges show of an edge store."""

import math
import time
from collections.abc import Iterable

from holdfast import metrics
from holdfast.edge.outbox import Backlog
from holdfast.edge.replica import PoolCount
from holdfast.edge.store_reads import StoreInfo


class Gauges:
    """Sets the gauges, and takes those of a pool away with the pool."""

    def __init__(self) -> None:
        self._pools: set[str] = set()
        self._pools_shown_at = -math.inf

    def show_copy(self, info: StoreInfo) -> None:
        metrics.sync_revision.set(info.revision)
        metrics.sync_caught_up.set(info.caught_up)

    def show_backlog(self, backlog: Backlog) -> None:
        metrics.journal_backlog.set(backlog.rows)
        metrics.journal_backlog_age.set(backlog.oldest_s)
        metrics.journal_refused.set(backlog.refused)

    def pools_are_older_than(self, age_s: float) -> bool:
        """Whether the pools were last shown longer ago than that; counting a great many numbers takes 0.1 s."""
        return time.monotonic() - self._pools_shown_at > age_s

    def show_pools(self, counts: Iterable[PoolCount]) -> None:
        self._pools_shown_at = time.monotonic()
        shown = set()
        for pool in counts:
            shown.add(pool.name)
            for state, count in (("idle", pool.idle), ("live", pool.live), ("resting", pool.resting)):
                metrics.numbers.labels(pool.name, state).set(count)
        for gone in self._pools - shown:
            for state in ("idle", "live", "resting"):
                metrics.numbers.remove(gone, state)
            self.show_dry(gone, None)
        self._pools = shown

    def show_dry(self, pool: str, dry: bool | None) -> None:  # noqa: FBT001  None: there is no such pool any more
        if dry is not None:
            metrics.pool_dry.labels(pool).set(dry)
        elif (pool,) in metrics.pool_dry._metrics:  # noqa: SLF001  the library raises KeyError
            metrics.pool_dry.remove(pool)
