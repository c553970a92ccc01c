"""PSAPs are found ahead of calls, by LoST servers and boundaries; addresses are validated where they are entered."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.plane import db, lost, psap
from integration.command import Command, on_node
from integration.places import AUSTIN, civic, provision_places
from integration.postgres import Database
from unit.lost_server import Asked, LostServer, errors, lost_server, mapping, validation

GOOD = validation(valid="country A1 A3 RD STS HNO PC")
LOBBY = ("HQ lobby", "--tenant", "acme")


def by_house(asked: Asked) -> bytes:
    """A server that knows Main St's even numbers, and for points whatever is north of 30 degrees."""
    if not asked.civic:
        north = float(str(asked.point).split()[0])
        return mapping("sip:field@psap.example") if north > 30 else errors("notFound", "Outside of Texas.")
    even = int(asked.civic["HNO"]) % 2 == 0
    said = GOOD if even else validation(valid="country A1 A3 RD STS PC", invalid="HNO")
    return mapping("sip:austin@psap.example", "tel:+15125550911", validation=said if asked.validates else "")


@pytest.fixture
def server() -> Iterator[LostServer]:
    with lost_server(by_house) as running:
        yield running


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision_places(command)
    return command


@pytest.fixture
def with_lost(holdfast: Command, server: LostServer) -> Command:
    holdfast.ok(
        "trunk-group", "create", "psap", "--emergency", "--country", "US", "--psap", "lost", "--lost-url", server.url
    )
    return holdfast


def psaps(holdfast: Command, name: str = "HQ lobby", tenant: str = "acme") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = holdfast.json("location", "show", name, "--tenant", tenant)["psaps"]
    return found


def validated(holdfast: Command, name: str) -> str:
    return str(holdfast.json("location", "show", name, "--tenant", "acme")["validation"])


# Validation


def test_l3_an_address_that_the_lost_server_knows_counts_as_validated_and_its_psap_is_found(with_lost: Command) -> None:
    result = with_lost.run("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic(AUSTIN))
    assert result.exit_code == 0
    assert "its address counts as validated" in result.stdout
    assert "acme, Annex, trunk group psap: sip:austin@psap.example found" in result.stdout
    assert validated(with_lost, "Annex") == "validated"
    assert psaps(with_lost, "Annex") == [
        {"trunk_group": "psap", "psap_uri": "sip:austin@psap.example", "found_by": "lost", "valid_until": 3786918273}
    ]
    assert "sip:austin@psap.example (trunk group psap, by lost, valid until 2090-01-01" in with_lost.ok(
        "location", "show", "Annex", "--tenant", "acme"
    )


def test_an_address_that_the_lost_server_does_not_know_is_refused_by_its_element(
    with_lost: Command, server: LostServer
) -> None:
    odd = {**AUSTIN, "HNO": "1201"}
    create = ("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic(odd))
    refusal = with_lost.refused(*create)
    assert f"the LoST server {server.url} knows no such address: HNO '1201' — correct it; with --no-validate" in refusal
    assert "HNO '1201'" in with_lost.refused("location", "set", *LOBBY, "--civic", "HNO=1201")
    assert with_lost.json("location", "show", *LOBBY)["civic"] == AUSTIN
    with_lost.ok(*create, "--no-validate")
    assert validated(with_lost, "Annex") == "manual"


def test_an_address_that_was_not_checked_to_the_door_is_not_validated(with_lost: Command, server: LostServer) -> None:
    said = validation(valid="country A1 A3", unchecked="RD HNO")
    server.answer = lambda _: mapping("sip:austin@psap.example", validation=said)
    result = with_lost.run("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic(AUSTIN))
    assert "its address counts as manual: nobody but who typed it vouches for it" in result.stdout
    assert "note: the LoST server did not check RD, HNO" in result.stderr
    assert validated(with_lost, "Annex") == "manual"


def test_without_an_answer_an_address_is_stored_only_where_that_is_said(with_lost: Command, server: LostServer) -> None:
    create = ("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic(AUSTIN))
    server.answer = lambda _: errors("serverTimeout", "The next server is away.")
    refusal = with_lost.refused(*create)
    assert "the address could not be validated: the LoST server refuses: serverTimeout" in refusal
    assert "with --no-validate" in refusal
    result = with_lost.run(*create, "--no-validate")
    assert result.exit_code == 0  # it is stored, and that its PSAP is unknown is said
    assert "acme, Annex, trunk group psap: no PSAP found: the LoST server refuses: serverTimeout" in result.stderr
    assert "'holdfast location route' asks again" in result.stderr
    assert (validated(with_lost, "Annex"), psaps(with_lost, "Annex")) == ("manual", [])
    server.answer = by_house
    with_lost.ok("location", "set", "Annex", "--tenant", "acme", "--validation", "validated")
    assert validated(with_lost, "Annex") == "validated"


def test_only_servers_that_serve_the_country_and_tenant_are_asked(holdfast: Command, server: LostServer) -> None:
    for name, options in {"ca": ["--country", "CA"], "others": ["--tenant", "other"]}.items():
        holdfast.ok(
            "trunk-group", "create", name, "--emergency", *options, "--psap", "lost", "--lost-url", server.url
        )  # fmt: skip
    holdfast.ok("location", "set", *LOBBY, "--civic", "HNO=1201")
    assert server.asked == []
    refusal = holdfast.refused("location", "set", "Yard", "--tenant", "other", "--civic", "HNO=1201")
    assert "knows no such address: HNO '1201'" in refusal


def test_imported_addresses_are_validated_each(with_lost: Command) -> None:
    file = with_lost.folder / "rows.csv"
    head = "name,country,a1,a3,rd,hno\n"
    file.write_text(head + "a,US,TX,Austin,Main,2\nb,US,TX,Austin,Main,3\nc,US,TX,Austin,Main,5\n")
    result = with_lost.run("location", "import", str(file), "--tenant", "acme")
    assert result.exit_code == 2
    assert [line.split(":")[1] for line in result.stderr.splitlines()[:-1]] == ["3", "4"]
    assert "knows no such address: HNO '3'" in result.stderr
    file.write_text(head + "a,US,TX,Austin,Main,2\nb,US,TX,Austin,Main,4\n")
    result = with_lost.run("location", "import", str(file), "--tenant", "acme")
    assert result.exit_code == 0
    assert "acme, b, trunk group psap: sip:austin@psap.example found" in result.stdout
    assert (validated(with_lost, "a"), len(psaps(with_lost, "a"))) == ("validated", 1)


# Finding PSAPs


def test_every_location_gets_the_psap_of_every_group_that_serves_it(with_lost: Command, server: LostServer) -> None:
    with_lost.ok("trunk-group", "create", "second", "--emergency", "--psap", "lost", "--lost-url", server.url)
    with_lost.ok("trunk-group", "create", "canada", "--emergency", "--country", "CA", "--psap", "boundary")
    with_lost.ok("trunk-group", "create", "own", "--emergency", "--tenant", "other", "--psap", "lost",
                 "--lost-url", server.url)  # fmt: skip
    result = with_lost.run("location", "route")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "7 PSAPs: 7 new"
    assert [(one["trunk_group"], one["psap_uri"]) for one in psaps(with_lost, "Field")] == [
        ("psap", "sip:field@psap.example"), ("second", "sip:field@psap.example"),
    ]  # fmt: skip
    assert [one["trunk_group"] for one in psaps(with_lost, "Yard", "other")] == ["own", "psap", "second"]
    assert not any(asked.validates for asked in server.asked)


def test_only_what_is_missing_or_expires_soon_is_asked_again(with_lost: Command, server: LostServer) -> None:
    with_lost.ok("location", "route")
    server.asked.clear()
    assert with_lost.ok("location", "route") == "0 PSAPs\n"
    assert server.asked == []
    assert with_lost.ok("location", "route", "--all", "--tenant", "acme") == "2 PSAPs: 2 same\n"
    assert len(server.asked) == 2
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + psap.ASK_BEFORE_S - 60))
    for expires in (soon, "2010-01-01T00:00:00Z", "NO-CACHE"):
        server.answer = lambda _, expires=expires: mapping("sip:x@psap.example", expires=expires)  # type: ignore[misc]
        with_lost.ok("location", "route", "--all", "--tenant", "acme")
        server.asked.clear()
        with_lost.ok("location", "route")
        assert len(server.asked) == 2, expires


def test_an_answer_that_fails_leaves_the_last_one_standing_and_the_command_says_so(
    with_lost: Command, server: LostServer
) -> None:
    with_lost.ok("location", "route")
    before = psaps(with_lost)
    server.answer = lambda _: errors("internalError", "")
    result = with_lost.run("location", "route", "--all", "--tenant", "acme")
    assert result.exit_code == 2
    assert "acme, HQ lobby, trunk group psap: no PSAP found: the LoST server refuses: internalError" in result.stderr
    assert "; sip:austin@psap.example stays" in result.stderr
    assert result.stdout == "2 PSAPs: 2 failed\n"
    assert psaps(with_lost) == before


def test_what_became_of_each_psap_is_told_to_programs_too(with_lost: Command, server: LostServer) -> None:
    with_lost.ok("location", "route")
    server.answer = lambda asked: mapping("sip:new@psap.example") if asked.civic else errors("notFound", "")
    result = with_lost.run("location", "route", "--all", "--tenant", "acme", "--json")
    assert result.exit_code == 2
    field, lobby = json.loads(result.stdout)
    assert lobby == {
        "tenant": "acme", "location": "HQ lobby", "trunk_group": "psap", "outcome": "changed",
        "psap_uri": "sip:new@psap.example", "before": "sip:austin@psap.example", "problem": "", "notes": [],
    }  # fmt: skip
    assert (field["outcome"], field["psap_uri"], field["before"]) == ("failed", *["sip:field@psap.example"] * 2)
    assert "notFound" in field["problem"]


def test_a_server_that_is_away_fails_no_more_than_its_own_psaps(with_lost: Command) -> None:
    with lost_server(by_house) as gone:
        pass
    with_lost.ok("trunk-group", "create", "away", "--emergency", "--psap", "lost", "--lost-url", gone.url)
    result = with_lost.run("location", "route")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-1] == "6 PSAPs: 3 new, 3 failed"
    assert f"{gone.url} cannot be asked" in result.stderr


def test_a_psap_of_another_address_never_stands(with_lost: Command, server: LostServer) -> None:
    with_lost.ok("location", "route")
    server.answer = lambda _: errors("notFound", "")
    with_lost.ok("location", "set", *LOBBY, "--civic", "HNO=1400", "--no-validate")
    assert psaps(with_lost) == []


def test_a_location_that_is_changed_while_its_psap_is_asked_for_does_not_get_the_old_address_psap(
    with_lost: Command, server: LostServer, database: Database
) -> None:
    def change_meanwhile(asked: Asked) -> bytes:
        with database.connect() as admin:
            admin.execute("update location set civic = civic || '{\"HNO\": \"2\"}' where name = 'HQ lobby'")
        return by_house(asked)

    server.answer = change_meanwhile
    result = with_lost.run("location", "route", "--tenant", "acme")
    assert result.exit_code == 2
    assert "acme, HQ lobby, trunk group psap: no PSAP found: it was changed meanwhile — run it again" in result.stderr
    assert psaps(with_lost) == []


def test_a_group_that_serves_a_location_no_more_takes_its_psap_along(with_lost: Command) -> None:
    with_lost.ok("location", "route")
    with_lost.ok("trunk-group", "set", "psap", "--country", "CA")
    told = with_lost.ok("location", "route")
    assert "acme, HQ lobby, trunk group psap: sip:austin@psap.example does not serve it any more" in told
    assert told.splitlines()[-1] == "3 PSAPs: 3 withdrawn"
    assert psaps(with_lost) == []
    assert with_lost.ok("location", "route") == "0 PSAPs\n"


def test_another_way_to_find_psaps_forgets_those_found_before(with_lost: Command) -> None:
    with_lost.ok("location", "route")
    with_lost.ok("trunk-group", "set", "psap", "--psap", "fixed", "--no-lost-url")
    assert psaps(with_lost) == []


def test_a_run_that_has_nothing_to_do_leaves_no_trace(with_lost: Command, admin: db.Connection) -> None:
    with_lost.ok("location", "route")
    before = admin.execute("select count(*), max(at) from provisioning_change").fetchall()
    with_lost.ok("location", "route")
    assert admin.execute("select count(*), max(at) from provisioning_change").fetchall() == before


def test_lost_servers_are_not_asked_while_others_wait_to_provision(
    with_lost: Command, server: LostServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow server must not hold the lock that every change of provisioning takes."""
    monkeypatch.setattr(lost, "ANSWERED_WITHIN_S", 30.0)

    def provision_meanwhile(asked: Asked) -> bytes:
        with database.connect() as admin:
            admin.execute("set lock_timeout = '5s'")
            admin.execute("insert into tenant (name, country) values (gen_random_uuid()::text, 'US')")
        return by_house(asked)

    server.answer = provision_meanwhile
    with_lost.ok("location", "create", "Annex", "--tenant", "acme", "--country", "US", *civic(AUSTIN))
    assert len(server.asked) == 2
