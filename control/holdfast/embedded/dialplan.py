"""Which calls are taken, as FreeSWITCH's context `holdfast` takes them: for one of three features, and nothing else."""

import logging
import re

from holdfast.embedded.call import Call, Exchange, Purpose
from holdfast.embedded.fallback import UNAVAILABLE
from holdfast.embedded.media import NoMediaPort
from holdfast.embedded.sdp import SdpError
from holdfast.embedded.sip_fields import parse_uri
from holdfast.embedded.sip_message import Request, SipParseError
from holdfast.embedded.sip_transactions import ServerTransaction

log = logging.getLogger(__name__)

FEATURES = ("readback", "callback", UNAVAILABLE)
_NUMBER = re.compile(r"\+[0-9]{3,15}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_UNDERSTOOD = {"timer"}


def take(exchange: Exchange, transaction: ServerTransaction) -> Call | None:
    """Begin the call that this INVITE asks for, or refuse it and return None."""
    request = transaction.request
    strange = request.tokens("require") - _UNDERSTOOD
    if strange:
        transaction.respond(420, "Bad Extension", [("unsupported", ", ".join(sorted(strange)))])
        return None
    feature = _feature(request)
    number = request.get("x-holdfast-callback-number")
    if feature is None:
        transaction.respond(404, "Not Found")
    elif feature != UNAVAILABLE and not _NUMBER.fullmatch(number):
        transaction.respond(400, "Bad Callback Number")
    else:
        purpose = Purpose(feature, number, _language(exchange, request.get("x-holdfast-language")))
        try:
            return Call(exchange, transaction, purpose)
        except SdpError as error:
            log.warning("INVITE refused: %s", error)
            transaction.respond(488, "Not Acceptable Here")
        except NoMediaPort as error:
            log.warning("INVITE refused: %s", error)
            transaction.respond(503, "Service Unavailable")
    return None


def _feature(request: Request) -> str | None:
    try:
        user = parse_uri(request.uri).user
    except SipParseError:
        return None
    return user if user in FEATURES else None


def _language(exchange: Exchange, asked: str) -> str:
    """The asked language if there are prompts in it, else the node's own."""
    media = exchange.settings.media
    if _LANGUAGE.fullmatch(asked) and (media.prompts_dir / asked).is_dir():
        return asked
    return media.language
