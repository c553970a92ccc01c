"""Whether an address exists, asked of the LoST servers whose trunk groups would carry its calls (RFC 5222 §8.3.5).

Nothing is asked of a place that has only a point, or of a country for which no trunk group has a LoST server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.errors import InputError
from holdfast.plane import db, lost, rows
from holdfast.plane.lost_xml import Found, Validity, Whereof


class Verdict(StrEnum):
    """What the servers make of an address. What they call invalid, or nobody answers about, is an error instead."""

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"  # they know the area, but not the street or the house
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True)
class Validated:
    """A verdict, and for people what it leaves open."""

    verdict: Verdict
    note: str = ""


#: What leads somebody to the door: if a server did not check one of these, it did not confirm the address.
_DECISIVE = ("A1", "A3", "RD", "HNO")


def lost_urls(connection: db.Connection, tenant: int, country: str) -> tuple[str, ...]:
    """The LoST servers that are asked about a tenant's places in a country, each once."""
    found = rows.pairs(
        connection,
        """select distinct lost_url, 1 from trunk_group
           where psap_method = 'lost' and (country is null or country = %s) and (tenant_id is null or tenant_id = %s)
           order by lost_url""",
        (country, tenant),
    )
    return tuple(str(url) for url, _ in found)


def validate(connection: db.Connection, tenant: int, places: Sequence[Whereof]) -> list[Validated | InputError]:
    """What the servers say of each place, in their order; an InputError for an address that is to be refused."""
    urls = {country: lost_urls(connection, tenant, country) for country in {place.country for place in places}}
    questions = [
        (index, lost.Question(url, place, validate=True))
        for index, place in enumerate(places)
        if place.civic
        for url in urls[place.country]
    ]
    answers = lost.ask([question for _, question in questions]) if questions else []
    by_place: list[list[tuple[str, lost.Answer]]] = [[] for _ in places]
    for (index, question), answer in zip(questions, answers, strict=True):
        by_place[index].append((question.url, answer))
    return [_judged(place, answered) for place, answered in zip(places, by_place, strict=True)]


def _judged(place: Whereof, answered: Sequence[tuple[str, lost.Answer]]) -> Validated | InputError:
    if not answered:
        return Validated(Verdict.UNASKED)
    checked = [(url, answer.validity) for url, answer in answered if isinstance(answer, Found) and answer.validity]
    invalid = [
        f"{name} {place.civic.get(name, place.country)!r}" for _, validity in checked for name in validity.invalid
    ]
    if invalid:
        return InputError(
            f"the LoST server {checked[0][0]} knows no such address: {', '.join(dict.fromkeys(invalid))}",
            mend="correct it; with --no-validate it is stored as one that nobody but you vouches for",
        )
    if any(_confirms(place, validity) for _, validity in checked):
        return Validated(Verdict.CONFIRMED)
    failures = [answer for _, answer in answered if not isinstance(answer, Found)]
    if len(failures) == len(answered):
        return InputError(
            f"the address could not be validated: {failures[0]}",
            mend="try again later; with --no-validate it is stored as one that nobody but you vouches for",
        )
    return Validated(Verdict.UNCONFIRMED, f"the LoST server did not check {', '.join(_open(place, checked))}")


def _decisive(place: Whereof) -> list[str]:
    return [name for name in _DECISIVE if name in place.civic] or list(place.civic)


def _confirms(place: Whereof, validity: Validity) -> bool:
    return set(_decisive(place)) <= set(validity.valid)


def _open(place: Whereof, checked: Sequence[tuple[str, Validity]]) -> Iterator[str]:
    known = {name for _, validity in checked for name in validity.valid}
    yield from (name for name in _decisive(place) if name not in known)
