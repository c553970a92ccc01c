"""The `holdfast` command. Every error is one line on stderr with what can be done about it, and exit status 2."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from holdfast.commands import (
    boundaries,
    countries,
    daemons,
    database,
    dial_plans,
    doctor,
    explain,
    ip_countries,
    live,
    locations,
    network_elements,
    nodes,
    numbers,
    policies,
    sites,
    tenants,
    trunks,
    users,
)
from holdfast.commands.context import Context
from holdfast.commands.output import visible
from holdfast.errors import HoldfastError

ERROR_STATUS = 2
INTERRUPTED_STATUS = 130


class OneLineErrors(click.Group):
    """A group that says what went wrong in one line, where click would print several, or Python a traceback."""

    def main(  # type: ignore[override]  # click overloads it by standalone_mode, which is always on here
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **_: Any
    ) -> NoReturn:
        """Run the command and leave with its exit status."""
        status: object
        try:
            status = super().main(args, prog_name or "holdfast", standalone_mode=False)
            if sys.stdout is not None:  # whoever started us may have closed it
                sys.stdout.flush()
        except HoldfastError as error:
            status = _failed(str(error), error.mend)
        except click.UsageError as error:
            status = _wrong_usage(error)
        except click.ClickException as error:
            status = _failed(error.format_message(), "")
        except click.Abort:
            click.echo(err=True)  # ^C stands on the line
            status = INTERRUPTED_STATUS
        except BrokenPipeError:
            # whoever read our output has seen enough; Python would complain again when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = ERROR_STATUS
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            status = _failed(f"{where}{error.strerror or error}", "see that it exists and that this user may use it")
        sys.exit(status if isinstance(status, int) else 0)


def _wrong_usage(error: click.UsageError) -> int:
    # a group was named without a command: late releases of click raise its whole help as an error
    if error.ctx and type(error).__name__ == "NoArgsIsHelpError":
        click.echo(error.ctx.get_help())
        return ERROR_STATUS
    command = error.ctx.command_path if error.ctx else "holdfast"
    return _failed(error.format_message(), f"'{command} --help' shows how it is used")


def _failed(message: str, mend: str) -> int:
    line = visible(" ".join(message.split()).removesuffix("."))
    click.echo(f"holdfast: {line}" + (f" — {visible(' '.join(mend.split()))}" if mend else ""), err=True)
    return ERROR_STATUS


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="HOLDFAST_CONFIG",
    help="The settings file; /etc/holdfast/holdfast.toml by default.",
)
@click.option(
    "--database",
    default="",
    envvar="HOLDFAST_DATABASE",
    metavar="CONNINFO",
    help="Connect to PostgreSQL with these libpq parameters on top of database.dsn, such as user=postgres.",
)
@click.version_option(package_name="holdfast", prog_name="holdfast")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, database: str) -> None:
    """Holdfast, a self-hosted emergency-calling service: provisioning, a look at what happens, and the daemons."""
    ctx.obj = Context(config, database)


for command in (
    database.database,
    tenants.tenant,
    users.user,
    numbers.number,
    numbers.pool,
    trunks.trunk_group,
    trunks.trunk,
    sites.site,
    locations.location,
    network_elements.network_element,
    boundaries.boundary,
    policies.policy,
    policies.route,
    dial_plans.dial_rule,
    countries.country,
    nodes.node,
    live.lease,
    live.call,
    live.registration,
    live.journal,
    doctor.doctor,
    explain.explain_command,
    ip_countries.ip_countries,
    daemons.render,
    daemons.agent,
    daemons.controller,
    daemons.api,
    daemons.embedded_media,
):
    cli.add_command(command)


def main() -> None:
    """The console script's entry point."""
    cli.main()


if __name__ == "__main__":
    main()
