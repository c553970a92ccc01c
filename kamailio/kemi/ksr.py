"""The one module that touches KSR, the object Kamailio gives its Python.

Everything read from a message goes through `read`: KSR raises UnicodeDecodeError on bytes that are not UTF-8, and an
exception in a callback means that the caller gets no answer at all.
"""

import contextlib
import re
from collections.abc import Callable

import KSR

_LINE_BREAK = re.compile(r"[\r\n\x00]")
DIGEST_OK = 1
DIGEST_NONCE_EXPIRED = -4
DIGEST_NO_CREDENTIALS = -5
DIGEST_NONCE_REUSED = -6


# Reading ------------------------------------------------------------------------------------------------------------


def read(variable: str) -> str:
    """A pseudo-variable's text; "" when it is null or not UTF-8."""
    return _text(lambda: KSR.pv.get(variable))


def define(name: str) -> str:
    """A value of the generated configuration (#!define), without its quotes; "" when it is not defined."""
    value = KSR.kx.get_def(name)
    return "" if value is None else str(value).strip('"')


def _text(value_of: Callable[[], object]) -> str:
    try:
        value = value_of()
    except (UnicodeDecodeError, SystemError):
        return ""
    return "" if value is None else str(value)


def has_body() -> bool:
    return bool(KSR.textops.has_body() > 0)


def has_header(name: str) -> bool:
    return bool(KSR.hdr.is_present(name) > 0)


def has_to_tag() -> bool:
    return bool(KSR.siputils.has_totag() > 0)


def to_this_port(port: str) -> bool:
    return read("$Rp") == port


def is_us(uri: str) -> bool:
    """Whether a request to this URI would come here."""
    return bool(KSR.is_myself(uri))


# Answering ----------------------------------------------------------------------------------------------------------


def reply(code: int, phrase: str, text: str = "") -> None:
    """Answer the request; `text` tells a person why, in a Warning header (RFC 3261 §20.43)."""
    _explain(text)
    KSR.sl.send_reply(code, _one_line(phrase))


def reply_header(name: str, value: str) -> None:
    KSR.hdr.append_to_reply(f"{name}: {_one_line(value)}\r\n")


def reply_final(code: int, phrase: str, text: str = "") -> None:
    """Answer from a failure route, in place of what the branches said."""
    _explain(text)
    KSR.tm.t_reply(code, _one_line(phrase))


def _explain(text: str) -> None:
    if text:
        KSR.hdr.append_to_reply(f'Warning: 399 holdfast "{_one_line(text)}"\r\n')


def options_reply() -> None:
    KSR.siputils.options_reply()


def _one_line(text: str) -> str:
    return _LINE_BREAK.sub(" ", text)


# Checking -----------------------------------------------------------------------------------------------------------


def hops_left() -> bool:
    """RFC 3261 §16.3.3; when there are none, or the message cannot even be read that far, it has been answered."""
    if KSR.maxfwd.process_maxfwd(70) > 0:
        return True
    if read("$hdr(Max-Forwards)").strip() == "0":
        reply(483, "Too Many Hops")
    else:
        reply(400, "Bad Request", "The message cannot be read.")
    return False


def well_formed() -> bool:
    """The sanity module's checks on what routing relies on (RFC 3261 §8.1.1); it has answered when they fail."""
    return bool(KSR.sanity.sanity_check(17895, 7) > 0)


def credentials_check(realm: str, ha1: str) -> int:
    """RFC 2617 digest of this request against an HA1: DIGEST_OK, or why not."""
    return int(KSR.auth.pv_auth_check(realm, ha1, 1, 0))  # 1: it is an HA1


def challenge(realm: str) -> None:
    KSR.auth.auth_challenge(realm, 1)


def drop_credentials() -> None:
    """Credentials for us are nobody else's business."""
    KSR.hdr.remove("Authorization")
    KSR.hdr.remove("Proxy-Authorization")


def digest_user() -> str:
    return read("$au")


# Rewriting ----------------------------------------------------------------------------------------------------------


def remove_header(name: str) -> None:
    KSR.hdr.remove(name)


def remove_headers_like(pattern: str) -> None:
    """Remove every header whose name matches this POSIX regular expression, in any case."""
    KSR.textops.remove_hf_re(pattern)


def add_header(name: str, value: str) -> None:
    KSR.hdr.append(f"{name}: {_one_line(value)}\r\n")


def set_body() -> None:
    """Put in what was remembered as "body", in base64, and "body_type"; in a branch route, for that branch alone."""
    KSR.route("SET_BODY")  # since KSR takes text only, and a body's bytes may be anything


def remove_body() -> None:
    KSR.textopsx.remove_body()


def set_user(user: str) -> None:
    """Another user part of the Request-URI."""
    KSR.pv.sets("$rU", user)


def set_uri(uri: str) -> None:
    KSR.seturi(uri)


def set_next_hop(uri: str) -> None:
    KSR.setdsturi(uri)


def replace_from(uri: str) -> None:
    """Put another From URI, without a display name, for the whole dialog (uac keeps it in the dialog's variables)."""
    KSR.uac.uac_replace_from("", uri)


# Variables that live as long as the transaction, and tables that all processes share ----------------------------------


def remember(name: str, value: str, *, kind: str = "avp") -> None:
    KSR.pv.sets(f"${kind}({name})", value)


def recall(name: str) -> str:
    return read(f"$avp({name})")


def table_get(table: str, key: str) -> str:
    return _text(lambda: KSR.htable.sht_get(table, key))


def table_set(table: str, key: str, value: str, expires_s: int | None = None) -> None:
    KSR.htable.sht_sets(table, key, value)
    if expires_s is not None:
        KSR.htable.sht_setex(table, key, expires_s)


def table_remove(table: str, key: str) -> None:
    KSR.htable.sht_rm(table, key)


# Transactions and dialogs -------------------------------------------------------------------------------------------


def relay() -> bool:
    """Send the request on, statefully. False: it could not be sent, and nothing has been answered yet."""
    return bool(KSR.tm.t_relay() > 0)


def new_transaction() -> None:
    """Take the request up before anything slow is done with it: the sender hears 100 and stops retransmitting."""
    KSR.tm.t_newtran()


def is_retransmission() -> bool:
    """Absorb what another worker is working on, or has answered."""
    if KSR.tmx.t_precheck_trans() > 0:
        KSR.tm.t_check_trans()
        return True
    return bool(KSR.tm.t_check_trans() == 0)


def known_transaction() -> bool:
    """For CANCEL: whether there is an INVITE it belongs to."""
    return bool(KSR.tm.t_check_trans() > 0)


def cancelled() -> bool:
    return bool(KSR.tm.t_is_canceled() > 0)


def failure_code() -> int:
    return int(KSR.tm.t_get_status_code())


def has_replied() -> bool:
    """In a failure route: whether the branch that failed had said anything at all."""
    return bool(KSR.tm.t_branch_replied() > 0)


def timers(*, unanswered_ms: int, ringing_ms: int) -> None:
    """How long a hop may take to say anything at all, and then to answer for good."""
    KSR.tm.t_set_fr(ringing_ms, unanswered_ms)


def on_failure(callback: str) -> None:
    KSR.tm.t_on_failure(callback)


def on_branch(callback: str) -> None:
    KSR.tm.t_on_branch(callback)


def on_reply(callback: str) -> None:
    KSR.tm.t_on_reply(callback)


def keep_forking_on_6xx() -> None:
    """One device's decline must not silence the others (against RFC 3261 §16.7, for emergency callbacks alone)."""
    KSR.tm.t_set_disable_6xx(1)


def track_dialog(*, probe_callee: bool) -> None:
    """Follow the dialog to its end, probing the caller (and callee) so that a lost BYE is noticed.

    The probes carry the From of the INVITE as it came in.
    """
    KSR.dialog.dlg_manage()
    KSR.dialog.dlg_set_property("ka-src")
    if probe_callee:
        KSR.dialog.dlg_set_property("ka-dst")


def dialog_is_followed() -> bool:
    """Whether this request belongs to a dialog that Kamailio has tracked since it began."""
    return bool(KSR.dialog.is_known_dlg() > 0)


def record_route(parameter: str = "") -> None:
    if parameter:
        KSR.rr.add_rr_param(f";{parameter}")
    KSR.rr.record_route()


def remove_preloaded_routes() -> None:
    """A request outside a dialog is routed by us, never by Route headers its sender wrote."""
    KSR.hdr.remove("Route")


def loose_route() -> bool:
    return bool(KSR.rr.loose_route() > 0)


def from_the_caller() -> bool:
    """Whether an in-dialog request goes the way the INVITE went."""
    return bool(KSR.rr.is_direction("downstream") > 0)


def save_contact() -> None:
    """Store or remove the contacts of a REGISTER and answer it."""
    KSR.registrar.save("location", 0)


def lookup(aor: str) -> bool:
    """Point the request at every registered contact of sip:<aor>. False: there is none."""
    return bool(KSR.registrar.lookup_uri("location", f"sip:{aor}") > 0)


def add_branch(uri: str) -> None:
    """Ring this URI as well."""
    KSR.corex.append_branch_uri(uri)


def lookup_also(aor: str) -> bool:
    """Add every registered contact of sip:<aor> as further branches."""
    return bool(KSR.registrar.lookup_to_dset("location", f"sip:{aor}") > 0)


_FLAG_NAT, _BRANCH_FLAG_NAT = 5, 6
_VIA_DIFFERS, _VIA_PORT_DIFFERS = 2, 16


def answer_where_it_came_from() -> None:
    KSR.force_rport()


def behind_nat() -> bool:
    test = _VIA_DIFFERS | (_VIA_PORT_DIFFERS if KSR.is_UDP() else 0)
    return bool(KSR.nathelper.nat_uac_test(test) > 0)


def mark_nat_registration() -> None:
    KSR.nathelper.fix_nated_register()
    KSR.setbflag(_BRANCH_FLAG_NAT)


def mark_nat_call() -> None:
    KSR.setflag(_FLAG_NAT)


def nat_involved() -> bool:
    return bool(KSR.isflagset(_FLAG_NAT) or KSR.isbflagset(_BRANCH_FLAG_NAT))


def keep_connection() -> None:
    """What is sent to the address and port that the sender's Via names goes over this connection while it lasts."""
    KSR.add_tcp_alias_via()


def fix_contact() -> None:
    """Put the address that the packets came from in place of the private one that a party behind NAT names."""
    KSR.nathelper.fix_nated_contact()


def apply_changes() -> None:
    """Make what was rewritten so far part of the message, as dialog tracking will read it."""
    KSR.textopsx.msg_apply_changes()


def follow_contact_alias() -> None:
    if not KSR.isdsturiset():
        KSR.nathelper.handle_ruri_alias()


def relay_media(*, has_rtpengine: bool) -> None:
    """Offer, answer or end relayed media, as this message needs. Without rtpengine the call goes on directly."""
    if has_rtpengine:
        KSR.rtpengine.rtpengine_manage("replace-origin replace-session-connection ICE=remove")


def count(name: str, *labels: str) -> None:
    """Add one to a counter declared in kamailio.cfg. Telling never stops a call, not even one that was just sent."""
    increments = (KSR.xhttp_prom.counter_inc_l0, KSR.xhttp_prom.counter_inc_l1, KSR.xhttp_prom.counter_inc_l2)
    with contextlib.suppress(Exception):
        increments[len(labels)](name, 1, *labels)


def serve_metrics() -> None:
    if KSR.xhttp_prom.check_uri() > 0:
        KSR.xhttp_prom.dispatch()
    else:
        KSR.xhttp.xhttp_reply(404, "Not Found", "text/plain", "There is only /metrics here.\n")


def refuse_http() -> None:
    KSR.xhttp.xhttp_reply(404, "Not Found", "text/plain", "Nothing is served here.\n")


def info(text: str) -> None:
    with contextlib.suppress(Exception):
        KSR.info(f"{_one_line(text)}\n")


def error(text: str) -> None:
    with contextlib.suppress(Exception):
        KSR.err(f"{_one_line(text)}\n")


def native_fallback() -> None:
    KSR.route("EMERGENCY_FALLBACK")
