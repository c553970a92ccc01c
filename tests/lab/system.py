"""One whole node on this machine: PostgreSQL, Kamailio, edge agent, call controller, media server; phones and PSAPs.

with System() as system:
    alice = system.phone(ALICE)
    psap = system.psap()
    alice.dial("911")
    psap.established()
"""

import shutil
import sqlite3
import ssl
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg

from holdfast import settings as node_settings
from lab import provisioning, services
from lab.certificates import Authority
from lab.command import Command
from lab.ladder import Parts
from lab.layout import DEVICE_ADDRESS, DOMAIN, PSAP_NUMBER, Layout, User
from lab.phones import Account, Endpoint, Phone
from lab.ports import Ports, is_free
from lab.postgres import PrivatePostgres
from lab.processes import Daemon, end_all, processes_of
from lab.services import Service
from lab.sip_links import Link
from lab.sip_peer import SipPeer
from lab.sipp import Credentials, Place, Sipp, label
from lab.trace import Collector
from lab.waiting import wait_until

Say = Callable[[str], None]


class System:
    """A running node. `rtpengine` runs one; `tls` has Kamailio speak TLS, too; `say` hears of each step."""

    def __init__(
        self,
        *,
        layout: Layout | None = None,
        rtpengine: bool = False,
        tls: bool = False,
        say: Say = lambda _: None,
    ) -> None:
        services.require_programs()
        prompts = services.prompts()
        self.ports = Ports()
        self.layout = layout or Layout.free(self.ports)
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-lab-", dir="/tmp"))
        self.postgres = PrivatePostgres()
        self.collector = Collector()
        self.media_name = ""
        self._rtpengine_port = self.ports.one() if rtpengine else 0
        self._say = say
        self._services: dict[str, Service] = {}
        #: every phone, SIPp and peer that was made, in order
        self.phones: list[Phone] = []
        self.devices: list[Sipp] = []
        self.peers: list[SipPeer] = []
        self.tls_port = self.ports.one() if tls else 0
        #: whom Kamailio trusts, and who signed its own certificate; there is none without TLS
        self.authority = Authority.create(self.folder / "tls", "lab-ca") if tls else None
        (self.folder / "state").mkdir()
        (self.folder / "run").mkdir()
        settings_file = self.folder / "holdfast.toml"
        settings_file.write_text(self._settings_text(prompts), encoding="utf-8")
        self.settings = node_settings.load(settings_file)
        self.holdfast = Command(settings_file)

    def __enter__(self) -> "System":
        try:
            self.start()
        except Exception:
            self._say(f"the logs are kept in {self.folder}")
            self.close(keep=True)
            raise
        except BaseException:  # told to stop: nothing went wrong that a log could explain
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start everything, provision it through the command line, and wait until the node has it all."""
        self.media_name, media = services.media_server(self.settings, self.folder, self.holdfast)
        controller = services.controller(self.settings, self.folder, self.holdfast)
        for name, service in (("media", media), ("controller", controller)):  # these need no database
            self._launch(name, service)
        self._say("PostgreSQL, in a private cluster")
        self.postgres.start()
        self._say("the database, the tenant, its users, numbers and trunks, by the holdfast command")
        provisioning.provision(self.holdfast, self.layout, self.postgres)
        agent = self._launch("agent", services.agent(self.settings, self.folder, self.holdfast))
        waited_for = [media, controller, agent]
        if self._rtpengine_port:
            rtp = self.ports.block(100)
            engine = services.rtpengine(self.settings.sip.address, self._rtpengine_port, rtp, self.folder)
            waited_for.append(self._launch("rtpengine", engine))
        waited_for.append(self._launch("kamailio", services.kamailio(self.settings, self.folder)))
        for service in waited_for:
            service.until_ready()
        self.wait_synced()

    def close(self, *, keep: bool = False) -> None:
        """End everything, phones first, and delete the folder (unless it is to be `keep`t for its logs)."""
        endings: list[Callable[[], None]] = [phone.stop for phone in self.phones]
        endings += [device.stop for device in self.devices]
        endings += [peer.close for peer in self.peers]
        endings += [service.daemon.stop for service in reversed(self._services.values())]
        endings += [self.postgres.remove, self.collector.close, self.ports.close]
        end_all(endings)
        if not keep:
            shutil.rmtree(self.folder)

    # parts --------------------------------------------------------------------------------------------------------

    @property
    def daemons(self) -> dict[str, Daemon]:
        """Every process of the node's, but PostgreSQL, in the order in which they are started again."""
        order = ("rtpengine", "media", "controller", "agent", "kamailio")
        return {name: self._services[name].daemon for name in order if name in self._services}

    @property
    def kamailio(self) -> Daemon:
        return self._services["kamailio"].daemon

    @property
    def agent(self) -> Daemon:
        return self._services["agent"].daemon

    @property
    def controller(self) -> Daemon:
        return self._services["controller"].daemon

    @property
    def media(self) -> Daemon:
        return self._services["media"].daemon

    @property
    def rtpengine(self) -> Daemon:
        return self._services["rtpengine"].daemon

    def restart(self, name: str) -> None:
        """Stop (if it runs) and start one of: agent, controller, kamailio, media, rtpengine."""
        self._services[name].daemon.stop()
        self._services[name].start()

    @property
    def media_endpoint(self) -> str:
        """Where the media server speaks SIP, as address:port, the way traces write it."""
        return f"{self.layout.sip_address}:{self.layout.media_sip_port}"

    @property
    def has_freeswitch(self) -> bool:
        return self.media_name == "FreeSWITCH"

    @property
    def parts(self) -> Parts:
        """Who is who in a ladder diagram, left to right."""
        layout = self.layout
        names: dict[str, str] = {}
        for phone in self.phones:
            if phone.account.password:
                names |= dict.fromkeys((phone.contact, phone.endpoint.address), f"{phone.name}'s phone")
        names |= {device.place.address: "SIPp device" for device in self.devices}
        # siptrace gives port 0 where it cannot tell which of Kamailio's sockets it was
        names |= {f"{layout.sip_address}:{port}": "Kamailio" for port in (layout.sip_port, 0)}
        names[self.media_endpoint] = "FreeSWITCH" if self.has_freeswitch else "media server"
        names |= {trunk.address: f"PSAP ({trunk.name})" for trunk in layout.trunks}
        return Parts(names)

    # endpoints ----------------------------------------------------------------------------------------------------

    def phone(self, user: User, *, transport: str = "udp", name: str = "") -> Phone:
        """A new phone of this user, registered. Two phones of one user need two names and the same address."""
        proxy = f"sip:{self.layout.sip_address}:{self.tls_port}" if transport == "tls" else self.layout.proxy
        account = Account(user.name, DOMAIN, proxy, user.password, display_name=user.display_name, transport=transport)
        return self._start_phone(name or user.name, user.address, account).registered()

    def psap(self, trunk: int = 0, *, auto_answer: bool = True) -> Phone:
        """A PSAP's telephone behind a trunk: it is called as 911 and the like, and calls as PSAP_NUMBER."""
        place = self.layout.trunks[trunk]
        account = Account(
            PSAP_NUMBER, place.address, self.layout.proxy, display_name="County PSAP",
            auto_answer=auto_answer, also=("911", "112", "999", "+911"),
        )  # fmt: skip
        # a softphone on another machine could not send its voice to a loopback address
        reachable = self.layout.sip_address if not ip_address(self.layout.sip_address).is_loopback else ""
        return self._start_phone(place.name, place.address, account, place.port, reachable)

    def device(
        self,
        scenario: str,
        values: Mapping[str, str],
        *,
        address: str = DEVICE_ADDRESS,
        port: int = 0,
        credentials: Credentials | None = None,
    ) -> Sipp:
        """A SIPp that calls Kamailio; `run()` it. Values fill the scenario's placeholders (number, from, headers…)."""
        target = f"{self.layout.sip_address}:{self.layout.sip_port}"
        port = port or self.ports.one(address)
        place = Place(address, port, target, media_port=self.ports.block(4)[0])
        return self._new_sipp(scenario, place, values, credentials)

    def trunk_caller(self, scenario: str, values: Mapping[str, str]) -> Sipp:
        """A SIPp that calls Kamailio from the first trunk's address, as a PSAP or carrier does; `run()` it."""
        return self.device(scenario, values, address=self.layout.trunks[0].address)

    def trunk_callee(self, scenario: str, values: Mapping[str, str], trunk: int = 0) -> Sipp:
        """A SIPp in a trunk's place that waits to be called; `start()` it."""
        where = self.layout.trunks[trunk]
        return self.waiting_device(scenario, values, address=where.address, port=where.port)

    def waiting_device(self, scenario: str, values: Mapping[str, str], *, address: str, port: int) -> Sipp:
        """A SIPp at an address of its own that waits to be called there; `start()` it."""
        return self._new_sipp(scenario, Place(address, port, media_port=self.ports.block(4)[0]), values, None)

    def peer(self, address: str, port: int = 0, transport: str = "udp", **tls: ssl.SSLContext | None) -> SipPeer:
        """A SIP element of the test's own (lab.sip_peer), listening."""
        peer = SipPeer(address, port or self.ports.one(address), transport=transport, **tls)
        self.peers.append(peer)
        return peer

    def kamailio_link(self, peer: SipPeer) -> Link:
        """A peer's way to Kamailio."""
        port = self.tls_port if peer.transport == "tls" else self.layout.sip_port
        return peer.link_to(self.layout.sip_address, port)

    # what it holds ------------------------------------------------------------------------------------------------

    def edge_rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the edge store, read only."""
        uri = f"file:{self.settings.node.edge_store}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, parameters)]

    def leases(self) -> list[dict[str, Any]]:
        """Every lease of the node, as stored, with the number of its calls in progress."""
        return self.edge_rows(
            "select lease.*, (select count(*) from emergency_call c where c.lease_id = lease.id) as calls"
            " from lease order by first_dial_at"
        )

    def lease_of(self, user: User) -> dict[str, Any]:
        """The lease that this user holds, as `leases` has it; ValueError unless there is exactly one."""
        [lease] = [lease for lease in self.leases() if lease["aor"] == user.aor]
        return lease

    def idle_numbers(self) -> list[str]:
        """Callback numbers of this node that nobody holds, live or resting."""
        query = "select number from pool_number where number not in (select number from lease) order by number"
        return [str(row["number"]) for row in self.edge_rows(query)]

    def let_time_pass(self, seconds: float) -> None:
        """Make every lease that much older, on both clocks, as if nothing had happened for so long."""
        with closing(sqlite3.connect(self.settings.node.edge_store, timeout=5)) as connection, connection:
            connection.execute(
                "update lease set marked_at = marked_at - ?1, boottime_s = boottime_s - ?1,"
                " first_dial_at = first_dial_at - ?1, last_end_at = last_end_at - ?1",
                (seconds,),
            )

    def database_rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of PostgreSQL, asked as its superuser."""
        with psycopg.connect(self.postgres.dsn(dbname="holdfast"), options="-c search_path=holdfast") as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def wait_synced(self, *, within_s: float = 20.0) -> None:
        """Wait until the edge store has every provisioning row and the numbers that its pools should keep idle."""
        [(revision,)] = self.database_rows("select coalesce(max(revision), 0) from changes_since(0, 1000000)")
        wait_until(
            "the edge store to hold what was provisioned", lambda: self._holds(int(revision)), within_s=within_s,
            why=lambda: f"the agent's log: {self.folder / 'agent.log'}",
        )  # fmt: skip

    def wait_shipped(self, *, within_s: float = 20.0) -> None:
        """Wait until PostgreSQL has confirmed every row of the edge store's journal that there is now."""
        [journal] = self.edge_rows("select coalesce(max(seq), 0) as last from journal")

        def shipped() -> bool:
            [store] = self.edge_rows("select shipped_seq from store")
            return bool(store["shipped_seq"] >= journal["last"])

        wait_until("the journal to reach PostgreSQL", shipped, within_s=within_s)

    def _holds(self, revision: int) -> bool:
        try:
            [store] = self.edge_rows("select node_id, revision, caught_up from store")
            [claimed] = self.edge_rows(
                "select count(*) as numbers from pool_number where owner_node_id = ?", store["node_id"]
            )
        except (sqlite3.OperationalError, ValueError):  # not there yet
            return False
        wanted = provisioning.TARGET_IDLE
        return store["revision"] >= revision and bool(store["caught_up"]) and claimed["numbers"] >= wanted

    def what_is_left(self) -> list[str]:
        """After `close`: ports that are still held and processes that still run. Empty if all is well."""
        ends = [(address, port) for _, address, port in self.layout.places()]
        ends += [(phone.endpoint.address, phone.endpoint.sip_port) for phone in self.phones]
        left = [f"port {address}:{port}" for address, port in ends if not is_free(address, port)]
        return [*left, *processes_of(self.folder), *processes_of(self.postgres.folder)]

    # inside -------------------------------------------------------------------------------------------------------

    def _settings_text(self, prompts: Path) -> str:
        engine = f"udp:127.0.0.1:{self._rtpengine_port}" if self._rtpengine_port else ""
        dsn = f"host={self.postgres.folder} dbname=holdfast"
        collector = f"{self.collector.address}:{self.collector.port}"
        return self.layout.settings(
            self.folder, dsn, prompts, rtpengine=engine, hep_collector=collector, tls=self._tls_settings()
        )

    def _tls_settings(self) -> str:
        if self.authority is None:
            return ""
        shown = self.authority.sign(DOMAIN, DOMAIN)
        return "\n".join([
            f"tls_port = {self.tls_port}", f'tls_certificate = "{shown.file}"', f'tls_private_key = "{shown.key}"',
            f'tls_ca_file = "{self.authority.own.file}"',
        ])  # fmt: skip

    def _launch(self, name: str, service: Service) -> Service:
        self._say(service.daemon.name)
        self._services[name] = service
        service.daemon.launch()
        return service

    def _start_phone(
        self, name: str, address: str, account: Account, sip_port: int = 0, media_address: str = ""
    ) -> Phone:
        endpoint = Endpoint.at(address, self.ports, sip_port, media_address)
        phone = Phone(name, self.folder / "phones" / f"{len(self.phones)}-{name}", endpoint, account)
        self.phones.append(phone)
        return phone.start()

    def _new_sipp(
        self, scenario: str, place: Place, values: Mapping[str, str], credentials: Credentials | None
    ) -> Sipp:
        folder = self.folder / "devices" / f"{len(self.devices)}-{label(scenario)}"
        device = Sipp(scenario, place, folder, {"domain": DOMAIN, **values}, credentials)
        self.devices.append(device)
        return device
