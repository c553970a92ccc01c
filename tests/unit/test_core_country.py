"""The table of countries: complete, well-formed, sourced; and what the rows A6, D2, O5 and O7 want of it."""

import re

import pytest

from holdfast.core.country import (
    CALLING_CODES,
    DEFAULT_COUNTRY,
    NUMBERING,
    PLANS,
    SERVED,
    Screening,
    canonical,
    country_of_number,
)
from holdfast.core.country_table import AREA_CODES, COUNTRIES, SOURCES

#: ISO 3166-1 alpha-2, every officially assigned code; by hand, so that no line of the table can be lost unseen.
ISO = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
"""
#: User-assigned, not ISO's; but there are callers there, with a calling code and emergency numbers of their own.
NOT_ISO = {"XK"}
#: Nobody lives there all the year, or only a garrison with an exchange of its own.
WITHOUT_NUMBER = {"AQ", "BV", "GS", "HM", "IO", "PN", "TF"}
TERRITORIES = {"GU", "VI", "MP", "AS"}


def test_d2_every_country_is_present() -> None:
    codes = ISO.split()
    assert len(codes) == len(set(codes)) == 249
    assert set(PLANS) == set(NUMBERING) == set(codes) | NOT_ISO
    lines = [line.partition("|")[0] for line in COUNTRIES.splitlines()]
    assert lines == sorted(set(lines))


def test_d2_five_countries_are_served_by_default() -> None:
    assert set(SERVED) == {"US", "PR", "CA", "GB", "DK"}
    assert {code for code, plan in PLANS.items() if plan.served} == set(SERVED) | TERRITORIES
    assert next(iter(PLANS)) == SERVED[0] == DEFAULT_COUNTRY
    assert {code for code in list(PLANS)[: len(SERVED) + len(TERRITORIES)] if PLANS[code].served} == {
        *SERVED,
        *TERRITORIES,
    }


def test_a6_a_caller_in_a_territory_is_given_as_us() -> None:
    for code in TERRITORIES:
        assert canonical(code) == "US"
        assert PLANS[code] is PLANS["US"]
    assert canonical("PR") == "PR"
    assert PLANS["PR"].country == "PR"


@pytest.mark.parametrize(
    ("code", "country"),
    [
        ("us", "US"),
        ("Gb", "GB"),
        ("gu", "US"),
        ("XX", None),
        ("EU", None),
        ("UK", None),
        ("USA", None),
        ("", None),
        (" US", None),
        ("\u017fe", None),  # a long s is an S for those who ignore case in Unicode
        ("\uff35\uff33", None),
    ],
)
def test_a6_only_a_code_that_we_know_names_a_country(code: str, country: str | None) -> None:
    assert canonical(code) == country


def test_o5_canada_is_screened_nationally_and_no_other() -> None:
    assert {code for code, plan in PLANS.items() if plan.screening is Screening.NATIONAL} == {"CA"}


def test_o7_a_desk_is_notified_where_the_law_asks_for_it() -> None:
    assert {code for code, plan in PLANS.items() if plan.notifies_desk} == {"US", "PR"} | TERRITORIES


@pytest.mark.parametrize("code", ["SZ", "TO"])
def test_a7_933_is_no_test_number_where_it_calls_for_help(code: str) -> None:
    assert PLANS[code].emergency["933"] == "933"
    assert not PLANS[code].readback


def test_every_number_is_a_short_one_and_every_mask_leads_to_a_number_of_its_country() -> None:
    wrong = [
        (code, dialled, sent)
        for code, plan in PLANS.items()
        for dialled, sent in plan.emergency.items()
        if not re.fullmatch("[0-9]{2,5}", dialled) or plan.emergency.get(sent) != sent
    ]
    assert not wrong


def test_no_test_number_is_an_emergency_number() -> None:
    assert not [code for code, plan in PLANS.items() if plan.readback & plan.emergency.keys()]


def test_only_where_nobody_lives_is_there_no_emergency_number() -> None:
    assert {code for code, plan in PLANS.items() if not plan.emergency} == WITHOUT_NUMBER
    assert {code for code, plan in PLANS.items() if plan.sources == ("NONE",)} == WITHOUT_NUMBER


def test_every_line_names_its_sources_and_no_source_is_named_in_vain() -> None:
    assert all(plan.sources for plan in PLANS.values())
    assert {source for plan in PLANS.values() for source in plan.sources} == set(SOURCES)


def test_no_calling_code_begins_another() -> None:
    for code in CALLING_CODES:
        assert re.fullmatch("[1-9][0-9]{0,2}", code)
        assert [other for other in CALLING_CODES if other.startswith(code)] == [code]


def test_every_area_code_is_of_one_country_of_the_north_american_plan() -> None:
    areas = [(line[:2], area) for line in AREA_CODES.splitlines() for area in line[2:].split()]
    assert len({area for _, area in areas}) == len(areas)
    assert all(re.fullmatch("[2-9][0-9]{2}", area) for _, area in areas)
    # the minor outlying islands have a few numbers of Hawaii's
    assert {country for country, _ in areas} == CALLING_CODES["1"] - {"UM"}


@pytest.mark.parametrize(
    ("number", "countries"),
    [
        ("+12025550123", {"US"}),
        ("+16715550123", {"US"}),  # Guam
        ("+17875550123", {"PR"}),
        ("+14165550123", {"CA"}),
        ("+18765550123", {"JM"}),
        ("+442079460000", {"GB", "GG", "IM", "JE"}),
        ("+4532123456", {"DK"}),
        ("+74951234567", {"RU", "KZ"}),
        ("+24762345", {"SH"}),
        ("+88312345678", set[str]()),  # of no country
        ("2025550123", set[str]()),
        ("", set[str]()),
        ("+", set[str]()),
    ],
)
def test_c3_a_number_tells_the_countries_it_may_be_of(number: str, countries: set[str]) -> None:
    assert country_of_number(number) == countries


def test_a_number_that_is_no_areas_may_be_of_any_country_of_the_plan() -> None:
    for number in ("+18005550123", "+15005550123", "+19995550123", "+1"):
        assert country_of_number(number) == CALLING_CODES["1"]
