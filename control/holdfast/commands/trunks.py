"""`holdfast trunk-group`, `holdfast trunk`: where calls go."""

import socket
import threading

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_list
from holdfast.errors import InputError
from holdfast.plane import provisioning

_RESOLVE_WITHIN_S = 5.0


@click.group("trunk-group")
def trunk_group() -> None:
    """Trunk groups: carriers, each with one trunk or more."""


@trunk_group.command("create")
@click.argument("name", type=common.NAME)
@click.option("--emergency", is_flag=True, help="It carries emergency calls, and delivers their callbacks.")
@click.option("--ordinary", is_flag=True, help="It carries other calls out.")
@pass_context
def create_group(context: Context, name: str, emergency: bool, ordinary: bool) -> None:
    """Create a trunk group."""
    with context.connection() as connection:
        provisioning.create_trunk_group(connection, name, emergency=emergency, ordinary=ordinary)
    click.echo(f"trunk group {name} created; 'holdfast trunk create' gives it trunks")


@trunk_group.command("list")
@json_option
@pass_context
def list_groups(context: Context, as_json: bool) -> None:
    """List all trunk groups."""
    with context.connection() as connection:
        found = provisioning.trunk_groups(connection)
    show_list(found, as_json=as_json, empty="There are no trunk groups; 'holdfast trunk-group create' makes one.")


@click.group()
def trunk() -> None:
    """Trunks: one SIP destination each, and the addresses its own calls come from."""


_port_option = click.option("--port", type=common.PORT, help="5060 by default.")
_transport_option = click.option("--transport", type=click.Choice(["udp", "tcp"]), help="udp by default.")
_priority_option = click.option("--priority", type=click.IntRange(0, 1000), help="Lower is tried first; 1.")
_weight_option = click.option("--weight", type=click.IntRange(1, 1000), help="Higher first within a priority; 1.")
_enabled_option = click.option("--enabled", type=common.ON_OFF, help="Whether calls go there; on by default.")
_source_option = click.option(
    "--source",
    "sources",
    type=common.SOURCE_ADDRESS,
    multiple=True,
    help="An address or network that its calls come from; more than once for several. The host's addresses by default.",
)
_no_resolve_option = click.option(
    "--no-resolve-check", is_flag=True, help="Take a host name that does not resolve here; give --source then."
)


@trunk.command("create")
@click.argument("name", type=common.NAME)
@click.option("--group", required=True, help="The trunk group's name.")
@click.option("--host", type=common.HOST, required=True)
@_port_option
@_transport_option
@_priority_option
@_weight_option
@_source_option
@_enabled_option
@_no_resolve_option
@pass_context
def create(
    context: Context,
    /,
    name: str,
    group: str,
    host: str,
    sources: tuple[str, ...],
    no_resolve_check: bool,
    **options: object,
) -> None:
    """Create a trunk. Calls and callbacks are trusted as this carrier's by the address they come from."""
    resolved = () if no_resolve_check else _resolve(host)
    addresses = sources or resolved
    if not addresses:
        raise InputError(
            f"without looking up {host}, where the trunk's calls come from is not known",
            mend="give the carrier's addresses with --source",
        )
    columns = common.given(name=name, host=host, source_addresses=list(addresses), **options)
    with context.connection() as connection:
        provisioning.create_trunk(connection, group, columns)
    click.echo(f"trunk {name} created; its calls are known by {', '.join(addresses)}")


@trunk.command("list")
@json_option
@pass_context
def list_trunks(context: Context, as_json: bool) -> None:
    """List all trunks, each group's in the order in which they are tried."""
    with context.connection() as connection:
        found = provisioning.trunks(connection)
    show_list(found, as_json=as_json, empty="There are no trunks; 'holdfast trunk create' makes one.")


@trunk.command("set")
@click.argument("name")
@click.option("--host", type=common.HOST)
@_port_option
@_transport_option
@_priority_option
@_weight_option
@_source_option
@_enabled_option
@_no_resolve_option
@pass_context
def change(
    context: Context,
    /,
    name: str,
    host: str | None,
    sources: tuple[str, ...],
    no_resolve_check: bool,
    **options: object,
) -> None:
    """Change a trunk. --source replaces all source addresses; a new --host alone leaves them as they are."""
    if host and not no_resolve_check:
        _resolve(host)
    columns = common.changes({}, host=host, source_addresses=list(sources) or None, **options)
    with context.connection() as connection:
        provisioning.change_trunk(connection, name, columns)
    click.echo(f"trunk {name} changed")


def _resolve(host: str) -> tuple[str, ...]:
    """The host's addresses. InputError when it has none, or the name servers take too long to say so."""
    found: list[str] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    # getaddrinfo knows no deadline, so it runs in a thread that may be left behind
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_RESOLVE_WITHIN_S)
    if not found:
        raise InputError(
            f"the host {host} does not resolve", mend="correct the name, or add --no-resolve-check if it will later"
        )
    return tuple(found)
