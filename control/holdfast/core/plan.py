"""How an emergency or test call goes: facts in, a frozen plan or a refusal out. Nothing here looks anything up.

Each function decides one thing and says why; docs/routing.md tells the rules in order, and docs/decision-table.csv is
every case of them, held against this code by a test.
"""

from dataclasses import dataclass

from holdfast.core import hops
from holdfast.core.country import PLANS, Screening
from holdfast.core.hops import RoutingRule
from holdfast.core.model import Caller, CallKind, Network, PlatformNumber, Policy, Site
from holdfast.core.numbers import EmergencyMatch
from holdfast.core.route_plan import Destination, Path, Refusal, RoutePlan, Step
from holdfast.core.whereabouts import CountryFinding, LocationSource, Validation, Whereabouts, chosen

#: A refused caller must know at once what else to do.
_OTHERWISE = "Use another phone to call for help."


@dataclass(frozen=True, slots=True)
class CountryRule:
    """Where the platform, or the tenant, does otherwise than the table of countries says; None: it does not."""

    of_tenant: bool
    served: bool | None = None
    screening: Screening | None = None
    notify_desk: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known when an emergency or test call arrives. `places` in order of precedence."""

    match: EmergencyMatch
    country: CountryFinding
    caller: Caller
    network: Network
    owns_outbound_number: bool
    #: text that is another for every call, such as its Call-ID: it shares calls among trunks by their weights
    draw: str = ""
    places: tuple[Whereabouts, ...] = ()
    number: PlatformNumber | None = None
    site: Site | None = None
    policy: Policy | None = None
    #: of the policy's usage
    rules: tuple[RoutingRule, ...] = ()
    #: for the country found; the tenant's before the platform's
    country_rules: tuple[CountryRule, ...] = ()
    #: whether numbers of the caller's number's country have access at all (C3)
    number_is_served: bool = True
    #: where a screening centre passes the caller on to: a URI, "" for the PSAP that serves them; None: it does not (O6)
    transfer_to: str | None = None


@dataclass(frozen=True, slots=True)
class _CountryTerms:
    served: bool
    screening: Screening
    notify_desk: bool
    because: str


def plan(facts: Facts) -> RoutePlan | Refusal:
    """Decide one call."""
    steps = [
        Step("match", f"{facts.match.kind.value} {facts.match.sent}", f"{facts.match.dialled} was dialled"),
        Step("country", facts.country.country or "unknown", facts.country.why),
    ]
    terms = _terms(facts)
    refusal = _not_permitted(facts, terms)
    if refusal is not None:
        return _with_steps(refusal, steps)
    steps.append(Step("service", "served", terms.because))
    where = chosen(facts.places, facts.match.country)
    steps.append(_location_step(where))
    destination, because = _destination(facts, where, terms)
    steps.append(Step("destination", destination.value, because))
    direct_routing = hops.direct_routing(facts.rules, _ruled_number(facts), facts.network.groups)
    path = Path.DIRECT_ROUTING if direct_routing else Path.DIRECT_OFFER
    steps.append(Step("path", path.value, _path_reason(facts, path)))
    if path is Path.DIRECT_OFFER:
        refusal = _not_in_the_offer(facts)
        if refusal is not None:
            return _with_steps(refusal, steps)
    origin = facts.caller.trunk
    candidates = hops.Candidates(
        facts.network, facts.caller.tenant.id if facts.caller.tenant else None, facts.match, facts.draw, where,
        avoided_group_id=origin.trunk_group_id if facts.transfer_to is not None and origin else None,
        called=facts.transfer_to or None,
    )  # fmt: skip
    owner = facts.number.trunk_group_id if facts.number else None
    ordered = candidates.hops(destination, direct_routing, owner)
    if not ordered and facts.match.kind is CallKind.EMERGENCY:
        return _with_steps(
            Refusal(
                503, "No Emergency Trunk", "no_emergency_trunk",
                f"No trunk for emergency calls is provisioned. {_OTHERWISE}",
            ), steps,
        )  # fmt: skip
    pools = candidates.pools(ordered, _site_id(facts, where))
    steps += hops.steps(ordered, pools)
    tenant = facts.caller.tenant
    most_calls = None
    if tenant is not None and facts.transfer_to is None:  # what is passed on is counted already
        emergency = facts.match.kind is CallKind.EMERGENCY
        most_calls = tenant.max_emergency_calls if emergency else tenant.max_test_calls
    desk = _security_desk(facts) if terms.notify_desk else None
    steps.append(_desk_step(facts, terms, desk))
    return RoutePlan(
        facts.match.kind, facts.match.sent, facts.match.country, path, destination, where, ordered, pools, most_calls,
        terms.notify_desk, tuple(steps), facts.policy, desk,
    )  # fmt: skip


def _with_steps(refusal: Refusal, steps: list[Step]) -> Refusal:
    told = Step("refused", f"{refusal.code} {refusal.phrase}", refusal.text)
    return Refusal(refusal.code, refusal.phrase, refusal.reason, refusal.text, (*steps, told))


# Who may call -------------------------------------------------------------------------------------------------------


def serves(country: str, rules: tuple[CountryRule, ...]) -> bool:
    """Whether emergency calls from a country are taken (A6, D2): the tenant's rule, else the platform's, else ours."""
    said = (rule.served for rule in sorted(rules, key=lambda rule: not rule.of_tenant) if rule.served is not None)
    return next(said, PLANS[country].served)


def _terms(facts: Facts) -> _CountryTerms:
    table = PLANS[facts.match.country]
    rules = sorted(facts.country_rules, key=lambda rule: not rule.of_tenant)
    whose = "the table of countries"
    if rules:
        whose = "the tenant's country rule" if rules[0].of_tenant else "the platform's country rule"
    screening = next((rule.screening for rule in rules if rule.screening is not None), table.screening)
    notify = next((rule.notify_desk for rule in rules if rule.notify_desk is not None), table.notifies_desk)
    return _CountryTerms(serves(facts.match.country, facts.country_rules), screening, notify, whose)


def _not_permitted(facts: Facts, terms: _CountryTerms) -> Refusal | None:
    if facts.country.country is None:  # A6
        return Refusal(
            403, "Country Required", "country_unknown",
            "Nothing says in which country this phone is: the client must send its country code (ISO 3166-1 alpha-2). "
            + _OTHERWISE,
        )  # fmt: skip
    if not terms.served:  # A6, C3
        return Refusal(
            403, "Emergency Calling Not Available", "country_not_served",
            f"Emergency calls from this country ({facts.match.country}) are not served. {_OTHERWISE}",
        )  # fmt: skip
    user = facts.caller.subscriber
    if user is not None and not user.outbound_enabled:  # D1
        return Refusal(
            403, "Emergency Calling Not Available", "outbound_not_permitted",
            f"This user's profile permits no outbound calls. {_OTHERWISE}",
        )  # fmt: skip
    return None


def beyond_limit(kind: CallKind) -> Refusal:
    """A9: what the caller of one call too many is told. Who counts the calls decides; `plan` says how many may be."""
    if kind is CallKind.READBACK:
        return Refusal(
            503, "Too Many Test Calls", "too_many_readback_calls",
            "This organisation has as many test calls in progress as it may have. Emergency calls still work.",
        )  # fmt: skip
    return Refusal(
        503, "Too Many Emergency Calls", "too_many_emergency_calls",
        f"This organisation has as many emergency calls in progress as it may have. {_OTHERWISE}",
    )  # fmt: skip


def _not_in_the_offer(facts: Facts) -> Refusal | None:
    """What the platform's own offer asks of a tenant. A customer's own carrier asks for none of it (D8)."""
    if facts.caller.tenant is not None and not facts.owns_outbound_number:  # A5
        return Refusal(
            403, "Emergency Calling Not Available", "no_outbound_number",
            f"This organisation owns no number enabled for outbound calls. {_OTHERWISE}",
        )  # fmt: skip
    if not facts.number_is_served:  # C3
        return Refusal(
            403, "Emergency Calling Not Available", "number_not_served",
            f"Numbers of this number's country have no access to emergency calling. {_OTHERWISE}",
        )  # fmt: skip
    return None


#: 933, while no pool has a number: there is nothing that it could read.
NO_NUMBER_TO_READ_BACK = Refusal(
    503, "No Callback Number", "pool_empty", "No callback number is free to be read back. Try again later."
)


# Where to -----------------------------------------------------------------------------------------------------------


def _location_step(where: Whereabouts | None) -> Step:
    if where is None:
        return Step("location", "none", "no usable place is known")
    named = f" {where.name}" if where.name else ""
    return Step("location", f"{where.source.value}{named} ({where.validation.value})", where.why)


def _destination(facts: Facts, where: Whereabouts | None, terms: _CountryTerms) -> tuple[Destination, str]:
    """Straight to a PSAP, or first to a screening centre, which asks where the caller is."""
    if facts.transfer_to is not None:
        return Destination.PSAP, "O6: a screening centre passes the call on"
    if terms.screening is Screening.NATIONAL:
        return Destination.SCREENING, f"O5, O8: every call from {facts.match.country} is screened nationally"
    if where is None:
        return Destination.SCREENING, "A8, C1: no usable location is known"
    if where.source is LocationSource.REGISTERED:
        return _by_registered_address(facts)
    if where.validation is Validation.VALIDATED:
        return Destination.PSAP, "L3, O3, O8: the location is validated"
    return Destination.SCREENING, f"L3: the location is {_UNPROVED[where.validation]}, so it is verified by voice"


_UNPROVED = {Validation.MANUAL: "entered by hand", Validation.NONE: "vouched for by nobody"}


def _by_registered_address(facts: Facts) -> tuple[Destination, str]:
    if facts.caller.subscriber is not None and facts.caller.subscriber.common_area:
        return Destination.PSAP, "O4: a common-area phone stands at its registered address"
    if facts.number is not None and facts.number.enhanced:
        return Destination.PSAP, "C2: the number is enhanced"
    return Destination.SCREENING, "C1, O4: the registered address is used to screen, the number is not enhanced"


def _ruled_number(facts: Facts) -> str:
    """The number whose routing rules count: of a test call those of the emergency call that it stands for (A7)."""
    if facts.match.kind is CallKind.EMERGENCY:
        return facts.match.sent
    return next(iter(PLANS[facts.match.country].emergency.values()), facts.match.sent)


def _path_reason(facts: Facts, path: Path) -> str:
    policy = facts.policy
    if path is Path.DIRECT_ROUTING and policy is not None:
        return f"D8, L2: usage {policy.usage} of policy {policy.name} (the {policy.whose}'s) has a rule"
    if policy is None:
        return "D8: no policy applies"
    if policy.usage is None:
        return f"D8: policy {policy.name} (the {policy.whose}'s) names no usage"
    return f"D8: usage {policy.usage} of policy {policy.name} (the {policy.whose}'s) has no rule for this number"


def _site_id(facts: Facts, where: Whereabouts | None) -> int | None:
    return where.site_id if where and where.site_id else (facts.site.id if facts.site else None)


# Who is told --------------------------------------------------------------------------------------------------------


def _security_desk(facts: Facts) -> str | None:
    """The site's where the caller is, else the tenant's."""
    tenant = facts.caller.tenant
    return (facts.site.security_desk if facts.site else None) or (tenant.security_desk if tenant else None)


def _desk_step(facts: Facts, terms: _CountryTerms, desk: str | None) -> Step:
    rule = f"O7: the rule for {facts.match.country}"
    if not terms.notify_desk:
        return Step("security desk", "not told", rule)
    return Step("security desk", f"told: {desk}" if desk else "none is provisioned for the caller", rule)
