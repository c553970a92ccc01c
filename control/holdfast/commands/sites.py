"""`holdfast site`: a tenant's buildings and campuses."""

import click

from holdfast.commands.context import AOR, COUNTRY, NAME, Context, changes, given, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.plane import sites

_tenant_option = click.option("--tenant", required=True, help="The tenant's name.")


@click.group()
def site() -> None:
    """Sites: a tenant's buildings and campuses, each with a policy and security desk of its own where wanted."""


@site.command("create")
@click.argument("name", type=NAME)
@_tenant_option
@click.option("--country", type=COUNTRY, help="The tenant's by default.")
@click.option("--policy", help="The location policy of its users who have none of their own.")
@click.option("--security-desk", type=AOR, help="Who is told of its emergency calls; the tenant's by default.")
@pass_context
def create(
    context: Context, name: str, tenant: str, country: str | None, policy: str | None, security_desk: str | None
) -> None:
    """Create a site."""
    columns = given(name=name, country=country, policy=policy, security_desk=security_desk)
    with context.connection() as connection:
        sites.create_site(connection, tenant, columns)
    click.echo(f"site {name} created")


@site.command("list")
@click.option("--tenant", help="Only this tenant's.")
@json_option
@pass_context
def list_all(context: Context, tenant: str | None, as_json: bool) -> None:
    """List sites."""
    with context.connection() as connection:
        found = sites.sites(connection, tenant)
    show_list(found, as_json=as_json, empty="There are no sites; 'holdfast site create' makes one.")


@site.command("show")
@click.argument("name")
@_tenant_option
@json_option
@pass_context
def show(context: Context, name: str, tenant: str, as_json: bool) -> None:
    """Show one site."""
    with context.connection() as connection:
        found = sites.site(connection, tenant, name)
    show_one(found, as_json=as_json)


@site.command("set")
@click.argument("name")
@_tenant_option
@click.option("--country", type=COUNTRY)
@click.option("--no-country", is_flag=True, help="The tenant's country again.")
@click.option("--policy")
@click.option("--no-policy", is_flag=True, help="The tenant's policy again.")
@click.option("--security-desk", type=AOR)
@click.option("--no-security-desk", is_flag=True, help="The tenant's security desk again.")
@pass_context
def change(
    context: Context,
    name: str,
    tenant: str,
    country: str | None,
    no_country: bool,
    policy: str | None,
    no_policy: bool,
    security_desk: str | None,
    no_security_desk: bool,
) -> None:
    """Change a site."""
    columns = changes(
        {"country": no_country, "policy": no_policy, "security_desk": no_security_desk},
        country=country, policy=policy, security_desk=security_desk,
    )  # fmt: skip
    with context.connection() as connection:
        sites.change_site(connection, tenant, name, columns)
    click.echo(f"site {name} changed")


@site.command("delete")
@click.argument("name")
@_tenant_option
@pass_context
def delete(context: Context, name: str, tenant: str) -> None:
    """Delete a site where nothing is."""
    with context.connection() as connection:
        sites.delete_site(connection, tenant, name)
    click.echo(f"site {name} deleted")
