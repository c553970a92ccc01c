"""`make up`: the demo's system on fixed ports, kept running, for a softphone of one's own. It calls nobody real."""

import argparse
import ipaddress
import os
import select
import signal
import sys

from holdfast.errors import HoldfastError
from lab.errors import told
from lab.layout import DOMAIN, USERS, Layout
from lab.narration import Narrator
from lab.phone_control import PhoneEvent
from lab.phones import Phone
from lab.system import System

_NOTICE = """
  ********************************************************************************
  *  THIS IS A SIMULATION. 911 is answered by a program on this machine; NOBODY  *
  *  REAL IS CALLED AND NO HELP WILL COME. Never use it as your emergency phone. *
  ********************************************************************************
"""


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C; 0. Exit status 2 with one clear line when something is missing or a port is in use."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    narrator = Narrator()
    try:
        layout = Layout.fixed(options.address, options.port)
        with System(layout=layout, say=lambda part: narrator.tell(f"starting {part}")) as system:
            psap = system.psap()
            print(_welcome(system), flush=True)
            _serve(system, psap)
    except KeyboardInterrupt:
        print("\nEverything is stopped.")
        return 0
    except HoldfastError as error:
        print(told(error), file=sys.stderr)
        return 2
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    # `make up SIP_PORT=5070` puts it into the environment
    address, port = os.environ.get("SIP_ADDRESS") or "127.0.0.1", os.environ.get("SIP_PORT") or "5060"
    parser.add_argument("--address", type=_address, default=address, help="this machine's, for phones elsewhere")
    parser.add_argument("--port", type=_port, default=port, help="SIP port, UDP and TCP (default 5060)")
    return parser.parse_args(arguments)


def _address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        raise argparse.ArgumentTypeError("name one address: phones are told to send their voice there")
    return str(address)


def _port(text: str) -> int:
    port = int(text)
    if not 1024 <= port <= 65000:
        raise argparse.ArgumentTypeError("use 1024 to 65000")
    return port


def _welcome(system: System) -> str:
    layout = system.layout
    phones = "\n".join(f"    user {user.name:<6} password {user.password:<22} number {user.number}" for user in USERS)
    return f"""{_NOTICE}
  Register a softphone (UDP or TCP, G.711):
    domain {DOMAIN}
    proxy  {layout.sip_address}:{layout.sip_port}  (outbound proxy)
{phones}

  Dial  933   to hear the number an emergency call would come from
        911   to reach a simulated PSAP: it answers and plays a melody
        alice, bob or their numbers, to call each other
  After a 911 call, press Enter here: the PSAP calls the number back that it saw.

  Look  HOLDFAST_CONFIG={system.settings.path} .venv/bin/holdfast lease list
        the same with: user list, pool list, doctor
        http://127.0.0.1:{layout.agent_metrics_port}/metrics (agent), \
:{layout.controller_metrics_port} (controller), :{layout.http_port} (Kamailio)
        logs in {system.folder}

  Ctrl-C stops everything.
"""


def _serve(system: System, psap: Phone) -> None:
    """Tell what happens at the PSAP, and let it call back at a key press, until interrupted."""
    told = 0
    keyboard = [sys.stdin] if sys.stdin.isatty() else []
    while True:
        ready, _, _ = select.select(keyboard, [], [], 0.5)
        if ready:
            sys.stdin.readline()
            _call_back(system, psap)
        events = psap.events()
        for event in events[told:]:
            if event.type in {"CALL_ESTABLISHED", "CALL_CLOSED", "CALL_RINGING"}:
                print(f"  PSAP: {_words(event)}", flush=True)
        told = len(events)
        _watch(system)


def _words(event: PhoneEvent) -> str:
    words = {
        "CALL_RINGING": f"{event.peer} rings",
        "CALL_ESTABLISHED": f"in a call with {event.peer}",
        # baresip's words for the other side's BYE
        "CALL_CLOSED": f"the call has ended ({event.detail.replace('Connection reset by peer', 'they hung up')})",
    }
    return words[event.type].replace(";transport=udp", "")


def _call_back(system: System, psap: Phone) -> None:
    calls = psap.received("INVITE")
    if not calls:
        print("  PSAP: nobody has called 911 yet", flush=True)
        return
    number = calls[-1].address("From").user
    print(f"  PSAP: calling {number} back", flush=True)
    psap.dial(f"sip:{number}@{system.layout.sip_address}:{system.layout.sip_port}")


def _watch(system: System) -> None:
    for daemon in (system.kamailio, system.agent, system.controller, system.media):
        if not daemon.running:
            raise HoldfastError(f"{daemon.name} has ended; its log is {daemon.program.log_file}")


if __name__ == "__main__":
    sys.exit(main())
