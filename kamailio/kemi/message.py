"""The message that is being routed, read once. Everything in it may be hostile, and may not be UTF-8."""

import base64
from dataclasses import dataclass

from holdfast.core import headers
from kemi import ksr

#: Kamailio's transformations take 64 KiB at most, and base64 makes four bytes of three.
_CHUNK_OCTETS = 48_000


@dataclass(frozen=True, slots=True)
class Request:
    """What routing reads of a request, once. `address`, `port` and `transport` are where its packets came from."""

    method: str
    uri: str
    user: str
    call_id: str
    from_user: str
    from_name: str
    to_user: str
    contact: str
    address: str
    port: int
    transport: str

    @property
    def source_uri(self) -> str:
        return headers.source_uri(self.address, self.port, self.transport)

    @property
    def over_tls(self) -> bool:
        return self.transport.lower() == "tls"

    @property
    def source_key(self) -> str:
        return f"{self.transport}:{self.address}:{self.port}"


def request() -> Request:
    return Request(
        method=ksr.read("$rm"), uri=_request_uri(), user=ksr.read("$rU"), call_id=call_id(),
        from_user=ksr.read("$fU"), from_name=headers.display_name(ksr.read("$fn")), to_user=ksr.read("$tU"),
        contact=_contact_uri(), address=ksr.read("$si"), port=int(ksr.read("$sp") or 0), transport=ksr.read("$proto"),
    )  # fmt: skip


def _request_uri() -> str:
    """The Request-URI; what can be read of it when its parameters or headers are not UTF-8."""
    uri = ksr.read("$ru")
    if uri:
        return uri
    user = ksr.read("$rU") or ksr.read("$(rU{s.select,0,;})")
    return f"sip:{user}@unreadable.invalid" if user else ""


def call_id(variable: str = "ci") -> str:
    """The Call-ID, or its digest when it is not UTF-8. `variable`: the pseudo-variable that holds it."""
    text = ksr.read(f"${variable}")
    digest = "" if text else ksr.read(f"$({variable}{{s.md5}})")
    return text or (f"md5:{digest}" if digest else "")


def _contact_uri() -> str:
    """The URI of the first Contact; asked of Kamailio only where there is one: it logs what it cannot find."""
    return ksr.read("$(ct{nameaddr.uri})") if ksr.has_header("Contact") else ""


def asserted_user() -> str:
    """The user part of the P-Asserted-Identity, for those who may assert one; else ""."""
    return ksr.read("$(ai{uri.user})") if ksr.has_header("P-Asserted-Identity") else ""


def verified_certificate() -> str:
    """What the peer showed, in PEM; "" if it is not verified. Asked over TLS alone, where the tls module is loaded."""
    return ksr.read("$tls_peer_raw_cert") if ksr.read("$tls_peer_verified") == "1" else ""


def content_type() -> str:
    """The Content-Type; "" when there is none, or it is not UTF-8."""
    return ksr.read("$cT")


def body() -> bytes:
    """The body, whatever its bytes are; b"" when there is none, or Kamailio cannot tell."""
    if not ksr.has_body():
        return b""
    chunks = (
        ksr.read(f"$(rb{{s.substr,{begin},{_CHUNK_OCTETS}}}{{s.encode.base64}})")
        for begin in range(0, int(ksr.read("$bs") or 0), _CHUNK_OCTETS)
    )
    return b"".join(map(base64.b64decode, chunks))


def set_body(body: bytes, content_type: str) -> None:
    """Another body; b"": none at all. In a branch route for that branch alone."""
    if body:
        ksr.remember("body", base64.b64encode(body).decode("ascii"))
        ksr.remember("body_type", content_type)
        ksr.set_body()
    else:
        ksr.remove_body()
        ksr.remove_header("Content-Type")


def octets() -> int:
    """How long the message is, as it came or as it was last rewritten."""
    return int(ksr.read("$ml") or 0)


def header(name: str) -> str:
    """Every value of a header, joined by commas (RFC 3261 §7.3.1); "" when there is none, or it is not UTF-8."""
    return ksr.read(f"$(hdr({name})[*])")


def mentions(text: str) -> bool:
    """Whether the message, in lower case, has this text anywhere; True as well when it cannot be told."""
    everything = ksr.read("$mb").lower()
    return not everything or text in everything
