"""`holdfast number`: the numbers that tenants own. `holdfast pool`: the numbers that emergency callers are lent."""

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, TypeVar

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.importing import run_import
from holdfast.commands.output import show_json, show_list
from holdfast.commands.place_notes import tell, tell_what_cannot_be_known
from holdfast.errors import InputError
from holdfast.plane import country_rules, db, imports, numbers, provisioning, registered_addresses, values

_F = TypeVar("_F", bound=Callable[..., None])
_limit_option = click.option("--limit", type=click.IntRange(min=1), help="At most so many.")


@click.group()
def number() -> None:
    """Platform numbers: the numbers that tenants own and their users have."""


def _address_options(command: _F) -> _F:
    options: Sequence[Callable[[_F], _F]] = (
        click.option("--location", help="The registered address: a location of the number's tenant (C2)."),
        click.option(
            "--enhanced", type=common.ON_OFF,
            help="Whether calls go to the local PSAP with the registered address, which is billed (C2).",
        ),
        click.option("--carrier", help="The trunk group of the carrier that owns the number (O1)."),
        click.option("--may-set-address", type=common.ON_OFF, help="Whether others than its carrier may (O2)."),
        click.option("--may-change-address", type=common.ON_OFF, help="Whether others than its carrier may (O2)."),
        click.option("--may-delete-address", type=common.ON_OFF, help="Whether others than its carrier may (O2)."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


_no_location_option = click.option("--no-location", is_flag=True, help="No registered address any more.")


@number.command("add")
@click.argument("numbers_given", metavar="NUMBER|RANGE...", nargs=-1, required=True)
@click.option("--tenant", required=True, help="The tenant's name.")
@click.option("--outbound", type=common.ON_OFF, default=True, help="Whether it may call out (A5); on by default.")
@_address_options
@pass_context
def add(context: Context, /, numbers_given: tuple[str, ...], tenant: str, outbound: bool, **options: object) -> None:
    """Give a tenant numbers, such as +12025550123, or a range, +12025550100-+12025550149.

    This is a carrier's upload, too: it may say the address and what others may do with it.
    """
    added = _expand(numbers_given)
    columns = common.given(outbound_enabled=outbound, **options)
    with context.connection() as connection:
        numbers.add_platform_numbers(connection, tenant, added, columns)
        click.echo(f"{_count(added)} added to tenant {tenant}")
        _tell_of_addresses(connection, added, columns)


@number.command("list")
@click.option("--tenant", help="Only this tenant's.")
@_limit_option
@json_option
@pass_context
def list_numbers(context: Context, tenant: str | None, limit: int | None, as_json: bool) -> None:
    """List platform numbers."""
    with context.connection() as connection:
        found = numbers.platform_numbers(connection, tenant=tenant, limit=limit)
    columns = ("number", "tenant", "outbound_enabled", "user", "carrier", "location", "enhanced")
    show_list(found, as_json=as_json, columns=columns, empty="There are no such numbers.")


@number.command("set")
@click.argument("which", metavar="NUMBER", type=common.NUMBER)
@click.option("--outbound", "outbound_enabled", type=common.ON_OFF, help="Whether it may call out (A5).")
@_address_options
@_no_location_option
@click.option("--no-carrier", is_flag=True, help="It is no carrier's: its calls take the platform's own offer.")
@pass_context
def change_number(context: Context, /, which: str, no_location: bool, no_carrier: bool, **options: object) -> None:
    """Change a platform number, as its tenant's administrator. What its carrier keeps to itself is refused (O2)."""
    columns = common.changes({"location": no_location, "carrier": no_carrier}, **options)
    with context.connection() as connection:
        numbers.change_platform_number(connection, which, columns)
        click.echo(f"number {which} changed")
        _tell_of_addresses(connection, [which], columns)


@number.command("carrier-update")
@click.argument("which", metavar="NUMBER", type=common.NUMBER)
@click.option(
    "--for-carrier", required=True, help="The carrier (its trunk group) that owns the number and wants it so."
)
@_address_options
@_no_location_option
@pass_context
def carrier_update(context: Context, /, which: str, for_carrier: str, no_location: bool, **options: object) -> None:
    """Change a number as the carrier that owns it: its address, and what others may do with that (O2).

    --carrier gives it to another carrier.
    """
    columns = common.changes({"location": no_location}, **options)
    with context.connection() as connection:
        numbers.change_platform_number(connection, which, columns, for_carrier=for_carrier)
        click.echo(f"number {which} changed for carrier {for_carrier}")
        _tell_of_addresses(connection, [which], columns)


def _tell_of_addresses(connection: db.Connection, changed: Sequence[str], columns: Mapping[str, object]) -> None:
    if registered_addresses.concerns_address(columns):
        tell(registered_addresses.notes(connection, changed, columns))
        tell_what_cannot_be_known()


@number.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tenant", help="The tenant of rows without one.")
@pass_context
def import_numbers(context: Context, file: BinaryIO, tenant: str | None) -> None:
    """Import platform numbers from a CSV file (- is standard input): all of them, or none if any row is wrong.

    Columns: number; and, if wanted, tenant, outbound_enabled, carrier, location, enhanced, may_set_address,
    may_change_address, may_delete_address. The first row names them, in any order.
    """
    with_address = 0

    def load(connection: db.Connection, progress: Callable[[int], None]) -> int:
        nonlocal with_address
        done = imports.import_numbers(connection, file, tenant=tenant, progress=progress)
        with_address = done.with_address
        return done.count

    run_import(context, file, "numbers", load)
    if with_address:
        tell_what_cannot_be_known()


@click.group()
def pool() -> None:
    """Pools of callback numbers: what emergency callers are lent, and a PSAP calls back."""


@pool.command("create")
@click.argument("name", type=common.NAME)
@click.option("--trunk-group", required=True, help="Whose carrier delivers the callbacks; made with --emergency.")
@click.option("--country", type=common.Value("country", country_rules.country), required=True)
@click.option("--tenant", help="Only for this tenant; by default for all.")
@click.option("--site", help="Only for callers at this site of the tenant.")
@click.option("--location", help="Only for callers at this location of the tenant, told by the number (ELIN, L7).")
@click.option("--window-s", type=click.IntRange(min=3600), help="How long a number stays its caller's; 3600 s.")
@click.option("--rest-s", type=click.IntRange(min=0), help="How long it then rests; 3600 s by default.")
@click.option("--target-idle", type=click.IntRange(0, 100_000), help="Idle numbers each node keeps; 10 by default.")
@pass_context
def create(
    context: Context, /, name: str, trunk_group: str, country: str, tenant: str | None, **options: object
) -> None:
    """Create a pool."""
    with context.connection() as connection:
        columns = common.given(name=name, country=country, **options)
        provisioning.create_pool(connection, trunk_group, tenant, columns)
    click.echo(f"pool {name} created; give it numbers with 'holdfast pool add-numbers'")


@pool.command("set")
@click.argument("name", metavar="POOL")
@click.option("--site", help="Only for callers at this site of the pool's tenant.")
@click.option("--no-site", is_flag=True, help="For callers at every site.")
@click.option(
    "--location", help="Only for callers at this location of the pool's tenant, told by the number (ELIN, L7)."
)
@click.option("--no-location", is_flag=True, help="For callers at every location.")
@click.option("--window-s", type=click.IntRange(min=3600), help="How long a number stays its caller's.")
@click.option("--rest-s", type=click.IntRange(min=0), help="How long it then rests.")
@click.option("--target-idle", type=click.IntRange(0, 100_000), help="Idle numbers each node keeps.")
@pass_context
def change_pool(context: Context, /, name: str, no_site: bool, no_location: bool, **options: object) -> None:
    """Change a pool. Numbers that are lent keep the terms on which they were.

    Its carrier, country and tenant stay: a number that is lent would be called
    back over another carrier. Make another pool for those.
    """
    columns = common.changes({"site": no_site, "location": no_location}, **options)
    with context.connection() as connection:
        provisioning.change_pool(connection, name, columns)
    click.echo(f"pool {name} changed")


@pool.command("add-numbers")
@click.argument("name", metavar="POOL")
@click.argument("numbers_given", metavar="NUMBER|RANGE...", nargs=-1, required=True)
@click.option("--shared", is_flag=True, help="Lend them to several callers at once when the pool is dry (N3).")
@pass_context
def add_numbers(context: Context, name: str, numbers_given: tuple[str, ...], shared: bool) -> None:
    """Put callback numbers into a pool, such as +12025550123, or a range, +12025550100-+12025550149."""
    added = _expand(numbers_given)
    with context.connection() as connection:
        numbers.add_pool_numbers(connection, name, added, shared=shared)
    click.echo(f"{_count(added)} added to pool {name}")


@pool.command("import")
@click.argument("name", metavar="POOL")
@click.argument("file", type=click.File("rb"))
@pass_context
def import_pool_numbers(context: Context, name: str, file: BinaryIO) -> None:
    """Import callback numbers from a CSV file (- is standard input): all of them, or none if any row is wrong.

    Columns: number; and, if wanted, shared. The first row names them, in any order.
    """
    run_import(
        context, file, "callback numbers",
        lambda connection, progress: imports.import_pool_numbers(connection, file, pool=name, progress=progress),
    )  # fmt: skip


@pool.command("list")
@json_option
@pass_context
def list_pools(context: Context, as_json: bool) -> None:
    """List all pools."""
    with context.connection() as connection:
        found = provisioning.pools(connection)
    show_list(found, as_json=as_json, empty="There are no pools; 'holdfast pool create' makes one.")


@pool.command("show")
@click.argument("name", metavar="POOL")
@click.option("--numbers", "with_numbers", is_flag=True, help="Each number, too.")
@_limit_option
@json_option
@pass_context
def show(context: Context, name: str, with_numbers: bool, limit: int | None, as_json: bool) -> None:
    """Show how a pool's numbers are used, by the node that owns them. Held: lent, or resting after that.

    What is held is known from the nodes' reports; a node that is cut off knows better.
    """
    with context.connection() as connection:
        use = [
            {"node": part.node, "numbers": part.numbers, "idle": part.idle, "held": part.held, "shared": part.shared}
            for part in numbers.pool_use(connection, name)
        ]
        each = numbers.pool_numbers(connection, name, limit=limit) if with_numbers else ()
    if as_json:
        show_json({"pool": name, "use": use, **({"each": each} if with_numbers else {})})
        return
    for part in use:
        part["node"] = part["node"] or "(no node yet)"
    show_list(use, as_json=False, empty=f"Pool {name} has no numbers; 'holdfast pool add-numbers' gives it some.")
    if each:
        click.echo()
        show_list(each, as_json=False, empty="")


def _expand(given: tuple[str, ...]) -> list[str]:
    """Every number once, in the order given; InputError if one stands there twice."""
    expanded: dict[str, None] = {}
    for text in given:
        for one in values.numbers(text):
            if one in expanded:
                raise InputError(f"{one} is given twice", mend="name every number once; ranges must not overlap")
            expanded[one] = None
    return list(expanded)


def _count(added: list[str]) -> str:
    return added[0] if len(added) == 1 else f"{len(added)} numbers"
