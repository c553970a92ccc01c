"""How long an empty edge store takes to hold 100 000 users and 100 000 callback numbers, and what calls feel of it.

    python tests/bench/bench_sync.py [--rows 100000]

A private PostgreSQL is filled: every user has a number of their own, and this node owns all callback numbers, which is
the most it can be. A real edge agent starts with an empty store. Meanwhile another process does what the routing code
does for a call: `begin immediate`, one row, `commit`, durably. The same writer is then timed against an agent that has
nothing to do, and the two are compared. Exit status 1 if the sync took 120 s or longer, or 200 MB or more.
"""

import argparse
import multiprocessing
import queue
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from holdfast import settings
from holdfast.edge.store import connect
from holdfast.plane import db
from integration.postgres import Database, fresh_database
from lab import services
from lab.command import Command
from lab.errors import LabError
from lab.ports import Ports
from lab.postgres import PrivatePostgres
from lab.processes import Daemon
from lab.waiting import wait_until

MOST_S = 120.0
MOST_BYTES = 200_000_000
IDLE_S = 10.0
WRITE_EVERY_S = 0.01

FILL = """
    insert into node (name, sip_address, sip_port) values ('edge-1', '127.0.0.1', 5060);
    insert into tenant (name, country) values ('Acme', 'US');
    insert into platform_number (number, tenant_id)
        select '+1202' || (5000000 + i), 1 from generate_series(1, {rows}) i;
    insert into subscriber (tenant_id, username, realm, ha1, display_name, number)
        select 1, 'user-' || i, 'acme.example', md5(i::text), 'User Number ' || i, '+1202' || (5000000 + i)
        from generate_series(1, {rows}) i;
    insert into trunk_group (name, emergency) values ('psap', true);
    insert into pool (name, trunk_group_id, country, target_idle) values ('us', 1, 'US', 10);
    insert into pool_number (number, pool_id, owner_node_id, owner_store_id)
        select '+1303' || (5000000 + i), 1, 1, 'an-earlier-store' from generate_series(1, {rows}) i;
    insert into pool_number (number, pool_id) select '+1404' || (5000000 + i), 1 from generate_series(1, 100) i;
"""

ROWS_ARE_THERE = """
    select 1 where (select count(*) from subscriber) = {rows} and (select count(*) from platform_number) = {rows}
               and (select count(*) from pool_number) = {rows} + 100
               and (select count(*) from number_state) >= {rows}
"""


class Wait(NamedTuple):
    """One transaction of the writer, in seconds: all of it, and until it had the lock."""

    whole_s: float
    lock_s: float


@dataclass(frozen=True)
class Result:
    """What was measured, while syncing and with an idle agent beside."""

    rows: int
    seconds: float
    file_bytes: int
    syncing: list[Wait]
    idle: list[Wait]

    def __str__(self) -> str:
        lines = [
            f"users, their numbers, callback numbers: {self.rows} each",
            f"empty store to caught up: {self.seconds:.1f} s (must be < {MOST_S:.0f})",
            f"edge store with its WAL: {self.file_bytes / 1e6:.1f} MB (must be < {MOST_BYTES / 1e6:.0f})",
        ]
        for part, what in enumerate(("whole transaction", "wait for the lock")):
            for name, share in (("median", 0.5), ("99th percentile", 0.99), ("worst", 1.0)):
                syncing = _share([wait[part] for wait in self.syncing], share)
                idle = _share([wait[part] for wait in self.idle], share)
                lines.append(
                    f"a call's {what}, {name}: {syncing * 1000:.2f} ms while syncing, {idle * 1000:.2f} ms idle, "
                    f"ratio {syncing / idle:.1f}"
                )
        lines.append(f"transactions timed: {len(self.syncing)} while syncing, {len(self.idle)} idle")
        return "\n".join(lines)

    @property
    def good(self) -> bool:
        return self.seconds < MOST_S and self.file_bytes < MOST_BYTES


def measure(database: Database, folder: Path, port: int, rows: int, *, idle_s: float = IDLE_S) -> Result:
    """Fill the database, run an agent on an empty store in `folder`, and time both it and a writer beside it."""
    with database.connect("postgres") as connection:
        connection.execute(FILL.format(rows=rows))
    config = folder / "holdfast.toml"
    config.write_text(
        f'[node]\nname = "edge-1"\nstate_dir = "{folder}"\nrun_dir = "{folder}"\n'
        f'[database]\ndsn = "{database.dsn(db.AGENT)}"\n[agent]\nmetrics_port = {port}\n'
    )
    store = folder / "edge.db"
    agent = services.agent(settings.load(config), folder, Command(config)).daemon
    began = time.monotonic()
    agent.launch()
    try:
        _wait_for(store, agent, "select 1 from store where node_id is not null", MOST_S)
        with Writer(store) as writer:
            _wait_for(store, agent, "select 1 from store where caught_up = 1", 5 * MOST_S)
            seconds = time.monotonic() - began
            waits = writer.taken()
        _wait_for(store, agent, ROWS_ARE_THERE.format(rows=rows), 0)
        file_bytes = sum(path.stat().st_size for path in folder.glob("edge.db*"))
        _wait_for(store, agent, "select 1 from store where shipped_seq >= (select max(seq) from journal)", MOST_S)
        with Writer(store) as writer:
            writer.stopped.wait(idle_s)
            idle_waits = writer.taken()
    finally:
        agent.stop()
    return Result(rows, seconds, file_bytes, waits, idle_waits)


class Writer:
    """A process that writes as the routing code does, about a hundred times a second, and times each transaction."""

    def __init__(self, store: Path) -> None:
        context = multiprocessing.get_context("fork")
        self.stopped: Event = context.Event()
        self._waits: multiprocessing.Queue[list[Wait]] = context.Queue()
        self._process = context.Process(target=_write, args=(store, self.stopped, self._waits), daemon=True)

    def __enter__(self) -> "Writer":
        self._process.start()
        return self

    def taken(self) -> list[Wait]:
        """Stop, and hand over how long each transaction took."""
        self.stopped.set()
        try:
            return self._waits.get(timeout=30)
        except queue.Empty:
            raise LabError("the writer beside the agent died") from None

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._process.join(30)


def _write(store: Path, stop: Event, waits: "multiprocessing.Queue[list[Wait]]") -> None:
    connection = connect(store, create=False)
    taken: list[Wait] = []
    while not stop.wait(WRITE_EVERY_S):
        began = time.perf_counter()
        connection.execute("begin immediate")
        locked = time.perf_counter()
        connection.execute("insert into journal (at, kind, payload) values (?, 'refusal', '{}')", (time.time(),))
        connection.execute("commit")
        taken.append(Wait(time.perf_counter() - began, locked - began))
    waits.put(taken)


def _wait_for(store: Path, agent: Daemon, query: str, within_s: float) -> None:
    def answered() -> bool:
        if not agent.running:
            raise LabError(f"the agent ended: {agent.log()}")
        return store.exists() and store.stat().st_size > 0 and _answers(store, query)

    wait_until(f"rows of: {query}", answered, within_s=within_s, every_s=0.05)


def _answers(store: Path, query: str) -> bool:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=1)) as connection:
        try:
            return connection.execute(query).fetchone() is not None
        except sqlite3.OperationalError:  # its schema is just being made
            return False


def _share(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with (
        PrivatePostgres() as postgres,
        fresh_database(postgres) as database,
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        closing(Ports()) as ports,
    ):
        result = measure(database, Path(folder), ports.one(), rows)
    print(result)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
