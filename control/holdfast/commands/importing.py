"""What every import command does: progress while it reads, and each wrong row named when it refuses."""

from collections.abc import Callable
from typing import BinaryIO

import click

from holdfast.commands.context import Context
from holdfast.commands.output import visible
from holdfast.commands.progress import reading
from holdfast.plane import db
from holdfast.plane.staging import ImportRefused

#: More wrong rows than this are counted, not shown.
_SHOWN = 50


def run_import(
    context: Context, file: BinaryIO, what: str, load: Callable[[db.Connection, Callable[[int], None]], int]
) -> None:
    """Run an import of `what` (a plural) and say how it went; ImportRefused goes on after its rows were named."""
    name = str(getattr(file, "name", "<stdin>"))  # a stream that replaces standard input may have none
    try:
        with context.connection() as connection, reading(file, f"reading {what}") as progress:
            count = load(connection, progress)
    except ImportRefused as refused:
        for row in refused.wrong[:_SHOWN]:
            click.echo(visible(f"{name}:{row}"), err=True)
        if len(refused.wrong) > _SHOWN:
            click.echo(f"{name}: … and {len(refused.wrong) - _SHOWN} more", err=True)
        raise
    click.echo(f"{count} {what} imported")
