"""Leases as the edge store holds them, and which number a caller would get: reads, of which lending is made."""

import json
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from holdfast.core import lease as rules
from holdfast.core.lease import Lease, LeaseState, Moment
from holdfast.core.model import Caller, Pool
from holdfast.edge.store_reads import ProvisionedStore


class LoanKind(StrEnum):
    """How a caller comes to a number, from the best to the worst."""

    HELD = "held"  # they have it already
    IDLE = "idle"
    RESTING = "resting"  # its last holder's window is over, the rest after it is not
    SHARED = "shared"  # others have it, too (N3)


@dataclass(frozen=True, slots=True)
class Loan:
    """A callback number for a caller. `lease`: by which they have it already."""

    number: str
    pool: Pool
    kind: LoanKind
    lease: Lease | None = None


class LeasedStore(ProvisionedStore):
    """What is lent, and what could be. Raises EdgeStoreUnavailable."""

    def leases(self, now: Moment) -> tuple[Lease, ...]:
        return self._leases("true", (), now)

    def leases_on(self, number: str, now: Moment) -> tuple[Lease, ...]:
        """Who holds this number, live or resting: one lease, or several on a shared number."""
        found = self._leases("l.number = ?", (number,), now)
        return tuple(lease for lease in found if rules.state(lease, now) is not LeaseState.OVER)

    def numbers_held_by(self, caller_key: str, now: Moment) -> tuple[str, ...]:
        """The callback numbers that this caller's live leases are on."""
        held = self._leases("l.caller_key = ?", (caller_key,), now)
        return tuple(lease.number for lease in held if rules.state(lease, now) is LeaseState.LIVE)

    def _leases(self, condition: str, parameters: tuple[object, ...], now: Moment) -> tuple[Lease, ...]:
        # A call whose end nobody saw counts as in progress for MAX_CALL_S (see core.lease) by both clocks: a wall clock
        # that is set forward ends no call. The lease was last marked when its call began, or not long before.
        rows = self.rows(
            f"""select l.*, (select count(*) from emergency_call c
                             where c.lease_id = l.id
                               and (c.started_at > ? or (l.boot_id = ? and l.boottime_s > ?))) as calls
                from lease l where {condition}""",  # noqa: S608  conditions are this module's own constants
            (now.wall_s - rules.MAX_CALL_S, now.boot_id, now.boottime_s - rules.MAX_CALL_S, *parameters),
        )
        return tuple(Lease(**{**dict(row), "shared": bool(row["shared"])}) for row in rows)

    def loan(self, caller: Caller, pools: tuple[Pool, ...], now: Moment) -> Loan | None:
        """A number of the caller's location, even a shared one, before any other: it alone says where they are (L7).

        Nothing is written: it is what `begin_call` would lend at this moment.
        """
        elins = tuple(takewhile(lambda pool: pool.location_id is not None, pools))
        own = self._loan_from(elins, caller, now) if elins else None
        return own or self._loan_from(pools[len(elins) :], caller, now)

    def _loan_from(self, pools: tuple[Pool, ...], caller: Caller, now: Moment) -> Loan | None:
        """Pool by pool the caller's own number, else the one idle for longest; then a resting, then a shared one."""
        info = self.info()
        # before it is caught up, an earlier store's leases may still be on their way down
        node_id = info.node_id if info.caught_up else None
        for pool in pools:
            held = self._held(caller, pool, now)
            if held is not None:
                return Loan(held.number, pool, LoanKind.HELD, held)
            number = self._idle_number(pool, node_id, now) if node_id is not None else None
            if number is not None:
                return Loan(number, pool, LoanKind.IDLE)
        if node_id is None:
            return None
        for kind, find in ((LoanKind.RESTING, self._resting_number), (LoanKind.SHARED, self._shared_number)):
            for pool in pools:
                number = find(pool, node_id, now)
                if number is not None:
                    return Loan(number, pool, kind)
        return None

    def _held(self, caller: Caller, pool: Pool, now: Moment) -> Lease | None:
        """Same caller and pool: same number, while it is live or rests, and while calls to it still come here."""
        ours = """l.caller_key = ? and l.pool_id = ? and l.number in (select number from pool_number where shared = 1
                  or owner_node_id = (select node_id from store))"""
        held = self._leases(ours, (caller.caller_key, pool.id), now)
        return held[0] if held and rules.state(held[0], now) is not LeaseState.OVER else None

    def _idle_number(self, pool: Pool, node_id: int, now: Moment) -> str | None:
        rows = self.rows(
            """select s.number from number_state s cross join pool_number p on p.number = s.number
               where p.pool_id = ? and p.owner_node_id = ? and p.shared = 0 and s.rested_until <= ?
                 and not exists (select 1 from lease l where l.number = s.number)
               order by s.rested_since limit 1""",
            (pool.id, node_id, now.wall_s),
        )
        if rows:
            return str(rows[0][0])
        # The agent erases leases that are over; when it is gone, their numbers are idle all the same.
        over = self._lapsing(pool, node_id, now)
        return over.number if over and rules.state(over, now) is LeaseState.OVER else None

    def _resting_number(self, pool: Pool, node_id: int, now: Moment) -> str | None:
        lease = self._lapsing(pool, node_id, now)
        return lease.number if lease and rules.state(lease, now) is LeaseState.RESTING else None

    def _lapsing(self, pool: Pool, node_id: int, now: Moment) -> Lease | None:
        """The lease of this pool that is nearest its end (or furthest past it), live ones left aside."""
        # SQLite looks through a pool of thousands for the few that are furthest on; core.lease decides about these.
        rows = self.rows(
            """select l.id from lease l join pool_number p on p.number = l.number
               where l.shared = 0 and p.pool_id = ?1 and p.owner_node_id = ?2 and p.shared = 0
                 and ?3 - l.marked_at >= l.window_s
                 and not exists (select 1 from emergency_call c where c.lease_id = l.id and c.started_at > ?4)
               order by min(?3 - l.marked_at, iif(l.boot_id = ?5, ?6 - l.boottime_s, ?3 - l.marked_at))
                        - l.window_s - l.rest_s desc limit 20""",
            (pool.id, node_id, now.wall_s, now.wall_s - rules.MAX_CALL_S, now.boot_id, now.boottime_s),
        )
        furthest = self._leases(
            "l.id in (select value from json_each(?))", (json.dumps([row[0] for row in rows]),), now
        )
        leases = [lease for lease in furthest if rules.state(lease, now) is not LeaseState.LIVE]
        return max(leases, key=lambda lease: rules.age_s(lease, now) - lease.window_s - lease.rest_s, default=None)

    def _shared_number(self, pool: Pool, _node_id: int, _now: Moment) -> str | None:
        """The shared number that the fewest callers hold."""
        rows = self.rows(
            """select p.number from pool_number p left join lease l on l.number = p.number
               where p.pool_id = ? and p.shared = 1 group by p.number order by count(l.id), p.number limit 1""",
            (pool.id,),
        )
        return str(rows[0][0]) if rows else None
