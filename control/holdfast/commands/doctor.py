"""`holdfast doctor`: what is wrong on this machine, and how to mend it."""

from collections.abc import Iterator

import click

from holdfast.commands.context import Context, json_option
from holdfast.commands.finding import Finding, Level, fail_with, ok
from holdfast.commands.output import show_json, visible
from holdfast.errors import SettingsError

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at everything a node needs, and say how to mend what is wrong. Exit status 2: something has failed."""
    context = ctx.ensure_object(Context)
    findings: list[Finding] = []
    for finding in _look(context):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        show_json(findings)
    failed = sum(finding.level is Level.FAIL for finding in findings)
    warned = sum(finding.level is Level.WARN for finding in findings)
    if not as_json:
        click.echo(f"{len(findings)} checks: {failed} failed, {warned} to look at")
    ctx.exit(2 if failed else 0)


def _look(context: Context) -> Iterator[Finding]:
    # imported here: every other command starts faster without asyncio, metrics and the rest
    from holdfast.commands import health_node, health_plane, health_routing, health_services

    try:
        settings = context.settings
    except SettingsError as error:
        yield fail_with("settings", error)
        return
    yield ok("settings", f"{settings.path} is sound; this is node {settings.node.name}")
    yield from health_node.check_programs(settings)
    yield health_node.check_clock()
    yield health_node.check_disk(settings)
    found, revision = health_node.check_store(settings)
    yield from found
    if revision is not None:
        yield from health_routing.check_routing(settings)
    yield from health_plane.check_plane(settings, context.database, revision)
    yield from health_services.check_ports(settings)
    yield health_services.check_kamailio(settings)
    yield health_services.check_media(settings)
    yield health_services.check_prompts(settings)


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:<4}", fg=_COLOURS[finding.level])
    mend = f" — {visible(finding.mend)}" if finding.mend else ""
    click.echo(f"{level}  {finding.check:<13} {visible(finding.message)}{mend}")
