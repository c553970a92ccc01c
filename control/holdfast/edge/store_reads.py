"""What was provisioned, as the edge store holds it: each look is one short query, made while a call waits."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from holdfast.core.headers import is_address
from holdfast.core.health import counts_as_down
from holdfast.core.lease import Moment
from holdfast.core.model import (
    LocationMethod,
    Network,
    PlatformNumber,
    Pool,
    PsapMethod,
    Subscriber,
    Tenant,
    Trunk,
    TrunkGroup,
)
from holdfast.errors import EdgeStoreUnavailable


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Which file this is and how much of the provisioning it holds."""

    store_id: str
    node_id: int | None
    revision: int
    caught_up: bool
    shipped_seq: int
    network_version: int


class ProvisionedStore:
    """The provisioning copy of one open store. Raises EdgeStoreUnavailable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise EdgeStoreUnavailable(f"edge store: {error}") from error

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Several looks at one state of the store: all of them see the same revision, and the file is locked once."""
        if self._db.in_transaction:
            yield
            return
        self.rows("begin")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self._db.execute("commit")

    def info(self) -> StoreInfo:
        row = self.rows("select store_id, node_id, revision, caught_up, shipped_seq, network_version from store")[0]
        return StoreInfo(row[0], row[1], row[2], bool(row[3]), row[4], row[5])

    def written_elsewhere(self) -> int:
        """A number that changes whenever another process has written to the store; cheaper than any look."""
        return int(self.rows("pragma data_version")[0][0])

    def subscriber(self, username: str, realm: str) -> Subscriber | None:
        return _one(self.rows("select * from subscriber where username = ? and realm = ?", (username, realm)))

    def subscriber_by_number(self, number: str) -> Subscriber | None:
        return _one(self.rows("select * from subscriber where number = ?", (number,)))

    def tenant(self, tenant_id: int) -> Tenant | None:
        rows = self.rows("select * from tenant where id = ?", (tenant_id,))
        return Tenant(**_with_flags(rows[0], "country_required")) if rows else None

    def owns_outbound_number(self, tenant_id: int) -> bool:
        """A5: whether the tenant has at least one platform number enabled for outbound calls."""
        query = "select 1 from platform_number where tenant_id = ? and outbound_enabled = 1 limit 1"
        return bool(self.rows(query, (tenant_id,)))

    def pools(self) -> tuple[Pool, ...]:
        return tuple(Pool(**dict(row)) for row in self.rows("select * from pool order by id"))

    def network(self, now: Moment) -> Network:
        """Trunk groups, enabled trunks by priority (last those whose host name was never resolved), and pools."""
        trunks = self.rows(
            """select t.id, t.trunk_group_id, t.name, t.host, t.port, t.transport, t.priority, t.weight,
                      t.source_addresses, t.certificate_name, g.emergency, g.ordinary, a.address,
                      h.state as health, h.checked_at
               from trunk t join trunk_group g on g.id = t.trunk_group_id
                            left join trunk_address a on a.host = t.host
                            left join trunk_health h on h.trunk_id = t.id and h.port = t.port
                                 and h.address = ifnull(a.address, t.host) and h.transport = t.transport
               where t.enabled = 1 order by t.priority, t.weight desc, t.id"""
        )
        groups = (_group(row) for row in self.rows("select * from trunk_group order by id"))
        return Network(
            {group.id: group for group in groups},
            tuple(sorted((_trunk(row, now) for row in trunks), key=lambda trunk: trunk.address is None)),
            self.pools(),
            bool(self.rows("select 1 from network_element limit 1")),
            tuple(
                row[0]
                for row in self.rows(
                    """select distinct cast(substr(element_key, instr(element_key, '/') + 1) as integer)
                       from network_element where kind = 'subnet'"""
                )
            ),
            self.rows("select ifnull(max(max_latitude - min_latitude), 0.0) from boundary")[0][0],
        )

    def platform_number(self, number: str) -> PlatformNumber | None:
        rows = self.rows(
            """select number, tenant_id, outbound_enabled, trunk_group_id, location_id, enhanced
               from platform_number where number = ?""",
            (number,),
        )
        return PlatformNumber(**_with_flags(rows[0], "outbound_enabled", "enhanced")) if rows else None

    def pbx_of(self, tenant_id: int) -> Subscriber | None:
        """A PBX of this tenant's that registers."""
        return _one(self.rows("select * from subscriber where tenant_id = ? and pbx = 1 order by id", (tenant_id,)))

    def subscriber_by_id(self, subscriber_id: int) -> Subscriber | None:
        return _one(self.rows("select * from subscriber where id = ?", (subscriber_id,)))

    def is_pool_number(self, number: str) -> bool:
        return bool(self.rows("select 1 from pool_number where number = ?", (number,)))


def _one(rows: list[sqlite3.Row]) -> Subscriber | None:
    if not rows:
        return None
    flags = ("outbound_enabled", "inbound_enabled", "do_not_disturb", "common_area", "pbx")
    return Subscriber(**_with_flags(rows[0], *flags))


def _with_flags(row: sqlite3.Row, *flags: str) -> dict[str, Any]:
    """A row's columns, these of them as True or False."""
    return {**dict(row), **{flag: bool(row[flag]) for flag in flags}}


def _group(row: sqlite3.Row) -> TrunkGroup:
    values = _with_flags(row, "emergency", "ordinary", "screening", "pbx")
    del values["lost_url"]  # asked ahead of time, by others
    return TrunkGroup(
        **{
            **values,
            "location_method": LocationMethod(values["location_method"]),
            "psap_method": PsapMethod(values["psap_method"]),
            "final_codes": tuple(json.loads(values["final_codes"])),
            "location_refused_codes": tuple(json.loads(values["location_refused_codes"])),
        }
    )


def _trunk(row: sqlite3.Row, now: Moment) -> Trunk:
    values = _with_flags(row, "emergency", "ordinary")
    health, checked_at = values.pop("health"), values.pop("checked_at")
    return Trunk(
        **{
            **values,
            "source_addresses": tuple(json.loads(values["source_addresses"])),
            "address": values["address"] or (values["host"] if is_address(values["host"]) else None),
            "healthy": not counts_as_down(health, checked_at, now.wall_s),
        }
    )
