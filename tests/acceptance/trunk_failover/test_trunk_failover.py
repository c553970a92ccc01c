"""An emergency call is given up only when no trunk is left."""

import pytest

from lab.system import System

CALL = {"number": "911", "from": "<sip:somebody@elsewhere.invalid>"}


@pytest.mark.parametrize("code", ["400", "403", "404", "408", "480", "500", "503", "502"])
def test_a_trunk_that_refuses_is_passed_over_for_the_next(system: System, code: str) -> None:
    first = system.trunk_callee("uas_refuses", {"code": code}).start()
    second = system.trunk_callee("uas_answers", {}, trunk=1).start()
    call = system.device("call", CALL).run()
    assert call.ok, call.complaints
    refused = first.wait().received("INVITE")
    assert refused
    [invite] = second.wait().received("INVITE")
    assert invite.address("From").user == refused[0].address("From").user


@pytest.mark.parametrize("code", ["486", "600", "603"])
def test_what_the_called_party_decided_is_not_asked_of_another_trunk(system: System, code: str) -> None:
    system.trunk_callee("uas_refuses", {"code": code}).start()
    second = system.trunk_callee("uas_answers", {}, trunk=1).start()
    call = system.device("call_refused", {**CALL, "code": code}).run()
    assert call.ok, call.complaints
    assert not second.messages()


def test_a_trunk_that_says_nothing_costs_three_seconds(system: System) -> None:
    silent = system.trunk_callee("uas_silent", {"duration_ms": "5000"}).start()
    system.trunk_callee("uas_answers", {}, trunk=1).start()
    call = system.device("call", CALL).run()
    assert call.ok, call.complaints
    assert silent.messages()


def test_a_trunk_with_nobody_behind_it_is_passed_over(system: System) -> None:
    second = system.trunk_callee("uas_answers", {}, trunk=1).start()
    call = system.device("call", CALL).run()
    assert call.ok, call.complaints
    assert second.wait().received("INVITE")


def test_a_trunk_whose_host_is_unknown_is_passed_over(system: System) -> None:
    system.holdfast.run(
        "trunk", "create", "nowhere", "--group", "psap", "--host", "nowhere.invalid", "--source", "192.0.2.1",
        "--priority", "1", "--no-resolve-check",
    )  # fmt: skip
    system.wait_synced()
    try:
        system.trunk_callee("uas_answers", {}).start()
        call = system.device("call", CALL).run()
        assert call.ok, call.complaints
    finally:
        system.holdfast.run("trunk", "set", "nowhere", "--enabled", "off")
        system.wait_synced()


def test_when_no_trunk_is_left_the_caller_is_told_so(system: System) -> None:
    for trunk in (0, 1):
        system.trunk_callee("uas_refuses", {"code": "503"}, trunk=trunk).start()
    call = system.device("call_refused", {**CALL, "code": "503"}).run()
    assert call.ok, call.complaints
    [answer] = [answer for answer in call.answers() if answer.status == 503]
    assert "Use another phone" in answer.one("Warning")
    assert not system.edge_rows("select * from emergency_call")
