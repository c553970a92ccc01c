"""`holdfast explain`: how a call would go, without calling."""

import dataclasses
import ipaddress
import math
from collections.abc import Callable
from contextlib import closing
from typing import BinaryIO

import click

from holdfast import ip_table
from holdfast.commands import context as common
from holdfast.commands.context import Context, json_option, pass_context
from holdfast.commands.output import show_json, visible
from holdfast.core.access import attachments
from holdfast.core.country import canonical
from holdfast.core.route_plan import Refusal
from holdfast.edge import clock, kamailio_rpc
from holdfast.edge import store as edge_store
from holdfast.edge.explain import Explanation, Question, described, explain
from holdfast.errors import InputError
from holdfast.plane import values

#: A location document is a few kilobytes; core.pidf_lo refuses what is larger.
_READ_AT_MOST = 1_000_000
_KAMAILIO_ANSWERS_WITHIN_S = 1.0


def _user(text: str) -> str:
    """A user's name, with or without the domain."""
    return values.aor(text) if "@" in text else values.username(text)


USER = common.Value("user", _user)


@click.command("explain")
@click.option("--dial", "dialled", required=True, help="What is dialled: digits, or a whole Request-URI.")
@click.option("--user", type=USER, help="The user whose phone dials: name, or name@domain.")
@click.option("--trunk", type=common.NAME, help="The trunk that the call comes from, such as a PBX's.")
@click.option("--number", type=common.NUMBER, help="The caller's number, as a PBX or trunk says it.")
@click.option("--from-address", help="The address that its packets come from; a trunk's own by default.")
@click.option("--country", default="", help="The country that the client says it is in.")
@click.option("--access", help="The P-Access-Network-Info header that the phone sends.")
@click.option("--pidf-lo", type=click.File("rb"), help="A file with the location that the phone sends.")
@json_option
@pass_context
def explain_command(
    context: Context,
    /,
    dialled: str,
    user: str | None,
    trunk: str | None,
    number: str | None,
    from_address: str | None,
    country: str,
    access: str | None,
    pidf_lo: BinaryIO | None,
    as_json: bool,
) -> None:
    """Show how a call would go from this node now: match, country, location, path, trunks, and the rule behind each.

    Without --user and --trunk it is a stranger's. Nothing is dialled, lent or written. The decision is made by the
    function that routes live calls.
    """
    if user and trunk:
        raise InputError("--user and --trunk name two origins", mend="give one of them; neither means a stranger")
    if not dialled.strip():
        raise InputError("--dial: nothing is dialled", mend="write it such as 911")
    settings = context.settings
    question = Question(
        dialled=dialled.strip(),
        user=user if user is None or "@" in user else f"{user}@{settings.sip.domain}",
        trunk=trunk,
        number=number,
        address=_address(from_address) if from_address is not None else None,
        country=_country(country),
        attachments=_attachments(access) if access is not None else (),
        pidf_lo=pidf_lo.read(_READ_AT_MOST) if pidf_lo else None,
    )
    started_at, asleep = _kamailio(context)
    with closing(edge_store.connect(settings.node.edge_store, create=False)) as connection:
        told = explain(
            edge_store.EdgeStore(connection), question, clock.now(), ip_country=_ip_country(context),
            default_country=settings.sip.default_country or None, counted_since=started_at,
        )  # fmt: skip
    if as_json:
        show_json(_document(told, asleep))
    else:
        _print(told, asleep)


def _kamailio(context: Context) -> tuple[float, str]:
    """Since when calls are counted, and what hinders this node from taking one; "" if nothing does."""
    try:
        return kamailio_rpc.started_at(context.settings.node.kamailio_rpc, deadline_s=_KAMAILIO_ANSWERS_WITHIN_S), ""
    except (kamailio_rpc.KamailioUnavailable, kamailio_rpc.KamailioRefused) as error:
        return math.inf, f"no call would be taken here now: {error}"


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise InputError(f"--from-address: {text!r} is not an address", mend="write it such as 192.0.2.7") from error


def _country(text: str) -> str:
    if text and canonical(text.strip()) is None:
        raise InputError(f"--country: {text!r} is no country", mend="use ISO 3166-1 alpha-2, such as US or DK")
    return text


def _attachments(header: str) -> tuple[tuple[str, str], ...]:
    found = attachments(header)
    if not found:
        raise InputError(
            "--access names no access point and no switch",
            mend="write it as the phone sends it, such as IEEE-802.11;i-wlan-node-id=001122aabbcc",
        )
    return found


def _ip_country(context: Context) -> Callable[[str], str | None]:
    path = ip_table.table_path(context.settings.node.state_dir)
    return ip_table.open_table(path).country if path.exists() else lambda _address: None


def _print(told: Explanation, asleep: str) -> None:
    click.echo(f"caller: {visible(told.caller.caller_key)}")
    width = max((len(step.topic) for step in told.steps), default=0)
    for step in told.steps:
        click.echo(f"{step.topic:<{width}}  {visible(step.finding)}  [{visible(step.because)}]")
    if told.decision is None:
        click.echo("an ordinary number in the caller's country: it is no emergency or test call")
    if asleep:
        click.echo(visible(asleep), err=True)


def _document(told: Explanation, asleep: str) -> dict[str, object]:
    decision = told.decision
    steps = [dataclasses.asdict(step) for step in told.steps]
    document: dict[str, object] = {"caller": told.caller.caller_key, "hindered_by": asleep or None, "steps": steps}
    if told.in_progress is not None:
        document["in_progress"] = dict(zip(("here", "elsewhere"), told.in_progress, strict=True))
    if decision is None:
        return {"outcome": "ordinary", **document}
    if isinstance(decision, Refusal):
        refused = {"code": decision.code, "phrase": decision.phrase, "reason": decision.reason, "text": decision.text}
        return {"outcome": "refused", **refused, **document}
    trunks = [
        {"trunk": hop.trunk.name, "request_uri": hop.request_uri, "path": hop.path.value,
         "destination": hop.destination.value, "location_method": hop.location_method.value}
        for hop in decision.hops
    ]  # fmt: skip
    return {
        "outcome": decision.kind.value,
        "sent": decision.sent,
        **decision.summary,
        "security_desk": decision.security_desk,
        "number_shown": told.shown_number,
        "pool": told.loan.pool.name if told.loan else None,
        "trunks": trunks,
        "pools": [pool.name for pool in decision.pools],
        "most_calls": decision.most_calls,
        "location_told": described(decision.where.place) if decision.where else None,
        **document,
    }
