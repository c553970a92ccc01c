"""A node that callers reach from public addresses: Kamailio and its edge store in a network namespace of their own.

There every address is this machine's own, and nothing leaves it.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast import render, settings
from holdfast.edge import kamailio_rpc
from holdfast.edge import store as edge_store
from holdfast.errors import HoldfastError
from lab.command import Command
from lab.layout import ALICE, DOMAIN
from lab.processes import Daemon, Program
from lab.services import program
from lab.sipp import Credentials, Place, Sipp
from unit.edge_rows import row

#: Of the node itself and its trunk; callers have others.
EDGE, TRUNK = "127.0.0.1", "127.0.0.20"
PORT = 5060


@dataclass
class InternetNode:
    """Callers at public addresses; `namespace` is what a program is started through to be there with them."""

    folder: Path
    edge_store: Path
    namespace: list[str]
    devices: list[Sipp] = field(default_factory=list)

    def device(self, address: str, scenario: str, values: dict[str, str], credentials: Credentials | None) -> Sipp:
        folder = self.folder / "devices" / str(len(self.devices))
        place = Place(address, PORT, f"{EDGE}:{PORT}")
        made = _There(scenario, place, folder, {"domain": DOMAIN, **values}, credentials)
        made.namespace = self.namespace
        self.devices.append(made)
        return made

    def journal(self) -> list[tuple[str, dict[str, Any]]]:
        with closing(edge_store.connect(self.edge_store, create=False)) as connection:
            rows = connection.execute("select kind, payload from journal order by seq").fetchall()
        return [(row["kind"], json.loads(row["payload"])) for row in rows]


@dataclass
class _There(Sipp):
    namespace: list[str] = field(default_factory=list)

    def _argv(self, name: str) -> list[str]:
        return [*self.namespace, *super()._argv(name)]


@contextmanager
def internet_node(table: str, addresses: list[str]) -> Iterator[InternetNode]:
    """Run the node with a table of IP addresses' countries made from these lines (docs/ip-countries.md).

    A stranger there is in no country that anybody provisioned, and a call of alice's tenant must say where it is from.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-lab-", dir="/tmp") as name:
        folder = Path(name)
        added = "".join(f"ip address add {address}/32 dev lo && " for address in addresses)
        script = f"ip link set lo up && {added}echo ready && exec sleep infinity"
        # an ordinary user needs a user namespace for it, which root may not have either in a chroot
        user = [] if os.geteuid() == 0 else ["--user"]
        argv = ["unshare", *user, *(["--map-root-user"] if user else []), "--net", "sh", "-c", script]
        holder = Daemon(Program("the network namespace", argv, folder / "namespace.log"))
        holder.start(lambda: "ready" in holder.log())
        namespace = ["nsenter", *user, "--net", *(["--preserve-credentials"] if user else [])]
        namespace += ["--target", str(holder.pid), "--"]
        checked = _settings(folder)
        _own_table(folder, table)
        _provision(checked.node.edge_store)
        file = folder / "kamailio.cfg"
        render.kamailio(checked, file)
        argv = [*namespace, *render.kamailio_argv(checked, Path(program("kamailio", "kamailio")), file)]
        kamailio = Daemon(
            Program("Kamailio", argv, folder / "kamailio.log", render.kamailio_env(), death_signal="TERM")
        )
        node = InternetNode(folder, checked.node.edge_store, namespace)
        try:
            kamailio.start(lambda: _answers(checked.node.kamailio_rpc))
            yield node
        finally:
            for device in node.devices:
                device.stop()
            kamailio.stop()
            holder.stop()


def _settings(folder: Path) -> settings.Settings:
    file = folder / "holdfast.toml"
    file.write_text(
        f"""
        [node]
        name = "edge-1"
        state_dir = "{folder}"
        run_dir = "{folder}"
        [sip]
        domain = "{DOMAIN}"
        address = "{EDGE}"
        port = {PORT}
        workers = 2
        """,
        encoding="utf-8",
    )
    return settings.load(file)


def _own_table(folder: Path, lines: str) -> None:
    """The operator's own table, built and put in its place by the command."""
    source = folder / "countries.csv"
    source.write_text(lines, encoding="utf-8")
    marked = folder / "vpn.txt"
    marked.write_text("5.0.3.0/24\n", encoding="utf-8")
    command = Command(folder / "holdfast.toml")
    command.run("ip-countries", "build", str(source), str(folder / "ip-country.bin"), "--unreliable", str(marked))


def _provision(path: Path) -> None:
    with closing(edge_store.connect(path)) as connection:
        row(connection, "tenant", id=1, name="Acme", country="US", max_emergency_calls=10, country_required=1)
        row(connection, "platform_number", number=ALICE.number, tenant_id=1, outbound_enabled=1)
        ha1 = hashlib.md5(f"{ALICE.name}:{DOMAIN}:{ALICE.password}".encode()).hexdigest()
        row(connection, "subscriber", id=1, tenant_id=1, username=ALICE.name, realm=DOMAIN, ha1=ha1,
            display_name=ALICE.display_name, number=ALICE.number, outbound_enabled=1, inbound_enabled=1,
            do_not_disturb=0)  # fmt: skip
        # nobody is behind the trunk: where a call goes is settled before that is found out
        row(connection, "trunk_group", id=1, name="psap", emergency=1, ordinary=0, answers_within_ms=200)
        row(connection, "trunk", id=1, trunk_group_id=1, name="psap", host=TRUNK, port=5060, transport="udp",
            priority=1, weight=1, source_addresses=f'["{TRUNK}"]', enabled=1)  # fmt: skip
        row(connection, "pool", id=1, name="pool", trunk_group_id=1, country="US", window_s=3600, rest_s=600,
            target_idle=1)  # fmt: skip
        connection.execute("update store set node_id = 1, caught_up = 1, revision = 1")


def _answers(rpc_socket: Path) -> bool:
    try:
        kamailio_rpc.call(rpc_socket, "core.version", deadline_s=0.5)
    except HoldfastError:
        return False
    return True
