"""A SIP dialog (RFC 3261 §12): who the two ends are, where requests within it go, and their numbers."""

from dataclasses import dataclass, field

from holdfast.embedded.sip_fields import Address, parse_name_addr, parse_uri
from holdfast.embedded.sip_message import Request, Response, SipMessage, SipParseError
from holdfast.embedded.sip_transactions import Headers


@dataclass
class Dialog:
    """`local` and `remote` are From/To values with their tags; `target` is the far end's Contact URI.

    `fallback` is where to send when neither route nor target names an IP address.
    """

    call_id: str
    local: str
    remote: str
    local_cseq: int
    remote_cseq: int | None
    target: str
    fallback: Address
    route: list[str] = field(default_factory=list)

    @classmethod
    def as_server(cls, request: Request, local_tag: str, fallback: Address) -> "Dialog":
        """The dialog that our answer to this INVITE makes. Raises SipParseError if it has no usable Contact."""
        number, _ = request.cseq
        local = f"{request.get('to')};tag={local_tag}"
        route = request.all("record-route")
        return cls(
            request.get("call-id"), local, request.get("from"), 0, number, _contact(request, None), fallback, route
        )

    @classmethod
    def as_client(cls, request: Request, response: Response, fallback: Address) -> "Dialog":
        """The dialog that this 2xx to our INVITE makes. Raises SipParseError if it cannot be one."""
        if not parse_name_addr(response.get("to")).tag:
            raise SipParseError("no tag in the To of a 2xx")
        number, _ = request.cseq
        route = list(reversed(response.all("record-route")))
        return cls(
            request.get("call-id"),
            request.get("from"),
            response.get("to"),
            number,
            None,
            _contact(response, request.uri),
            fallback,
            route,
        )

    @property
    def key(self) -> tuple[str, str]:
        """By what the endpoint finds it: Call-ID and our tag."""
        return self.call_id, parse_name_addr(self.local).tag

    @property
    def remote_tag(self) -> str:
        return parse_name_addr(self.remote).tag

    def request(self, method: str, headers: Headers = (), body: bytes = b"") -> Request:
        """A new request within the dialog; an ACK has the number of the INVITE before it."""
        if method != "ACK":
            self.local_cseq += 1
        uri, route = self.target, list(self.route)
        if route and "lr" not in parse_uri(parse_name_addr(route[0]).uri).parameters:
            # a strict router (§12.2.1.1): it is the Request-URI, and the target goes to the route's end
            uri, route = parse_name_addr(route[0]).uri, [*route[1:], f"<{self.target}>"]
        own = [("route", value) for value in route]
        own += [("from", self.local), ("to", self.remote), ("call-id", self.call_id)]
        own += [("cseq", f"{self.local_cseq} {method}"), ("max-forwards", "70")]
        return Request([*own, *headers], body, method, uri)

    @property
    def next_hop(self) -> Address:
        """Where to send: the first route, else the target, else (a host name) the fallback."""
        try:
            first = parse_name_addr(self.route[0]).uri if self.route else self.target
            return parse_uri(first).address or self.fallback
        except SipParseError:
            return self.fallback

    def accepts(self, request: Request) -> bool:
        """Take note of a request's number; False if it comes too late (§12.2.2)."""
        number, _ = request.cseq
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def refresh_target(self, message: SipMessage) -> None:
        """A re-INVITE or UPDATE, or the answer to one, may move the far end's Contact."""
        self.target = _contact(message, self.target)


def _contact(message: SipMessage, otherwise: str | None) -> str:
    contacts = message.all("contact")
    if not contacts:
        if otherwise is None:
            raise SipParseError("no Contact")
        return otherwise
    uri = parse_name_addr(contacts[0]).uri
    parse_uri(uri)
    return uri
