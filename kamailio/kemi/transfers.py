"""O6: a screening centre passes a caller on, by a REFER within the call or by a call of its own.

A REFER goes on to the caller's phone, with this node in the place of whoever it names: the phone dials an emergency
number again, and that call, known by its caller's live number, goes straight to the PSAP.
"""

from holdfast.core import numbers
from holdfast.core.country import DEFAULT_COUNTRY, PLANS
from holdfast.core.headers import SipUri
from holdfast.core.model import Caller
from holdfast.edge.store import EdgeStore
from kemi import ksr
from kemi.callers import Origin
from kemi.context import config, now
from kemi.identity import Mark

#: A phone follows a REFER at once; its user may be asked first.
FOLLOWED_WITHIN_S = 120
#: Stands for: to whichever PSAP serves the registered address.
_ANY_PSAP = "psap"


def refer(source: Origin, mark: Mark) -> None:
    """A REFER to an emergency caller: remember where a screening centre sends them, and have their phone come to us."""
    target = ksr.read("$(hdr(Refer-To){nameaddr.uri})")
    if source.group is None or not source.group.screening or SipUri.parse(target) is None:
        return
    dialled = numbers.dialled_from_uri(target)
    to_any = numbers.may_be_emergency(dialled)
    ksr.table_set("transfers", mark.callback_number, _ANY_PSAP if to_any else target, FOLLOWED_WITHIN_S)
    ksr.remove_header("Refer-To")
    ksr.remove_header("Referred-By")
    table = PLANS[config().default_country or DEFAULT_COUNTRY]
    number = dialled if to_any else next(iter(table.emergency.values()), dialled)
    ksr.add_header("Refer-To", f"<sip:{number}@{config().domain}>")


def awaited(caller: Caller, store: EdgeStore) -> str | None:
    """Where a screening centre has just sent this caller: a URI, "" for any PSAP; None: nobody sent them anywhere."""
    for number in store.numbers_held_by(caller.caller_key, now()):
        target = ksr.table_get("transfers", number)
        if target:
            ksr.table_remove("transfers", number)
            return "" if target == _ANY_PSAP else target
    return None
