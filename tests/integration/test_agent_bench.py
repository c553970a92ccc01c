"""The benchmark of the sync works; its numbers are taken by running it, on a quiet machine and with 100 000 rows."""

from pathlib import Path

from bench.bench_sync import measure
from integration.postgres import Database
from lab.ports import Ports


def test_the_benchmark_of_the_sync_measures_what_it_says(database: Database, tmp_path: Path, ports: Ports) -> None:
    result = measure(database, tmp_path, ports.one(), 2000, idle_s=0.5)
    assert result.good
    assert len(result.syncing) > 0
    assert len(result.idle) > 10
    assert "ratio" in str(result)
