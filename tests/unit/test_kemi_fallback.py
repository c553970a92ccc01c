"""What the native fallback takes for an emergency call is what the routing code does; it cannot ask Python."""

import itertools
import re
import string

import pytest

from holdfast.core.country import PLANS, SERVED
from holdfast.core.model import CallKind
from holdfast.core.numbers import dialled_from_uri, match_emergency, native_patterns
from unit.ksr_double import CONFIGURATION

BY_URI, BY_USER = native_patterns()


def taken_natively(uri: str) -> bool:
    """Kamailio's =~ is a POSIX extended regular expression, in any case; $rU as Kamailio 5.6 was seen to read it."""
    scheme, _, rest = uri.partition(":")
    user = rest.partition(";")[0] if scheme == "tel" else rest.rpartition("@")[0].partition(":")[0]
    return bool(re.search(BY_URI, uri, re.IGNORECASE) or re.search(BY_USER, user, re.IGNORECASE))


def test_the_native_fallback_asks_by_these_patterns() -> None:
    rule = "($ru =~ EMERGENCY_URI || $rU =~ EMERGENCY_USER)"
    assert rule in CONFIGURATION.read_text(encoding="utf-8")


def is_call_for_help(uri: str) -> bool:
    matches = (match_emergency(dialled_from_uri(uri), country) for country in SERVED)
    return any(match and match.kind is CallKind.EMERGENCY for match in matches)


def test_n1_the_native_fallback_sends_what_the_table_says_in_the_country_of_the_node() -> None:
    """The route sends the last three digits; where the table says something else, a line does, and nowhere else."""
    route = CONFIGURATION.read_text(encoding="utf-8")
    different: dict[tuple[str, str], list[str]] = {}
    for country in sorted(code for code, plan in PLANS.items() if plan.served):
        for dialled, sent in PLANS[country].emergency.items():
            if dialled[-3:] != sent:
                different.setdefault((dialled, sent), []).append(country)
    for (dialled, sent), countries in different.items():
        where = f'$var(digits) == "{dialled}" && $var(country) =~ "^({"|".join(countries)})$"'
        assert f'if ({where}) {{ $var(digits) = "{sent}"; }}' in route
    assert route.count(' $var(digits) == "') + route.count('($var(digits) == "') == len(different)


def test_n1_the_native_fallback_sends_the_service_urn_as_the_number_of_the_country_of_the_node() -> None:
    route = CONFIGURATION.read_text(encoding="utf-8")
    assert '$var(digits) = "911";' in route
    for country in SERVED:
        found = match_emergency("urn:service:sos", country)
        assert found is not None
        line = f'if ($var(country) == "{country}") {{ $var(digits) = "{found.sent}"; }}'
        assert (line in route) is (found.sent != "911")


def test_n1_the_native_fallback_misses_no_emergency_number() -> None:
    prefixes = ("", "+", *(f"+{code}" for code in sorted({PLANS[country].calling_code for country in SERVED})))
    numbers = {number for country in SERVED for number in PLANS[country].emergency}
    missed = [
        prefix + number
        for prefix in prefixes
        for number in sorted(numbers)
        if is_call_for_help(f"sip:{prefix}{number}@x") and not taken_natively(f"sip:{prefix}{number}@x")
    ]
    assert not missed


def test_n1_the_native_fallback_captures_no_ordinary_number() -> None:
    captured = [
        f"{prefix}{''.join(digits)}"
        for length in range(1, 5)
        for digits in itertools.product(string.digits, repeat=length)
        for prefix in ("", "+", "*")
        if taken_natively(f"sip:{prefix}{''.join(digits)}@x")
        and not is_call_for_help(f"sip:{prefix}{''.join(digits)}@x")
    ]
    assert not captured


@pytest.mark.parametrize(
    "uri",
    [
        "sip:911;phone-context=+1@example.org",
        "sip:9-1-1@example.org",
        "sip:9%311@example.org",
        "sip:911:secret@example.org",
        "tel:911",
        "tel:+1-911",
        "urn:service:sos",
        "URN:SERVICE:SOS.FIRE",
    ],
)
def test_n1_the_native_fallback_knows_an_emergency_number_however_it_is_written(uri: str) -> None:
    assert is_call_for_help(uri)
    assert taken_natively(uri)


@pytest.mark.parametrize(
    "uri", ["sip:9115551234@x", "sip:+19115551234@x", "sip:*911@x", "sip:911#@x", "urn:service:sosx", "sip:x911@x"]
)
def test_n7_the_native_fallback_captures_nothing_that_only_looks_like_one(uri: str) -> None:
    assert not is_call_for_help(uri)
    assert not taken_natively(uri)
