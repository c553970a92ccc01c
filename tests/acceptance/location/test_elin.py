"""L7: a provider that knows locations by their numbers. The CLI is the location's; its callback rings the caller."""

from collections.abc import Iterator

import pytest

from acceptance.calls import answered_callback, call_back, dial_911, end, hear_each_other
from acceptance.conftest import healed
from lab.layout import ALICE, BOB, POOL_NUMBERS, TENANT, TRUNK_GROUP, User
from lab.phones import Phone
from lab.system import System

#: The numbers by which the provider knows Austin; the last two are a location's that has no other.
AUSTIN = ("+12025550170", "+12025550171")
DALLAS = "+12025550172"


@pytest.fixture(scope="module")
def whole_campus() -> Iterator[System]:
    """A node of its own: a pool of a location and its group's way of telling belong together."""
    with System() as system:
        run = system.holdfast.run
        run("trunk-group", "set", TRUNK_GROUP, "--location", "elin")
        for name, numbers, shared in (("austin", AUSTIN, ()), ("dallas", (DALLAS,), ("--shared",))):
            civic = ("--civic", "A1=TX", "--civic", f"A3={name.title()}", "--civic", "RD=Main", "--civic", "HNO=1")
            run("location", "create", name, "--tenant", TENANT, "--country", "US", *civic, "--validation", "validated")
            pool = ("--trunk-group", TRUNK_GROUP, "--country", "US", "--tenant", TENANT, "--location", name)
            run("pool", "create", f"{name}-elin", *pool, "--target-idle", str(len(numbers)))
            run("pool", "add-numbers", f"{name}-elin", *numbers, *shared)
        system.wait_synced()
        yield system


@pytest.fixture
def campus(whole_campus: System) -> Iterator[System]:
    with healed(whole_campus):
        yield whole_campus
    for user in (ALICE, BOB):
        whole_campus.holdfast.run("user", "set", user.name, "--no-location")


def at(system: System, location: str, *users: User) -> list[Phone]:
    """Phones of users who are at a location."""
    for user in users:
        system.holdfast.run("user", "set", user.name, "--location", location)
    system.wait_synced()
    return [system.phone(user) for user in users]


def calls_911(phone: Phone, psap: Phone) -> str:
    """A whole call; the number that the PSAP saw."""
    for one in (phone, psap):
        one.forget_events()
    number = dial_911(phone, psap).address("From").user
    end(phone, psap)
    return number


def test_l7_the_cli_is_the_locations_own_number_and_its_callback_rings_the_caller(campus: System) -> None:
    [alice] = at(campus, "austin", ALICE)
    psap = campus.psap()
    number = calls_911(alice, psap)
    assert number in AUSTIN
    answered_callback(campus, psap, number, alice)
    hear_each_other(alice, psap)
    end(psap, alice)


def test_l7_two_callers_at_one_location_hold_two_of_its_numbers(campus: System) -> None:
    alice, bob = at(campus, "austin", ALICE, BOB)
    psap = campus.psap()
    assert {calls_911(alice, psap), calls_911(bob, psap)} == set(AUSTIN)


@pytest.mark.parametrize("answers", ["alice", "bob"])
def test_l7_two_callers_who_share_a_locations_only_number_are_both_rung(campus: System, answers: str) -> None:
    phones = dict(zip(("alice", "bob"), at(campus, "dallas", ALICE, BOB), strict=True))
    psap = campus.psap()
    assert {calls_911(phone, psap) for phone in phones.values()} == {DALLAS}
    for phone in phones.values():
        phone.forget_events()
    call_back(campus, psap, DALLAS)
    for phone in phones.values():
        phone.ringing()
    taken = phones.pop(answers)
    taken.answer()
    psap.established()
    hear_each_other(taken, psap)
    [other] = phones.values()
    other.closed()
    end(psap, taken)


def test_l7_elsewhere_a_location_that_has_no_number_of_its_own_shows_the_platforms(campus: System) -> None:
    alice = campus.phone(ALICE)
    assert calls_911(alice, campus.psap()) in POOL_NUMBERS
