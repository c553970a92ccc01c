"""`holdfast ip-countries`: which country a source address is taken to be in, and the table that says so."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click

from holdfast import ip_table
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_list, show_one, visible
from holdfast.commands.progress import reading
from holdfast.core.ip_country import CONTRADICTED, MARKED, NO_COUNTRY, UNKNOWN, IpCountries, Origin
from holdfast.errors import InputError
from holdfast.ip_ranges import addresses
from holdfast.ip_sources import Claims

_path = click.Path(path_type=Path)
_sources = click.File("rb")
_table_option = click.option(
    "--table", "table_file", type=_path, help="Another file than the node's table (ip-country.bin in node.state_dir)."
)


@click.group("ip-countries")
def ip_countries() -> None:
    """The offline table of IP addresses and countries, a caller's country when nothing better says it."""


@ip_countries.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@_table_option
@json_option
@pass_context
def show(context: Context, /, addresses: tuple[str, ...], table_file: Path | None, as_json: bool) -> None:
    """Show the country of each address, or why none can be relied on."""
    table, _ = _table(context, table_file)
    found = [(address, table.look_up(address)) for address in addresses]
    rows = [
        {"address": address, "country": finding.country, "unreliable": finding.unreliable} for address, finding in found
    ]
    if as_json:
        show_list(rows, as_json=True, empty="")
        return
    for row in rows:
        click.echo(visible(f"{row['address']}  {row['country'] or 'unreliable: ' + str(row['unreliable'])}"))


@ip_countries.command()
@_table_option
@json_option
@pass_context
def info(context: Context, table_file: Path | None, as_json: bool) -> None:
    """Show where the table comes from: source, licence, date, and how much it knows."""
    table, where = _table(context, table_file)
    show_one({"file": where, **_described(table)}, as_json=as_json)


@ip_countries.command()
@click.argument("sources", nargs=-1, required=True, type=_sources, metavar="SOURCE...")
@click.argument("out", type=_path)
@click.option("--check", "checks", type=_sources, multiple=True,
              help="A second opinion, as SOURCE: where it has another country, neither is believed.")  # fmt: skip
@click.option("--unreliable", "networks", type=_sources, multiple=True,
              help="Networks that say nothing about a country, such as VPNs', one a line.")  # fmt: skip
@click.option("--overlaps-unreliable", "overlaps", is_flag=True,
              help="Take lines that overlap; where they differ, none is believed. Refused without this.")  # fmt: skip
@click.option("--source", help="What the data are, for 'info'; the files' names by default.")
@click.option("--source-version", "version", default="", help="The data's version.")
@click.option("--date", "date", default="", help="The data's date, such as 2026-06-17.")
@click.option("--licence", default="", help="The data's licence.")
@click.option("--attribution", default="", help="Whom the licence asks to be named.")
@click.option("--shipped", is_flag=True, hidden=True, help="Built to be shipped with Holdfast.")
def build(
    sources: Sequence[BinaryIO], out: Path, checks: Sequence[BinaryIO], networks: Sequence[BinaryIO], overlaps: bool,
    source: str | None, version: str, date: str, licence: str, attribution: str, shipped: bool,
) -> None:  # fmt: skip
    """Build a table from CSV files or MaxMind DBs (.mmdb), and write it to OUT, or name every wrong line.

    A line of a CSV file is start,end,country or network/length,country, IPv4 or IPv6. A node reads ip-country.bin in
    node.state_dir; restart Kamailio afterwards.
    """
    countries, opinion, unreliable = Claims(), Claims(), Claims()
    for files, read in (
        (sources, countries.read_countries), (checks, opinion.read_countries), (networks, unreliable.read_networks),
    ):  # fmt: skip
        for file in files:
            with reading(file, f"reading {file.name}") as progress:
                read(file, file.name, progress)
    origin = Origin(
        source or ", ".join(Path(file.name).name for file in sources), version, _date(date), licence, attribution
    )
    try:
        table = ip_table.build(
            ip_table.Sources(countries, opinion, unreliable, overlaps=overlaps), origin, shipped=shipped
        )
    except ip_table.SourcesRefused as refused:
        for line in refused.wrong.kept:
            click.echo(visible(str(line)), err=True)
        if refused.wrong.count > len(refused.wrong.kept):
            click.echo(f"… and {refused.wrong.count - len(refused.wrong.kept)} more", err=True)
        raise
    ip_table.write_table(out, table)
    for family, claims in (("IPv4", countries.v4), ("IPv6", countries.v6)):
        if not claims:
            click.echo(f"no line is about {family}: this table knows no {family} address", err=True)
    show_one({"file": str(out), **_described(IpCountries.from_buffer(table))}, as_json=False)


def _table(context: Context, file: Path | None) -> tuple[IpCountries, str]:
    """The table asked for, or the node's, or the shipped one that the node will get; and what it is."""
    path = file or ip_table.table_path(context.settings.node.state_dir)
    if file is None and not path.exists():
        return ip_table.shipped_table(), f"{ip_table.SHIPPED} ('holdfast render' unpacks it)"
    return ip_table.open_table(path), str(path)


def _described(table: IpCountries) -> dict[str, object]:
    v4, v6 = addresses(table.v4, 1 << 32), addresses(table.v6, 1 << 64)
    known = {table.answers[code].country for code in v4 | v6} - {None}
    total = sum(v4.values())

    def share(code: int) -> str:
        return f"{100 * v4[code] / total:.2f} %"

    origin = table.origin
    return {
        "source": origin.source,
        "version": origin.version,
        "date": origin.date,
        "licence": origin.licence,
        "attribution": origin.attribution,
        "made_by": "shipped with Holdfast" if table.shipped else "built by the operator",
        "countries": len(known),
        "ipv4_ranges": len(table.v4.starts),
        "ipv6_ranges": len(table.v6.starts),
        "ipv4_not_in_table": share(UNKNOWN),
        "ipv4_contradicted": share(CONTRADICTED),
        "ipv4_marked": share(MARKED),
        "ipv4_no_country": share(NO_COUNTRY),
    }


def _date(text: str) -> str:
    if not text:
        return ""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InputError(f"--date: {text!r} is no date", mend="write it such as 2026-06-17") from error
