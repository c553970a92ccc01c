"""Location by reference over real HTTP, from a real PostgreSQL: what a PSAP gets that was given a location URI."""

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from holdfast.edge import clock
from holdfast.edge.store import EdgeStore
from holdfast.plane import db
from holdfast.plane.location_api import LEAST_PATIENCE_S, MOST_WAITING, PATIENCE_S
from integration.agents import EdgeNode
from integration.agents import provision as provision_node
from integration.location_api import ADDRESS, HELD, POINT, ApiServer, Reference, error_code, forms, pidf_lo, root
from integration.postgres import Database, fresh_database
from integration.sql_rows import provision
from lab.ports import Ports
from lab.postgres import PrivatePostgres
from lab.waiting import wait_until

PIDF_TYPE = "application/pidf+xml"
HELD_TYPE = "application/held+xml"
REQUEST = f'<locationRequest xmlns="{HELD}">{{}}</locationRequest>'
#: How much later than its time an answer may come on a busy machine.
SLACK_S = 1.0


@pytest.fixture(scope="module")
def module_ports() -> Iterator[Ports]:
    with closing(Ports()) as claimed:
        yield claimed


@pytest.fixture(scope="module")
def plane(postgres: PrivatePostgres) -> Iterator[Database]:
    with fresh_database(postgres) as database:
        with database.connect() as admin:
            provision(admin)
        yield database


@pytest.fixture(scope="module")
def api(plane: Database, module_ports: Ports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api"), plane.dsn(db.AGENT), module_ports) as server:
        yield server


@pytest.fixture(scope="module")
def known(plane: Database) -> Reference:
    """A location in both forms."""
    return Reference().reported(plane)


def absent() -> str:
    return secrets.token_urlsafe(24)


def timed(ask: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    begun = time.monotonic()
    answer = ask()
    return time.monotonic() - begun, answer


# What is known


def test_l1_whoever_has_the_uri_gets_the_pidf_lo_as_it_was(api: ApiServer, known: Reference) -> None:
    found = api.get(known.token, PIDF_TYPE)
    assert (found.status_code, found.headers["content-type"]) == (200, PIDF_TYPE)
    assert found.headers["cache-control"] == "no-store"
    assert found.text == known.document


@pytest.mark.parametrize("accept", [None, "*/*", HELD_TYPE, "text/html, image/png", "application/xml;q=0.9", "", ",;q"])
def test_a_get_without_a_wish_for_pidf_is_answered_in_held(
    api: ApiServer, known: Reference, accept: str | None
) -> None:
    found = api.get(known.token, accept)
    assert (found.status_code, found.headers["content-type"]) == (200, HELD_TYPE)
    assert forms(found) == ["Point", "civicAddress"]


def test_held_gives_the_pidf_lo_byte_by_byte_with_every_prefix_it_declares(api: ApiServer, known: Reference) -> None:
    found = api.held(known.token)
    assert (found.status_code, found.headers["content-type"]) == (200, HELD_TYPE)
    assert found.headers["cache-control"] == "no-store"
    assert known.document.partition("\n")[2] in found.text
    assert forms(found) == ["Point", "civicAddress"]
    assert "Calle Muñoz Rivera & Co." in root(found).itertext()


@pytest.mark.parametrize(
    ("types", "given"),
    [
        ("civic", ["civicAddress"]),
        ("geodetic", ["Point"]),
        ("civic geodetic", ["Point", "civicAddress"]),
        ("any", ["Point", "civicAddress"]),
    ],
)
def test_exactly_the_forms_that_were_asked_for_are_given(
    api: ApiServer, known: Reference, types: str, given: list[str]
) -> None:
    assert forms(api.held(known.token, f'<locationType exact="true">{types}</locationType>')) == given


@pytest.mark.parametrize("types", ["civic", "geodetic", "any", "locationURI", "civic locationURI"])
def test_more_than_was_asked_for_is_given_to_those_who_do_not_insist(
    api: ApiServer, known: Reference, types: str
) -> None:
    found = api.held(known.token, f"<locationType>{types}</locationType>")
    assert forms(found) == ["Point", "civicAddress"]
    assert b"locationUriSet" not in found.content  # RFC 6753 §3.1: never in answer to a dereference


@pytest.mark.parametrize(
    ("document", "types"),
    [
        (pidf_lo(ADDRESS), "geodetic"),
        (pidf_lo(ADDRESS), "civic geodetic"),
        (pidf_lo(POINT), "civic"),
        (pidf_lo(), "locationURI"),
        (pidf_lo(), "civic locationURI"),
    ],
)
def test_whoever_insists_on_a_form_that_is_not_there_is_told_so(
    api: ApiServer, plane: Database, document: str, types: str
) -> None:
    one = Reference(document).reported(plane)
    refused = api.held(one.token, f'<locationType exact="true">{types}</locationType>')
    assert (refused.status_code, refused.headers["content-type"]) == (200, HELD_TYPE)
    assert error_code(refused) == "cannotProvideLiType"
    assert forms(api.held(one.token))


def test_head_is_a_get_without_the_body(api: ApiServer, known: Reference) -> None:
    asked = api.client.head(f"/location/{known.token}", headers={"Accept": PIDF_TYPE})
    assert (asked.status_code, asked.content) == (200, b"")
    assert int(asked.headers["content-length"]) == len(known.document.encode())
    assert api.client.head(f"/location/{absent()}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_other_method_is_allowed(api: ApiServer, known: Reference, method: str) -> None:
    refused = api.client.request(method, f"/location/{known.token}")
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert api.get(known.token).status_code == 200


def test_nothing_else_is_served(api: ApiServer) -> None:
    for path in ("/", "/location", "/metrics", "/docs", "/openapi.json", "/locations/x"):
        assert api.client.get(path).status_code == 404, path


# What is unknown


def test_a_token_that_never_was_has_expired_or_is_none_cannot_be_told_apart(api: ApiServer, plane: Database) -> None:
    expired = Reference().reported(plane)
    assert api.get(expired.token).status_code == 200
    with plane.connect("postgres") as superuser:
        superuser.execute("update location_reference set expires_at = epoch_now() where token_digest = %s",
                          (expired.digest,))  # fmt: skip
    tokens = [
        absent(), expired.token, "x", "", "%00", "%ff%fe", "a/b/../c", "x" * 4000, "%F0%9F%93%8D", "'; drop table node"
    ]  # fmt: skip
    for ask in (api.get, api.held):
        with ThreadPoolExecutor(len(tokens)) as pool:
            answers = list(pool.map(lambda token, ask=ask: timed(lambda: ask(token)), tokens))
        assert len({(answer.status_code, answer.content) for _, answer in answers}) == 1
        headers = [{name: value for name, value in answer.headers.items() if name != "date"} for _, answer in answers]
        assert all(one == headers[0] for one in headers)
        assert error_code(answers[0][1]) == "locationUnknown"
        assert answers[0][1].headers["cache-control"] == "no-store"
        assert {answer.status_code for _, answer in answers} == ({404} if ask == api.get else {200})
        for token, (seconds, _) in zip(tokens, answers, strict=True):
            assert PATIENCE_S - 0.05 <= seconds < PATIENCE_S + SLACK_S, token


@pytest.mark.parametrize(
    ("said", "waited_s"),
    [("", PATIENCE_S), ("emergencyRouting", PATIENCE_S), ("60000", PATIENCE_S), ("1000", 1.0), ("0", LEAST_PATIENCE_S)],
)
def test_who_says_how_long_they_wait_hears_in_that_time_within_reason(
    api: ApiServer, said: str, waited_s: float
) -> None:
    attributes = f'responseTime="{said}"' if said else ""
    seconds, answer = timed(lambda: api.held(absent(), attributes=attributes))
    assert error_code(answer) == "locationUnknown"
    assert waited_s - 0.05 <= seconds < waited_s + SLACK_S


def test_l1_a_location_that_comes_after_the_request_is_still_given(api: ApiServer, plane: Database) -> None:
    one = Reference()
    before = api.metrics()["holdfast_api_found_late_total"]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(timed, lambda: api.get(one.token)), pool.submit(timed, lambda: api.held(one.token))]
        wait_until("both to wait", lambda: api.metrics()["holdfast_api_waiting_requests"] == 2, within_s=2)
        one.reported(plane)
        for seconds, answer in (future.result() for future in asked):
            assert forms(answer) == ["Point", "civicAddress"]
            assert seconds < PATIENCE_S
    assert api.metrics()["holdfast_api_found_late_total"] == before + 2
    assert api.metrics()["holdfast_api_waiting_requests"] == 0


def test_l1_a_psap_that_is_quicker_than_the_agents_report_gets_the_location(
    database: Database, tmp_path: Path, ports: Ports
) -> None:
    """The whole way: written to the edge store with the call, shipped by a real agent, fetched meanwhile."""
    provision_node(database)
    (tmp_path / "api").mkdir()
    with (
        EdgeNode(tmp_path, database.dsn(db.AGENT), ports) as node,
        ApiServer(tmp_path / "api", database.dsn(db.AGENT), ports) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        node.start()
        node.catches_up()
        one = Reference()
        asked = pool.submit(server.get, one.token, PIDF_TYPE)
        wait_until("it to wait", lambda: server.metrics()["holdfast_api_waiting_requests"] == 1, within_s=2)
        with node.store() as connection:
            EdgeStore(connection).write_journal("location_reference", one.payload(), clock.now())
        assert asked.result().text == one.document
        node.ships_everything()
        assert one.token not in node.log() + server.daemon.log()


def test_too_many_that_wait_are_sent_away_and_the_known_ones_are_still_served(api: ApiServer, known: Reference) -> None:
    before = api.dereferences("crowded")
    with ThreadPoolExecutor(MOST_WAITING + 8) as pool:
        waiting = [pool.submit(api.get, absent()) for _ in range(MOST_WAITING + 8)]
        wait_until(
            "the waiting room to be full",
            lambda: api.metrics()["holdfast_api_waiting_requests"] == MOST_WAITING,
            within_s=PATIENCE_S, why=lambda: str(api.metrics().get("holdfast_api_waiting_requests")),
        )  # fmt: skip
        seconds, found = timed(lambda: api.get(known.token))
        assert (found.status_code, seconds < SLACK_S) == (200, True)
        answers = [future.result() for future in waiting]
    sent_away = [answer for answer in answers if answer.status_code == 503]
    assert len(sent_away) == api.dereferences("crowded") - before
    assert len(sent_away) >= 1
    assert {answer.headers["retry-after"] for answer in sent_away} == {"1"}
    assert {error_code(answer) for answer in sent_away} == {"generalLisError"}
    assert {answer.status_code for answer in answers} == {503, 404}


# What is hostile


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "xmlError"),
        ("locationRequest", "xmlError"),
        ("<locationRequest", "xmlError"),
        (b"\x00\xff\xfe", "xmlError"),
        ('<?xml version="1.0"?><!DOCTYPE a>' + REQUEST.format(""), "xmlError"),
        (REQUEST.format("<locationType>nowhere</locationType>"), "xmlError"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + REQUEST.format("&x;"), "xmlError"),
        ("<locationRequest/>", "unsupportedMessage"),
        ('<createContextRequest xmlns="urn:ietf:params:xml:ns:geopriv:held:context"/>', "unsupportedMessage"),
        ("<a>" * 5000, "xmlError"),
    ],
)
def test_what_is_no_request_is_refused_at_once(api: ApiServer, known: Reference, body: str | bytes, code: str) -> None:
    for token in (known.token, absent()):
        seconds, refused = timed(partial(api.post, token, body))
        assert (refused.status_code, error_code(refused)) == (200, code)
        assert seconds < SLACK_S


def test_a_body_that_is_too_long_is_not_read_to_its_end(api: ApiServer, known: Reference) -> None:
    refused = api.post(known.token, b" " * 16385)
    assert (refused.status_code, error_code(refused)) == (413, "requestError")
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        head = f"POST /location/{known.token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"4100\r\n" + b" " * 0x4100 + b"\r\n")
        assert b"413" in connection.recv(100)
    assert api.get(known.token).status_code == 200


def test_a_body_that_never_ends_is_given_up(api: ApiServer, known: Reference) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=15) as connection:
        connection.sendall(f"POST /location/{known.token} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n<".encode())
        assert b"408" in connection.recv(100)


def test_who_goes_away_in_the_middle_leaves_nothing_behind(api: ApiServer, known: Reference) -> None:
    host = "HTTP/1.1\r\nHost: x\r\n"
    for begun in ("GET /loc", f"GET /location/x {host}\r\n", f"POST /location/x {host}Content-Length: 9\r\n\r\n<"):
        with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
            connection.sendall(begun.encode())
    wait_until("nobody to wait", lambda: api.metrics()["holdfast_api_waiting_requests"] == 0, within_s=5)
    assert api.get(known.token).status_code == 200
    assert "Traceback" not in api.daemon.log()


def test_what_a_node_reported_that_is_no_pidf_lo_is_not_passed_on(api: ApiServer, plane: Database) -> None:
    one = Reference("<!DOCTYPE x><presence/>").reported(plane)
    found = api.get(one.token, PIDF_TYPE)
    assert (found.status_code, error_code(found)) == (500, "generalLisError")
    found = api.held(one.token)
    assert (found.status_code, error_code(found)) == (200, "generalLisError")


def test_many_at_once_get_each_their_own(api: ApiServer, plane: Database) -> None:
    references = [Reference(pidf_lo(f"<ca:civicAddress><ca:country>US</ca:country><ca:HNO>{number}</ca:HNO>"
                                    "</ca:civicAddress>")).reported(plane) for number in range(40)]  # fmt: skip
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda one: api.get(one.token, PIDF_TYPE).text, references * 5))
    assert answers == [one.document for one in references] * 5


# What must not be told


def test_no_token_is_ever_logged_or_counted_by_name(api: ApiServer, known: Reference) -> None:
    wrong = absent()
    api.get(known.token)
    api.held(wrong, attributes='responseTime="0"')
    api.post(known.token, "<")
    api.client.request("DELETE", f"/location/{known.token}")
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(f"GET /location/{wrong} HTTP/1.1\r\nbad header\r\n\r\n".encode())
        assert b"400" in connection.recv(100)
    log = api.daemon.log()
    assert "Invalid HTTP request" in log, "the log is the one that would show it"
    page = httpx.get(f"http://127.0.0.1:{api.metrics_port}/metrics").text
    for token in (known.token, wrong):
        assert token not in log + page
    assert api.dereferences("found") > 0
    assert api.dereferences("xmlError") > 0
    assert api.dereferences("locationUnknown") > 0
