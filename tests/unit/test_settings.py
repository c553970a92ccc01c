"""Every kind of wrong settings file gets one error that names the key and the mend."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import SettingsError
from holdfast.settings import DEFAULT_PATH, Media, Settings, from_document, load

NODE = '[node]\nname = "edge-1"\n'
WHOLE = """
[node]
name = "edge-1"
state_dir = "/var/lib/holdfast"
run_dir = "/run/holdfast"
[database]
dsn = "postgresql:///holdfast"
connect_timeout_s = 3
[sip]
domain = "example.org"
address = "192.0.2.1"
port = 5060
[media]
address = "::1"
sip_port = 5080
esl_password_file = "/etc/holdfast/esl-password"
rtp_first_port = 20000
rtp_last_port = 20000
[controller]
ring_s = 20
[agent]
poll_s = 5
retry_first_s = 0.5
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.toml"


def refused(path: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(path) in str(caught.value), "the file is named"
    assert caught.value.mend, "the mend is told"
    assert "\n" not in str(caught.value) + caught.value.mend, "one line each"
    return caught.value


def test_a_whole_file_is_read_into_typed_values(path: Path) -> None:
    path.write_text(WHOLE, encoding="utf-8")
    settings = load(path)
    assert settings.path == path
    assert settings.node.edge_store == Path("/var/lib/holdfast/edge.db")
    assert (settings.sip.address, settings.media.address, settings.sip.port) == ("192.0.2.1", "::1", 5060)
    assert isinstance(settings.agent.poll_s, float)
    assert settings.agent.poll_s == 5.0


def test_a_name_is_all_that_a_file_must_hold(path: Path) -> None:
    path.write_text(NODE, encoding="utf-8")
    assert load(path).node.name == "edge-1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://lis.example.com",
        "https://[2001:db8::1]:8443/holdfast/lis",
        "http://127.0.0.12:8090",
        "http://[::1]",
    ],
)
def test_a_location_uri_begins_with_a_url_that_can_stand_in_a_sip_header(path: Path, url: str) -> None:
    path.write_text(NODE + f'[api]\nlocation_base_url = "{url}"\n', encoding="utf-8")
    assert load(path).api.location_base_url == url


def test_settings_cannot_be_changed(path: Path) -> None:
    path.write_text(NODE, encoding="utf-8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(path).node.name = "other"  # type: ignore[misc]


def test_the_file_is_found_by_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(NODE, encoding="utf-8")
    monkeypatch.setenv("HOLDFAST_CONFIG", str(path))
    assert load().path == path
    monkeypatch.setenv("HOLDFAST_CONFIG", "")
    if not DEFAULT_PATH.exists():
        with pytest.raises(SettingsError, match=str(DEFAULT_PATH)):
            load()


def test_a_missing_file_is_named_with_the_way_to_name_another(path: Path) -> None:
    assert "HOLDFAST_CONFIG" in refused(path).mend


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[node\n",
        b"name = edge",
        b"[node]\nname = 'a'\nname = 'b'\n",
        b"[node]\nname = 'J\xf6rg'\n",  # Latin-1
        b"\xff\xfe[\x00n\x00",  # UTF-16
        b"\x00",
        b"[node]\nname = 'a'\nx = " + b"[" * 5000,
    ],
)
def test_what_is_no_toml_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    ("content", "named", "mend"),
    [
        ("", "[node]", "name"),
        ("[sip]\nport = 5060\n", "[node]", "name"),
        ("[node]\n", "[node]", "name"),
        ("node = 5\n", "node", "[node]"),
        ('node = "name"\n', "node", "[node]"),
        ('node = ["name"]\n', "node", "[node]"),
        ('[[node]]\nname = "edge-1"\n', "node", "[node]"),
        ('[node]\nname = ""\n', "node.name", ""),
        ("[node]\nname = 5\n", "node.name", ""),
        ("[node]\nname = true\n", "node.name", ""),
        ('[node]\nname = "a\\nb"\n', "node.name", ""),
        ('[node]\nname = "a\\"b"\n', "node.name", ""),
        ('[node]\nname = "a\\\\b"\n', "node.name", ""),
        ('[node]\nname = "a\\u0000b"\n', "node.name", ""),
        ('[node]\nname = "a\\u001bb"\n', "node.name", ""),
        ('[node]\nname = "a"\nstate_dir = ""\n', "node.state_dir", ""),
        ('[node]\nname = "a"\nstate_dir = "var"\n', "node.state_dir", "/"),
        ('[node]\nname = "a"\nstate_dir = 5\n', "node.state_dir", ""),
        ('[node]\nname = "a"\nedge_store = "/x"\n', "edge_store", "state_dir"),
        (NODE + "[nodes]\n", "[nodes]", "node"),
        (NODE + "x = 1\n[sip]\n", "'x'", "name"),
        (NODE + 'sip = "x"\n', "sip", ""),
        (NODE + "[sip]\nprot = 5060\n", "prot", "port"),
        (NODE + '[sip]\nport = "5060"\n', "sip.port", ""),
        (NODE + "[sip]\nport = 5060.0\n", "sip.port", ""),
        (NODE + "[sip]\nport = true\n", "sip.port", ""),
        (NODE + "[sip]\nport = 0\n", "sip.port", "65535"),
        (NODE + "[sip]\nport = -1\n", "sip.port", "65535"),
        (NODE + "[sip]\nport = 65536\n", "sip.port", "65535"),
        (NODE + "[sip]\nport = [5060]\n", "sip.port", ""),
        (NODE + "[sip]\nport = 2026-01-01\n", "sip.port", ""),
        (NODE + '[sip]\naddress = "localhost"\n', "sip.address", "address"),
        (NODE + '[sip]\naddress = "192.0.2.1:5060"\n', "sip.address", "address"),
        (NODE + '[sip]\naddress = ""\n', "sip.address", "address"),
        (NODE + '[sip]\ndomain = ""\n', "sip.domain", ""),
        (NODE + "[sip]\nworkers = 0\n", "sip.workers", "positive"),
        (NODE + "[database]\nconnect_timeout_s = 0\n", "database.connect_timeout_s", "positive"),
        (NODE + "[database]\nconnect_timeout_s = 0.5\n", "database.connect_timeout_s", ""),
        (NODE + "[media]\nrtp_first_port = 70000\n", "media.rtp_first_port", "65535"),
        (NODE + "[media]\nrtp_first_port = 30000\nrtp_last_port = 20000\n", "media.rtp_first_port", "rtp_last_port"),
        (NODE + '[kamailio]\nfallback_trunk = "192.0.2.1"\n', "kamailio.fallback_trunk", "sip:host:port"),
        (NODE + '[kamailio]\nrtpengine = "127.0.0.1"\n', "kamailio.rtpengine", "udp:"),
        (NODE + '[kamailio]\nhep_collector = "collector"\n', "kamailio.hep_collector", "host:port"),
        (NODE + '[media]\nlanguage = ""\n', "media.language", ""),
        (NODE + '[media]\nlanguage = "../../etc"\n', "media.language", ""),
        (NODE + '[media]\naddress = "media.example.org"\n', "media.address", "address"),
        (NODE + "[controller]\ncallback_attempts = 0\n", "controller.callback_attempts", "positive"),
        (NODE + "[agent]\npoll_s = 0\n", "agent.poll_s", ""),
        (NODE + "[agent]\npoll_s = -1.5\n", "agent.poll_s", ""),
        (NODE + "[agent]\npoll_s = nan\n", "agent.poll_s", ""),
        (NODE + "[agent]\npoll_s = inf\n", "agent.poll_s", ""),
        (NODE + '[agent]\npoll_s = "5"\n', "agent.poll_s", ""),
        (NODE + "[agent]\npoll_s = true\n", "agent.poll_s", ""),
        (NODE + '[api]\naddress = "lis.example.com"\n', "api.address", "address"),
        (NODE + "[api]\nlocation_valid_s = 0\n", "api.location_valid_s", "positive"),
        (NODE + '[api]\nlocation_base_url = "lis.example.com"\n', "api.location_base_url", "https://"),
        (NODE + '[api]\nlocation_base_url = "https://lis.example.com/"\n', "api.location_base_url", "/ at its end"),
        (NODE + '[api]\nlocation_base_url = "https://lis.example.com?x"\n', "api.location_base_url", "https://"),
        (NODE + '[api]\nlocation_base_url = "https://lis.example.com>;x=<y"\n', "api.location_base_url", "https://"),
        (NODE + '[api]\nlocation_base_url = "http://lis.example.com"\n', "api.location_base_url", "https://"),
        (NODE + '[api]\nlocation_base_url = "http://127.0.0.1.example.com"\n', "api.location_base_url", "https://"),
        (NODE + '[api]\nlocation_base_url = "https://me@lis.example.com"\n', "api.location_base_url", "https://"),
        (NODE + "[agent]\nretry_first_s = 20.0\nretry_last_s = 10.0\n", "agent.retry_first_s", "retry_last_s"),
        (NODE + "[agent]\noptions_every_s = -1\n", "agent.options_every_s", "0 for never"),
        (NODE + "[agent]\noptions_every_s = nan\n", "agent.options_every_s", "0 for never"),
        (NODE + "[agent]\noptions_every_s = 60.1\n", "agent.options_every_s", "0 to ask no trunk"),
    ],
)
def test_a_wrong_value_is_named_with_its_mend(path: Path, content: str, named: str, mend: str) -> None:
    path.write_text(content, encoding="utf-8")
    error = refused(path)
    assert named in str(error)
    assert mend in error.mend


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
_tables = [field.name for field in dataclasses.fields(Settings) if field.name != "path"]
_keys = ["name", "state_dir", "dsn", "address", "port", "workers", "sip_port", "poll_s", "language", "x", ""]
_documents = st.dictionaries(
    st.sampled_from([*_tables, "other"]),
    _values | st.dictionaries(st.sampled_from(_keys), _values, max_size=4),
    max_size=4,
)


@given(_documents)
def test_any_document_gives_settings_or_one_clear_error(document: dict[str, object]) -> None:
    path = Path("/etc/holdfast/holdfast.toml")
    error = None
    try:
        settings = from_document(document, path)
    except SettingsError as caught:
        error = caught
    if error is None:
        assert settings.node.name
    else:
        assert str(path) in str(error)
        assert error.mend


@pytest.mark.parametrize("content", [b"x" * 16, b"  Correct-horse-battery-staple\n"])
def test_the_event_sockets_password_is_read_from_its_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "esl-password"
    file.write_bytes(content)
    assert Media(esl_password_file=file).esl_password() == content.decode().strip()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"ClueCon\n",
        b"x" * 15,
        "pässword-long-enough".encode(),
        b"a" * 20 + b"\nb",
    ],
)
def test_a_password_file_that_will_not_do_is_named_with_the_mend(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "esl-password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Media(esl_password_file=file).esl_password()
    assert str(file) in str(caught.value)
    assert "esl_password_file" in str(caught.value)
    assert "holdfast render" in caught.value.mend
    assert content is None or len(content) < 10 or content.decode(errors="replace") not in str(caught.value)
