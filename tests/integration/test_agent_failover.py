"""The primary is lost and its standby takes over, perhaps without the primary's last transactions."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast.plane import db
from integration.agents import EdgeNode, leases_above, provision, same_above_and_here
from integration.counting_nodes import running
from integration.postgres import Database, make
from lab.ports import Ports
from lab.postgres import PrivatePostgres, postgres_program
from lab.waiting import wait_until


@pytest.fixture
def primary() -> Iterator[PrivatePostgres]:
    with PrivatePostgres() as cluster:
        yield cluster


@pytest.fixture
def standby(primary: PrivatePostgres) -> Iterator[PrivatePostgres]:
    """A streaming copy of the primary."""
    cluster = PrivatePostgres()
    command = [postgres_program("pg_basebackup"), "-D", str(cluster.data), "-d", primary.dsn(), "-R", "-X", "stream"]
    subprocess.run([*command, "--no-sync", "-c", "fast"], check=True, timeout=30)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in [cluster.data, *cluster.data.rglob("*")]:
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    with cluster:
        yield cluster


def asks(postgres: PrivatePostgres, query: str) -> object:
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        answer = connection.execute(query.encode())
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None


def test_n1_after_a_failover_the_standby_is_followed_and_told_what_it_missed(
    primary: PrivatePostgres, standby: PrivatePostgres, tmp_path: Path, ports: Ports
) -> None:
    before, after = Database(primary, "failing_over"), Database(standby, "failing_over")
    make(before)
    provision(before)
    dsn = f"host={primary.folder},{standby.folder} port=5432,5432 dbname=failing_over user={db.AGENT}"
    with EdgeNode(tmp_path, dsn, ports) as node:
        node.start()
        node.has_idle(5)
        assert node.calls("first", "call-1")
        node.ships_everything()
        node.has_idle(5)
        cut_off(standby, primary)
        assert node.calls("second", "call-2")  # and a number is claimed for it, which the standby never hears of
        node.ships_everything()
        node.has_idle(5)
        assert len(leases_above(before)) == 2
        assert len(leases_above(after)) == 1

        primary.stop("immediate")
        wait_until("the standby to be found out", lambda: "standby that lags behind" in node.log(), within_s=10)
        assert node.asks("select count(*) from subscriber") == [(20,)]
        assert asks(standby, "select pg_promote()")
        wait_until("both leases to be known", lambda: len(leases_above(after)) == 2, within_s=15)
        node.ships_everything()
        node.has_idle(5)
        same_above_and_here(after, node)


def test_a9_after_a_failover_each_node_tells_the_standby_of_its_calls(
    primary: PrivatePostgres, standby: PrivatePostgres, tmp_path: Path, ports: Ports
) -> None:
    before, after = Database(primary, "failing_over"), Database(standby, "failing_over")
    make(before)
    provision(before)
    dsn = f"host={primary.folder},{standby.folder} port=5432,5432 dbname=failing_over user={db.AGENT}"
    with running(tmp_path, dsn, ports, poll_s=0.5) as (one, two):
        one.dials()
        two.comes_to_know_of(1)
        primary.stop("immediate")
        wait_until("the standby to be asked", lambda: "will not wake this agent" in two.edge.log(), within_s=10)
        assert two.knows_of() == 1
        with pytest.raises(psycopg.errors.FeatureNotSupported), after.connect() as reader:
            reader.execute("select from node_calls")
        assert asks(standby, "select pg_promote()")
        one.dials()
        two.comes_to_know_of(2, within_s=15)
        assert not [line for line in two.edge.log().splitlines() if "ERROR" in line and "0A000" in line]


def cut_off(standby: PrivatePostgres, primary: PrivatePostgres) -> None:
    """Let the standby come to where the primary is, and no further."""
    at = asks(primary, "select pg_current_wal_lsn()")
    wait_until(
        "the standby to follow", lambda: asks(standby, f"select pg_last_wal_replay_lsn() >= '{at}'"), within_s=10
    )
    asks(standby, "alter system set primary_conninfo = ''")
    asks(standby, "select pg_reload_conf()")
    wait_until(
        "the standby to be cut off",
        lambda: asks(standby, "select count(*) from pg_stat_wal_receiver") == 0,
        within_s=10,
    )
