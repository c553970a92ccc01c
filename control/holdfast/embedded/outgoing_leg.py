"""The B leg: a call that the server makes towards the edge (RFC 3261 §13.2), and the races at its end (§9)."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.embedded import causes, sdp
from holdfast.embedded.leg import SDP_TYPE, Leg
from holdfast.embedded.media import MediaClock, MediaPorts
from holdfast.embedded.sip_dialog import Dialog
from holdfast.embedded.sip_endpoint import SipEndpoint
from holdfast.embedded.sip_fields import Address
from holdfast.embedded.sip_message import Request, Response, SipParseError
from holdfast.embedded.sip_transactions import GIVE_UP_S, ClientTransaction, Headers, new_tag

#: How long after a CANCEL its outcome is waited for before the caller hears of it.
_CANCEL_OUTCOME_S = 1.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an INVITE is made of. `from_value` is a From value without a tag, `prefer` the law to offer first."""

    uri: str
    destination: Address
    from_value: str
    headers: Headers
    prefer: str | None


class OutgoingLeg(Leg):
    """Made to invite somebody. Raises NoMediaPort if no port is free.

    An answer that comes when nobody wants it any more is acknowledged and ended with BYE; so is a second answer.
    """

    def __init__(self, endpoint: SipEndpoint, ports: MediaPorts, clock: MediaClock) -> None:
        super().__init__(endpoint, ports, clock)
        self.on_ringing: Callable[[], None] | None = None
        self._invite: ClientTransaction | None = None
        self._fallback: Address = endpoint.local
        self._outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        #: the ACK of each answered dialog, by the far end's tag
        self._acks: dict[str, tuple[bytes, Address]] = {}

    @property
    def answered(self) -> bool:
        return self.dialog is not None

    async def invite(self, invitation: Invitation, ring_s: float) -> str | None:
        """Ring for so many seconds. Returns None when the call is answered, else the cause why it is not."""
        self._fallback = invitation.destination
        headers = [
            ("max-forwards", "70"),
            ("from", f"{invitation.from_value};tag={new_tag()}"),
            ("to", f"<{invitation.uri}>"),
            ("call-id", secrets.token_hex(16)),
            ("cseq", "1 INVITE"),
            *self.own_headers,
            *invitation.headers,
            SDP_TYPE,
        ]
        request = Request(headers, sdp.offer(self.local, invitation.prefer), "INVITE", invitation.uri)
        self._invite = self.endpoint.request(request, invitation.destination, self._response)
        # not wait_for: Python 3.11's forgets a cancellation (the caller gave up) that comes together with the outcome
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ring_s):
                return await asyncio.shield(self._outcome)
        self.endpoint.cancel(self._invite)
        # an answer that crosses the CANCEL is a good answer: the caller is still there
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_OUTCOME_S):
                cause = await asyncio.shield(self._outcome)
            return causes.TOO_LONG if cause == causes.CANCELLED else cause
        self.hangup(causes.TOO_LONG)
        return causes.TOO_LONG  # FreeSWITCH's name for a leg_timeout

    def hangup(self, cause: str) -> None:
        """BYE if it was answered, else CANCEL; what the CANCEL crosses is dealt with as it comes."""
        if self.ended:
            return
        if self.answered:
            self.send_in_dialog("BYE", [causes.reason_header(cause)])
            self.release()
        elif self._invite:
            self.endpoint.cancel(self._invite)
            asyncio.get_running_loop().call_later(GIVE_UP_S, self._invite.give_up)
        self.end(cause)

    def end(self, cause: str) -> None:
        super().end(cause)
        self._decide(cause)

    def _decide(self, cause: str | None) -> None:
        if not self._outcome.done():
            self._outcome.set_result(cause)

    def _response(self, response: Response) -> None:
        if response.status < 200:
            if response.status > 100 and self.on_ringing and not self.ended:
                self.on_ringing()
        elif response.status < 300:
            self._accepted(response)
        else:
            self.end(causes.of_status(response.status))

    def _accepted(self, response: Response) -> None:
        assert self._invite is not None
        try:
            dialog = Dialog.as_client(self._invite.request, response, self._fallback)
        except SipParseError:
            self.end("NETWORK_OUT_OF_ORDER")  # it cannot be acknowledged; the far end gives up by itself
            return
        if dialog.remote_tag in self._acks:
            self.endpoint.send(*self._acks[dialog.remote_tag])
            return
        ack = self.endpoint.send_ack(dialog.request("ACK"), dialog.next_hop)
        self._acks[dialog.remote_tag] = (ack, dialog.next_hop)
        if self.ended or self.answered:
            # too late, or a second phone of a forked call: it must not be left believing in a call (§13.2.2.4)
            self._refuse(dialog, causes.NORMAL)
            return
        try:
            self.media.configure(sdp.parse(sdp.body_of(response)))
        except sdp.SdpError:
            self._refuse(dialog, causes.INCOMPATIBLE)
            self.end(causes.INCOMPATIBLE)
            return
        self.establish(dialog)
        self._decide(None)

    def _refuse(self, dialog: Dialog, cause: str) -> None:
        bye = dialog.request("BYE", [causes.reason_header(cause)])
        self.endpoint.request(bye, dialog.next_hop, lambda _: None)
