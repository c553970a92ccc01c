"""`holdfast trunk-group`, `holdfast trunk`: where calls go."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, Value, json_option, pass_context
from holdfast.commands.output import show_list, show_one
from holdfast.commands.resolving import addresses_of, is_address, resolve
from holdfast.errors import InputError
from holdfast.plane import country_rules, routing_values, trunk_groups
from holdfast.plane.trunk_groups import TrunkGroupRecord, TrunkRecord

_F = TypeVar("_F", bound=Callable[..., None])
#: RFC 3261 §19.1.2
_SIPS_PORT = 5061
_CODES = Value("codes", routing_values.failure_codes)
#: How the location is told, as it is typed → as it is stored
_LOCATION_METHODS = {
    "none": "none", "value": "value", "reference": "reference", "provider-id": "provider_id", "elin": "elin"
}  # fmt: skip


@click.group("trunk-group")
def trunk_group() -> None:
    """Trunk groups: carriers, tenants' own carriers and PBXs, screening centres; each with one trunk or more."""


def _group_options(command: _F) -> _F:
    """What both create and set take, besides what a group is for."""
    options: Sequence[Callable[[_F], _F]] = (
        click.option("--tenant", help="Whose own carrier or PBX it is; by default the platform's."),
        click.option(
            "--country", type=Value("country", country_rules.country), help="It carries this country's calls alone."
        ),
        click.option(
            "--location", "location_method", type=click.Choice(list(_LOCATION_METHODS)),
            help="How it is told where the caller is; none by default.",
        ),
        click.option(
            "--location-id-header", type=Value("header", routing_values.header_name),
            help="Which header carries the provider's id of the location; X-Location-ID by default.",
        ),
        click.option(
            "--psap", "psap_method", type=click.Choice(["fixed", "lost", "boundary"]),
            help="How the PSAP is found: one for all, asked of LoST, or by boundaries; fixed by default.",
        ),
        click.option(
            "--psap-uri", type=Value("number|uri", routing_values.call_uri),
            help="The PSAP of all calls, or of those for which none was found; the emergency number by default.",
        ),
        click.option(
            "--lost-url", type=Value("url", routing_values.lost_url),
            help="The LoST server, asked ahead of time (RFC 5222).",
        ),
        click.option(
            "--answers-within", "answers_within_ms", metavar="MS", type=click.IntRange(200, 30_000),
            help="A trunk that says nothing for so long is given up; 3000.",
        ),
        click.option(
            "--rings-within", "rings_within_ms", metavar="MS", type=click.IntRange(10_000, 600_000),
            help="A trunk that rings for so long is given up; 120000.",
        ),
        click.option(
            "--final-codes", type=_CODES,
            help="Answers after which no other trunk is tried, or none; 486,600,603,604,606 by default.",
        ),
        click.option(
            "--location-refused-codes", type=_CODES,
            help="Answers after which the call goes again without its location (N8); 405,415,488,513 by default.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@trunk_group.command("create")
@click.argument("name", type=common.NAME)
@click.option("--emergency", is_flag=True, help="It carries emergency calls, and delivers their callbacks.")
@click.option("--screening", is_flag=True, help="Its far end is a call centre that asks for the address (A8, O5).")
@click.option("--ordinary", is_flag=True, help="It carries other calls out.")
@click.option("--pbx", is_flag=True, help="Its far end is the tenant's PBX or SBC, which calls for many users.")
@_group_options
@pass_context
def create_group(
    context: Context, /, name: str, emergency: bool, screening: bool, ordinary: bool, pbx: bool, **options: object
) -> None:
    """Create a trunk group."""
    columns = {
        "emergency": emergency, "screening": screening, "ordinary": ordinary, "pbx": pbx,
        **common.given(**_stored(options)),
    }  # fmt: skip
    with context.connection() as connection:
        trunk_groups.create_trunk_group(connection, name, columns)
        made = trunk_groups.trunk_group(connection, name)
    click.echo(f"trunk group {name} created; 'holdfast trunk create' gives it trunks")
    _say_what_is_missing(made)


@trunk_group.command("set")
@click.argument("name")
@click.option("--emergency", type=common.ON_OFF)
@click.option("--screening", type=common.ON_OFF)
@click.option("--ordinary", type=common.ON_OFF)
@click.option("--pbx", type=common.ON_OFF)
@click.option("--no-tenant", is_flag=True, help="The platform's, for every tenant.")
@click.option("--no-country", is_flag=True, help="It carries every country's calls.")
@click.option("--no-psap-uri", is_flag=True, help="The emergency number itself again.")
@click.option("--no-lost-url", is_flag=True)
@_group_options
@pass_context
def change_group(
    context: Context,
    /,
    name: str,
    no_tenant: bool,
    no_country: bool,
    no_psap_uri: bool,
    no_lost_url: bool,
    **options: object,
) -> None:
    """Change a trunk group. Refused where its trunks, pools or routing rules would contradict it."""
    cleared = {"tenant": no_tenant, "country": no_country, "psap_uri": no_psap_uri, "lost_url": no_lost_url}
    columns = common.changes(cleared, **_stored(options))
    with context.connection() as connection:
        trunk_groups.change_trunk_group(connection, name, columns)
        changed = trunk_groups.trunk_group(connection, name)
    click.echo(f"trunk group {name} changed")
    _say_what_is_missing(changed)


@trunk_group.command("list")
@json_option
@pass_context
def list_groups(context: Context, as_json: bool) -> None:
    """List all trunk groups."""
    with context.connection() as connection:
        found = trunk_groups.trunk_groups(connection)
    columns = (
        "name", "tenant", "country", "emergency", "screening", "ordinary", "pbx", "trunks", "location_method",
        "psap_method",
    )  # fmt: skip
    empty = "There are no trunk groups; 'holdfast trunk-group create' makes one."
    show_list(found, as_json=as_json, columns=columns, empty=empty)


@trunk_group.command("show")
@click.argument("name")
@json_option
@pass_context
def show_group(context: Context, name: str, as_json: bool) -> None:
    """Show one trunk group."""
    with context.connection() as connection:
        found = trunk_groups.trunk_group(connection, name)
    show_one(found, as_json=as_json)


def _stored(options: dict[str, object]) -> dict[str, object]:
    method = options.get("location_method")
    return {**options, "location_method": _LOCATION_METHODS[str(method)]} if method else options


def _say_what_is_missing(group: TrunkGroupRecord) -> None:
    if group.psap_method == "boundary":
        click.echo("its PSAPs are found by boundaries; 'holdfast boundary' gives it some")
    elif group.psap_method == "lost":
        click.echo(f"its PSAPs are asked of {group.lost_url}, ahead of time, for every provisioned location")
    if not (group.emergency or group.screening or group.ordinary or group.pbx):
        click.echo("no call uses it yet: it is neither --emergency, --screening, --ordinary nor --pbx")


def trunk_that_leads_to(found: Sequence[TrunkRecord], address: str, port: int) -> TrunkRecord | None:
    """The first trunk whose host is a name that stands for this address, at this port. Asks the name servers."""
    named = [record for record in found if record.port == port and not is_address(record.host)]
    resolved = addresses_of(record.host for record in named)
    return next((record for record in named if address in resolved[record.host]), None)


@click.group()
def trunk() -> None:
    """Trunks: one SIP destination each, and the addresses its own calls come from."""


_port_option = click.option("--port", type=common.PORT, help="5060 by default, 5061 for tls.")
_transport_option = click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), help="udp by default.")
_certificate_option = click.option(
    "--certificate-name",
    type=Value("name", routing_values.certificate_name),
    help="Calls from its addresses are its own only if their TLS certificate shows exactly this name, too.",
)
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
@_certificate_option
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
    resolved = () if no_resolve_check else resolve(host)
    addresses = sources or resolved
    if not addresses:
        raise InputError(
            f"without looking up {host}, where the trunk's calls come from is not known",
            mend="give the carrier's addresses with --source",
        )
    if options["transport"] == "tls" and options["port"] is None:
        options["port"] = _SIPS_PORT
    columns = common.given(name=name, host=host, source_addresses=list(addresses), **options)
    with context.connection() as connection:
        trunk_groups.create_trunk(connection, group, columns, resolved=resolved)
    click.echo(f"trunk {name} created; its calls are known by {', '.join(addresses)}")


@trunk.command("list")
@json_option
@pass_context
def list_trunks(context: Context, as_json: bool) -> None:
    """List all trunks, each group's in the order in which they are tried."""
    with context.connection() as connection:
        found = trunk_groups.trunks(connection)
    show_list(found, as_json=as_json, empty="There are no trunks; 'holdfast trunk create' makes one.")


@trunk.command("set")
@click.argument("name")
@click.option("--host", type=common.HOST)
@_port_option
@_transport_option
@_certificate_option
@_priority_option
@_weight_option
@click.option("--no-certificate-name", is_flag=True, help="Its address is enough again.")
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
    no_certificate_name: bool,
    no_resolve_check: bool,
    **options: object,
) -> None:
    """Change a trunk. --source replaces all source addresses; a new --host alone leaves them as they are."""
    columns = common.changes(
        {"certificate_name": no_certificate_name}, host=host, source_addresses=list(sources) or None, **options
    )
    resolved = resolve(host) if host and not no_resolve_check else ()
    with context.connection() as connection:
        if host is None and options["port"] is not None:
            # the port alone may lead back to us; a name that does not resolve now was taken when it did
            before = trunk_groups.trunk(connection, name).host
            resolved = addresses_of([before])[before]
        trunk_groups.change_trunk(connection, name, columns, resolved=resolved)
    click.echo(f"trunk {name} changed")
