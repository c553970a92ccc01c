"""`holdfast boundary`: the areas that PSAPs serve."""

from typing import BinaryIO

import click

from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_list, visible
from holdfast.commands.place_notes import summary, tell, tell_psaps
from holdfast.errors import InputError

# plane.boundaries and plane.geojson are imported where they are used: geometry takes its time to load
_SHOWN = 50


@click.group()
def boundary() -> None:
    """Boundaries: the areas that PSAPs serve, for trunk groups that find the PSAP by them.

    A location's PSAP is found when it or the boundaries change, never while a call waits.
    """


@boundary.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--group", required=True, help="The trunk group whose calls they route.")
@click.option("--name-property", default="name", show_default=True, help="The property that names an area.")
@click.option(
    "--psap-property", default="psap", show_default=True,
    help="The property with its PSAP: a number, sip:user@host, or urn:service:sos.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="The group has these areas and no others from now on.")
@pass_context
def import_geojson(
    context: Context, file: BinaryIO, group: str, name_property: str, psap_property: str, replace: bool
) -> None:
    """Import areas from a GeoJSON file (RFC 7946; - is standard input): all of them, or none if any is wrong.

    Polygons and MultiPolygons in WGS84. No two areas of a group may overlap, and one that crosses the 180th meridian
    must be cut there.
    """
    from holdfast.plane import boundaries, geojson, psap

    try:
        areas = geojson.read_areas(file.read(geojson.MOST_BYTES + 1), name_property, psap_property)
        with context.connection() as connection:
            done = boundaries.import_areas(connection, group, areas, replace=replace)
            told = f"{done.added} added, {done.changed} changed, {done.removed} removed"
            click.echo(f"{len(areas)} areas imported into trunk group {group}: {told}")
            if done.psap_method != "boundary":
                tell([f"trunk group {group} finds its PSAPs otherwise ({done.psap_method}) until that is changed"])
            routed = psap.route(connection, group=group)
    except geojson.AreasRefused as refused:
        for line in refused.wrong[:_SHOWN]:
            click.echo(visible(f"{getattr(file, 'name', '<stdin>')}: {line}"), err=True)
        if len(refused.wrong) > _SHOWN:
            click.echo(f"… and {len(refused.wrong) - _SHOWN} more", err=True)
        raise
    tell_psaps(routed)
    click.echo(summary(routed))


@boundary.command("list")
@click.option("--group", help="Only this trunk group's.")
@json_option
@pass_context
def list_all(context: Context, group: str | None, as_json: bool) -> None:
    """List the areas, with the boxes that they lie in."""
    from holdfast.plane import boundaries

    with context.connection() as connection:
        found = boundaries.boundaries(connection, group)
    show_list(found, as_json=as_json, empty="There are no boundaries; 'holdfast boundary import' makes some.")


@boundary.command("remove")
@click.argument("name", required=False)
@click.option("--group", required=True, help="The trunk group that it is of.")
@click.option("--all", "everything", is_flag=True, help="All of the group's.")
@pass_context
def remove(context: Context, name: str | None, group: str, everything: bool) -> None:
    """Remove an area of a trunk group, or all; locations there then have no PSAP."""
    from holdfast.plane import boundaries, psap

    if (name is None) is not everything:
        raise InputError("which area is meant is not clear", mend="give its name, or --all")
    with context.connection() as connection:
        removed = boundaries.remove_areas(connection, group, name)
        click.echo(f"{removed} area{'s' if removed != 1 else ''} of trunk group {group} removed")
        routed = psap.route(connection, group=group)
    tell_psaps(routed)
    click.echo(summary(routed))
