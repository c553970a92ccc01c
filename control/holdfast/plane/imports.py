"""Importing users, platform numbers and callback numbers from CSV: all rows, or none, with every wrong row named.

Rows are copied into a temporary table, checked there as a whole (against one another and the database), and inserted
by one statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, LiteralString

from psycopg import sql

from holdfast.errors import InputError
from holdfast.plane import db, rows, values
from holdfast.plane.csv_file import Column, CsvFile, WrongRow
from holdfast.plane.provisioning import pool_id, tenant_id
from holdfast.plane.translation import translated


class ImportRefused(InputError):
    """The file has wrong rows; nothing was imported."""

    def __init__(self, wrong: Sequence[WrongRow]) -> None:
        count = len(wrong)
        super().__init__(
            f"{count} thing{'s are' if count != 1 else ' is'} wrong in the file; nothing was imported",
            mend="correct the file and import it again",
        )
        self.wrong = tuple(sorted(wrong, key=lambda row: (row.line, row.column)))


@dataclass(frozen=True)
class _Check:
    """A query over `staged` for rows that cannot be inserted: columns line, message; one row per wrong row."""

    column: str
    query: LiteralString
    mend: str


@dataclass(frozen=True)
class _Kind:
    """What is imported: staged columns with their types, checks in order, and the statement that inserts."""

    staged: Mapping[LiteralString, LiteralString]
    checks: Sequence[_Check]
    insert: LiteralString


_TENANT_EXISTS = _Check(
    "tenant",
    """select line, 'there is no tenant ' || quote_literal(tenant) from staged
       where not exists (select from tenant t where t.name = staged.tenant)""",
    "make it first ('holdfast tenant create'), or correct the name",
)
_NUMBER_ONCE_IN_FILE = _Check(
    "number",
    """select line, number || ' stands in line ' || first || ' already'
       from (select line, number, min(line) over (partition by number) as first from staged where number is not null) s
       where line > first""",
    "give a number once",
)

_USERS = _Kind(
    staged={
        "line": "integer", "tenant": "text", "username": "text", "realm": "text", "ha1": "text",
        "display_name": "text", "number": "text", "country": "text", "outbound_enabled": "boolean",
        "inbound_enabled": "boolean", "do_not_disturb": "boolean", "forward_to": "text",
    },
    checks=(
        _TENANT_EXISTS,
        _Check(
            "username",
            """select line, username || '@' || realm || ' stands in line ' || first || ' already'
               from (select line, username, realm, min(line) over (partition by username, realm) as first
                     from staged) s
               where line > first""",
            "give a user once",
        ),
        _Check(
            "username",
            """select line, 'there is a user ' || username || '@' || realm || ' already'
               from staged join subscriber using (username, realm)""",
            "take the row out, or change that user with 'holdfast user set'",
        ),
        _NUMBER_ONCE_IN_FILE,
        _Check(
            "number",
            """select s.line, s.number || ' is not a number of tenant ' || quote_literal(s.tenant)
               from staged s join tenant t on t.name = s.tenant
               where s.number is not null and not exists (
                   select from platform_number p where p.number = s.number and p.tenant_id = t.id)""",
            "give the tenant the number first ('holdfast number add' or 'number import')",
        ),
        _Check(
            "number",
            """select s.line, s.number || ' is the number of ' || u.username || '@' || u.realm
               from staged s join subscriber u on u.number = s.number""",
            "give each user a number of their own",
        ),
    ),
    insert="""insert into subscriber (tenant_id, username, realm, ha1, display_name, number, country, outbound_enabled,
                                      inbound_enabled, do_not_disturb, forward_to)
              select t.id, s.username, s.realm, s.ha1, s.display_name, s.number, s.country, s.outbound_enabled,
                     s.inbound_enabled, s.do_not_disturb, s.forward_to
              from staged s join tenant t on t.name = s.tenant order by s.line""",
)  # fmt: skip

_NUMBERS = _Kind(
    staged={"line": "integer", "tenant": "text", "number": "text", "outbound_enabled": "boolean"},
    checks=(
        _TENANT_EXISTS,
        _NUMBER_ONCE_IN_FILE,
        _Check(
            "number",
            """select s.line, s.number || ' is a platform number of tenant ' || quote_literal(t.name) || ' already'
               from staged s join platform_number p using (number) join tenant t on t.id = p.tenant_id""",
            "take the row out",
        ),
        _Check(
            "number",
            """select s.line, s.number || ' is a callback number of pool ' || quote_literal(o.name)
               from staged s join pool_number p using (number) join pool o on o.id = p.pool_id""",
            "give tenants only numbers that are in no pool",
        ),
    ),
    insert="""insert into platform_number (number, tenant_id, outbound_enabled)
              select s.number, t.id, s.outbound_enabled
              from staged s join tenant t on t.name = s.tenant order by s.line""",
)

_POOL_NUMBERS = _Kind(
    staged={"line": "integer", "pool": "text", "number": "text", "shared": "boolean"},
    checks=(
        _Check(
            "pool",
            """select line, 'there is no pool ' || quote_literal(pool) from staged
               where not exists (select from pool p where p.name = staged.pool)""",
            "make it first ('holdfast pool create'), or correct the name",
        ),
        _NUMBER_ONCE_IN_FILE,
        _Check(
            "number",
            """select s.line, s.number || ' is in pool ' || quote_literal(o.name) || ' already'
               from staged s join pool_number p using (number) join pool o on o.id = p.pool_id""",
            "take the row out",
        ),
        _Check(
            "number",
            """select s.line, s.number || ' is a platform number of tenant ' || quote_literal(t.name)
               from staged s join platform_number p using (number) join tenant t on t.id = p.tenant_id""",
            "put only numbers into a pool that no tenant uses",
        ),
    ),
    insert="""insert into pool_number (number, pool_id, shared)
              select s.number, p.id, s.shared from staged s join pool p on p.name = s.pool order by s.line""",
)

Progress = Callable[[int], None]


def import_users(
    connection: db.Connection, file: BinaryIO, *, tenant: str | None, realm: str, progress: Progress
) -> int:
    """Import users; returns how many. `tenant` and `realm` stand for empty fields. ImportRefused names what is wrong.

    Columns: username; password or ha1; tenant, realm, display_name, number, country, outbound_enabled,
    inbound_enabled, do_not_disturb, forward_to.
    """
    columns = (
        _tenant_column(connection, tenant),
        Column("username", values.username, required=True),
        Column("password", values.password, secret=True),
        Column("ha1", values.ha1_digest, secret=True),
        Column("realm", values.realm, default=realm),
        Column("display_name", values.display_name, default=""),
        Column("number", values.number),
        Column("country", values.country),
        Column("outbound_enabled", values.flag, default=True),
        Column("inbound_enabled", values.flag, default=True),
        Column("do_not_disturb", values.flag, default=False),
        Column("forward_to", values.forward_to),
    )
    return _import(connection, CsvFile(file, columns, progress, _check_user), _USERS, "user import", _with_ha1)


def import_numbers(connection: db.Connection, file: BinaryIO, *, tenant: str | None, progress: Progress) -> int:
    """Import platform numbers; returns how many. Columns: number; tenant, outbound_enabled."""
    columns = (
        Column("number", values.number, required=True),
        _tenant_column(connection, tenant),
        Column("outbound_enabled", values.flag, default=True),
    )
    return _import(connection, CsvFile(file, columns, progress), _NUMBERS, "number import", dict)


def import_pool_numbers(connection: db.Connection, file: BinaryIO, *, pool: str, progress: Progress) -> int:
    """Import callback numbers into a pool; returns how many. Columns: number; shared."""
    pool_id(connection, pool)  # one error, not one for each row
    columns = (Column("number", values.number, required=True), Column("shared", values.flag, default=False))

    def in_pool(row: Mapping[str, object]) -> dict[str, object]:
        return {**row, "pool": pool}

    return _import(connection, CsvFile(file, columns, progress), _POOL_NUMBERS, f"pool import {pool}", in_pool)


def _tenant_column(connection: db.Connection, tenant: str | None) -> Column:
    if tenant is not None:
        tenant_id(connection, tenant)  # one error, not one for each row
    return Column("tenant", values.name, required=tenant is None, default=tenant)


def _check_user(row: Mapping[str, object]) -> Iterator[tuple[str, InputError]]:
    if (row["password"] is None) == (row["ha1"] is None):
        yield "password", InputError("give either a password or an HA1", mend="fill in one of the two columns")
    if row["forward_to"] is not None and row["forward_to"] in (f"{row['username']}@{row['realm']}", row["number"]):
        yield "forward_to", InputError("a user cannot be forwarded to themselves", mend="forward somewhere else")


def _with_ha1(row: Mapping[str, object]) -> dict[str, object]:
    if row["ha1"] is not None:
        return dict(row)
    return {**row, "ha1": values.ha1(str(row["username"]), str(row["realm"]), str(row["password"]))}


def _import(
    connection: db.Connection,
    file: CsvFile,
    kind: _Kind,
    what: str,
    complete: Callable[[Mapping[str, object]], dict[str, object]],
) -> int:
    with db.change(connection, what):
        staged = _stage(connection, file, kind, complete)
        wrong = list(file.wrong)
        for check in kind.checks:
            found = rows.pairs(connection, check.query)
            wrong += [WrongRow(int(line), check.column, message, check.mend) for line, message in found]
        if wrong:
            raise ImportRefused(wrong)
        if not staged:
            raise InputError("the file names columns, but has no rows", mend="write a row for each")
        with translated():
            connection.execute(kind.insert)
    return staged


def _stage(
    connection: db.Connection,
    file: CsvFile,
    kind: _Kind,
    complete: Callable[[Mapping[str, object]], dict[str, object]],
) -> int:
    """Copy every good row into the temporary table `staged`, which goes with the transaction."""
    names = [name for name in kind.staged if name != "line"]
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in kind.staged.items())
    count = 0
    with translated():
        connection.execute(sql.SQL("create temporary table staged ({}) on commit drop").format(columns))
        with connection.cursor().copy("copy staged from stdin") as copy:
            for row in file.rows():
                completed = complete(row.values)
                copy.write_row((row.line, *(completed[name] for name in names)))
                count += 1
        connection.execute("analyze staged")
    return count
