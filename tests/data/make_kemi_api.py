"""Write kemi_api.txt: every KSR function of a real Kamailio that has loaded the modules of kamailio/kamailio.cfg.

Run it by hand after a module is added there, or for another version of Kamailio:

    python tests/data/make_kemi_api.py

It starts Kamailio on a free loopback port, asks it `kamcmd app_python.api_list`, and stops it.
"""

import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

CONFIGURATION = Path(__file__).resolve().parents[2] / "kamailio" / "kamailio.cfg"
TARGET = Path(__file__).with_name("kemi_api.txt")
STARTS_WITHIN_S = 10.0

_MODULE = re.compile(r'^loadmodule "(\w+)\.so"', re.MULTILINE)
_FUNCTION = re.compile(r"ret: (\w+)\s+module: (\w*)\s+name: (\w+)\s+params: ([\w, ]+)")
_SCRIPT = """
class Routes:
    def child_init(self, rank): return 0
def mod_init(): return Routes()
"""


def main() -> None:
    modules = _MODULE.findall(CONFIGURATION.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        functions = sorted(_FUNCTION.findall(_api_list(modules, Path(folder))), key=lambda found: (found[1], found[2]))
    version = subprocess.run(["kamailio", "-v"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    lines = [
        "# KSR.[module.]function(parameters) -> result, as `kamcmd app_python.api_list` told them.",
        f"# {version.strip()}; modules: {' '.join(modules)}",
        "# Made by make_kemi_api.py; do not edit.",
        *(_line(*function) for function in functions),
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(functions)} functions")


def _line(result: str, module: str, name: str, parameters: str) -> str:
    path = f"{module}.{name}" if module else name
    return f"{path}({'' if parameters == 'none' else parameters}) -> {result}"


def _api_list(modules: list[str], folder: Path) -> str:
    script = folder / "routes.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    door = f"unix:{folder}/ctl"
    configuration = folder / "kamailio.cfg"
    lines = [f"listen=udp:127.0.0.1:{_free_port()}", "children=1", "enable_tls=no", "tcp_accept_no_cl=yes"]
    lines += [f'loadmodule "{module}.so"' for module in modules]
    lines += [f'modparam("ctl", "binrpc", "{door}")', f'modparam("app_python3", "load", "{script}")']
    if "siptrace" in modules:
        lines.append('modparam("siptrace", "trace_to_database", 0)')
    if "xhttp" in modules:
        lines.append('modparam("xhttp", "event_callback", "ksr_xhttp_event")')
    configuration.write_text("\n".join([*lines, 'cfgengine "python"', ""]), encoding="utf-8")
    kamailio = subprocess.Popen(
        ["kamailio", "-f", str(configuration), "-DD", "-E", "-Y", str(folder), "-P", str(folder / "pid")],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and kamailio.poll() is None:
            answer = subprocess.run(
                ["kamcmd", "-s", door, "app_python.api_list"], capture_output=True, text=True, check=False
            )
            if answer.returncode == 0 and "func:" in answer.stdout:
                return answer.stdout
            time.sleep(0.1)
        raise SystemExit((folder / "log").read_text(encoding="utf-8", errors="replace"))
    finally:
        kamailio.terminate()
        kamailio.wait(10)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
