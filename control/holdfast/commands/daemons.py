"""`holdfast agent`, `controller`, `embedded-media`: a node's processes; `api`: the control plane's.

`holdfast render`: what others start with.
"""

from pathlib import Path

import click

from holdfast.commands.context import Context, pass_context

_path = click.Path(path_type=Path)


@click.command()
@click.pass_context
def agent(ctx: click.Context) -> None:
    """Run the edge agent until it is told to stop."""
    from holdfast.edge import agent as daemon

    ctx.exit(daemon.main(ctx.ensure_object(Context).settings))


@click.command()
@click.pass_context
def controller(ctx: click.Context) -> None:
    """Run the call controller until it is told to stop."""
    from holdfast.calls import controller as daemon

    ctx.exit(daemon.main(ctx.ensure_object(Context).settings))


@click.command("embedded-media")
@click.pass_context
def embedded_media(ctx: click.Context) -> None:
    """Run the embedded media server, where FreeSWITCH cannot be installed. Never meant for production."""
    from holdfast.embedded import server as daemon

    ctx.exit(daemon.main(ctx.ensure_object(Context).settings))


@click.command()
@click.pass_context
def api(ctx: click.Context) -> None:
    """Answer to location URIs until it is told to stop. On loopback: a proxy before it speaks TLS."""
    from holdfast.plane import api as daemon

    ctx.exit(daemon.main(ctx.ensure_object(Context).settings))


@click.command()
@click.option("--kamailio", "kamailio_file", type=_path, help="The file Kamailio is started with; in node.state_dir.")
@click.option("--freeswitch", "freeswitch_dir", type=_path, help="FreeSWITCH's folder; in node.state_dir.")
@pass_context
def render(context: Context, kamailio_file: Path | None, freeswitch_dir: Path | None) -> None:
    """Write the configuration of Kamailio and FreeSWITCH from the settings file, and an ESL password if there is none.

    Restart them afterwards: neither reads its configuration again by itself.
    """
    from holdfast import render as rendering

    settings = context.settings
    kamailio_file = kamailio_file or settings.node.state_dir / "kamailio.cfg"
    freeswitch_dir = freeswitch_dir or settings.node.state_dir / "freeswitch" / "conf"
    rendering.esl_password(settings)
    rendering.freeswitch(settings, freeswitch_dir)
    rendering.kamailio(settings, kamailio_file)
    click.echo(f"Kamailio's configuration: {kamailio_file}")
    click.echo(f"FreeSWITCH's configuration: {freeswitch_dir}")
    click.echo(f"ESL password: {settings.media.esl_password_file}")
