"""Calls as they come to the routing code: each a message, what was so before, and the callback that is given it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from unit.kemi_edge import MEDIA, NUMBERS, Edge, from_media_server, from_trunk, invite
from unit.ksr_double import Fail, Ksr
from unit.ksr_message import Message

Prepare = Callable[[Edge], None]


@dataclass(frozen=True)
class Scene:
    """`answers` are Kamailio's; `prepare` says what happened before; `calls_for_help`: it may never end in a reply."""

    name: str
    message: Message
    prepare: Prepare = lambda _edge: None
    answers: dict[str, Any] = field(default_factory=dict)
    callback: str = "ksr_request_route"
    arguments: tuple[object, ...] = ()
    calls_for_help: bool = False
    silent: bool = False

    def play(self, edge: Edge, fail: Fail | None = None) -> Ksr:
        edge.reset()
        self.prepare(edge)
        for name, answer in self.answers.items():
            edge.kamailio.answers[name] = list(answer) if isinstance(answer, list) else answer
        return edge.call(self.message, self.callback, *self.arguments, fail=fail)


def _lent(edge: Edge) -> None:
    edge.registers(1)
    edge.lends(1)


def _lent_to_a_stranger(edge: Edge) -> None:
    edge.lends(1)


def _called(edge: Edge) -> None:
    edge.registers(1)
    edge.call(invite())


def _played(edge: Edge) -> None:
    edge.registers(1)
    edge.call(invite("933"))


def _called_back(edge: Edge) -> None:
    _lent(edge)
    edge.call(from_trunk(NUMBERS[0]))


def _without_outbound(edge: Edge) -> None:
    edge.registers(1)
    edge.change("update subscriber set outbound_enabled = 0")


def _by_value(edge: Edge) -> None:
    edge.registers(1)
    edge.change("update trunk_group set location_method = 'value'")


def _told(edge: Edge) -> None:
    _by_value(edge)
    edge.call(SAYS_WHERE)


def _gone(edge: Edge) -> None:
    edge.call(Message(method="OPTIONS", uri=b"sip:example.org"))
    edge.store_is_gone()


ROUTE = ("Route", b"<sip:198.51.100.1;lr;hf=+12025550101>")
CALLBACK_ROUTE = ("Route", b"<sip:198.51.100.1;lr;hc=+12025550101>")
CREDENTIALS = {"auth.pv_auth_check": 1}
_DOCUMENT = (
    b'<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" entity="pres:a@b">'
    b'<tuple id="a"><status><gp:geopriv><gp:location-info><c:civicAddress'
    b' xmlns:c="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><c:country>US</c:country><c:A1>TX</c:A1>'
    b"</c:civicAddress></gp:location-info><gp:usage-rules/><gp:method>DHCP</gp:method></gp:geopriv></status></tuple>"
    b"</presence>"
)
SAYS_WHERE = invite(
    content_type=b"multipart/mixed;boundary=b",
    body=b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n"
    + _DOCUMENT + b"\r\n--b--\r\n",
    headers=[("Geolocation", b"<https://lis.example.net/7f3a>")],
)  # fmt: skip
BY_USER_1: dict[str, Any] = {"digest_user": b"user1"}
BEHIND_NAT = {"nathelper.nat_uac_test": 1, "isflagset": True}

SCENES = (
    Scene("a stranger calls for help", invite(), calls_for_help=True),
    Scene("a registered user calls for help", invite(), lambda edge: edge.registers(1), calls_for_help=True),
    Scene("a user with credentials calls for help", invite(**BY_USER_1), answers=CREDENTIALS, calls_for_help=True),
    Scene("a PBX calls for help", from_trunk("911", from_user=b"+12025551234"), calls_for_help=True),
    Scene("a service is called for help", invite(uri=b"urn:service:sos.fire"), calls_for_help=True),
    Scene("a call for help behind NAT", invite(transport="tcp"), answers=BEHIND_NAT, calls_for_help=True),
    Scene("the first trunk cannot be sent to", invite(), answers={"tm.t_relay": [-1, 1]}, calls_for_help=True),
    Scene("no trunk can be sent to", invite(), answers={"tm.t_relay": [-1, -1]}),
    Scene("a call for help that says where it is", SAYS_WHERE, _by_value, calls_for_help=True),
    Scene("its location is refused", SAYS_WHERE, _told, {"tm.t_get_status_code": 415, "tm.t_branch_replied": 1},
          "ksr_failure_trunk", calls_for_help=True),
    Scene("it cannot be sent over TCP", SAYS_WHERE, _by_value, {"tm.t_relay": [-1, 1]}, calls_for_help=True),
    Scene("nobody hears it over TCP", SAYS_WHERE, _told, callback="ksr_failure_trunk", calls_for_help=True),
    Scene("a branch to a trunk that is told where", SAYS_WHERE, _told, callback="ksr_branch_trunk", silent=True),
    Scene("no outbound permission", invite(), _without_outbound),
    Scene("a call for help without the store", invite(), _gone, calls_for_help=True),
    Scene("933", invite("933"), lambda edge: edge.registers(1)),
    Scene("933 without the media server", invite("933"), answers={"tm.t_relay": [-1]}),
    Scene("933 without the store", invite("933"), _gone),
    Scene("a PSAP calls back", from_trunk(NUMBERS[0]), _lent),
    Scene("a PSAP calls back without the media server", from_trunk(NUMBERS[0]), _lent, {"tm.t_relay": [-1, 1]}),
    Scene("a PSAP calls back a stranger", from_trunk(NUMBERS[0]), _lent_to_a_stranger, {"tm.t_relay": [-1, 1]}),
    Scene("a PSAP calls a number that is free", from_trunk(NUMBERS[2])),
    Scene("the media server's leg", from_media_server(NUMBERS[0]), _lent),
    Scene("the media server's leg to a stranger", from_media_server(NUMBERS[0]), _lent_to_a_stranger),
    Scene("the media server's leg to nobody", from_media_server(NUMBERS[0])),
    Scene("a user calls a user", invite("user2", **BY_USER_1), lambda edge: edge.registers(2), CREDENTIALS),
    Scene("a user calls outside", invite("+13015550123", **BY_USER_1), answers=CREDENTIALS),
    Scene("an unknown caller", invite("user2")),
    Scene("a call from outside", from_trunk("+12025551002"), lambda edge: edge.registers(2)),
    Scene("a call from outside to nobody", from_trunk("+12025559999")),
    Scene("a REGISTER", invite("", method="REGISTER", to_user=b"user1", **BY_USER_1), answers=CREDENTIALS),
    Scene("a REGISTER without credentials", invite("", method="REGISTER", to_user=b"user1")),
    Scene("a BYE of the caller", invite(method="BYE", to_tag=True, headers=[ROUTE]), _called),
    Scene("a BYE of the PSAP", from_trunk("911", method="BYE", to_tag=True, headers=[ROUTE]), _called,
          {"rr.is_direction": -1}),
    Scene("a BYE of a callback", from_trunk("x", method="BYE", to_tag=True, headers=[CALLBACK_ROUTE]), _called_back),
    Scene("a re-INVITE of the caller", invite(to_tag=True, headers=[ROUTE]), _called),
    Scene("an ACK", invite(method="ACK", to_tag=True, headers=[ROUTE]), _called),
    Scene("a BYE of no dialog", invite(method="BYE", to_tag=True), answers={"rr.loose_route": -1}),
    Scene("a CANCEL", invite(method="CANCEL"), answers={"tm.t_check_trans": 1}),
    Scene("OPTIONS", Message(method="OPTIONS", uri=b"sip:example.org")),
    Scene("a method nobody speaks", invite("user2", method="PUBLISH")),
    Scene("the PSAP's trunk failed", invite(), _called, callback="ksr_failure_trunk", calls_for_help=True),
    Scene("every trunk failed", invite(), _called, {"tm.t_relay": [-1]}, "ksr_failure_trunk"),
    Scene("933's media server failed", invite("933"), _played, callback="ksr_failure_readback"),
    Scene("a callback's media server failed", from_trunk(NUMBERS[0]), _called_back, callback="ksr_failure_callback"),
    Scene("a branch to the media server", invite("933"), _played, {"$rd": MEDIA[0], "$rp": str(MEDIA[1])},
          "ksr_branch_media_server", silent=True),
    Scene("an answer of the caller's phone", invite(), _called_back, {"isflagset": True}, "ksr_reply_media",
          silent=True),
    Scene("a dialog ended", invite(), _called, callback="ksr_dialog_event", arguments=("dialog:end",), silent=True),
    Scene("metrics", Message(method="GET"), answers={"$Rp": "9102"}, callback="ksr_xhttp_event", arguments=("",)),
    Scene("no metrics", Message(method="GET"), answers={"$Rp": "5060"}, callback="ksr_xhttp_event", arguments=("",)),
)  # fmt: skip
