"""N1: the emergency call, its callback and 933 with one part after another gone."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acceptance.calls import answered_callback, call_back, callback_reaches, emergency_call, end, hear_each_other
from holdfast import render
from lab.layout import ALICE, BOB, POOL_NUMBERS
from lab.net import accepts_tcp
from lab.phones import Phone
from lab.processes import Daemon, Program
from lab.services import program
from lab.system import System


def the_main_job(system: System, alice: Phone, psap: Phone) -> None:
    """A 911 call and its callback."""
    number = emergency_call(alice, psap)
    assert number in POOL_NUMBERS
    callback_reaches(system, psap, number, alice)


def test_n1_with_postgresql_stopped(system: System, alice: Phone, psap: Phone) -> None:
    system.postgres.stop()
    the_main_job(system, alice, psap)
    system.postgres.start()
    system.wait_shipped()
    assert system.database_rows("select count(*) from journal where kind = 'call_started'")[0][0] >= 2


def test_n1_with_the_edge_agent_killed(system: System, alice: Phone, psap: Phone) -> None:
    system.agent.kill()
    the_main_job(system, alice, psap)


def test_n1_with_the_call_controller_killed(system: System, alice: Phone, psap: Phone) -> None:
    system.controller.kill()
    mark = system.collector.mark()
    the_main_job(system, alice, psap)
    media = f"{system.settings.media.address}:{system.settings.media.sip_port}"
    passed = [item.message() for item in system.collector.messages(mark) if item.source == media]
    assert [message for message in passed if message and message.is_request and message.method == "INVITE"]


@pytest.mark.parametrize("part", ["controller", "media"])
def test_n1_with_the_call_controller_or_the_media_server_stalled(
    system: System, alice: Phone, psap: Phone, part: str
) -> None:
    """It accepts connections and says nothing: the dead-man of the dialplan takes over, or Kamailio."""
    number = emergency_call(alice, psap)
    stalled: Daemon = getattr(system, part)
    stalled.freeze()
    try:
        callback_reaches(system, psap, number, alice)
    finally:
        stalled.thaw()


def test_n1_the_controller_dies_while_the_phone_rings(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    alice.forget_events()
    call_back(system, psap, number)
    alice.ringing()
    system.controller.kill()
    alice.answer()
    psap.established()
    hear_each_other(alice, psap)


def test_n1_the_controller_dies_while_they_talk(system: System, alice: Phone, psap: Phone) -> None:
    number = emergency_call(alice, psap)
    answered_callback(system, psap, number, alice)
    system.controller.kill()
    hear_each_other(alice, psap)
    end(alice, psap)


def test_n1_with_the_media_server_killed_kamailio_delivers_the_callback_itself(
    system: System, alice: Phone, psap: Phone
) -> None:
    number = emergency_call(alice, psap)
    system.media.kill()
    callback_reaches(system, psap, number, alice)
    invite = alice.received("INVITE")[-1]
    assert invite.get("Priority") == "psap-callback"
    assert not invite.all("X-Holdfast-Callback-Number")
    answer = psap.answers("INVITE")[-1]
    assert answer.status == 200
    assert "alice" not in answer


def test_n1_with_the_media_server_refusing(system: System, alice: Phone, psap: Phone) -> None:
    """As FreeSWITCH does when it is full, or told to pause."""
    number = emergency_call(alice, psap)
    media = system.settings.media
    system.media.kill()
    refuses = system.waiting_device("uas_refuses", {"code": "503"}, address=media.address, port=media.sip_port).start()
    callback_reaches(system, psap, number, alice)
    assert refuses.wait().received("INVITE")


def test_n1_933_without_the_media_server_is_refused_with_the_reason(system: System, alice: Phone) -> None:
    system.media.kill()
    alice.dial("933")
    assert alice.closed().detail.startswith("503")
    assert not system.edge_rows("select * from emergency_call")


def test_n1_with_everything_but_kamailio_gone(system: System, alice: Phone, psap: Phone) -> None:
    system.postgres.stop()
    for daemon in (system.agent, system.controller, system.media):
        daemon.kill()
    the_main_job(system, alice, psap)


@pytest.fixture
def take_edge_store(system: System) -> Iterator[Callable[[], None]]:
    """Take the edge store away when called; it is put back after the test."""
    path = system.settings.node.edge_store
    aside = path.parent / "aside"
    aside.mkdir()

    def move(source: Path, target: Path) -> None:
        for file in source.glob(f"{path.name}*"):
            file.rename(target / file.name)

    def take() -> None:
        system.agent.kill()
        move(path.parent, aside)
        path.mkdir()

    yield take
    if path.is_dir():
        path.rmdir()
    move(aside, path.parent)
    aside.rmdir()


def test_n1_without_an_edge_store_the_call_leaves_unmasked_and_the_callback_still_finds_the_phone(
    system: System, alice: Phone, psap: Phone, take_edge_store: Callable[[], None]
) -> None:
    number = emergency_call(alice, psap)
    take_edge_store()
    for phone in (alice, psap):
        phone.forget_events()
    assert emergency_call(alice, psap) == ALICE.name
    callback_reaches(system, psap, number, alice)
    alice.dial("933")
    assert alice.closed().detail.startswith("503")


@contextmanager
def broken_kamailio(system: System, folder: Path) -> Iterator[Path]:
    """Kamailio with a routing script that raises at its first step, in place of the lab's.

    It does so unless the file that is given exists.
    """
    intact = folder / "intact"
    routes = Path(__file__).resolve().parents[3] / "kamailio"
    script = folder / "broken_routes.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(routes)!r})\n"
        "from emergency_routes import mod_init\n"
        "from kemi import callers\n"
        "from pathlib import Path\n"
        "origin = callers.origin\n"
        "def fails(request):\n"
        f"    if not Path({str(intact)!r}).exists():\n"
        "        raise RuntimeError('broken on purpose')\n"
        "    return origin(request)\n"
        "callers.origin = fails\n",
        encoding="utf-8",
    )
    config = folder / "kamailio.cfg"
    rendered = (system.folder / "kamailio.cfg").read_text(encoding="utf-8")
    config.write_text(re.sub(r"(#!define SCRIPT) .*", rf'\1 "{script}"', rendered), encoding="utf-8")
    system.kamailio.stop()
    argv = render.kamailio_argv(system.settings, Path(program("kamailio", "kamailio")), config)
    daemon = Daemon(Program("broken Kamailio", argv, folder / "log", render.kamailio_env(), death_signal="TERM"))
    daemon.start(lambda: accepts_tcp(system.layout.sip_address, system.layout.sip_port))
    try:
        yield intact
    finally:
        daemon.stop()


def test_n1_when_the_routing_code_itself_fails_the_native_fallback_delivers_the_callback(
    system: System, psap: Phone, tmp_path: Path
) -> None:
    with broken_kamailio(system, tmp_path) as intact:
        intact.touch()
        alice = system.phone(ALICE)
        number = emergency_call(alice, psap)
        assert number in POOL_NUMBERS
        intact.unlink()
        callback_reaches(system, psap, number, alice)
        alice.stop()  # while there is a registrar that knows it


def test_n1_when_the_routing_code_itself_fails_the_native_fallback_relays(
    system: System, psap: Phone, tmp_path: Path
) -> None:
    with broken_kamailio(system, tmp_path):
        call = system.device("call", {"number": "+1911", "from": f"<sip:{ALICE.aor}>"}).run()
        assert call.ok, call.complaints
        assert psap.received("INVITE")
        for number, code in (("933", "503"), (BOB.name, "500")):
            values = {"number": number, "from": f"<sip:{ALICE.aor}>", "code": code}
            refused = system.device("call_refused", values).run()
            assert refused.ok, refused.complaints
