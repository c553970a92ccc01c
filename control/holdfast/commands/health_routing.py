"""`doctor` looks at what this node would route emergency calls by: trunks, locations, PSAPs, the table of addresses."""

from collections.abc import Iterator
from contextlib import closing

from holdfast import ip_table
from holdfast.commands.finding import Finding, fail, fail_with, ok, warn
from holdfast.core.ip_country import IpTableUnusable
from holdfast.core.model import LocationMethod, Network, PsapMethod
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.errors import HoldfastError
from holdfast.settings import Settings


def check_routing(settings: Settings) -> Iterator[Finding]:
    """What would send calls another way than their operator means."""
    yield _ip_countries(settings)
    try:
        with closing(edge_store.connect(settings.node.edge_store, create=False)) as connection:
            store = edge_store.EdgeStore(connection)
            network = store.network(clock.now())
            yield from _trunks(network)
            yield from _locations(settings, store, network)
    except HoldfastError as error:
        yield fail_with("routing", error)


def _ip_countries(settings: Settings) -> Finding:
    path = ip_table.table_path(settings.node.state_dir)
    try:
        origin = ip_table.open_table(path).origin
    except IpTableUnusable as error:
        return warn("countries", str(error), "run 'holdfast render': it unpacks the table that came with Holdfast")
    return ok("countries", f"source addresses: {origin.source}, of {origin.date}")


def _trunks(network: Network) -> Iterator[Finding]:
    down = sorted(trunk.name for trunk in network.trunks if not trunk.healthy)
    if down:
        yield warn("trunks", f"no answer to OPTIONS: {', '.join(down)}; they are tried last", "see the carrier's end")
    else:
        yield ok("trunks", f"{len(network.trunks)} trunks, none of which is known to be down")
    if not any(group.screening for group in network.groups.values()):
        yield warn(
            "trunks",
            "there is no screening centre: a call without a usable location goes to a PSAP that gets no address",
            "'holdfast trunk-group create NAME --screening'",
        )


def _locations(settings: Settings, store: edge_store.EdgeStore, network: Network) -> Iterator[Finding]:
    for group in network.groups.values():
        if group.location_method is LocationMethod.REFERENCE and not settings.api.location_base_url:
            yield fail(
                "locations",
                f"trunk group {group.name} wants locations by reference, and nothing says where they can be fetched",
                "set api.location_base_url in the settings file, and run 'holdfast render'",
            )
        if group.psap_method is PsapMethod.FIXED:
            continue
        [row] = store.rows(
            """select count(*) from location l
               where (?1 is null or l.country = ?1) and (?2 is null or l.tenant_id = ?2) and not exists (
                   select 1 from location_psap p where p.location_id = l.id and p.trunk_group_id = ?3)""",
            (group.country, group.tenant_id, group.id),
        )
        if row[0]:
            yield warn(
                "locations",
                f"trunk group {group.name}: {row[0]} locations have no PSAP; their calls go to the group's own",
                "'holdfast location route' asks again, and says what is missing",
            )
