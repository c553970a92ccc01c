"""`holdfast explain`: how a call would go, without calling."""

import ipaddress
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
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.edge.explain import Explanation, Question, explain
from holdfast.errors import InputError

#: A location document is a few kilobytes; core.pidf_lo refuses what is larger.
_READ_AT_MOST = 1_000_000


@click.command("explain")
@click.option("--dial", "dialled", required=True, help="What is dialled: digits, or a whole Request-URI.")
@click.option("--user", help="The user whose phone dials: name, or name@domain.")
@click.option("--trunk", help="The trunk that the call comes from, such as a PBX's.")
@click.option("--number", type=common.NUMBER, help="The caller's number, as a PBX or trunk says it.")
@click.option("--from-address", default="0.0.0.0", help="The address that its packets come from.")  # noqa: S104
@click.option("--country", default="", help="The country that the client says it is in.")
@click.option("--access", default="", help="The P-Access-Network-Info header that the phone sends.")
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
    from_address: str,
    country: str,
    access: str,
    pidf_lo: BinaryIO | None,
    as_json: bool,
) -> None:
    """Show how a call would go from this node now: match, country, location, path, trunks, and the rule behind each.

    Nothing is dialled, lent or written. The decision is made by the function that routes live calls.
    """
    if user and trunk:
        raise InputError("--user and --trunk name two origins", mend="give one of them; neither means a stranger")
    settings = context.settings
    question = Question(
        dialled=dialled,
        user=user if user is None or "@" in user else f"{user}@{settings.sip.domain}",
        trunk=trunk,
        number=number,
        address=_address(from_address),
        country=_country(country),
        attachments=attachments(access),
        pidf_lo=pidf_lo.read(_READ_AT_MOST) if pidf_lo else None,
    )
    with closing(edge_store.connect(settings.node.edge_store, create=False)) as connection:
        told = explain(
            edge_store.EdgeStore(connection), question, clock.now(), ip_country=_ip_country(context),
            default_country=settings.sip.default_country or None,
        )  # fmt: skip
    if as_json:
        show_json(_document(told))
    else:
        _print(told)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise InputError(f"--from-address: {text!r} is not an address", mend="write it such as 192.0.2.7") from error


def _country(text: str) -> str:
    if text and canonical(text) is None:
        raise InputError(f"--country: {text!r} is no country", mend="use ISO 3166-1 alpha-2, such as US or DK")
    return text


def _ip_country(context: Context) -> Callable[[str], str | None]:
    path = ip_table.table_path(context.settings.node.state_dir)
    return ip_table.open_table(path).country if path.exists() else lambda _address: None


def _print(told: Explanation) -> None:
    decision = told.decision
    click.echo(f"caller: {visible(told.caller.caller_key)}")
    if decision is None:
        click.echo("an ordinary number in the caller's country: it is no emergency or test call")
        return
    width = max(len(step.topic) for step in decision.steps)
    for step in decision.steps:
        click.echo(f"{step.topic:<{width}}  {visible(step.finding)}  [{visible(step.because)}]")
    if isinstance(decision, RoutePlan) and told.holds:
        click.echo(f"the caller holds {', '.join(told.holds)}: the same pool lends the same number again")


def _document(told: Explanation) -> dict[str, object]:
    decision = told.decision
    document: dict[str, object] = {"caller": told.caller.caller_key, "holds": list(told.holds)}
    if decision is None:
        return {**document, "outcome": "ordinary", "steps": []}
    steps = [{"topic": step.topic, "finding": step.finding, "because": step.because} for step in decision.steps]
    if isinstance(decision, Refusal):
        refused = {"code": decision.code, "reason": decision.reason, "text": decision.text}
        return {**document, "outcome": "refused", **refused, "steps": steps}
    trunks = [
        {"trunk": hop.trunk.name, "request_uri": hop.request_uri, "path": hop.path.value,
         "destination": hop.destination.value, "location_method": hop.location_method.value}
        for hop in decision.hops
    ]  # fmt: skip
    return {
        **document,
        "outcome": decision.kind.value,
        "sent": decision.sent,
        **decision.summary,
        "trunks": trunks,
        "pools": [pool.name for pool in decision.pools],
        "most_calls": decision.most_calls,
        "steps": steps,
    }
