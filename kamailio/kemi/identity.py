"""What an emergency call says of its caller when it leaves: the callback number, and nothing else (A2)."""

import re
from dataclasses import dataclass

from holdfast.core import headers
from kemi import ksr, message
from kemi.context import config
from kemi.message import Request

#: Mark the dialogs of emergency calls and of callbacks in Record-Route, with the callback number, so that their later
#: requests are cleaned too, even after Kamailio was restarted.
EMERGENCY_MARK = "hf"
CALLBACK_MARK = "hc"
_MARKED = re.compile(rf";({EMERGENCY_MARK}|{CALLBACK_MARK})=(\+[0-9]{{3,15}})(?![0-9])")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a Route header says of its dialog."""

    callback_number: str
    is_callback: bool


def mark_of(route_header: str) -> Mark | None:
    found = _MARKED.search(route_header)
    return Mark(found[2], found[1] == CALLBACK_MARK) if found else None


def show_only(callback_number: str, request: Request) -> None:
    """Rewrite a leaving INVITE: From, P-Asserted-Identity and Contact are the callback number's; the rest goes."""
    hide(request, callback_number)
    uri = f"sip:{callback_number}@{config().address}"
    ksr.replace_from(uri)
    ksr.add_header("P-Asserted-Identity", f"<{uri}>")
    ksr.add_header("Priority", "emergency")


def show_nothing(request: Request) -> None:
    """The same where there is no number to show: what the caller's equipment says may be somebody else's (N9)."""
    hide(request, "anonymous")
    ksr.replace_from("sip:anonymous@anonymous.invalid")  # RFC 3323 §4.1.1.3
    ksr.add_header("Priority", "emergency")


def hide(sent: Request, callback_number: str) -> None:
    """Remove every header by which the caller's equipment may name it; mask the Contact. Requests and replies alike."""
    for name in headers.IDENTITY_HEADERS:
        ksr.remove_header(name)
    if message.mentions("\nx-"):
        ksr.remove_headers_like("^X-")
    if ksr.has_header("Contact"):
        ksr.remove_header("Contact")
        contact = headers.public_contact(sent.contact, callback_number, sent.address, sent.port, sent.transport)
        ksr.add_header("Contact", contact)


def mask_replies(callback_number: str, *, called_as: str = "") -> None:
    """What the caller's phone answers to this request is cleaned in the reply route as well.

    `called_as`: the To that the far end wrote, where the caller's own was put back for its phone, which repeats it.
    """
    ksr.remember("masked", callback_number)
    if called_as:
        ksr.remember("called_as", called_as)
    ksr.on_reply("ksr_reply_media")


def clean_reply() -> bool:
    """In the reply route. False: there was nothing to hide."""
    number = ksr.recall("masked")
    if number:
        hide(message.request(), number)
    called_as = ksr.recall("called_as")
    if called_as:
        ksr.remove_header("To")
        ksr.add_header("To", called_as)
    return bool(number)
