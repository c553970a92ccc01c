"""`holdfast api` while PostgreSQL is down, silent, or not yet made; and how it starts and stops."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from holdfast.plane import db
from integration.location_api import ApiServer, Reference, error_code
from integration.postgres import Database, make
from integration.sql_rows import provision
from lab.ports import Ports
from lab.postgres import PrivatePostgres
from lab.waiting import wait_until


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PrivatePostgres]:
    """A cluster that may be stopped and killed."""
    with PrivatePostgres() as cluster:
        yield cluster


@pytest.fixture
def plane(own_postgres: PrivatePostgres) -> Database:
    if not own_postgres.running:
        own_postgres.start()
    database = Database(own_postgres, "plane")
    make(database)
    with database.connect() as admin:
        provision(admin)
    return database


@pytest.fixture
def api(plane: Database, tmp_path: Path, ports: Ports) -> Iterator[ApiServer]:
    with ApiServer(tmp_path, plane.dsn(db.AGENT), ports) as server:
        yield server


def comes_back(api: ApiServer, one: Reference) -> None:
    wait_until("the location again", lambda: api.get(one.token).status_code == 200, within_s=10)


def is_sent_away(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["cache-control"] == "no-store"
    assert error_code(answer) == "generalLisError"


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_while_postgresql_is_down_everybody_is_told_to_come_again_and_then_served(
    api: ApiServer, plane: Database, end: str
) -> None:
    one = Reference().reported(plane)
    assert api.get(one.token).status_code == 200
    if end == "stopped":
        plane.postgres.stop()
    else:
        plane.postgres.kill()
    for token in (one.token, secrets.token_urlsafe(24)):
        is_sent_away(api.get(token))
        is_sent_away(api.held(token))
    assert api.dereferences("unavailable") == 4
    assert api.metrics()["holdfast_api_postgres_failures_total"] >= 4
    plane.postgres.start()
    comes_back(api, one)
    # what is wrong is said once, and that it is over
    assert "PostgreSQL answers again" in api.daemon.log()
    assert api.daemon.log().count("locations cannot be looked up") <= 3
    assert one.token not in api.daemon.log()


def test_connections_that_died_unseen_cost_nobody_an_answer(api: ApiServer, plane: Database) -> None:
    one = Reference().reported(plane)
    assert api.get(one.token).status_code == 200
    plane.postgres.restart()
    assert api.get(one.token).status_code == 200
    with psycopg.connect(plane.dsn("postgres"), autocommit=True) as superuser:
        superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast-api'"
        )
    assert api.get(one.token).status_code == 200


def test_a_postgresql_that_falls_silent_is_given_up_in_time(api: ApiServer, plane: Database) -> None:
    one = Reference().reported(plane)
    assert api.get(one.token).status_code == 200
    with psycopg.connect(plane.dsn("postgres"), autocommit=True) as superuser:
        row = superuser.execute("select pid from pg_stat_activity where application_name = 'holdfast-api'").fetchone()
        assert row is not None
    backend = int(row[0])
    plane.postgres.daemon.freeze()
    os.kill(backend, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        is_sent_away(api.get(one.token))
        assert time.monotonic() - begun < 8
    finally:
        os.kill(backend, signal.SIGCONT)
        plane.postgres.daemon.thaw()
    comes_back(api, one)


def test_a_lock_on_the_table_holds_nobody_for_ever(api: ApiServer, plane: Database) -> None:
    one = Reference().reported(plane)
    with psycopg.connect(plane.dsn("postgres")) as superuser:
        superuser.execute("lock table location_reference in access exclusive mode")
        is_sent_away(api.get(one.token))
    comes_back(api, one)
    assert "statement timeout" in api.daemon.log()


def test_it_starts_before_its_database_is_made(own_postgres: PrivatePostgres, tmp_path: Path, ports: Ports) -> None:
    if not own_postgres.running:
        own_postgres.start()
    late = Database(own_postgres, "late")
    with psycopg.connect(own_postgres.dsn(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(late.name)))
    with ApiServer(tmp_path, late.dsn(db.AGENT), ports) as server:
        one = Reference()
        is_sent_away(server.get(one.token))
        make(late)
        with late.connect() as admin:
            provision(admin)
        one.reported(late)
        comes_back(server, one)


def test_it_ends_with_status_0_when_it_is_told_to_stop(api: ApiServer) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        api.daemon.send(number)
        assert api.daemon.wait(within_s=10) == 0
        api.daemon.start(lambda: bool(api.metrics()))


@pytest.mark.parametrize("taken", ["port", "metrics_port"])
def test_a_port_that_is_taken_is_named_with_the_mend(api: ApiServer, tmp_path: Path, ports: Ports, taken: str) -> None:
    ours = {"port": ports.one(), "metrics_port": ports.one(), taken: getattr(api, taken)}
    config = tmp_path / "second.toml"
    config.write_text('[node]\nname = "edge-1"\n[api]\n' + "".join(f"{key} = {value}\n" for key, value in ours.items()))
    ended = subprocess.run(
        [sys.executable, "-m", "holdfast.cli", "--config", str(config), "api"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"{getattr(api, taken)}" in ended.stderr
    assert " — " in ended.stderr
    assert "Traceback" not in ended.stderr
