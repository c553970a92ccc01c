"""What a Prometheus sees of a node."""

import json
from pathlib import Path

from acceptance.calls import emergency_call
from lab.layout import POOL
from lab.net import http_get
from lab.phones import Phone
from lab.processes import Daemon, Program
from lab.services import program
from lab.system import System
from lab.waiting import wait_until


def test_a_real_prometheus_scrapes_every_part_and_finds_the_call(
    system: System, alice: Phone, psap: Phone, tmp_path: Path
) -> None:
    emergency_call(alice, psap)
    settings = system.settings
    targets = [settings.kamailio.http_port, settings.agent.metrics_port, settings.controller.metrics_port]
    config = tmp_path / "prometheus.yml"
    jobs = [{"job_name": "holdfast", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}]}]
    # JSON is YAML
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}), encoding="utf-8")
    port = system.ports.one()
    argv = [program("prometheus", "prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    prometheus = Daemon(Program("Prometheus", argv, tmp_path / "prometheus.log"))
    prometheus.start(lambda: http_get(f"http://127.0.0.1:{port}/-/ready"))

    def value(query: str) -> float | None:
        answer = http_get(f"http://127.0.0.1:{port}/api/v1/query?query={query}")
        found = json.loads(answer or "{}").get("data", {}).get("result", [])
        return float(found[0]["value"][1]) if found else None

    try:
        wait_until("every part to be scraped", lambda: value("sum(up)") == len(targets), within_s=20)
        assert (value("sum(holdfast_edge_emergency_calls_total)") or 0) >= 1
        assert value("holdfast_agent_postgres_connected") == 1
        assert (value(f'sum(holdfast_pool_numbers{{pool="{POOL}"}})') or 0) >= 1
        assert value("holdfast_sync_caught_up") == 1
        names = json.loads(http_get(f"http://127.0.0.1:{port}/api/v1/label/__name__/values") or "{}")["data"]
        assert any(name.startswith("holdfast_controller") for name in names)
    finally:
        prometheus.stop()


def test_no_metric_names_a_person_or_a_number(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    settings = system.settings
    for port in (settings.kamailio.http_port, settings.agent.metrics_port, settings.controller.metrics_port):
        page = http_get(f"http://127.0.0.1:{port}/metrics")
        assert page
        assert number.lstrip("+") not in page
        assert "alice" not in page


def test_kamailios_metrics_port_serves_nothing_else_and_its_sip_port_no_metrics(system: System) -> None:
    settings = system.settings
    assert http_get(f"http://127.0.0.1:{settings.kamailio.http_port}/") is None
    assert http_get(f"http://{settings.sip.address}:{settings.sip.port}/metrics") is None
