"""`holdfast tenant`: who uses the platform."""

import click

from holdfast.commands.context import AOR, COUNTRY, NAME, ON_OFF, Context, changes, given, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.plane import provisioning

_country_required_option = click.option(
    "--country-required",
    type=ON_OFF,
    help="Whether a call must say where it is from: the tenant's country is then not believed (A6).",
)


@click.group()
def tenant() -> None:
    """Tenants: who uses the platform, and how many emergency calls each may have at once."""


@tenant.command("create")
@click.argument("name", type=NAME)
@click.option("--country", type=COUNTRY, required=True, help="Where its users are by default, ISO 3166-1 alpha-2.")
@click.option("--max-emergency-calls", type=click.IntRange(1, 100_000), help="At once; 10 by default.")
@click.option("--max-test-calls", type=click.IntRange(1, 100_000), help="933 at once; 10 by default.")
@_country_required_option
@click.option("--security-desk", type=AOR, help="Who answers a callback that its caller does not.")
@pass_context
def create(context: Context, /, name: str, **options: object) -> None:
    """Create a tenant."""
    columns = given(name=name, **options)
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
@click.option("--max-test-calls", type=click.IntRange(1, 100_000), help="933 at once.")
@_country_required_option
@click.option("--policy", help="The tenant's policy for users who have none, nor through their site (L2).")
@click.option("--no-policy", is_flag=True, help="Take the policy away.")
@click.option("--security-desk", type=AOR)
@click.option("--no-security-desk", is_flag=True, help="Take the security desk away.")
@pass_context
def change(context: Context, /, name: str, no_policy: bool, no_security_desk: bool, **options: object) -> None:
    """Change a tenant."""
    columns = changes({"policy": no_policy, "security_desk": no_security_desk}, **options)
    with context.connection() as connection:
        provisioning.change_tenant(connection, name, columns)
    click.echo(f"tenant {name} changed")
