"""A story counts what failed and goes on; the narration is plain where nobody watches; a layout is a valid node."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from holdfast import settings
from lab.errors import LabError, PortInUse
from lab.ladder import Parts
from lab.layout import Layout
from lab.narration import Narrator
from lab.ports import Ports
from lab.report import Check
from lab.sipp import Place, Sipp
from lab.story import Story, shown
from lab.system import System


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def story(out: io.StringIO) -> Story:
    """A story on a system where nothing passes and nothing is leased; any other use of it fails."""
    collector = SimpleNamespace(mark=lambda: 0, messages=lambda _since: [])
    system = SimpleNamespace(collector=collector, parts=Parts({}), leases=list, phones=[])
    return Story(cast("System", system), Narrator(out))


def test_a_scene_that_cannot_be_carried_out_has_failed_and_the_next_one_is_told() -> None:
    out = io.StringIO()
    told = story(out)
    with told.scene("one", ""):
        told.check("A1", "first", 1, 1)
        raise LabError("the phone is mute")
    with told.scene("two", ""):
        told.check("A1", "second", "x", "y")
    assert [[check.ok for check in scene.checks] for scene in told.scenes] == [[True, False], [False]]
    assert "no: the phone is mute" in out.getvalue()


def test_what_is_not_an_error_of_the_story_ends_it() -> None:
    told = story(io.StringIO())
    with pytest.raises(KeyboardInterrupt), told.scene("one", ""):
        raise KeyboardInterrupt


def test_colours_are_for_terminals_alone() -> None:
    check = Check("A1", "what", "x", "y", ok=False)
    plain, terminal = io.StringIO(), Terminal()
    Narrator(plain).check(check)
    Narrator(terminal).check(check)
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[31;1mFAILED" in terminal.getvalue()
    assert "expected: x" in plain.getvalue()


def test_a_lease_in_a_call_has_no_end() -> None:
    lease: dict[str, object] = {
        "number": "+12025550140", "aor": None, "caller_key": "contact:x", "marked_at": 0.0, "window_s": 3600,
        "first_dial_at": 0.0, "last_end_at": None, "calls": 1,
    }  # fmt: skip
    assert shown(lease)["window ends"] == "never during a call"
    assert shown({**lease, "calls": 0})["window ends"] == "01:00:00 UTC"
    assert shown(lease)["holder"] == "contact:x"


def test_a_layout_is_a_settings_file_that_the_node_accepts(tmp_path: Path, ports: Ports) -> None:
    layout = Layout.free(ports)
    file = tmp_path / "holdfast.toml"
    file.write_text(layout.settings(tmp_path, "host=/x dbname=holdfast", tmp_path, rtpengine="", hep_collector=""))
    loaded = settings.load(file)
    assert (loaded.sip.port, loaded.media.sip_port) == (layout.sip_port, layout.media_sip_port)
    assert len({trunk.address for trunk in layout.trunks}) == len(layout.trunks) == 2


def test_a_fixed_layout_says_which_port_is_taken(tmp_path: Path, ports: Ports) -> None:
    port = ports.one()
    taken = Sipp("uas_silent", Place("127.0.0.1", port), tmp_path, {"duration_ms": "1000"}).start()
    with pytest.raises(
        PortInUse, match=rf"Kamailio needs port {port} on 127\.0\.0\.1, which is in use by sipp"
    ) as info:
        Layout.fixed("127.0.0.1", port)
    assert "SIP_PORT" in info.value.mend
    taken.stop()
