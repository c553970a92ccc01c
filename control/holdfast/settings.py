"""The node's settings: one TOML file, read and checked once into a frozen object.

The file is named by HOLDFAST_CONFIG, or is /etc/holdfast/holdfast.toml. Passwords never stand in it: it names the
files that hold them.
"""

import ipaddress
import math
import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from holdfast.errors import SettingsError

DEFAULT_PATH = Path("/etc/holdfast/holdfast.toml")
#: A third of how long a result counts (core.health.STALE_AFTER_S): two rounds may be missed.
MOST_OPTIONS_EVERY_S = 60.0

#: BCP 47 as a folder's name. Anything else below the prompts folder is not a language.
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
#: Lengths of time that may be 0, which stands for never.
_NEVER_AT_ZERO = {"options_every_s"}
#: Ports that may be 0, which stands for none.
_NONE_AT_ZERO = {"tls_port"}
#: What some texts must look like, and how that is said.
_TEXTS = {
    "name": (re.compile(r"\S(.*\S)?"), 'a name, such as "edge-1"'),
    "domain": (re.compile(r"[A-Za-z0-9.:\[\]-]+"), 'a domain, such as "example.org"'),
    "default_country": (re.compile(r"([A-Z]{2})?"), 'an ISO 3166-1 alpha-2 code such as "US", or "" for none'),
    "language": (re.compile(r"[A-Za-z0-9_-]+"), 'a folder of prompts_dir, such as "en"'),
    "fallback_trunk": (re.compile(r"(sips?:\S+)?"), '"sip:host:port", or "" for none'),
    "rtpengine": (re.compile(r"(udp6?:\S+:[0-9]+)?"), '"udp:127.0.0.1:2223", or "" for none'),
    "hep_collector": (re.compile(r"(\S+:[0-9]+)?"), '"host:port", or "" for none'),
    "location_base_url": (
        # stands in a SIP header within <>; without TLS (RFC 6753 §3) on this machine only
        re.compile(
            r"((https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(127(\.[0-9]+){3}|localhost|\[::1\]))"
            r"(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*)?"
        ),
        '"https://lis.example.com" without a / at its end, or "" for none',
    ),
}


@dataclass(frozen=True)
class Node:
    """Who this edge node is, and where it keeps what it writes."""

    name: str
    state_dir: Path = Path("/var/lib/holdfast")
    run_dir: Path = Path("/run/holdfast")

    @property
    def edge_store(self) -> Path:
        return self.state_dir / "edge.db"

    @property
    def kamailio_rpc(self) -> Path:
        """Kamailio's JSON-RPC datagram socket."""
        return self.run_dir / "kamailio.rpc"


@dataclass(frozen=True)
class Database:
    """PostgreSQL, as a libpq connection string without a password (use a pgpass file or a service)."""

    dsn: str = "postgresql:///holdfast"
    connect_timeout_s: int = 5


@dataclass(frozen=True)
class Sip:
    """Where Kamailio listens, and the domain that phones register in."""

    domain: str = "holdfast.invalid"
    address: str = "127.0.0.1"
    port: int = 5060
    workers: int = 4
    #: where callers are that nobody knows, if neither they nor their address say (ISO 3166-1 alpha-2); empty: refused
    default_country: str = ""
    #: SIP over TLS; 0: none
    tls_port: int = 0
    #: what this node shows, with the certificates between it and a root; and its key. PEM, both
    tls_certificate: Path | None = None
    tls_private_key: Path | None = None
    #: the authorities whose certificates trunks must show, as a PEM bundle; None: no certificate is verified
    tls_ca_file: Path | None = None

    @property
    def speaks_tls(self) -> bool:
        return self.tls_port > 0


@dataclass(frozen=True)
class Kamailio:
    """Kamailio's side doors, all on loopback."""

    http_port: int = 9102  # xhttp_prom
    #: rtpengine's control socket, e.g. "udp:127.0.0.1:2223"; empty: media is never relayed
    rtpengine: str = ""
    #: sip:host:port that emergency calls go to when the routing code itself fails (route[EMERGENCY_FALLBACK])
    fallback_trunk: str = ""
    #: host:port of a HEP v3 collector that every SIP message is mirrored to; empty: none
    hep_collector: str = ""

    @property
    def http_address(self) -> str:
        return "127.0.0.1"


@dataclass(frozen=True)
class Media:
    """FreeSWITCH (or the embedded media server): SIP, RTP and ESL, reachable only from this node."""

    address: str = "127.0.0.1"
    sip_port: int = 5080
    esl_port: int = 8021
    esl_password_file: Path = Path("/etc/holdfast/esl-password")
    rtp_first_port: int = 20000
    rtp_last_port: int = 29999
    prompts_dir: Path = Path("/usr/share/holdfast/prompts")
    language: str = "en"

    @property
    def esl_address(self) -> str:
        """The event socket commands the whole media server: it is never open to anybody but this node."""
        return "127.0.0.1"

    def languages(self) -> list[str]:
        """Every folder of prompts_dir that is named like a language."""
        folder = self.prompts_dir
        found = (entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else ()
        return sorted(name for name in found if LANGUAGE.fullmatch(name))

    def esl_password(self) -> str:
        try:
            password = self.esl_password_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"media.esl_password_file: {self.esl_password_file}: {error}",
                mend="run 'holdfast render' once: it makes a random password",
            ) from error
        if len(password) < 16 or not password.isprintable():
            raise SettingsError(
                f"media.esl_password_file: {self.esl_password_file} does not hold one line of 16 characters or more",
                mend="delete the file and run 'holdfast render': it makes a random password",
            )
        return password


@dataclass(frozen=True)
class Controller:
    """The call controller: where FreeSWITCH connects to it, and how a callback is tried."""

    address: str = "127.0.0.1"
    port: int = 8085
    metrics_port: int = 9104
    ring_s: int = 30
    callback_attempts: int = 3

    @property
    def holds_a_call_for_s(self) -> int:
        """How long it may hold a call without a bridge before it counts as stalled, in seconds."""
        return 60 + self.callback_attempts * (self.ring_s + 15)


@dataclass(frozen=True)
class Agent:
    """The edge agent's rhythm. LISTEN/NOTIFY wakes it; polling finds what a lost wake-up missed."""

    metrics_port: int = 9103
    poll_s: float = 5.0
    retry_first_s: float = 0.2
    retry_last_s: float = 10.0
    #: how often each trunk is asked whether it lives; 0: never, and every trunk counts as healthy
    options_every_s: float = 10.0

    @property
    def asks_trunks(self) -> bool:
        return self.options_every_s > 0


@dataclass(frozen=True)
class Api:
    """Location by reference: what the URIs that edge nodes give away look like, and `holdfast api`, which answers."""

    address: str = "127.0.0.1"
    port: int = 8090
    metrics_port: int = 9105
    #: what a location URI begins with, e.g. "https://lis.example.com"; empty: locations cannot go by reference
    location_base_url: str = ""
    #: how long a location URI can be fetched from, in seconds; a call lasts a day at most
    location_valid_s: int = 86400


@dataclass(frozen=True)
class Settings:
    """Everything a node's processes are told at start."""

    path: Path
    node: Node
    database: Database = field(default_factory=Database)
    sip: Sip = field(default_factory=Sip)
    kamailio: Kamailio = field(default_factory=Kamailio)
    media: Media = field(default_factory=Media)
    controller: Controller = field(default_factory=Controller)
    agent: Agent = field(default_factory=Agent)
    api: Api = field(default_factory=Api)


def load(path: Path | None = None) -> Settings:
    """Read and check the settings file; SettingsError says which line's value is wrong and how to mend it."""
    path = path or Path(os.environ.get("HOLDFAST_CONFIG") or DEFAULT_PATH)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            f"no settings file at {path}", mend="write one (docs/settings.md), or name yours in HOLDFAST_CONFIG"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", mend="make it a file that this user may read") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}", mend="mend that line; docs/settings.md shows a whole file") from error
    return from_document(document, path)


def from_document(document: dict[str, Any], path: Path) -> Settings:
    """Check a parsed settings document; every table and key must be known and of its type."""
    tables: dict[str, Any] = {table.name: table.type for table in fields(Settings) if table.name != "path"}
    unknown = sorted(set(document) - set(tables))
    if unknown:
        raise SettingsError(f"{path}: unknown table [{unknown[0]}]", mend=f"known tables: {', '.join(tables)}")
    node = document.get("node", {})
    if isinstance(node, dict) and "name" not in node:
        raise SettingsError(f"{path}: [node] has no name", mend='add: [node] / name = "edge-1"')
    parts = {name: _table(path, name, kind, document.get(name, {})) for name, kind in tables.items()}
    settings = Settings(path=path, **parts)
    _check_order(path, settings.media, "media", "rtp_first_port", "rtp_last_port")
    _check_order(path, settings.agent, "agent", "retry_first_s", "retry_last_s")
    _check_tls(path, settings.sip)
    if settings.agent.options_every_s > MOST_OPTIONS_EVERY_S:
        raise SettingsError(
            f"{path}: agent.options_every_s is more than {MOST_OPTIONS_EVERY_S:g}: results would be too old to count",
            mend=f"use {MOST_OPTIONS_EVERY_S:g} or less, or 0 to ask no trunk",
        )
    return settings


def _check_order(path: Path, part: object, table: str, first: str, last: str) -> None:
    if getattr(part, first) > getattr(part, last):
        raise SettingsError(f"{path}: {table}.{first} is more than {last}", mend=f"make {last} at least {first}")


def _check_tls(path: Path, sip: Sip) -> None:
    missing = [name for name in ("tls_certificate", "tls_private_key") if getattr(sip, name) is None]
    if sip.speaks_tls and missing:
        raise SettingsError(
            f"{path}: sip.tls_port is set, and sip.{missing[0]} is not", mend=f"name the PEM file in {missing[0]}"
        )
    if sip.speaks_tls and sip.tls_port == sip.port:
        raise SettingsError(f"{path}: sip.tls_port is sip.port, where TCP listens", mend="use another, such as 5061")


def _table(path: Path, table: str, kind: Any, values: Any) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: {table} must be a table", mend=f"write [{table}] and its keys below it")
    known = {key.name: key.type for key in fields(kind)}
    checked: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"{path}: [{table}] has no key {key!r}", mend=f"known keys: {', '.join(known)}")
        checked[key] = _value(f"{path}: {table}.{key}", key, known[key], value)
    return kind(**checked)


def _value(where: str, key: str, kind: Any, value: object) -> object:
    if kind in (Path, Path | None) and isinstance(value, str) and (value or kind != Path):
        return _path(where, value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not (0 < value < math.inf or (value == 0 and key in _NEVER_AT_ZERO)):
            mend = "use a positive number of seconds" + (", or 0 for never" if key in _NEVER_AT_ZERO else "")
            raise SettingsError(f"{where}: {value} is no length of time", mend=mend)
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return _whole_number(where, key, value)
    if kind is str and isinstance(value, str) and value.isprintable() and not set(value) & set("\"'\\"):
        if key == "address":
            _check_address(where, value)
        if key in _TEXTS and not _TEXTS[key][0].fullmatch(value):
            raise SettingsError(f"{where}: {value!r} cannot be used", mend=f"give {_TEXTS[key][1]}")
        return value
    raise SettingsError(f"{where}: {value!r} is not a usable {_called(kind)}", mend="see docs/settings.md")


def _path(where: str, value: str) -> Path | None:
    """An absolute path; "" for none, where there need be none."""
    if value and not Path(value).is_absolute():
        raise SettingsError(f"{where}: {value!r} is not an absolute path", mend="begin it with /")
    return Path(value) if value else None


def _whole_number(where: str, key: str, value: int) -> int:
    if value == 0 and key in _NONE_AT_ZERO:
        return value
    if key.endswith("port") and not 0 < value < 65536:
        mend = "use 1 to 65535" + (", or 0 for none" if key in _NONE_AT_ZERO else "")
        raise SettingsError(f"{where}: {value} is not a port", mend=mend)
    if value < 1:
        raise SettingsError(f"{where}: {value} is less than 1", mend="use a positive whole number")
    return value


def _called(kind: Any) -> str:
    return "Path" if kind == Path | None else str(kind.__name__)


def _check_address(where: str, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise SettingsError(f"{where}: {value!r} is not an IP address", mend="give an address, not a name") from error
