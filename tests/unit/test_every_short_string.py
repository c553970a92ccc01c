"""N7: every string of one to six digits, with every prefix, is routed rightly by the function that routes live calls.

What is right is worked out here from the handwritten tables of test_core_numbers, never by the code that is tested.
The strings go through both of its halves: the reading of the Request-URI, and the decision for a caller's country,
policy and dial plan.
"""

import itertools
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import pytest

from holdfast.core.dialling import DialRule, classify
from holdfast.core.numbers import dialled_from_uri, may_be_emergency
from unit.test_core_numbers import CALLING_CODE, EMERGENCY, READBACK

NONE: Mapping[str, str] = MappingProxyType({})
#: What people and equipment put before a number: nothing, E.164's +, feature codes, outside lines, dialling prefixes.
PREFIXES = ("", "+", "*", "#", "0", "00", "011", "9", "+0", "++", "*#")
MOST_DIGITS = 6
#: Tenants whose dial plans and masks would capture an emergency number, or make one of an ordinary number.
HOSTILE_RULES = {
    "takes 911 for a pizza service": (DialRule("911", 3, "+12025550177"), DialRule("9", 1, ""), DialRule("1", 0, "0")),
    "takes everything that begins with 9 or 1": (DialRule("9", 1, "+1202"), DialRule("1", 1, "+1202")),
    "strips every digit": tuple(DialRule(digit, 1, "") for digit in string.digits),
    "adds what makes an emergency number": (DialRule("1", 0, "9"), DialRule("2", 1, "99"), DialRule("33", 2, "11")),
    "turns one emergency number into another's": (DialRule("112", 3, "999"), DialRule("99", 2, "91")),
}
HOSTILE_MASKS = {"911": "112", "999": "911", "112": "911", "5": "911", "0911": "911", "4911": "112", "123456": "999"}


def short_strings() -> Iterator[str]:
    for length in range(1, MOST_DIGITS + 1):
        for digits in itertools.product(string.digits, repeat=length):
            yield "".join(digits)


def read(prefixes: Iterable[str]) -> list[str]:
    """Every short string behind every prefix, as a Request-URI with it is read; what is alike stands here once."""
    written = {prefix + digits for digits in short_strings() for prefix in prefixes}
    dialled = [dialled_from_uri(f"sip:{one}@example.org") for one in written]
    assert all(found in ("", one) for one, found in zip(written, dialled, strict=True))
    return [one for one in dialled if one]


@pytest.fixture(scope="module")
def dialled() -> list[str]:
    return read([*PREFIXES, *(f"+{code}" for code in set(CALLING_CODE.values()))])


@pytest.fixture(scope="module")
def dialled_by_people() -> list[str]:
    """Without the prefixes that only equipment writes."""
    return read(["", "+", "*"])


def numbers_of(country: str) -> dict[str, str]:
    """Every string that is no ordinary number there, and the number that is meant."""
    told = EMERGENCY[country] | {number: number for number in READBACK[country]}
    return {prefix + one: sent for prefix in ("", "+", f"+{CALLING_CODE[country]}") for one, sent in told.items()}


def turned_into(numbers: dict[str, str], rules: tuple[DialRule, ...]) -> dict[str, str]:
    """Every string that a dial plan turns into one of these numbers: each rule read backwards."""
    found = {}
    for number, sent in numbers.items():
        for rule in rules:
            one = rule.prefix[: rule.strip] + number.removeprefix(rule.prepend)
            longest = max((other.prefix for other in rules if one.startswith(other.prefix)), key=len, default=None)
            if number.startswith(rule.prepend) and longest == rule.prefix:
                found[one] = sent
    return found


def differences(
    dialled: list[str],
    country: str,
    right: dict[str, str],
    *,
    masks: Mapping[str, str] = NONE,
    rules: tuple[DialRule, ...] = (),
) -> set[tuple[str, str]]:
    """What is decided and not right, or right and not decided: (what was dialled, the number that was meant)."""
    matches = (classify(one, country, masks, rules) for one in dialled)
    decided = {(match.dialled, match.sent) for match in matches if match}
    return decided ^ (right.items() & {(one, right[one]) for one in dialled if one in right})


@pytest.mark.parametrize("country", EMERGENCY)
def test_n7_no_ordinary_number_is_captured_and_no_emergency_number_missed(
    country: str, dialled: list[str], record_property: Callable[[str, object], None]
) -> None:
    assert not differences(dialled, country, numbers_of(country))
    record_property("n7_strings", len(dialled))


@pytest.mark.parametrize("plan", HOSTILE_RULES)
def test_n7_no_dial_plan_shadows_an_emergency_number(
    plan: str, dialled_by_people: list[str], record_property: Callable[[str, object], None]
) -> None:
    """The country's numbers stay what they are; beside them, what the dial plan turns into one of them is one."""
    rules, numbers = HOSTILE_RULES[plan], numbers_of("US")
    assert not differences(dialled_by_people, "US", turned_into(numbers, rules) | numbers, rules=rules)
    record_property("n7_strings", len(dialled_by_people))


@pytest.mark.parametrize("country", ["US", "GB", "DK"])
def test_n7_a_mask_adds_what_it_says_and_shadows_nothing(
    country: str, dialled_by_people: list[str], record_property: Callable[[str, object], None]
) -> None:
    numbers = numbers_of(country)
    masked = {one: numbers[meant] for one, meant in HOSTILE_MASKS.items() if meant in numbers}
    assert not differences(dialled_by_people, country, masked | numbers, masks=HOSTILE_MASKS)
    record_property("n7_strings", len(dialled_by_people))


def test_n7_the_sieve_before_the_caller_is_known_lets_every_emergency_number_through(dialled: list[str]) -> None:
    let_through = set(filter(may_be_emergency, dialled))
    for country in EMERGENCY:
        assert numbers_of(country).keys() & set(dialled) <= let_through
    assert len(let_through) < 3000, "an ordinary call pays for every string that the sieve lets through"
