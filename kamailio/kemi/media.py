"""NAT: who is behind one, and media relayed by rtpengine for them. Without rtpengine the call goes on directly."""

from holdfast.core.headers import SipUri
from kemi import ksr
from kemi.context import config
from kemi.message import Request


def note_nat(request: Request, *, contact_is_masked: bool = False) -> None:
    """Remember that this call's sender is behind NAT, and have what is sent to it come back the way it came.

    A Contact that was masked says so already: where it was, nothing may be put in its place.
    """
    if request.method in ("INVITE", "UPDATE") and ksr.behind_nat():
        ksr.mark_nat_call()
        if not contact_is_masked:
            ksr.fix_contact()
            ksr.apply_changes()


def repair_contact(request: Request) -> None:
    """An emergency call whose Contact is missing or nonsense goes on with the address that it came from.

    Without a usable Contact neither the PSAP nor dialog tracking would find the phone.
    """
    if SipUri.parse(request.contact) is None:
        ksr.remove_header("Contact")
        ksr.add_header("Contact", f"<{request.source_uri}>")
        ksr.apply_changes()


def offer() -> None:
    """Before an INVITE leaves: relay its media if either side is behind NAT."""
    ksr.on_reply("ksr_reply_media")
    if ksr.nat_involved():
        ksr.relay_media(has_rtpengine=config().has_rtpengine)


def answer(*, contact_is_masked: bool = False) -> None:
    """A reply on its way back: the answer to an offer that was relayed, and the callee's Contact behind its NAT."""
    if ksr.nat_involved():
        ksr.relay_media(has_rtpengine=config().has_rtpengine)
        if not contact_is_masked:
            ksr.fix_contact()


def follow(request: Request, *, contact_is_masked: bool = False) -> None:
    """A later request of a call: a new offer, or the end of what is relayed (unknown calls are ignored there)."""
    if request.method in ("INVITE", "UPDATE"):
        note_nat(request, contact_is_masked=contact_is_masked)
        offer()
    elif request.method == "BYE":
        ksr.relay_media(has_rtpengine=config().has_rtpengine)
