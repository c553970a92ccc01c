"""SIP over TLS in the settings file, and what is rendered for Kamailio of it."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from holdfast import render
from holdfast.errors import SettingsError
from holdfast.settings import Settings, from_document
from lab.certificates import Authority, Certificate

DOCS = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tls"), "ca.invalid")


@pytest.fixture(scope="module")
def shown(authority: Authority) -> Certificate:
    return authority.sign("edge.invalid", "edge.invalid")


def settings(tmp_path: Path, **sip: Any) -> Settings:
    values = {name: str(value) if isinstance(value, Path) else value for name, value in sip.items()}
    node = {"name": "edge-1", "state_dir": str(tmp_path), "run_dir": str(tmp_path)}
    return from_document({"node": node, "sip": values}, tmp_path / "holdfast.toml")


def rendered(tmp_path: Path, **sip: Any) -> str:
    """The #!defines."""
    out = tmp_path / "kamailio.cfg"
    render.kamailio(settings(tmp_path, **sip), out)
    return out.read_text(encoding="utf-8")


def tls(shown: Certificate, **more: Any) -> dict[str, Any]:
    return {"tls_port": 5061, "tls_certificate": shown.file, "tls_private_key": shown.key, **more}


def refused(tmp_path: Path, **sip: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        render.kamailio(settings(tmp_path, **sip), tmp_path / "kamailio.cfg")
    assert caught.value.mend
    return caught.value


def test_without_a_port_no_tls_is_spoken_whatever_else_is_set(tmp_path: Path, shown: Certificate) -> None:
    assert not settings(tmp_path).sip.speaks_tls
    assert "LISTEN_TLS" not in rendered(tmp_path, **tls(shown, tls_port=0))
    assert not (tmp_path / "tls.cfg").exists()


def test_a_server_asks_for_a_certificate_and_takes_any_and_a_client_verifies_the_servers(
    tmp_path: Path, shown: Certificate, authority: Authority
) -> None:
    text = rendered(tmp_path, **tls(shown, address="192.0.2.1", tls_ca_file=authority.own.file))
    assert "#!define LISTEN_TLS tls:192.0.2.1:5061\n" in text
    assert f'#!define TLS_CONFIG "{tmp_path}/tls.cfg"\n' in text
    server, client = (tmp_path / "tls.cfg").read_text(encoding="utf-8").split("\n\n")
    for part in (server, client):
        assert "method = TLSv1.2+" in part
        assert f'certificate = "{shown.file}"\nprivate_key = "{shown.key}"\nca_list = "{authority.own.file}"' in part
    assert server.splitlines()[-1] == "verify_client = optional_no_ca"
    assert client.splitlines()[-2:] == ["verify_certificate = yes", "require_certificate = yes"]


def test_without_authorities_no_servers_certificate_is_verified(tmp_path: Path, shown: Certificate) -> None:
    rendered(tmp_path, **tls(shown))
    text = (tmp_path / "tls.cfg").read_text(encoding="utf-8")
    assert "ca_list" not in text
    assert "verify_certificate = no" in text


@pytest.mark.parametrize("missing", ["tls_certificate", "tls_private_key"])
def test_a_port_wants_a_certificate_and_its_key(tmp_path: Path, shown: Certificate, missing: str) -> None:
    assert missing in str(refused(tmp_path, **tls(shown, **{missing: ""})))


def test_what_cannot_be_used_is_refused_with_the_file_that_is_wrong(
    tmp_path: Path, shown: Certificate, authority: Authority
) -> None:
    other = authority.sign("other.invalid")
    garbage, encrypted = tmp_path / "garbage", tmp_path / "encrypted"
    garbage.write_text("no certificate")
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    garbage.chmod(0o640)
    encrypted.chmod(0o600)
    for changed in (
        {"tls_private_key": other.key},
        {"tls_private_key": tmp_path / "none"},
        {"tls_private_key": encrypted},
        {"tls_certificate": garbage},
        {"tls_certificate": tmp_path / "none"},
    ):
        error = refused(tmp_path, **tls(shown, **changed))
        assert str(next(iter(changed.values()))) in str(error), changed
    for file in (garbage, tmp_path / "none"):
        error = refused(tmp_path, **tls(shown, tls_ca_file=file))
        assert str(error).startswith(f"sip.tls_ca_file: {file}: ")


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path, authority: Authority) -> None:
    open_to_all = authority.sign("open.invalid")
    open_to_all.key.chmod(0o644)
    assert "open to every user" in str(refused(tmp_path, **tls(open_to_all)))


@pytest.mark.parametrize("value", [-1, 65536, True, 5061.0, "5061", 5060])
def test_a_port_is_a_port_or_none_and_another_than_tcps(tmp_path: Path, shown: Certificate, value: object) -> None:
    error = refused(tmp_path, **tls(shown, tls_port=value))
    assert "sip.tls_port" in str(error)


@pytest.mark.parametrize("value", ["relative/cert.pem", 7, True])
def test_a_path_is_absolute_or_none(tmp_path: Path, value: object) -> None:
    assert "sip.tls_ca_file" in str(refused(tmp_path, tls_ca_file=value))


def test_the_whole_file_of_the_documentation_is_every_default() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    document = tomllib.loads(text)
    told = from_document(document, DOCS)
    assert dataclasses.asdict(told) == dataclasses.asdict(from_document({"node": {"name": "edge-1"}}, DOCS))
    for table in dataclasses.fields(Settings):
        if table.name != "path":
            known = {key.name for key in dataclasses.fields(table.type)}  # type: ignore[arg-type]
            assert set(document[table.name]) == known, f"[{table.name}]"
