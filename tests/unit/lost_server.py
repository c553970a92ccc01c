"""A LoST server on loopback (RFC 5222 §14) that answers as a test says, well or ill, and keeps what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lxml import etree

LOST = "urn:ietf:params:xml:ns:lost1"
GML = "http://www.opengis.net/gml"
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
CIVIC_EXTENSION = f"{CIVIC}:ext"


@dataclass
class Asked:
    """One request: its headers, and what it asks, read by another parser than ours."""

    path: str
    headers: dict[str, str]
    body: bytes
    root: etree._Element = field(init=False)

    def __post_init__(self) -> None:
        self.root = etree.fromstring(self.body)

    @property
    def civic(self) -> dict[str, str]:
        """The civic address, by local names."""
        found = self.root.find(f"{{{LOST}}}location[@profile='civic']/{{{CIVIC}}}civicAddress")
        return {} if found is None else {etree.QName(child).localname: str(child.text) for child in found}

    @property
    def point(self) -> str | None:
        found = self.root.find(f"{{{LOST}}}location[@profile='geodetic-2d']/{{{GML}}}Point/{{{GML}}}pos")
        return None if found is None else found.text

    @property
    def validates(self) -> bool:
        return bool(self.root.get("validateLocation") == "true")


#: What answers a request: bytes are sent as LoST answers are; a function may do with the connection what it likes.
Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class LostServer:
    """A running server. `answer` may be changed at any time."""

    url: str
    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)
    #: set when the test is over, so that an answer which never ends does
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def lost_server(answer: Callable[[Asked], Answer], *, host: str = "127.0.0.1", port: int = 0) -> Iterator[LostServer]:
    """Serves from another thread until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            server.asked.append(asked)
            answered = server.answer(asked)
            if callable(answered):
                answered(self)
            else:
                send(self, answered)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that gave up is what some tests are about."""

    with Server((host, port), Handler) as http:
        server = LostServer(f"http://{host}:{http.server_address[1]}/lost", answer)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            http.shutdown()
            thread.join()


def send(
    handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/lost+xml")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def mapping(
    *uris: str, expires: str = "2090-01-01T01:44:33Z", service: str = "urn:service:sos", validation: str = "",
    warnings: str = "",
) -> bytes:  # fmt: skip
    """A findServiceResponse as in RFC 5222's figures 5 and 7."""
    listed = "".join(f"<uri>{uri}</uri>" for uri in uris)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<findServiceResponse xmlns="{LOST}" xmlns:p2="{GML}">
  <mapping expires="{expires}" lastUpdated="2006-11-01T01:00:00Z" source="authoritative.example"
           sourceId="7e3f40b098c711dbb6060800200c9a66">
    <displayName xml:lang="en">New York City Police Department</displayName>
    <service>{service}</service>
    <serviceBoundary profile="geodetic-2d">
      <p2:Polygon srsName="urn:ogc:def::crs:EPSG::4326"><p2:exterior><p2:LinearRing>
        <p2:pos>37.775 -122.4194</p2:pos><p2:pos>37.555 -122.4194</p2:pos><p2:pos>37.775 -122.4194</p2:pos>
      </p2:LinearRing></p2:exterior></p2:Polygon>
    </serviceBoundary>
    {listed}
    <serviceNumber>911</serviceNumber>
  </mapping>
  {validation}
  <path><via source="resolver.example"/><via source="authoritative.example"/></path>
  <locationUsed id="civic"/>
  {warnings}
</findServiceResponse>
""".encode()


def validation(*, valid: str = "", invalid: str = "", unchecked: str = "") -> str:
    """A locationValidation (RFC 5222 §8.4.2): element names separated by spaces."""
    parts = {"valid": valid, "invalid": invalid, "unchecked": unchecked}
    lists = "".join(
        f"<{kind}>{' '.join(f'ca:{name}' for name in names.split())}</{kind}>" for kind, names in parts.items() if names
    )
    return f'<locationValidation xmlns:ca="{CIVIC}">{lists}</locationValidation>'


def errors(name: str, message: str) -> bytes:
    return (
        f'<?xml version="1.0"?><errors xmlns="{LOST}" source="resolver.example">'
        f'<{name} message="{message}" xml:lang="en"/></errors>'
    ).encode()


def redirect(target: str) -> bytes:
    return (
        f'<?xml version="1.0"?><redirect xmlns="{LOST}" target="{target}" source="westpsap.example" '
        'message="We have temporarily failed over." xml:lang="en"/>'
    ).encode()
