"""Who may import what: the table in the design, held against the code as it stands."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "control" / "holdfast"
KAMAILIO = ROOT / "kamailio"
MOST_LINES = 400
SKIPPED_FOLDERS = {".venv", ".git", "node_modules", "__pycache__", "var", "build"}

#: core decides; it neither waits, tells, stores, nor reads a clock, an environment or a random number.
NOT_PURE = {
    "asyncio", "concurrent", "ctypes", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
#: What is allowed everywhere: errors are a leaf without imports of its own.
LEAVES = ("holdfast.errors",)
WEB = ("flask", "werkzeug", "jinja2", "starlette", "uvicorn", "aiohttp")


@dataclass(frozen=True)
class Rule:
    """`folder` may import the standard library, itself, and what begins with one of `allowed`; nothing else."""

    name: str
    files: str  # a pattern below the repository's root
    itself: tuple[str, ...]
    allowed: tuple[str, ...]
    forbidden: frozenset[str] = frozenset()


CORE = ("holdfast.core",)
STORE = tuple(f"holdfast.edge.{name}" for name in ("store", "store_file", "store_reads", "store_leases", "store_facts"))
RULES = (
    Rule("core imports the pure standard library only", "control/holdfast/core/*.py", CORE, (), frozenset(NOT_PURE)),
    Rule("errors import nothing of ours", "control/holdfast/errors.py", (), ()),
    Rule("the edge store imports core and sqlite3 only", "control/holdfast/edge/store*.py",
         STORE, CORE),
    Rule("the clock imports core only", "control/holdfast/edge/clock.py", (), CORE),
    Rule("kamailio imports core, the edge store and the clock only", "kamailio/**/*.py", ("kemi",),
         (*CORE, *STORE, "holdfast.edge.clock")),
    Rule("esl imports errors only", "control/holdfast/esl/*.py", ("holdfast.esl",), ()),
    Rule("calls import core, esl, metrics and settings only", "control/holdfast/calls/*.py", ("holdfast.calls",),
         (*CORE, "holdfast.esl", "holdfast.metrics", "holdfast.controller_metrics", "holdfast.settings")),
    Rule("plane imports core, settings, metrics, psycopg, httpx, shapely and the web framework only",
         "control/holdfast/plane/*.py", ("holdfast.plane",),
         (*CORE, "holdfast.settings", "holdfast.metrics", "holdfast.plane_metrics", "psycopg", "httpx", "shapely",
          *WEB)),
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported name, as `a.b.c`, and where it stands. `module` is what is imported from."""

    path: Path
    line: int
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: imports {self.name}"


def python_files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in found if not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts))


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            for alias in node.names:
                yield Import(path, node.lineno, module, f"{module}.{alias.name}")


def is_below(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def breaks(found: Import, rule: Rule) -> bool:
    top = found.module.partition(".")[0]
    if found.module.startswith("."):
        return True  # relative imports hide what this test reads
    if top in sys.stdlib_module_names:
        return bool({found.module, found.name, top} & rule.forbidden)
    return not is_below(found.name, (*rule.itself, *rule.allowed, *LEAVES))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_module_imports_only_what_the_design_allows(rule: Rule) -> None:
    files = python_files(rule.files)
    assert files, f"no file matches {rule.files}: mend this test"
    exempt = KAMAILIO / "kemi" / "ksr.py"
    wrong = [
        f"{found}: {rule.name}"
        for path in files
        for found in imports(path)
        if breaks(found, rule) and not (found.name == "KSR" and path == exempt)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_core_reads_no_environment_file_or_clock() -> None:
    wrong = []
    for path in python_files("control/holdfast/core/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and node.id in {"open", "print", "input", "exec", "eval", "__import__"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.id}: core has no input and no output")
            elif isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "now", "today", "utcnow"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}: core has no clock or environment")
    assert not wrong, "\n" + "\n".join(wrong)


def test_ksr_is_touched_in_one_module_only() -> None:
    home = KAMAILIO / "kemi" / "ksr.py"
    wrong = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: names KSR: only kemi/ksr.py may"
        for path in python_files("kamailio/**/*.py", "control/**/*.py")
        if path != home
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id == "KSR") or (isinstance(node, ast.alias) and node.name == "KSR")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_embedded_media_server_is_imported_by_commands_and_tests_only() -> None:
    wrong = [
        f"{found}: only the command line and tests may import embedded"
        for path in python_files("control/**/*.py", "kamailio/**/*.py", "freeswitch/**/*.py")
        if not {PACKAGE / "embedded", PACKAGE / "commands"} & set(path.parents) and path != PACKAGE / "cli.py"
        for found in imports(path)
        if is_below(found.name, ("holdfast.embedded",))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_module_beside_kamailios_script_is_named_like_a_standard_one() -> None:
    """Kamailio puts that folder first on sys.path (apy_load_script)."""
    names = {path.stem if path.suffix == ".py" else path.name: path for path in KAMAILIO.iterdir()}
    wrong = [
        f"{path.relative_to(ROOT)}:1: hides the standard library's {name}"
        for name, path in sorted(names.items())
        if name in sys.stdlib_module_names and (path.is_dir() or path.suffix == ".py")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files("**/*.py")}
    wrong = [
        f"{path.relative_to(ROOT)}:{length}: more than {MOST_LINES} lines: split it by concept"
        for path, length in lengths.items()
        if length > MOST_LINES
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "is_wrong"),
    [
        ("import re", False),
        ("import os", True),
        ("from os import environ", True),
        ("from os.path import join", True),
        ("import urllib.parse", False),
        ("from urllib.request import urlopen", True),
        ("from datetime import UTC", False),
        ("from holdfast.core import model", False),
        ("from holdfast.core.model import Lease", False),
        ("from holdfast.errors import InputError", False),
        ("from holdfast import errors", False),
        ("from holdfast import metrics", True),
        ("import holdfast.edge.store", True),
        ("import psycopg", True),
        ("from . import model", True),
        ("def late():\n    import logging", True),
    ],
)
def test_the_rule_for_core_sees_every_way_to_import(tmp_path: Path, code: str, is_wrong: bool) -> None:
    path = tmp_path / "module.py"
    path.write_text(code, encoding="utf-8")
    assert any(breaks(found, RULES[0]) for found in imports(path)) is is_wrong
