"""One running node for all acceptance tests, healed after each, with phones of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.carriers import Carriers
from lab.layout import ALICE, BOB
from lab.phones import Phone
from lab.system import System

WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="session")
def whole_system() -> Iterator[System]:
    with System(rtpengine=True) as system:
        yield system


@pytest.fixture
def system(whole_system: System) -> Iterator[System]:
    """The node, with every part running at the start of the test, whatever the one before took away."""
    with healed(whole_system):
        yield whole_system


@pytest.fixture(scope="session")
def whole_world() -> Iterator[Carriers]:
    with System(tls=True) as system:
        yield Carriers.provision(system)


@pytest.fixture
def world(whole_world: Carriers) -> Iterator[Carriers]:
    """A node of its own with more carriers and a PBX (lab.carriers), as it was provisioned at the start of the test."""
    with healed(whole_world.system):
        yield whole_world
    whole_world.reset()


@contextmanager
def healed(system: System) -> Iterator[None]:
    ports = system.ports.mark()
    yield
    for phone in system.phones:
        if phone.running:
            phone.stop()
    for device in system.devices:
        device.stop()
    for peer in system.peers:
        peer.close()
    system.ports.give_back(ports)
    heal(system)


def heal(system: System) -> None:
    """Start again what is down; as users were provisioned, they are again."""
    if not system.postgres.running:
        system.postgres.start()
    for name, daemon in system.daemons.items():
        if not daemon.running:
            system.restart(name)
    system.let_time_pass(WEEK_S)  # every number is idle again
    changed = system.edge_rows(
        "select username from subscriber"
        " where do_not_disturb or not inbound_enabled or not outbound_enabled or forward_to is not null"
    )
    for user in changed:
        as_usual = ("--dnd", "off", "--inbound", "on", "--outbound", "on", "--no-forward")
        system.holdfast.run("user", "set", user["username"], *as_usual)
    if changed:
        system.wait_synced()


@pytest.fixture
def alice(system: System) -> Phone:
    return system.phone(ALICE)


@pytest.fixture
def bob(system: System) -> Phone:
    return system.phone(BOB)


@pytest.fixture
def psap(system: System) -> Phone:
    """A PSAP that answers by itself, behind the first trunk."""
    return system.psap()
