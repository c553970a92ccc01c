"""Whatever goes wrong, the command says it in one line on stderr and leaves with its own status."""

import click
import pytest
from click.testing import CliRunner, Result

from holdfast.cli import OneLineErrors
from holdfast.commands.output import utc, visible
from holdfast.errors import EdgeStoreUnavailable, InputError


def run(error: BaseException | None, arguments: tuple[str, ...] = ("act",)) -> Result:
    @click.group(cls=OneLineErrors)
    def group() -> None:
        """Commands."""

    @group.command()
    @click.pass_context
    def act(ctx: click.Context) -> None:
        """Act."""
        if error is not None:
            raise error
        ctx.exit(0)

    return CliRunner().invoke(group, arguments)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("it is wrong", mend="do it right"), "holdfast: it is wrong — do it right"),
        (InputError("it is\nwrong\x1b[2J", mend=""), "holdfast: it is wrong\\x1b[2J"),
        (EdgeStoreUnavailable(), "holdfast: The edge store cannot be read or written — see that the file"),
        (click.UsageError("That is\nno option."), "holdfast: That is no option — 'group act --help' shows"),
        (click.ClickException("No."), "holdfast: No"),
        (PermissionError(13, "Permission denied", "/etc/x"), "holdfast: /etc/x: Permission denied — see that"),
    ],
)
def test_an_error_is_one_line_and_status_2(error: BaseException, line: str) -> None:
    result = run(error)
    assert (result.exit_code, result.stdout) == (2, "")
    (said,) = result.stderr.splitlines()
    assert said.startswith(line)


def test_success_and_help_leave_with_0() -> None:
    assert run(None).exit_code == 0
    assert run(None, ("--help",)).exit_code == 0


def test_a_group_without_a_command_shows_its_help() -> None:
    result = run(None, ())
    assert (result.exit_code, result.stderr) == (2, "")
    assert "act  Act." in result.stdout


def test_an_interrupt_leaves_with_the_shells_status_for_it() -> None:
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_a_mistake_of_ours_is_not_hidden() -> None:
    assert isinstance(run(ZeroDivisionError()).exception, ZeroDivisionError)


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert visible("caf\u00e9 \x1b]0;x\x07 \udce9 \u202e") == "caf\u00e9 \\x1b]0;x\\x07 \\udce9 \\u202e"


def test_times_are_utc() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(None) is None
