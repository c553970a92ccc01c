"""A9 across nodes: PostgreSQL is told of the calls in progress here, and the edge store of those on other nodes.

A call is admitted by what stands in the edge store and waits for nothing else. What the store holds of other nodes is
believed for HEARD_WITHIN_S after it was written, by this node's own clock; how long a node that fell silent counts is
PostgreSQL's business, by its clock. So no two clocks need agree, and a node that is cut off counts its own calls alone.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import Gauge

from holdfast import metrics
from holdfast.core.model import CallKind
from holdfast.edge import kamailio_rpc
from holdfast.edge.kamailio_rpc import KamailioRefused, KamailioSilent, KamailioUnavailable
from holdfast.edge.keeper import OpenStore, StoreKeeper
from holdfast.edge.steps import not_durable, transaction
from holdfast.edge.store import HEARD_WITHIN_S
from holdfast.edge.uplink import CallCounts, StatementRefusedError, Uplink

#: How often the calls in progress here are counted, in seconds: PostgreSQL hears of a change as soon as it is seen …
LOOK_EVERY_S = 0.2
#: … and is asked for the others' calls at the first look after so long. Both, and two turns on connections (LISTEN_S),
#: are less than a second.
EXCHANGE_EVERY_S = 0.3
#: How old what the store holds of other nodes may become before it is written again though nothing changed, in seconds.
WRITE_AGAIN_S = 3.0
#: How often Kamailio is asked whether it is still the one that was there before, in seconds.
ASK_KAMAILIO_EVERY_S = 1.0
#: Kinds that have a limit (core.model.Tenant).
LIMITED = (CallKind.EMERGENCY.value, CallKind.READBACK.value)
#: No tenant has so many calls; a larger number would only be a danger to whoever adds it up.
MOST_CALLS = 1_000_000


class CallsHere:
    """The calls in progress on this node, as the routing code counts them: those since its Kamailio started.

    A call of an earlier Kamailio is not counted, though its row stands until it is presumed ended: nobody sees its end.
    For the same reason none is counted while no Kamailio is there. One that is there and says nothing may be busy: its
    calls count on for as long as what a silent node said.
    """

    def __init__(self, keeper: StoreKeeper, rpc_socket: Path) -> None:
        self._keeper = keeper
        self._rpc_socket = rpc_socket
        self._kamailio_started: float | None = None
        self._answered_at = -math.inf

    async def ask_kamailio(self) -> None:
        """Learn which Kamailio is there. KamailioUnavailable and KamailioRefused say why that is not known."""
        try:
            self._kamailio_started = await asyncio.to_thread(kamailio_rpc.started_at, self._rpc_socket)
            self._answered_at = time.monotonic()
            metrics.kamailio_up.set(1)
        except (KamailioUnavailable, KamailioRefused) as error:
            silent_for_s = time.monotonic() - self._answered_at
            if not isinstance(error, KamailioSilent) or silent_for_s > HEARD_WITHIN_S:
                self._kamailio_started = None
            metrics.kamailio_up.set(0)
            raise

    async def count(self) -> CallCounts:
        """Calls in progress by tenant and kind. EdgeStoreUnavailable: nobody knows."""
        since = self._kamailio_started
        if since is None:
            counts: CallCounts = {}
        else:
            counts = await self._keeper.do(lambda store: store.replica.store.calls_in_progress(since))
        _show(metrics.calls_in_progress, counts)
        return counts


class CallExchange:
    """Telling and hearing over one connection."""

    def __init__(self, here: CallsHere, keeper: StoreKeeper, uplink: Uplink, node_name: str) -> None:
        self._here = here
        self._keeper = keeper
        self._uplink = uplink
        self._node_name = node_name
        self._node_id: int | None = None
        self._told: CallCounts | None = None
        self._exchange_at = -math.inf

    async def look(self) -> None:
        """Tell and hear if there is something new here, or if it is time to.

        StatementRefusedError, DatabaseUnavailable; EdgeStoreUnavailable: nothing was told, or what was heard is not
        stored. The next look makes up for it.
        """
        counts = await self._here.count()
        if counts == self._told and time.monotonic() < self._exchange_at:
            return
        if self._node_id is None:
            self._node_id = await self._known_as()
        if self._node_id is None:
            return
        try:
            heard = _believable(await self._uplink.exchange_call_counts(self._node_id, counts))
        except StatementRefusedError:
            self._node_id = None  # the node may have been made anew
            raise
        self._told, self._exchange_at = counts, time.monotonic() + EXCHANGE_EVERY_S
        await self._keeper.do(lambda store: store_heard(store, heard, time.time()))
        _show(metrics.calls_elsewhere, heard)
        metrics.calls_last_exchange.set_to_current_time()

    async def _known_as(self) -> int | None:
        """This node's id; None if PostgreSQL does not know it, or is a standby, which takes nothing."""
        standby = (await self._uplink.identity()).standby
        return None if standby else await self._uplink.node_id(self._node_name)


def store_heard(store: OpenStore, heard: CallCounts, now_s: float) -> None:
    """Make `calls_elsewhere` say what was heard at `now_s`, by this node's clock. Errors are sqlite3's own."""
    rows = store.connection.execute("select tenant_id, kind, calls, reported_at from calls_elsewhere").fetchall()
    stored = {(row["tenant_id"], row["kind"]): row for row in rows}
    due = [
        (*of, calls, now_s)
        for of, calls in heard.items()
        # a clock that was set makes what is stored look old, whichever way it was set
        if of not in stored or stored[of]["calls"] != calls or abs(now_s - stored[of]["reported_at"]) >= WRITE_AGAIN_S
    ]
    gone = stored.keys() - heard.keys()
    if due or gone:
        with not_durable(store.connection), transaction(store.connection):
            store.connection.executemany("delete from calls_elsewhere where tenant_id = ? and kind = ?", gone)
            store.connection.executemany("insert or replace into calls_elsewhere values (?, ?, ?, ?)", due)


def _believable(heard: CallCounts) -> CallCounts:
    """What can be a number of calls, of kinds that are limited."""
    return {of: min(calls, MOST_CALLS) for of, calls in heard.items() if of[1] in LIMITED and calls > 0}


def _show(gauge: Gauge, counts: Mapping[tuple[int, str], int]) -> None:
    """The sum over all tenants, of each kind."""
    total: Counter[str] = Counter()
    for (_, kind), calls in counts.items():
        total[kind] += calls
    for kind in LIMITED:
        gauge.labels(kind).set(total[kind])
