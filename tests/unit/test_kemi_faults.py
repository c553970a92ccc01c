"""Whatever fails in Kamailio or in Python, and wherever, no call is lost in silence and none is sent twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.kemi_edge import Edge
from unit.kemi_scenes import SCENES, Scene
from unit.ksr_double import Fail, Ksr

Fault = Callable[[], Exception]
CALLS_FOR_HELP = [scene for scene in SCENES if scene.calls_for_help and scene.callback == "ksr_request_route"]
OURS = ("kx.get_def", "kx.get_method", "kx.get_ruri", "kx.get_srcport")


def runtime_error() -> Exception:
    return RuntimeError("provoked by a test")


def not_utf_8() -> Exception:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def system_error() -> Exception:
    return SystemError("error return without exception set")


def is_read_from_the_message(name: str, arguments: tuple[Any, ...]) -> bool:
    """Not what is ours, and not the method and the URI, which decide what the message is."""
    if name == "pv.get":
        return not arguments[0].startswith(("$avp(", "$rm", "$ru", "$Rp"))
    return name == "htable.sht_get" or (name.startswith("kx.get") and name not in OURS)


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    return Edge(tmp_path, monkeypatch)


def at(index: int, fault: Fault) -> Fail:
    def fail(now: int, _name: str, _arguments: tuple[object, ...]) -> None:
        if now == index:
            raise fault()

    return fail


def whenever(name: str, fault: Fault) -> Fail:
    def fail(_now: int, called: str, _arguments: tuple[object, ...]) -> None:
        if called == name:
            raise fault()

    return fail


def wrongs(scene: Scene, done: Ksr, where: str) -> Iterator[str]:
    if scene.silent:
        return
    if not done.outcomes() and scene.callback.startswith(("ksr_request", "ksr_xhttp")):
        yield f"{scene.name}: {where}: nothing was answered or sent"
    if done.outcomes() > 1:
        yield f"{scene.name}: {where}: sent {len(done.relayed)}, answered {done.replies}, fallback {done.routed}"
    if scene.calls_for_help and not done.relayed and not done.routed:
        yield f"{scene.name}: {where}: a call for help was given up ({done.replies})"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_scene_has_one_outcome_when_nothing_fails(edge: Edge, scene: Scene) -> None:
    done = scene.play(edge)
    assert not list(wrongs(scene, done, "nothing failed"))
    assert done.outcomes() == (0 if scene.silent else 1)
    assert not done.routed


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_n1_whichever_call_fails_the_message_has_one_outcome(edge: Edge, scene: Scene) -> None:
    names = scene.play(edge).names()
    wrong = [
        found
        for index, name in enumerate(names)
        for found in wrongs(scene, scene.play(edge, at(index, runtime_error)), f"call {index} to KSR.{name} failed")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_n1_whichever_function_always_fails_no_call_is_lost(edge: Edge, scene: Scene) -> None:
    wrong = []
    # the refusal that stands in for another is the last there is
    for name in sorted({*scene.play(edge).names(), "err"} - {"xhttp.xhttp_reply"}):
        done = scene.play(edge, whenever(name, runtime_error))
        tried = [called for called in done.names() if called == "route"]
        if not scene.silent and not done.outcomes() and not tried and scene.callback == "ksr_request_route":
            wrong.append(f"{scene.name}: KSR.{name} always fails: nothing was answered or sent")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("fault", [not_utf_8, system_error], ids=["not utf-8", "system error"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_value_that_is_read_may_be_unreadable(edge: Edge, scene: Scene, fault: Fault) -> None:
    """KSR raises these for hostile bytes; they are no reason to leave the ordinary way of a call."""
    wrong = []
    for index, (name, arguments) in enumerate(scene.play(edge).calls):
        if is_read_from_the_message(name, arguments):
            done = scene.play(edge, at(index, fault))
            wrong += [f"{scene.name}: {arguments}: {text}" for text in done.errors if "routing_exception" in text]
            wrong += wrongs(scene, done, f"{arguments} was unreadable")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("scene", CALLS_FOR_HELP, ids=lambda scene: scene.name)
def test_n1_a_call_for_help_survives_any_failure_of_python_itself(
    edge: Edge, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise ZeroDivisionError

    for name in ("kemi.emergency.plan", "kemi.identity.show_only", "kemi.media.offer", "kemi.callers.identify"):
        with monkeypatch.context() as patch:
            patch.setattr(name, broken)
            assert not list(wrongs(scene, scene.play(edge), f"{name} failed"))
