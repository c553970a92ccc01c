"""Each country's emergency numbers, the masks people reach them by, and its test number.

Sources: 47 CFR 9.16 and the NENA i3 standard for the North American numbers; Ofcom's National Telephone Numbering
Plan for GB; the Danish numbering plan and Directive (EU) 2018/1972 art. 109 for 112. 112 is also the GSM emergency
number (3GPP TS 22.101 §10.1) that phones of any origin are taught, hence the mask 112 → 911 in North America.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class EmergencyPlan:
    """One country's numbers. `emergency` maps each dialled string to the number that is sent to the PSAP."""

    country: str
    calling_code: str
    emergency: Mapping[str, str]
    readback: frozenset[str]


# 9 and 1 are the usual outside-line and long-distance prefixes: people in panic dial them out of habit.
_NANP_EMERGENCY = MappingProxyType({"911": "911", "9911": "911", "1911": "911", "112": "911"})
_NANP_READBACK = frozenset({"933", "9933"})


def _nanp(country: str) -> EmergencyPlan:
    return EmergencyPlan(country, "1", _NANP_EMERGENCY, _NANP_READBACK)


PLANS: Mapping[str, EmergencyPlan] = MappingProxyType(
    {
        "US": _nanp("US"),
        "PR": _nanp("PR"),
        "CA": _nanp("CA"),
        "GB": EmergencyPlan(
            "GB", "44", MappingProxyType({"999": "999", "112": "112", "9999": "999", "9112": "112"}), frozenset()
        ),
        "DK": EmergencyPlan("DK", "45", MappingProxyType({"112": "112"}), frozenset()),
    }
)

#: What an unverified caller's number is read by: they have told us no country that we could believe.
DEFAULT_COUNTRY = "US"
