"""The API commands of the event socket, answered as FreeSWITCH's mod_commands answers them."""

import json
import time
from typing import TYPE_CHECKING

from holdfast.embedded import causes

if TYPE_CHECKING:
    from holdfast.embedded.call import Exchange

_STARTED_S = time.monotonic()


def call(exchange: "Exchange", text: str) -> str:
    """Run one API command; an unknown one is answered -ERR."""
    name, _, argument = text.strip().partition(" ")
    if name == "status" and not argument:
        return _status(exchange)
    if name == "sched_del" and argument:
        found = exchange.calls.get(argument.strip())
        return f"+OK Deleted: {found.disarm() if found else 0}\n"
    if name == "show" and argument.split() == ["channels", "as", "json"]:
        rows = [channel.row() for channel in exchange.channels.values()]
        return json.dumps({"row_count": len(rows)} | ({"rows": rows} if rows else {})) + "\n"
    if name == "uuid_kill" and argument:
        return _kill(exchange, *argument.split()[:2])
    return f"-ERR {name[:60]} Command not found!\n"


def _status(exchange: "Exchange") -> str:
    up_s = int(time.monotonic() - _STARTED_S)
    return (
        f"UP 0 years, {up_s // 86400} days, {up_s // 3600 % 24} hours, {up_s // 60 % 60} minutes, {up_s % 60} seconds\n"
        f"Holdfast embedded media server is ready\n{len(exchange.channels)} session(s)\n"
    )


def _kill(exchange: "Exchange", channel_uuid: str, cause: str = causes.NORMAL) -> str:
    found = exchange.calls.get(channel_uuid)
    if not found:
        return "-ERR No such channel!\n"
    found.leg.hangup(causes.known_or_normal(cause))
    return "+OK\n"
