"""Importing CSV: everything or nothing, and each wrong row is named with its line, its column and what to do."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.plane import db
from integration.command import Command, on_node
from integration.postgres import Database
from integration.sql_rows import provision


@pytest.fixture
def holdfast(tmp_path: Path, database: Database, admin: db.Connection) -> Command:
    begin_with(admin)
    return on_node(tmp_path, database)


@pytest.fixture(scope="module")
def unchanged_rows(shared_database: Database) -> Database:
    """The same rows, for imports that are all refused."""
    with shared_database.connect() as admin:
        begin_with(admin)
    return shared_database


@pytest.fixture
def refusing(tmp_path: Path, unchanged_rows: Database) -> Iterator[Command]:
    yield on_node(tmp_path, unchanged_rows)
    with unchanged_rows.connect() as admin:
        assert (count(admin, "platform_number"), count(admin, "subscriber")) == (11, 1)
        assert count(admin, "provisioning_change") == 0


def begin_with(admin: db.Connection) -> None:
    provision(admin, pool_numbers=2)
    admin.execute(
        "insert into platform_number (number, tenant_id) select '+1202555010' || n, 1 from generate_series(0, 9) n"
    )
    admin.execute("insert into platform_number (number, tenant_id) values ('+12025550200', 2)")
    admin.execute(
        """insert into subscriber (tenant_id, username, realm, ha1, number)
           values (1, 'taken', 'example.com', md5(''), '+12025550109')"""
    )


def csv_file(holdfast: Command, content: str | bytes) -> str:
    path = holdfast.folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def count(admin: db.Connection, table: str) -> int:
    rows: list[Any] = admin.execute(f"select count(*) from {table}".encode()).fetchall()
    return int(rows[0][0])


def wrong_rows(holdfast: Command, *arguments: str) -> list[str]:
    """What is wrong with which row, without file name and mend, after checking that the verdict comes last."""
    result = holdfast.run(*arguments)
    *rows, verdict = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert verdict.startswith("holdfast: ")
    assert "nothing was imported — correct the file" in verdict
    assert all(row.startswith(f"{holdfast.folder}/rows.csv:") for row in rows), rows
    named = [row.removeprefix(f"{holdfast.folder}/rows.csv:").rpartition("; ") for row in rows]
    assert all(mend for _, _, mend in named)
    return [what for what, _, _ in named]


def test_users_are_imported_with_everything_a_column_can_say(holdfast: Command, admin: db.Connection) -> None:
    file = csv_file(
        holdfast,
        "\ufeffUsername,password,display_name,number,country,outbound_enabled,inbound_enabled,do_not_disturb,forward_to,"
        "tenant,realm\r\n"
        'alice, pass word ,"Alice ""Al"", née Zoë",+1 (202) 555-0100,pr,yes,no,on,+12025550155,,\r\n'
        "\r\n"
        "bob,s3cret,,,,,,,,other,other.example\r\n"
        ",,,,,,,,,,\r\n",
    )
    assert holdfast.ok("user", "import", file, "--tenant", "acme") == "2 users imported\n"
    alice = holdfast.json("user", "show", "alice")
    assert alice["id"] > 0
    assert {**alice, "id": 0} == {
        "id": 0, "tenant": "acme", "username": "alice", "realm": "example.com", "display_name": 'Alice "Al", née Zoë',
        "number": "+12025550100", "country": "PR", "outbound_enabled": True, "inbound_enabled": False,
        "do_not_disturb": True, "forward_to": "+12025550155", "site": None, "policy": None, "location": None,
        "common_area": False, "pbx": False,
    }  # fmt: skip
    assert holdfast.json("user", "show", "bob", "--realm", "other.example")["tenant"] == "other"
    # a password is taken as it stands, spaces and all
    query = "select ha1 = md5('alice:example.com: pass word ') from subscriber where username = 'alice'"
    assert admin.execute(query).fetchone() == (True,)


def test_every_wrong_row_is_named_and_none_is_imported(refusing: Command) -> None:
    file = csv_file(
        refusing,
        "username,password,ha1,number,country,forward_to,do_not_disturb\n"
        "good,x,,+12025550101,US,,\n"  # 2
        "bad name,x,,,,,\n"
        "u4,,,,,,\n"
        "u5,x,d41d8cd98f00b204e9800998ecf8427e,,,,\n"
        "u6,x,,12025550102,,,\n"
        "u7,x,,+12025550200,,,\n"  # another tenant's
        "u8,x,,+12025550199,,,\n"  # nobody's
        "u9,x,,+12025550109,,,\n"  # taken's
        "u10,x,,+12025550101,,,\n"  # of line 2
        "good,x,,,,,\n"
        "taken,x,,,,,\n"
        "u13,x,,,USA,911,perhaps\n"
        "u14,x,,,,u14@example.com,\n"
        "u15,x\n"
        "u16,,d41d8cd98f00b204e9800998ecf8427,,,,\n",
    )
    assert wrong_rows(refusing, "user", "import", file, "--tenant", "acme") == [
        "3: username: 'bad name' is not a usable username",
        "4: password: give either a password or an HA1",
        "5: password: give either a password or an HA1",
        "6: number: '12025550102' is not an E.164 number",
        "7: number: +12025550200 is not a number of tenant 'acme'",
        "8: number: +12025550199 is not a number of tenant 'acme'",
        "9: number: +12025550109 is the number of taken@example.com",
        "10: number: +12025550101 stands in line 2 already",
        "11: username: good@example.com stands in line 2 already",
        "12: username: there is a user taken@example.com already",
        "13: country: 'USA' is not a country code",
        "13: do_not_disturb: 'perhaps' is neither yes nor no",
        "13: forward_to: '911' cannot be forwarded to",
        "14: forward_to: a user cannot be forwarded to themselves",
        "15: the row has 2 fields, the header has 7",
        "16: ha1: the HA1 is not 32 hexadecimal digits",
    ]


def test_a_password_never_appears_in_a_message(refusing: Command) -> None:
    file = csv_file(refusing, b"username,password\nu1,top\x01secret\nu2,top\xe9secret\nu3," + b"topsecret" * 20 + b"\n")
    named = wrong_rows(refusing, "user", "import", file, "--tenant", "acme")
    assert [row.split(":")[:2] for row in named] == [["2", " password"], ["3", " password"], ["4", " password"]]
    assert not [row for row in named if "secret" in row]


def test_only_the_first_fifty_wrong_rows_are_listed(refusing: Command) -> None:
    file = csv_file(refusing, "number\n" + "x\n" * 60)
    *named, _verdict = refusing.run("number", "import", file, "--tenant", "acme").stderr.splitlines()
    assert len(named) == 51
    assert named[-1].endswith("rows.csv: … and 10 more")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "1: the file is empty"),
        (b"\r\n\r\n", "1: the file is empty"),
        (b"nummer\n+1\n", "1: unknown column 'nummer'"),
        (b"number;tenant\n", "1: unknown column 'number;tenant'"),
        (b"number,number\n", "1: number: the column stands there twice"),
        (b"outbound_enabled\n1\n", "1: number: the column is missing"),
        ("number\n".encode("utf-16"), "1: the file is UTF-16"),
        (b"number\n\n+1202555\xe9\n", "3: number: '+1202555\\udce9' is not UTF-8"),
        (b'number\n"+12025550300\n', "2: a quotation mark is opened and not closed"),
        (b'number\n"+1202"5550300\n', "2: a quotation mark stands inside a field"),
        (b"number\r+12025550300\r", "1: a line ends in a carriage return alone"),
        (b"number\n+1202555\x000300\n", "2: number: '+1202555\\x000300' is not an E.164 number"),
        (b"number\n\xd9\xa1\xd9\xa2\n", "2: number: '\u0661\u0662' is not an E.164 number"),
        (b"number\n" + b"x" * 70000, "2: the line is longer than 65536 bytes"),
        (b"number\n+13120000001\n", "2: number: +13120000001 is a callback number of pool 'us'"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_explained(refusing: Command, content: bytes, named: str) -> None:
    rows = wrong_rows(refusing, "number", "import", csv_file(refusing, content), "--tenant", "acme")
    assert rows[0] == named


def test_numbers_are_imported_from_standard_input(holdfast: Command, admin: db.Connection) -> None:
    rows = "number,outbound_enabled,tenant\n+12025550301,off,\n+1-202-555-0302,,other\n"
    assert holdfast.ok("number", "import", "-", "--tenant", "acme", stdin=rows) == "2 numbers imported\n"
    found = admin.execute("select number, tenant_id, outbound_enabled from platform_number where number > '+120255503'")
    assert sorted(found.fetchall()) == [("+12025550301", 1, False), ("+12025550302", 2, True)]


def test_callback_numbers_are_imported_into_a_pool(holdfast: Command, admin: db.Connection) -> None:
    file = csv_file(holdfast, "shared,number\n,+13125550001\nyes,+13125550002\n")
    assert holdfast.ok("pool", "import", "us", file) == "2 callback numbers imported\n"
    found = admin.execute("select number, shared from pool_number where number like '+1312555%'")
    assert sorted(found.fetchall()) == [("+13125550001", False), ("+13125550002", True)]
    file = csv_file(holdfast, "number\n+13125550001\n+12025550100\n")
    assert wrong_rows(holdfast, "pool", "import", "us", file) == [
        "2: number: +13125550001 is in pool 'us' already",
        "3: number: +12025550100 is a platform number of tenant 'acme'",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("user", "import", "{}", "--tenant", "nobody"), "there is no tenant 'nobody'"),
        (("pool", "import", "nowhere", "{}"), "there is no pool 'nowhere'"),
        (("number", "import", "{}/missing.csv", "--tenant", "acme"), "No such file or directory"),
        (("number", "import", "/", "--tenant", "acme"), "Is a directory"),
    ],
)
def test_what_is_wrong_with_the_whole_import_is_said_once(
    refusing: Command, arguments: tuple[str, ...], message: str
) -> None:
    file = csv_file(refusing, "number\n+13125550001\n")
    line = refusing.refused(*(argument.format(file).replace(".csv/", "/") for argument in arguments))
    assert message in line


def test_a_header_alone_imports_nothing_and_says_so(refusing: Command) -> None:
    line = refusing.refused("number", "import", csv_file(refusing, "number\n"), "--tenant", "acme")
    assert "has no rows" in line


def test_twenty_thousand_users_with_numbers_are_imported(holdfast: Command, admin: db.Connection) -> None:
    numbers = [f"+1{4000000000 + n}" for n in range(20_000)]
    file = csv_file(holdfast, "number\n" + "\n".join(numbers))
    holdfast.ok("number", "import", file, "--tenant", "acme")
    with (holdfast.folder / "rows.csv").open("w", encoding="utf-8", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(("username", "password", "number", "display_name"))
        writer.writerows((f"u{index}", f"secret{index}", number, "A User") for index, number in enumerate(numbers))
    holdfast.ok("user", "import", file, "--tenant", "acme")
    assert count(admin, "subscriber") == 20_001
