"""`holdfast doctor` finds what is wrong, names who is in the way, and says how to mend it."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast import settings as settings_file
from holdfast.commands import health_node, health_plane, health_services, listeners
from holdfast.commands.finding import Finding, Level
from holdfast.edge import store as edge_store
from holdfast.plane import db
from holdfast.settings import Media, Settings
from integration.command import Command, on_node
from integration.postgres import Database
from integration.sql_rows import entry, lease_row, pool_number, provision, ship
from lab.postgres import PrivatePostgres
from unit import edge_rows


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    return on_node(tmp_path, database)


@pytest.fixture
def settings(tmp_path: Path, postgres: PrivatePostgres) -> Settings:
    """A node's settings; only tests that ask for `database` have one."""
    return settings_file.load(on_node(tmp_path, Database(postgres, "none")).config)


@pytest.fixture
def with_plane(settings: Settings, database: Database) -> Settings:
    return replace(settings, database=replace(settings.database, dsn=database.dsn("holdfast_agent")))


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def one(findings: list[Finding], check: str) -> Finding:
    (finding,) = of(findings, check)
    return finding


def test_on_a_node_where_nothing_runs_every_failure_has_its_mend(holdfast: Command, admin: db.Connection) -> None:
    provision(admin)
    result = holdfast.run("doctor")
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    failures = [line for line in lines if line.startswith("FAIL")]
    assert all(" — " in line for line in failures)
    assert {line.split("  ")[1].strip() for line in failures} >= {
        "edge store", "kamailio", "media server", "controller", "agent", "prompts", "trunks",
    }  # fmt: skip
    assert lines[-1].startswith(f"{len(lines) - 1} checks: {len(failures)} failed")


def test_programs_get_the_same_findings_as_people(holdfast: Command, admin: db.Connection) -> None:
    provision(admin)
    found = json.loads(holdfast.run("doctor", "--json").stdout)
    assert {"check", "level", "message", "mend"} == set(found[0])
    assert {finding["level"] for finding in found} >= {"ok", "FAIL"}
    assert [finding for finding in found if finding["level"] != "ok" and not finding["mend"]] == []


def test_a_settings_file_that_is_wrong_is_all_there_is_to_say(holdfast: Command) -> None:
    holdfast.config.write_text('[node]\nname = "edge-1"\n[sip]\nport = 70000\n', encoding="utf-8")
    result = holdfast.run("doctor")
    assert result.exit_code == 2
    assert "FAIL  settings" in result.stdout
    assert "70000 is not a port" in result.stdout


# PostgreSQL


def plane(settings: Settings, revision: int | None = None) -> list[Finding]:
    return list(health_plane.check_plane(settings, "", revision))


def test_a_sound_plane_is_ok_in_every_respect(with_plane: Settings, admin: db.Connection, database: Database) -> None:
    provision(admin)
    admin.execute("update node set sip_address = '127.0.0.1', sip_port = 5060 where name = 'edge-1'")
    admin.execute(
        """insert into trunk (trunk_group_id, name, host, source_addresses)
           values (1, 'psap-1', 'psap.example', '{192.0.2.7}')"""
    )
    with database.connect(db.AGENT) as agent:
        rows: list[Any] = agent.execute("select max(revision) from changes_since(0, 1000)").fetchall()
    findings = plane(with_plane, rows[0][0])
    assert [finding for finding in findings if finding.level is not Level.OK] == []
    assert {finding.check for finding in findings} == {
        "postgresql", "schema", "agent role", "node", "clock", "sync", "trunks",
    }  # fmt: skip


def test_a_plane_in_trouble_is_explained(with_plane: Settings, database: Database, admin: db.Connection) -> None:
    provision(admin, pool_numbers=1)
    with database.connect("postgres") as superuser, database.connect(db.AGENT) as agent:
        superuser.execute("delete from schema_migration")
        superuser.execute("revoke execute on function claim_numbers from holdfast_agent")
        superuser.execute("update node set name = 'edge-9' where name = 'edge-1'")
        now = time.time()
        ship(agent, entry(1, "lease", lease_row("L1", pool_number(1), marked_at=now - 9)), node=1)
        ship(agent, entry(1, "lease", lease_row("L2", pool_number(1), marked_at=now)), node=2)
    findings = plane(with_plane, 0)
    assert "but this Holdfast needs" in one(findings, "schema").message
    assert "may not call claim_numbers" in one(findings, "agent role").message
    assert "knows no node edge-1" in one(findings, "node").message
    assert one(findings, "sync").level is Level.WARN
    assert "edge-2 and edge-9 lent +13120000001 at once" in one(findings, "leases").message
    assert "no enabled trunk" in one(findings, "trunks").message


def test_n1_without_postgresql_doctor_says_that_calls_go_on(settings: Settings, tmp_path: Path) -> None:
    gone = replace(settings, database=replace(settings.database, dsn=f"host={tmp_path} dbname=holdfast"))
    (finding,) = plane(gone, 5)
    assert finding.level is Level.FAIL
    assert "calls go on without it" in finding.message
    assert "start it" in finding.mend


# The edge store


@pytest.fixture
def store(settings: Settings) -> Iterator[Any]:
    with closing(edge_store.connect(settings.node.edge_store)) as connection:
        connection.execute("update store set caught_up = 1, node_id = 1, revision = 7")
        connection.execute("insert into trunk_group (id, name, emergency, ordinary) values (1, 'psap', 1, 0)")
        connection.execute(
            """insert into trunk (id, trunk_group_id, name, host, port, transport, priority, weight, source_addresses,
                                  enabled) values (1, 1, 'psap-1', 'h', 5060, 'udp', 1, 1, '["192.0.2.7"]', 1)"""
        )
        connection.execute(
            """insert into pool (id, name, trunk_group_id, country, window_s, rest_s, target_idle)
               values (1, 'us', 1, 'US', 3600, 3600, 2)"""
        )
        for index in (1, 2):
            connection.execute("insert into pool_number values (?, 1, 0, 1, 's')", (pool_number(index),))
            connection.execute("insert into number_state (number, rested_since) values (?, 0)", (pool_number(index),))
        yield connection


def put_lease(store: Any, **changed: Any) -> None:
    edge_rows.row(store, "lease", **lease_row("L1", pool_number(1), **changed))


@pytest.mark.usefixtures("store")
def test_a_sound_edge_store_is_ok_in_every_respect(settings: Settings) -> None:
    findings, revision = health_node.check_store(settings)
    assert [finding for finding in findings if finding.level is not Level.OK] == []
    assert revision == 7
    assert one(findings, "pools").message == "pool us: 2 idle of 2 wanted, 0 live, 0 resting"


def caught_up(store: Any) -> None:
    store.execute("update store set caught_up = 0")


def old_journal(store: Any) -> None:
    store.execute("insert into journal (at, kind, payload) values (?, 'alarm', '{}')", (time.time() - 600,))


def refused_journal(store: Any) -> None:
    store.execute("insert into journal_refused values (1, 0, 'alarm', '{}', 0, '23514')")


def one_lent(store: Any) -> None:
    put_lease(store)


def all_gone(store: Any) -> None:
    store.execute("delete from number_state")


def lease_of_tomorrow(store: Any) -> None:
    put_lease(store, marked_at=time.time() + 86400)


def no_pool(store: Any) -> None:
    store.execute("delete from pool")


def no_trunk(store: Any) -> None:
    store.execute("update trunk set enabled = 0")


@pytest.mark.parametrize(
    ("harm", "check", "level", "message"),
    [
        (caught_up, "edge store", Level.FAIL, "does not hold the whole provisioning"),
        (old_journal, "journal", Level.WARN, "1 rows wait to be shipped, the oldest for 6"),
        (refused_journal, "journal", Level.WARN, "took 1 rows not at all"),
        (one_lent, "pools", Level.WARN, "1 idle of 2 wanted, 1 live"),
        (all_gone, "pools", Level.FAIL, "0 idle of 2 wanted"),
        (lease_of_tomorrow, "leases", Level.FAIL, "this node's clock was set back"),
        (no_pool, "pools", Level.FAIL, "there are no pools"),
        (no_trunk, "pools", Level.FAIL, "no trunk for emergency calls"),
    ],
)
def test_an_edge_store_in_trouble_is_explained(
    settings: Settings, store: Any, harm: Callable[[Any], None], check: str, level: Level, message: str
) -> None:
    harm(store)
    findings, _ = health_node.check_store(settings)
    (found,) = [finding for finding in findings if finding.level is level]
    assert found.check == check
    assert message in found.message
    assert found.mend


def test_an_edge_store_that_another_process_will_not_let_go_is_found(settings: Settings, store: Any) -> None:
    store.execute("begin immediate")
    findings, _ = health_node.check_store(settings)
    assert "cannot be written" in of(findings, "edge store")[1].message


def test_a_folder_that_is_missing_is_found(settings: Settings) -> None:
    gone = replace(settings, node=replace(settings.node, state_dir=Path("/missing")))
    assert health_node.check_disk(gone).level is Level.FAIL
    assert health_node.check_disk(settings).level in (Level.OK, Level.WARN)


# Ports and the media server


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "tcp", "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "udp", "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "udp", "0.0.0.0"),
        (socket.AF_INET6, socket.SOCK_STREAM, "tcp", "::1"),
    ],
)
def test_a_port_that_somebody_else_holds_is_found_with_program_and_pid(
    settings: Settings, family: int, kind: int, protocol: str, address: str
) -> None:
    with socket.socket(family, kind) as mine:
        mine.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            mine.listen()
        port = mine.getsockname()[1]
        asked = "127.0.0.1" if address == "0.0.0.0" else address
        holder = listeners.on(listeners.listeners(), protocol, asked, port)
        assert holder is not None
        assert (holder.pid, holder.port) == (os.getpid(), port)
        taken = replace(
            settings,
            sip=replace(settings.sip, address=asked, port=port),
            controller=replace(settings.controller, address=asked, port=port),
        )
        held = [finding for finding in health_services.check_ports(taken) if f":{port}/{protocol}" in finding.message]
        assert held
        assert all(f"(pid {os.getpid()})" in finding.message and finding.level is Level.FAIL for finding in held)
    assert listeners.on(listeners.listeners(), protocol, asked, port) is None


@contextmanager
def event_socket(answers: dict[bytes, bytes], greeting: bytes = b"Content-Type: auth/request\n\n") -> Iterator[int]:
    """A media server's event socket in little; yields its port. A command that it does not know fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            # the doctor hangs up once it has heard enough
            with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
                connection.sendall(greeting)
                for line in lines:
                    if line != b"\n":
                        connection.sendall(answers[line.strip()])

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
REFUSED = b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n"
STATUS = b"Content-Type: api/response\nContent-Length: 6\n\nUP 0 y"
PASSWORD = "a-password-of-32-characters-here"


def media(settings: Settings, port: int) -> Settings:
    settings.media.esl_password_file.write_text(PASSWORD, encoding="ascii")
    return replace(settings, media=replace(settings.media, esl_port=port))


def test_a_media_server_that_answers_is_ok(settings: Settings) -> None:
    with event_socket({f"auth {PASSWORD}".encode(): ACCEPTED, b"api status": STATUS}) as port:
        assert health_services.check_media(media(settings, port)).level is Level.OK


def test_a_media_server_that_refuses_the_password_is_found(settings: Settings) -> None:
    with event_socket({f"auth {PASSWORD}".encode(): REFUSED}) as port:
        finding = health_services.check_media(media(settings, port))
    assert (finding.level, "refuses our password" in finding.message) == (Level.FAIL, True)
    assert PASSWORD not in f"{finding.message}{finding.mend}"


def test_n1_a_media_server_that_stalls_is_found_in_seconds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_services, "_MEDIA_WITHIN_S", 0.3)
    with event_socket({}, greeting=b"") as port:
        finding = health_services.check_media(media(settings, port))
    assert "does not answer" in finding.message


def test_no_media_server_and_no_password_are_found(settings: Settings) -> None:
    assert "esl_password_file" in health_services.check_media(settings).message
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "is closed" in health_services.check_media(media(settings, port)).message


def test_prompts_are_looked_at_as_the_controller_does(settings: Settings, real_prompts: Path) -> None:
    assert health_services.check_prompts(settings).level is Level.FAIL
    spoken = replace(settings, media=Media(prompts_dir=real_prompts))
    assert health_services.check_prompts(spoken).level is Level.OK
    danish = replace(settings, media=Media(prompts_dir=real_prompts, language="da"))
    assert health_services.check_prompts(danish).level is Level.WARN
