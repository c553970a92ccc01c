"""N7: what is dialled, as real INVITEs through Kamailio: the PSAP, the announcement or an ordinary call, as is right.

A sample of what tests/unit/test_every_short_string.py proves for every string. What is right is worked out by that
test's handwritten tables, here for a tenant whose dial plan and masks would capture what they can.
"""

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from acceptance.devices import device_of
from holdfast.core.dialling import DialRule
from lab.carriers import POLICY, SCREENING, Carriers
from lab.layout import ALICE, DEVICE_ADDRESS, TENANT
from lab.sip_messages import SipMessage
from lab.sipp import Sipp
from unit.test_core_numbers import EMERGENCY, READBACK
from unit.test_every_short_string import PREFIXES, numbers_of, turned_into

SCENARIO = (Path(__file__).parent / "dials.xml").read_text(encoding="utf-8")
IN_URI = "sip:[field0]@{{domain}}"
COUNTRIES = ("US", "CA", "GB", "DK")
RULES = (
    DialRule("911", 3, "+12025550177"),  # a pizza service
    DialRule("9", 1, ""),  # an outside line
    DialRule("1", 0, "9"),
    DialRule("2", 1, "99"),
    DialRule("33", 2, "11"),
    DialRule("99", 2, "91"),
    DialRule("0", 1, ""),
)
MASKS = {"0911": "911", "4911": "112", "55": "911", "123456": "999", "*11": "933"}
PER_S = 60


@dataclass(frozen=True)
class Dialled:
    """A string, the country that its caller's phone says, and what is right: the number that is meant, or None."""

    text: str
    country: str
    meant: str | None

    @property
    def outcome(self) -> "Outcome":
        if self.meant is None:
            return Outcome("ordinary", 407, "")
        if self.meant in READBACK[self.country]:
            return Outcome("readback", 200, "")
        return Outcome("emergency", 200, self.meant)


@dataclass(frozen=True)
class Outcome:
    """What became of a call: its kind, the final answer, and whom the carrier was asked for."""

    kind: str
    status: int
    asked_for: str


def near(number: str) -> set[str]:
    """A finger's slip away: a digit left out, one too many, another one."""
    places = range(len(number))
    return (
        {number[:i] + number[i + 1 :] for i in places}
        | {number[:i] + digit + number[i:] for i in range(len(number) + 1) for digit in string.digits}
        | {number[:i] + digit + number[i + 1 :] for i in places for digit in "0123456789*#"}
    ) - {""}


def dialled_in(country: str, *, hostile: bool) -> list[Dialled]:
    """Every form of the country's numbers, what is near them or behind a prefix, all that plan and masks make one."""
    numbers = numbers_of(country)
    others = {number for table in EMERGENCY.values() for number in table}
    masked = {one: numbers[meant] for one, meant in MASKS.items() if meant in numbers}
    # a plus is dialled first or not at all
    planned = {
        one: sent for one, sent in turned_into(numbers, RULES).items() if one not in MASKS and "+" not in one[1:]
    }
    right = {**planned, **masked, **numbers} if hostile else numbers
    short = [number for number in numbers if number.isdigit() and len(number) == 3]
    texts = {*numbers, *others, *planned, *MASKS, *(prefix + number for prefix in PREFIXES for number in short)}
    texts |= {text for number in short for text in near(number)}
    texts |= {f"0{text}" for text in numbers}
    return [Dialled(text, country, right.get(text)) for text in sorted(texts)]


class Caller:
    """A device that dials many strings, and what became of each."""

    def __init__(self, world: Carriers, port: int) -> None:
        self._system = world.system
        self._port = port
        self._screening = world.answers(SCREENING, calls=100_000, ring_ms="1")

    def wrong(self, dialled: list[Dialled], written: str = IN_URI) -> list[tuple[Dialled, Outcome]]:
        """Those that became anything but what is right. `written`: the Request-URI, where [field0] is the string."""
        values = {"from": f"<sip:{ALICE.aor}>"}
        device = self._system.device(SCENARIO.replace("{{uri}}", written), values, port=self._port)
        device.lines = [f"{quote(one.text, safe='+*:.')};{one.country};" for one in dialled]
        device.calls, device.rate_per_s, device.gives_up_after_s = len(dialled), PER_S, 90
        ended = device.run(within_s=90)
        assert ended.ok, ended.complaints[-2000:]
        invites = {m.call_id for m in _messages(device, "INVITE") if m.is_request}
        final = {m.call_id: m.status for m in _messages(device, "INVITE") if m.status >= 200}
        became = self._what_became_of(final)
        # SIPp counts its calls in the Call-ID
        in_order = sorted(invites, key=lambda call_id: int(call_id.partition("-")[0]))
        told = [became[call_id] for call_id in in_order]
        return [(one, what) for one, what in zip(dialled, told, strict=True) if what != one.outcome]

    def _what_became_of(self, final: Mapping[str, int]) -> dict[str, Outcome]:
        asked = {m.call_id: m.request_uri.partition("@")[0] for m in _messages(self._screening, "INVITE")
                 if m.is_request}  # fmt: skip
        rows = self._system.edge_rows("select payload from journal where kind = 'call_started'")
        kinds = {payload["call_id"]: payload["kind"] for payload in (json.loads(row["payload"]) for row in rows)}

        def what(call_id: str, status: int) -> Outcome:
            if call_id in kinds:
                return Outcome(kinds[call_id], status, asked.get(call_id, "").removeprefix("sip:"))
            return Outcome("ordinary", 407 if status == 404 else status, asked.get(call_id, ""))

        return {call_id: what(call_id, status) for call_id, status in final.items()}


def _messages(device: Sipp, method: str) -> list[SipMessage]:
    found = [logged.message for logged in device.messages()]
    return [message for message in found if message and message.method == method]


@pytest.mark.parametrize("country", COUNTRIES)
def test_n7_a_hostile_tenants_strings_go_where_they_should(
    world: Carriers, country: str, record_property: Callable[[str, object], None]
) -> None:
    run = world.system.holdfast.run
    for rule in RULES:
        run("dial-rule", "add", "--tenant", TENANT, "--prefix", rule.prefix, "--strip", str(rule.strip), "--prepend",
            rule.prepend)  # fmt: skip
    masks = [text for one in MASKS.items() for text in ("--mask", "=".join(one))]
    run("policy", "set", POLICY, "--tenant", TENANT, *masks)
    run("tenant", "set", TENANT, "--policy", POLICY, "--max-emergency-calls", "1000", "--max-test-calls", "1000")
    world.system.wait_synced()
    dialled = dialled_in(country, hostile=True)
    with device_of(world.system, ALICE) as alice:
        assert not Caller(world, alice.port).wrong(dialled)
    record_property("n7_invites", len(dialled))


def test_n7_a_strangers_strings_are_read_by_the_countrys_numbers_alone(
    world: Carriers, record_property: Callable[[str, object], None]
) -> None:
    dialled = dialled_in("US", hostile=False)
    assert not Caller(world, world.system.ports.one(DEVICE_ADDRESS)).wrong(dialled)
    record_property("n7_invites", len(dialled))


@pytest.mark.parametrize(
    "written",
    [
        "sip:[field0];phone-context=+1@{{domain}}",
        "sip:[field0]@{{domain}};user=phone",
        "sip:[field0]p1@{{domain}};user=dialstring",
        "tel:[field0]",
        "tel:[field0];phone-context=example.org",
        "SIP:[field0]@127.0.0.1",
    ],
)
def test_n7_the_same_number_in_every_form_of_uri(
    world: Carriers, written: str, record_property: Callable[[str, object], None]
) -> None:
    pause = "p1" in written
    meant = numbers_of("US")
    texts = ["911", "+911", "112", "9911", "933", "91", "9110", "0911"]
    dialled = [Dialled(text, "US", meant.get(f"{text}1" if pause else text)) for text in texts]
    assert not Caller(world, world.system.ports.one(DEVICE_ADDRESS)).wrong(dialled, written)
    record_property("n7_invites", len(dialled))


def test_n7_service_urns_as_request_uris(world: Carriers, record_property: Callable[[str, object], None]) -> None:
    """RFC 5031 §4.2, RFC 6881 ED-77: sos and its children alone, whatever their case."""
    meant = {"urn:service:sos": "911", "URN:Service:SOS.fire": "911", "urn:service:sos.ecall.manual": "911",
             "urn:service:test.sos": "933", "urn:service:test.sos.police": "933", "urn:service:sosx": None,
             "urn:service:counseling": None, "urn:service:test": None, "urn:emergency:sos": None}  # fmt: skip
    dialled = [Dialled(text, "US", number) for text, number in meant.items()]
    assert not Caller(world, world.system.ports.one(DEVICE_ADDRESS)).wrong(dialled, "[field0]")
    record_property("n7_invites", len(dialled))
