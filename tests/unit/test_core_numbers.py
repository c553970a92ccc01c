"""What counts as an emergency or test number: exactly the table in core.country, however it was dialled."""

import itertools
import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.country import PLANS, EmergencyPlan
from holdfast.core.model import CallKind
from holdfast.core.numbers import EmergencyMatch, dialled_from_uri, e164, match_emergency, may_be_emergency

#: Reviewed by hand against the sources that core.country names: what a caller in each country may dial.
NANP = {"911": "911", "9911": "911", "1911": "911", "112": "911"}
EMERGENCY = {
    "US": NANP,
    "PR": NANP,
    "CA": NANP,
    "GB": {"999": "999", "112": "112", "9999": "999", "9112": "112"},
    "DK": {"112": "112"},
}
READBACK = {"US": {"933", "9933"}, "PR": {"933", "9933"}, "CA": {"933", "9933"}, "GB": set[str](), "DK": set[str]()}
CALLING_CODE = {"US": "1", "PR": "1", "CA": "1", "GB": "44", "DK": "45"}
PREFIXES = ("", "+", "+1", "+44", "+45", "*", "#", "+*", "++", "00", "0", "+0")


def short_numbers() -> Iterator[str]:
    for length in range(1, 5):
        for digits in itertools.product(string.digits, repeat=length):
            yield "".join(digits)


def accepted(country: str) -> dict[str, tuple[CallKind, str]]:
    """Every dialled string that is no ordinary number there: the table's, and the same as E.164."""
    numbers = {number: (CallKind.EMERGENCY, sent) for number, sent in EMERGENCY[country].items()}
    numbers |= {number: (CallKind.READBACK, number) for number in READBACK[country]}
    return {
        prefix + number: told for prefix in ("", "+", f"+{CALLING_CODE[country]}") for number, told in numbers.items()
    }


def test_n7_every_short_string_with_every_prefix_is_what_the_table_says() -> None:
    tables = {country: accepted(country) for country in EMERGENCY}
    wrong = []
    for whole in {prefix + digits for prefix in PREFIXES for digits in short_numbers()}:
        dialled = dialled_from_uri(f"sip:{whole}@example.org")
        for country, table in tables.items():
            found = match_emergency(dialled, country)
            told = (found.kind, found.sent) if found else None
            if told != table.get(whole):
                wrong.append((country, whole, told))
    assert not wrong


def told_of(plan: EmergencyPlan, prefix: str) -> dict[str, tuple[CallKind, str]]:
    """What a country's plan makes of its own numbers behind `prefix`."""
    told = {number: (CallKind.EMERGENCY, sent) for number, sent in plan.emergency.items()}
    return {prefix + number: what for number, what in told.items()} | {
        prefix + number: (CallKind.READBACK, number) for number in plan.readback
    }


def test_n7_in_every_country_every_short_string_is_what_its_plan_says() -> None:
    strings = tuple(short_numbers())
    wrong = []
    for country, plan in PLANS.items():
        own = f"+{plan.calling_code}"
        # a number of the plan behind "+" may look like another behind the calling code: then both mean the same
        table = told_of(plan, own) | told_of(plan, "+") | told_of(plan, "")
        for prefix in ("", "+", own, "*", "0", "00", "1"):
            for digits in strings:
                whole = prefix + digits
                found = match_emergency(whole, country)
                if (found is not None or whole in table) and (
                    found is None or (found.kind, found.sent) != table.get(whole)
                ):
                    wrong.append((country, whole, found))
    assert not wrong


def test_the_table_here_is_the_table_there() -> None:
    assert {country: dict(PLANS[country].emergency) for country in EMERGENCY} == EMERGENCY
    assert {country: set(PLANS[country].readback) for country in READBACK} == READBACK
    assert {country: PLANS[country].calling_code for country in CALLING_CODE} == CALLING_CODE


@pytest.mark.parametrize(
    ("uri", "country", "sent"),
    [
        ("sip:911@example.org", "US", "911"),
        ("SIPS:911@example.org", "US", "911"),
        ("sip:+911@example.org", "US", "911"),
        ("sip:+1911@example.org", "US", "911"),
        ("sip:1911@example.org", "PR", "911"),
        ("sip:9911@example.org", "CA", "911"),
        ("sip:112@example.org", "US", "911"),
        ("sip:+44999@example.org", "GB", "999"),
        ("sip:+45112@example.org", "DK", "112"),
        ("tel:911", "US", "911"),
        ("TEL:+1-911", "US", "911"),
        ("tel:911;phone-context=+1", "US", "911"),
        ("sip:911;phone-context=enterprise.example@example.org", "US", "911"),
        ("sip:911;phone-context=+1@example.org;user=phone", "US", "911"),
        ("sip:911:secret@example.org", "US", "911"),
        ("sip:9-1-1@example.org", "US", "911"),
        ("sip:(9)1.1@example.org", "US", "911"),
        ("sip:9%311@example.org", "US", "911"),
        ("sip:%2b1911@example.org", "US", "911"),
        ("sip:911@[2001:db8::1]:5060;transport=tcp", "US", "911"),
        ("sip:911;phone-context=redmond@example.com;user=phone", "US", "911"),  # as Lync writes it
        ("sip:911@example.org;user=phone", "US", "911"),
        ("sip:911;phone-context=example.org@example.org;user=dialstring", "US", "911"),
        ("sip:911;dialstring=1@example.org", "US", "911"),
        ("sip:9p911@example.org;user=dialstring", "US", "911"),  # an outside line, a pause, the number
        ("sip:9X9-1-1@example.org;transport=tcp;USER=dialstring;x=y", "US", "911"),
        ("sip:9P999@example.org;user=dialstring?Subject=x", "GB", "999"),
        ("sip:%39%31%31@example.org", "US", "911"),
        ("sip:+52911@example.org", "MX", "911"),
        ("sip:933@example.org", "SZ", "933"),
        ("sip:10111@example.org", "ZA", "10111"),
        ("urn:service:sos", "AU", "000"),
        ("urn:service:sos", "US", "911"),
        ("URN:Service:SOS", "GB", "999"),
        ("urn:service:sos.fire", "DK", "112"),
        ("urn:service:sos.ecall.automatic", "US", "911"),
    ],
)
def test_a1_the_number_is_recognised_however_the_phone_writes_it(uri: str, country: str, sent: str) -> None:
    dialled = dialled_from_uri(uri)
    match = match_emergency(dialled, country)
    assert match == EmergencyMatch(CallKind.EMERGENCY, dialled, sent, country)
    assert may_be_emergency(dialled)


@pytest.mark.parametrize(
    ("uri", "sent"),
    [
        ("sip:933@example.org", "933"),
        ("sip:9933@example.org", "9933"),
        ("sip:+1933@example.org", "933"),
        ("tel:933", "933"),
        ("urn:service:test.sos", "urn:service:test.sos"),
        ("urn:service:test.sos.police", "urn:service:test.sos.police"),
    ],
)
def test_a7_the_test_number_is_recognised_where_it_is_one(uri: str, sent: str) -> None:
    dialled = dialled_from_uri(uri)
    assert match_emergency(dialled, "US") == EmergencyMatch(CallKind.READBACK, dialled, sent, "US")


@pytest.mark.parametrize("country", ["GB", "DK"])
@pytest.mark.parametrize("dialled", ["933", "9933", "+933", "911", "+911", "1911"])
def test_a_number_of_another_country_is_an_ordinary_one(dialled: str, country: str) -> None:
    assert match_emergency(dialled, country) is None
    assert may_be_emergency(dialled)


@pytest.mark.parametrize("dialled", ["91", "100", "101", "17", "000", "110", "190", "9999", "+17", "+3317"])
def test_a_number_of_elsewhere_is_looked_at_closely_and_is_an_ordinary_one_here(dialled: str) -> None:
    assert may_be_emergency(dialled)
    assert match_emergency(dialled, "US") is None
    assert match_emergency(dialled, "DK") is None


@pytest.mark.parametrize(
    "uri",
    [
        "sip:9p911@example.org",  # a pause where no dial string is announced
        "sip:9p911@example.org;user=dialstrings",
        "sip:p@example.org;user=dialstring",
        "sip:*911@example.org",
        "sip:911#@example.org",
        "sip:9115551234@example.org",
        "sip:+19115551234@example.org",
        "sip:9 1 1 1@example.org",
        "sip:\uff19\uff11\uff11@example.org",  # full-width digits
        "sip:%EF%BC%99%EF%BC%91%EF%BC%91@example.org",  # the same, percent-encoded
        "sip:\u0669\u0661\u0661@example.org",  # Arabic-Indic digits
        "sip:911%3bfoo@example.org",
        "sip:911%40evil@example.org",
        "sip:911%00@example.org",
        "sip:911\n@example.org",
        "sip:911",  # a host called 911
        "sip:911;user=phone",
        "sip:alice@911",
        "http:911",
        "911",
        "",
        "urn:service:sosx",
        "urn:service:sos.",
        "urn:service:sos..fire",
        "urn:service:sos\n",
        "urn:service:",
        "urn:service:counseling",
        "urn:service:test.sosx",
        "urn:service:test",
        "urn:service:\u017fo\u017f",  # a long s lower-cases to s only for those who ignore case in Unicode
        "urn:nena:service:sos",
    ],
)
def test_n7_what_only_looks_like_an_emergency_number_is_not_one(uri: str) -> None:
    assert not may_be_emergency(dialled_from_uri(uri))


def test_a_number_is_never_taken_by_its_prefix() -> None:
    for match in ("911", "112", "999", "933"):
        for tail in string.digits:
            assert match + tail in ("9112", "9999") or not any(match_emergency(match + tail, c) for c in EMERGENCY)
            assert not may_be_emergency(match + tail * 7)


def test_c3_an_unserved_country_has_its_numbers_so_that_the_caller_can_be_told() -> None:
    assert match_emergency("911", "MX") == EmergencyMatch(CallKind.EMERGENCY, "911", "911", "MX")
    assert match_emergency("112", "MX") is None
    assert match_emergency("933", "MX") is None


def test_a6_a_caller_in_a_territory_is_matched_as_one_in_the_united_states() -> None:
    for territory in ("GU", "VI", "MP", "AS"):
        assert match_emergency("911", territory) == EmergencyMatch(CallKind.EMERGENCY, "911", "911", "US")


def test_what_is_no_country_has_no_emergency_number() -> None:
    for code in ("", "us", "XX", "EU", "+1"):
        assert match_emergency("911", code) is None
        assert match_emergency("urn:service:sos", code) is None


def test_where_there_is_no_emergency_number_the_urn_is_not_sent_anywhere() -> None:
    assert not PLANS["AQ"].emergency
    assert match_emergency("urn:service:sos", "AQ") is None
    assert match_emergency("112", "AQ") is None


@given(st.text())
def test_no_uri_makes_the_classifier_fail(uri: str) -> None:
    assert dialled_from_uri(uri) in ("", uri.lower()) or uri.partition(":")[0].lower() in ("sip", "sips", "tel")
    for country in ("US", "GB", "IT", "WS", uri):
        match_emergency(uri, country)
        e164(uri, country)


@given(st.sampled_from(["sip:", "sips:", "tel:", "urn:"]), st.binary(max_size=40))
def test_no_bytes_behind_a_scheme_make_the_classifier_fail(scheme: str, octets: bytes) -> None:
    for text in (octets.decode("latin-1"), octets.decode("utf-8", "surrogateescape"), _percent(octets)):
        for uri in (f"{scheme}{text}", f"{scheme}{text}@example.org"):
            dialled = dialled_from_uri(uri)
            assert may_be_emergency(dialled) == any(match_emergency(dialled, country) for country in PLANS)


def _percent(octets: bytes) -> str:
    return "".join(f"%{octet:02x}" for octet in octets)


@given(st.text(alphabet="+*#0123456789", max_size=8), st.text(alphabet="-.() ", max_size=3))
def test_visual_separators_change_nothing(digits: str, separators: str) -> None:
    dressed = separators.join(digits)
    assert dialled_from_uri(f"sip:{dressed}@example.org") == dialled_from_uri(f"sip:{digits}@example.org")


@given(st.text(alphabet="+0123456789", max_size=20), st.sampled_from([*PLANS, "XX"]))
def test_e164_gives_an_e164_number_or_nothing(text: str, country: str) -> None:
    found = e164(text, country)
    if found is not None:
        assert found[0] == "+"
        assert found[1] in "123456789"
        assert found[1:].isdigit()
        assert 3 <= len(found) - 1 <= 15


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+12025550123", "US", "+12025550123"),
        ("12025550123", "US", "+12025550123"),
        ("2025550123", "US", "+12025550123"),
        ("(202) 555-0123", "CA", "+12025550123"),
        ("+442079460000", "US", "+442079460000"),
        ("02079460000", "GB", "+442079460000"),
        ("011442079460000", "US", "+442079460000"),
        ("00442079460000", "GB", "+442079460000"),
        ("004532123456", "DK", "+4532123456"),
        ("32123456", "DK", "+4532123456"),  # no national prefix
        ("0632123456", "IT", "+390632123456"),  # none, and the 0 belongs to the number
        ("84951234567", "RU", "+74951234567"),
        ("810442079460000", "RU", "+442079460000"),
        ("0011442079460000", "AU", "+442079460000"),
        ("0612345678", "HU", "+3612345678"),  # 06 is the prefix
        ("2025550123", "GU", "+12025550123"),
        ("00800 1234 5678", "GB", "+80012345678"),  # international freephone, of no country
        ("2079460000", "GB", None),  # without its prefix a local number of somewhere
        ("0032123456", "DK", None),  # +32 has no number of six digits
        ("00999123456", "GB", None),  # nobody's calling code
        ("+440207946000", "GB", None),  # +44 (0)20…
        ("+390632123456", "US", "+390632123456"),
        ("+1 020 555 0123", "US", None),
        ("112", "DK", None),
        ("1001", "DE", None),
        ("100", "AQ", None),
        ("2025550123", "XX", None),
        ("+12025550123", "XX", "+12025550123"),
        ("0441234567", "US", None),  # no area code begins with 0
        ("1025550123", "US", None),
        ("5550123", "US", None),
        ("", "US", None),
        ("alice", "US", None),
        ("\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff12\uff13", "US", None),
        ("0" * 40, "GB", None),
        ("+0123456789", "GB", None),
    ],
)
def test_national_and_international_forms_become_e164(text: str, country: str, number: str | None) -> None:
    assert e164(text, country) == number
