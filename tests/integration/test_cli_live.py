"""What happens now: leases and calls of this node or as all nodes reported them, and Kamailio's registrations."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holdfast.edge import kamailio_rpc
from holdfast.edge import store as edge_store
from holdfast.plane import db
from integration.command import Command, on_node
from integration.postgres import Database
from integration.small_kamailio import register, small_kamailio
from integration.sql_rows import entry, lease_row, pool_number, provision, ship
from unit import edge_rows


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    return on_node(tmp_path, database)


def into_store(folder: Path, table: str, row: dict[str, Any]) -> None:
    with closing(edge_store.connect(folder / "edge.db")) as connection:
        edge_rows.row(connection, table, **row)


def test_a_nodes_leases_and_calls_are_read_from_its_edge_store_without_postgresql(
    holdfast: Command, tmp_path: Path
) -> None:
    now = time.time()
    into_store(tmp_path, "lease", lease_row("L1", pool_number(1), marked_at=now - 60))
    into_store(tmp_path, "lease", lease_row("L2", pool_number(2), marked_at=now - 5000, display_name="\x1b[2Jx"))
    into_store(tmp_path, "lease", lease_row("L3", pool_number(3), marked_at=now - 9000))
    call = {"call_id": "abc@phone", "lease_id": "L3", "kind": "emergency", "tenant_id": 1, "started_at": now - 9000}
    into_store(tmp_path, "emergency_call", call)
    leases = {lease["id"]: lease for lease in holdfast.json("lease", "list")}
    assert {name: lease["state"] for name, lease in leases.items()} == {"L1": "live", "L2": "resting", "L3": "live"}
    assert leases["L1"]["holder"] == "alice@example.com"
    assert (leases["L3"]["calls"], leases["L3"]["window_ends"]) == (1, None)
    ((shown),) = holdfast.json("lease", "show", pool_number(1))
    assert shown == leases["L1"]
    assert "\x1b" not in holdfast.ok("lease", "list")
    assert "\\x1b[2Jx" in holdfast.ok("lease", "list")
    (shown_call,) = holdfast.json("call", "list")
    assert (shown_call["call_id"], shown_call["number"]) == ("abc@phone", pool_number(3))
    assert "abc@phone" in holdfast.ok("call", "show", "abc@phone")
    assert "is not lent on this node" in holdfast.refused("lease", "show", "+13129999999")


def test_a_file_that_is_no_edge_store_is_refused(holdfast: Command, tmp_path: Path) -> None:
    (tmp_path / "edge.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert "edge.db" in holdfast.refused("lease", "list")


def test_all_nodes_leases_and_calls_are_read_from_postgresql(
    holdfast: Command, admin: db.Connection, database: Database
) -> None:
    provision(admin, pool_numbers=2)
    call = {"call_id": "c1", "kind": "emergency", "lease_id": "L2", "number": pool_number(2), "tenant_id": 1}
    with database.connect(db.AGENT) as agent:
        ship(agent, entry(1, "lease", lease_row("L1", pool_number(1))))
        ship(agent, entry(1, "lease", lease_row("L2", pool_number(2))), entry(2, "call_started", call), node=2)
    leases = holdfast.json("lease", "list", "--plane")
    assert {(one["node"], one["number"], one["calls"]) for one in leases} == {
        ("edge-1", pool_number(1), 0), ("edge-2", pool_number(2), 1),
    }  # fmt: skip
    assert [one["node"] for one in holdfast.json("call", "list", "--plane")] == ["edge-2"]
    assert [row["kind"] for row in holdfast.json("journal", "tail", "-n", "2")] == ["lease", "call_started"]
    assert "edge-2" in holdfast.ok("lease", "show", pool_number(2), "--plane")
    assert holdfast.json("pool", "show", "us")["use"][0]["held"] == 2


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_kamailio(tmp_path_factory.mktemp("kamailio")) as rpc_socket:
        yield rpc_socket


def test_registrations_are_asked_of_kamailio(holdfast: Command, kamailio: Path, tmp_path: Path) -> None:
    (tmp_path / "kamailio.rpc").symlink_to(kamailio)
    register(kamailio, "alice", "sip:alice@192.0.2.1:5060;transport=udp")
    register(kamailio, "alice", "sip:alice@192.0.2.2:5060;ob")
    register(kamailio, "bob", 'sip:bob@192.0.2.3;x="\x7fZoë"')
    assert [one["user"] for one in holdfast.json("registration", "list")] == ["alice", "alice", "bob"]
    contacts = {one["contact"] for one in holdfast.json("registration", "show", "alice@example.com")}
    assert contacts == {"sip:alice@192.0.2.1:5060;transport=udp", "sip:alice@192.0.2.2:5060;ob"}
    assert "\x7f" not in holdfast.ok("registration", "list")
    assert "carol is not registered" in holdfast.refused("registration", "show", "carol")


def test_registrations_of_more_users_than_one_full_answer_holds_are_listed(kamailio: Path) -> None:
    for index in range(500):
        register(kamailio, f"many{index}", f"sip:many{index}@192.0.2.1:5060;transport=udp")
    users = [user for user in kamailio_rpc.registered_users(kamailio) if user.startswith("many")]
    assert len(users) == 500
    assert len(kamailio_rpc.registrations(kamailio, users[0])) == 1


def test_an_unknown_rpc_command_is_refused_in_words(kamailio: Path) -> None:
    with pytest.raises(kamailio_rpc.KamailioRefused, match=r"refused no\.such: Method Not Found"):
        kamailio_rpc.call(kamailio, "no.such")


def test_a_kamailio_that_does_not_answer_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind(str(tmp_path / "rpc"))
        with pytest.raises(kamailio_rpc.KamailioUnavailable, match="did not answer"):
            kamailio_rpc.call(tmp_path / "rpc", "core.version", deadline_s=0.2)


def test_an_answer_to_something_else_or_of_nonsense_is_left_aside(tmp_path: Path) -> None:
    def answer(server: socket.socket) -> None:
        request, sender = server.recvfrom(65536)
        asked = request.decode().split('"id": ')[1].rstrip("}")
        for reply in (b"\xff\xfe", b"[1]", b'{"id": -1, "result": "wrong"}', b'{"id": %s, "result": "caf\xe9\x01"}'):
            server.sendto(reply.replace(b"%s", asked.encode()), sender)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "rpc"))
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        assert kamailio_rpc.call(tmp_path / "rpc", "core.version") == "caf\ufffd\x01"
