"""The names that a certificate is for, out of real certificates, and nothing out of what is none."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.certificate import host_names
from lab.certificates import Authority

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tls"), "ca.invalid")


def pem(file: Path) -> str:
    return file.read_text(encoding="ascii")


def test_every_dns_name_counts_in_any_case_and_then_the_common_name_does_not(authority: Authority) -> None:
    """RFC 6125 section 6.4.4."""
    signed = authority.sign("cn.acme.invalid", "One.acme.invalid", "two.acme.invalid", "*.acme.invalid")
    assert host_names(pem(signed.file)) == {"one.acme.invalid", "two.acme.invalid", "*.acme.invalid"}


def test_without_dns_names_the_common_name_counts(authority: Authority) -> None:
    assert host_names(pem(authority.sign("CN.acme.invalid").file)) == {"cn.acme.invalid"}
    assert host_names(pem(authority.own.file)) == {"ca.invalid"}


def test_of_several_certificates_the_first_counts(authority: Authority) -> None:
    chain = pem(authority.sign("a.invalid").file) + pem(authority.own.file)
    assert host_names(chain) == {"a.invalid"}


@pytest.mark.parametrize("text", ["", "x", PEM.format(""), PEM.format("AAAA"), PEM.format("!"), "A" * 30_000])
def test_what_is_no_certificate_has_no_names(text: str) -> None:
    assert host_names(text) == frozenset()


def test_a_certificate_that_was_cut_off_or_bent_anywhere_is_read_without_an_error(authority: Authority) -> None:
    der = base64.b64decode("".join(pem(authority.sign("a.invalid", "b.invalid").file).splitlines()[1:-1]))
    for at in range(len(der)):
        for bent in (der[:at], der[:at] + bytes([der[at] ^ 0xFF]) + der[at + 1 :]):
            host_names.__wrapped__(PEM.format(base64.b64encode(bent).decode()))


@given(st.binary(max_size=300))
def test_no_bytes_at_all_raise(data: bytes) -> None:
    host_names.__wrapped__(PEM.format(base64.b64encode(data).decode()))
