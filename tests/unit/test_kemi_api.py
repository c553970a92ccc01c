"""Every KSR function that the routing code names exists in a real Kamailio, and is called as it must be."""

import ast
import re

import pytest

import emergency_routes
from unit.ksr_double import CONFIGURATION, ROOT, Kamailio, Ksr, NotInKemi, api, counters, declared, tables
from unit.ksr_message import Message

KSR_MODULE = ROOT / "kamailio" / "kemi" / "ksr.py"
KAMAILIO_FILES = sorted((ROOT / "kamailio").rglob("*.py"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def named() -> dict[str, set[tuple[int, int | None]]]:
    """Each function below KSR that ksr.py names: the lines, and with how many arguments it is called there."""
    tree = ast.parse(KSR_MODULE.read_text(encoding="utf-8"))
    calls = {
        id(node.func): None if any(isinstance(argument, ast.Starred) for argument in node.args) else len(node.args)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found: dict[str, set[tuple[int, int | None]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner and dotted(node).startswith("KSR."):
            name = dotted(node).removeprefix("KSR.")
            found.setdefault(name, set()).add((node.lineno, calls.get(id(node))))
    return found


def test_every_function_of_ksr_exists_and_gets_its_parameters() -> None:
    wrong = []
    for name, uses in named().items():
        for line, given in sorted(uses, key=str):
            if name not in api():
                wrong.append(f"kamailio/kemi/ksr.py:{line}: KSR.{name} does not exist")
            elif given is not None and given != len(api()[name][0]):
                wrong.append(f"kamailio/kemi/ksr.py:{line}: KSR.{name} takes {api()[name][0]}, and is given {given}")
    assert len(named()) > 50
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_module_that_is_used_is_loaded() -> None:
    loaded = {name for (name,) in declared(r'(?m)^loadmodule "(\w+)\.so"')}
    of_kemi = {"pv", "hdr", "kx"}  # pv.so, textopsx.so and kemix.so give these
    used = {name.partition(".")[0] for name in named() if "." in name} - of_kemi
    assert used <= loaded
    assert {"pv", "textopsx", "kemix"} <= loaded


def test_every_callback_that_is_named_to_kamailio_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in KAMAILIO_FILES) + CONFIGURATION.read_text()
    named_there = set(re.findall(r'"(ksr_\w+)"', text))
    assert {"ksr_failure_trunk", "ksr_dialog_event", "ksr_xhttp_event"} <= named_there
    assert all(callable(getattr(emergency_routes.Routes, name, None)) for name in named_there), named_there


def test_no_callback_that_5_6_looks_for_is_missing() -> None:
    """A missing one poisons a worker: it exists, or Kamailio is told that there is none."""
    assert callable(emergency_routes.Routes.child_init)
    assert callable(emergency_routes.Routes.ksr_request_route)
    told = {name for (name,) in declared(r'(?m)^kemi\.(\w+)_callback="none"')}
    for name in ("onsend_route", "reply_route"):
        assert name in told or callable(getattr(emergency_routes.Routes, f"ksr_{name}", None))


def test_every_function_of_the_ksr_module_is_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in KAMAILIO_FILES)
    defined = [node.name for node in ast.parse(KSR_MODULE.read_text()).body if isinstance(node, ast.FunctionDef)]
    unused = [name for name in defined if len(re.findall(rf"\b{name}\(|\bksr\.{name}\b", text)) < 2]
    assert not unused


def test_tables_and_counters_are_declared() -> None:
    assert tables() == {"devices", "holders", "fallback", "transfers", "udp_only"}
    assert counters()["emergency_calls_total"] == 2
    assert counters()["trunk_failovers_total"] == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tm.t_relay", ("udp",)),
        ("tm.t_relay_now", ()),
        ("nonsense", ()),
        ("seturi", (b"sip:x",)),
        ("tm.t_set_fr", ("1000", 1000)),
        ("htable.sht_get", ("nobody", "x")),
        ("pv.get", ("$nonsense",)),
        ("route", ("NOWHERE",)),
        ("hdr.append", ("Priority: x",)),
        ("hdr.append", ("A: b\r\nC: d\r\n",)),
        ("xhttp_prom.counter_inc_l1", ("trunk_failovers_total", 1, "label")),
        ("sl.send_reply", (True, "OK")),
        ("tm.t_uac_send", ("",) * 6),
    ],
)
def test_the_double_refuses_what_kamailio_has_not(name: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(NotInKemi):
        Ksr(Kamailio(), Message()).function(name)(*arguments)


def test_the_double_decodes_as_ksr_does() -> None:
    with pytest.raises(UnicodeDecodeError):
        Ksr(Kamailio(), Message(from_name=b"J\xf6rg")).pv.get("$fn")
