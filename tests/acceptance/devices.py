"""A user's SIPp device, and what the node says of its calls: the answer, the journal, the metrics."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.layout import DEVICE_ADDRESS, User
from lab.net import http_get
from lab.sip_messages import SipMessage
from lab.sipp import Credentials, Outcome, Sipp
from lab.system import System

_COUNTER = re.compile(r"^holdfast_edge_(\w+?)(?:\{([^}]*)\})? (\d+)", re.MULTILINE)
_LABEL = re.compile(r'="([^"]*)"')


@dataclass(frozen=True)
class Device:
    """A registered device: what comes from its address and port comes from its user."""

    system: System
    user: User
    address: str
    port: int

    def sipp(self, scenario: str, number: str, **values: str) -> Sipp:
        said = {"number": number, "from": f"<sip:{self.user.aor}>", "duration_ms": "200", **values}
        return self.system.device(scenario, said, address=self.address, port=self.port)

    def calls(self, number: str, **values: str) -> Outcome:
        """A call that is answered."""
        return _as_written(self.sipp("call", number, **values))

    def is_refused(self, number: str, code: int, **values: str) -> SipMessage:
        """A call that must be refused with this status: that answer."""
        outcome = _as_written(self.sipp("call_refused", number, code=str(code), **values))
        return outcome.answers()[-1]


def _as_written(call: Sipp) -> Outcome:
    outcome = call.run()
    assert outcome.ok, outcome.complaints
    return outcome


@contextmanager
def device_of(system: System, user: User, *, address: str = DEVICE_ADDRESS) -> Iterator[Device]:
    """Register a device of the user's, and take its registration away again."""
    port = system.ports.one(address)
    credentials = Credentials(user.name, user.password)

    def registers(**values: str) -> None:
        _as_written(system.device("register", values, address=address, port=port, credentials=credentials))

    registers()
    yield Device(system, user, address, port)
    registers(expires="0")


def journalled(system: System, kind: str) -> dict[str, Any]:
    """What the journal says of the last event of this kind; {} if there was none."""
    query = "select payload from journal where kind = ? order by seq desc limit 1"
    found: dict[str, Any] = next((json.loads(row["payload"]) for row in system.edge_rows(query, kind)), {})
    return found


def counters(system: System) -> Counter[tuple[str, ...]]:
    """Kamailio's counters by name and label values: ("refusals_total", "no_outbound_number") → 3."""
    page = http_get(f"http://127.0.0.1:{system.settings.kamailio.http_port}/metrics") or ""
    return Counter({(name, *_LABEL.findall(labels)): int(value) for name, labels, value in _COUNTER.findall(page)})
