"""Whether a street address can be one of its country: refused where it is entered, with every reason at once.

Structure only: that the parts are there which somebody needs to find the caller (a dispatchable location), and that
codes have the form of the country's. Whether the street exists is for a LoST server to say (plane.lost).

Sources: RFC 5139 §3 and RFC 4776 §3.4 (which element is what in which country), USPS Publication 28 appendix B (states
and territories), Canada Post's addressing guidelines (provinces; the letters D, F, I, O, Q and U are not used), Royal
Mail's PAF guide (postcodes), Dansk Adresseregister (four digits).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.core.country import canonical
from holdfast.core.place import civic_from_mapping
from holdfast.errors import InputError
from holdfast.plane.values import shown

_US_STATES = (
    "AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR "
    "PA RI SC SD TN TX UT VA VT WA WI WV WY AS GU MP VI"
)
_CA_PROVINCES = "AB BC MB NB NL NS NT NU ON PE QC SK YT"
_ZIP = re.compile(r"[0-9]{5}(-[0-9]{4})?")
_PUERTO_RICAN_ZIP = re.compile(r"00[679][0-9]{2}(-[0-9]{4})?")
_CA_POSTAL_CODE = re.compile(r"[ABCEGHJ-NPRSTVXY][0-9][ABCEGHJ-NPRSTV-Z] [0-9][ABCEGHJ-NPRSTV-Z][0-9]")
_GB_POSTCODE = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][ABD-HJLNP-UW-Z]{2}")
_DK_POSTNUMMER = re.compile(r"[0-9]{4}")
#: What tells a place along a street: its house number, a milepost, a utility pole (RFC 6848), or a landmark.
_ON_THE_STREET = ("HNO", "MP", "PN", "LMK")
_HOUSE_NAMES = ("BLD", "NAM", "LOC")


@dataclass(frozen=True, slots=True)
class CivicProblem:
    """What is wrong with one element of an address."""

    element: str
    message: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an address of one country needs. `needed`: each entry is satisfied by any one of its elements."""

    needed: tuple[tuple[tuple[str, ...], str], ...]
    postal_code: re.Pattern[str]
    postal_code_example: str
    regions: frozenset[str] = frozenset()
    region_is: str = ""
    tidy: Callable[[str], str] = str.strip


def _spaced(text: str) -> str:
    """A British or Canadian postal code in capitals, with its one space before the last three characters."""
    bare = "".join(text.upper().split())
    return f"{bare[:-3]} {bare[-3:]}"


_STREET = (("RD",), "the street")
_HOUSE = (_ON_THE_STREET, "the house number (or MP a milepost, PN a pole, LMK a landmark)")
_CITY = (("A3",), "the city")
_RULES: Mapping[str, _Rules] = {
    "US": _Rules(
        ((("A1",), "the state"), _CITY, _STREET, _HOUSE), _ZIP, "78701 or 78701-1234",
        frozenset(_US_STATES.split()), "a state's or territory's two letters, such as TX",
    ),
    "PR": _Rules(
        (_CITY, _STREET, _HOUSE), _PUERTO_RICAN_ZIP, "00901",
        frozenset({"PR"}), "PR, or left out",
    ),
    "CA": _Rules(
        ((("A1",), "the province or territory"), _CITY, _STREET, _HOUSE), _CA_POSTAL_CODE, "K1A 0B1",
        frozenset(_CA_PROVINCES.split()), "a province's or territory's two letters, such as ON", _spaced,
    ),
    "GB": _Rules(
        (
            (("PC",), "the postcode"),
            (("A3",), "the post town"),
            _STREET,
            ((*_ON_THE_STREET, *_HOUSE_NAMES), "the house number (or BLD, NAM or LOC the house's name)"),
        ),
        _GB_POSTCODE, "SW1A 1AA", tidy=_spaced,
    ),
    "DK": _Rules(
        ((("PC",), "the postnummer"), (("A3", "PCN"), "the city"), _STREET, _HOUSE), _DK_POSTNUMMER, "2100",
    ),
}  # fmt: skip
#: The countries whose addresses are checked further than their element names.
CHECKED_COUNTRIES: frozenset[str] = frozenset(_RULES)


def country_of_place(code: str) -> str:
    """The ISO 3166-1 alpha-2 code of a country that a place can be in; InputError for none, or for a US territory."""
    known = canonical(code)
    if known is None:
        raise InputError(f"{shown(code)} is not a country that we know", mend="use ISO 3166-1 alpha-2, such as US")
    if known != code.upper():
        raise InputError(
            f"{code.upper()} is a territory of {known}",
            mend=f"give the country {known}, and {code.upper()} as the state: A1={code.upper()}",
        )
    return known


def checked_civic(country: str, given: Mapping[str, str]) -> dict[str, str]:
    """An address as it is stored: element names of RFC 5139 and RFC 6848, codes in the country's own spelling.

    The country stands beside it, so `country` is no part of it; one that is given must be the same. InputError names
    everything that is wrong. An empty mapping is fine: a place may be told by its point alone.
    """
    try:
        civic = dict(civic_from_mapping(given))
    except InputError as error:
        raise InputError(str(error), mend=error.mend or "give each element once, in visible characters") from error
    said = civic.pop("country", country)
    if said != country:
        raise InputError(f"the address says country {said}, and the location {country}", mend="correct one of them")
    rules = _RULES.get(country)
    if not civic or rules is None:
        return civic
    tidied = _tidied(rules, civic)
    problems = tuple(_problems(country, rules, tidied))
    if problems:
        raise InputError(
            f"this cannot be an address in {country}: {'; '.join(f'{p.element}: {p.message}' for p in problems)}",
            mend="correct it, or give only a point (--latitude, --longitude) where there is no street address",
        )
    return tidied


def _tidied(rules: _Rules, civic: Mapping[str, str]) -> dict[str, str]:
    tidied = dict(civic)
    if rules.regions and "A1" in tidied:
        tidied["A1"] = tidied["A1"].upper()
    if "PC" in tidied:
        tidied["PC"] = rules.tidy(tidied["PC"])
    return tidied


def _problems(country: str, rules: _Rules, civic: Mapping[str, str]) -> Iterator[CivicProblem]:
    for elements, what in rules.needed:
        if not any(element in civic for element in elements):
            yield CivicProblem(elements[0], f"{what} is missing")
    region = civic.get("A1")
    if country == "US" and region == "PR":
        yield CivicProblem("A1", "Puerto Rico is a country of its own here: give the country PR")
    elif region is not None and rules.regions and region not in rules.regions:
        yield CivicProblem("A1", f"{shown(region)} is not {rules.region_is}")
    postal_code = civic.get("PC")
    if postal_code is not None and not rules.postal_code.fullmatch(postal_code):
        yield CivicProblem("PC", f"{shown(postal_code)} is not a postal code such as {rules.postal_code_example}")
    house = civic.get("HNO")
    if house is not None and not any(character.isdigit() for character in house):
        yield CivicProblem("HNO", f"{shown(house)} has no digit: a house's name goes into BLD, NAM or LOC")


def one_line(civic: Mapping[str, str]) -> str:
    """An address for people to read: the street and the house, then the rest in RFC 5139's order."""
    street = " ".join(civic[name] for name in _STREET_ORDER if name in civic)
    rest = (text for name, text in civic_from_mapping(civic) if name not in _STREET_ORDER)
    return ", ".join(part for part in (street, *rest) if part)


_STREET_ORDER = ("HNP", "HNO", "HNS", "PRD", "STP", "PRM", "RD", "STS", "POD", "POM")
