"""Each country's emergency numbers, and how a number is dialled there: core.country_table, read once.

The numbers of a country are facts and alike for every tenant. Whether it is served, how its calls are screened and
whether a security desk is told are defaults, which a tenant or the platform may change (D2, O5, O7).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from holdfast.core.country_table import AREA_CODES, COUNTRIES


class Screening(StrEnum):
    """Where an emergency call with a usable location goes first."""

    DIRECT = "direct"  # to the PSAP
    NATIONAL = "national"  # to a national centre, which asks and transfers (O5)


@dataclass(frozen=True, slots=True)
class EmergencyPlan:
    """One country's numbers. `emergency` maps each dialled string to the number that is sent to the PSAP.

    The first of `emergency` stands for all services (urn:service:sos); a country may have none. `sources` are keys of
    core.country_table.SOURCES.
    """

    country: str
    calling_code: str
    emergency: Mapping[str, str]
    readback: frozenset[str]
    served: bool
    screening: Screening
    notifies_desk: bool
    sources: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Numbering:
    """How numbers are dialled in one country (ITU-T E.164): what precedes them, and how many digits they have.

    `national` is "" where there is no prefix. `digits` are the lengths of a national number, without the prefix.
    """

    calling_code: str
    international: re.Pattern[str]
    national: str
    national_is_optional: bool
    may_begin_with_0: bool
    digits: frozenset[int]


_ALIAS = "served as "


def _lengths(text: str) -> Iterator[int]:
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _numbering(calling_code: str, international: str, national: str, digits: str) -> Numbering:
    none = national in ("-", "-0")
    return Numbering(
        calling_code=calling_code,
        international=re.compile("|".join(international.split(","))),
        national="" if none else national.rstrip("?"),
        national_is_optional=none or national.endswith("?"),
        may_begin_with_0=national == "-0",
        digits=frozenset(_lengths(digits)),
    )


def _emergency(text: str) -> Mapping[str, str]:
    pairs = (number.partition("=") for number in text.split())
    return MappingProxyType({dialled: sent or dialled for dialled, _, sent in pairs})


def _read() -> tuple[dict[str, EmergencyPlan], dict[str, Numbering], dict[str, frozenset[str]], dict[str, str]]:
    plans: dict[str, EmergencyPlan] = {}
    numbering: dict[str, Numbering] = {}
    by_calling_code: dict[str, frozenset[str]] = {}
    canonical: dict[str, str] = {}
    for line in COUNTRIES.splitlines():
        code, name, *rest = line.split("|")
        canonical[code] = code if len(rest) > 1 else rest[0].removeprefix(_ALIAS)
        if len(rest) == 1:
            continue
        codes, international, national, digits, emergency, readback, served, screening, desk, sources = rest
        main, *_ = calling_codes = codes.split(",")
        for calling_code in calling_codes:
            by_calling_code[calling_code] = by_calling_code.get(calling_code, frozenset()) | {code}
        numbering[code] = _numbering(main, international, national, digits)
        plans[code] = EmergencyPlan(
            country=code,
            calling_code=main,
            emergency=_emergency(emergency),
            readback=frozenset(readback.split()),
            served=served == "yes",
            screening=Screening(screening),
            notifies_desk=desk == "yes",
            sources=tuple(sources.split()),
            name=name,
        )
    for code, main in canonical.items():
        plans[code], numbering[code] = plans[main], numbering[main]
    return plans, numbering, by_calling_code, canonical


_plans, _numbering_of, _by_calling_code, _canonical = _read()

#: What an unverified caller's number is read by: they have told us no country that we could believe.
DEFAULT_COUNTRY = "US"
#: Every country, those that are served by default first; GU, VI, MP and AS hold the plan of the United States itself.
PLANS: Mapping[str, EmergencyPlan] = MappingProxyType(
    {code: _plans[code] for code in sorted(_plans, key=lambda code: (code != DEFAULT_COUNTRY, not _plans[code].served))}
)
NUMBERING: Mapping[str, Numbering] = MappingProxyType(_numbering_of)
#: The countries that are served where nobody says otherwise.
SERVED: tuple[str, ...] = tuple(code for code, plan in PLANS.items() if plan.served and plan.country == code)
#: Calling code → the countries that share it.
CALLING_CODES: Mapping[str, frozenset[str]] = MappingProxyType(_by_calling_code)
_AREA_CODES: Mapping[str, frozenset[str]] = MappingProxyType(
    {area: frozenset({line[:2]}) for line in AREA_CODES.splitlines() for area in line[2:].split()}
)


def canonical(code: str) -> str | None:
    """The country that a caller with this ISO 3166-1 alpha-2 code, in any case, is in (A6). None: no code we know."""
    return _canonical.get(code.upper()) if code.isascii() else None


def calling_code_of(e164: str) -> str | None:
    """The calling code of "+" and digits. No calling code begins another, so there is at most one."""
    return next((e164[1:end] for end in (2, 3, 4) if e164[1:end] in CALLING_CODES), None)


def country_of_number(e164: str) -> frozenset[str]:
    """The countries that an E.164 number (with "+") may belong to; more than one where they share a calling code.

    In the North American plan the area code tells them apart, except toll-free and other numbers that are nobody's.
    """
    code = calling_code_of(e164) if e164.startswith("+") else None
    if code is None:
        return frozenset()
    if code == "1" and e164[2:5] in _AREA_CODES:
        return _AREA_CODES[e164[2:5]]
    return CALLING_CODES[code]
