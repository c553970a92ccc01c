"""L1: the location behind a URI (RFC 6442, RFC 6753), served by a real `holdfast api`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from lxml import etree

from acceptance.devices import Device, device_of
from acceptance.location.told import (
    CIVIC,
    MULTIPART,
    PIDF,
    SAYS_WHERE,
    SDP,
    answered,
    example,
    on_the_wire,
    valid,
    with_document,
)
from lab.carriers import Carriers
from lab.layout import ALICE, LOCATIONS_AT, POOL_NUMBERS, TRUNK_GROUP
from lab.net import http_get
from lab.processes import Daemon, Program
from lab.sip_messages import SipMessage, parse_address
from lab.system import System
from lab.waiting import wait_until

HELD = "urn:ietf:params:xml:ns:geopriv:held"
HELD_TYPE = "application/held+xml"


@dataclass(frozen=True)
class LocationServer:
    """`holdfast api`, asked as if a proxy that speaks TLS stood before it."""

    system: System
    client: httpx.Client

    def get(self, uri: str, accept: str = "application/pidf+xml") -> httpx.Response:
        return self.client.get(self.path_of(uri), headers={"Accept": accept})

    def held(self, uri: str, inside: str = "") -> httpx.Response:
        """A locationRequest of RFC 5985."""
        body = f'<locationRequest xmlns="{HELD}">{inside}</locationRequest>'
        return self.client.post(self.path_of(uri), content=body, headers={"Content-Type": HELD_TYPE})

    @staticmethod
    def path_of(uri: str) -> str:
        assert uri.startswith(f"{LOCATIONS_AT}/location/")
        return uri.removeprefix(LOCATIONS_AT)


@pytest.fixture
def locations(world: Carriers) -> Iterator[LocationServer]:
    system = world.system
    api = system.settings.api
    program = Program(
        "holdfast api", system.holdfast.argv("api"), system.folder / "api.log", system.holdfast.environment
    )
    daemon = Daemon(program)
    daemon.start(lambda: http_get(f"http://127.0.0.1:{api.metrics_port}/metrics"))
    try:
        with httpx.Client(base_url=f"http://{api.address}:{api.port}", timeout=15.0) as client:
            yield LocationServer(system, client)
    finally:
        daemon.stop()


@pytest.fixture
def by_reference(world: Carriers) -> Carriers:
    world.provisioned("trunk-group", "set", TRUNK_GROUP, "--location", "reference")
    return world


def uris_of(invite: SipMessage) -> list[str]:
    """The location URIs of a call that carries nothing of its location but these."""
    assert invite.one("Content-Type") == "application/sdp"
    assert b"pidf" not in invite.raw.lower()
    assert invite.one("Geolocation-Routing") == "yes"
    return [parse_address(value).uri for value in invite.values("Geolocation")]


def call(alice: Device, scenario: str = "call", **values: str) -> SipMessage:
    psap = alice.system.trunk_callee("uas_answers", {}).start()
    answered(alice.sipp(scenario, "911", **values))
    [invite] = psap.wait().received("INVITE")
    return invite


def test_l1_the_uri_leads_to_a_valid_document_by_get_and_by_held(
    by_reference: Carriers, locations: LocationServer
) -> None:
    by_reference.provisioned("number", "set", ALICE.number, "--location", "austin", "--enhanced", "on")
    with device_of(by_reference.system, ALICE) as alice:
        invite = call(alice)
    [uri] = uris_of(invite)
    shown = invite.address("From").user
    assert shown in POOL_NUMBERS
    got = locations.get(uri)
    assert (got.status_code, got.headers["Content-Type"]) == (200, "application/pidf+xml")
    asked = etree.fromstring(locations.held(uri).content)
    assert asked.tag == f"{{{HELD}}}locationResponse"
    [presence] = asked
    for document in (got.content, etree.tostring(presence)):
        root = valid(document)
        assert root.tag == f"{{{PIDF}}}presence"
        assert root.get("entity").startswith(f"sip:{shown}@")
        assert [node.text for node in root.iter(f"{{{CIVIC}}}RD")] == ["Congress"]
        assert ALICE.name.encode() not in document.lower()
        assert ALICE.number[-10:].encode() not in document


def test_l1_the_uri_cannot_be_guessed_and_each_call_has_its_own(
    by_reference: Carriers, locations: LocationServer
) -> None:
    by_reference.provisioned("user", "set", ALICE.name, "--location", "austin")
    with device_of(by_reference.system, ALICE) as alice:
        [first], [second] = uris_of(call(alice)), uris_of(call(alice))
    tokens = [uri.rpartition("/")[2] for uri in (first, second)]
    assert tokens[0] != tokens[1]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22,}", token) for token in tokens), "128 bits at least"
    assert locations.get(first).status_code == 200
    almost = first[:-1] + ("A" if first[-1] != "A" else "B")
    assert locations.get(almost).status_code == 404


def test_l1_a_phones_location_goes_by_reference_too_and_kept_references_stand_before_it(
    by_reference: Carriers, locations: LocationServer
) -> None:
    headers = f"{SAYS_WHERE}, <https://lis.example.net/loc/7f3a9c>"
    with device_of(by_reference.system, ALICE) as alice:
        invite = call(
            alice, "call_with_body", content_type=MULTIPART, headers=headers, body=with_document(example("teams.xml"))
        )
    assert invite.body == on_the_wire(SDP)
    kept, ours = uris_of(invite)
    assert kept == "https://lis.example.net/loc/7f3a9c"
    root = valid(locations.get(ours).content)
    assert [node.text for node in root.iter(f"{{{CIVIC}}}LOC")] == ["Building 31"]
    assert b"fred@contoso" not in locations.get(ours).content


def test_n1_with_postgresql_down_the_call_goes_and_its_uri_is_served_later(
    by_reference: Carriers, locations: LocationServer
) -> None:
    by_reference.provisioned("user", "set", ALICE.name, "--location", "austin")
    system = by_reference.system
    with device_of(system, ALICE) as alice:
        system.postgres.stop()
        [uri] = uris_of(call(alice))
        assert locations.get(uri).status_code == 503
        system.postgres.start()
        system.wait_shipped()
        wait_until("the API to reach PostgreSQL again", lambda: locations.get(uri).status_code == 200, within_s=10)
        valid(locations.get(uri).content)
