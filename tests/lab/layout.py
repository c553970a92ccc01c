"""What a lab consists of: names, numbers, addresses and ports, and the settings file that says so.

The numbers are fictional (NANP 555-0100 to 0199); the addresses are all loopback unless the SIP address is chosen.
"""

from dataclasses import dataclass
from pathlib import Path

from lab.ports import Ports, require_free

DOMAIN = "lab.holdfast.invalid"
NODE = "edge-1"
TENANT = "Acme"
POOL = "psap-pool"
#: The callback numbers of the pool.
POOL_NUMBERS = tuple(f"+1202555014{digit}" for digit in range(8))
TRUNK_GROUP = "psap"
#: A PSAP's calls come from its trunk's address: one loopback address per trunk.
TRUNK_ADDRESSES = ("127.0.0.20", "127.0.0.21")
PSAP_NUMBER = "+12025550199"
#: What the URI of a location begins with. A proxy that speaks TLS would stand there; here nobody does.
LOCATIONS_AT = "https://locations.lab.holdfast.invalid"


@dataclass(frozen=True)
class User:
    """A user of the tenant, as provisioned."""

    name: str
    display_name: str
    number: str
    password: str
    #: the loopback address that their phone lives on
    address: str

    @property
    def aor(self) -> str:
        return f"{self.name}@{DOMAIN}"


ALICE = User("alice", "Alice Doe", "+12025550101", "correct-horse-alice", "127.0.0.11")
BOB = User("bob", "Bob Roe", "+12025550102", "correct-horse-bob", "127.0.0.12")
USERS = (ALICE, BOB)
#: Where SIPp devices live.
DEVICE_ADDRESS = "127.0.0.13"


@dataclass(frozen=True)
class TrunkPlace:
    """A trunk: its name, and where the PSAP behind it listens and calls from."""

    name: str
    address: str
    port: int


@dataclass(frozen=True)
class Layout:
    """Every address and port of one lab."""

    sip_address: str
    sip_port: int
    http_port: int
    media_sip_port: int
    esl_port: int
    rtp_first_port: int
    rtp_last_port: int
    controller_port: int
    controller_metrics_port: int
    agent_metrics_port: int
    api_port: int
    api_metrics_port: int
    trunks: tuple[TrunkPlace, ...]

    @property
    def proxy(self) -> str:
        return f"sip:{self.sip_address}:{self.sip_port}"

    @classmethod
    def free(cls, ports: Ports) -> "Layout":
        """Loopback, on ports that nobody uses: any number of these run side by side."""
        rtp_first, rtp_last = ports.block(200)
        # the phone behind a trunk takes the port after its SIP port, too
        trunks = [
            TrunkPlace(f"psap-{number}", address, ports.block(2)[0])
            for number, address in enumerate(TRUNK_ADDRESSES, start=1)
        ]
        return cls(
            sip_address="127.0.0.1",
            sip_port=ports.one(),
            http_port=ports.one(),
            media_sip_port=ports.one(),
            esl_port=ports.one(),
            rtp_first_port=rtp_first,
            rtp_last_port=rtp_last,
            controller_port=ports.one(),
            controller_metrics_port=ports.one(),
            agent_metrics_port=ports.one(),
            api_port=ports.one(),
            api_metrics_port=ports.one(),
            trunks=tuple(trunks),
        )

    @classmethod
    def fixed(cls, sip_address: str, sip_port: int) -> "Layout":
        """The settings' defaults, so that a softphone can be told where to go; PortInUse names who has one of them."""
        layout = cls(
            sip_address=sip_address,
            sip_port=sip_port,
            http_port=9102,
            media_sip_port=sip_port + 20,
            esl_port=8021,
            rtp_first_port=20000,
            rtp_last_port=20199,
            controller_port=8085,
            controller_metrics_port=9104,
            agent_metrics_port=9103,
            api_port=8090,
            api_metrics_port=9105,
            trunks=(TrunkPlace("psap-1", TRUNK_ADDRESSES[0], 5060),),
        )
        layout.require_free()
        return layout

    def places(self) -> list[tuple[str, str, int]]:
        """Who needs which address and port, phones and voice apart."""
        return [
            ("Kamailio", self.sip_address, self.sip_port),
            ("the media server", self.sip_address, self.media_sip_port),
            ("the media server's event socket", "127.0.0.1", self.esl_port),
            ("the call controller", "127.0.0.1", self.controller_port),
            ("Kamailio's metrics page", "127.0.0.1", self.http_port),
            ("the edge agent's metrics page", "127.0.0.1", self.agent_metrics_port),
            ("the controller's metrics page", "127.0.0.1", self.controller_metrics_port),
            *((f"the simulated PSAP {trunk.name}", trunk.address, trunk.port) for trunk in self.trunks),
        ]

    def require_free(self) -> None:
        """Raise PortInUse for the first port that another process holds."""
        stop = "stop that process"
        other = f"{stop}, or choose another port: make up SIP_PORT=5070"
        chosen = {(self.sip_address, self.sip_port), (self.sip_address, self.media_sip_port)}
        for purpose, address, port in self.places():
            require_free(purpose, address, port, other if (address, port) in chosen else stop)

    def settings(
        self, folder: Path, dsn: str, prompts: Path, *, rtpengine: str, hep_collector: str, tls: str = ""
    ) -> str:
        """The settings file, in TOML (docs/settings.md). `tls`: what [sip] says of it."""
        fallback = f"sip:{self.trunks[0].address}:{self.trunks[0].port}"
        return f"""[node]
name = "{NODE}"
state_dir = "{folder}/state"
run_dir = "{folder}/run"

[database]
dsn = "{dsn}"

[sip]
domain = "{DOMAIN}"
address = "{self.sip_address}"
port = {self.sip_port}
workers = 2
default_country = "US"
{tls}

[kamailio]
http_port = {self.http_port}
rtpengine = "{rtpengine}"
fallback_trunk = "{fallback}"
hep_collector = "{hep_collector}"

[media]
address = "{self.sip_address}"
sip_port = {self.media_sip_port}
esl_port = {self.esl_port}
esl_password_file = "{folder}/state/esl-password"
rtp_first_port = {self.rtp_first_port}
rtp_last_port = {self.rtp_last_port}
prompts_dir = "{prompts}"

[controller]
port = {self.controller_port}
metrics_port = {self.controller_metrics_port}
ring_s = 10

[agent]
metrics_port = {self.agent_metrics_port}
poll_s = 1.0
options_every_s = 0

[api]
port = {self.api_port}
metrics_port = {self.api_metrics_port}
location_base_url = "{LOCATIONS_AT}"
"""
