"""The edge agent: brings provisioning down, ships the journal up, keeps idle numbers at hand. No call waits for it.

Five tasks share one edge store. `_keep_house` needs nothing but the store, `_keep_addresses` DNS, `_keep_health` the
trunks, `_keep_an_eye_on_kamailio` Kamailio; `_keep_in_touch` needs PostgreSQL and begins again from the connection
whenever it is lost: on it, `_serve` follows and `_exchange_calls` counts calls. Each round finds out anew what is to be
done, so a round that was cut off anywhere, by whatever, is made good by the next.
"""

import asyncio
import contextlib
import logging
import random
import signal
import sqlite3
import sys
import time

from holdfast import metrics
from holdfast.edge.calls_elsewhere import ASK_KAMAILIO_EVERY_S, LOOK_EVERY_S, CallExchange, CallsHere
from holdfast.edge.follow import Follower
from holdfast.edge.gauges import Gauges
from holdfast.edge.health import TrunkWatch, pause_s
from holdfast.edge.kamailio_rpc import KamailioRefused, KamailioUnavailable
from holdfast.edge.keeper import OpenStore, StoreBusyError, StoreKeeper, StoreReplacedError, sole_agent
from holdfast.edge.resolver import resolve_trunks
from holdfast.edge.uplink import StatementRefusedError, Uplink
from holdfast.errors import DatabaseUnavailable, EdgeStoreUnavailable, HoldfastError
from holdfast.plane import db
from holdfast.settings import Settings

log = logging.getLogger(__name__)

#: How often leases that are over are looked for and the store's file is checked, in seconds.
HOUSE_EVERY_S = 1.0
#: How often the journal is looked at while there is nothing else to do, in seconds.
JOURNAL_EVERY_S = 0.25
#: How often trunks' host names are asked of DNS, in seconds; a trunk that is new waits this long for its first address.
RESOLVE_EVERY_S = 10.0
#: How long PostgreSQL is left alone with the counts of calls after it refused them, in seconds.
REFUSED_PAUSE_S = 2.0


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the process's exit status.

    EdgeStoreUnavailable: another agent serves this store. SettingsError: the metrics' port is taken. InputError: the
    database's connection string is none.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    db.conninfo(settings, role=db.AGENT)  # else found wrong only when it is used
    with sole_agent(settings.node.edge_store):
        metrics.serve(settings.agent.metrics_port)
        asyncio.run(_until_told_to_stop(settings))
    return 0


async def _until_told_to_stop(settings: Settings) -> None:
    agent = asyncio.create_task(Agent(settings).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await agent
    log.info("stopped")


class Agent:
    """One edge node's agent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeper = StoreKeeper(settings.node.edge_store)
        self._gauges = Gauges()
        self._calls = CallsHere(self._keeper, settings.node.kamailio_rpc)
        self._back_off = _BackOff(settings.agent.retry_first_s, settings.agent.retry_last_s)
        self._refused_tried = False

    async def run(self) -> None:
        """Never returns; cancel it."""
        metrics.agent_up.set(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_house())
                tasks.create_task(self._keep_addresses())
                tasks.create_task(self._keep_health())
                tasks.create_task(self._keep_an_eye_on_kamailio())
                tasks.create_task(self._keep_in_touch())
        finally:
            metrics.agent_up.set(0)
            metrics.postgres_connected.set(0)
            await self._keeper.close()

    # Without PostgreSQL

    async def _keep_house(self) -> None:
        complaint = _Complaint("the edge store works again")
        while True:
            try:
                await self._keeper.do(self._clean)
                complaint.over()
            except EdgeStoreUnavailable as error:
                complaint.about(error)
            await asyncio.sleep(HOUSE_EVERY_S)

    def _clean(self, store: OpenStore) -> None:
        # first the calls: what ends with them is a window that has just begun
        store.replica.presume_ended()
        store.replica.reap()
        store.outbox.prune()
        self._gauges.show_copy(store.replica.store.info())
        self._gauges.show_backlog(store.outbox.backlog())
        if self._gauges.pools_are_older_than(2 * self._settings.agent.poll_s):  # a round shows them, too
            self._gauges.show_pools(store.replica.count_pools())

    async def _keep_addresses(self) -> None:
        complaint = _Complaint("every trunk's host name has an address")
        while not self._keeper.opened:
            await asyncio.sleep(HOUSE_EVERY_S)
        while True:
            try:
                unknown = await resolve_trunks(self._settings.node.edge_store)
                metrics.trunk_names_unresolved.set(len(unknown))
                if unknown:
                    complaint.about(f"trunks' host names without an address: {', '.join(sorted(unknown))}")
                else:
                    complaint.over()
            except (EdgeStoreUnavailable, sqlite3.Error) as error:
                complaint.about(str(error))
            await asyncio.sleep(RESOLVE_EVERY_S)

    async def _keep_health(self) -> None:
        complaint = _Complaint("every trunk can be asked whether it lives")
        watch = TrunkWatch(self._keeper, self._settings.sip.address)
        while self._settings.agent.asks_trunks:
            try:
                if unasked := await watch.round():
                    complaint.about(f"trunks that cannot be asked whether they live: {'; '.join(sorted(unasked))}")
                else:
                    complaint.over()
            except EdgeStoreUnavailable as error:
                complaint.about(error)
            await asyncio.sleep(pause_s(self._settings.agent.options_every_s))

    async def _keep_an_eye_on_kamailio(self) -> None:
        # no error of the agent's, which may well be the first of the two to start
        complaint = _Complaint("Kamailio answers: the calls in progress here are counted", level=logging.WARNING)
        while True:
            try:
                await self._calls.ask_kamailio()
                complaint.over()
            except (KamailioUnavailable, KamailioRefused) as error:
                complaint.about(error)
            with contextlib.suppress(EdgeStoreUnavailable):  # `_keep_house` says so
                await self._calls.count()
            await asyncio.sleep(ASK_KAMAILIO_EVERY_S)

    # With PostgreSQL

    async def _keep_in_touch(self) -> None:
        complaint = _Complaint("following PostgreSQL again")
        while True:
            try:
                async with await Uplink.open(self._settings) as uplink, asyncio.TaskGroup() as tasks:
                    metrics.postgres_connected.set(1)
                    tasks.create_task(self._serve(uplink, complaint))
                    tasks.create_task(self._exchange_calls(uplink))
            except* (DatabaseUnavailable, StatementRefusedError) as lost:
                error = _first(lost)  # of whichever task noticed it: it ended the other
                metrics.postgres_failures.labels(_reason(error)).inc()
                complaint.about(error)
            finally:
                metrics.postgres_connected.set(0)
            await asyncio.sleep(self._back_off.next_s())

    async def _serve(self, uplink: Uplink, about_postgres: "_Complaint") -> None:
        """Follow this database until the connection is lost, beginning again when the store is another file."""
        complaint = _Complaint("the edge store works again")
        await _listen(uplink)
        while True:
            try:
                follower = await Follower.begin(self._settings, self._keeper, uplink, self._gauges)
                if not self._refused_tried:
                    await follower.ship_refused_again()
                    self._refused_tried = True
                self._back_off.reset()
                about_postgres.over()
                complaint.over()
                await self._rounds(follower, uplink)
            except StoreReplacedError:
                continue
            except EdgeStoreUnavailable as error:
                complaint.about(error)
                await asyncio.sleep(HOUSE_EVERY_S)

    async def _exchange_calls(self, uplink: Uplink) -> None:
        complaint = _Complaint("the calls on other nodes are heard of again")
        exchange = CallExchange(self._calls, self._keeper, uplink, self._settings.node.name)
        while True:
            try:
                await exchange.look()
                complaint.over()
                await asyncio.sleep(LOOK_EVERY_S)
            except EdgeStoreUnavailable:  # `_keep_house` says so
                await asyncio.sleep(LOOK_EVERY_S)
            except StatementRefusedError as error:
                metrics.postgres_failures.labels(error.sqlstate).inc()
                complaint.about(error)
                await asyncio.sleep(REFUSED_PAUSE_S)

    async def _rounds(self, follower: Follower, uplink: Uplink) -> None:
        complaint = _Complaint("everything goes through again")
        while True:
            try:
                await follower.round()
                complaint.over()
                await self._wait(follower, uplink)
            except StoreBusyError as error:
                complaint.about(error)
                await asyncio.sleep(HOUSE_EVERY_S)
            except StatementRefusedError as error:
                complaint.about(error)
                await asyncio.sleep(self._settings.agent.poll_s)

    async def _wait(self, follower: Follower, uplink: Uplink) -> None:
        """Until something changed up there, calls were made here, or it is time to look anyway."""
        look_again = time.monotonic() + self._settings.agent.poll_s
        while time.monotonic() < look_again:
            revision = await uplink.woken(JOURNAL_EVERY_S)
            if revision is not None and follower.is_news(revision):
                return
            if await follower.ship():  # who wrote these rows may have taken idle numbers
                return


async def _listen(uplink: Uplink) -> None:
    try:
        await uplink.listen()
    except StatementRefusedError as error:  # a standby: polling finds everything, only later
        log.warning("PostgreSQL will not wake this agent: %s", error)


def _first(errors: ExceptionGroup[HoldfastError]) -> HoldfastError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _reason(error: HoldfastError) -> str:
    return error.sqlstate if isinstance(error, StatementRefusedError) else "connection"


class _BackOff:
    """Ever longer pauses, with jitter so that a fleet's agents do not all come at once."""

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def next_s(self) -> float:
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, self._last_s)
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311  no secret

    def reset(self) -> None:
        self._next_s = self._first_s


class _Complaint:
    """Says once what is wrong, however often it is found, and once that it is over."""

    def __init__(self, over: str, *, level: int = logging.ERROR) -> None:
        self._over = over
        self._level = level
        self._said = ""

    def about(self, trouble: HoldfastError | str) -> None:
        if str(trouble) != self._said:
            self._said = str(trouble)
            mend = trouble.mend if isinstance(trouble, HoldfastError) else ""
            log.log(self._level, "%s%s", trouble, f" ({mend})" if mend else "")

    def over(self) -> None:
        if self._said:
            log.info("%s", self._over)
        self._said = ""
