"""The A leg: a call that the edge brought (RFC 3261 §13.3)."""

from enum import Enum, auto

from holdfast.embedded import causes, sdp
from holdfast.embedded.leg import SDP_TYPE, Leg
from holdfast.embedded.media import MediaClock, MediaPorts
from holdfast.embedded.sip_dialog import Dialog
from holdfast.embedded.sip_endpoint import SipEndpoint
from holdfast.embedded.sip_message import Request
from holdfast.embedded.sip_transactions import ServerTransaction


class Progress(Enum):
    """How far an incoming call has come."""

    RECEIVED = auto()
    RINGING = auto()
    EARLY = auto()
    ANSWERED = auto()


class IncomingLeg(Leg):
    """Made for an INVITE, which it answers.

    Raises SdpError if the offer cannot be taken, NoMediaPort if no port is free, SipParseError if Contact is unusable.
    """

    def __init__(
        self, endpoint: SipEndpoint, ports: MediaPorts, clock: MediaClock, transaction: ServerTransaction
    ) -> None:
        offer = sdp.body_of(transaction.request)
        remote = sdp.parse(offer) if offer else None
        dialog = Dialog.as_server(transaction.request, transaction.to_tag, transaction.source)
        super().__init__(endpoint, ports, clock)
        self.progress = Progress.RECEIVED
        self._owed_bye: str | None = None
        self._transaction = transaction
        if remote:
            self.media.configure(remote)
        self.establish(dialog)
        transaction.on_cancel = self._cancelled

    @property
    def answered(self) -> bool:
        return self.progress is Progress.ANSWERED

    def ring(self) -> None:
        """180, unless more than that was said already."""
        if self.progress is Progress.RECEIVED:
            self.progress = Progress.RINGING
            self._transaction.respond(180, "Ringing", self.own_headers)

    def early_media(self) -> None:
        """183 with our SDP, and media begins; possible only if the caller made the offer."""
        if self.progress in (Progress.RECEIVED, Progress.RINGING) and self.media.remote:
            self.progress = Progress.EARLY
            body = sdp.answer(self.local, self.media.remote)
            self._transaction.respond(183, "Session Progress", [*self.own_headers, SDP_TYPE], body)
            self.media.start()

    def answer(self) -> None:
        """200 with our SDP, and media begins. To an INVITE without an offer we make one; the ACK brings the answer."""
        if self.answered or self.ended:
            return
        self.progress = Progress.ANSWERED
        remote = self.media.remote
        body = sdp.answer(self.local, remote) if remote else sdp.offer(self.local)
        self._answer_due = remote is None
        self._await_ack(self._transaction)
        self._transaction.respond(200, "OK", [*self.headers(self._transaction.request), SDP_TYPE], body)
        self.media.start()

    def hangup(self, cause: str) -> None:
        """Refuse the call, or end it with BYE."""
        if self.ended:
            return
        if self.answered and self._unacknowledged is self._transaction:
            self._owed_bye = cause  # a BYE must wait for the ACK of our answer, or for its time to be over (§15)
            self._transaction.on_unacknowledged = self._pay_bye
        elif self.answered:
            self.send_in_dialog("BYE", [causes.reason_header(cause)])
            self.release()
        else:
            self._transaction.respond(*causes.refusal(cause))
            self.release()
        self.end(cause)

    def ack_received(self, request: Request) -> None:
        super().ack_received(request)
        if self._owed_bye:
            self._pay_bye()

    def _pay_bye(self) -> None:
        cause, self._owed_bye = self._owed_bye, None
        self._unacknowledged = None
        if cause:
            self.send_in_dialog("BYE", [causes.reason_header(cause)])
        self.release()

    def _bye_received(self, transaction: ServerTransaction) -> None:
        self._owed_bye = None
        if not self.answered:  # §15.1.2: what is still unanswered gets 487
            self._transaction.respond(487, "Request Terminated")
        super()._bye_received(transaction)

    def _cancelled(self) -> None:
        self._transaction.respond(487, "Request Terminated")
        self.end(causes.CANCELLED)
        self.release()
