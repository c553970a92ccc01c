"""Tenants' dial plans for ordinary calls, and which emergency numbers they make diallable behind a prefix (N7)."""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.core.country import PLANS
from holdfast.core.dialling import DialRule, classify
from holdfast.core.model import CallKind
from holdfast.errors import InputError
from holdfast.plane import country_rules, db, rows
from holdfast.plane.lookup import id_of


@dataclass(frozen=True, slots=True)
class DialRuleRecord:
    """One rule. `emergency` is what dialled through it counts as an emergency call, such as 5911=911."""

    id: int
    tenant: str
    prefix: str
    strip: int
    prepend: str
    emergency: list[str]


@dataclass(frozen=True, slots=True)
class Diallable:
    """Through a dial rule `dialled` reaches the emergency number `sent` in some of the countries served."""

    dialled: str
    sent: str
    countries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _RuleRow:
    id: int
    tenant: str
    prefix: str
    strip: int
    prepend: str

    @property
    def rule(self) -> DialRule:
        return DialRule(self.prefix, self.strip, self.prepend)


def dial_rules(connection: db.Connection, tenant: str | None = None) -> tuple[DialRuleRecord, ...]:
    """Every dial rule (of one tenant), by tenant and prefix."""
    found = _rows(connection, tenant)
    plans: dict[str, list[DialRule]] = {}
    for row in found:
        plans.setdefault(row.tenant, []).append(row.rule)
    served = {name: country_rules.served(connection, name) for name in plans}
    return tuple(
        DialRuleRecord(
            row.id, row.tenant, row.prefix, row.strip, row.prepend,
            [f"{one.dialled}={one.sent}" for one in diallable(row.rule, plans[row.tenant], served[row.tenant])],
        )
        for row in found
    )  # fmt: skip


def add_dial_rule(
    connection: db.Connection, tenant: str, prefix: str, strip: int, prepend: str
) -> tuple[Diallable, ...]:
    """Add a rule; returns which emergency numbers people now reach through it."""
    with db.change(connection, f"dial-rule add {prefix} of {tenant}"):
        columns = {
            "tenant_id": id_of(connection, "tenant", tenant), "prefix": prefix, "strip": strip, "prepend": prepend
        }  # fmt: skip
        rows.insert(connection, "dial_rule", columns)
    plan = [row.rule for row in _rows(connection, tenant)]
    return diallable(DialRule(prefix, strip, prepend), plan, country_rules.served(connection, tenant))


def remove_dial_rule(connection: db.Connection, tenant: str, prefix: str) -> None:
    """Remove the rule for a prefix; InputError if the tenant has none."""
    with db.change(connection, f"dial-rule remove {prefix} of {tenant}"):
        found = [row.id for row in _rows(connection, tenant) if row.prefix == prefix]
        if not found:
            raise InputError(
                f"tenant {tenant!r} has no dial rule for {prefix}",
                mend=f"'holdfast dial-rule list --tenant {tenant}' shows those it has",
            )
        rows.delete(connection, "dial_rule", "id", found[0])


def diallable(rule: DialRule, plan: Iterable[DialRule], countries: Iterable[str]) -> tuple[Diallable, ...]:
    """What counts as an emergency call by this rule of a dial plan, and not without one, in any of the countries.

    Every string that the rule could turn into an emergency number is put to the function that routes live calls.
    """
    rules = tuple(plan)
    longer = tuple(other.prefix for other in rules if len(other.prefix) > len(rule.prefix))
    found: dict[tuple[str, str], list[str]] = {}
    for country in countries:
        for dialled in sorted(_candidates(rule, country)):
            match = classify(dialled, country, {}, rules)
            without_prefix = classify(dialled, country, {}, ()) is not None
            if match and match.kind is CallKind.EMERGENCY and not without_prefix and not dialled.startswith(longer):
                found.setdefault((dialled, match.sent), []).append(country)
    return tuple(Diallable(dialled, sent, tuple(codes)) for (dialled, sent), codes in found.items())


def _candidates(rule: DialRule, country: str) -> set[str]:
    """The strings that the rule makes a country's emergency number of, in any of the forms it is dialled in."""
    plan = PLANS[country]
    before = rule.prepend + rule.prefix[rule.strip :]
    forms = (lead + number for number in plan.emergency for lead in ("", "+", f"+{plan.calling_code}"))
    rests = {form[len(before) :] for form in forms if form.startswith(before)}
    return {rule.prefix + rest for rest in rests if not rest.startswith("+")}  # nobody can dial + in the middle


def _rows(connection: db.Connection, tenant: str | None) -> tuple[_RuleRow, ...]:
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    return rows.select(
        connection,
        _RuleRow,
        """select d.id, t.name as tenant, d.prefix, d.strip, d.prepend
           from dial_rule d join tenant t on t.id = d.tenant_id
           where %(tenant)s::integer is null or d.tenant_id = %(tenant)s order by t.name, d.prefix""",
        {"tenant": of_tenant},
    )
