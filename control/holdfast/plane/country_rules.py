"""Which countries are served, how their calls are screened and whether a desk is told: the table, with rules on top.

A tenant's rule counts before the platform's, and that before the table of countries (A6, D2, O5, O7). core.plan
decides calls so; what stands here is shown to people and holds their input against the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from holdfast.core.country import PLANS, EmergencyPlan, Screening, calling_code_of, canonical, country_of_number
from holdfast.core.plan import CountryRule
from holdfast.errors import InputError
from holdfast.plane import db, rows, values
from holdfast.plane.lookup import id_of

#: More countries than these are not listed in a message.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class CountryRecord:
    """One country as calls from it are treated. `emergency` and `tests` as dialled, 9911=911 where another is sent.

    `decided_by` says, for each of served, screening and notify_desk, whose word it is: tenant, platform or table.
    """

    country: str
    name: str
    emergency: list[str]
    tests: list[str]
    served: bool
    screening: str
    notify_desk: bool
    decided_by: dict[str, str]
    sources: list[str]


@dataclass(frozen=True, slots=True)
class _RuleRow:
    tenant_id: int | None
    country: str
    served: bool | None
    screening: str | None
    notify_desk: bool | None


_WHAT = ("served", "screening", "notify_desk")


def country(text: str) -> str:
    """A country that the table knows, as its calls are given (A6); InputError for any other code."""
    code = callers_country(text)
    known = canonical(code)
    if known != code:
        raise InputError(f"callers in {code} count as callers in {known}", mend=f"write {known}")
    return code


def callers_country(text: str) -> str:
    """Where a caller may be said to be: any country or territory there is, the United States' own among them."""
    code = values.country(text)
    if canonical(code) is None:
        raise InputError(f"there is no country {code}", mend="'holdfast country list' shows every code")
    return code


def countries(connection: db.Connection, tenant: str | None = None) -> tuple[CountryRecord, ...]:
    """Every country, the served ones first, as calls of this tenant (None: of tenants without rules) are treated."""
    found = _rules(connection, tenant)
    records = [_record(plan, found.get(code, ())) for code, plan in PLANS.items() if plan.country == code]
    return tuple(sorted(records, key=lambda record: not record.served))


def served(connection: db.Connection, tenant: str | None) -> tuple[str, ...]:
    """The countries whose emergency calls are taken of a tenant's callers."""
    return tuple(record.country for record in countries(connection, tenant) if record.served)


def set_rule(connection: db.Connection, code: str, tenant: str | None, columns: Mapping[str, object]) -> None:
    """Change some of served, screening and notify_desk for a country; `tenant` None: for every tenant.

    InputError if the country is unknown, or is to be served though nobody knows its emergency numbers.
    """
    country(code)
    if columns.get("served") and not PLANS[code].emergency:
        raise InputError(
            f"{code} ({PLANS[code].name}) has no emergency number that the table of countries knows",
            mend="leave it unserved: a call from there could be sent nowhere",
        )
    with db.change(connection, f"country set {code}{_of(tenant)}: {', '.join(columns)}"):
        owner = id_of(connection, "tenant", tenant) if tenant else None
        found = _rule_id(connection, code, owner)
        if found is None:
            rows.insert(connection, "country_rule", {"tenant_id": owner, "country": code, **columns})
        else:
            rows.update(connection, "country_rule", "id", found, columns)


def unset_rule(connection: db.Connection, code: str, tenant: str | None) -> None:
    """Take a rule away; InputError if there is none."""
    with db.change(connection, f"country unset {code}{_of(tenant)}"):
        found = _rule_id(connection, code, id_of(connection, "tenant", tenant) if tenant else None)
        if found is None:
            raise InputError(
                f"there is no rule for {code}{_of(tenant)}",
                mend="'holdfast country list' shows what is decided by whom",
            )
        rows.delete(connection, "country_rule", "id", found)


def number_of_country(number: str, code: str) -> str:
    """The number; InputError if it is of another country, by its calling code or North American area code."""
    of_number = country_of_number(number)
    if canonical(code) in of_number:
        return number
    if not of_number:
        told = f"{number} is a number of no country"
    elif len(of_number) > _SHOWN:
        told = f"{number} is a number of +{calling_code_of(number)}"
    else:
        told = f"{number} is a number of {', '.join(sorted(of_number))}"
    raise InputError(f"{told}, and the pool's are of {code}", mend="put it into a pool of its own country")


@cache
def emergency_numbers() -> frozenset[str]:
    """Every number that is sent to a PSAP in some country."""
    return frozenset(sent for plan in PLANS.values() for sent in plan.emergency.values())


@cache
def test_numbers() -> frozenset[str]:
    """Every number that is read back in some country, such as 933."""
    return frozenset(number for plan in PLANS.values() for number in plan.readback)


def some(codes: list[str]) -> str:
    """Country codes for people: the first ones, and how many more."""
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    return ", ".join(codes[:_SHOWN]) + more


def _rules(connection: db.Connection, tenant: str | None) -> dict[str, tuple[CountryRule, ...]]:
    """By country: the tenant's rule, then the platform's."""
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    found = rows.select(
        connection,
        _RuleRow,
        """select tenant_id, country, served, screening, notify_desk from country_rule
           where tenant_id is null or tenant_id = %s order by tenant_id nulls last""",
        (of_tenant,),
    )
    by_country: dict[str, tuple[CountryRule, ...]] = {}
    for row in found:
        screening = Screening(row.screening) if row.screening else None
        rule = CountryRule(row.tenant_id is not None, row.served, screening, row.notify_desk)
        by_country[row.country] = (*by_country.get(row.country, ()), rule)
    return by_country


def _record(plan: EmergencyPlan, rules: tuple[CountryRule, ...]) -> CountryRecord:
    decided: dict[str, object] = {
        "served": plan.served, "screening": plan.screening, "notify_desk": plan.notifies_desk
    }  # fmt: skip
    decided_by = dict.fromkeys(_WHAT, "table")
    for rule in reversed(rules):
        for what in _WHAT:
            said = getattr(rule, what)
            if said is not None:
                decided[what] = said
                decided_by[what] = "tenant" if rule.of_tenant else "platform"
    return CountryRecord(
        plan.country,
        plan.name,
        [dialled if dialled == sent else f"{dialled}={sent}" for dialled, sent in plan.emergency.items()],
        sorted(plan.readback),
        bool(decided["served"]),
        str(decided["screening"]),
        bool(decided["notify_desk"]),
        decided_by,
        list(plan.sources),
    )


def _rule_id(connection: db.Connection, code: str, owner: int | None) -> int | None:
    query = "select id from country_rule where country = %s and tenant_id is not distinct from %s"
    found = rows.value(connection, query, (code, owner))
    return None if found is None else int(found)


def _of(tenant: str | None) -> str:
    return f" of tenant {tenant}" if tenant else ""
