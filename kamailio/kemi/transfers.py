"""O6: a screening centre passes a caller on, by a REFER within the call or by a call of its own.

A REFER goes on to the caller's phone with this node in the place of whoever it names: the phone calls once more what it
had dialled, and that call, known by the token it carries or by its caller's live number, goes straight to the PSAP. A
call of the centre's own is known by the callback number that the centre was shown. Either is the caller's call still,
on the same lease: the PSAP sees the same number, and its callback reaches the caller.
"""

import re
import secrets
from dataclasses import dataclass, replace

from holdfast.core import numbers
from holdfast.core.country import DEFAULT_COUNTRY, PLANS
from holdfast.core.headers import SipUri
from holdfast.core.lease import Lease, LeaseState, state
from holdfast.core.model import Caller, Pool, TrunkGroup
from holdfast.edge.store import EdgeStore
from holdfast.edge.store_facts import may_be_masked
from holdfast.errors import EdgeStoreUnavailable
from kemi import callback, callers, ksr, message
from kemi.callers import Origin
from kemi.context import alarm, config, network, now, store
from kemi.identity import Mark
from kemi.message import Request

#: A phone follows a REFER at once; its user may be asked first.
FOLLOWED_WITHIN_S = 120
#: The parameter of the URI that a phone is sent to, by which its call is known again whatever connection it comes over.
_PARAMETER = "holdfast-transfer"
_TOKEN = re.compile(rf";{_PARAMETER}=([A-Za-z0-9_-]{{20,40}})(?=[;?>]|$)")
_TOKEN_BYTES = 18
_REPORTED = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?![0-9])")


@dataclass(frozen=True, slots=True)
class Refused:
    """A REFER that is not passed on, and why; the centre can still call by itself."""

    code: int
    phrase: str
    text: str


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A call that a screening centre passes on. `target`: whom to, a number or a URI; "": the PSAP that serves them.

    `lease`: the caller's, whose number the centre has seen; None: the call is the centre's own. `kept_as`: where the
    REFER is remembered that a phone follows.
    """

    caller: Caller
    target: str
    lease: Lease | None
    by_the_centre: bool
    kept_as: tuple[str, ...] = ()

    @property
    def caller_address(self) -> str:
        """Where the caller is on the network, or was when they called the centre."""
        uri = SipUri.parse(self.caller.source_uri)
        return uri.host.strip("[]") if uri else ""

    def pools(self, decided: tuple[Pool, ...]) -> tuple[Pool, ...]:
        """Where the number comes from: first of all from where the centre's came, so that it stays the same."""
        if self.lease is None:
            return decided
        shown = [pool for pool in network().pools if pool.id == self.lease.pool_id]
        return (*shown, *(pool for pool in decided if pool not in shown))


# REFER --------------------------------------------------------------------------------------------------------------


def refer(source: Origin, mark: Mark) -> Refused | None:
    """A REFER within an emergency call or a callback; None: it goes on to the caller's phone, rewritten.

    Nobody but a screening centre transfers an emergency call (RFC 6881 SP-38): a phone that followed the PSAP's REFER,
    or a stranger's, would call whom they please, as itself.
    """
    group = source.group
    if mark.is_callback or ksr.from_the_caller() or group is None or not group.screening:
        return Refused(403, "Transfer Not Allowed", "Only a screening centre may transfer an emergency call.")
    target = _whom(ksr.read("$(hdr(Refer-To){nameaddr.uri})"))
    if target is None:
        return Refused(400, "Bad Refer-To", "Refer to 911, to urn:service:sos, to a number or to a SIP URI.")
    try:
        leases = store().leases_on(mark.callback_number, now())
        if not _may_pass_on(group, leases):
            return Refused(403, "Transfer Not Allowed", "This call is not one of this screening centre's.")
        if store().is_pool_number(target):
            return Refused(400, "Bad Refer-To", "That is a callback number.")
        called = _dialled_again(leases[0])
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
        return Refused(503, "Transfer Not Possible", "This node cannot read its store.")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    ksr.table_set("transfers", token, f"{mark.callback_number}|{target}", FOLLOWED_WITHIN_S)
    if len(leases) == 1:  # else it could be any holder's call that comes next
        ksr.table_set("transfers", mark.callback_number, token, FOLLOWED_WITHIN_S)
    for name in ("Refer-To", "Referred-By", "Replaces", "Target-Dialog"):
        ksr.remove_header(name)
    ksr.add_header("Refer-To", f"<{called};{_PARAMETER}={token}>" if called.startswith("sip") else f"<{called}>")
    return None


def _whom(target: str) -> str | None:
    """Whom a Refer-To means: "" any PSAP, a number, or a SIP URI without its parameters and headers; None: nobody."""
    dialled = numbers.dialled_from_uri(target)
    if numbers.may_be_emergency(dialled):
        return ""
    number = numbers.e164(dialled, DEFAULT_COUNTRY)
    uri = SipUri.parse(target)
    if number is not None or uri is None or not uri.user or "|" in target:
        return number
    return f"{uri.scheme}:{uri.user}@{uri.host}" + (f":{uri.port}" if uri.port else "")


def _may_pass_on(group: TrunkGroup, leases: tuple[Lease, ...]) -> bool:
    """A tenant's own screening centre passes on its tenant's callers alone (N9)."""
    return bool(leases) and (group.tenant_id is None or any(lease.tenant_id == group.tenant_id for lease in leases))


def _dialled_again(lease: Lease) -> str:
    """What the phone dialled when it reached the centre: that is an emergency number where it is, and leads to us.

    The called party's From is the caller's To (RFC 3261 §12.2.1.1). Where it says nothing usable, the emergency number
    of the callback number's country.
    """
    said = ksr.read("$fu")
    dialled = numbers.dialled_from_uri(said)
    if dialled.startswith("urn:") and numbers.may_be_emergency(dialled):
        return dialled
    if not (numbers.may_be_emergency(dialled) or may_be_masked(store(), dialled)):
        country = next((pool.country for pool in network().pools if pool.id == lease.pool_id), DEFAULT_COUNTRY)
        dialled = next(iter(PLANS[country].emergency.values()), "112")
    uri = SipUri.parse(said)
    if uri is not None and ksr.is_us(said):
        return f"{uri.scheme}:{dialled}@{uri.host}" + (f":{uri.port}" if uri.port else "")
    return f"sip:{dialled}@{config().domain}"


def clean_report() -> None:
    """A NOTIFY that reports on a REFER: how the phone's call went, without what else it may quote of its messages."""
    if message.content_type().lower().startswith("message/sipfrag"):
        found = _REPORTED.match(message.body().decode("utf-8", "replace"))
        code = int(found[1]) if found else 100
        phrase = "Trying" if code < 200 else "OK" if code < 300 else "Failed"
        message.set_body(f"SIP/2.0 {code} {phrase}\r\n".encode(), "message/sipfrag;version=2.0")


# Calls that are passed on -------------------------------------------------------------------------------------------


def passed_on(request: Request, source: Origin, caller: Caller, edge_store: EdgeStore) -> PassedOn | None:
    """Whether this emergency call is one that a screening centre passes on; None: it is not. EdgeStoreUnavailable.

    `caller`: as the call was identified by itself.
    """
    if source.group is not None and source.group.screening and not source.is_pbx:
        return _by_the_centre(request, source, source.group, caller, edge_store)
    return _by_the_phone(request, caller, edge_store)


def _by_the_centre(
    request: Request, source: Origin, group: TrunkGroup, caller: Caller, edge_store: EdgeStore
) -> PassedOn:
    """Whoever calls from a screening centre is not screened again: if not with a caller's number, it is the centre."""
    users = (user.partition(";")[0] for user in (message.asserted_user(), request.from_user))
    number = next(filter(None, map(callback.number_called, users)), None)
    lease = _theirs(group, edge_store.leases_on(number, now())) if number else None
    if lease is None:
        return PassedOn(caller, "", None, by_the_centre=True)
    return PassedOn(callers.holder_of(lease, edge_store, source.trunk), "", lease, by_the_centre=True)


def _theirs(group: TrunkGroup, leases: tuple[Lease, ...]) -> Lease | None:
    """The live lease of whoever is on the line with the centre; None: nobody's.

    A number that rests is its last holder's no more. Of several holders of a shared number (N3) only one who calls now
    can be meant; of two who do, the one who called last: the callback rings both.
    """
    live = [lease for lease in leases if state(lease, now()) is LeaseState.LIVE and _may_pass_on(group, (lease,))]
    if any(lease.shared for lease in live):
        live = [lease for lease in live if lease.calls]
    return max(live, key=lambda lease: (lease.calls > 0, lease.marked_at), default=None)


def _by_the_phone(request: Request, caller: Caller, edge_store: EdgeStore) -> PassedOn | None:
    """A caller's phone follows a REFER."""
    found = _TOKEN.search(request.uri)
    token = found[1] if found else ""
    number, _, target = ksr.table_get("transfers", token).partition("|") if token else ("", "", "")
    if not number:  # a phone that keeps no parameters, or nobody's token
        held = edge_store.numbers_held_by(caller.caller_key, now())
        number = next((one for one in held if ksr.table_get("transfers", one)), "")
        token = ksr.table_get("transfers", number) if number else ""
        target = ksr.table_get("transfers", token).partition("|")[2] if token else ""
    if not number:
        return None
    leases = edge_store.leases_on(number, now())
    lease = next((lease for lease in leases if lease.caller_key == caller.caller_key), None)
    if lease is None and len(leases) == 1:
        # the token vouches for the phone, which comes over another connection than before
        lease = leases[0]
        holder = callers.holder_of(lease, edge_store, None)
        caller = replace(holder, contact_uri=caller.contact_uri, source_uri=caller.source_uri)
    return PassedOn(caller, target, lease, by_the_centre=False, kept_as=(token, number))


def followed(passed_on: PassedOn | None) -> None:
    """A transfer is good for one call."""
    for key in passed_on.kept_as if passed_on else ():
        ksr.table_remove("transfers", key)
