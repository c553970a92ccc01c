"""A Kamailio with a registrar's memory and its JSON-RPC socket, and nothing else."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from holdfast.edge import kamailio_rpc
from holdfast.errors import HoldfastError
from lab.ports import Ports
from lab.processes import Daemon, Program
from lab.services import program

_CONFIGURATION = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
loadmodule "kex.so"
loadmodule "jsonrpcs.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{folder}/kamailio.rpc")
modparam("jsonrpcs", "dgram_mode", 0600)
modparam("usrloc", "preload", "location")
request_route {{ exit; }}
"""


@contextmanager
def small_kamailio(folder: Path) -> Iterator[Path]:
    """Yields the path of its JSON-RPC socket, once it answers there."""
    with closing(Ports()) as ports:
        yield from _running(folder, ports.one())


def _running(folder: Path, port: int) -> Iterator[Path]:
    config = folder / "kamailio.cfg"
    config.write_text(_CONFIGURATION.format(port=port, folder=folder), encoding="utf-8")
    argv = [program("kamailio", "kamailio"), "-f", str(config), "-DD", "-E", "-Y", str(folder), "-m", "32", "-M", "4"]
    daemon = Daemon(Program("kamailio", argv, folder / "kamailio.log", death_signal="TERM"))
    rpc_socket = folder / "kamailio.rpc"

    def answers() -> bool:
        try:
            kamailio_rpc.call(rpc_socket, "core.version", deadline_s=0.5)
        except HoldfastError:
            return False
        return True

    daemon.start(answers)
    try:
        yield rpc_socket
    finally:
        daemon.stop()


def register(rpc_socket: Path, user: str, contact: str) -> None:
    """A registration, as if a phone had made it."""
    kamailio_rpc.call(rpc_socket, "ul.add", "location", f"{user}@example.com", contact, 3600, 1.0, "", 0, 0, 0)
