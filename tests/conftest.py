"""What every test run says about itself: which media server it used. And ports of a test's own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from lab.media import find_freeswitch
from lab.ports import Ports


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """No test is left out silently: the last lines name the media server that the calls went through."""
    terminalreporter.write_line(f"media server: {media_server()}")
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [one for report in reports for one in getattr(report, "user_properties", ())]
    for name, what in (
        ("n7_strings", "decisions about every dialled string of one to six digits"),
        ("n7_invites", "strings dialled as real INVITEs through Kamailio"),
    ):
        tried = sum(int(value) for found, value in properties if found == name)
        if tried:
            terminalreporter.write_line(f"N7: {tried:,} {what}")


def media_server() -> str:
    binary = find_freeswitch()
    if binary is None or os.environ.get("HOLDFAST_MEDIA") == "embedded":
        return "the embedded one (FreeSWITCH was not used)"
    version = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=10, check=False).stdout
    return f"{version.strip()} at {binary}"


@pytest.fixture
def ports() -> Iterator[Ports]:
    """A block of ports that nobody else on this machine uses."""
    with closing(Ports()) as claimed:
        yield claimed
