"""`doctor` looks at PostgreSQL, as the agent of this node and as an administrator."""

import time
from collections.abc import Iterator

from holdfast.commands.finding import Finding, fail, ok, warn
from holdfast.errors import HoldfastError
from holdfast.plane import db, reports, rows, schema, trunk_groups
from holdfast.settings import Settings

#: Leases, journal and metrics carry times: nodes and database must agree about as well as this.
_CLOCK_SKEW_S = 2.0
#: A node further behind than this many rows is counted no further.
_LAG_LIMIT = 10_000

_AGENT_FUNCTIONS = (
    "changes_since(bigint, integer)",
    "claim_numbers(integer, text, integer, integer)",
    "ship_journal(integer, text, jsonb)",
    "leases_of_node(integer)",
    "erase_ended_leases()",
    "erase_expired_references()",
)


def check_plane(settings: Settings, override: str, store_revision: int | None) -> Iterator[Finding]:
    """PostgreSQL as the agent sees it, then as an administrator does. `store_revision`: what the edge store holds."""
    try:
        with db.connect(settings, role=db.AGENT) as connection:
            version = connection.info.server_version
            yield ok("postgresql", f"PostgreSQL {version // 10000}.{version % 10000} takes the agent's connection")
            yield from _schema(connection)
            yield from _agent_rights(connection)
            yield from _this_node(connection, settings)
            yield _clock(connection)
            if store_revision is not None:
                yield _lag(connection, store_revision)
    except HoldfastError as error:
        yield fail("postgresql", f"{error}; calls go on without it, but nothing new comes down", error.mend)
        return
    yield from _as_administrator(settings, override)


def _schema(connection: db.Connection) -> Iterator[Finding]:
    version, latest = schema.schema_version(connection), len(schema.migrations())
    if version == latest:
        yield ok("schema", f"version {version}, as this Holdfast needs it")
    elif version < latest:
        yield fail("schema", f"version {version}, but this Holdfast needs {latest}", "run 'holdfast db init'")
    else:
        yield fail("schema", f"version {version} is newer than this Holdfast ({latest})", "install the newer Holdfast")


def _agent_rights(connection: db.Connection) -> Iterator[Finding]:
    missing = [
        function
        for function in _AGENT_FUNCTIONS
        if not rows.value(
            connection,
            "select coalesce(has_function_privilege(to_regprocedure(%s)::oid, 'execute'), false)",
            (f"holdfast.{function}",),
        )
    ]
    if missing:
        yield fail("agent role", f"{connection.info.user} may not call {missing[0]}", "run 'holdfast db init'")
        return
    is_more = rows.value(connection, "select rolsuper or rolcreaterole from pg_roles where rolname = current_user")
    if is_more:
        yield warn(
            "agent role",
            f"{connection.info.user} may do anything in PostgreSQL",
            "let the agent connect as holdfast_agent",
        )
    else:
        yield ok("agent role", f"{connection.info.user} may do what the agent needs, and no more")


def _this_node(connection: db.Connection, settings: Settings) -> Iterator[Finding]:
    found = rows.pairs(
        connection, "select host(sip_address), sip_port from node where name = %s", (settings.node.name,)
    )
    if not found:
        yield fail("node", f"PostgreSQL knows no node {settings.node.name}", "run 'holdfast node create'")
    elif found[0] != (settings.sip.address, settings.sip.port):
        yield warn(
            "node",
            f"other nodes look for {settings.node.name} at {found[0][0]}:{found[0][1]}, "
            f"but it listens at {settings.sip.address}:{settings.sip.port}",
            "correct sip.address and sip.port, or the node's row",
        )
    else:
        yield ok("node", f"{settings.node.name} is known at {found[0][0]}:{found[0][1]}")


def _clock(connection: db.Connection) -> Finding:
    before = time.time()
    theirs = float(rows.value(connection, "select extract(epoch from clock_timestamp())::double precision"))
    skew = theirs - (before + time.time()) / 2
    if abs(skew) > _CLOCK_SKEW_S:
        return warn(
            "clock", f"PostgreSQL's clock is {skew:+.1f} s off this node's", "let both follow a time server (chrony)"
        )
    return ok("clock", f"PostgreSQL's clock and this node's agree within {max(abs(skew), 0.1):.1f} s")


def _lag(connection: db.Connection, store_revision: int) -> Finding:
    behind = rows.value(connection, "select count(*) from changes_since(%s, %s)", (store_revision, _LAG_LIMIT))
    if behind:
        more = "at least " if behind == _LAG_LIMIT else ""
        return warn("sync", f"the edge store lacks {more}{behind} provisioning rows", "see that 'holdfast agent' runs")
    return ok("sync", f"the edge store holds every provisioning row (revision {store_revision})")


def _as_administrator(settings: Settings, override: str) -> Iterator[Finding]:
    try:
        with db.connect(settings, override=override) as connection:
            conflicts = reports.lease_conflicts(connection)
            groups = trunk_groups.trunk_groups(connection)
            trunks = [trunk for trunk in trunk_groups.trunks(connection) if trunk.enabled]
    except HoldfastError as error:
        yield warn("administrator", f"{error}; what only an administrator sees was not looked at", error.mend)
        return
    emergency_groups = {group.name for group in groups if group.emergency}
    emergency = [trunk for trunk in trunks if trunk.trunk_group in emergency_groups]
    if emergency:
        yield ok("trunks", f"{len(trunks)} enabled, of them for emergency calls {len(emergency)}")
    else:
        yield fail(
            "trunks",
            "no enabled trunk carries emergency calls",
            "'holdfast trunk-group create NAME --emergency', then 'holdfast trunk create'",
        )
    if conflicts:
        last = conflicts[0]
        yield fail(
            "leases",
            f"nodes {last.kept_node} and {last.dropped_node} lent {last.number} at once ({len(conflicts)} such cases)",
            "report this: it must never happen; see table lease_conflict",
        )
