"""Network elements are stored as edge nodes look them up, however they were typed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.access import attachments
from holdfast.errors import InputError
from holdfast.plane.network_elements import canonical_key


@pytest.mark.parametrize(
    ("kind", "typed", "stored"),
    [
        ("subnet", "192.0.2.0/24", "192.0.2.0/24"),
        ("subnet", "192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("subnet", "10.0.0.0/8", "10.0.0.0/8"),
        ("subnet", "192.0.2.7", "192.0.2.7/32"),
        ("subnet", "2001:DB8:0::/32", "2001:db8::/32"),
        ("subnet", "2001:db8::1", "2001:db8::1/128"),
        ("subnet", "::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("bssid", "00:11:22:AA:BB:CC", "00-11-22-aa-bb-cc"),
        ("bssid", "00-11-22-aa-bb-cc", "00-11-22-aa-bb-cc"),
        ("bssid", "0011.22aa.bbcc", "00-11-22-aa-bb-cc"),
        ("bssid", "001122AABBCC", "00-11-22-aa-bb-cc"),
        ("switch", "sw-1.hq_2:0", "sw-1.hq_2:0"),
        ("switch_port", "sw-1/Gi1/0/24", "sw-1/Gi1/0/24"),
    ],
)
def test_a_key_is_stored_in_one_spelling(kind: str, typed: str, stored: str) -> None:
    assert canonical_key(kind, typed) == stored
    assert canonical_key(kind, stored) == stored


@pytest.mark.parametrize(
    ("kind", "typed", "said"),
    [
        ("subnet", "192.0.2.7/24", "192.0.2.7/24 is an address within a subnet"),
        ("subnet", "2001:db8::1/64", "is an address within a subnet"),
        ("subnet", "::ffff:192.0.2.7/120", "192.0.2.7/24 is an address within a subnet"),
        ("subnet", "0.0.0.0/0", "0.0.0.0/0 is half the world"),
        ("subnet", "128.0.0.0/1", "is half the world"),
        ("subnet", "2000::/3", "is half the world"),
        ("subnet", "224.0.0.0/8", "no device has an address in 224.0.0.0/8"),
        ("subnet", "::192.0.2.0/120", "no device has an address in"),
        ("subnet", "192.0.2.0/33", "is not a subnet"),
        ("subnet", "fe80::1%eth0", "is not a subnet"),
        ("subnet", "office", "'office' is not a subnet"),
        ("bssid", "00:11:22:aa:bb", "is not a BSSID"),
        ("bssid", "00:11-22:aa:bb:cc", "is not a BSSID"),
        ("bssid", "00:11:22:aa:bb:cg", "is not a BSSID"),
        ("bssid", "ff:ff:ff:ff:ff:ff", "is no access point's"),
        ("bssid", "01:00:5e:00:00:01", "is no access point's"),
        ("bssid", "00:00:00:00:00:00", "is no access point's"),
        ("switch", "sw 1", "is not a switch's chassis id"),
        ("switch", "sw-1/24", "is not a switch's chassis id"),
        ("switch_port", "sw-1", "is not a switch's port"),
        ("switch_port", "sw-1/", "is not a switch's port"),
        ("switch_port", "sw-1/a b", "is not a switch's port"),
    ],
)
def test_a_key_that_no_device_can_have_is_refused(kind: str, typed: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        canonical_key(kind, typed)
    assert said in str(refused.value)
    assert refused.value.mend


@given(st.integers(8, 32), st.integers(0, 2**32 - 1))
def test_every_subnet_is_stored_as_a_callers_address_is_looked_up(length: int, number: int) -> None:
    address = ipaddress.IPv4Address(number)
    looked_up = str(ipaddress.ip_network((address, length), strict=False))
    if not address.is_multicast:
        assert canonical_key("subnet", looked_up) == looked_up


def test_o3_what_a_device_says_of_its_access_point_meets_what_was_typed() -> None:
    said = attachments('IEEE-802.11; i-wlan-node-id="0011.22AA.BBCC"')
    assert said == (("bssid", canonical_key("bssid", "00:11:22:aa:bb:cc")),)


def test_o3_what_a_device_says_of_its_switch_meets_what_was_typed() -> None:
    said = attachments('IEEE-802.3; eth-location="sw-1/Gi1/0/24"')
    assert said == (
        ("switch_port", canonical_key("switch_port", "sw-1/Gi1/0/24")), ("switch", canonical_key("switch", "sw-1")),
    )  # fmt: skip
