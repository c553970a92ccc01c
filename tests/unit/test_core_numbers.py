"""What counts as an emergency or test number: exactly the table in core.country, however it was dialled."""

import itertools
import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.country import PLANS
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
    tables = {country: accepted(country) for country in PLANS}
    wrong = []
    for whole in {prefix + digits for prefix in PREFIXES for digits in short_numbers()}:
        dialled = dialled_from_uri(f"sip:{whole}@example.org")
        for country, table in tables.items():
            found = match_emergency(dialled, country)
            told = (found.kind, found.sent) if found else None
            if told != table.get(whole):
                wrong.append((country, whole, told))
    assert not wrong


def test_the_table_here_is_the_table_there() -> None:
    assert {country: dict(plan.emergency) for country, plan in PLANS.items()} == EMERGENCY
    assert {country: set(plan.readback) for country, plan in PLANS.items()} == READBACK
    assert {country: plan.calling_code for country, plan in PLANS.items()} == CALLING_CODE


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


@pytest.mark.parametrize(
    "uri",
    [
        "sip:*911@example.org",
        "sip:911#@example.org",
        "sip:9115551234@example.org",
        "sip:+19115551234@example.org",
        "sip:91@example.org",
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
            assert match + tail in ("9112", "9999") or not may_be_emergency(match + tail)
            assert not may_be_emergency(match + tail * 7)


def test_an_unserved_country_has_no_emergency_number() -> None:
    assert match_emergency("911", "MX") is None
    assert match_emergency("911", "") is None
    assert match_emergency("911", "us") is None


@given(st.text())
def test_no_uri_makes_the_classifier_fail(uri: str) -> None:
    assert dialled_from_uri(uri) in ("", uri.lower()) or uri.partition(":")[0].lower() in ("sip", "sips", "tel")
    for country in (*PLANS, uri):
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


@given(st.text(alphabet="+0123456789", max_size=20), st.sampled_from([*PLANS, "MX"]))
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
