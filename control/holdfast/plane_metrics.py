"""The control plane's metrics, in a registry of their own so that its page shows nothing of other processes.

A label is a result or a reason: never a location URI, a token or a place.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector

registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

dereferences = Counter(
    "holdfast_api_dereferences_total",
    "Requests to location URIs, by result: 'found', 'crowded', 'unavailable', or the HELD error's code.",
    ["result"],
    registry=registry,
)
waiting = Gauge(
    "holdfast_api_waiting_requests", "Requests that wait now for a location an edge node may still report.",
    registry=registry,
)  # fmt: skip
found_late = Counter(
    "holdfast_api_found_late_total", "Locations that had to be waited for: the request came before the report.",
    registry=registry,
)  # fmt: skip
postgres_failures = Counter(
    "holdfast_api_postgres_failures_total", "Look-ups that PostgreSQL did not answer.", registry=registry
)
