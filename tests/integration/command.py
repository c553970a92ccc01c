"""Running the `holdfast` command inside the test process, against a database and folders of its own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from holdfast.cli import cli
from integration.postgres import Database


@dataclass(frozen=True)
class Command:
    """`holdfast` as somebody on a node types it."""

    config: Path
    folder: Path

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Whatever its outcome; an error that is a traceback for people fails the test."""
        result = CliRunner().invoke(cli, arguments, input=stdin, env={"HOLDFAST_CONFIG": str(self.config)})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def ok(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """What it printed, when it succeeded."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """The one line on stderr, when it failed as it should: status 2, a mend, nothing on stdout."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("holdfast: ")
        assert " — " in line
        return line


def on_node(folder: Path, database: Database) -> Command:
    """A settings file for node edge-1 whose database is this one."""
    config = folder / "holdfast.toml"
    config.write_text(
        f"""
        [node]
        name = "edge-1"
        state_dir = "{folder}"
        run_dir = "{folder}"
        [database]
        dsn = "{database.dsn(user="holdfast_agent")}"
        [sip]
        domain = "example.com"
        [media]
        esl_password_file = "{folder}/esl-password"
        prompts_dir = "{folder}/prompts"
        """,
        encoding="utf-8",
    )
    return Command(config, folder)
