"""`holdfast lease`, `call`, `registration`, `journal`: what happens now, on this node or as the nodes reported it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_list, show_one, utc
from holdfast.core import lease as rules
from holdfast.core.lease import Lease, Moment
from holdfast.edge import clock, kamailio_rpc
from holdfast.edge import store as edge_store
from holdfast.errors import InputError
from holdfast.plane import reports

_plane_option = click.option(
    "--plane", is_flag=True, help="Ask PostgreSQL what all nodes reported, not this node's own edge store."
)


@contextmanager
def _store(context: Context) -> Iterator[edge_store.EdgeStore]:
    with closing(edge_store.connect(context.settings.node.edge_store, create=False)) as connection:
        yield edge_store.EdgeStore(connection)


def _show(found: list[dict[str, object]], *, as_json: bool) -> None:
    """One document line by line, several as a table; for programs always a list."""
    if as_json or len(found) > 1:
        show_list(found, as_json=as_json, empty="")
    else:
        show_one(found[0], as_json=False)


# Leases


@click.group()
def lease() -> None:
    """Leases: which callback number is lent to whom."""


@lease.command("list")
@_plane_option
@json_option
@pass_context
def list_leases(context: Context, plane: bool, as_json: bool) -> None:
    """List leases of this node: live, resting, and over but not yet erased."""
    documents = _leases(context, plane=plane)
    columns = ["number", "state", "holder", "display_name", "calls", "window_ends", "rest_ends"]
    show_list(documents, as_json=as_json, columns=["node", *columns] if plane else columns, empty="No number is lent.")


@lease.command("show")
@click.argument("number", type=common.NUMBER)
@_plane_option
@json_option
@pass_context
def show_lease(context: Context, number: str, plane: bool, as_json: bool) -> None:
    """Show who holds a callback number; a shared one may have several holders."""
    found = [document for document in _leases(context, plane=plane) if document["number"] == number]
    if not found:
        where = "by any node's report" if plane else "on this node"
        raise InputError(f"{number} is not lent {where}", mend="'holdfast lease list' shows what is; try --plane")
    _show(found, as_json=as_json)


def _leases(context: Context, *, plane: bool) -> list[dict[str, object]]:
    now = clock.now()
    if plane:
        with context.connection() as connection:
            shipped = reports.shipped_leases(connection)
        return [{"node": one.node, **_lease(one, now)} for one in shipped]
    with _store(context) as store:
        return [_lease(one, now) for one in sorted(store.leases(now), key=lambda one: -one.marked_at)]


def _lease(one: Lease, now: Moment) -> dict[str, object]:
    """A lease as it is shown. While a call is in progress its window has no end (N2)."""
    return {
        "number": one.number,
        "state": str(rules.state(one, now)),
        "holder": one.aor or one.caller_key,
        "display_name": one.display_name,
        "calls": one.calls,
        "first_dial": utc(one.first_dial_at),
        "last_end": utc(one.last_end_at),
        "window_ends": None if one.calls else utc(one.window_ends_at),
        "rest_ends": None if one.calls else utc(one.rest_ends_at),
        "shared": one.shared,
        "caller_key": one.caller_key,
        "tenant_id": one.tenant_id,
        "subscriber_id": one.subscriber_id,
        "aor": one.aor,
        "contact_uri": one.contact_uri,
        "source_uri": one.source_uri,
        "pool_id": one.pool_id,
        "window_s": one.window_s,
        "rest_s": one.rest_s,
        "id": one.id,
    }


# Calls


@click.group()
def call() -> None:
    """Calls in progress: emergency calls, their callbacks and 933. Calls that have ended are not kept."""


@call.command("list")
@_plane_option
@json_option
@pass_context
def list_calls(context: Context, plane: bool, as_json: bool) -> None:
    """List calls in progress."""
    show_list(_calls(context, plane=plane), as_json=as_json, empty="No such call is in progress.")


@call.command("show")
@click.argument("call_id")
@_plane_option
@json_option
@pass_context
def show_call(context: Context, call_id: str, plane: bool, as_json: bool) -> None:
    """Show one call in progress, by its SIP Call-ID."""
    found = [document for document in _calls(context, plane=plane) if document["call_id"] == call_id]
    if not found:
        raise InputError(f"no call {call_id!r} is in progress", mend="'holdfast call list' shows those that are")
    _show(found, as_json=as_json)


def _calls(context: Context, *, plane: bool) -> list[dict[str, object]]:
    if plane:
        with context.connection() as connection:
            shipped = reports.shipped_calls(connection)
        return [{"node": one.node, **_call(one, one.number)} for one in shipped]
    with _store(context) as store:
        number_of = {one.id: one.number for one in store.leases(clock.now())}
        return [_call(one, number_of.get(one.lease_id or "")) for one in store.open_calls()]


def _call(one: edge_store.OpenCall | reports.ShippedCall, number: str | None) -> dict[str, object]:
    return {
        "kind": str(one.kind),
        "started": utc(one.started_at),
        "number": number,
        "tenant_id": one.tenant_id,
        "call_id": one.call_id,
        "lease_id": one.lease_id,
    }


# Registrations


@click.group()
def registration() -> None:
    """Registrations: which phones are reachable now, as this node's Kamailio knows."""


@registration.command("list")
@json_option
@pass_context
def list_registrations(context: Context, as_json: bool) -> None:
    """List every registered phone."""
    rpc_socket = context.settings.node.kamailio_rpc
    users = kamailio_rpc.registered_users(rpc_socket)
    # a user who de-registers meanwhile has no contacts any more
    contacts = [contact for user in users for contact in kamailio_rpc.registrations(rpc_socket, user)]
    show_list(contacts, as_json=as_json, columns=_REGISTRATION, empty="No phone is registered.")


@registration.command("show")
@click.argument("user")
@json_option
@pass_context
def show_registration(context: Context, user: str, as_json: bool) -> None:
    """Show the phones of one user."""
    contacts = kamailio_rpc.registrations(context.settings.node.kamailio_rpc, user)
    if not contacts:
        raise InputError(f"{user} is not registered", mend="'holdfast registration list' shows who is")
    show_list(contacts, as_json=as_json, columns=_REGISTRATION, empty="")


_REGISTRATION = ("user", "contact", "received", "expires_s", "user_agent")


# Journal


@click.group()
def journal() -> None:
    """The journal: what the nodes reported to PostgreSQL."""


@journal.command("tail")
@click.option("-n", "--rows", type=click.IntRange(1, 10_000), default=20, show_default=True)
@json_option
@pass_context
def tail(context: Context, rows: int, as_json: bool) -> None:
    """Show the last rows that were shipped. Of a lease only its id is kept here; see 'lease list --plane'."""
    with context.connection() as connection:
        found = [
            {"at": utc(one.at), "node": one.node, "kind": one.kind, "payload": one.payload, "seq": one.seq,
             "store_id": one.store_id}
            for one in reports.journal_tail(connection, rows)
        ]  # fmt: skip
    columns = ("at", "node", "seq", "kind", "payload")
    show_list(found, as_json=as_json, columns=columns, empty="No node has reported anything yet.")
