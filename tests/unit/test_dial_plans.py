"""What a dial rule makes diallable is told completely: as the function that routes live calls decides it (N7)."""

import itertools

import pytest

from holdfast.core.dialling import DialRule, classify
from holdfast.core.model import CallKind
from holdfast.core.numbers import match_emergency
from holdfast.plane.dial_plans import Diallable, diallable

PLANS = {
    "an outside line": [DialRule("9", 1, "")],
    "an outside line that is part of emergency numbers": [DialRule("5", 1, ""), DialRule("1", 1, "")],
    "a longer rule takes away from a shorter one": [DialRule("5", 1, ""), DialRule("59", 0, "00")],
    "a longer rule does the same as a shorter one": [DialRule("5", 1, ""), DialRule("59", 1, "")],
    "part of the number stands in the rule": [DialRule("8", 0, "91"), DialRule("70", 2, "9"), DialRule("6", 1, "+1")],
    "a whole number stands in the rule": [DialRule("*4", 2, "911"), DialRule("123", 3, "999")],
    "an emergency number is taken apart": [DialRule("911", 3, ""), DialRule("91", 2, "112"), DialRule("99", 1, "")],
}
COUNTRIES = ("US", "CA", "GB", "DK")
#: every string of up to five of these could be dialled; * stands for a rule's own
DIALLED = ["".join(digits) for length in range(1, 6) for digits in itertools.product("0123456789", repeat=length)]
STARRED = ["".join(digits) for length in range(1, 6) for digits in itertools.product("*1249", repeat=length)]


def by_trying(rule: DialRule, plan: list[DialRule], country: str) -> set[tuple[str, str]]:
    """Every string tried: what is an emergency call by this rule and would be none without a dial plan."""
    longer = tuple(other.prefix for other in plan if len(other.prefix) > len(rule.prefix))
    found = set()
    for dialled in DIALLED + STARRED:
        if not dialled.startswith(rule.prefix) or dialled.startswith(longer):
            continue
        match = classify(dialled, country, {}, plan)
        if match and match.kind is CallKind.EMERGENCY and not match_emergency(dialled, country):
            found.add((dialled, match.sent))
    return found


@pytest.mark.parametrize("name", PLANS)
def test_n7_every_emergency_number_behind_a_prefix_is_told_and_nothing_else(name: str) -> None:
    plan = PLANS[name]
    for rule, country in itertools.product(plan, COUNTRIES):
        told = {(one.dialled, one.sent) for one in diallable(rule, plan, [country])}
        tried = {one for one in told if len(one[0]) <= 5}
        assert tried == by_trying(rule, plan, country), (rule, country)


def test_n7_countries_in_which_it_reaches_the_same_are_told_together() -> None:
    rule = DialRule("5", 1, "")
    told = diallable(rule, [rule], ["US", "CA", "DK"])
    assert Diallable("5911", "911", ("US", "CA")) in told
    assert Diallable("5112", "112", ("DK",)) in told


def test_n7_no_rule_makes_a_test_number_an_emergency_call() -> None:
    rule = DialRule("5", 1, "")
    assert not [one for one in diallable(rule, [rule], ["US"]) if one.dialled.endswith("933")]
