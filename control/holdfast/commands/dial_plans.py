"""`holdfast dial-rule`: tenants' dial plans for ordinary calls."""

import click

from holdfast.commands.context import Context, Value, json_option, pass_context
from holdfast.commands.output import show_list
from holdfast.errors import InputError
from holdfast.plane import country_rules, dial_plans, routing_values

_tenant_option = click.option("--tenant", required=True, help="The tenant's name.")
_prefix_option = click.option(
    "--prefix", type=Value("digits", routing_values.prefix), required=True, help="What is dialled first, such as 9."
)
#: More emergency numbers than these are counted, not shown.
_SHOWN = 12


@click.group("dial-rule")
def dial_rule() -> None:
    """Dial plans: what ordinary calls' dialled strings become. The rule with the longest prefix counts, once.

    No rule can shadow an emergency number: the country's own are looked for first, as they were dialled.
    """


@dial_rule.command("add")
@_tenant_option
@_prefix_option
@click.option("--strip", type=click.IntRange(0, 12), default=0, help="How many digits go; 0 by default.")
@click.option("--prepend", type=Value("digits", routing_values.prepend), default="", help="What comes before, +1 say.")
@pass_context
def add(context: Context, tenant: str, prefix: str, strip: int, prepend: str) -> None:
    """Add a rule to a tenant's dial plan, such as --prefix 9 --strip 1 for an outside line."""
    if strip > len(prefix):
        raise InputError(
            f"a rule for {prefix} cannot strip {strip} digits", mend="strip at most as many as the prefix has"
        )
    with context.connection() as connection:
        reached = dial_plans.add_dial_rule(connection, tenant, prefix, strip, prepend)
    click.echo(f"of what begins with {prefix}, {_change(strip, prepend)}")
    for one in reached[:_SHOWN]:
        where = country_rules.some(list(one.countries))
        click.echo(f"{one.dialled} reaches {one.sent} and counts as an emergency call ({where})")
    if len(reached) > _SHOWN:
        click.echo(f"and {len(reached) - _SHOWN} more emergency numbers; 'holdfast dial-rule list' shows all")
    click.echo("no emergency number is shadowed: the country's own are matched first, without a prefix")


@dial_rule.command("list")
@click.option("--tenant", help="Only this tenant's.")
@json_option
@pass_context
def list_rules(context: Context, tenant: str | None, as_json: bool) -> None:
    """List dial rules, and what dialled through each counts as an emergency call."""
    with context.connection() as connection:
        found = dial_plans.dial_rules(connection, tenant)
    columns = ("tenant", "prefix", "strip", "prepend", "emergency")
    empty = "There are no such rules; numbers are sent as they are dialled."
    show_list(found, as_json=as_json, columns=columns, empty=empty)


@dial_rule.command("remove")
@_tenant_option
@_prefix_option
@pass_context
def remove(context: Context, tenant: str, prefix: str) -> None:
    """Remove a rule from a tenant's dial plan."""
    with context.connection() as connection:
        dial_plans.remove_dial_rule(connection, tenant, prefix)
    click.echo(f"the rule for {prefix} is removed")


def _change(strip: int, prepend: str) -> str:
    parts = []
    if strip:
        parts.append("the first digit goes" if strip == 1 else f"the first {strip} digits go")
    if prepend:
        parts.append(f"{prepend} comes before")
    return " and ".join(parts) or "nothing changes"
