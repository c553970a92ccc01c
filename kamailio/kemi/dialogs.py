"""Requests inside a dialog, and what happens when a dialog ends."""

from kemi import identity, ksr, location, media, message, transfers, trunks
from kemi.callers import Origin
from kemi.message import Request


def route(request: Request, source: Origin) -> None:
    """Follow the dialog's route set; what the caller of an emergency call sends is cleaned as its INVITE was."""
    mark = identity.mark_of(ksr.read("$hdr(Route)"))
    if not ksr.loose_route():
        if request.method == "ACK":
            if ksr.known_transaction():
                ksr.relay()
            return
        ksr.reply(481, "Call Does Not Exist")
        return
    ksr.follow_contact_alias()
    hidden = False
    if mark:
        # Tracking tells the end of what it follows, tags and all; this is for calls that outlived a restart.
        if request.method == "BYE" and not ksr.dialog_is_followed():
            trunks.end(request.call_id, "bye")
        refused = transfers.refer(source, mark) if request.method == "REFER" else None
        if refused is not None:
            ksr.reply(refused.code, refused.phrase, refused.text)
            return
        if request.method == "NOTIFY":
            transfers.clean_report()
        if ksr.from_the_caller() == mark.is_callback:
            called_as = "" if mark.is_callback else ksr.read("$hdr(To)")
            identity.mask_replies(mark.callback_number, called_as=called_as)
        elif not source.media_server:
            hidden = True
            identity.hide(request, mark.callback_number)
            location.take_out_of(request)
    media.follow(request, contact_is_masked=hidden)
    if not ksr.relay() and request.method != "ACK":
        ksr.reply(503, "Not Reachable")


def ended(event: str) -> None:
    """Kamailio's dialog tracking says that a call is over: by BYE, by a final refusal, or found dead by probing."""
    if event in ("dialog:end", "dialog:failed"):
        call_id = message.call_id("dlg(callid)") or message.call_id()
        if call_id:
            trunks.end(call_id, event.removeprefix("dialog:"))
