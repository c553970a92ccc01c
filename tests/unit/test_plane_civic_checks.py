"""An address that cannot be one of its country is refused with every reason; one that can be is stored tidily."""

import pytest

from holdfast.errors import InputError
from holdfast.plane.civic_checks import checked_civic, country_of_place, one_line

AUSTIN = {"A1": "TX", "A3": "Austin", "RD": "Main", "STS": "St", "HNO": "1200", "PC": "78701"}
GOOD = [
    ("US", AUSTIN, AUSTIN),
    ("US", {**AUSTIN, "A1": "tx", "PC": "78701-1234"}, {**AUSTIN, "PC": "78701-1234"}),
    ("US", {"a1": "GU", "a3": " Hagåtña ", "rd": "Marine  Corps", "mp": "4.5"},
     {"A1": "GU", "A3": "Hagåtña", "RD": "Marine Corps", "MP": "4.5"}),
    ("US", {**AUSTIN, "country": "us", "FLR": ""}, AUSTIN),
    ("PR", {"A3": "San Juan", "RD": "Calle Fortaleza", "HNO": "63", "PC": "00901"}, None),
    ("CA", {"A1": "on", "A3": "Ottawa", "RD": "Wellington", "HNO": "111", "PC": "k1a0a9"},
     {"A1": "ON", "A3": "Ottawa", "RD": "Wellington", "HNO": "111", "PC": "K1A 0A9"}),
    ("GB", {"A3": "London", "RD": "Downing St", "HNO": "10", "PC": "sw1a2aa"},
     {"A3": "London", "RD": "Downing St", "HNO": "10", "PC": "SW1A 2AA"}),
    ("GB", {"A3": "Bourton", "RD": "High Street", "BLD": "Rose Cottage", "PC": "GL54 2AA"}, None),
    ("DK", {"A3": "København Ø", "RD": "Østerbrogade", "HNO": "12", "HNS": "A", "PC": "2100"}, None),
    ("DK", {"PCN": "København Ø", "RD": "Østerbrogade", "HNO": "12", "PC": "2100"}, None),
    ("FR", {"RD": "Rue de Rivoli"}, None),
    ("US", {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("country", "given", "stored"), GOOD)
def test_an_address_that_its_country_can_have_is_stored_in_its_spelling(
    country: str, given: dict[str, str], stored: dict[str, str] | None
) -> None:
    assert checked_civic(country, given) == (given if stored is None else stored)


def without(*names: str) -> dict[str, str]:
    return {name: text for name, text in AUSTIN.items() if name not in names}


WRONG = [
    ("US", without("A1"), "A1: the state is missing"),
    ("US", without("A3"), "A3: the city is missing"),
    ("US", without("RD"), "RD: the street is missing"),
    ("US", without("HNO"), "HNO: the house number (or MP a milepost, PN a pole, LMK a landmark) is missing"),
    ("US", {**AUSTIN, "A1": "Texas"}, "A1: 'TEXAS' is not a state's or territory's two letters, such as TX"),
    ("US", {**AUSTIN, "A1": "PR"}, "A1: Puerto Rico is a country of its own here: give the country PR"),
    ("US", {**AUSTIN, "PC": "7870"}, "PC: '7870' is not a postal code such as 78701 or 78701-1234"),
    ("US", {**AUSTIN, "PC": "७८७०१"}, "PC: '७८७०१' is not a postal code"),
    ("US", {**AUSTIN, "HNO": "Rose Cottage"}, "HNO: 'Rose Cottage' has no digit"),
    ("US", {**AUSTIN, "country": "CA"}, "the address says country CA, and the location US"),
    ("PR", {"A3": "San Juan", "RD": "Fortaleza", "HNO": "63", "PC": "78701"}, "is not a postal code such as 00901"),
    ("PR", {"A1": "TX", "A3": "San Juan", "RD": "Fortaleza", "HNO": "63"}, "A1: 'TX' is not PR, or left out"),
    ("CA", {"A1": "TX", "A3": "Ottawa", "RD": "Wellington", "HNO": "1"}, "A1: 'TX' is not a province's"),
    ("CA", {"A1": "ON", "A3": "Ottawa", "RD": "Wellington", "HNO": "1", "PC": "D1A 0A9"}, "PC: 'D1A 0A9'"),
    ("GB", {"A3": "London", "RD": "Downing St", "HNO": "10"}, "PC: the postcode is missing"),
    ("GB", {"A3": "London", "RD": "Downing St", "HNO": "10", "PC": "78701"}, "is not a postal code such as SW1A 1AA"),
    ("GB", {"RD": "Downing St", "HNO": "10", "PC": "SW1A 2AA"}, "A3: the post town is missing"),
    ("DK", {"A3": "Aarhus", "RD": "Vestergade", "HNO": "1", "PC": "DK-8000"}, "PC: 'DK-8000'"),
    ("FR", {"STREET": "Rue de Rivoli"}, "'STREET' is no element of a civic address"),
    ("US", {**AUSTIN, "FLR": "3\r\nVia: x"}, None),
    ("US", {**AUSTIN, "FLR": "\u202e3"}, "FLR"),
    ("US", {**AUSTIN, "NAM": "x" * 256}, "NAM"),
]  # fmt: skip


@pytest.mark.parametrize(("country", "given", "said"), WRONG)
def test_an_address_that_its_country_cannot_have_is_refused_by_element(
    country: str, given: dict[str, str], said: str | None
) -> None:
    if said is None:  # white space is no reason to refuse, but a line end must not survive
        assert checked_civic(country, given)["FLR"] == "3 Via: x"
        return
    with pytest.raises(InputError) as refused:
        checked_civic(country, given)
    assert said in str(refused.value)
    assert refused.value.mend


def test_everything_that_is_wrong_with_an_address_is_said_at_once() -> None:
    with pytest.raises(InputError) as refused:
        checked_civic("US", {"A1": "ZZ", "PC": "x"})
    assert str(refused.value).count("; ") == 4  # A1, PC, and city, street and house missing


@pytest.mark.parametrize("code", ["GU", "VI", "MP", "AS"])
def test_a6_a_place_in_a_territory_is_one_in_the_us(code: str) -> None:
    with pytest.raises(InputError, match=f"{code} is a territory of US") as refused:
        country_of_place(code)
    assert f"A1={code}" in refused.value.mend


def test_a_country_that_nobody_knows_is_refused() -> None:
    assert country_of_place("dk") == "DK"
    with pytest.raises(InputError, match="'XX' is not a country that we know"):
        country_of_place("XX")


def test_an_address_is_read_as_people_write_it() -> None:
    stored_as_json = dict(sorted({**AUSTIN, "FLR": "3"}.items()))
    assert one_line(stored_as_json) == "1200 Main St, TX, Austin, 3, 78701"
    assert one_line({}) == ""
