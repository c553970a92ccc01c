"""PBXs in the routing code: whose lease a call gets, where its callback goes, and what a certificate is worth."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.callers import Behind
from unit.edge_rows import row
from unit.kemi_edge import NUMBERS, TRUNK, Edge, from_media_server, from_trunk, invite
from unit.ksr_double import Ksr
from unit.ksr_message import Message

PBX, OTHER_ELEMENT = "192.0.2.30", "192.0.2.31"
OURS, ALSO_OURS, ANOTHERS, NOBODYS = "+12025550100", "+12025550109", "+12025550200", "+12025550300"


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """A PBX of the tenant's with two elements, and another tenant."""
    edge = Edge(tmp_path, monkeypatch)
    row(edge.db, "trunk_group", id=3, name="pbx", emergency=0, ordinary=0, pbx=1, tenant_id=1)
    for trunk_id, host in ((5, PBX), (6, OTHER_ELEMENT)):
        row(edge.db, "trunk", id=trunk_id, trunk_group_id=3, name=host, host=host, port=5060, transport="udp",
            priority=trunk_id, weight=1, source_addresses=f'["{host}"]', enabled=1)  # fmt: skip
    row(edge.db, "tenant", id=2, name="Globex", country="US", max_emergency_calls=10)
    row(edge.db, "platform_number", number=ALSO_OURS, tenant_id=1, outbound_enabled=1)
    row(edge.db, "platform_number", number=ANOTHERS, tenant_id=2, outbound_enabled=1)
    return edge


def from_pbx(number: str, caller: str = OURS, **changes: Any) -> Message:
    usual = {"address": PBX, "from_user": caller.encode(), "contact": b"sip:7@192.0.2.30:5060", "call_id": b"pbx-1"}
    return invite(number, **{**usual, **changes})


def lease(edge: Edge, number: str = "") -> dict[str, Any]:
    [found] = [one for one in edge.rows("select * from lease") if not number or one["number"] == number]
    return found


def shown(done: Ksr) -> str:
    return done.from_uri.removeprefix("sip:").partition("@")[0]


# Whose call it is


def test_a_person_behind_the_pbx_is_known_by_the_number_and_not_by_the_element_that_calls(edge: Edge) -> None:
    first = edge.call(from_pbx("911"))
    again = edge.call(from_pbx("911", address=OTHER_ELEMENT, call_id=b"pbx-2"))
    other = edge.call(from_pbx("911", ALSO_OURS, call_id=b"pbx-3"))
    assert shown(first) == shown(again) != shown(other)


def test_a_person_behind_the_pbx_who_is_a_user_is_that_user(edge: Edge) -> None:
    row(edge.db, "platform_number", number="+12025551001", tenant_id=1, outbound_enabled=1)
    edge.call(from_pbx("911", "+12025551001"))
    assert lease(edge)["subscriber_id"] == 1
    assert lease(edge)["caller_key"] == "group:3:+12025551001"
    edge.change("update subscriber set outbound_enabled = 0 where id = 1")
    assert edge.call(from_pbx("911", "+12025551001", call_id=b"pbx-2")).replies == [403]


def test_the_number_of_a_pbx_that_registers_is_no_persons(edge: Edge) -> None:
    row(edge.db, "platform_number", number="+12025551003", tenant_id=1, outbound_enabled=1)
    edge.change("update subscriber set pbx = 1, outbound_enabled = 0 where id = 3")
    assert edge.call(from_pbx("911", "+12025551003")).relayed
    assert lease(edge)["subscriber_id"] is None


@pytest.mark.parametrize("number", [ANOTHERS, NOBODYS, "+12025551002"])
def test_n9_a_number_that_is_not_the_tenants_says_nothing_of_anybody_else(edge: Edge, number: str) -> None:
    """The last is of a user whose number the platform does not own."""
    edge.call(from_pbx("911", number))
    found = lease(edge)
    assert (found["tenant_id"], found["subscriber_id"]) == (1, None)
    assert found["contact_uri"] == f"sip:{number}@{PBX}:5060"


def test_n9_where_no_number_can_be_lent_one_that_is_not_the_tenants_is_not_shown(edge: Edge) -> None:
    edge.change("delete from pool_number")
    claims = [("P-Asserted-Identity", b"<sip:+12025550200@x>"), ("Remote-Party-ID", b"<sip:+12025550200@x>")]
    done = edge.call(from_pbx("911", ANOTHERS, headers=claims))
    assert done.from_uri == "sip:anonymous@anonymous.invalid"
    assert ANOTHERS not in repr(done.relayed[0])
    assert done.relayed[0].values("Priority") == ["emergency"]
    assert shown(edge.call(from_pbx("911", OURS, call_id=b"pbx-2"))) == OURS


def test_what_is_asserted_counts_before_what_from_says(edge: Edge) -> None:
    edge.call(from_pbx("911", ALSO_OURS, asserted_user=OURS.encode()))
    assert lease(edge)["caller_key"] == f"group:3:{OURS}"


@pytest.mark.parametrize("claimed", NUMBERS)
def test_n3_a_callback_number_is_nobodys_own(edge: Edge, claimed: str) -> None:
    number = edge.lends(1)
    done = edge.call(from_pbx("911", claimed))
    assert shown(done) != number
    assert lease(edge, shown(done))["caller_key"] == "group:3:call:pbx-1"
    assert lease(edge, shown(done))["contact_uri"] == "sip:7@192.0.2.30:5060"


@pytest.mark.parametrize("said", ["7", "anonymous", "", "911", "sip:x", "2025550100;ext=7"])
def test_what_is_no_number_counts_as_withheld_and_a_number_with_an_extension_as_the_number(
    edge: Edge, said: str
) -> None:
    edge.call(from_pbx("911", said))
    known_as = OURS if said.startswith("2025") else "call:pbx-1"
    assert lease(edge)["caller_key"] == f"group:3:{known_as}"


def test_a_carriers_caller_is_who_the_carrier_says_and_called_back_where_they_called_from(edge: Edge) -> None:
    edge.call(from_trunk("911", from_user=NOBODYS.encode(), call_id=b"c-1"))
    found = lease(edge)
    assert (found["caller_key"], found["tenant_id"]) == (f"group:1:{NOBODYS}", None)
    assert found["source_uri"] == f"sip:{TRUNK}:5060;transport=udp"


@pytest.mark.parametrize(
    ("key", "behind"),
    [
        (f"group:3:{OURS}", Behind(registered=False, id=3, number=OURS)),
        (f"pbx:12:{OURS}", Behind(registered=True, id=12, number=OURS)),
        ("group:3:call:a:b@c", Behind(registered=False, id=3, number=None)),
        ("subscriber:1", None),
        ("contact:udp:10.0.0.1:5060", None),
        ("group:x:1", None),
        ("", None),
    ],
)
def test_a_leases_key_says_behind_what_its_holder_is(key: str, behind: Behind | None) -> None:
    assert Behind.of_key(key) == behind


# Callbacks


def call_back(edge: Edge, number: str) -> Ksr:
    """The PSAP calls, and no media server answers."""
    edge.kamailio.answers["tm.t_relay"] = [-1, 1]
    return edge.call(from_trunk(number))


def test_a_callback_goes_to_the_pbx_by_number_and_to_its_other_element_when_it_says_nothing(edge: Edge) -> None:
    number = shown(edge.call(from_pbx("911")))
    sent = call_back(edge, number).relayed[0]
    assert (sent.uri, sent.next_hop) == (f"sip:{OURS}@{PBX}:5060", f"sip:{PBX}:5060;transport=udp")
    then = edge.call(from_trunk(number), "ksr_failure_pbx").relayed[0]
    assert (then.uri, then.next_hop) == (f"sip:{OURS}@{OTHER_ELEMENT}:5060", f"sip:{OTHER_ELEMENT}:5060;transport=udp")
    assert not edge.call(from_trunk(number), "ksr_failure_pbx").relayed, "there is no third one"


@pytest.mark.parametrize(
    "answers",
    [{"tm.t_get_status_code": 486}, {"tm.t_get_status_code": 404}, {"tm.t_get_status_code": 603},
     {"tm.t_branch_replied": 1},
     {"tm.t_is_canceled": 1, "tm.t_get_status_code": 503}],
)  # fmt: skip
def test_what_the_pbx_or_the_psap_decided_is_not_asked_of_its_other_element(
    edge: Edge, answers: dict[str, int]
) -> None:
    call_back(edge, shown(edge.call(from_pbx("911"))))
    edge.kamailio.answers.update(answers)
    assert not edge.call(from_trunk(NUMBERS[0]), "ksr_failure_pbx").relayed


def test_a_callback_goes_first_to_the_element_that_is_well(edge: Edge) -> None:
    number = shown(edge.call(from_pbx("911")))
    now = edge.clocks.now().wall_s
    row(edge.db, "trunk_health", trunk_id=5, address=PBX, port=5060, transport="udp", state="down", changed_at=now,
        checked_at=now, failures=3, reason="no answer")  # fmt: skip
    edge.change("select 1")
    assert call_back(edge, number).relayed[0].next_hop.startswith(f"sip:{OTHER_ELEMENT}")


def test_without_its_trunk_the_pbx_is_called_where_it_called_from_and_its_user_before_that(edge: Edge) -> None:
    row(edge.db, "platform_number", number="+12025551001", tenant_id=1, outbound_enabled=1)
    number = shown(edge.call(from_pbx("911", "+12025551001")))
    edge.change("delete from trunk where trunk_group_id = 3")
    assert call_back(edge, number).relayed[0].uri == f"sip:+12025551001@{PBX}:5060"
    edge.registers(1)
    assert call_back(edge, number).relayed[0].uri == "sip:user1@example.org"


def test_the_store_gone_the_pbx_is_called_by_number_all_the_same(edge: Edge) -> None:
    number = shown(edge.call(from_pbx("911")))
    edge.store_is_gone()
    assert call_back(edge, number).relayed[0].uri == f"sip:{OURS}@{PBX}:5060"


def test_n3_on_a_shared_number_every_holder_is_rung_each_pbx_by_its_callers_number(edge: Edge) -> None:
    edge.change("delete from pool_number")
    edge.with_shared_number("+12025550101")
    edge.change("update subscriber set pbx = 1 where id = 3")
    edge.registers(1)
    edge.registers(3)
    edge.call(invite(call_id=b"1"))
    edge.call(from_pbx("911", call_id=b"2"))
    edge.call(invite(call_id=b"3", address="10.0.0.3", from_user=ALSO_OURS.encode()))
    edge.call(invite(call_id=b"4", address="10.0.0.9", contact=b"sip:somebody@10.0.0.9:5060"))
    done = edge.call(from_media_server("+12025550101"))
    assert done.relayed[0].uri == "sip:user1@example.org"
    assert set(done.branches) == {
        "sip:user1@example.org",  # the double's own note of the first
        f"sip:{OURS}@{PBX}:5060;transport=udp",
        f"sip:{ALSO_OURS}@10.0.0.3:5060;transport=udp",
        "sip:somebody@10.0.0.9:5060;transport=udp",
    }
    assert not done.kamailio.avps.get("known_as")


# PBXs that register


@pytest.fixture
def registered(edge: Edge) -> Edge:
    """User 3 is a PBX that registered."""
    edge.change("update subscriber set pbx = 1 where id = 3")
    row(edge.db, "platform_number", number="+12025551003", tenant_id=1, outbound_enabled=1)
    edge.registers(3)
    return edge


def from_registered(number: str, caller: str, **changes: Any) -> Message:
    return invite(
        number, **{"address": "10.0.0.3", "from_user": caller.encode(), "contact": b"sip:trunk7@10.0.0.3", **changes}
    )


@pytest.mark.parametrize(
    ("caller", "key", "known_as"),
    [
        (OURS, f"pbx:3:{OURS}", OURS),
        ("anonymous", "pbx:3:call:call-1", "trunk7"),
        (ANOTHERS, f"pbx:3:{ANOTHERS}", ANOTHERS),
        ("+12025551003", "pbx:3:+12025551003", "+12025551003"),
    ],
)
def test_a_registered_pbxs_callback_goes_to_where_it_is_by_what_it_knows_its_caller_by(
    registered: Edge, caller: str, key: str, known_as: str
) -> None:
    number = shown(registered.call(from_registered("911", caller)))
    assert lease(registered)["caller_key"] == key
    assert lease(registered)["tenant_id"] == 1
    call_back(registered, number)
    assert registered.kamailio.avps["known_as"] == known_as
    branch = registered.call(from_trunk(number), "ksr_branch_pbx")
    assert ("pv.sets", ("$rU", known_as)) in branch.calls


def test_a_registered_pbx_that_is_gone_is_called_where_it_called_from(registered: Edge) -> None:
    number = shown(registered.call(from_registered("911", OURS, contact=b"sip:trunk7@10.0.0.3:5062;transport=tcp")))
    registered.kamailio.answers["registered"] = []
    sent = call_back(registered, number).relayed[0]
    assert (sent.uri, sent.next_hop) == (f"sip:{OURS}@10.0.0.3:5062;transport=tcp", "sip:10.0.0.3:5060;transport=udp")
    registered.store_is_gone()
    assert call_back(registered, number).relayed[0].uri == sent.uri


def test_a5_without_a_number_of_its_own_a_registered_pbx_shows_nobodys(registered: Edge) -> None:
    registered.change("delete from pool_number")
    assert shown(registered.call(from_registered("911", ANOTHERS))) == "+12025551003"


# Certificates


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A certificate for pbx.acme.invalid."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         folder / "key", "-out", folder / "cert", "-subj", "/CN=pbx.acme.invalid"], check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "cert").read_bytes()


@pytest.mark.parametrize(
    ("transport", "verified", "name", "believed"),
    [
        ("tls", b"1", "pbx.acme.invalid", True),
        ("TLS", b"1", "PBX.Acme.invalid", True),
        ("tls", b"0", "pbx.acme.invalid", False),
        ("tls", None, "pbx.acme.invalid", False),
        ("tls", b"1", "acme.invalid", False),
        ("udp", b"1", "pbx.acme.invalid", False),
        ("tcp", b"1", "pbx.acme.invalid", False),
    ],
)
def test_n9_a_trunk_with_a_certificate_name_is_believed_when_it_shows_it_verified_over_tls(
    edge: Edge, pem: bytes, transport: str, verified: bytes | None, name: str, believed: bool
) -> None:
    edge.change("update trunk set transport = 'tls', certificate_name = ? where id = 5", name)
    over_tls = {"$tls_peer_verified": verified, "$tls_peer_raw_cert": pem} if transport.lower() == "tls" else {}
    done = edge.call(from_pbx("911", transport=transport, pseudo_variables=over_tls))
    assert done.relayed
    assert (lease(edge)["tenant_id"] == 1) is believed


def test_n9_the_certificate_is_asked_of_nobody_else(edge: Edge) -> None:
    """Where no TLS is spoken Kamailio does not know those variables, and to ask for one raises."""
    edge.change("update trunk set certificate_name = 'x.invalid' where id = 5")
    assert edge.call(from_pbx("911")).relayed
    assert edge.call(invite(call_id=b"other", transport="tls")).relayed
