"""What a call says of its caller's location: bodies as phones send them, and what left, held against the schemas.

What left is taken apart by the standard library, not by the code that put it together.
"""

import email
import email.policy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from lab.layout import ALICE, DEVICE_ADDRESS
from lab.sip_messages import SipMessage, parse_address
from lab.sipp import Outcome, Sipp

DATA = Path(__file__).resolve().parents[2] / "data" / "pidf_lo"
PIDF = "urn:ietf:params:xml:ns:pidf"
GEOPRIV = "urn:ietf:params:xml:ns:pidf:geopriv10"
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
CIVIC_EXTENSION = f"{CIVIC}:ext"
GML = "http://www.opengis.net/gml"
LYNC = "urn:schema:Rtc.LIS.msftE911PidfExtn.2008"
NOTIFICATION = "urn:x-holdfast:notification"

SDP = f"""v=0
o=lab 1 1 IN IP4 {DEVICE_ADDRESS}
s=-
c=IN IP4 {DEVICE_ADDRESS}
t=0 0
m=audio 40000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""
BOUNDARY = "of-the-phone"
MULTIPART = f'multipart/mixed;boundary="{BOUNDARY}"'
SAYS_WHERE = "Geolocation: <cid:where@phone.example.com>"


def on_the_wire(text: str) -> bytes:
    """As SIPp sends it: every line ends in CR LF."""
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def example(name: str) -> str:
    """One of the documents that real clients' were copied after, without the comment that names its source."""
    lines = (DATA / "examples" / name).read_text(encoding="utf-8")
    before, _, rest = lines.partition("<!--")
    return before + rest.partition("-->\n")[2] if rest else lines


def with_document(document: str, sdp: str = SDP) -> str:
    """A body as a phone sends it: its offer, and where it is."""
    parts = [f"Content-Type: application/sdp\n\n{sdp}\n"] if sdp else []
    parts.append(
        "Content-Type: application/pidf+xml\nContent-ID: <where@phone.example.com>\n"
        f"Content-Description: the telephone of {ALICE.display_name}\n\n{document}\n"
    )
    return "".join(f"--{BOUNDARY}\n{part}" for part in parts) + f"--{BOUNDARY}--\n"


def answered(call: Sipp) -> Outcome:
    """Run a call that must go as its scenario says: answered, and ended by its caller."""
    outcome = call.run()
    assert outcome.ok, outcome.complaints
    return outcome


@dataclass(frozen=True)
class Part:
    """A part of a body."""

    content_type: str
    content_id: str
    body: bytes


def parts_of(message: SipMessage) -> list[Part]:
    """The parts of a multipart/mixed, as the standard library finds them."""
    head = f"Content-Type: {message.one('Content-Type')}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + message.body, policy=email.policy.HTTP)
    assert whole.get_content_type() == "multipart/mixed"
    assert not whole.defects
    found = []
    for part in whole.iter_parts():
        assert not part.defects
        body = part.get_payload(decode=True)
        assert isinstance(body, bytes)
        found.append(Part(part.get_content_type(), (part["Content-ID"] or "").strip("<>"), body))
    return found


@dataclass(frozen=True)
class Located:
    """An INVITE that carries a location in its body: the offer, the document (valid, and what it says), its part."""

    sdp: bytes
    document: Any
    content_id: str

    def texts(self, name: str, namespace: str = CIVIC) -> list[str]:
        """The texts of every element of this name, in order."""
        return [str(node.text) for node in self.document.iter(f"{{{namespace}}}{name}")]

    @property
    def entity(self) -> str:
        return str(self.document.get("entity"))


def located(invite: SipMessage) -> Located:
    """Its body taken apart: exactly an offer, and a valid document to which the last Geolocation leads."""
    offer, where = parts_of(invite)
    assert (offer.content_type, where.content_type) == ("application/sdp", "application/pidf+xml")
    geolocation = [parse_address(value).uri for value in invite.values("Geolocation")]
    assert geolocation[-1] == f"cid:{where.content_id}", "ours is the last (RFC 6442)"
    assert len([uri for uri in geolocation if uri.startswith("cid:")]) == 1
    assert invite.one("Geolocation-Routing") == "yes"
    return Located(offer.body, valid(where.body), where.content_id)


def valid(document: bytes) -> Any:
    """A location document's root, after the schemas of RFC 3863, 4119, 5139, 5491 and 7459 have found it valid."""
    root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    _schema().assertValid(root)
    return root


@cache
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(DATA / "schemas" / "pidf-lo.xsd")))


def assert_plain(invite: SipMessage, sdp: bytes | None = None) -> None:
    """It has an offer, and nothing in it or beside it says where its caller is."""
    assert invite.one("Content-Type") == "application/sdp"
    assert b"pidf" not in invite.raw.lower()
    assert not [name for name in ("Geolocation", "Geolocation-Routing", "X-Location-ID") if invite.all(name)]
    if sdp is not None:
        assert invite.body == sdp
