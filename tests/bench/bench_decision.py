"""What deciding a call costs: reading its facts from the edge store, and the plan, by kind of call.

    python tests/bench/bench_decision.py [--calls 2000]

The store is a large operator's: 100 000 users and their numbers, 1 000 tenants with policies, masks, rules and dial
plans, 10 000 locations, 5 000 network elements (four fifths of them one tenant's), 3 000 boundaries. Every call is
another user's. Exit status 1 if the median of any kind is 200 µs or more.
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from holdfast.core import callers
from holdfast.core.callers import Sender
from holdfast.core.model import Caller, Network
from holdfast.core.place import Place, Shape, ShapeKind
from holdfast.core.plan import plan
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.edge import clock, store
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import Incoming, asserted, facts_for, may_be_masked

USERS, TENANTS, LOCATIONS, ELEMENTS, BOUNDARIES = 100_000, 1_000, 10_000, 5_000, 3_000
#: Four fifths of the network elements are this tenant's.
LARGE = 7
MOST_US = 200.0
CIVIC = {"A1": "TX", "A3": "Austin", "RD": "Congress", "STS": "Avenue", "HNO": "1100", "PC": "78701", "FLR": "3"}

FILL = f"""
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS})
    insert into tenant (id, name, country, max_emergency_calls, security_desk, policy_id)
        select i, 'tenant-' || i, 'US', 10, 'desk@example.org', i from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS})
    insert into policy (id, tenant_id, name, usage, notification_uri, conference_uri, conference_mode)
        select i, i, 'staff', 'usage', 'sip:n@example.org', 'sip:c@example.org', 'oneway' from n;
    with recursive n(i) as (select 0 union all select i + 1 from n where i < {TENANTS * 5 - 1})
    insert into policy_mask (id, policy_id, dialled, sent)
        select i, 1 + i % {TENANTS}, '0' || (911 + i / {TENANTS}), '911' from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS * 4})
    insert into routing_rule (id, tenant_id, usage, emergency_number, trunk_group_id, position)
        select i, 1 + i % {TENANTS}, iif(i % 2, 'usage', 'other'), iif(i % 3, '911', '*'), 4, i from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS * 10})
    insert into dial_rule (id, tenant_id, prefix, strip, prepend)
        select i, 1 + i % {TENANTS}, 1 + i % 10, 1, iif(i % 3, '', '+1') from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS})
    insert into country_rule (id, tenant_id, country, served, notify_desk)
        select i, iif(i > 10, i, null), 'US', 1, 1 from n where i % 3 = 0 or i < 3;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {TENANTS * 3})
    insert into site (id, tenant_id, name) select i, 1 + i % {TENANTS}, 'site-' || i from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {LOCATIONS})
    insert into location (id, tenant_id, site_id, name, country, civic, latitude, longitude, validation)
        select i, 1 + i % {TENANTS}, 1 + i % {TENANTS * 3}, 'floor-' || i, 'US', '{json.dumps(CIVIC)}',
               30 + i / 10000.0, -97 - i / 10000.0, 'validated' from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {LOCATIONS})
    insert into location_psap (id, location_id, trunk_group_id, psap_uri, found_by)
        select i, i, 1, 'sip:psap@psap.example.org', 'lost' from n;
    insert into location_psap (location_id, trunk_group_id, psap_uri, found_by)
        select location_id, 3, 'sip:county@example.org', 'boundary' from location_psap;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {ELEMENTS})
    insert into network_element (id, tenant_id, kind, element_key, location_id)
        select i, iif(i % 5, {LARGE}, 1 + i % {TENANTS}), iif(i % 2, 'subnet', 'bssid'),
               iif(i % 2, '10.' || (i / 250) || '.' || (i % 250) || '.0/' || (24 + i % 3),
                   printf('00-11-22-33-%02x-%02x', i / 256, i % 256)), i from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {USERS})
    insert into platform_number (number, tenant_id, outbound_enabled, trunk_group_id, location_id, enhanced)
        select '+1202' || (5000000 + i), 1 + i % {TENANTS}, 1, iif(i % 5, null, 3), 1 + i % {LOCATIONS}, i % 2 from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < {USERS})
    insert into subscriber (id, tenant_id, username, realm, ha1, display_name, number, outbound_enabled,
                            inbound_enabled, do_not_disturb, site_id, policy_id, confirmed_location_id)
        select i, 1 + i % {TENANTS}, 'user-' || i, 'example.org', '0', 'User ' || i, '+1202' || (5000000 + i), 1, 1, 0,
               1 + i % {TENANTS * 3}, iif(i % 4, null, 1 + i % {TENANTS}), iif(i % 7, null, 1 + i % {LOCATIONS}) from n;
    insert into trunk_group (id, name, emergency, ordinary, screening, tenant_id, pbx, location_method, psap_method)
        values (1, 'psap', 1, 0, 0, null, 0, 'value', 'lost'), (2, 'screening', 0, 0, 1, null, 0, 'value', 'fixed'),
               (3, 'carrier', 1, 1, 1, null, 0, 'reference', 'boundary'),
               (4, 'customer', 1, 0, 0, {LARGE}, 0, 'elin', 'fixed');
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)
    insert into trunk_group (id, name, emergency, ordinary, pbx, tenant_id)
        select 10 + i, 'group-' || i, i % 2, 0, 1 - i % 2, i from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 210)
    insert into trunk (id, trunk_group_id, name, host, port, transport, priority, weight, source_addresses, enabled)
        select i, id, 'trunk-' || i, '198.51.' || (i / 200) || '.' || (i % 200), 5060, 'udp', 1, 1, '[]', 1
        from n join trunk_group g on g.id = i or (i in (5, 6, 7, 8, 9) and g.id = i - 4);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 210)
    insert into pool (id, name, trunk_group_id, country, tenant_id, window_s, rest_s, target_idle)
        select i, 'pool-' || i, iif(i < 5, i, 10 + i % 200), 'US', iif(i < 5, null, i), 3600, 600, 10 from n;
    update store set node_id = 1, caught_up = 1, revision = 1;
"""


@dataclass
class Operator:
    """The store, what is kept in memory of it, and callers of every kind."""

    store: EdgeStore
    network: Network
    chance: random.Random

    def user(self) -> Caller:
        subscriber = self.store.subscriber(f"user-{self.chance.randint(1, USERS)}", "example.org")
        assert subscriber
        sender = Sender("call-1", "", "sip:192.0.2.7:5060", "sip:192.0.2.7:5060")
        return callers.user(sender, subscriber, self.store.tenant(subscriber.tenant_id))

    def behind_pbx(self) -> Caller:
        trunk = next(trunk for trunk in self.network.trunks if self.network.groups[trunk.trunk_group_id].pbx)
        group = self.network.groups[trunk.trunk_group_id]
        tenant = self.store.tenant(group.tenant_id or 0)
        number = f"+1202{5000000 + (group.tenant_id or 0) - 1 + TENANTS * self.chance.randint(0, 99)}"
        sender = Sender("call-1", "", "sip:192.0.2.7:5060", "sip:192.0.2.7:5060")
        return callers.on_trunk(sender, trunk, group, tenant, asserted(self.store, number, tenant))

    def stranger(self) -> Caller:
        return callers.unknown(Sender("call-1", "", "sip:x@192.0.2.7", "sip:192.0.2.7:5060"), "udp:192.0.2.7:5060")

    def decide(self, incoming: Incoming) -> RoutePlan | Refusal | None:
        """The live call's functions, as kemi.emergency calls them."""
        facts = facts_for(self.store, incoming, self.network, lambda _address: None)
        return plan(facts) if facts else None


def element_of(operator: Operator, kind: str) -> tuple[Caller, str]:
    """A user of the tenant whose network element it is, and its key."""
    wanted = 2 * operator.chance.randint(1, ELEMENTS // 2 - 1) + (kind == "subnet")
    [element] = operator.store.rows("select * from network_element where id = ?", (wanted,))
    subscriber = operator.store.subscriber_by_id(element["tenant_id"] - 1 + TENANTS * operator.chance.randint(1, 99))
    assert subscriber
    sender = Sender("call-1", "", "sip:192.0.2.7:5060", "sip:192.0.2.7:5060")
    caller = callers.user(sender, subscriber, operator.store.tenant(subscriber.tenant_id))
    assert caller.tenant
    assert caller.tenant.id == element["tenant_id"]
    return caller, element["element_key"]


def incoming(caller: Caller, dialled: str = "911", **said: object) -> Incoming:
    return Incoming(**{"dialled": dialled, "call_id": "call-1", "caller": caller, "address": "192.0.2.7",
                       "default_country": "US", **said})  # type: ignore[arg-type]  # fmt: skip


def on_a_subnet(operator: Operator) -> Incoming:
    caller, key = element_of(operator, "subnet")
    return incoming(caller, address=key.partition("/")[0].rpartition(".")[0] + ".9")


def at_an_access_point(operator: Operator) -> Incoming:
    caller, key = element_of(operator, "bssid")
    return incoming(caller, attachments=(("bssid", key), ("switch_port", "s/1"), ("switch", "s")), address="10.9.8.7")


MEASURED = Place((), Shape(ShapeKind.POINT, ((30.25, -97.2),)), method="GPS")
KINDS: dict[str, Callable[[Operator], Incoming]] = {
    "a user": lambda operator: incoming(operator.user()),
    "a user on a subnet": on_a_subnet,
    "a user at an access point": at_an_access_point,
    "a user whose phone says where": lambda operator: incoming(operator.user(), places=(MEASURED,)),
    "a user, by a mask": lambda operator: incoming(operator.user(), "0911"),
    "a user's test call": lambda operator: incoming(operator.user(), "933"),
    "a user in a country not served": lambda operator: incoming(operator.user(), "112", signalled_country="DE"),
    "somebody behind a PBX": lambda operator: incoming(operator.behind_pbx()),
    "a stranger": lambda operator: incoming(operator.stranger()),
}


def counties() -> Iterator[tuple[object, ...]]:
    """Boundaries side by side, each a ring of 60 corners, as large as a county of the United States."""
    for number in range(BOUNDARIES):
        south, west = 25 + number // 60 * 0.5, -120 + number % 60 * 0.8
        ring = [
            [south + 0.25 + 0.25 * math.sin(turn * math.tau / 60), west + 0.4 + 0.4 * math.cos(turn * math.tau / 60)]
            for turn in range(60)
        ]
        yield (3, f"county-{number}", "sip:county@example.org", json.dumps([[[*ring, ring[0]]]]),
               south, south + 0.5, west, west + 0.8)  # fmt: skip


def provision(folder: Path) -> Path:
    path = folder / "edge.db"
    with closing(store.connect(path)) as connection:
        connection.execute("begin")
        connection.executescript(FILL)
        connection.execute("begin")
        connection.executemany(
            """insert into boundary (trunk_group_id, name, psap_uri, polygons, min_latitude, max_latitude,
                                     min_longitude, max_longitude) values (?, ?, ?, ?, ?, ?, ?, ?)""",
            counties(),
        )
        connection.execute("commit")
        connection.execute("analyze")
    return path


def microseconds(work: Callable[[], object]) -> float:
    before = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - before) / 1000


def measure(operator: Operator, kind: str, calls: int) -> list[float]:
    found = []
    for _ in range(calls):
        call = KINDS[kind](operator)
        found.append(microseconds(lambda: operator.decide(call)))  # noqa: B023  called at once
    return found


def show(what: str, times: list[float]) -> None:
    print(f"{what:32} {statistics.median(times):8.0f} {sorted(times)[int(len(times) * 0.99)]:8.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = provision(Path(folder))
        with closing(store.connect(path, create=False)) as connection:
            edge = EdgeStore(connection)
            operator = Operator(edge, edge.network(clock.now()), random.Random(1))
            print(f"{'µs':32} {'median':>8} {'p99':>8}   ({path.stat().st_size / 1e6:.0f} MB, {calls} calls each)")
            medians = []
            for kind in KINDS:
                times = measure(operator, kind, calls)
                medians.append(statistics.median(times))
                show(kind, times)
            numbers = [f"+1303{operator.chance.randint(2000000, 9999999)}" for _ in range(calls)]
            show("an ordinary number: the sieve", [microseconds(lambda: may_be_masked(edge, n)) for n in numbers])  # noqa: B023
            show("reading the network anew", [microseconds(lambda: edge.network(clock.now())) for _ in range(100)])
    return int(max(medians) >= MOST_US)


if __name__ == "__main__":
    sys.exit(main())
