"""A real edge agent in a process of its own, with an edge store in a folder and a private PostgreSQL above it."""

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from holdfast.core.lease import Lease
from holdfast.core.model import Caller, CallKind
from holdfast.edge import clock
from holdfast.edge.replica import RELATIONS
from holdfast.edge.store import EdgeStore, connect
from holdfast.plane import db
from integration.postgres import Database
from lab.net import http_get
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.waiting import wait_until

SCRIPT = Path(__file__).with_name("agent_process.py")
PROVISION = """
    insert into node (name, sip_address, sip_port) values ('edge-1', '127.0.0.1', 5060), ('edge-2', '127.0.0.2', 5060);
    insert into tenant (name, country, security_desk)
        values ('Acme', 'US', 'desk@acme.example'), ('Zoë & Söhne', 'PR', null);
    insert into platform_number (number, tenant_id)
        select '+1202' || (5000000 + i), 1 from generate_series(1, {users}) i;
    insert into subscriber (tenant_id, username, realm, ha1, display_name, number, country, inbound_enabled)
        select 1, 'user-' || i, 'acme.example', md5(i::text), 'Jürgen "' || i || '"',
               '+1202' || (5000000 + i), case when i % 2 = 0 then 'PR' end, i % 3 > 0
        from generate_series(1, {users}) i;
    insert into trunk_group (name, emergency, ordinary) values ('psap', true, false), ('carrier', false, true);
    insert into trunk (trunk_group_id, name, host, source_addresses)
        values (1, 'psap-1', '192.0.2.1', array['192.0.2.1', '2001:db8::/32']::inet[]);
    insert into pool (name, trunk_group_id, country, target_idle) values ('us', 1, 'US', {target});
    insert into pool_number (number, pool_id) select '+1404' || (5000000 + i), 1 from generate_series(1, {numbers}) i;
    insert into pool_number (number, pool_id, shared) values ('+14049999999', 1, true);
"""


def provision(database: Database, *, users: int = 20, numbers: int = 20, target: int = 5) -> None:
    """Two nodes, two tenants, users with numbers, trunks, and a pool of callback numbers with a shared one."""
    with database.connect() as connection:
        connection.execute(PROVISION.format(users=users, numbers=numbers, target=target))


class EdgeNode:
    """The agent of one node; as a context it is stopped at the end."""

    def __init__(self, folder: Path, dsn: str, ports: Ports, *, name: str = "edge-1", **agent: float) -> None:
        self.folder = folder
        self.path = folder / "edge.db"
        self.config = folder / "holdfast.toml"
        self.port = ports.one()
        rhythm = {"poll_s": 0.5, "retry_first_s": 0.05, "retry_last_s": 0.2, **agent}
        self.config.write_text(
            f'[node]\nname = "{name}"\nstate_dir = "{folder}"\nrun_dir = "{folder}"\n'
            f'[database]\ndsn = "{dsn}"\nconnect_timeout_s = 2\n'
            f"[agent]\nmetrics_port = {self.port}\n" + "".join(f"{key} = {value}\n" for key, value in rhythm.items())
        )
        self.daemon = self._daemon({})

    def _daemon(self, environment: Mapping[str, str]) -> Daemon:
        return Daemon(
            Program(
                "edge agent", [sys.executable, str(SCRIPT)], self.folder / "agent.log",
                environment={"HOLDFAST_CONFIG": str(self.config), **environment},
            )
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Run the agent; it is up once it answers at /metrics."""
        self.daemon.start(lambda: self.metrics().get("holdfast_agent_up") == 1.0)

    def stop(self) -> None:
        self.daemon.stop()

    def run_until_it_dies(self, stage: str) -> None:
        """Run an agent that kills itself at `stage`."""
        dying = self._daemon({"AGENT_DIES_AT": stage})
        dying.start(lambda: True)
        status = dying.wait(within_s=15)
        assert status == -9, f"{stage}: the agent ended with status {status}: {dying.log()[-2000:]}"

    def log(self) -> str:
        return self.daemon.log()

    # What it shows

    def metrics(self) -> dict[str, float]:
        """Every sample as `name{label=value,…}`; empty while nobody answers."""
        samples = {}
        for family in text_string_to_metric_families(http_get(f"http://127.0.0.1:{self.port}/metrics") or ""):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                samples[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return samples

    def shows(self, metric: str, value: float, *, within_s: float = 10.0) -> None:
        """Wait until a sample has a value."""
        wait_until(
            f"{metric} to be {value:g}", lambda: self.metrics().get(metric) == value, within_s=within_s, every_s=0.1,
            why=lambda: f"{self.metrics().get(metric)}; log: {self.log()[-1500:]}",
        )  # fmt: skip

    def has_a_backlog(self) -> None:
        """Wait until it shows journal rows that are not shipped."""
        wait_until(
            "a backlog", lambda: self.metrics().get("holdfast_journal_backlog_rows", 0) > 0, within_s=5, every_s=0.1
        )

    # What its store holds

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        with closing(connect(self.path, create=False)) as connection:
            yield connection

    def asks(self, query: str) -> list[tuple[Any, ...]]:
        with self.store() as connection:
            return [tuple(row) for row in connection.execute(query).fetchall()]

    def comes_to(self, what: str, query: str, value: object, *, within_s: float = 10.0) -> None:
        """Wait until the first column of a query's first row has a value."""

        def answer() -> object:
            if not self.path.exists():
                return None
            rows = self.asks(query)
            return rows[0][0] if rows else None

        wait_until(
            what, lambda: answer() == value, within_s=within_s, why=lambda: f"{answer()!r}; {self.log()[-1500:]}"
        )

    def catches_up(self, *, within_s: float = 10.0) -> None:
        self.comes_to("the store to hold everything", "select caught_up from store", 1, within_s=within_s)

    def ships_everything(self, *, within_s: float = 10.0) -> None:
        query = "select ifnull((select max(seq) from journal), 0) <= shipped_seq from store"
        self.comes_to("the journal to be shipped", query, 1, within_s=within_s)

    def has_idle(self, count: int, *, within_s: float = 10.0) -> None:
        query = """select count(*) from number_state s
                   where s.rested_until < unixepoch() and s.number not in (select number from lease)"""
        self.comes_to(f"{count} idle numbers", query, count, within_s=within_s)

    def calls(self, caller: str, call_id: str) -> Lease | None:
        """Begin an emergency call, as the routing code does."""
        with self.store() as connection:
            store = EdgeStore(connection)
            who = Caller(caller_key=caller, display_name=caller, contact_uri="sip:a@192.0.2.9", source_uri="sip:b")
            return store.begin_call(call_id, CallKind.EMERGENCY, who, store.pools(), clock.now())

    def hangs_up(self, call_id: str) -> None:
        with self.store() as connection:
            EdgeStore(connection).end_call(call_id, clock.now(), reason="bye")


def provisioning_above(database: Database) -> dict[str, dict[str, dict[str, Any]]]:
    """Every provisioning row of PostgreSQL, as an edge store should hold it: relation → key → row."""
    tables: dict[str, dict[str, dict[str, Any]]] = {relation: {} for relation in RELATIONS}
    with database.connect(db.AGENT) as connection:
        rows = connection.execute("select relation, row_key, row_data from changes_since(0, 1000000)").fetchall()
    for relation, key, row in rows:
        assert isinstance(relation, str)
        assert isinstance(key, str)
        if isinstance(row, dict):
            tables[relation][key] = {
                column: json.dumps(value)
                if isinstance(value, list)
                else int(value)
                if value in (True, False)
                else value
                for column, value in row.items()
            }
    return tables


def provisioning_here(node: EdgeNode) -> dict[str, dict[str, dict[str, Any]]]:
    """Every provisioning row of an edge store: relation → key → row."""
    with node.store() as connection:
        return {
            relation: {str(row[key]): dict(row) for row in connection.execute(f"select * from {relation}").fetchall()}
            for relation, key in RELATIONS.items()
        }


def leases_here(node: EdgeNode) -> list[dict[str, Any]]:
    with node.store() as connection:
        return [dict(row) for row in connection.execute("select * from lease order by id").fetchall()]


def leases_above(database: Database) -> list[dict[str, Any]]:
    """PostgreSQL's copies of node 1's leases, in the edge store's columns."""
    with database.connect(db.AGENT) as connection:
        rows = connection.execute("select to_jsonb(l) from leases_of_node(1) l order by id").fetchall()
    copies: list[dict[str, Any]] = []
    for (row,) in rows:
        assert isinstance(row, dict)
        own = {key: value for key, value in row.items() if key not in ("node_id", "store_id", "seq")}
        copies.append({**own, "shared": int(row["shared"])})
    return copies


def journal_above(database: Database, kind: str) -> list[dict[str, Any]]:
    """The payloads of one kind that PostgreSQL holds, in order."""
    with database.connect() as connection:
        rows = connection.execute("select payload from journal where kind = %s order by at, seq", (kind,)).fetchall()
    return [row[0] for row in rows if isinstance(row[0], dict)]


def same_above_and_here(database: Database, node: EdgeNode) -> None:
    """Wait until the edge store holds exactly what PostgreSQL has, and PostgreSQL the store's leases."""

    def same() -> bool:
        return provisioning_above(database) == provisioning_here(node) and leases_above(database) == leases_here(node)

    wait_until("both sides to be the same", same, within_s=10, why=lambda: node.log()[-1500:])
