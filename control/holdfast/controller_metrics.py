"""The call controller's metrics, in a registry of their own so that its page shows nothing of other processes.

A label is a feature, a result or a reason: never a number, a name or a Call-ID.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)

calls = Counter(
    "holdfast_controller_calls_total",
    "Calls that the controller had, by feature and result; 'released' ones were carried on by the media server.",
    ["feature", "result"],
    registry=registry,
)
calls_in_progress = Gauge(
    "holdfast_controller_calls_in_progress", "Calls that the controller has now, by feature.", ["feature"],
    registry=registry,
)  # fmt: skip
callback_attempts = Counter(
    "holdfast_controller_callback_attempts_total", "How often a callback's phones were rung.", registry=registry
)
deadman_failures = Counter(
    "holdfast_controller_deadman_disarm_failures_total",
    "Calls left to the dialplan because the dead man's switch was not disarmed in time, by reason.",
    ["reason"],
    registry=registry,
)
take_over_seconds = Histogram(
    "holdfast_controller_take_over_seconds",
    "From the media server's connection until the dead man's switch was disarmed.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    registry=registry,
)
refused_connections = Counter(
    "holdfast_controller_refused_connections_total",
    "Connections to the controller that got no session, by reason.",
    ["reason"],
    registry=registry,
)
esl_connected = Gauge(
    "holdfast_controller_esl_connected", "1 while the media server's event socket answers.", registry=registry
)
media_stalled = Gauge(
    "holdfast_controller_media_stalled", "1 while the media server takes connections but does not answer.",
    registry=registry,
)  # fmt: skip
media_calls = Gauge(
    "holdfast_controller_media_channels", "Channels in the media server, by its last heartbeat.", registry=registry
)
