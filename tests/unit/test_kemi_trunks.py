"""Walking the trunks: over what fits, once more without a location that was refused (N8), and never given up early."""

import dataclasses
from pathlib import Path

import pytest

from unit.kemi_edge import TRUNK, Edge, invite
from unit.ksr_double import Ksr
from unit.ksr_message import Message
from unit.test_kemi_location import branch, by, says

FIRST, SECOND = f"sip:{TRUNK}:5060", "sip:192.0.2.2:5060"
ANNOUNCEMENT = "sip:127.0.0.1:5080"
SILENT = {"tm.t_get_status_code": 408, "tm.t_branch_replied": -1}


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge(tmp_path, monkeypatch)
    edge.registers(1)
    by(edge, "value")
    return edge


class Call:
    """One call, step by step: where each attempt goes, and what its trunk makes of it."""

    def __init__(self, edge: Edge, message: Message) -> None:
        self.edge = edge
        self.done = edge.call(message)
        self.message = dataclasses.replace(
            message, content_type=self.done.content_type, body=self.done.body, headers=[]
        )
        self.steps = [self.done]

    @property
    def next_hops(self) -> list[str]:
        return [sent.next_hop for step in self.steps for sent in step.relayed]

    def branch(self) -> Ksr:
        """What the attempt that is being made carries."""
        return self.edge.call(self.message, "ksr_branch_trunk")

    def fails(self, code: int, *, said_something: bool = True) -> Ksr:
        self.edge.kamailio.answers |= {"tm.t_get_status_code": code, "tm.t_branch_replied": 1 if said_something else -1}
        self.steps.append(self.edge.call(self.message, "ksr_failure_trunk"))
        return self.steps[-1]

    def is_not_heard(self) -> Ksr:
        return self.fails(408, said_something=False)


def udp(trunk: str) -> str:
    return f"{trunk};transport=udp"


def tcp(trunk: str) -> str:
    return f"{trunk};transport=tcp"


# What fits ------------------------------------------------------------------------------------------------------------


def test_what_is_too_long_for_udp_goes_over_tcp(edge: Edge) -> None:
    assert Call(edge, says()).next_hops == [tcp(FIRST)]
    assert Call(edge, invite(call_id=b"short")).next_hops == [udp(FIRST)]


@pytest.mark.parametrize(("octets", "over"), [(600, udp), (1_300, tcp)])
def test_a_call_without_a_location_is_measured_too(edge: Edge, octets: int, over: object) -> None:
    by(edge, "none")
    sdp = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\n" + b"a=x\r\n" * (octets // 5)
    [next_hop] = Call(edge, invite(content_type=b"application/sdp", body=sdp)).next_hops
    assert next_hop == (udp(FIRST) if over is udp else tcp(FIRST))


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_trunk_over_a_stream_stays_as_it_is_provisioned(edge: Edge, transport: str) -> None:
    edge.change("update trunk set transport = ?", transport)
    call = Call(edge, says())
    call.is_not_heard()
    assert call.next_hops == [f"{FIRST};transport={transport}", f"{SECOND};transport={transport}"]


def test_a_trunk_that_cannot_be_reached_by_tcp_is_by_udp_at_once_and_that_is_remembered(edge: Edge) -> None:
    edge.kamailio.answers["tm.t_relay"] = [-1, 1]
    call = Call(edge, says())
    assert call.next_hops == [udp(FIRST)]
    assert ("alarms_total", "trunk_unreachable") not in call.done.counted
    assert Call(edge, says(call_id=b"next")).next_hops == [udp(FIRST)]


def test_a_trunk_that_says_nothing_over_tcp_is_asked_over_udp_before_another(edge: Edge) -> None:
    call = Call(edge, says())
    assert ("tm.t_set_fr", (120_000, 1_500)) in call.done.calls
    failed = call.is_not_heard()
    assert call.next_hops == [tcp(FIRST), udp(FIRST)]
    assert ("tm.t_set_fr", (120_000, 3_000)) in failed.calls
    assert ("trunk_failovers_total",) not in failed.counted
    assert call.branch().bodies, "with its location"


def test_one_that_answers_over_tcp_takes_tcp_whatever_it_answers(edge: Edge) -> None:
    call = Call(edge, says())
    call.fails(503)
    assert call.next_hops == [tcp(FIRST), tcp(SECOND)]
    call.fails(408)  # it had said 100
    assert call.next_hops[2:] == [udp(ANNOUNCEMENT)]


def test_a_long_call_that_nobody_heard_goes_once_more_without_its_location_when_no_other_trunk_is_left(
    edge: Edge,
) -> None:
    call = Call(edge, says())
    for _ in range(4):
        call.is_not_heard()
    assert call.next_hops == [tcp(FIRST), udp(FIRST), tcp(SECOND), udp(SECOND), udp(FIRST)]
    again = call.branch()
    assert again.bodies == []
    assert again.leaving("Geolocation") == []
    call.is_not_heard()
    call.is_not_heard()
    assert call.next_hops[5:] == [udp(SECOND), udp(ANNOUNCEMENT)]


def test_a_long_offer_that_nobody_heard_is_not_sent_again_for_the_same(edge: Edge) -> None:
    by(edge, "none")
    call = Call(edge, invite(content_type=b"application/sdp", body=b"v=0\r\n" + b"a=x\r\n" * 300))
    for _ in range(4):
        call.is_not_heard()
    assert call.next_hops == [tcp(FIRST), udp(FIRST), tcp(SECOND), udp(SECOND), udp(ANNOUNCEMENT)]


def test_a_trunk_is_tried_over_tcp_once_though_nobody_could_remember_it(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kamailio's shared memory may be full; a call must not go round in circles for it."""
    monkeypatch.setattr("kemi.ksr.table_set", lambda *_: None)
    edge.kamailio.answers["tm.t_relay"] = [-1, 1]
    assert Call(edge, says()).next_hops == [udp(FIRST)]


def test_a_short_call_that_nobody_heard_goes_to_each_trunk_once(edge: Edge) -> None:
    call = Call(edge, invite())
    call.is_not_heard()
    call.is_not_heard()
    assert call.next_hops == [udp(FIRST), udp(SECOND), udp(ANNOUNCEMENT)]


def test_a_caller_who_hung_up_is_not_sent_over_udp_either(edge: Edge) -> None:
    call = Call(edge, says())
    edge.kamailio.answers["tm.t_is_canceled"] = 1
    assert call.is_not_heard().outcomes() == 0


# N8 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [405, 415, 488, 513])
def test_n8_a_refused_body_is_left_out_at_the_same_trunk(edge: Edge, code: int) -> None:
    call = Call(edge, says())
    assert call.branch().bodies
    failed = call.fails(code)
    assert call.next_hops == [tcp(FIRST)] * 2
    assert ("location_refused_total",) in failed.counted
    assert ("trunk_failovers_total",) not in failed.counted
    again = call.branch()
    assert again.bodies == []
    assert again.leaving("Geolocation") == []
    call.fails(code)
    assert call.next_hops[2:] == [tcp(SECOND)]
    assert call.branch().bodies, "the next trunk is told again"


def test_n8_what_comes_again_has_the_next_cseq_and_what_goes_elsewhere_the_callers(edge: Edge) -> None:
    call = Call(edge, says())
    assert call.branch().leaving("P-K-CSeq-Auth") == []
    assert "dlg_var:cseq_diff" not in edge.kamailio.avps
    call.fails(415)
    assert call.branch().leaving("P-K-CSeq-Auth") == ["2"]
    assert edge.kamailio.avps["dlg_var:cseq_diff"] == "1"
    call.fails(415)
    assert call.branch().leaving("P-K-CSeq-Auth") == []
    assert edge.kamailio.avps["dlg_var:cseq_diff"] == "0"


@pytest.mark.parametrize("name", ["P-K-CSeq-Auth", "p-k-cseq-refresh"])
def test_only_we_may_say_which_cseq_a_request_has(edge: Edge, name: str) -> None:
    assert edge.call(invite(headers=[(name, b"4000000")])).leaving(name) == []


def test_n8_no_references_go_with_it_either(edge: Edge) -> None:
    call = Call(edge, says(headers=[("Geolocation", b"<https://lis.example.net/7f3a>")]))
    call.fails(415)
    assert call.branch().leaving("Geolocation") == []


@pytest.mark.parametrize("method", ["none", "reference", "provider_id", "elin"])
def test_n8_the_refusal_of_a_call_without_a_body_is_a_failure_like_any_other(edge: Edge, method: str) -> None:
    by(edge, method)
    call = Call(edge, says())
    failed = call.fails(415)
    assert call.next_hops[1].startswith(SECOND)
    assert ("location_refused_total",) not in failed.counted
    assert ("trunk_failovers_total",) in failed.counted


def test_n8_so_is_that_of_a_call_whose_location_could_not_be_told(edge: Edge) -> None:
    call = Call(edge, invite())
    assert ("location_refused_total",) not in call.fails(415).counted
    assert call.next_hops == [udp(FIRST), udp(SECOND)]


@pytest.mark.parametrize(("codes", "code", "again"), [("[420]", 420, True), ("[420]", 415, False), ("[]", 415, False)])
def test_n8_the_operator_says_which_answers_refuse_a_body(edge: Edge, codes: str, code: int, again: bool) -> None:
    edge.change("update trunk_group set location_refused_codes = ?", codes)
    call = Call(edge, says())
    call.fails(code)
    assert call.next_hops[1] == tcp(FIRST if again else SECOND)


def test_n8_what_the_called_party_decides_is_final_with_a_body_too(edge: Edge) -> None:
    edge.change("update trunk_group set location_refused_codes = '[486]'")
    assert Call(edge, says()).fails(486).outcomes() == 0


def test_a_call_that_was_prepared_twice_is_told_the_same(edge: Edge) -> None:
    """A branch route that runs again, as after a relay that failed, finds everything still there."""
    message = says()
    done = edge.call(message)
    first, second = branch(edge, message, done), branch(edge, message, done)
    assert first.bodies == second.bodies
