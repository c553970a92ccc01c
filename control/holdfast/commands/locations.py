"""`holdfast location`: where a tenant's people can be, and the PSAPs that serve them."""

import json
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, Value, json_option, pass_context
from holdfast.commands.importing import run_import
from holdfast.commands.output import show_json, show_list, show_one, utc
from holdfast.commands.place_notes import summary, tell, tell_psaps, tell_what_cannot_be_known
from holdfast.errors import InputError
from holdfast.plane import db, location_values
from holdfast.plane.values import shown

# plane.locations, plane.psap and plane.place_imports are imported where they are used: they bring an HTTP client and
# geometry along, and every other command starts faster without these

_F = TypeVar("_F", bound=Callable[..., None])
_ADDRESS_FILE_LIMIT = 64 * 1024
_tenant_option = click.option("--tenant", required=True, help="The tenant's name.")


@click.group()
def location() -> None:
    """Locations: where a tenant's people can be, and the registered addresses of its numbers.

    An address is checked when it is entered: by its country's rules, and by the LoST servers of the trunk groups that
    would carry its calls.
    """


def _civic_element(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{shown(text)} is not an element of an address", mend="write it such as A3=Austin")
    return name, value


def _address_options(command: _F) -> _F:
    options: Sequence[Callable[[_F], _F]] = (
        click.option("--site", help="The site that it is at."),
        click.option(
            "--civic", "civic_elements", type=Value("ELEMENT=TEXT", _civic_element), multiple=True,
            help="An element of the street address, by its RFC 5139 name: --civic A1=TX --civic A3=Austin …",
        ),
        click.option(
            "--address-file", type=click.File("rb"), help="The street address from a JSON file: {\"A1\": \"TX\", …}",
        ),
        click.option("--latitude", type=Value("degrees", location_values.latitude), help="Of the point, in WGS84."),
        click.option("--longitude", type=Value("degrees", location_values.longitude), help="Of the point, in WGS84."),
        click.option(
            "--validation", type=click.Choice(["validated", "manual", "none"]),
            help="What vouches for the address (L3), where no LoST server says so.",
        ),
        click.option(
            "--provider-id", "provider_location_id", type=Value("id", location_values.provider_id),
            help="What a provider calls it that keeps locations itself.",
        ),
        click.option(
            "--no-validate", is_flag=True, help="Ask no LoST server; the address then counts as entered by hand.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@location.command("create")
@click.argument("name", type=common.NAME)
@_tenant_option
@click.option("--country", type=common.COUNTRY, required=True, help="ISO 3166-1 alpha-2.")
@_address_options
@pass_context
def create(
    context: Context,
    /,
    name: str,
    tenant: str,
    civic_elements: tuple[tuple[str, str], ...],
    address_file: BinaryIO | None,
    no_validate: bool,
    **options: object,
) -> None:
    """Create a location, by its street address, its point, or both."""
    from holdfast.plane import locations

    civic = {**(_address(address_file) if address_file else {}), **_elements(civic_elements)}
    columns = common.given(name=name, civic=civic, **options)
    with context.connection() as connection:
        written = locations.create_location(connection, tenant, columns, ask=not no_validate)
        click.echo(f"location {name} created; its address counts as {_counts_as(written.validation)}")
        tell(written.notes)
        _find_psaps(connection, written.location_id)
    tell_what_cannot_be_known()


@location.command("set")
@click.argument("name")
@_tenant_option
@click.option("--country", type=common.COUNTRY, help="ISO 3166-1 alpha-2.")
@_address_options
@click.option("--no-site", is_flag=True, help="It is at no site.")
@click.option("--no-address", is_flag=True, help="Take the street address away; the point stays.")
@click.option("--no-point", is_flag=True, help="Take the point away; the street address stays.")
@click.option("--no-provider-id", is_flag=True, help="The provider does not keep it any more.")
@click.option("--for-carrier", help="The carrier (its trunk group) that wants it so, where only it may (O2).")
@pass_context
def change(
    context: Context,
    /,
    name: str,
    tenant: str,
    civic_elements: tuple[tuple[str, str], ...],
    address_file: BinaryIO | None,
    no_validate: bool,
    no_site: bool,
    no_address: bool,
    no_point: bool,
    no_provider_id: bool,
    for_carrier: str | None,
    **options: object,
) -> None:
    """Change a location. --civic changes one element (--civic FLR= removes it), --address-file the whole address."""
    from holdfast.plane import locations

    civic = _address(address_file) if address_file else None
    columns = common.changes(
        {"site": no_site, "civic": no_address, "latitude": no_point, "longitude": no_point,
         "provider_location_id": no_provider_id},
        civic=civic, civic_elements=_elements(civic_elements) or None, **options,
    )  # fmt: skip
    with context.connection() as connection:
        written = locations.change_location(
            connection, tenant, name, columns, ask=not no_validate, for_carrier=for_carrier
        )
        click.echo(f"location {name} changed; its address counts as {_counts_as(written.validation)}")
        tell(written.notes)
        if written.address_changed:
            _find_psaps(connection, written.location_id)
    if written.address_changed:
        tell_what_cannot_be_known()


@location.command("list")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_context
def list_all(context: Context, tenant: str | None, limit: int | None, as_json: bool) -> None:
    """List locations."""
    from holdfast.plane import locations

    with context.connection() as connection:
        found = locations.locations(connection, tenant=tenant, limit=limit)
    columns = ("tenant", "name", "site", "country", "address", "latitude", "longitude", "validation")
    show_list(found, as_json=as_json, columns=columns, empty="There are no such locations.")


@location.command("show")
@click.argument("name")
@_tenant_option
@json_option
@pass_context
def show(context: Context, name: str, tenant: str, as_json: bool) -> None:
    """Show one location, with the PSAPs that were found for it."""
    from holdfast.plane import locations

    with context.connection() as connection:
        found = locations.location(connection, tenant, name)
    if as_json:
        show_json(found)
        return
    psaps = [
        f"{psap['psap_uri']} (trunk group {psap['trunk_group']}, by {psap['found_by']}, "
        f"valid until {utc(psap['valid_until']) or 'further notice'})"
        for psap in found.psaps
    ]
    names = [name for name in type(found).__dataclass_fields__ if name != "psaps"]
    show_one({**{name: getattr(found, name) for name in names}, "psaps": psaps}, as_json=False)


@location.command("delete")
@click.argument("name")
@_tenant_option
@pass_context
def delete(context: Context, name: str, tenant: str) -> None:
    """Delete a location that nothing refers to."""
    from holdfast.plane import locations

    with context.connection() as connection:
        locations.delete_location(connection, tenant, name)
    click.echo(f"location {name} deleted")


@location.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tenant", help="The tenant of rows without one.")
@click.option("--no-validate", is_flag=True, help="Ask no LoST server; the addresses then count as entered by hand.")
@pass_context
def import_csv(context: Context, file: BinaryIO, tenant: str | None, no_validate: bool) -> None:
    """Import locations from a CSV file (- is standard input): all of them, or none if any row is wrong.

    Columns: name, country; and, if wanted, tenant, site, latitude, longitude, validation, provider_id, and elements of
    the street address by their RFC 5139 names: a1, a3, rd, sts, hno, pc … The first row names them, in any order.
    """
    from holdfast.plane import place_imports, psap

    run_import(
        context, file, "locations",
        lambda connection, progress: place_imports.import_locations(
            connection, file, tenant=tenant, ask=not no_validate, progress=progress
        ),
    )  # fmt: skip
    with context.connection() as connection:
        tell_psaps(psap.route(connection, tenant=tenant, everything=False))
    tell_what_cannot_be_known()


@location.command("route")
@click.option("--tenant", help="Only this tenant's locations.")
@click.option("--all", "everything", is_flag=True, help="Ask for all, also those whose PSAP is known and still valid.")
@json_option
@click.pass_context
def route(ctx: click.Context, tenant: str | None, everything: bool, as_json: bool) -> None:
    """Find the PSAPs of locations, ahead of any call; exit status 2 when one could not be found.

    Asked are LoST servers and boundaries, for each trunk group that wants the PSAP named. Run it every hour (cron): it
    asks again for what expires.
    """
    from holdfast.plane import psap

    with ctx.ensure_object(Context).connection() as connection:
        routed = psap.route(connection, tenant=tenant, everything=everything)
    if as_json:
        show_json(routed)
        failed = any(one.problem for one in routed)
    else:
        failed = not tell_psaps(routed)
        click.echo(summary(routed))
    ctx.exit(2 if failed else 0)


def _find_psaps(connection: db.Connection, location_id: int) -> None:
    from holdfast.plane import psap

    if not tell_psaps(psap.route(connection, location_ids=[location_id]), unchanged=True):
        tell(["'holdfast location route' asks again"])


def _elements(given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    elements: dict[str, str] = {}
    for name, text in given:
        if name in elements:
            raise InputError(f"--civic: {shown(name)} is given twice", mend="give each element once")
        elements[name] = text
    return elements


def _address(file: BinaryIO) -> dict[str, str]:
    """A JSON object of element names and texts."""
    data = file.read(_ADDRESS_FILE_LIMIT + 1)
    try:
        if len(data) > _ADDRESS_FILE_LIMIT:
            raise ValueError("it is too long")
        address = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the address file is not JSON: {str(error)[:100]}", mend='write {"A1": "TX", "A3": "Austin", …}'
        ) from error
    if not isinstance(address, dict) or not all(isinstance(text, str) for text in address.values()):
        raise InputError("the address file is not an address", mend='write {"A1": "TX", "A3": "Austin", …}, all texts')
    return address


def _counts_as(validation: str) -> str:
    return {
        "validated": "validated",
        "manual": "manual: nobody but who typed it vouches for it",
        "none": "none: nobody vouches for it",
    }[validation]
