"""The `holdfast` command provisions; what is wrong is one line with its mend and exit status 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.command import Command, on_node
from integration.postgres import Database
from lab.postgres import PrivatePostgres


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    return on_node(tmp_path, database)


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory, shared_database: Database) -> Command:
    """One of everything, for tests that change nothing."""
    command = on_node(tmp_path_factory.mktemp("node"), shared_database)
    provision(command)
    return command


def provision(holdfast: Command) -> None:
    holdfast.ok("node", "create")
    holdfast.ok("tenant", "create", "acme", "--country", "us")
    holdfast.ok("number", "add", "+1 202 555 0101", "+12025550110-+12025550119", "--tenant", "acme")
    holdfast.ok("user", "create", "alice", "--tenant", "acme", "--number", "+12025550101", stdin="secret\n")
    holdfast.ok("trunk-group", "create", "psap", "--emergency")
    holdfast.ok("trunk-group", "create", "pstn", "--ordinary")
    holdfast.ok("trunk", "create", "psap-1", "--group", "psap", "--host", "127.0.0.1", "--port", "5090")
    holdfast.ok("pool", "create", "us", "--trunk-group", "psap", "--country", "US", "--target-idle", "2")
    holdfast.ok("pool", "add-numbers", "us", "+13120000001-+13120000050")
    holdfast.ok("pool", "add-numbers", "us", "+13120000099", "--shared")


def test_everything_that_is_provisioned_is_listed_for_programs(provisioned: Command) -> None:
    (tenant,) = provisioned.json("tenant", "list")
    assert tenant == {
        "id": 1, "name": "acme", "country": "US", "max_emergency_calls": 10, "max_test_calls": 10,
        "country_required": False, "policy": None, "security_desk": None, "users": 1, "numbers": 11,
    }  # fmt: skip
    assert provisioned.json("tenant", "show", "acme") == tenant
    (user,) = provisioned.json("user", "list", "--tenant", "acme")
    assert user["number"] == "+12025550101"
    assert "ha1" not in user
    assert provisioned.json("number", "list", "--limit", "1") == [
        {"number": "+12025550101", "tenant": "acme", "outbound_enabled": True, "user": "alice@example.com",
         "carrier": None, "location": None, "enhanced": False, "may_set_address": True, "may_change_address": True,
         "may_delete_address": True}
    ]  # fmt: skip
    assert [group["emergency"] for group in provisioned.json("trunk-group", "list")] == [True, False]
    (trunk,) = provisioned.json("trunk", "list")
    assert (trunk["trunk_group"], trunk["host"], trunk["port"], trunk["source_addresses"]) == (
        "psap", "127.0.0.1", 5090, ["127.0.0.1"],
    )  # fmt: skip
    (pool,) = provisioned.json("pool", "list")
    assert (pool["numbers"], pool["window_s"], pool["rest_s"], pool["target_idle"]) == (51, 3600, 3600, 2)
    assert provisioned.json("pool", "show", "us")["use"] == [
        {"node": None, "numbers": 51, "idle": 50, "held": 0, "shared": 1}
    ]
    assert provisioned.json("node", "show") == {
        "id": 1, "name": "edge-1", "sip_address": "127.0.0.1", "sip_port": 5060, "owned_numbers": 0,
    }  # fmt: skip
    for kind in ("lease", "call"):
        assert provisioned.json(kind, "list", "--plane") == []
    assert provisioned.json("journal", "tail") == []
    assert provisioned.json("db", "status")["up_to_date"] is True


def test_a_name_that_is_taken_is_said_whole(holdfast: Command) -> None:
    holdfast.ok("tenant", "create", "Acme, Inc. (US)", "--country", "US")
    refusal = holdfast.refused("tenant", "create", "Acme, Inc. (US)", "--country", "US")
    assert "there is a tenant Acme, Inc. (US) already" in refusal


def test_a_users_settings_are_changed_one_by_one(holdfast: Command) -> None:
    provision(holdfast)
    holdfast.ok("user", "set", "alice", "--dnd", "on", "--inbound", "off", "--forward-to", "+12025550199")
    alice = holdfast.json("user", "show", "alice")
    assert (alice["do_not_disturb"], alice["inbound_enabled"], alice["outbound_enabled"]) == (True, False, True)
    assert alice["forward_to"] == "+12025550199"
    holdfast.ok("user", "set", "alice", "--no-forward", "--no-number", "--dnd", "off")
    alice = holdfast.json("user", "show", "alice")
    assert (alice["do_not_disturb"], alice["forward_to"], alice["number"]) == (False, None, None)


def test_a_password_is_stored_as_ha1_alone_wherever_it_came_from(holdfast: Command, database: Database) -> None:
    provision(holdfast)
    file = holdfast.folder / "password"
    file.write_bytes("Zoë's secret\r\n".encode())
    holdfast.ok("user", "set", "alice", "--password-file", str(file))
    holdfast.ok("user", "create", "bob", "--tenant", "acme", "--password-file", "-", stdin="secret")
    with database.connect() as admin:
        query = """select username from subscriber where ha1 = md5(username || ':example.com:' ||
                   case username when 'alice' then 'Zoë''s secret' else 'secret' end) order by username"""
        assert admin.execute(query).fetchall() == [("alice",), ("bob",)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tenant", "create", "acme", "--country", "US"), "there is a tenant acme already"),
        (("tenant", "create", "\udcff", "--country", "US"), "'\\udcff' is not a usable name"),
        (("tenant", "show", "\udcff"), "a value is not UTF-8"),
        (("user", "create", "eve", "--tenant", "\udcff"), "a value is not UTF-8"),
        (("user", "set", "alice", "--display-name", "\udcff"), "'\\udcff' is not a usable display name"),
        (("tenant", "create", "x", "--country", "Atlantis"), "--country: 'Atlantis' is not a country code"),
        (("tenant", "create", "x"), "Missing option '--country'"),
        (("tenant", "create", "", "--country", "US"), "'' is not a usable name"),
        (("tenant", "show", "nobody"), "there is no tenant 'nobody'"),
        (("tenant", "set", "nobody", "--country", "US"), "there is no tenant 'nobody'"),
        (("tenant", "set", "acme"), "nothing to change was given"),
        (("tenant", "set", "acme", "--max-emergency-calls", "0"), "0 is not in the range"),
        (("tenant", "set", "acme", "--security-desk", "d@x", "--no-security-desk"), "both given and taken away"),
        (("user", "show", "nobody"), "there is no user nobody@example.com"),
        (("user", "show", "alice", "--realm", "elsewhere.example"), "there is no user alice@elsewhere.example"),
        (("user", "set", "alice", "--dnd", "maybe"), "--dnd: 'maybe' is neither yes nor no"),
        (("user", "set", "alice", "--forward-to", "911"), "--forward-to: '911' cannot be forwarded to"),
        (("user", "set", "alice", "--forward-to", "alice@example.com"), "cannot be forwarded to themselves"),
        (("user", "set", "alice", "--number", "+12025550199"), "+12025550199 is not a platform number"),
        (("user", "create", "a b", "--tenant", "acme"), "'a b' is not a usable username"),
        (("user", "create", "eve", "--tenant", "acme", "--password-file", "/missing"), "No such file"),
        (("number", "add", "911", "--tenant", "acme"), "'911' is not an E.164 number"),
        (("number", "add", "+12025550101", "--tenant", "acme"), "+12025550101 is a platform number already"),
        (("number", "add", "+12025550300-+12025550200", "--tenant", "acme"), "does not go upwards"),
        (("number", "add", "+12020000000-+12029999999", "--tenant", "acme"), "has 10000000 numbers"),
        (("number", "add", "+12025550300", "+12025550300", "--tenant", "acme"), "+12025550300 is given twice"),
        (("number", "set", "+12025559999", "--outbound", "off"), "+12025559999 is not a platform number"),
        (("pool", "create", "x", "--trunk-group", "pstn", "--country", "US"), "must carry emergency calls"),
        (("pool", "create", "x", "--trunk-group", "psap", "--country", "US", "--window-s", "60"), "60 is not in the"),
        (("pool", "add-numbers", "us", "+12025550101"), "+12025550101 is a platform number"),
        (("pool", "add-numbers", "us", "+13120000001"), "+13120000001 is in a pool already"),
        (("pool", "show", "nowhere"), "there is no pool 'nowhere'"),
        (("trunk", "create", "t", "--group", "psap", "--host", "no-such-host.invalid"), "does not resolve"),
        (("trunk", "create", "t", "--group", "psap", "--host", "a.invalid", "--no-resolve-check"), "is not known"),
        (("trunk", "create", "t", "--group", "nowhere", "--host", "127.0.0.1"), "there is no trunk group 'nowhere'"),
        (("trunk", "create", "t", "--group", "psap", "--host", "127.0.0.1", "--port", "0"), "0 is not in the range"),
        (("trunk", "create", "t", "--group", "psap", "--host", "127.0.0.1", "--source", "0.0.0.0/0"), "far too many"),
        (("trunk", "create", "t", "--group", "psap", "--host", "::1; drop"), "'::1; drop' is not a host"),
        (("trunk", "set", "nowhere", "--enabled", "off"), "there is no trunk 'nowhere'"),
        (("node", "create"), "there is a node edge-1 already"),
        (("node", "create", "Edge_2"), "'Edge_2' is not a usable node name"),
        (("node", "show", "nowhere"), "there is no node 'nowhere'"),
        (("lease", "show", "+13120000001", "--plane"), "+13120000001 is not lent by any node's report"),
        (("call", "show", "abc", "--plane"), "no call 'abc' is in progress"),
        (("lease", "list"), "no edge store at"),
        (("registration", "list"), "Kamailio is not running"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("tenant", "frobnicate"), "No such command 'frobnicate'"),
        (("tenant", "list", "--frobnicate"), "No such option"),
        (("--config", "/missing.toml", "tenant", "list"), "no settings file at /missing.toml"),
        (("--database", "password=x", "tenant", "list"), "--database holds a password"),
        (("--database", "nonsense", "tenant", "list"), "--database: missing"),
        (("--database", "host=\udcff", "tenant", "list"), "--database: it is not UTF-8"),
        (("--database", "host=/missing", "tenant", "list"), "PostgreSQL cannot be reached"),
        (("--database", "host=no-such-host.invalid", "tenant", "list"), "PostgreSQL"),
        (("--database", "user=nobody", "tenant", "list"), 'role "nobody" does not exist'),
        (("--database", "dbname=nowhere", "tenant", "list"), 'database "nowhere" does not exist'),
        (("--database", "user=holdfast_agent", "tenant", "list"), "this database role may not do that"),
        (("--database", "dbname=postgres", "tenant", "list"), "has no Holdfast schema"),
        (("--database", "user=holdfast_admin", "db", "init"), "this database role may not do that"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_mend(
    provisioned: Command, arguments: tuple[str, ...], message: str
) -> None:
    assert message in provisioned.refused(*arguments, stdin="secret\n")


@pytest.mark.parametrize("typed", [b"", b"\n", b"\xff\xfe\n", b"a\x01b\n", b"x" * 200])
def test_a_password_that_cannot_be_used_is_refused_and_not_shown(provisioned: Command, typed: bytes) -> None:
    line = provisioned.refused("user", "create", "eve", "--tenant", "acme", stdin=typed)
    assert "password" in line
    assert "xxx" not in line


def test_a_host_that_does_not_resolve_yet_is_taken_when_asked_to(holdfast: Command) -> None:
    provision(holdfast)
    where = ["--host", "later.invalid", "--source", "192.0.2.0/24", "--source", "2001:db8::7"]
    holdfast.ok("trunk", "create", "later", "--group", "psap", *where, "--no-resolve-check", "--priority", "2")
    assert [trunk["name"] for trunk in holdfast.json("trunk", "list")] == ["psap-1", "later"]
    assert holdfast.json("trunk", "list")[1]["source_addresses"] == ["192.0.2.0/24", "2001:db8::7"]
    holdfast.ok("trunk", "set", "later", "--enabled", "off", "--source", "198.51.100.1")
    later = holdfast.json("trunk", "list")[1]
    assert (later["enabled"], later["source_addresses"]) == (False, ["198.51.100.1"])


def test_a_database_is_made_from_nothing_and_made_again_without_harm(tmp_path: Path) -> None:
    with PrivatePostgres() as postgres:
        holdfast = on_node(tmp_path, Database(postgres, "holdfast"))
        assert 'role "holdfast_admin" does not exist' in holdfast.refused("tenant", "list")
        assert "database created" in holdfast.ok("db", "init")
        provision(holdfast)
        assert "as it was" in holdfast.ok("db", "init")
        assert len(holdfast.json("tenant", "list")) == 1
        postgres.stop()
        assert "PostgreSQL cannot be reached" in holdfast.refused("tenant", "list")
        assert "start it" in holdfast.refused("db", "init")


def test_the_installed_command_speaks_as_one_in_process_does(provisioned: Command) -> None:
    command = [sys.executable, "-m", "holdfast.cli"]
    environment = {**os.environ, "HOLDFAST_CONFIG": str(provisioned.config)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    listed = run("tenant", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "acme" in listed.stdout
    wrong = run("tenant", "show", "nobody")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "holdfast: there is no tenant 'nobody' — 'holdfast tenant list' shows the names there are\n"
    assert run("--version").stdout.startswith("holdfast")
    # whoever reads our output may stop reading
    shell = f"{sys.executable} -m holdfast.cli number list | head -1"
    cut = subprocess.run(["sh", "-c", shell], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (cut.returncode, cut.stderr) == (0, "")
