"""More carriers for a lab: a screening centre, the customer's own carrier, the carrier that owns a number, a PBX.

Each is a trunk at a loopback address of its own, where a test lets a SIPp or a phone answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from lab.layout import TENANT, TrunkPlace, User
from lab.sip_peer import SipPeer
from lab.sipp import Sipp
from lab.system import System

SCREENING, CUSTOMER, CARRIER, PBX, OUTSIDE = "screening", "customer", "carrier", "pbx", "outside"
_ADDRESSES = {
    SCREENING: "127.0.0.22", CUSTOMER: "127.0.0.23", CARRIER: "127.0.0.24", PBX: "127.0.0.25", OUTSIDE: "127.0.0.26",
}  # fmt: skip
_GROUPS = {
    SCREENING: ("--screening",),
    CUSTOMER: ("--emergency", "--tenant", TENANT),
    CARRIER: ("--emergency", "--screening", "--country", "GB"),  # for whoever's number it owns; others' calls never
    PBX: ("--pbx", "--tenant", TENANT),
    OUTSIDE: ("--ordinary",),
}
#: The callback numbers that the customer's carrier brings back.
CUSTOMER_POOL = "customer-pool"
CUSTOMER_NUMBERS = ("+12025550160", "+12025550161")
#: Somebody behind the PBX, who is no user here.
BEHIND_PBX = "+12025550103"
#: Another tenant, with a number and a user who has it.
ELSEWHERE = "Globex"
CAROL = User("carol", "Carol Poe", "+12025550105", "correct-horse-carol", "127.0.0.14")
USAGE = "emergency"
POLICY = "staff"
#: 1100 Congress Avenue, Austin: the seat of the Texas Legislature.
AUSTIN = ("A1=TX", "A3=Austin", "RD=Congress", "STS=Avenue", "HNO=1100", "PC=78701")


_AS_PROVISIONED = (
    "delete from network_element",
    "delete from routing_rule",
    "delete from country_rule",
    "delete from dial_rule",
    "delete from policy_mask",
    "delete from trunk where name in ('pbx-2', 'pbx-tls', 'screening-tls')",
    "update subscriber set number = '+12025550101' where username = 'alice' and number <> '+12025550101'",
    "delete from platform_number where number not like '+120255501%'",
    """update platform_number set enhanced = false, location_id = null, trunk_group_id = null, outbound_enabled = true
       where enhanced or location_id is not null or trunk_group_id is not null or not outbound_enabled""",
    """update subscriber set confirmed_location_id = null, policy_id = null, country = null, common_area = false,
              pbx = false where num_nonnulls(confirmed_location_id, policy_id, country) > 0 or common_area or pbx""",
    """update trunk_group set location_method = default, psap_method = default, psap_uri = null,
              final_codes = default, answers_within_ms = default, rings_within_ms = default,
              location_refused_codes = default, location_id_header = default""",
    "update trunk_group set country = null where country = 'US'",
    "update trunk_group set screening = false where screening and name = 'customer'",
    """update trunk set enabled = true, weight = 1, priority = case name when 'psap-2' then 2 else 1 end
       where not enabled or weight <> 1 or priority <> case name when 'psap-2' then 2 else 1 end""",
    """update tenant set policy_id = null, country_required = false, max_emergency_calls = default,
              max_test_calls = default, security_desk = null""",
)


@dataclass(frozen=True)
class Carriers:
    """The lab's system with all of them, provisioned by the command line as an operator would."""

    system: System
    places: Mapping[str, TrunkPlace]

    @classmethod
    def provision(cls, system: System) -> "Carriers":
        places = {name: TrunkPlace(name, address, system.ports.block(2)[0]) for name, address in _ADDRESSES.items()}
        run = system.holdfast.run
        for name, options in _GROUPS.items():
            run("trunk-group", "create", name, *options)
            place = places[name]
            where = ("--host", place.address, "--port", str(place.port), "--source", place.address)
            run("trunk", "create", name, "--group", name, *where)
        pool = ("--trunk-group", CUSTOMER, "--country", "US", "--tenant", TENANT)
        run("pool", "create", CUSTOMER_POOL, *pool, "--target-idle", str(len(CUSTOMER_NUMBERS)))
        run("pool", "add-numbers", CUSTOMER_POOL, *CUSTOMER_NUMBERS)
        run("number", "add", BEHIND_PBX, "--tenant", TENANT)
        run("tenant", "create", ELSEWHERE, "--country", "US")
        run("number", "add", CAROL.number, "--tenant", ELSEWHERE)
        named = ("--display-name", CAROL.display_name, "--number", CAROL.number)
        run("user", "create", CAROL.name, "--tenant", ELSEWHERE, *named, stdin=f"{CAROL.password}\n")
        run("policy", "create", POLICY, "--tenant", TENANT, "--usage", USAGE)
        run("location", "create", "austin", "--tenant", TENANT, "--country", "US", *_civic(), "--validation",
            "validated", "--latitude", "30.2747", "--longitude", "-97.7404", "--provider-id", "loc-4711")  # fmt: skip
        run("location", "create", "typed", "--tenant", TENANT, "--country", "US", *_civic(), "--validation", "manual")
        system.wait_synced()
        return cls(system, places)

    def reset(self) -> None:
        """Everybody and everything as it was provisioned: at once, where a dozen commands would take seconds."""
        with psycopg.connect(self.system.postgres.dsn(dbname="holdfast"), options="-c search_path=holdfast") as plane:
            for statement in _AS_PROVISIONED:
                plane.execute(statement)
        self.system.wait_synced()

    def answers(self, name: str, scenario: str = "uas_answers", *, calls: int = 1, **values: str) -> Sipp:
        """Let a SIPp take so many calls in this trunk's place."""
        place = self.places[name]
        device = self.system.waiting_device(scenario, values, address=place.address, port=place.port)
        device.calls = calls
        return device.start()

    def peer(self, name: str) -> SipPeer:
        """A SIP element of the test's own in this trunk's place."""
        place = self.places[name]
        return self.system.peer(place.address, place.port)

    def provisioned(self, *command: str) -> None:
        """Run one command of the operator's and wait until the node knows."""
        self.system.holdfast.run(*command)
        self.system.wait_synced()


def _civic() -> list[str]:
    return [text for element in AUSTIN for text in ("--civic", element)]
