"""What an emergency call says of its caller when it leaves: the callback number, and nothing else (A2)."""

from holdfast.core import headers
from kemi import ksr
from kemi.context import config
from kemi.ksr import Request

#: Marks the dialogs of emergency calls in Record-Route, so that their later requests are cleaned too.
DIALOG_MARK = "hf"


def show_only(callback_number: str, request: Request) -> None:
    """Rewrite a leaving INVITE: From, P-Asserted-Identity and Contact are the callback number's; the rest goes."""
    hide_identity(request, callback_number)
    uri = f"sip:{callback_number}@{config().address}"
    ksr.replace_from(uri)
    ksr.add_header("P-Asserted-Identity", f"<{uri}>")
    ksr.add_header("Priority", "emergency")


def hide_identity(request: Request, callback_number: str) -> None:
    """Remove every header by which the caller's equipment may name it; mask the Contact. Also for later requests."""
    for name in headers.IDENTITY_HEADERS:
        ksr.remove_header(name)
    ksr.remove_headers_like("^[Xx]-")
    if request.contact:
        ksr.remove_header("Contact")
        contact = headers.public_contact(
            request.contact, callback_number, request.address, request.port, request.transport
        )
        ksr.add_header("Contact", contact)
