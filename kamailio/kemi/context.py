"""What every process of Kamailio holds for itself: its settings and its own connection to the edge store."""

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from holdfast.core.headers import uri_host
from holdfast.core.lease import Moment
from holdfast.core.model import Pool, Trunk
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.edge.store import EdgeStore
from holdfast.errors import EdgeStoreUnavailable
from kemi import ksr


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
class Network:
    """The trunks and pools of one provisioning revision."""

    key: tuple[str, int, int]
    #: the store it was read from, and SQLite's count of what other processes have written there since
    seen: tuple[EdgeStore | None, int]
    trunks: tuple[Trunk, ...]
    pools: tuple[Pool, ...]


_network = Network(("", -1, -1), (None, -1), (), ())


def network() -> Network:
    """Trunks and pools, re-read when the provisioning changed; the last known ones while the store cannot be read."""
    global _network
    try:
        current = store()
        seen = (current, current.written_elsewhere())
        if seen == _network.seen:
            return _network
        info = current.info()
        key = (info.store_id, info.revision, info.network_version)
        if key == _network.key:
            _network = replace(_network, seen=seen)
        else:
            _network = Network(key, seen, current.trunks(), current.pools())
            first = next((trunk for trunk in _network.trunks if trunk.emergency), None)
            if first is not None:  # for the native fallback
                ksr.table_set("fallback", "trunk", first.uri)
    except EdgeStoreUnavailable as error:
        alarm("edge_store_unavailable", str(error))
    return _network


def alarm(name: str, text: str) -> None:
    """Say loudly that something is wrong, without ever failing itself."""
    ksr.error(f"ALARM {name}: {text}")
    ksr.count("alarms_total", name)
