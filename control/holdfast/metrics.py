"""Every metric of Holdfast's Python processes, each declared once, in base units.

A label is a pool's name, a reason or a part's name: never a number, a person's name or a Call-ID.
"""

import logging
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from holdfast.errors import SettingsError

log = logging.getLogger(__name__)

# Edge agent ----------------------------------------------------------------------------------------------------------

agent_up = Gauge("holdfast_agent_up", "1 once the edge agent holds its edge store.")
postgres_connected = Gauge("holdfast_agent_postgres_connected", "1 while the agent is connected to PostgreSQL.")
postgres_failures = Counter(
    "holdfast_agent_postgres_failures_total", "Connections and statements that failed, by reason.", ["reason"]
)
store_failures = Counter(
    "holdfast_agent_edge_store_failures_total", "Reads and writes of the edge store that failed, by reason.", ["reason"]
)
sync_revision = Gauge("holdfast_sync_revision", "The last provisioning revision that the edge store holds.")
sync_lag = Gauge("holdfast_sync_lag_revisions", "Provisioning revisions that the edge store still lacks.")
sync_caught_up = Gauge("holdfast_sync_caught_up", "1 once the edge store holds every provisioning row.")
sync_last_success = Gauge(
    "holdfast_sync_last_success_timestamp_seconds", "When the edge store was last known to hold everything (UTC)."
)
sync_batch = Histogram(
    "holdfast_sync_batch_seconds",
    "How long the agent held the edge store's writer lock for one batch of provisioning rows.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
sync_refused = Counter(
    "holdfast_sync_rows_refused_total", "Provisioning rows the edge store could not hold, by relation.", ["relation"]
)
journal_backlog = Gauge("holdfast_journal_backlog_rows", "Journal rows that PostgreSQL has not confirmed.")
journal_backlog_age = Gauge("holdfast_journal_backlog_age_seconds", "Age of the oldest journal row not yet confirmed.")
journal_shipped = Counter("holdfast_journal_shipped_rows_total", "Journal rows that PostgreSQL confirmed.")
journal_failures = Counter(
    "holdfast_journal_ship_failures_total", "Attempts to ship journal rows that failed, by reason.", ["reason"]
)
journal_refused = Gauge("holdfast_journal_refused_rows", "Journal rows put aside because PostgreSQL refuses them.")
numbers = Gauge("holdfast_pool_numbers", "Numbers of each pool on this node, by state.", ["pool", "state"])
pool_dry = Gauge("holdfast_pool_dry", "1 while a pool cannot give this node the idle numbers it wants.", ["pool"])
numbers_claimed = Counter("holdfast_numbers_claimed_total", "Numbers claimed for this node, by pool.", ["pool"])
trunk_names_unresolved = Gauge(
    "holdfast_trunk_names_unresolved", "Host names of enabled trunks that DNS has never given an address for."
)
trunk_up = Gauge(
    "holdfast_trunk_up",
    "Whether a trunk answers OPTIONS: 1 up, 0 down (it is tried last), NaN not known (it counts as healthy).",
    ["trunk"],
)
trunk_transitions = Counter(
    "holdfast_trunk_transitions_total", "Changes of a trunk's health, by the state it came to.", ["trunk", "state"]
)
leases_erased = Counter("holdfast_leases_erased_total", "Leases erased after their window and rest were over.")
calls_in_progress = Gauge(
    "holdfast_calls_in_progress",
    "Calls in progress on this node that count towards their tenants' limits, by kind; none while Kamailio is down.",
    ["kind"],
)
calls_elsewhere = Gauge(
    "holdfast_calls_elsewhere", "Calls in progress on all other nodes, as this node last heard of them.", ["kind"]
)
calls_last_exchange = Gauge(
    "holdfast_calls_last_exchange_timestamp_seconds",
    "When this node last heard of the calls on other nodes (UTC); after 10 s it counts its own alone.",
)
kamailio_up = Gauge("holdfast_agent_kamailio_up", "1 while Kamailio answers the agent.")
calls_presumed_ended = Counter(
    "holdfast_calls_presumed_ended_total", "Calls closed because nobody saw their end within the longest call's time."
)


def serve(port: int, *, address: str = "127.0.0.1", registry: CollectorRegistry = REGISTRY) -> WSGIServer:
    """Serve /metrics from a thread of its own until shutdown(). SettingsError if the port cannot be had."""
    try:
        server, _thread = start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be served on {address}:{port}: {error.strerror or error}",
            mend="another process has that port: stop it, or set another metrics_port",
        ) from error
    log.info("metrics on http://%s:%d/metrics", address, port)
    return server
