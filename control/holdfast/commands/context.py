"""What every command shares: the settings file, the way to PostgreSQL, and options that read values strictly."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import click

from holdfast import settings
from holdfast.errors import InputError
from holdfast.plane import country_rules, db, values
from holdfast.settings import Settings


@dataclass
class Context:
    """The options before the command's name. Nothing is read or connected before a command asks for it."""

    config: Path | None = None
    database: str = ""

    @cached_property
    def settings(self) -> Settings:
        return settings.load(self.config)

    @contextmanager
    def connection(self) -> Iterator[db.Connection]:
        """A connection to PostgreSQL as holdfast_admin, or as --database says."""
        with db.connect(self.settings, override=self.database) as connection:
            yield connection


pass_context = click.make_pass_decorator(Context, ensure=True)


class Value(click.ParamType):  # type: ignore[type-arg]  # generic in late releases of click only
    """A parameter read by one of plane.values' functions, whose error goes to the user as it is."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        del ctx
        if not isinstance(value, str):
            return value  # a default that was read already
        try:
            return self._read(value)
        except InputError as error:
            where = f"{param.opts[0]}: " if isinstance(param, click.Option) else ""
            raise InputError(f"{where}{error}", mend=error.mend) from error


NAME = Value("name", values.name)
NODE_NAME = Value("name", values.node_name)
NUMBER = Value("number", values.number)
COUNTRY = Value("country", country_rules.callers_country)
USERNAME = Value("username", values.username)
REALM = Value("domain", values.realm)
AOR = Value("user@domain", values.aor)
FORWARD_TO = Value("number|user@domain", values.forward_to)
DISPLAY_NAME = Value("text", values.display_name)
HOST = Value("host", values.host)
SOURCE_ADDRESS = Value("address|network", values.source_address)
ON_OFF = Value("on|off", values.flag)
PORT = click.IntRange(1, 65535)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program to read.")


#: Where a password comes from. Never an argument: every user of the machine could read it.
password_option = click.option(
    "--password-file",
    type=click.File("rb"),
    help="Read the password from this file's first line; - is standard input. Without it you are asked.",
)


def read_password(file: BinaryIO | None) -> str:
    """The password from a file, from standard input when that is no terminal, or asked for twice."""
    if file is None and sys.stdin.isatty():
        return values.password(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = (file or sys.stdin.buffer).readline(4096)
    try:
        return values.password(line.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise InputError("the password is not UTF-8", mend="save the file as UTF-8") from error


def given(**options: object) -> dict[str, object]:
    """The options that were given, as columns to store."""
    return {name: value for name, value in options.items() if value is not None}


def changes(cleared: dict[str, bool], **options: object) -> dict[str, object]:
    """Columns to change: options that were given, and those to be emptied. InputError when there are none."""
    empty: dict[str, object] = {name: None for name, clear in cleared.items() if clear}
    both = sorted(empty.keys() & given(**options).keys())
    if both:
        raise InputError(f"{both[0]} is both given and taken away", mend="use one of the two options")
    columns = {**given(**options), **empty}
    if not columns:
        raise InputError("nothing to change was given", mend="name at least one option; --help shows them")
    return columns
