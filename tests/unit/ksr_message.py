"""A SIP message as it comes in, in bytes, and as it leaves."""

import hashlib
from dataclasses import dataclass, field


@dataclass
class Message:
    """A SIP message as it came in; text as bytes, since nobody promised UTF-8."""

    method: str = "INVITE"
    uri: bytes = b"sip:911@edge.example.org"
    call_id: bytes = b"call-1"
    from_user: bytes = b"user1"
    from_name: bytes = b'"User 1"'
    to_user: bytes = b"911"
    contact: bytes = b"sip:user1@10.0.0.1:5060"
    address: str = "10.0.0.1"
    port: int = 5060
    transport: str = "udp"
    to_tag: bool = False
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    digest_user: bytes | None = None
    asserted_user: bytes | None = None
    content_type: bytes | None = None
    body: bytes | None = None
    pseudo_variables: dict[str, bytes | None] = field(default_factory=dict)

    def variables(self) -> dict[str, bytes | None]:
        user, at, _ = self.uri.partition(b":")[2].partition(b"@")
        return {
            "$rm": self.method.encode(), "$ru": self.uri, "$rU": user if at else None, "$ci": self.call_id,
            "$fU": self.from_user, "$fn": self.from_name, "$tU": self.to_user, "$si": self.address.encode(),
            "$sp": str(self.port).encode(), "$proto": self.transport.encode(), "$cs": b"1", "$au": self.digest_user,
            "$(rU{s.select,0,;})": user.partition(b";")[0] if at else None,
            "$(ci{s.md5})": hashlib.md5(self.call_id).hexdigest().encode(), "$(dlg(callid){s.md5})": None,
            "$fu": b"sip:" + self.from_user + b"@example.org", "$(ai{uri.user})": self.asserted_user,
            "$(hdr(Refer-To){nameaddr.uri})": None, "$(ct{nameaddr.uri})": self.contact,
            "$(ct{param.value,expires})": None, "$dlg(callid)": None,
            **self.pseudo_variables,
        }  # fmt: skip

    def all_headers(self) -> list[tuple[str, bytes]]:
        contact = [("Contact", b"<" + self.contact + b">")] if self.contact else []
        asserted = self.asserted_user
        identity = [("P-Asserted-Identity", b"<sip:" + asserted + b"@example.org>")] if asserted else []
        return [*self.headers, *contact, *identity]


@dataclass
class Sent:
    """A request as it was relayed."""

    uri: str
    next_hop: str
    headers: list[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]
