"""Following one database with one opened edge store: everything down, numbers claimed, the journal up.

Whatever interrupts a round leaves both sides in a state that the next round continues from: the revision is stored with
the rows it stands for, claimed numbers come down as changes, and a journal row may be shipped any number of times.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from holdfast import metrics
from holdfast.edge.gauges import Gauges
from holdfast.edge.keeper import OpenStore, StoreKeeper
from holdfast.edge.outbox import Entry, UnsendableError
from holdfast.edge.replica import PoolCount
from holdfast.edge.uplink import StatementRefusedError, Uplink
from holdfast.errors import DatabaseUnavailable
from holdfast.settings import Settings

log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: Rows asked of PostgreSQL at once, either way.
ROWS = 500
#: After each short transaction the writer lock stays free for this long, in seconds: a waiting call looks every few
#: milliseconds.
PAUSE_S = 0.008
#: How often ended leases (A3) and expired locations are erased from PostgreSQL, in seconds.
ERASE_EVERY_S = 60.0


class Follower:
    """One opened edge store that follows one database."""

    def __init__(self, settings: Settings, keeper: StoreKeeper, uplink: Uplink, gauges: Gauges) -> None:
        self._settings = settings
        self._keeper = keeper
        self._uplink = uplink
        self._gauges = gauges
        self._opened = 0
        self._node_id = 0
        self._store_id = ""
        self._cursor = 0  # the revision that the edge store holds, as far as this connection has brought it
        self._newest = 0  # the newest revision heard of
        self._anew = False
        self._in_sync = False  # whether the last sync went through
        self._standby = False
        self._sequence_checked = False
        self._dry: dict[int, float] = {}  # pool → when to ask it again, in monotonic seconds
        self._lost_claims: set[int] = set()  # pools whose claimed numbers did not come down
        self._erase_at = 0.0

    @classmethod
    async def begin(cls, settings: Settings, keeper: StoreKeeper, uplink: Uplink, gauges: Gauges) -> Self:
        """Find out who the two sides are, and how much of the one the other has."""
        follower = cls(settings, keeper, uplink, gauges)
        await follower._begin()
        return follower

    async def _begin(self) -> None:
        info = await self._keeper.do(lambda store: store.replica.store.info())
        self._opened = self._keeper.opened
        identity = await self._uplink.identity()
        node = self._settings.node.name
        node_id = await self._uplink.node_id(node)
        if node_id is None:
            raise DatabaseUnavailable(
                f"PostgreSQL knows no node {node!r}", mend=f"holdfast node create {node}, or mend node.name here"
            )
        reached = info.revision == 0 or await self._uplink.has_reached(info.revision)
        self._anew = await self._do(
            lambda store: store.replica.must_start_over(node_id, identity.database_id, reached=reached)
        )
        if self._anew and identity.standby:
            raise DatabaseUnavailable("PostgreSQL is a standby that lags behind this node: waiting for the primary")
        if self._anew:
            log.warning("the database is another one or went back in time: everything is fetched again")
        await self._do(lambda store: store.replica.start(node_id, identity.database_id, anew=self._anew))
        self._node_id, self._store_id, self._standby = node_id, info.store_id, identity.standby
        self._cursor = await self._do(lambda store: store.replica.cursor)

    async def _check_sequence(self) -> None:
        """Once: an older copy of the store would use sequence numbers again, and lend numbers that are lent."""
        if self._sequence_checked:
            return
        confirmed = await self._ship_documents([])
        if confirmed > await self._do(lambda store: store.outbox.last_seq()):
            log.error("the edge store is an older copy of itself: its numbers rest before they are lent again")
            await self._do(lambda store: store.replica.become_another_store())
            self._store_id = await self._do(lambda store: store.replica.store_id)
            await self._do(partial(_alarm, name="store_went_back"))
        self._sequence_checked = True

    # One round

    async def round(self) -> None:
        """Bring both sides to the same state. Each part is tried, though PostgreSQL may refuse the one before."""
        if self._standby and not (await self._uplink.identity()).standby:
            raise DatabaseUnavailable("PostgreSQL was a standby and is the primary now: beginning anew")
        refused: list[StatementRefusedError] = []
        # Shipped first, so that what happened in an outage need not wait for a long sync; and once more before numbers
        # are claimed, since a database that was replaced learns only then which ones are lent.
        for part in (self._check_sequence, self.ship, self._sync, self.ship, self._claim, self._erase):
            try:
                await part()
            except StatementRefusedError as error:
                metrics.postgres_failures.labels(error.sqlstate).inc()
                refused.append(error)
        if refused:
            raise refused[0]

    def is_news(self, revision: int) -> bool:
        """Whether a notification tells of more than the edge store holds and than was looked for already."""
        news = revision > self._newest
        self._newest = max(self._newest, revision)
        return news

    # Down

    async def _sync(self) -> None:
        self._in_sync = False
        while True:
            changes = await self._uplink.changes_since(self._cursor, ROWS)
            await self._in_short_steps(lambda store: store.replica.apply, changes)
            if changes:
                self._newest = max(self._newest, changes[-1].revision)
            if len(changes) < ROWS:
                break
        if not await self._do(lambda store: store.replica.caught_up):
            await self._catch_up()
        await self._settle()
        self._in_sync = True
        metrics.sync_lag.set(0)
        metrics.sync_last_success.set_to_current_time()

    async def _catch_up(self) -> None:
        """Everything has come down for the first time, or again."""
        leftovers = await self._do(lambda store: store.replica.leftovers())
        await self._in_short_steps(lambda store: store.replica.apply, leftovers)
        await self._settle()
        leases = await self._uplink.leases(self._node_id)
        await self._in_short_steps(lambda store: store.replica.restore_leases, leases)
        if self._anew:
            held = await self._do(lambda store: store.replica.lease_ids())
            await self._in_short_steps(lambda store: store.replica.rejournal, held)
        await self._do(lambda store: store.replica.finish())
        log.info("the edge store holds everything, up to revision %d", self._cursor)

    # Numbers

    async def _settle(self) -> None:
        unsettled = await self._do(lambda store: store.replica.unsettled())
        await self._in_short_steps(lambda store: store.replica.settle, unsettled)

    async def _claim(self) -> None:
        """Claim what each pool lacks; the numbers come down in the sync that follows."""
        if not self._in_sync:
            return  # numbers that were claimed already may not have come down: the pool would be emptied
        counts = await self._do(lambda store: store.replica.count_pools())
        self._gauges.show_pools(counts)
        claimed: dict[int, list[str]] = {}
        for pool in counts:
            if pool.idle >= pool.target_idle:
                self._note_dry(pool, dry=False)
            elif pool.pool_id not in self._lost_claims and time.monotonic() >= self._dry.get(pool.pool_id, 0.0):
                claimed[pool.pool_id] = await self._claim_for(pool)
        if any(claimed.values()):
            await self._sync()
            await self._check_arrived(claimed)
            self._gauges.show_pools(await self._do(lambda store: store.replica.count_pools()))

    async def _claim_for(self, pool: PoolCount) -> list[str]:
        wanted = pool.target_idle - pool.idle
        numbers = await self._uplink.claim(self._node_id, self._store_id, pool.pool_id, wanted)
        metrics.numbers_claimed.labels(pool.name).inc(len(numbers))
        if len(numbers) < wanted:
            if pool.pool_id not in self._dry:
                log.error("pool %r is dry: this node got %d of %d numbers", pool.name, len(numbers), wanted)
                idle = pool.idle + len(numbers)
                alarm = partial(_alarm, name="pool_dry", pool_id=pool.pool_id, pool=pool.name, idle=idle)
                await self._do(partial(alarm, target_idle=pool.target_idle))
            self._note_dry(pool, dry=True)
        else:
            self._note_dry(pool, dry=False)
        return numbers

    def _note_dry(self, pool: PoolCount, *, dry: bool) -> None:
        if dry:
            self._dry[pool.pool_id] = time.monotonic() + self._settings.agent.poll_s
        elif self._dry.pop(pool.pool_id, None) is not None:
            log.info("pool %r is no longer dry", pool.name)
        self._gauges.show_dry(pool.name, dry)

    async def _check_arrived(self, claimed: dict[int, list[str]]) -> None:
        """A node that cannot store the numbers it claims must not empty the pool."""
        for pool_id, numbers in claimed.items():
            if await self._do(partial(_missing, numbers=numbers)):
                self._lost_claims.add(pool_id)
                log.error("claimed numbers of pool %d did not come down: no more are claimed", pool_id)
                await self._do(partial(_alarm, name="claims_lost", pool_id=pool_id))

    # Up

    async def ship(self) -> bool:
        """Ship every journal row that waits; returns whether there was any."""
        if not self._sequence_checked:
            return False
        shipped = False
        while entries := await self._do(lambda store: store.outbox.waiting(ROWS)):
            await self._ship_batch(entries)
            shipped = True
        return shipped

    async def _ship_batch(self, entries: Sequence[Entry]) -> None:
        """Ship these, put aside what PostgreSQL will never take, and go on behind them."""
        documents: list[tuple[Entry, dict[str, Any]]] = []
        refused: list[tuple[Entry, str]] = []
        for entry in entries:
            try:
                documents.append((entry, entry.document()))
            except UnsendableError as error:
                refused.append((entry, f"not sent: {error}"))
        refused += await self._send(documents)
        for entry, reason in refused:
            metrics.journal_failures.labels("refused_row").inc()
            log.error("journal row %d (%s) is put aside: %s", entry.seq, entry.kind, reason)
            await self._do(partial(_put_aside, entry=entry, reason=reason))
        await self._do(lambda store: store.outbox.confirm(entries[-1].seq))
        metrics.journal_shipped.inc(len(entries) - len(refused))

    async def _send(self, documents: Sequence[tuple[Entry, dict[str, Any]]]) -> list[tuple[Entry, str]]:
        """Ship these together or, if PostgreSQL refuses, one by one; returns those that are refused by themselves."""
        if not documents:
            return []
        try:
            await self._ship_documents([document for _, document in documents])
        except StatementRefusedError as error:
            if _is_the_servers_fault(error):
                raise
        else:
            return []
        refused: list[tuple[Entry, StatementRefusedError]] = []
        for entry, document in documents:
            try:
                await self._ship_documents([document])
            except StatementRefusedError as error:
                if _is_the_servers_fault(error):
                    raise
                refused.append((entry, error))
        unclear = [error for _, error in refused if not _is_the_rows_fault(error)]
        if unclear and len(refused) == len(documents):
            raise unclear[0]  # nothing at all is taken: no row can be blamed
        return [(entry, error.reason) for entry, error in refused]

    async def _ship_documents(self, documents: Sequence[dict[str, Any]]) -> int:
        try:
            return await self._uplink.ship(self._node_id, self._store_id, documents)
        except StatementRefusedError as error:
            metrics.journal_failures.labels(error.sqlstate).inc()
            raise
        except DatabaseUnavailable:
            metrics.journal_failures.labels("connection").inc()
            raise

    async def ship_refused_again(self) -> None:
        """Whatever made PostgreSQL refuse these rows may have been mended since."""
        for entry in await self._do(lambda store: store.outbox.refused()):
            try:
                await self._ship_documents([entry.document()])
            except (UnsendableError, StatementRefusedError):
                continue
            await self._do(partial(_accepted, entry=entry))
            log.info("journal row %d was taken after all", entry.seq)

    async def _erase(self) -> None:
        if time.monotonic() >= self._erase_at:
            self._erase_at = time.monotonic() + ERASE_EVERY_S
            await self._uplink.erase_ended_leases()
            await self._uplink.erase_expired_references()

    # Tools

    async def _do(self, work: Callable[[OpenStore], _T]) -> _T:
        return await self._keeper.do(work, opened=self._opened)

    async def _in_short_steps(
        self, step: Callable[[OpenStore], Callable[[Sequence[Any]], int]], items: Sequence[Any]
    ) -> None:
        done = 0
        while done < len(items):
            step_done, self._cursor = await self._do(partial(_step, step=step, items=items[done : done + ROWS]))
            done += step_done
            metrics.sync_lag.set(max(0, self._newest - self._cursor))
            await asyncio.sleep(PAUSE_S)


def _step(
    store: OpenStore, step: Callable[[OpenStore], Callable[[Sequence[Any]], int]], items: Sequence[Any]
) -> tuple[int, int]:
    return step(store)(items), store.replica.cursor


def _alarm(store: OpenStore, name: str, **details: object) -> None:
    store.replica.alarm(name, **details)


def _missing(store: OpenStore, numbers: Sequence[str]) -> int:
    return store.replica.missing(numbers)


def _put_aside(store: OpenStore, entry: Entry, reason: str) -> None:
    store.outbox.put_aside(entry, reason)


def _accepted(store: OpenStore, entry: Entry) -> None:
    store.outbox.accepted(entry)


def _is_the_servers_fault(error: StatementRefusedError) -> bool:
    """Read-only, out of resources, a lock not had, shutting down …: another attempt may succeed.

    So may one after our node was provisioned again, which is what a broken reference to it means.
    """
    return error.sqlstate[:2] in ("08", "25", "28", "40", "53", "55", "57", "58") or error.sqlstate == "23503"


def _is_the_rows_fault(error: StatementRefusedError) -> bool:
    return error.sqlstate[:2] in ("21", "22", "23", "54", "P0", "HF")
