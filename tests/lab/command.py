"""The `holdfast` command line, run as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.errors import LabError

#: Beside the Python that runs us: the one of this checkout.
HOLDFAST = Path(sys.executable).with_name("holdfast")
_DEADLINE_S = 60.0


class CommandFailed(LabError):
    """A `holdfast` command did not succeed."""

    def __init__(self, arguments: tuple[str, ...], result: "subprocess.CompletedProcess[str]") -> None:
        said = (result.stderr or result.stdout).strip()
        super().__init__(f"holdfast {' '.join(arguments)}: exit status {result.returncode}: {said}")
        self.status = result.returncode
        self.said = said


class Command:
    """`holdfast` with one settings file."""

    def __init__(self, settings_file: Path) -> None:
        self.environment: Mapping[str, str] = {"HOLDFAST_CONFIG": str(settings_file)}

    def argv(self, *arguments: str) -> list[str]:
        return [str(HOLDFAST), *arguments]

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run it and return what it printed; CommandFailed holds its error line and exit status."""
        result = subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            env={**os.environ, **self.environment},
            check=False,
        )
        if result.returncode:
            raise CommandFailed(arguments, result)
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """Run it with --json and return the parsed output."""
        return json.loads(self.run(*arguments, "--json"))
