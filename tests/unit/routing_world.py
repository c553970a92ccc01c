"""A small world in an edge store for tests of what decides a call: one tenant, one user, four carriers.

Everything is provisioned as rows, and decided by the functions that decide live calls.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast.core import callers, numbers
from holdfast.core.callers import Sender
from holdfast.core.model import Caller, Network
from holdfast.core.place import Place
from holdfast.core.plan import plan
from holdfast.core.route_plan import Refusal, RoutePlan
from holdfast.edge import store_file
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import Incoming, facts_for
from unit.edge_rows import NODE_ID, Clocks, row

TENANT_ID = 1
USER_ID = 1
NUMBER = "+12025550101"
OFFER_PSAP, OFFER_SCREENING, CUSTOMER, CARRIER = 1, 2, 3, 4
GROUPS = {OFFER_PSAP: "offer-psap", OFFER_SCREENING: "offer-screening", CUSTOMER: "customer", CARRIER: "carrier"}
ADDRESS = "192.0.2.77"
CIVIC = {
    "US": {"A1": "TX", "A3": "Austin", "RD": "Congress", "STS": "Avenue", "HNO": "1100", "PC": "78701"},
    "CA": {"A1": "ON", "A3": "Ottawa", "RD": "Wellington", "STS": "Street", "HNO": "111", "PC": "K1A 0A9"},
    "DK": {"A3": "Aarhus", "RD": "Vestergade", "HNO": "1", "PC": "8000"},
}


class World:
    """The store of one node. Change rows with `row` and `set`, then decide calls."""

    def __init__(self, folder: Path) -> None:
        with closing(store_file.connect(folder / "world.db")) as connection:
            connection.execute("pragma journal_mode = delete")
            empty = connection.serialize()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.deserialize(empty)
        self.store = EdgeStore(self.db)
        self.clocks = Clocks()
        self.countries_of_addresses: dict[str, str] = {}
        row(self.db, "tenant", id=TENANT_ID, name="Acme", country="US", max_emergency_calls=10)
        row(self.db, "platform_number", number=NUMBER, tenant_id=TENANT_ID, outbound_enabled=1)
        row(self.db, "subscriber", id=USER_ID, tenant_id=TENANT_ID, username="alice", realm="example.org",
            ha1="0" * 32, display_name="Alice", number=NUMBER, outbound_enabled=1, inbound_enabled=1,
            do_not_disturb=0)  # fmt: skip
        self.group(OFFER_PSAP, emergency=1)
        self.group(OFFER_SCREENING, emergency=0, screening=1)
        self.group(CUSTOMER, emergency=1, tenant_id=TENANT_ID)
        self.db.execute("update store set node_id = ?, caught_up = 1", (NODE_ID,))

    def group(self, group_id: int, **columns: Any) -> None:
        """A trunk group with one trunk and one pool."""
        name = GROUPS.get(group_id, f"group-{group_id}")
        row(self.db, "trunk_group", id=group_id, name=name, ordinary=0, **columns)
        row(self.db, "trunk", id=group_id, trunk_group_id=group_id, name=name, host=f"198.51.100.{group_id}", port=5060,
            transport="udp", priority=1, weight=1, source_addresses="[]", enabled=1)  # fmt: skip
        row(self.db, "pool", id=group_id, name=f"pool-{group_id}", trunk_group_id=group_id, country="US",
            window_s=3600, rest_s=600, target_idle=1)  # fmt: skip

    def location(self, location_id: int, country: str = "US", validation: str = "validated", **columns: Any) -> int:
        usual = {"name": f"location-{location_id}", "civic": json.dumps(CIVIC.get(country, CIVIC["DK"]))}
        row(self.db, "location", id=location_id, tenant_id=TENANT_ID, country=country, validation=validation,
            **{**usual, **columns})  # fmt: skip
        return location_id

    def element(self, kind: str, key: str, location_id: int, *, tenant_id: int = TENANT_ID) -> None:
        row(self.db, "network_element", tenant_id=tenant_id, kind=kind, element_key=key, location_id=location_id)

    def set(self, table: str, **columns: Any) -> None:
        """Change every row of a table."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"update {table} set {names}", tuple(columns.values()))

    @property
    def network(self) -> Network:
        return self.store.network(self.clocks.now())

    def alice(self) -> Caller:
        subscriber = self.store.subscriber("alice", "example.org")
        assert subscriber is not None
        where = f"sip:{ADDRESS}:5060"
        return callers.user(Sender("call-1", "", where, where), subscriber, self.store.tenant(TENANT_ID))

    def decide(
        self, dialled: str = "911", caller: Caller | None = None, places: tuple[Place, ...] = (), **said: Any
    ) -> RoutePlan | Refusal | None:
        """What becomes of alice's (or another caller's) call; None: it is an ordinary one."""
        incoming = Incoming(
            dialled=numbers.dialled_from_uri(f"sip:{dialled}@example.org"),
            caller=caller or self.alice(),
            places=places,
            **{"call_id": "call-1", "address": ADDRESS, **said},
        )
        facts = facts_for(self.store, incoming, self.network, self.countries_of_addresses.get)
        return plan(facts) if facts else None

    def planned(self, dialled: str = "911", **said: Any) -> RoutePlan:
        decision = self.decide(dialled, **said)
        assert isinstance(decision, RoutePlan), decision
        return decision
