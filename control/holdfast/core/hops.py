"""Which trunks a call tries, in which order, and the pools whose numbers their carriers bring back."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.core.model import LocationMethod, Network, Pool, PsapMethod, Trunk, TrunkGroup
from holdfast.core.numbers import EmergencyMatch
from holdfast.core.route_plan import Destination, Hop, Path, Step
from holdfast.core.whereabouts import Whereabouts

#: Pools are asked from the narrowest to the widest.
_ELIN, _SITE, _TENANT, _PLATFORM = range(4)


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Direct routing: calls of a usage to this number ("*": every one) leave over the customer's carrier."""

    emergency_number: str
    trunk_group_id: int
    position: int


def direct_routing(rules: Iterable[RoutingRule], sent: str, groups: Mapping[int, TrunkGroup]) -> tuple[TrunkGroup, ...]:
    """The customer's carriers that a usage's rules name for this number, the rules for it before those for all."""
    matching = [rule for rule in rules if rule.emergency_number in (sent, "*") and rule.trunk_group_id in groups]
    matching.sort(key=lambda rule: (rule.emergency_number == "*", rule.position))
    return tuple(dict.fromkeys(groups[rule.trunk_group_id] for rule in matching))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Everything a call could be sent over. `draw`: text that is another for every call, to share by weight."""

    network: Network
    tenant_id: int | None
    match: EmergencyMatch
    draw: str
    where: Whereabouts | None
    #: a screening centre's own group is asked last of all for a call that it passes on (O6)
    avoided_group_id: int | None = None
    #: whom it passes the call on to, if it says so
    called: str | None = None

    def hops(
        self, destination: Destination, routed: tuple[TrunkGroup, ...], owner_group_id: int | None
    ) -> tuple[Hop, ...]:
        """Every trunk there is: those of the path and destination decided, then the other destination's, then the
        other path's. Trunks that answer no OPTIONS come after all others, but none is left out.

        `routed`: the customer's carriers, if a rule names any; `owner_group_id`: the carrier that owns the number (O1).
        """
        network = self.network
        owner = [group for group in (network.groups.get(owner_group_id or 0),) if group]
        general = sorted(self._usable(None), key=lambda group: not group.country)
        own = self._usable(self.tenant_id) if self.tenant_id is not None else []
        offer = _ranked([owner, [group for group in general if group.country], general])
        customers = _ranked([[group] for group in (*routed, *own)])
        paths = [(Path.DIRECT_OFFER, offer), (Path.DIRECT_ROUTING, customers)]
        if routed:
            paths.reverse()
        towards = [destination, next(other for other in Destination if other is not destination)]
        found: dict[int, Hop] = {}
        for path, ranks in paths:
            for end in towards:
                for hop in self._hops(path, end, ranks):
                    found.setdefault(hop.trunk.id, hop)
        return tuple(sorted(
            found.values(), key=lambda hop: (hop.group.id == self.avoided_group_id, not hop.trunk.healthy)
        ))  # fmt: skip

    def _usable(self, tenant_id: int | None) -> list[TrunkGroup]:
        return [
            group for group in self.network.groups_of.get(tenant_id, ())
            if (group.emergency or group.screening) and not group.pbx and group.country in (None, self.match.country)
        ]  # fmt: skip

    def _hops(self, path: Path, destination: Destination, ranks: Mapping[int, int]) -> list[Hop]:
        groups = self.network.groups
        screening = destination is Destination.SCREENING
        trunks = [
            trunk for group_id in ranks if (groups[group_id].screening if screening else groups[group_id].emergency)
            for trunk in self.network.trunks_of.get(group_id, ())
        ]  # fmt: skip
        if len(trunks) > 1:
            trunks.sort(key=lambda trunk: (
                ranks[trunk.trunk_group_id], trunk.priority, trunk.address is None, self._lot(trunk), trunk.id
            ))  # fmt: skip
        return [
            Hop(
                trunk, group, path, destination, self._request_uri(trunk, group, destination),
                group.location_method if self.where else LocationMethod.NONE,
            )
            for trunk in trunks for group in (groups[trunk.trunk_group_id],)
        ]  # fmt: skip

    def _lot(self, trunk: Trunk) -> float:
        """Smaller is first; a trunk of weight 2 is first twice as often as one of weight 1 (an exponential race)."""
        text = f"{trunk.id}:{self.draw}".encode("utf-8", "replace")
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return -math.log((drawn + 1) / (2**64 + 1)) / trunk.weight

    def _request_uri(self, trunk: Trunk, group: TrunkGroup, destination: Destination) -> str:
        """Whom the trunk is asked for: the PSAP that was found, the group's own, else the emergency number itself."""
        found = None
        if destination is Destination.PSAP and group.psap_method is not PsapMethod.FIXED and self.where:
            found = self.where.psap_uris.get(group.id)
        called = self.called or found or group.psap_uri or self.match.sent
        if called.lower().startswith(("sip:", "sips:", "urn:")):
            return called
        return trunk.uri_of(called.removeprefix("tel:"))

    def pools(self, hops: tuple[Hop, ...], site_id: int | None) -> tuple[Pool, ...]:
        """The pools that the call's number may come from, in order: only of the trunks' carriers, who bring its
        callbacks back, the first trunk's before the next one's; of each the location's (ELIN, L7), the site's, the
        tenant's and the platform's in turn, the caller's country before others.
        """
        groups = {hop.group.id: (rank, hop) for rank, hop in reversed(list(enumerate(hops)))}
        location_id = self.where.location_id if self.where else None
        ranked: list[tuple[tuple[int, int, bool, int], Pool]] = []
        for pool in (pool for group_id in groups for pool in self.network.pools_of.get(group_id, ())):
            if pool.tenant_id not in (None, self.tenant_id):
                continue
            rank, hop = groups[pool.trunk_group_id]
            if pool.location_id is not None:
                if pool.location_id != location_id or hop.location_method is not LocationMethod.ELIN:
                    continue
                width = _ELIN
            elif pool.site_id is not None:
                if pool.site_id != site_id:
                    continue
                width = _SITE
            else:
                width = _PLATFORM if pool.tenant_id is None else _TENANT
            ranked.append(((rank, width, pool.country != self.match.country, pool.id), pool))
        return tuple(pool for _, pool in sorted(ranked, key=lambda one: one[0]))


def _ranked(groups: list[list[TrunkGroup]]) -> dict[int, int]:
    """Each group's rank: that of the first list it stands in."""
    ranks: dict[int, int] = {}
    for rank, some in enumerate(groups):
        for group in some:
            ranks.setdefault(group.id, rank)
    return ranks


_WIDTHS = ("the location's (ELIN)", "the site's", "the tenant's", "the platform's")


def steps(hops: tuple[Hop, ...], pools: tuple[Pool, ...]) -> list[Step]:
    """How the trunks and pools came to stand in their order, for people."""
    told = []
    for place, hop in enumerate(hops, start=1):
        asked = f"{hop.path.value} to the {hop.destination.value}, priority {hop.trunk.priority}"
        health = "" if hop.trunk.healthy else "; it does not answer OPTIONS, so it comes last"
        location = f"; location: {hop.location_method.value}"
        told.append(Step(f"trunk {place}", f"{hop.trunk.name} {hop.request_uri}", f"{asked}{location}{health}"))
    for place, pool in enumerate(pools, start=1):
        if pool.location_id is not None:
            width = _ELIN
        elif pool.site_id is not None:
            width = _SITE
        else:
            width = _PLATFORM if pool.tenant_id is None else _TENANT
        told.append(Step(f"callback number {place}", f"pool {pool.name}", f"{_WIDTHS[width]}, country {pool.country}"))
    if not pools:
        told.append(Step("callback number", "none", "no pool of these trunks' carriers is the caller's to use"))
    return told
