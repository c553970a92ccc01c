"""What a device says it is attached to: the P-Access-Network-Info header (RFC 7315 §5.4).

Believed from verified callers alone, and only for what their administrator has given a location.
"""

import re

_ACCESS_POINT = re.compile(r'i-wlan-node-id\s*=\s*"?(?P<id>[0-9A-Fa-f:.-]{12,17})"?', re.IGNORECASE | re.ASCII)
#: The switch and port of a wired device, as chassis id / port id of LLDP (RFC 7315 leaves the form to the access).
_ETHERNET = re.compile(
    r'eth-location\s*=\s*"?(?P<switch>[A-Za-z0-9_.:-]{1,64})(?:/(?P<port>[A-Za-z0-9_.:/-]{1,64}))?"?',
    re.IGNORECASE | re.ASCII,
)
_LONGEST = 1024


def attachments(header: str) -> tuple[tuple[str, str], ...]:
    """The network elements that the header names, as (kind, canonical key): bssid, switch_port and switch."""
    if not header or len(header) > _LONGEST:
        return ()
    found: list[tuple[str, str]] = []
    access_point = _ACCESS_POINT.search(header)
    if access_point:
        digits = re.sub("[:.-]", "", access_point["id"]).lower()
        if len(digits) == 12:
            found.append(("bssid", "-".join(digits[place : place + 2] for place in range(0, 12, 2))))
    ethernet = _ETHERNET.search(header)
    if ethernet:
        if ethernet["port"]:
            found.append(("switch_port", f"{ethernet['switch']}/{ethernet['port']}"))
        found.append(("switch", ethernet["switch"]))
    return tuple(found)
