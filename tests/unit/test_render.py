"""The FreeSWITCH configuration and the ESL password as they are rendered. On a real FreeSWITCH: tests/integration."""

import os
import stat
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast import render, settings
from holdfast.errors import SettingsError
from holdfast.settings import Settings


def make(tmp_path: Path, **tables: dict[str, object]) -> Settings:
    """Settings whose files all lie below tmp_path; `tables` override single keys."""
    document: dict[str, dict[str, object]] = {
        "node": {"name": "edge-1", "state_dir": str(tmp_path / "state"), "run_dir": str(tmp_path / "run")},
        "media": {"esl_password_file": str(tmp_path / "esl-password"), "prompts_dir": str(tmp_path / "prompts")},
    }
    for table, values in tables.items():
        document.setdefault(table, {}).update(values)
    return settings.from_document(document, tmp_path / "holdfast.toml")


def variables(out_dir: Path) -> dict[str, str]:
    """What vars.xml presets, as FreeSWITCH reads it: the attribute unparsed, parsed once where it is used."""
    found = {}
    for element in ElementTree.fromstring((out_dir / "vars.xml").read_text("utf-8")):
        name, _, value = element.attrib["data"].partition("=")
        found[name] = value
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_password_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    config = make(tmp_path)
    password = render.esl_password(config)
    assert len(password) >= 32
    assert password.isascii()
    assert mode(config.media.esl_password_file) == 0o600
    assert render.esl_password(config) == password
    assert [path.name for path in tmp_path.iterdir()] == ["esl-password"], "nothing else is left behind"


def test_the_password_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        render.esl_password(make(tmp_path))
    finally:
        os.umask(before)
    assert mode(tmp_path / "esl-password") == 0o600


def test_processes_that_make_the_password_at_once_get_the_same(tmp_path: Path) -> None:
    config = make(tmp_path, media={"esl_password_file": str(tmp_path / "new" / "esl-password")})
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: render.esl_password(config), range(64)))) == 1


def test_an_operators_own_password_is_kept(tmp_path: Path) -> None:
    (tmp_path / "esl-password").write_text("correct horse battery staple\n")
    (tmp_path / "esl-password").chmod(0o640)
    assert render.esl_password(make(tmp_path)) == "correct horse battery staple"


@pytest.mark.parametrize("permissions", [0o644, 0o602, 0o601])
def test_a_password_that_every_user_can_reach_is_refused(tmp_path: Path, permissions: int) -> None:
    (tmp_path / "esl-password").write_text("correct horse battery staple\n")
    (tmp_path / "esl-password").chmod(permissions)
    with pytest.raises(SettingsError, match="open to every user") as caught:
        render.esl_password(make(tmp_path))
    assert caught.value.mend.startswith("run: chmod")


def test_a_password_file_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"esl_password_file.*File exists"):
        render.esl_password(make(tmp_path, media={"esl_password_file": str(tmp_path / "file" / "esl-password")}))


def test_the_whole_configuration_is_copied_and_every_variable_it_uses_is_preset(tmp_path: Path) -> None:
    config, out_dir = make(tmp_path), tmp_path / "conf"
    render.freeswitch(config, out_dir)
    preset = set(variables(out_dir))
    for file in out_dir.rglob("*.xml"):
        text = file.read_text("utf-8")
        preset |= {line.partition('data="')[2].partition("=")[0] for line in text.splitlines() if 'cmd="set"' in line}
    for file in out_dir.rglob("*.xml"):
        text = file.read_text("utf-8")
        ElementTree.fromstring(text)
        used = {part.partition("}")[0] for part in text.split("$${")[1:]}
        assert used <= preset, file
        for line in text.splitlines():
            if "X-PRE-PROCESS" in line:
                assert line.strip().startswith("<X-PRE-PROCESS "), "a preprocessor line stands alone"
                assert line.endswith("/>"), "a preprocessor line stands alone"
            if 'cmd="include"' in line:
                assert (out_dir / line.split('"')[3]).is_file()


def test_what_holds_or_will_hold_the_password_is_closed_to_others(tmp_path: Path) -> None:
    config = make(tmp_path)
    render.freeswitch(config, tmp_path / "conf")
    assert variables(tmp_path / "conf")["holdfast_esl_password"] == render.esl_password(config)
    assert mode(tmp_path / "conf" / "vars.xml") == 0o600
    # FreeSWITCH writes what it has read there, see freeswitch.xml.fsxml
    assert mode(tmp_path / "state/freeswitch/log") == 0o700
    for file in (tmp_path / "conf").rglob("*.xml"):
        if file.name != "vars.xml":
            assert render.esl_password(config) not in file.read_text()


def test_rendering_again_changes_nothing_and_leaves_no_other_file(tmp_path: Path) -> None:
    config, out_dir = make(tmp_path), tmp_path / "conf"
    render.freeswitch(config, out_dir)
    before = {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}
    render.freeswitch(config, out_dir)
    assert {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()} == before


def test_values_are_escaped_so_that_xml_reads_them_back(tmp_path: Path) -> None:
    prompts = tmp_path / "a & b <c> \"d\" 'e'"
    render.freeswitch(make(tmp_path, media={"prompts_dir": str(prompts)}), tmp_path / "conf")
    (line,) = (line for line in (tmp_path / "conf/vars.xml").read_text().splitlines() if "prompts_dir" in line)
    # The preprocessor cuts the value out unparsed, from quote to quote, and pastes it into another attribute.
    pasted = line.split('"')[3].partition("=")[2]
    assert ElementTree.fromstring(f'<x value="{pasted}"/>').attrib["value"] == str(prompts)


@pytest.mark.parametrize(
    "path", ["/prompts/${system(id)}", "/a!b", "/a\nb", "/{x=y}b", "/a\\b", "/a@@1", "/a ", "/$${x}"]
)
def test_a_value_that_freeswitch_would_expand_or_split_is_refused(tmp_path: Path, path: str) -> None:
    config = make(tmp_path, media={"prompts_dir": path})
    with pytest.raises(SettingsError, match="prompts_dir: FreeSWITCH cannot be told"):
        render.freeswitch(config, tmp_path / "conf")
    assert not (tmp_path / "conf").exists()


def test_the_edge_the_controller_and_the_attempts_come_from_the_settings(tmp_path: Path) -> None:
    config = make(
        tmp_path,
        sip={"address": "192.0.2.7", "port": 5062},
        media={"address": "192.0.2.8", "rtp_last_port": 29999},
        controller={"address": "127.0.0.9", "port": 8086, "ring_s": 20, "callback_attempts": 4},
    )
    render.freeswitch(config, tmp_path / "conf")
    rendered = variables(tmp_path / "conf")
    assert rendered["holdfast_edge"] == "192.0.2.7:5062"
    assert rendered["holdfast_edge_cidr"] == "192.0.2.7/32"
    assert rendered["holdfast_media_address"] == "192.0.2.8"
    assert rendered["holdfast_rtp_last_port"] == "29998"
    assert rendered["holdfast_controller"] == "127.0.0.9:8086"
    assert rendered["holdfast_ring_s"] == "20"
    assert rendered["holdfast_attempts_in_ones"] == "1111"
    assert int(rendered["holdfast_control_s"]) > 4 * 20


def test_ipv6_addresses_are_bracketed_where_a_port_follows(tmp_path: Path) -> None:
    config = make(tmp_path, sip={"address": "2001:db8::7"}, media={"address": "2001:db8::8"})
    render.freeswitch(config, tmp_path / "conf")
    rendered = variables(tmp_path / "conf")
    assert rendered["holdfast_edge"] == "[2001:db8::7]:5060"
    assert rendered["holdfast_edge_cidr"] == "2001:db8::7/128"
    assert rendered["holdfast_media_address"] == "2001:db8::8"


def test_languages_are_the_default_and_the_folders_named_like_one(tmp_path: Path) -> None:
    for folder in ("en", "fr", "pt-BR", "readme.d", ".es", "EN", "x|y"):
        (tmp_path / "prompts" / folder).mkdir(parents=True)
    (tmp_path / "prompts/de").write_text("a file")
    render.freeswitch(make(tmp_path, media={"language": "da"}), tmp_path / "conf")
    rendered = variables(tmp_path / "conf")
    assert rendered["holdfast_languages"] == "da|en|fr|pt-BR"
    assert rendered["holdfast_language_by_default"] == "da"


@pytest.mark.parametrize("language", ["", "e", "../en", "en|.*", "EN"])
def test_a_default_language_that_is_none_is_refused(tmp_path: Path, language: str) -> None:
    with pytest.raises(SettingsError, match=r"media\.language"):
        render.freeswitch(make(tmp_path, media={"language": language}), tmp_path / "conf")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("")
    with pytest.raises(SettingsError, match=r"conf.*(File exists|Not a directory)"):
        render.freeswitch(make(tmp_path), tmp_path / "conf")


def test_freeswitch_runs_in_the_foreground_with_our_configuration_and_no_other_folder(tmp_path: Path) -> None:
    argv = render.freeswitch_argv(make(tmp_path), Path("/usr/bin/freeswitch"), tmp_path / "conf")
    assert argv[:4] == ["/usr/bin/freeswitch", "-nf", "-nc", "-nonat"]
    folders = dict(zip(argv[4::2], argv[5::2], strict=True))
    assert folders == {
        "-conf": str(tmp_path / "conf"),
        "-log": str(tmp_path / "state/freeswitch/log"),
        "-run": str(tmp_path / "run/freeswitch"),
        "-db": str(tmp_path / "run/freeswitch/db"),
        "-sounds": str(tmp_path / "prompts"),
        "-certs": str(tmp_path / "state/freeswitch/certs"),
    }


@pytest.mark.parametrize("modules", ["lib/freeswitch/mod", "mod"])
def test_the_modules_beside_a_moved_binary_are_found(tmp_path: Path, modules: str) -> None:
    binary = tmp_path / "prefix/bin/freeswitch"
    for file in (binary, tmp_path / "prefix" / modules / "mod_sofia.so"):
        file.parent.mkdir(parents=True)
        file.write_text("")
    (tmp_path / "link").symlink_to(binary)
    argv = render.freeswitch_argv(make(tmp_path), tmp_path / "link", tmp_path / "conf")
    assert argv[-2:] == ["-mod", str(tmp_path / "prefix" / modules)]
