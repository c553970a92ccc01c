"""What an emergency call costs against a native Kamailio relay of the same messages, in the same run.

CPU time per call of all of Kamailio's processes, ours over native. Run it as: python tests/bench/bench_relay.py
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from holdfast import render, settings
from holdfast.edge import store
from lab.net import accepts_tcp
from lab.processes import Daemon, Program
from lab.services import program
from lab.sipp import SCENARIOS

CALLS, RATE = 3000, 100
EDGE, CALLER, PSAP = "127.0.99.1", "127.0.99.2", "127.0.99.20"
PORT, HTTP_PORT = 25060, 25061

NATIVE = f"""#!KAMAILIO
listen=udp:{EDGE}:{PORT}
listen=tcp:{EDGE}:{PORT}
children=2
log_stderror=yes
debug=1
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); }}
        exit;
    }}
    if (is_method("INVITE")) {{
        record_route();
        $du = "sip:{PSAP}:5060";
        t_relay();
    }}
}}
"""


@dataclass(frozen=True)
class Result:
    """CPU milliseconds per call, and calls that did not end as written."""

    cpu_ms: float
    failed: int


def cpu_s(group: int) -> float:
    """User and system time of every process of a process group, in seconds."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def seed(path: Path) -> None:
    connection = store.connect(path)
    connection.executescript(
        f"""update store set node_id = 1, caught_up = 1, revision = 1;
            insert into trunk_group (id, name, emergency, ordinary) values (1, 'psap', 1, 0);
            insert into trunk (id, trunk_group_id, name, host, port, transport, priority, weight, source_addresses,
                               enabled)
                values (1, 1, 'psap', '{PSAP}', 5060, 'udp', 1, 1, '{json.dumps([PSAP])}', 1);
            insert into pool (id, name, trunk_group_id, country, window_s, rest_s, target_idle)
                values (1, 'us', 1, 'US', 3600, 86400, 10);
            insert into pool_number (number, pool_id, shared, owner_node_id, owner_store_id)
                values ('+12025550101', 1, 0, 1, 'bench');
            insert into number_state (number, rested_since) values ('+12025550101', 0);"""
    )
    connection.close()


def measure(kamailio: Daemon, work: Path) -> Result:
    kamailio.start(lambda: accepts_tcp(EDGE, PORT))
    common = ["-nostdin", "-cp", "0", "-m", str(CALLS), "-timeout", "120"]
    callee = subprocess.Popen(
        ["sipp", "-sf", str(work / "uas.xml"), "-i", PSAP, "-p", "5060", *common], stdout=subprocess.DEVNULL, cwd=work
    )
    before = cpu_s(os.getpgid(kamailio.pid))
    caller = subprocess.run(
        ["sipp", "-sf", str(work / "uac.xml"), "-i", CALLER, "-p", "5070", "-r", str(RATE), *common, f"{EDGE}:{PORT}"],
        stdout=subprocess.DEVNULL, cwd=work, check=False,
    )  # fmt: skip
    after = cpu_s(os.getpgid(kamailio.pid))
    callee.terminate()
    callee.wait(10)
    kamailio.stop()
    return Result((after - before) / CALLS * 1000, caller.returncode)


def scenario(name: str, work: Path, file: str, values: dict[str, str]) -> None:
    text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8").replace("      {{headers}}\n", "")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    (work / file).write_text(text, encoding="utf-8")


def main() -> int:
    work = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    binary = Path(program("kamailio", "kamailio"))
    values = {"number": "911", "from": f"<sip:caller@{EDGE}>", "contact_user": "caller", "duration_ms": "100",
              "domain": EDGE, "ring_ms": "1"}  # fmt: skip
    scenario("call", work, "uac.xml", values)
    scenario("uas_answers", work, "uas.xml", values)
    native_file = work / "native.cfg"
    native_file.write_text(NATIVE, encoding="utf-8")
    document = {
        "node": {"name": "bench", "state_dir": str(work), "run_dir": str(work)},
        "sip": {"address": EDGE, "port": PORT, "workers": 2, "default_country": "US"},
        "kamailio": {"http_port": HTTP_PORT},
    }
    checked = settings.from_document(document, work / "holdfast.toml")
    seed(checked.node.edge_store)
    ours_file = work / "ours.cfg"
    render.kamailio(checked, ours_file)
    native = Program("native Kamailio", [str(binary), "-DD", "-E", "-f", str(native_file), "-Y", str(work)],
                     work / "native.log", death_signal="TERM")  # fmt: skip
    ours = Program("Holdfast's Kamailio", render.kamailio_argv(checked, binary, ours_file), work / "ours.log",
                   environment=render.kamailio_env(), death_signal="TERM")  # fmt: skip
    results = {name: measure(Daemon(relay), work) for name, relay in (("native", native), ("ours", ours))}
    for name, result in results.items():
        print(f"{name:7} {result.cpu_ms:6.2f} ms CPU per call, sipp exit {result.failed}")
    print(f"ratio   {results['ours'].cpu_ms / results['native'].cpu_ms:6.2f}  (two durable transactions per call)")
    shutil.rmtree(work)
    return max(result.failed for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
