"""A real `holdfast api` in a process of its own, location URIs that a node reports, and what a PSAP asks of them."""

import hashlib
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from lxml import etree
from prometheus_client.parser import text_string_to_metric_families

from holdfast.plane import db
from integration.postgres import Database
from integration.sql_rows import entry, ship
from lab.net import http_get
from lab.ports import Ports
from lab.processes import Daemon, Program

HELD = "urn:ietf:params:xml:ns:geopriv:held"
PIDF = "urn:ietf:params:xml:ns:pidf"
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
GML = "http://www.opengis.net/gml"

POINT = '<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>18.4655 -66.1057</gml:pos></gml:Point>'
ADDRESS = (
    '<ca:civicAddress xml:lang="es"><ca:country>PR</ca:country><ca:A3>San Juan</ca:A3>'
    "<ca:RD>Calle Muñoz Rivera &amp; Co.</ca:RD></ca:civicAddress>"
)


def pidf_lo(*forms: str) -> str:
    """A PIDF-LO as an edge node builds it, or passes it on from a phone."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<presence xmlns="{PIDF}" xmlns:gp="{PIDF}:geopriv10" xmlns:ca="{CIVIC}" xmlns:gml="{GML}"\n'
        '  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" entity="pres:caller@example.com">'
        '<tuple id="t1"><status><gp:geopriv><gp:location-info>'
        f"{''.join(forms or (POINT, ADDRESS))}"
        "</gp:location-info><gp:usage-rules/><gp:method>Manual</gp:method></gp:geopriv></status>"
        '<note xsi:type="gp:notePurpose">a type named in a value</note></tuple></presence>\n'
    )


@dataclass(frozen=True)
class Reference:
    """One location URI as an edge node makes it."""

    document: str = field(default_factory=pidf_lo)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    valid_s: float = 60.0

    @property
    def digest(self) -> bytes:
        """What PostgreSQL knows it by."""
        return hashlib.sha256(self.token.encode()).digest()

    def payload(self) -> dict[str, Any]:
        """Its journal row's."""
        return {
            "token": self.token, "document": self.document, "expires_at": time.time() + self.valid_s,
            "call_id": "a84b4c76e66710@192.0.2.1",
        }  # fmt: skip

    def reported(self, database: Database, seq: int | None = None) -> Self:
        """The same, after a node's agent has shipped it."""
        with database.connect(db.AGENT) as agent:
            ship(agent, entry(seq or secrets.randbelow(2**40) + 1, "location_reference", self.payload()))
        return self


class ApiServer:
    """`holdfast api` on ports of its own; as a context it is stopped at the end."""

    def __init__(self, folder: Path, dsn: str, ports: Ports) -> None:
        self.port, self.metrics_port = ports.one(), ports.one()
        self.config = folder / "holdfast.toml"
        # connecting as the agent is what a settings file that serves a whole machine says
        self.config.write_text(
            f'[node]\nname = "edge-1"\n[database]\ndsn = "{dsn}"\n'
            f"[api]\nport = {self.port}\nmetrics_port = {self.metrics_port}\n"
        )
        self.daemon = Daemon(
            Program(
                "holdfast api", [sys.executable, "-m", "holdfast.cli", "api"], folder / "api.log",
                environment={"HOLDFAST_CONFIG": str(self.config)},
            )
        )  # fmt: skip
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=15.0)

    def __enter__(self) -> Self:
        self.daemon.start(lambda: self.metrics() and self._answers())
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.daemon.stop()

    def _answers(self) -> bool:
        try:
            return self.client.get("/").status_code == 404
        except httpx.TransportError:
            return False

    def get(self, token: str, accept: str | None = None) -> httpx.Response:
        return self.client.get(f"/location/{token}", headers={"Accept": accept} if accept is not None else {})

    def held(self, token: str, inside: str = "", attributes: str = "") -> httpx.Response:
        """A locationRequest with these attributes, and this inside it."""
        return self.post(token, f'<locationRequest xmlns="{HELD}" {attributes}>{inside}</locationRequest>')

    def post(self, token: str, body: str | bytes) -> httpx.Response:
        return self.client.post(f"/location/{token}", content=body, headers={"Content-Type": "application/held+xml"})

    def metrics(self) -> dict[str, float]:
        """Every sample as `name{label=value,…}`; empty while nobody answers."""
        page = http_get(f"http://127.0.0.1:{self.metrics_port}/metrics") or ""
        return {
            sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def dereferences(self, result: str) -> float:
        return self.metrics().get(f"holdfast_api_dereferences_total{{result={result}}}", 0.0)


def root(response: httpx.Response) -> Any:
    """The document of an answer; nothing that a PSAP's parser would choke on."""
    return etree.fromstring(response.content, etree.XMLParser(resolve_entities=False, no_network=True))


def error_code(response: httpx.Response) -> str:
    """The code of a HELD error (RFC 5985 §6.3)."""
    error = root(response)
    assert error.tag == f"{{{HELD}}}error"
    assert error.find(f"{{{HELD}}}message").text
    return str(error.get("code"))


def forms(response: httpx.Response) -> list[str]:
    """The local names of the forms that a locationResponse gives the location in."""
    answer = root(response)
    assert answer.tag == f"{{{HELD}}}locationResponse"
    (presence,) = answer
    assert presence.tag == f"{{{PIDF}}}presence"
    (info,) = presence.iter(f"{{{PIDF}:geopriv10}}location-info")
    return [etree.QName(form).localname for form in info]
