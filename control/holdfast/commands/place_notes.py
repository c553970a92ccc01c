"""What commands about places tell besides their outcome, on stderr: notes, and what became of PSAPs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from holdfast.commands.output import visible
from holdfast.plane.registered_addresses import CANNOT_KNOW

if TYPE_CHECKING:
    from holdfast.plane.psap import Routed

#: Outcomes that are worth a line of their own.
_WORDS = {"new": "found", "changed": "is another now", "withdrawn": "does not serve it any more", "same": "as before"}


def tell(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"note: {visible(note)}", err=True)


def tell_what_cannot_be_known() -> None:
    """C4: where an address is set, what the service cannot see of it."""
    click.echo("What Holdfast cannot know about an emergency address:", err=True)
    for line in CANNOT_KNOW:
        click.echo(f"  - {line}", err=True)


def tell_psaps(routed: Sequence["Routed"], *, unchanged: bool = False) -> bool:
    """A line for each PSAP that was found, changed or not found (`unchanged`: for all); whether none failed."""
    for one in routed:
        if one.problem:
            kept = f"; {one.psap_uri} stays" if one.psap_uri else "; its calls go where the group sends all others"
            click.echo(visible(f"{_where(one)}: no PSAP found: {one.problem}{kept}"), err=True)
        elif unchanged or one.outcome != "same":
            click.echo(visible(f"{_where(one)}: {one.psap_uri or one.before} {_WORDS[one.outcome]}"))
        tell(f"{_where(one)}: the LoST server warns: {note}" for note in one.notes)
    return not any(one.problem for one in routed)


def summary(routed: Sequence["Routed"]) -> str:
    """Such as "12 PSAPs: 1 new, 10 same, 1 failed"."""
    counts = Counter(str(one.outcome) for one in routed)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in (*_WORDS, "failed") if counts[outcome])
    return f"{len(routed)} PSAP{'s' if len(routed) != 1 else ''}" + (f": {told}" if told else "")


def _where(one: "Routed") -> str:
    return f"{one.tenant}, {one.location}, trunk group {one.trunk_group}"
