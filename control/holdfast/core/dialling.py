"""From a dialled string to what it is: an emergency number, a test, or an ordinary number as the dial plan makes it.

The same function routes live calls and is what `explain` and the proof over every short string (N7) call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from holdfast.core.numbers import EmergencyMatch, match_emergency


@dataclass(frozen=True, slots=True)
class DialRule:
    """One line of a tenant's dial plan: of a string with this prefix `strip` digits go and `prepend` comes before."""

    prefix: str
    strip: int
    prepend: str


def translate(dialled: str, rules: Iterable[DialRule]) -> str:
    """What an ordinary call's dialled string becomes: by the rule with the longest prefix, once; else as it is."""
    best = max(
        (rule for rule in rules if dialled.startswith(rule.prefix)), key=lambda rule: len(rule.prefix), default=None
    )
    return dialled if best is None else best.prepend + dialled[best.strip :]


def classify(dialled: str, country: str, masks: Mapping[str, str], rules: Iterable[DialRule]) -> EmergencyMatch | None:
    """Whether a dialled string is an emergency or test call. None: it is an ordinary number.

    The country's own table comes first, so that neither a mask nor a dial plan can shadow an emergency number. `masks`
    are the policy's: dialled → the number that is meant (L2). What a dial plan turns into an emergency number is one:
    people dial it behind their outside-line prefix, beside which the bare number works as well (47 CFR 9.16(b)).
    """
    found = match_emergency(dialled, country)
    if found is not None:
        return found
    meant = masks.get(dialled) or translate(dialled, rules)
    if meant == dialled:
        return None
    found = match_emergency(meant, country)
    return replace(found, dialled=dialled) if found else None
