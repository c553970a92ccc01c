"""`holdfast policy`: what applies to whose emergency calls. `holdfast route`: which usage leaves over which carrier."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, Value, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.errors import InputError
from holdfast.plane import country_rules, db, policies, routing_values
from holdfast.plane.routing_values import Mask

_F = TypeVar("_F", bound=Callable[..., None])
_tenant_option = click.option("--tenant", required=True, help="The tenant's name.")
_of_tenant_option = click.option("--tenant", help="Only this tenant's.")


@click.group()
def policy() -> None:
    """Location policies: what applies to the emergency calls of a user, a site or a whole tenant, in that order.

    A policy's usage names the routing rules its callers' calls follow ('holdfast route'); without one, and where no
    rule is for the number, they take the platform's own offer.
    """


def _policy_options(command: _F) -> _F:
    options: Sequence[Callable[[_F], _F]] = (
        click.option("--usage", type=common.NAME, help="Whose routing rules apply (L2)."),
        click.option(
            "--notification-uri", type=Value("uri", routing_values.notification_uri),
            help="Whom the provider tells of a call (L1): a sip: or https: URI.",
        ),
        click.option(
            "--conference-uri", type=Value("uri", routing_values.conference_uri),
            help="Whom the provider takes into the call (L1): a sip: or tel: URI.",
        ),
        click.option(
            "--conference-mode", type=click.Choice(["oneway", "twoway"]),
            help="Whether they only listen, or speak as well.",
        ),
        click.option(
            "--mask", "masks", type=Value("dialled=number", routing_values.mask), multiple=True,
            help="What else is dialled for an emergency number, such as 0911=911; more than once for several.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@policy.command("create")
@click.argument("name", type=common.NAME)
@_tenant_option
@_policy_options
@click.option("--no-usage", is_flag=True, help="The platform's own offer; so without --usage.")
@pass_context
def create(
    context: Context, /, name: str, tenant: str, masks: tuple[Mask, ...], no_usage: bool, **options: object
) -> None:
    """Create a policy; 'holdfast user set', 'site set' and 'tenant set' give it to somebody."""
    if no_usage and options["usage"] is not None:
        raise InputError("usage is both given and taken away", mend="use one of the two options")
    columns = common.given(**options)
    with context.connection() as connection:
        policies.create_policy(connection, tenant, name, columns, masks)
        notes = _notes(connection, tenant, columns.get("usage"), masks)
    click.echo(f"policy {name} created for tenant {tenant}")
    for note in notes:
        click.echo(note)


@policy.command("set")
@click.argument("name")
@_tenant_option
@_policy_options
@click.option("--no-usage", is_flag=True, help="The platform's own offer again.")
@click.option("--no-notification-uri", is_flag=True)
@click.option("--no-conference-uri", is_flag=True, help="Nobody is taken into the call.")
@click.option(
    "--no-mask", "unmasked", type=Value("dialled", routing_values.masked), multiple=True,
    help="What is no longer dialled for an emergency number.",
)  # fmt: skip
@pass_context
def change(
    context: Context,
    /,
    name: str,
    tenant: str,
    masks: tuple[Mask, ...],
    unmasked: tuple[str, ...],
    no_usage: bool,
    no_notification_uri: bool,
    no_conference_uri: bool,
    **options: object,
) -> None:
    """Change a policy. --mask adds a mask, or changes what it stands for; the others stay."""
    cleared = {
        "usage": no_usage, "notification_uri": no_notification_uri, "conference_uri": no_conference_uri,
        "conference_mode": no_conference_uri,
    }  # fmt: skip
    if masks or unmasked:
        columns = common.changes({**cleared, "masks": False}, masks=masks or unmasked, **options)
        del columns["masks"]
    else:
        columns = common.changes(cleared, **options)
    with context.connection() as connection:
        policies.change_policy(connection, tenant, name, columns, masks, unmasked)
        notes = _notes(connection, tenant, columns.get("usage"), masks)
    click.echo(f"policy {name} changed")
    for note in notes:
        click.echo(note)


@policy.command("list")
@_of_tenant_option
@json_option
@pass_context
def list_policies(context: Context, tenant: str | None, as_json: bool) -> None:
    """List policies."""
    with context.connection() as connection:
        found = policies.policies(connection, tenant)
    columns = ("tenant", "name", "usage", "masks", "conference_uri", "users", "sites", "tenant_default")
    empty = "There are no such policies; every call takes the platform's own offer."
    show_list(found, as_json=as_json, columns=columns, empty=empty)


@policy.command("show")
@click.argument("name")
@_tenant_option
@json_option
@pass_context
def show(context: Context, name: str, tenant: str, as_json: bool) -> None:
    """Show one policy, and how many users and sites it applies to."""
    with context.connection() as connection:
        found = policies.policy(connection, tenant, name)
    show_one(found, as_json=as_json)


@policy.command("delete")
@click.argument("name")
@_tenant_option
@pass_context
def delete(context: Context, name: str, tenant: str) -> None:
    """Delete a policy that nobody has any more, with its masks."""
    with context.connection() as connection:
        policies.delete_policy(connection, tenant, name)
    click.echo(f"policy {name} deleted")


def _notes(connection: db.Connection, tenant: str, usage: object, masks: Sequence[Mask]) -> list[str]:
    """What an operator may not expect of what was just stored."""
    notes = []
    if usage and not policies.usage_has_rules(connection, tenant, str(usage)):
        notes.append(f"usage {usage} has no routing rules yet, so its calls take the platform's own offer (D8)")
    for mask in masks:
        codes = [
            record.country for record in country_rules.countries(connection, tenant)
            if record.served and policies.reaches(record.country, mask.sent)
        ]  # fmt: skip
        where = country_rules.some(codes) if codes else "no country that is served: there it is an ordinary number"
        notes.append(f"{mask.dialled} reaches {mask.sent} in {where}")
    return notes


@click.group()
def route() -> None:
    """Direct routing: which usage's emergency calls leave over which carrier instead of the platform's own (D8)."""


_usage_option = click.option("--usage", type=common.NAME, required=True, help="As policies name it.")
_number_option = click.option(
    "--number", type=Value("number|*", routing_values.rule_number), required=True,
    help="The emergency number as it is sent, such as 911; * for every one.",
)  # fmt: skip


@route.command("add")
@_tenant_option
@_usage_option
@_number_option
@click.option("--group", required=True, help="A trunk group made with --emergency, the tenant's or the platform's.")
@click.option("--position", type=click.IntRange(1, 1000), help="Lower is tried first; after the others by default.")
@pass_context
def add_route(context: Context, tenant: str, usage: str, number: str, group: str, position: int | None) -> None:
    """Let emergency calls of a usage leave over a carrier. Several rules for one number are tried in turn."""
    with context.connection() as connection:
        place = policies.add_route(connection, tenant, usage, number, group, position)
        (added,) = [
            rule for rule in policies.routes(connection, tenant)
            if (rule.usage, rule.number, rule.position) == (usage, number, place)
        ]  # fmt: skip
    click.echo(f"{_number_words(number)} of usage {usage} leave over {group} at position {place}")
    if not added.policies:
        click.echo(f"no policy of tenant {tenant} names usage {usage} yet, so no call follows this rule")


@route.command("list")
@_of_tenant_option
@json_option
@pass_context
def list_routes(context: Context, tenant: str | None, as_json: bool) -> None:
    """List routing rules, each usage's in the order in which its carriers are tried."""
    with context.connection() as connection:
        found = policies.routes(connection, tenant)
    columns = ("tenant", "usage", "number", "position", "trunk_group", "policies")
    empty = "There are no such rules; every call takes the platform's own offer."
    show_list(found, as_json=as_json, columns=columns, empty=empty)


@route.command("remove")
@_tenant_option
@_usage_option
@_number_option
@click.option("--position", type=click.IntRange(1, 1000), help="Which one, if there are several.")
@pass_context
def remove_route(context: Context, tenant: str, usage: str, number: str, position: int | None) -> None:
    """Remove a routing rule."""
    with context.connection() as connection:
        removed = policies.remove_route(connection, tenant, usage, number, position)
    click.echo(f"{_number_words(number)} of usage {usage} no longer leave over {removed.trunk_group}")


def _number_words(number: str) -> str:
    return "all emergency calls" if number == "*" else f"calls to {number}"
