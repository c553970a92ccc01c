"""Our table of countries beside Google's: every difference has a reason here, and no reason outlives its difference.

phonenumbers is read by this test alone. Its functions that say what an emergency number is never route a call: the last
tests here show what they accept.
"""

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType
from phonenumbers.shortnumberinfo import connects_to_emergency_number, is_emergency_number

from holdfast.core.country import CALLING_CODES, NUMBERING, PLANS, canonical, country_of_number
from holdfast.core.country_table import AREA_CODES
from holdfast.core.numbers import dialled_from_uri, e164, match_emergency

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 6  # digits of any emergency number there


@dataclass(frozen=True)
class Difference:
    """What we have and they have not, and the other way round: numbers separated by spaces, and why."""

    why: str
    more: str = ""
    fewer: str = ""


#: Numbers that bring help, of which the other collections that were read (country_table.SOURCES) know.
FROM_MOBILES = "the form that is dialled from mobile phones, beside the shorter one"
SUBSCRIBERS = "ordinary subscriber numbers of stations in one town: an ordinary call reaches them, from anywhere"
DIFFERENCES = {
    "AM": Difference("911 is the rescue service's number for everything", more="911"),
    "AT": Difference("140 is mountain rescue, an emergency number by law (KEM-V 2009)", more="140"),
    "BL": Difference("French numbering: the emergency numbers of France; only 18 was known", more="112 15 17"),
    "BR": Difference("185 is the navy's rescue at sea", more="185"),
    "CH": Difference("1414 is air and mountain rescue (Rega)", more="1414"),
    "CI": Difference("185 is the ambulance service (SAMU)", more="185"),
    "CM": Difference("18 and 19 are fire and ambulance, with 1 before them from mobile phones", more="18 19 118 119"),
    "CZ": Difference(
        "their pattern is 15 and any digit; assigned are 150 fire, 155 ambulance, 156 city police, 158 police",
        fewer="151 152 153 154 157 159",
    ),
    "DK": Difference("114 is the police where nothing is urgent; it must not take a line of 112", fewer="114"),
    "DZ": Difference("1548 is the police, from any telephone", more="1548"),
    "EH": Difference(f"Moroccan networks: {FROM_MOBILES}", more="150 190"),
    "ER": Difference(SUBSCRIBERS, fewer="124422 127799 201606 201917 202099 202914"),
    "ES": Difference(
        "061 ambulance, 062 Guardia Civil, 080 fire, 091 national police and 092 city police, beside 112",
        more="061 062 080 091 092",
    ),
    "FM": Difference(SUBSCRIBERS, fewer="320221"),
    "FO": Difference("114 is the police where nothing is urgent, as in Denmark", fewer="114"),
    "FR": Difference(
        "191 air rescue and 196 sea rescue, emergency numbers since 2014 (Arcep 2013-1405)", more="191 196"
    ),
    "GA": Difference(
        "their pattern is 13 and any two digits; 1300 is the ambulance service",
        fewer=" ".join(str(number) for number in range(1301, 1400)),
    ),
    "GF": Difference("an outermost region of the Union: 112 by Directive (EU) 2018/1972", more="112"),
    "GN": Difference("they know no number at all: 122 police, 1717 fire", more="122 1717"),
    "GP": Difference("an outermost region of the Union: 112 by Directive (EU) 2018/1972", more="112"),
    "GQ": Difference("they know no number at all: 113 police, 115 fire", more="113 115"),
    "HN": Difference("911 is the national emergency system; 199 is older", more="911"),
    "HT": Difference("115 fire and 116 ambulance, beside 114 police", more="115 116"),
    "JP": Difference("118 is the coast guard", more="118"),
    "LA": Difference(FROM_MOBILES.replace("shorter", "three-digit"), more="1190 1191 1195"),
    "LK": Difference("1990 is the national ambulance service, by Act 18 of 2018", more="1990"),
    "LS": Difference("121 ambulance, 122 fire, 123 police", more="121 122 123"),
    "LY": Difference("1515 is the number for everything", more="1515"),
    "MA": Difference(FROM_MOBILES, more="150 190"),
    "MF": Difference("an outermost region of the Union: 112 by Directive (EU) 2018/1972", more="112"),
    "MM": Difference("191 fire and 192 ambulance, beside 199 police", more="191 192"),
    "MR": Difference(FROM_MOBILES, more="117 118"),
    "NE": Difference(SUBSCRIBERS, fewer="723141"),
    "NG": Difference("112 is the national emergency number (NCC); 199 is older", more="112"),
    "PA": Difference("104 is the police", more="104"),
    "PE": Difference("106 is the ambulance service (SAMU)", more="106"),
    "PG": Difference("112 is the police's number now; 000 is older", more="112"),
    "PM": Difference("French numbering: 112 is an emergency number of France (Arcep)", more="112"),
    "RS": Difference(
        "192 police, 193 fire, 194 ambulance: 92, 93 and 94 with a 1 before them since 2008", more="192 193 194"
    ),
    "SA": Difference("998 is civil defence: the fire service", more="998"),
    "SB": Difference("911 ambulance and 988 fire, beside 999 police", more="911 988"),
    "SD": Difference("333 is the ambulance", more="333"),
    "SN": Difference("1515 is the ambulance service (SAMU)", more="1515"),
    "SX": Difference("911 is the police and everything; 919 is the fire service", more="911"),
    "SZ": Difference("933 fire and 977 ambulance: 933 is no test number here", more="933 977"),
    "TK": Difference("they know no number at all: 111, as in New Zealand", more="111"),
    "TL": Difference("110 is the ambulance", more="110"),
    "TM": Difference(FROM_MOBILES, more="001 002 003"),
    "TR": Difference(
        "156 gendarmerie, 158 coast guard, 177 forest fire: all reach the 112 centres", more="156 158 177"
    ),
    "TT": Difference("811 is the ambulance", more="811"),
    "TW": Difference("118 is the coast guard", more="118"),
    "UG": Difference("112 from mobile phones", more="112"),
    "UM": Difference("they know no number at all: 911 throughout United States possessions by law", more="911"),
    "UY": Difference("104 fire, 105 ambulance, 106 coast guard", more="104 105 106"),
    "UZ": Difference("101, 102, 103: 01, 02 and 03 with a 1 before them", more="101 102 103"),
    "VU": Difference("111 police and 113 fire, beside 112 ambulance", more="111 113"),
    "YT": Difference("a French department: 17 and 18 as everywhere in France", more="17 18"),
}


#: What phones in these countries write that we do not read: unsure is better than wrong.
#: Without the national prefix, which the country may leave out for some numbers, and for mobile phones above all; in
#: Argentina with 15 in the middle; in Gabon with a 0 that belongs to the old form and not to the new.
UNREAD_AT_HOME = {"AR", "BO", "BR", "CN", "GA", "GE", "KI", "LB", "MN", "NP", "PE", "RW", "SO", "UY"}
#: 00 is taken for the prefix by nobody there, and 001 is one: 00 1 201… would be a number of Egypt.
UNREAD_ABROAD = {"HK"}


@cache
def strings(length: int) -> tuple[str, ...]:
    return tuple("".join(digits) for digits in itertools.product("0123456789", repeat=length))


def theirs(country: str) -> set[str]:
    metadata = PhoneMetadata.short_metadata_for_region(country)
    if metadata is None or metadata.emergency is None or not metadata.emergency.national_number_pattern:
        return set()
    assert metadata.general_desc is not None
    pattern = re.compile(metadata.emergency.national_number_pattern)
    lengths = metadata.emergency.possible_length or metadata.general_desc.possible_length
    assert max(lengths) <= LONGEST
    return {text for length in lengths for text in strings(length) if pattern.fullmatch(text)}


def countries() -> Iterator[str]:
    return (code for code, plan in PLANS.items() if plan.country == code)


def test_every_difference_from_phonenumbers_has_a_reason_and_every_reason_a_difference() -> None:
    found = {}
    for country in countries():
        plan = PLANS[country]
        # what is sent as another number is a mask of ours: not a claim that the country has that number
        ours = {dialled for dialled, sent in plan.emergency.items() if dialled == sent}
        known = theirs(country)
        difference = (ours - known, known - plan.emergency.keys())
        if any(difference):
            found[country] = difference
    reviewed = {country: (set(one.more.split()), set(one.fewer.split())) for country, one in DIFFERENCES.items()}
    assert found == reviewed
    assert all(one.why for one in DIFFERENCES.values())


def test_a_line_is_from_phonenumbers_where_it_says_so() -> None:
    said = {country for country in countries() if "P" in PLANS[country].sources}
    assert all(theirs(country) & PLANS[country].emergency.keys() for country in said)


def test_the_territories_have_the_numbers_of_the_united_states_there_too() -> None:
    for territory in ("GU", "VI", "MP", "AS"):
        assert theirs(territory) == {"911"}


def test_calling_codes_are_those_of_phonenumbers() -> None:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    known = {(str(code), canonical(region)) for code, found in regions.items() for region in found if canonical(region)}
    ours = {(code, country) for code, found in CALLING_CODES.items() for country in found}
    assert known <= ours
    # places without numbers of their own, which borrow a neighbour's; +247 is Ascension (AC there)
    assert {country for _, country in ours - known} == {"AQ", "BV", "GS", "HM", "PN", "SH", "TF", "UM"}


def region_of_area(area: int) -> str | None:
    """The country of the first subscriber's number that the area has."""
    fixed = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    for exchange in range(200, 1000, 5):
        number = PhoneNumber(country_code=1, national_number=int(f"{area}{exchange}4321"))
        region = phonenumbers.region_code_for_number(number)
        if region is not None and phonenumbers.number_type(number) in fixed:
            return canonical(region)
    return None


def test_area_codes_are_those_of_phonenumbers() -> None:
    known = {str(area): region for area in range(200, 1000) if (region := region_of_area(area))}
    assert {area: line[:2] for line in AREA_CODES.splitlines() for area in line[2:].split()} == known


def test_no_subscribers_number_is_taken_for_an_emergency_call() -> None:
    """+44999 and +17 are what phones make of 999 and 17; were one of them somebody's number, it could not be called."""
    taken = []
    for country in countries():
        for number in PLANS[country].emergency:
            for whole in (f"+{number}", f"+{PLANS[country].calling_code}{number}"):
                try:
                    if phonenumbers.is_valid_number(phonenumbers.parse(whole)):
                        taken.append((country, whole))
                except phonenumbers.NumberParseException:
                    pass
    assert not taken


#: Belarus writes 8 and then 0 before every number; Colombia has had no prefix since 2021 but for carriers' codes;
#: Liechtenstein's numbers are written without the one that they know.
OTHER_NATIONAL_PREFIX = {"BY": "80", "CO": "", "LI": ""}


def test_national_prefixes_are_those_of_phonenumbers() -> None:
    different = {}
    for country in countries():
        metadata = PhoneMetadata.metadata_for_region(country)
        if metadata is not None and (metadata.national_prefix or "") != NUMBERING[country].national:
            different[country] = NUMBERING[country].national
    assert different == OTHER_NATIONAL_PREFIX


def examples(region: str) -> Iterator[PhoneNumber]:
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None:
            yield number


def test_a_number_written_as_at_home_is_read_rightly_or_not_at_all() -> None:
    wrong, unread = [], set()
    for region in countries():
        for number in examples(region):
            whole = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
            found = e164(written, region)
            if found is None:
                unread.add(region)
            elif found != whole:
                wrong.append((region, written, found, whole))
    assert not wrong
    assert unread == UNREAD_AT_HOME


def test_a_number_dialled_from_another_country_is_read_rightly_or_not_at_all() -> None:
    wrong, unread = [], set()
    for caller in countries():
        for region in {"US", "GB", "DK", "IT", "JM", "BR", "SG", "LU", "CI"} - {caller}:
            for number in examples(region):
                whole = phonenumbers.format_number(number, PhoneNumberFormat.E164)
                # "~" is where the caller waits for another tone
                written = phonenumbers.format_out_of_country_calling_number(number, caller).replace("~", "")
                found = e164(written, caller)
                if found is None:
                    unread.add(caller)
                elif found != whole:
                    wrong.append((caller, written, found, whole))
                assert e164(whole, caller) == whole
    assert not wrong
    assert unread == UNREAD_ABROAD


def test_n7_what_they_call_an_emergency_number_is_not_always_one() -> None:
    """Why no call is routed by them: a star, a hash, digits of another script, and any number that begins so."""
    for text in ("*911", "911#", "\uff19\uff11\uff11"):
        assert is_emergency_number(text, "US")
        assert match_emergency(dialled_from_uri(f"sip:{text}@example.org"), "US") is None
    assert connects_to_emergency_number("9115551234", "US")
    assert match_emergency(dialled_from_uri("sip:9115551234@example.org"), "US") is None


def test_n7_no_code_that_routes_calls_imports_phonenumbers() -> None:
    """Nor does anything else of ours but this test."""
    importing = set()
    for path in (*ROOT.glob("control/**/*.py"), *ROOT.glob("kamailio/**/*.py"), *ROOT.glob("freeswitch/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.partition(".")[0] == "phonenumbers" for name in names):
                importing.add(path)
    assert not importing


@pytest.mark.parametrize("country", ["US", "CA", "GB", "DK", "PR"])
def test_lengths_of_national_numbers_are_theirs_where_we_serve(country: str) -> None:
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata is not None
    assert metadata.fixed_line is not None
    assert metadata.mobile is not None
    possible = {*metadata.fixed_line.possible_length, *metadata.mobile.possible_length}
    assert NUMBERING[country].digits >= possible
    assert country in country_of_number(phonenumbers.format_number(next(examples(country)), PhoneNumberFormat.E164))
