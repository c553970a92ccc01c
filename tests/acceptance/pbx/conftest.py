"""A tenant's PBX, a PSAP and the world beside it."""

import pytest

from acceptance.pbx.steps import Pbx
from lab.carriers import PBX, SCREENING, Carriers
from lab.sip_peer import SipPeer


@pytest.fixture
def pbx(world: Carriers) -> Pbx:
    """The PBX on its trunk."""
    return Pbx(world, world.peer(PBX))


@pytest.fixture
def centre(world: Carriers) -> SipPeer:
    """The screening centre, which takes calls whose location nobody knows."""
    return world.peer(SCREENING)


@pytest.fixture
def psap(world: Carriers) -> SipPeer:
    trunk = world.system.layout.trunks[0]
    return world.system.peer(trunk.address, trunk.port)
