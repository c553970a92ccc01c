"""`holdfast tenant`: who uses the platform."""

import click

from holdfast.commands.context import AOR, COUNTRY, NAME, Context, changes, given, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.plane import provisioning


@click.group()
def tenant() -> None:
    """Tenants: who uses the platform, and how many emergency calls each may have at once."""


@tenant.command("create")
@click.argument("name", type=NAME)
@click.option("--country", type=COUNTRY, required=True, help="Where its users are by default, ISO 3166-1 alpha-2.")
@click.option("--max-emergency-calls", type=click.IntRange(1, 100_000), help="At once; 10 by default.")
@click.option("--security-desk", type=AOR, help="Who answers a callback that its caller does not.")
@pass_context
def create(
    context: Context, name: str, country: str, max_emergency_calls: int | None, security_desk: str | None
) -> None:
    """Create a tenant."""
    columns = given(name=name, country=country, max_emergency_calls=max_emergency_calls, security_desk=security_desk)
    with context.connection() as connection:
        provisioning.create_tenant(connection, columns)
    click.echo(f"tenant {name} created")


@tenant.command("list")
@json_option
@pass_context
def list_all(context: Context, as_json: bool) -> None:
    """List all tenants."""
    with context.connection() as connection:
        found = provisioning.tenants(connection)
    show_list(found, as_json=as_json, empty="There are no tenants; 'holdfast tenant create' makes one.")


@tenant.command("show")
@click.argument("name")
@json_option
@pass_context
def show(context: Context, name: str, as_json: bool) -> None:
    """Show one tenant."""
    with context.connection() as connection:
        found = provisioning.tenant(connection, name)
    show_one(found, as_json=as_json)


@tenant.command("set")
@click.argument("name")
@click.option("--country", type=COUNTRY)
@click.option("--max-emergency-calls", type=click.IntRange(1, 100_000))
@click.option("--security-desk", type=AOR)
@click.option("--no-security-desk", is_flag=True, help="Take the security desk away.")
@pass_context
def change(
    context: Context,
    name: str,
    country: str | None,
    max_emergency_calls: int | None,
    security_desk: str | None,
    no_security_desk: bool,
) -> None:
    """Change a tenant."""
    columns = changes(
        {"security_desk": no_security_desk},
        country=country, max_emergency_calls=max_emergency_calls, security_desk=security_desk,
    )  # fmt: skip
    with context.connection() as connection:
        provisioning.change_tenant(connection, name, columns)
    click.echo(f"tenant {name} changed")
