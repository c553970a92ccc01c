"""What both kinds of call leg have in common: a SIP dialog, its media, and the requests that arrive within it."""

import logging
from collections.abc import Callable

from holdfast.embedded import causes, sdp
from holdfast.embedded.media import MediaClock, MediaPorts, MediaSession
from holdfast.embedded.sip_dialog import Dialog
from holdfast.embedded.sip_endpoint import ALLOW, PRODUCT, SipEndpoint, options_headers
from holdfast.embedded.sip_message import Request, SipMessage
from holdfast.embedded.sip_transactions import Headers, ServerTransaction

log = logging.getLogger(__name__)

SDP_TYPE = ("content-type", "application/sdp")


class Leg:
    """One side of a call. It ends exactly once; `on_end` then gets the cause.

    The far end may change its media (re-INVITE, UPDATE) at any time; that is answered here and needs nobody else.
    """

    def __init__(self, endpoint: SipEndpoint, ports: MediaPorts, clock: MediaClock) -> None:
        self.endpoint = endpoint
        self.media = MediaSession(ports, clock)
        self.local = sdp.LocalAudio.new((endpoint.local[0], self.media.address[1]))
        self.dialog: Dialog | None = None
        self.ended = False
        self.on_end: Callable[[str], None] | None = None
        #: the 2xx to a (re-)INVITE whose ACK is awaited; its offer, if it was in the 2xx, is answered by that ACK
        self._unacknowledged: ServerTransaction | None = None
        self._answer_due = False

    def hangup(self, cause: str) -> None:
        """End the call from this side."""
        raise NotImplementedError

    @property
    def answered(self) -> bool:
        """The call was answered, by whichever side."""
        raise NotImplementedError

    @property
    def held(self) -> bool:
        """The far end wants to hear nothing now."""
        return self.media.remote is not None and not self.media.remote.wants_media

    # within the dialog

    def request_received(self, transaction: ServerTransaction) -> None:
        """A request of the dialog other than ACK and CANCEL."""
        if self.dialog is None or not self.dialog.accepts(transaction.request):
            transaction.respond(500, "Server Internal Error", [("retry-after", "1")])
            return
        answers: dict[str, Callable[[ServerTransaction], None]] = {
            "BYE": self._bye_received,
            "INVITE": self._reinvite_received,
            "UPDATE": self._update_received,
            "INFO": lambda info: info.respond(200, "OK"),
            "OPTIONS": lambda options: options.respond(200, "OK", options_headers()),
        }
        answer = answers.get(transaction.request.method)
        if answer:
            answer(transaction)
        else:
            transaction.respond(405, "Method Not Allowed", [("allow", ALLOW)])

    def ack_received(self, request: Request) -> None:
        """The ACK of our 2xx to an INVITE."""
        transaction, self._unacknowledged = self._unacknowledged, None
        if not transaction:
            return
        transaction.acknowledged()
        if self._answer_due and not self.ended:
            self._answer_due = False
            try:
                self.media.configure(sdp.parse(sdp.body_of(request)))
            except sdp.SdpError as error:
                log.warning("the ACK's answer cannot be used: %s", error)
                self.hangup(causes.INCOMPATIBLE)

    def _bye_received(self, transaction: ServerTransaction) -> None:
        transaction.respond(200, "OK")
        self.end(causes.NORMAL)
        self.release()

    def _reinvite_received(self, transaction: ServerTransaction) -> None:
        if self._unacknowledged or not self.answered:
            transaction.respond(491, "Request Pending")
            return
        self._change(transaction)
        if 200 <= transaction.status < 300:
            self._await_ack(transaction)

    def _update_received(self, transaction: ServerTransaction) -> None:
        if sdp.body_of(transaction.request):
            self._change(transaction)
        else:
            self.dialog_refreshed(transaction.request)
            transaction.respond(200, "OK", self.headers(transaction.request))

    def _change(self, transaction: ServerTransaction) -> None:
        """Answer an INVITE or UPDATE that (perhaps) changes media; an unusable one changes nothing (RFC 3264 §8)."""
        body = sdp.body_of(transaction.request)
        try:
            answer = self.answer_offer(body) if body else sdp.offer(self.local)
        except sdp.SdpError:
            transaction.respond(488, "Not Acceptable Here")
            return
        self._answer_due = not body
        self.dialog_refreshed(transaction.request)
        transaction.respond(200, "OK", [*self.headers(transaction.request), SDP_TYPE], answer)

    def dialog_refreshed(self, message: SipMessage) -> None:
        if self.dialog:
            self.dialog.refresh_target(message)

    def answer_offer(self, body: bytes) -> bytes:
        """Take the far end's offer and make our answer. Raises SdpError, and then nothing has changed."""
        before = self.media.remote
        remote = sdp.parse(body, before.codec if before else None)
        self.media.configure(remote)
        if before is not None and before != remote:
            self.local = self.local.next()
        return sdp.answer(self.local, remote)

    @property
    def own_headers(self) -> list[tuple[str, str]]:
        """Where the far end's next requests go, and which of them are understood."""
        return [("contact", self.endpoint.contact), ("allow", ALLOW)]

    def headers(self, request: Request) -> list[tuple[str, str]]:
        """What our 2xx to an INVITE or UPDATE says besides SDP; the far end's session timer is left to the far end."""
        headers = [*self.own_headers, ("server", PRODUCT)]
        expires = request.get("session-expires")
        if expires and "timer" in request.tokens("supported") | request.tokens("require"):
            interval = expires.partition(";")[0].strip()
            headers += [("session-expires", f"{interval};refresher=uac"), ("require", "timer")]
        return headers

    # for the two kinds of leg

    def establish(self, dialog: Dialog) -> None:
        """From now on requests of this dialog come here."""
        self.dialog = dialog
        self.endpoint.dialogs[dialog.key] = self

    def _await_ack(self, transaction: ServerTransaction) -> None:
        def nobody() -> None:
            self._unacknowledged = None
            self.hangup(causes.TIMER)

        self._unacknowledged = transaction
        transaction.on_unacknowledged = nobody

    def send_in_dialog(self, method: str, headers: Headers = ()) -> None:
        """Send a request whose answer changes nothing (BYE)."""
        if self.dialog:
            self.endpoint.request(self.dialog.request(method, headers), self.dialog.next_hop, lambda _: None)

    def end(self, cause: str) -> None:
        """The call is over on this side: give the media back and say so, once."""
        if not self.ended:
            self.ended = True
            self.media.close()
            if self.on_end:
                self.on_end(cause)

    def release(self) -> None:
        """Nothing more is to be said in this dialog: what still arrives in it gets 481."""
        if self.dialog:
            self.endpoint.dialogs.pop(self.dialog.key, None)
        if self._unacknowledged:
            self._unacknowledged.acknowledged()
