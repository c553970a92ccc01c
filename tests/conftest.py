"""What every test run says about itself: which media server it used."""

import os
import subprocess

import pytest

from lab.media import find_freeswitch


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """No test is left out silently: the last lines name the media server that the calls went through."""
    terminalreporter.write_line(f"media server: {media_server()}")


def media_server() -> str:
    binary = find_freeswitch()
    if binary is None or os.environ.get("HOLDFAST_MEDIA") == "embedded":
        return "the embedded one (FreeSWITCH was not used)"
    version = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=10, check=False).stdout
    return f"{version.strip()} at {binary}"
