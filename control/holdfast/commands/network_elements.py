"""`holdfast network-element`: what devices are attached to, and where that makes them be."""

from typing import BinaryIO

import click

from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.importing import run_import
from holdfast.commands.output import show_list
from holdfast.commands.place_notes import tell
from holdfast.errors import InputError
from holdfast.plane import network_elements

_tenant_option = click.option("--tenant", required=True, help="The tenant's name.")
_kind_argument = click.argument("kind", type=click.Choice(network_elements.KINDS))


@click.group("network-element")
def network_element() -> None:
    """Network elements: subnets, access points, switches and their ports, each at one location.

    A caller whose device is attached to one is at its location, whatever address is registered for their number. The
    most telling counts: access point, switch port, switch, then the narrowest subnet.
    """


@network_element.command("add")
@_kind_argument
@click.argument("key")
@_tenant_option
@click.option("--location", required=True, help="Where devices on it are.")
@pass_context
def add(context: Context, kind: str, key: str, tenant: str, location: str) -> None:
    """Say where devices are that are attached to this element.

    KEY is a subnet (192.0.2.0/24), a BSSID (00:11:22:aa:bb:cc), a switch's chassis id, or chassis id/port id.
    """
    canonical = network_elements.canonical_key(kind, key)
    with context.connection() as connection:
        nested = network_elements.add_network_element(connection, tenant, kind, canonical, location)
    click.echo(f"{kind} {canonical} is at location {location}")
    tell(nested)


@network_element.command("list")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--location", help="Only those at this location of the tenant.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_context
def list_all(context: Context, tenant: str | None, location: str | None, limit: int | None, as_json: bool) -> None:
    """List network elements."""
    if location and not tenant:
        raise InputError("whose location is meant is not known", mend="add --tenant")
    with context.connection() as connection:
        found = network_elements.network_elements(connection, tenant=tenant, location=location, limit=limit)
    show_list(found, as_json=as_json, empty="There are no such network elements.")


@network_element.command("remove")
@_kind_argument
@click.argument("key")
@_tenant_option
@pass_context
def remove(context: Context, kind: str, key: str, tenant: str) -> None:
    """Forget a network element: it says no more where devices are."""
    canonical = network_elements.canonical_key(kind, key)
    with context.connection() as connection:
        network_elements.remove_network_element(connection, tenant, kind, canonical)
    click.echo(f"{kind} {canonical} removed")


@network_element.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tenant", help="The tenant of rows without one.")
@pass_context
def import_csv(context: Context, file: BinaryIO, tenant: str | None) -> None:
    """Import network elements from a CSV file (- is standard input): all of them, or none if any row is wrong.

    Columns: kind, key, location; and, if wanted, tenant. The first row names them, in any order.
    """
    from holdfast.plane import place_imports  # it brings an HTTP client along, which no other command here needs

    run_import(
        context, file, "network elements",
        lambda connection, progress: place_imports.import_network_elements(
            connection, file, tenant=tenant, progress=progress
        ),
    )  # fmt: skip
