"""Trunk groups and their trunks: created, changed and listed. Names are the keys people use.

Every function that writes is one transaction (see db.change). All raise InputError for what PostgreSQL refuses, and
DatabaseUnavailable when it is away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.errors import InputError
from holdfast.plane import db, rows
from holdfast.plane.lookup import id_of


@dataclass(frozen=True, slots=True)
class TrunkGroupRecord:
    """A carrier, a tenant's own carrier or PBX (`tenant`), or a screening centre. Times in milliseconds."""

    id: int
    name: str
    tenant: str | None
    country: str | None
    emergency: bool
    screening: bool
    ordinary: bool
    pbx: bool
    trunks: int
    location_method: str
    location_id_header: str
    psap_method: str
    psap_uri: str | None
    lost_url: str | None
    answers_within_ms: int
    rings_within_ms: int
    final_codes: list[int]
    location_refused_codes: list[int]


@dataclass(frozen=True, slots=True)
class TrunkRecord:
    """One SIP destination. Its calls are known by `source_addresses` and, if one is given, `certificate_name`."""

    id: int
    name: str
    trunk_group: str
    host: str
    port: int
    transport: str
    certificate_name: str | None
    priority: int
    weight: int
    source_addresses: list[str]
    enabled: bool


# Trunk groups

_GROUPS = """select g.id, g.name, t.name as tenant, g.country, g.emergency, g.screening, g.ordinary, g.pbx,
                    (select count(*) from trunk t where t.trunk_group_id = g.id) as trunks,
                    g.location_method, g.location_id_header, g.psap_method, g.psap_uri, g.lost_url,
                    g.answers_within_ms, g.rings_within_ms, g.final_codes, g.location_refused_codes
             from trunk_group g left join tenant t on t.id = g.tenant_id """


def trunk_groups(connection: db.Connection) -> tuple[TrunkGroupRecord, ...]:
    """Every trunk group, by name."""
    return rows.select(connection, TrunkGroupRecord, _GROUPS + "order by g.name")


def trunk_group(connection: db.Connection, name: str) -> TrunkGroupRecord:
    """One trunk group; InputError if there is none of that name."""
    found = trunk_group_id(connection, name)
    return rows.select(connection, TrunkGroupRecord, _GROUPS + "where g.id = %s", (found,))[0]


def trunk_group_id(connection: db.Connection, name: str) -> int:
    """The id of a trunk group; InputError if there is none of that name."""
    return id_of(connection, "trunk_group", name)


def create_trunk_group(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    """`columns` of table trunk_group but the name; `tenant` is a tenant's name."""
    with db.change(connection, f"trunk-group create {name}"):
        rows.insert(connection, "trunk_group", {"name": name, **_with_tenant(connection, columns)})


def change_trunk_group(connection: db.Connection, name: str, columns: Mapping[str, object]) -> None:
    """InputError, too, if a trunk, a pool or a routing rule of the group would contradict what it becomes."""
    with db.change(connection, f"trunk-group set {name}: {', '.join(columns)}"):
        group_id = trunk_group_id(connection, name)
        rows.update(connection, "trunk_group", "id", group_id, _with_tenant(connection, columns))


def _with_tenant(connection: db.Connection, columns: Mapping[str, object]) -> dict[str, object]:
    stored = dict(columns)
    if "tenant" in stored:
        tenant = stored.pop("tenant")
        stored["tenant_id"] = None if tenant is None else id_of(connection, "tenant", str(tenant))
    for codes in ("final_codes", "location_refused_codes"):
        if codes in stored:
            stored[codes] = _array(stored[codes])
    return stored


# Trunks

_TRUNKS = """select t.id, t.name, g.name as trunk_group, t.host, t.port, t.transport, t.certificate_name, t.priority,
                    t.weight,
                    array(select regexp_replace(a::text, '/(32|128)$', '') from unnest(t.source_addresses) a)
                        as source_addresses,
                    t.enabled
             from trunk t join trunk_group g on g.id = t.trunk_group_id """


def trunks(connection: db.Connection) -> tuple[TrunkRecord, ...]:
    """Every trunk, in the order in which they are tried."""
    return rows.select(connection, TrunkRecord, _TRUNKS + "order by g.name, t.priority, t.weight desc, t.id")


def trunk(connection: db.Connection, name: str) -> TrunkRecord:
    """One trunk; InputError if there is none of that name."""
    return rows.select(connection, TrunkRecord, _TRUNKS + "where t.id = %s", (id_of(connection, "trunk", name),))[0]


def create_trunk(
    connection: db.Connection, group: str, columns: Mapping[str, object], *, resolved: Sequence[str] = ()
) -> None:
    """`columns` of table trunk but the group; name, host and source_addresses are needed.

    `resolved` are the addresses of a host that is a name: InputError if it leads back to one of our nodes.
    """
    with db.change(connection, f"trunk create {columns['name']}"):
        group_id = trunk_group_id(connection, group)
        rows.insert(connection, "trunk", {"trunk_group_id": group_id, **_with_addresses(columns)})
        _refuse_loop(connection, str(columns["name"]), resolved)


def change_trunk(
    connection: db.Connection, name: str, columns: Mapping[str, object], *, resolved: Sequence[str] = ()
) -> None:
    """`resolved` as for create_trunk: the addresses of the host that it has afterwards."""
    with db.change(connection, f"trunk set {name}: {', '.join(columns)}"):
        rows.update(connection, "trunk", "id", id_of(connection, "trunk", name), _with_addresses(columns))
        _refuse_loop(connection, name, resolved)


def _refuse_loop(connection: db.Connection, name: str, resolved: Sequence[str]) -> None:
    """A host that is an address is looked at by the database; what a name stands for, only we know."""
    node = rows.value(
        connection, "select node_at(%s::inet[], t.port) from trunk t where t.name = %s", (_array(resolved), name)
    )
    if node is not None:
        found = trunk(connection, name)
        raise InputError(
            f"trunk {name} leads back to us: {found.host} port {found.port} is node {node}",
            mend="give the host and port of the carrier or PBX",
        )


def _with_addresses(columns: Mapping[str, object]) -> dict[str, object]:
    addresses = columns.get("source_addresses")
    return dict(columns) if addresses is None else {**columns, "source_addresses": _array(addresses)}


def _array(values: object) -> str:
    """A PostgreSQL array as text, so that psycopg need not guess a type for addresses, networks or nothing."""
    if not isinstance(values, Sequence):
        raise TypeError(f"no sequence: {type(values).__name__}")
    return "{" + ",".join(map(str, values)) + "}"
