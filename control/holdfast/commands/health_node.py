"""`doctor` looks at this node: its programs, its clock, its disk, its edge store and the numbers in it."""

import ctypes
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from holdfast.commands.finding import Finding, fail, fail_with, ok, warn
from holdfast.edge import clock
from holdfast.edge import store as edge_store
from holdfast.edge.outbox import Outbox
from holdfast.edge.replica import Replica
from holdfast.edge.store_reads import StoreInfo
from holdfast.errors import HoldfastError
from holdfast.settings import Settings

_DISK_LOW_BYTES = 1_000_000_000
#: Below this SQLite's log and the journal of a long outage of PostgreSQL may not find room.
_DISK_FULL_BYTES = 100_000_000
#: The agent ships within a second; a journal row older than this means that it cannot.
_BACKLOG_OLD_S = 60.0
#: A lease marked further in the future than this was marked by a clock that has been set back since.
_FUTURE_S = 5.0
_FREESWITCH_FOLDERS = ("/usr/local/freeswitch/bin", "/opt/freeswitch/bin", "/usr/bin")
_KAMAILIO_PYTHON = tuple(
    f"{libraries}/kamailio/modules/app_python3.so" for libraries in ("lib/*", "lib64", "local/lib", "local/lib64")
)
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def check_programs(settings: Settings) -> Iterator[Finding]:
    """The programs that are not ours, as Debian's packages install them."""
    kamailio = _program("kamailio", "/usr/sbin", "/usr/local/sbin")
    if kamailio is None:
        yield fail("kamailio", "Kamailio is not installed", "apt-get install kamailio kamailio-python3-modules")
    elif not any(list(Path("/usr").glob(where)) for where in _KAMAILIO_PYTHON):
        yield fail("kamailio", "Kamailio lacks its module app_python3", "apt-get install kamailio-python3-modules")
    else:
        yield ok("kamailio", f"{kamailio} with app_python3")
    freeswitch = _program("freeswitch", *_FREESWITCH_FOLDERS)
    if freeswitch is None:
        yield warn(
            "freeswitch",
            "FreeSWITCH is not installed; the embedded media server can stand in, but not in production",
            "install it from its vendor's package repository",
        )
    else:
        yield ok("freeswitch", freeswitch)
    rtpengine = _program("rtpengine", "/usr/sbin", "/usr/bin")
    if rtpengine is None and settings.kamailio.rtpengine:
        yield fail("rtpengine", "rtpengine is configured, but not installed", "apt-get install rtpengine-daemon")
    elif rtpengine is None or not settings.kamailio.rtpengine:
        yield warn(
            "rtpengine",
            "media is not relayed: phones behind NAT may hear nothing",
            "apt-get install rtpengine-daemon, and name its control socket in kamailio.rtpengine",
        )
    else:
        yield ok("rtpengine", rtpengine)


def _program(name: str, *folders: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=":".join(folders))


def check_clock() -> Finding:
    """Whether something keeps this node's clock right. Windows are kept by two clocks, but reports carry wall time."""
    # struct timex is 208 bytes on 64-bit Linux; zeros ask without changing anything
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if state == _TIME_ERROR:
        return warn("time", "nothing keeps this node's clock right", "apt-get install chrony")
    if state < 0:
        return warn("time", "this system does not say whether its clock is kept right", "see that chrony runs")
    return ok("time", "this node's clock follows a time server")


def check_disk(settings: Settings) -> Finding:
    """Room for the edge store. When it is full, calls go out with the caller's own number."""
    folder = settings.node.state_dir
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail("disk", f"{folder}: {error.strerror}", "create it for the user that Kamailio and the agent run as")
    text = f"{free / 1e9:.1f} GB free below {folder}"
    if free < _DISK_FULL_BYTES:
        return fail("disk", text, "free space now: callback numbers cannot be lent without it")
    if free < _DISK_LOW_BYTES:
        return warn("disk", text, "free space, or give the node a larger disk")
    return ok("disk", text)


def check_store(settings: Settings) -> tuple[list[Finding], int | None]:
    """What is found in the edge store, and the revision it holds (None: it cannot be read)."""
    path = settings.node.edge_store
    try:
        with closing(edge_store.connect(path, create=False)) as connection:
            store = edge_store.EdgeStore(connection)
            info = store.info()
            findings = [_caught_up(info, path), _writable(connection, path), *_backlog(Outbox(connection))]
            findings += [_lease_times(store), *_supply(Replica(connection), store)]
    except HoldfastError as error:
        return [fail_with("edge store", error)], None
    except sqlite3.Error as error:
        return [fail("edge store", f"{path}: {error}", "see that this user may read it, and the disk's health")], None
    return findings, info.revision


def _caught_up(info: StoreInfo, path: Path) -> Finding:
    if not info.caught_up:
        return fail(
            "edge store",
            f"{path} does not hold the whole provisioning yet, so no callback number is lent",
            "see that 'holdfast agent' runs and reaches PostgreSQL",
        )
    return ok("edge store", f"{path} is readable and whole")


def _writable(connection: sqlite3.Connection, path: Path) -> Finding:
    try:
        connection.execute("begin immediate")
        connection.execute("rollback")
    except sqlite3.Error as error:
        return fail("edge store", f"{path} cannot be written: {error}", "see its owner, and that no process holds it")
    return ok("edge store", "it can be written")


def _backlog(outbox: Outbox) -> Iterator[Finding]:
    backlog = outbox.backlog()
    if backlog.oldest_s > _BACKLOG_OLD_S:
        yield warn(
            "journal",
            f"{backlog.rows} rows wait to be shipped, the oldest for {backlog.oldest_s:.0f} s",
            "see that 'holdfast agent' runs and reaches PostgreSQL; nothing is lost meanwhile",
        )
    else:
        yield ok("journal", f"{backlog.rows} rows wait to be shipped")
    if backlog.refused:
        yield warn(
            "journal",
            f"PostgreSQL took {backlog.refused} rows not at all",
            "report this with table journal_refused of the edge store; the agent's next start tries them again",
        )


def _lease_times(store: edge_store.EdgeStore) -> Finding:
    now = clock.now()
    ahead = max((lease.marked_at - now.wall_s for lease in store.leases(now)), default=0.0)
    if ahead > _FUTURE_S:
        return fail(
            "leases",
            f"a lease was marked {ahead:.0f} s in the future: this node's clock was set back",
            "correct the clock; windows last longer until then, never shorter",
        )
    return ok("leases", "no lease is from the future")


def _supply(replica: Replica, store: edge_store.EdgeStore) -> Iterator[Finding]:
    """Idle callback numbers of every pool, against what the node should keep."""
    counts = replica.count_pools()
    if not counts:
        yield fail("pools", "there are no pools, so no callback number can be lent", "'holdfast pool create'")
    if not any(trunk.emergency for trunk in store.network(clock.now()).trunks):
        yield fail("pools", "the edge store knows no trunk for emergency calls", "'holdfast trunk create'")
    for pool in counts:
        wanted = f"{pool.idle} idle of {pool.target_idle} wanted"
        text = f"pool {pool.name}: {wanted}, {pool.live} live, {pool.resting} resting"
        more = f"'holdfast pool add-numbers {pool.name}' (or the agent cannot claim: see 'holdfast pool show')"
        if pool.idle == 0 and pool.target_idle > 0:
            yield fail("pools", text, more)
        elif pool.idle < pool.target_idle:
            yield warn("pools", text, more)
        else:
            yield ok("pools", text)
