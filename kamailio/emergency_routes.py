"""Kamailio's callbacks. Each reads as the story of a call; the steps are in kemi/."""

from holdfast.core import numbers
from kemi import (
    callback,
    callers,
    context,
    dialogs,
    emergency,
    identity,
    ksr,
    location,
    media,
    media_server,
    message,
    openssl,
    ordinary,
    trunks,
)
from kemi.guard import guarded, nothing


class Routes:
    """One object per Kamailio process; Kamailio calls its ksr_* methods."""

    @guarded(nothing)
    def child_init(self, _rank: int) -> None:
        if context.config().speaks_tls:
            openssl.forget_what_was_inherited()
        context.ip_country("")  # read before a call has to wait for it

    @guarded(ksr.native_fallback)
    def ksr_request_route(self, _message: object) -> None:
        request = message.request()
        ksr.answer_where_it_came_from()
        # An emergency call is known before any check, limit, authentication or dial plan could stop it.
        dialled = numbers.dialled_from_uri(request.uri)
        initial_invite = request.method == "INVITE" and not ksr.has_to_tag()
        perhaps_emergency = initial_invite and (numbers.may_be_emergency(dialled) or emergency.perhaps(dialled))
        if not ksr.hops_left() or not (perhaps_emergency or ksr.well_formed()):
            return
        if request.method == "CANCEL":
            if ksr.known_transaction():
                ksr.relay()
            return
        if request.method != "ACK" and ksr.is_retransmission():
            return
        source = callers.origin(request)
        callers.strip_what_only_we_may_say(source)
        if ksr.has_to_tag():
            dialogs.route(request, source)
            return
        ksr.remove_preloaded_routes()
        media.note_nat(request)
        if perhaps_emergency and not source.media_server and emergency.route(request, source, dialled):
            return
        number = callback.number_called(dialled) if initial_invite and source.is_carrier else None
        if number:
            callback.route_from(source, request, number)
        elif request.method == "INVITE":
            ordinary.call(request, source)
        elif request.method == "REGISTER":
            ordinary.register(request)
        elif request.method != "ACK":
            ordinary.keepalive_or_message(request, source)

    @guarded(nothing)
    def ksr_reply_media(self, _message: object) -> None:
        media.answer(contact_is_masked=identity.clean_reply())

    @guarded(nothing)
    def ksr_branch_media_server(self, _message: object) -> None:
        media_server.tell()

    @guarded(nothing)
    def ksr_branch_trunk(self, _message: object) -> None:
        trunks.renumber()
        location.tell()

    @guarded(nothing)
    def ksr_branch_pbx(self, _message: object) -> None:
        callback.tell_pbx()

    @guarded(trunks.next_trunk)
    def ksr_failure_trunk(self, _message: object) -> None:
        trunks.failed()

    @guarded(nothing)
    def ksr_failure_unavailable(self, _message: object) -> None:
        trunks.refuse()

    @guarded(nothing)
    def ksr_failure_readback(self, _message: object) -> None:
        emergency.readback_failed()

    @guarded(callback.deliver_directly)
    def ksr_failure_callback(self, _message: object) -> None:
        callback.media_failed()

    @guarded(nothing)
    def ksr_failure_pbx(self, _message: object) -> None:
        callback.pbx_failed()

    @guarded(nothing)
    def ksr_dialog_event(self, _message: object, event: str) -> None:
        dialogs.ended(event)

    @guarded(ksr.refuse_http)
    def ksr_xhttp_event(self, _message: object, _event: str) -> None:
        if ksr.to_this_port(context.config().http_port):
            ksr.serve_metrics()
        else:
            ksr.refuse_http()


def mod_init() -> Routes:
    """Called once by Kamailio's app_python3, before it forks."""
    context.kamailio_starts()
    return Routes()
