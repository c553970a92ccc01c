"""The benchmark of the sync works; its numbers are taken by running it, on a quiet machine and with 100 000 rows."""

from pathlib import Path

from bench.bench_sync import measure
from integration.postgres import Database


def test_the_benchmark_of_the_sync_measures_what_it_says(database: Database, tmp_path: Path) -> None:
    result = measure(database, tmp_path, 2000, idle_s=0.5)
    assert result.good
    assert len(result.syncing) > 0
    assert len(result.idle) > 10
    assert "ratio" in str(result)
