"""Requests inside a dialog, and what happens when a dialog ends."""

import re

from kemi import emergency, identity, ksr, media
from kemi.ksr import Request

_MARKED = re.compile(rf";{identity.DIALOG_MARK}=(\+[0-9]{{3,15}})\b")


def route(request: Request) -> None:
    """Follow the dialog's route set; clean what the caller of an emergency call sends, as its INVITE was cleaned."""
    routes = ksr.read("$hdr(Route)")
    if not ksr.loose_route():
        if request.method == "ACK":
            if ksr.known_transaction():
                ksr.relay()
            return
        ksr.reply(481, "Call Does Not Exist")
        return
    ksr.follow_contact_alias()
    marked = _MARKED.search(routes)
    if marked:
        if request.method == "BYE":
            emergency.end(request.call_id, "bye")
        if ksr.from_the_caller():
            identity.hide_identity(request, marked[1])
    media.follow(request)
    if not ksr.relay() and request.method != "ACK":
        ksr.reply(503, "Not Reachable")


def ended(event: str) -> None:
    """Kamailio's dialog tracking says that a call is over: by BYE, by a final refusal, or found dead by probing."""
    if event in ("dialog:end", "dialog:failed"):
        call_id = ksr.read("$dlg(callid)") or ksr.read("$ci")
        if call_id:
            emergency.end(call_id, event.removeprefix("dialog:"))
