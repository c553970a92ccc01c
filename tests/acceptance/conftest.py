"""One running node for all acceptance tests, healed after each, with phones of the test's own."""

from collections.abc import Iterator

import pytest

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
    ports = whole_system.ports.mark()
    yield whole_system
    for phone in whole_system.phones:
        if phone.running:
            phone.stop()
    for device in whole_system.devices:
        device.stop()
    whole_system.ports.give_back(ports)
    heal(whole_system)


def heal(system: System) -> None:
    """Start again what is down; as users were provisioned, they are again."""
    if not system.postgres.running:
        system.postgres.start()
    for name in ("rtpengine", "media", "controller", "agent", "kamailio"):
        if not getattr(system, name).running:
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
