"""What every process of Kamailio holds for itself: its settings and its own connection to the edge store."""

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from holdfast.core.headers import uri_host
from holdfast.core.ip_country import IpCountries
from holdfast.core.lease import Moment
from holdfast.core.model import Network
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.edge.store import EdgeStore
from holdfast.errors import EdgeStoreUnavailable, HoldfastError
from kemi import ksr

#: How long the network is believed without another look, in seconds.
REREAD_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Config:
    """The generated #!defines that the routes need."""

    edge_store: str
    domain: str
    address: str  # host:port that others reach us by
    media_address: str
    media_port: int
    language: str
    http_port: str
    has_rtpengine: bool
    speaks_tls: bool
    #: where strangers are held to be, if nothing says otherwise; "": nobody knows (A6)
    default_country: str
    #: the table of which country an address is in; "": there is none
    ip_country_file: str
    #: what the URI of a location begins with, and how long it can be asked for
    location_base_url: str
    location_valid_s: int

    @property
    def media_uri(self) -> str:
        return f"{uri_host(self.media_address)}:{self.media_port}"


@cache
def config() -> Config:
    return Config(
        edge_store=ksr.define("EDGE_STORE"),
        domain=ksr.define("SIP_DOMAIN"),
        address=ksr.define("SIP_HOSTPORT"),
        media_address=ksr.define("MEDIA_ADDRESS"),
        media_port=int(ksr.define("MEDIA_PORT")),
        language=ksr.define("LANGUAGE"),
        http_port=ksr.define("HTTP_PORT"),
        has_rtpengine=bool(ksr.define("RTPENGINE")),
        speaks_tls=bool(ksr.define("TLS_CONFIG")),
        default_country=ksr.define("DEFAULT_COUNTRY"),
        ip_country_file=ksr.define("IP_COUNTRY_FILE"),
        location_base_url=ksr.define("LOCATION_BASE_URL"),
        location_valid_s=int(ksr.define("LOCATION_VALID_S") or 0),
    )


def now() -> Moment:
    return clock.now()


@dataclass(frozen=True, slots=True)
class _Open:
    """A connection, and which process opened which file: neither survives a fork or the file's replacement."""

    store: EdgeStore
    pid: int
    inode: int


_open: _Open | None = None


def store() -> EdgeStore:
    """This process's edge store. Raises EdgeStoreUnavailable."""
    global _open
    path = config().edge_store
    try:
        inode = os.stat(path).st_ino  # noqa: PTH116  on every call's way, and five times as fast
    except OSError:
        inode = 0
    if _open is None or _open.inode != inode or inode == 0 or _open.pid != os.getpid():
        try:
            _open = None
            connection = edge_store.connect(Path(path))
            _open = _Open(EdgeStore(connection), os.getpid(), os.stat(path).st_ino)  # noqa: PTH116
        except OSError as error:
            raise EdgeStoreUnavailable(f"edge store {path}: {error}") from error
    return _open.store


@dataclass(frozen=True, slots=True)
class _Known:
    """The network of one provisioning revision, as it was read."""

    key: tuple[str, int, int]
    #: the store it was read from, and SQLite's count of what other processes have written there since
    seen: tuple[EdgeStore | None, int]
    network: Network
    #: when, by CLOCK_BOOTTIME in seconds
    read_at: float


_network = _Known(("", -1, -1), (None, -1), Network({}, (), ()), 0.0)


def network() -> Network:
    """Trunk groups, trunks and pools, re-read when the provisioning changed; the last known while that is impossible.

    Read again now and then as well: what is known of a trunk's health grows too old without anybody writing.
    """
    global _network
    try:
        current = store()
        seen = (current, current.written_elsewhere())
        moment = now()
        fresh = moment.boottime_s - _network.read_at < REREAD_AFTER_S
        if seen == _network.seen and fresh:
            return _network.network
        info = current.info()
        key = (info.store_id, info.revision, info.network_version)
        if key == _network.key and fresh:
            _network = replace(_network, seen=seen)
        else:
            _network = _Known(key, seen, current.network(moment), moment.boottime_s)
            for trunk in _network.network.platform_trunks[:1]:  # for the native fallback
                ksr.table_set("fallback", "trunk", trunk.uri)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
    return _network.network


@cache
def _ip_countries() -> IpCountries | None:
    path = config().ip_country_file
    if not path:
        return None
    try:
        # read, not mapped: somebody who copies another file over a mapped one ends the process
        return IpCountries.from_buffer(Path(path).read_bytes())
    except (OSError, HoldfastError) as error:
        alarm("ip_country_table_unusable", str(error))
        return None


def ip_country(address: str) -> str | None:
    """The country that an address is in, as a weak hint; None where it is not reliable."""
    table = _ip_countries()
    return table.country(address) if table else None


_started_at = 0.0


def kamailio_starts() -> None:
    """Once, before Kamailio forks. Its own $Tb is in whole seconds, and it may restart within less than one."""
    global _started_at
    _started_at = _started_at or now().wall_s


def started_at() -> float:
    """When this Kamailio started, in UTC seconds: calls before that ended with its predecessor."""
    return _started_at


def alarm(name: str, text: str) -> None:
    """Say loudly that something is wrong, without ever failing itself."""
    ksr.error(f"ALARM {name}: {text}")
    ksr.count("alarms_total", name)
