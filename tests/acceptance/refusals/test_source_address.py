"""A6: with no code from the client the source address decides, by the table; where it is unreliable, a code is due."""

from collections.abc import Iterator

import pytest

from acceptance.refusals.internet_node import InternetNode, internet_node
from lab.layout import ALICE
from lab.sipp import Credentials, Outcome

DANISH, GERMAN, UNKNOWN, VPN, PRIVATE, CARRIER_NAT = (
    "5.0.0.13", "5.0.1.13", "5.0.2.13", "5.0.3.13", "10.0.0.13", "100.64.0.13",
)  # fmt: skip
LOOPBACK = "127.0.0.13"
#: What a careless operator might write into it: the last three say nothing all the same.
TABLE = """\
5.0.0.0/24,DK
5.0.1.0/24,DE
5.0.3.0/24,DK
10.0.0.0/24,DK
100.64.0.0/24,DK
127.0.0.13/32,DK
"""
AS_ALICE = Credentials(ALICE.name, ALICE.password)


@pytest.fixture(scope="module")
def node() -> Iterator[InternetNode]:
    with internet_node(TABLE, [DANISH, GERMAN, UNKNOWN, VPN, PRIVATE, CARRIER_NAT]) as running:
        yield running


def calls(node: InternetNode, address: str, dialled: str, code: int, headers: str = "") -> Outcome:
    """A call from there, which must end with this status: nobody answers behind the trunk, which makes it a 503."""
    values = {"number": dialled, "from": f"<sip:{ALICE.aor}>", "code": str(code), "headers": headers}
    outcome = node.device(address, "call_refused", values, None).run()
    assert outcome.ok, outcome.complaints
    return outcome


def decided(node: InternetNode) -> tuple[str, object]:
    """What the last call came to: the country that it goes as, or the reason that it does not go."""
    told = [(kind, said.get("country") or said.get("reason")) for kind, said in node.journal()
            if kind in ("call_started", "refusal")]  # fmt: skip
    return told[-1]


def test_a6_a_stranger_in_a_served_country_is_known_by_the_source_address(node: InternetNode) -> None:
    calls(node, DANISH, "112", 503)
    assert decided(node) == ("call_started", "DK")


def test_a6_a_source_address_in_a_country_that_is_not_served_is_refused(node: InternetNode) -> None:
    [refusal] = calls(node, GERMAN, "112", 403).answers()
    assert "Emergency calls from this country (DE) are not served" in refusal.one("Warning")
    assert decided(node) == ("refusal", "country_not_served")


@pytest.mark.parametrize("address", [UNKNOWN, VPN, PRIVATE, CARRIER_NAT, LOOPBACK])
def test_a6_an_unreliable_source_address_is_no_guess_and_the_code_is_required(node: InternetNode, address: str) -> None:
    [refusal] = calls(node, address, "112", 403).answers()
    assert "must send its country code" in refusal.one("Warning")
    assert decided(node) == ("refusal", "country_unknown")


def test_a6_the_clients_code_counts_before_the_source_address(node: InternetNode) -> None:
    calls(node, GERMAN, "911", 503, "X-Emergency-Country: US")
    assert decided(node) == ("call_started", "US")


def test_a6_a_registered_user_whose_tenant_requires_a_country_is_known_by_the_source_address(
    node: InternetNode,
) -> None:
    """And not by the tenant's own country."""
    registered = node.device(DANISH, "register", {}, AS_ALICE).run()
    assert registered.ok, registered.complaints
    calls(node, DANISH, "112", 503)
    assert decided(node) == ("call_started", "DK")
    assert [said["tenant_id"] for kind, said in node.journal() if kind == "call_started"][-1] == 1
