"""A call waits for nothing but its node's store: deciding it opens no file and no socket, and writes nothing.

Python itself reports what it does to an audit hook (PEP 578), C code included; SQLite asks an authorizer.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from holdfast.core.place import Place, Shape, ShapeKind
from holdfast.edge.store import EdgeStore, connect
from holdfast.edge.store_facts import Incoming, facts_for, may_be_masked
from unit.edge_rows import row
from unit.routing_world import ADDRESS, OFFER_PSAP, TENANT_ID, World
from unit.test_decision_table import cases, places_of, world_of

#: What needs the world outside; importing a module that was not there before shows as "open".
_OUTSIDE = ("open", "socket.", "subprocess.", "os.", "shutil.", "sqlite3.connect", "urllib.", "time.sleep")
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_TRANSACTION}
_watching: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching is not None and event.startswith(_OUTSIDE):
        _watching.append(f"{event} {arguments!r:.80}")


sys.addaudithook(_audit)


@contextmanager
def alone_with(world: World) -> Iterator[None]:
    """Within it nothing may be asked of anybody but the store, and the store may only be read."""
    global _watching
    seen = _watching = []
    denied: list[int] = []

    def authorize(action: int, *_: object) -> int:
        if action in _READS:
            return sqlite3.SQLITE_OK
        denied.append(action)
        return sqlite3.SQLITE_DENY

    world.db.set_authorizer(authorize)
    try:
        yield
    finally:
        world.db.set_authorizer(None)
        _watching = None
    assert not seen
    assert not denied


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['row'].lower()}: {case['case']}")
def test_n1_deciding_reads_the_store_and_nothing_else(case: dict[str, str], tmp_path: Path) -> None:
    world = world_of(case, tmp_path)
    places, transfer_to = places_of(case), "" if case["transferred"] == "yes" else None
    with alone_with(world):
        world.decide(case["dialled"], places=places, signalled_country=case["client_country"], transfer_to=transfer_to)
        may_be_masked(world.store, case["dialled"])


def test_n1_a_place_by_boundary_a_mask_and_a_dial_plan_are_read_there_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.element("bssid", "00-11-22-aa-bb-cc", world.location(1))
    world.db.execute("update trunk_group set psap_method = 'boundary' where id = ?", (OFFER_PSAP,))
    row(world.db, "boundary", id=1, trunk_group_id=OFFER_PSAP, name="county", psap_uri="sip:county@example.org",
        polygons="[[[[29, -98], [32, -98], [32, -96], [29, -96], [29, -98]]]]", min_latitude=29, max_latitude=32,
        min_longitude=-98, max_longitude=-96)  # fmt: skip
    row(world.db, "policy", id=1, tenant_id=TENANT_ID, name="staff", usage="emergency")
    row(world.db, "policy_mask", id=1, policy_id=1, dialled="0911", sent="911")
    row(world.db, "dial_rule", id=1, tenant_id=TENANT_ID, prefix="5", strip=1, prepend="")
    world.set("tenant", policy_id=1)
    place = Place((), Shape(ShapeKind.POINT, ((30.0, -97.0),)), method="GPS")
    with alone_with(world):
        measured = world.planned("0911", places=(place,))
        attached = world.planned("5911", attachments=(("bssid", "00-11-22-aa-bb-cc"),))
    assert measured.hops[0].request_uri == "sip:county@example.org"
    assert attached.where
    assert attached.where.name == "location-1"


def test_every_look_of_one_decision_sees_the_same_revision(tmp_path: Path) -> None:
    """The agent may store another one in between: half of the one and half of the other would be no decision."""
    world = World(tmp_path)
    file = tmp_path / "edge.db"
    with closing(sqlite3.connect(file)) as copy:
        world.db.backup(copy)
        copy.execute("pragma journal_mode = wal")
    with closing(connect(file, create=False)) as ours, closing(connect(file, create=False)) as agents:
        incoming = Incoming(dialled="911", call_id="call-1", caller=world.alice(), address=ADDRESS)

        def country(_address: str) -> None:  # asked in the middle
            agents.execute("update platform_number set outbound_enabled = 0")

        facts = facts_for(EdgeStore(ours), incoming, world.network, country)
        assert facts
        assert facts.owns_outbound_number
        assert not EdgeStore(ours).owns_outbound_number(TENANT_ID), "the next call sees what is new"


@pytest.mark.parametrize("dialled", ["911", "0911", "5911"])
def test_every_look_goes_by_an_index_to_the_rows_it_wants(tmp_path: Path, dialled: str) -> None:
    """However many users, elements and rules there are: a tenant may have thousands of network elements."""
    world = World(tmp_path)
    world.element("subnet", "192.0.2.0/24", world.location(1))
    world.set("subscriber", confirmed_location_id=world.location(2))
    row(world.db, "policy", id=1, tenant_id=TENANT_ID, name="staff", usage="emergency")
    row(world.db, "policy_mask", id=1, policy_id=1, dialled="0911", sent="911")
    row(world.db, "dial_rule", id=1, tenant_id=TENANT_ID, prefix="5", strip=1, prepend="")
    world.set("tenant", policy_id=1)
    world.db.execute("update trunk_group set psap_method = 'boundary'")
    place = Place((), Shape(ShapeKind.POINT, ((30.0, -97.0),)), method="GPS")
    incoming = Incoming(
        dialled=dialled, call_id="call-1", caller=world.alice(), address=ADDRESS, places=(place,),
        attachments=(("bssid", "00-11-22-aa-bb-cc"), ("switch", "s")),
    )  # fmt: skip
    network, looks = world.network, list[str]()
    world.db.set_trace_callback(looks.append)
    assert facts_for(world.store, incoming, network, lambda _address: None)
    may_be_masked(world.store, dialled)
    world.db.set_trace_callback(None)
    plans = {
        detail: look for look in looks if look.startswith("select")
        for *_, detail in world.db.execute(f"explain query plan {look}").fetchall()
    }  # fmt: skip
    assert len(plans) > 10
    assert not {detail: look for detail, look in plans.items() if detail.startswith("SCAN")}
    assert any("kind=? AND element_key=?" in detail for detail in plans)
    assert any("country=? AND tenant_id=?" in detail for detail in plans)


def test_the_watch_itself_sees_files_sockets_and_writes(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(AssertionError), alone_with(world):
        (tmp_path / "file").touch()
    with pytest.raises(AssertionError), alone_with(world):
        __import__("socket").socket().close()
    with pytest.raises(sqlite3.DatabaseError), alone_with(world):
        world.set("tenant", country="DK")
