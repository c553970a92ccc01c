"""`holdfast user`: who registers phones."""

from typing import BinaryIO

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.importing import run_import
from holdfast.commands.output import show_list, show_one
from holdfast.plane import imports, users, values

_realm_option = click.option("--realm", type=common.REALM, help="The domain; sip.domain of the settings by default.")
_site_option = click.option("--site", help="The tenant's site where the user works.")
_policy_option = click.option("--policy", help="The tenant's location policy for this user (L2).")
_common_area_option = click.option(
    "--common-area", type=common.ON_OFF, help="A telephone that stays where its registered address is (O4)."
)
_pbx_option = click.option(
    "--pbx", type=common.ON_OFF, help="A PBX: it calls for all numbers of its tenant, and gets their callbacks."
)
_location_option = click.option("--location", help="The tenant's location where the user confirmed to be.")


@click.group()
def user() -> None:
    """Users: who registers phones, with which number, and which calls they take."""


@user.command("create")
@click.argument("username", type=common.USERNAME)
@click.option("--tenant", required=True, help="The tenant's name.")
@_realm_option
@common.password_option
@click.option("--display-name", type=common.DISPLAY_NAME)
@click.option("--number", type=common.NUMBER, help="A platform number of the tenant.")
@click.option("--country", type=common.COUNTRY, help="The tenant's by default.")
@click.option("--outbound", type=common.ON_OFF, help="Whether ordinary calls out are allowed; on by default.")
@click.option("--inbound", type=common.ON_OFF, help="Whether ordinary calls in are taken; on by default.")
@click.option("--dnd", type=common.ON_OFF, help="Do not disturb; off by default.")
@click.option("--forward-to", type=common.FORWARD_TO)
@_site_option
@_policy_option
@_common_area_option
@_pbx_option
@_location_option
@pass_context
def create(
    context: Context,
    /,
    username: str,
    tenant: str,
    realm: str | None,
    password_file: BinaryIO | None,
    **options: object,
) -> None:
    """Create a user. The password is asked for, or read from --password-file or standard input, and not stored."""
    domain = realm or context.settings.sip.domain
    columns = {"username": username, "realm": domain, **_columns(options)}
    columns["ha1"] = values.ha1(username, domain, common.read_password(password_file))
    with context.connection() as connection:
        users.create_user(connection, tenant, columns)
    click.echo(f"user {username}@{domain} created")


@user.command("list")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_context
def list_all(context: Context, tenant: str | None, limit: int | None, as_json: bool) -> None:
    """List users."""
    with context.connection() as connection:
        found = users.users(connection, tenant=tenant, limit=limit)
    columns = ("username", "realm", "tenant", "number", "outbound_enabled", "inbound_enabled", "do_not_disturb")
    show_list(found, as_json=as_json, columns=columns, empty="There are no such users.")


@user.command("show")
@click.argument("username")
@_realm_option
@json_option
@pass_context
def show(context: Context, username: str, realm: str | None, as_json: bool) -> None:
    """Show one user."""
    with context.connection() as connection:
        found = users.user(connection, username, realm or context.settings.sip.domain)
    show_one(found, as_json=as_json)


@user.command("set")
@click.argument("username")
@_realm_option
@click.option("--new-password", is_flag=True, help="Ask for a new password, or read it from standard input.")
@common.password_option
@click.option("--display-name", type=common.DISPLAY_NAME)
@click.option("--number", type=common.NUMBER, help="A platform number of the tenant.")
@click.option("--no-number", is_flag=True, help="Take the number away.")
@click.option("--country", type=common.COUNTRY)
@click.option("--no-country", is_flag=True, help="The tenant's country again.")
@click.option("--outbound", type=common.ON_OFF)
@click.option("--inbound", type=common.ON_OFF)
@click.option("--dnd", type=common.ON_OFF)
@click.option("--forward-to", type=common.FORWARD_TO)
@click.option("--no-forward", is_flag=True, help="Forward no more.")
@_site_option
@click.option("--no-site", is_flag=True, help="Take the site away.")
@_policy_option
@click.option("--no-policy", is_flag=True, help="The site's policy, or the tenant's, again.")
@_common_area_option
@_pbx_option
@_location_option
@click.option("--no-location", is_flag=True, help="Forget where the user said to be.")
@pass_context
def change(
    context: Context,
    /,
    username: str,
    realm: str | None,
    new_password: bool,
    password_file: BinaryIO | None,
    no_number: bool,
    no_country: bool,
    no_forward: bool,
    no_site: bool,
    no_policy: bool,
    no_location: bool,
    **options: object,
) -> None:
    """Change a user."""
    domain = realm or context.settings.sip.domain
    ha1 = None
    if new_password or password_file:
        ha1 = values.ha1(username, domain, common.read_password(password_file))
    cleared = {
        "number": no_number, "country": no_country, "forward_to": no_forward, "site": no_site, "policy": no_policy,
        "location": no_location,
    }  # fmt: skip
    columns = common.changes(cleared, ha1=ha1, **_columns(options))
    with context.connection() as connection:
        users.change_user(connection, username, domain, columns)
    click.echo(f"user {username}@{domain} changed")


@user.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tenant", help="The tenant of rows without one.")
@click.option("--realm", type=common.REALM, help="The domain of rows without one; sip.domain by default.")
@pass_context
def import_csv(context: Context, file: BinaryIO, tenant: str | None, realm: str | None) -> None:
    """Import users from a CSV file (- is standard input): all of them, or none if any row is wrong.

    Columns: username; password or ha1; and, if wanted, tenant, realm,
    display_name, number, country, outbound_enabled, inbound_enabled,
    do_not_disturb, forward_to, site, policy, common_area, pbx. The first
    row names them, in any order.
    """
    domain = realm or context.settings.sip.domain
    run_import(
        context, file, "users",
        lambda connection, progress: imports.import_users(
            connection, file, tenant=tenant, realm=domain, progress=progress
        ),
    )  # fmt: skip


_COLUMN_OF = {"outbound": "outbound_enabled", "inbound": "inbound_enabled", "dnd": "do_not_disturb"}


def _columns(options: dict[str, object]) -> dict[str, object]:
    """Options by the name of the column they set."""
    return common.given(**{_COLUMN_OF.get(name, name): value for name, value in options.items()})
