"""`holdfast node`: the edge nodes that carry calls."""

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.commands.trunks import trunk_that_leads_to
from holdfast.errors import InputError
from holdfast.plane import provisioning, trunk_groups, values


@click.group()
def node() -> None:
    """Edge nodes: where phones and carriers reach us. Each owns the callback numbers it lends."""


@node.command("create")
@click.argument("name", required=False, type=common.NODE_NAME)
@click.option("--address", type=common.SOURCE_ADDRESS, help="Where its Kamailio listens; sip.address by default.")
@click.option("--port", type=common.PORT, help="sip.port by default.")
@pass_context
def create_node(context: Context, name: str | None, address: str | None, port: int | None) -> None:
    """Create an edge node; without NAME this one, as its settings file says."""
    settings = context.settings
    name = name or values.node_name(settings.node.name)
    address = address or settings.sip.address
    port = port or settings.sip.port
    with context.connection() as connection:
        # a host that is an address is looked at by the database
        loop = trunk_that_leads_to(trunk_groups.trunks(connection), address, port)
        if loop is not None:
            raise InputError(
                f"node {name} would be where trunk {loop.name} leads ({loop.host}): its calls would come back to us",
                mend="correct the node's address and port, or the trunk with 'holdfast trunk set'",
            )
        provisioning.create_node(connection, name, address, port)
    click.echo(f"node {name} created at {address} port {port}")


@node.command("list")
@json_option
@pass_context
def list_nodes(context: Context, as_json: bool) -> None:
    """List all nodes."""
    with context.connection() as connection:
        found = provisioning.nodes(connection)
    show_list(found, as_json=as_json, empty="There are no nodes; 'holdfast node create' makes one.")


@node.command("show")
@click.argument("name", required=False)
@json_option
@pass_context
def show_node(context: Context, name: str | None, as_json: bool) -> None:
    """Show one node; without NAME this one."""
    name = name or context.settings.node.name
    with context.connection() as connection:
        found = [record for record in provisioning.nodes(connection) if record.name == name]
    if not found:
        raise InputError(f"there is no node {name!r}", mend="'holdfast node create' makes it")
    show_one(found[0], as_json=as_json)
