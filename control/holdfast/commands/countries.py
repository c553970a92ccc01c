"""`holdfast country`: which countries' emergency calls are served, and how."""

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, Value, changes, json_option, pass_context
from holdfast.commands.output import show_json, show_list
from holdfast.plane import country_rules

_COUNTRY = Value("country", country_rules.country)
_tenant_option = click.option("--tenant", help="Only for this tenant; by default for all that have no rule of theirs.")


@click.group()
def country() -> None:
    """Countries: the table of emergency numbers, and rules of the platform and of tenants on top of it."""


@country.command("list")
@click.option("--tenant", help="As this tenant's calls are treated; by default those of tenants without rules.")
@click.option("--served", "served_only", is_flag=True, help="Only those that are served.")
@json_option
@pass_context
def list_countries(context: Context, tenant: str | None, served_only: bool, as_json: bool) -> None:
    """List every country: its numbers as dialled (9911=911: sent as 911), whether it is served, and who says so."""
    with context.connection() as connection:
        found = [one for one in country_rules.countries(connection, tenant) if one.served or not served_only]
    if as_json:
        show_json(found)
        return
    shown = [
        {
            "country": one.country, "name": one.name, "emergency": one.emergency, "tests": one.tests,
            "served": one.served, "screening": one.screening, "notify_desk": one.notify_desk,
            "decided_by": _decided_by(one.decided_by),
        }
        for one in found
    ]  # fmt: skip
    show_list(shown, as_json=False, empty="No country is served; 'holdfast country set --served on' serves one.")


@country.command("set")
@click.argument("code", type=_COUNTRY)
@_tenant_option
@click.option("--served", type=common.ON_OFF, help="Whether emergency calls from there are taken (A6, D2).")
@click.option(
    "--screening", type=click.Choice(["direct", "national"]),
    help="Whether calls with a usable location go straight to the PSAP, or all to a national centre first (O5).",
)  # fmt: skip
@click.option("--notify-desk", type=common.ON_OFF, help="Whether the security desk is told of calls (O7).")
@pass_context
def set_country(context: Context, /, code: str, tenant: str | None, **options: object) -> None:
    """Treat a country otherwise than the table says. What is not given stays as it was."""
    columns = changes({}, **options)
    with context.connection() as connection:
        country_rules.set_rule(connection, code, tenant, columns)
    click.echo(f"country {code} changed for {f'tenant {tenant}' if tenant else 'every tenant'}")


@country.command("unset")
@click.argument("code", type=_COUNTRY)
@_tenant_option
@pass_context
def unset_country(context: Context, code: str, tenant: str | None) -> None:
    """Take a rule away: the platform's counts again, or the table's word."""
    with context.connection() as connection:
        country_rules.unset_rule(connection, code, tenant)
    click.echo(f"country {code} is as {'the platform' if tenant else 'the table'} says again")


def _decided_by(said: dict[str, str]) -> str:
    """One word when all is one's word, else each thing with whose it is."""
    if len(set(said.values())) == 1:
        return said["served"]
    return ", ".join(f"{what}: {who}" for what, who in said.items() if who != "table")
