"""What people type is read strictly, and what is wrong with it is said in words."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.plane import values


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+12025550123", "+12025550123"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("+1.202.555.0123", "+12025550123"),
        ("+4512345678", "+4512345678"),
    ],
)
def test_a_number_is_read_without_its_separators(text: str, number: str) -> None:
    assert values.number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "911", "+911", "12025550123", "+02025550123", "+1202555012345678", "+1２025550123", "+1202\n5550123", "x"],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not an E\.164 number"):
        values.number(text)


def test_a_range_is_every_number_of_it() -> None:
    assert list(values.numbers("+12025550198-+12025550201")) == [
        "+12025550198", "+12025550199", "+12025550200", "+12025550201",
    ]  # fmt: skip
    assert list(values.numbers("+1-202-555-0123")) == ["+12025550123"]


@pytest.mark.parametrize("text", ["+12025550101-+12025550100", "+12025550101-+45123456", "+12025550101-+911"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        list(values.numbers(text))


def test_a_range_too_long_for_a_command_is_refused_before_it_is_counted_out() -> None:
    with pytest.raises(InputError, match="has 9999999999 numbers"):
        next(values.numbers("+10000000001-+19999999999"))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("[2001:db8::7]", "2001:db8::7"),
    ],
)
def test_a_trunks_source_is_an_address_or_a_network(text: str, stored: str) -> None:
    assert values.source_address(text) == stored


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.1/8", "::/0", "example.com", "1.2.3", "", "192.0.2.7/33"])
def test_a_source_that_would_trust_strangers_or_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        values.source_address(text)


def test_ha1_is_the_digest_of_rfc_2617() -> None:
    # the example of RFC 2617 §3.5
    assert values.ha1("Mufasa", "testrealm@host.com", "Circle Of Life") == "939e7578ed9e3c518a452acee763bce9"


@pytest.mark.parametrize(("text", "flag"), [("on", True), ("YES", True), ("1", True), ("off", False), ("No", False)])
def test_a_flag_is_yes_or_no(text: str, *, flag: bool) -> None:
    assert values.flag(text) is flag


@pytest.mark.parametrize(
    "read",
    [values.number, values.country, values.username, values.realm, values.aor, values.forward_to, values.display_name,
     values.name, values.node_name, values.host, values.source_address, values.ha1_digest, values.password,
     values.flag],
)  # fmt: skip
@given(text=st.text(max_size=200))
def test_whatever_is_typed_is_read_or_refused_in_one_printable_line(read: Callable[[str], object], text: str) -> None:
    refusal, value = None, None
    try:
        value = read(text)
    except InputError as error:
        refusal = error
    assert refusal is None or (refusal.mend and f"{refusal}{refusal.mend}".isprintable())
    assert not isinstance(value, str) or not set(value) & {"\0", "\r", "\n"}


@given(secret=st.text(st.characters(categories=["Cc", "Cs"]), min_size=1, max_size=20))
def test_a_refused_password_is_not_shown(secret: str) -> None:
    with pytest.raises(InputError) as refused:
        values.password(f"tellnobody{secret}")
    assert "tellnobody" not in f"{refused.value}{refused.value.mend}"
