"""Importing rows from a file: all of them, or none, with every wrong row named.

Rows are copied into a temporary table, checked there as a whole (against one another and the database), and inserted
by one statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString, Protocol

from psycopg import sql

from holdfast.errors import InputError
from holdfast.plane import db, rows, values
from holdfast.plane.csv_file import Column, Row, WrongRow
from holdfast.plane.provisioning import tenant_id
from holdfast.plane.translation import translated

Progress = Callable[[int], None]


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
class Check:
    """A query over `staged` for rows that cannot be inserted: columns line, message; one row per wrong row."""

    column: str
    query: LiteralString
    mend: str


@dataclass(frozen=True)
class Kind:
    """What is imported: staged columns with their types, checks in order, and the statement that inserts."""

    staged: Mapping[LiteralString, LiteralString]
    checks: Sequence[Check]
    insert: LiteralString


TENANT_EXISTS = Check(
    "tenant",
    """select line, 'there is no tenant ' || quote_literal(tenant) from staged
       where not exists (select from tenant t where t.name = staged.tenant)""",
    "make it first ('holdfast tenant create'), or correct the name",
)


class Source(Protocol):
    """A file that is read row by row; what is wrong with it gathers in `wrong` meanwhile."""

    @property
    def wrong(self) -> Sequence[WrongRow]: ...

    def rows(self) -> Iterator[Row]: ...


def tenant_column(connection: db.Connection, tenant: str | None) -> Column:
    """The column `tenant`; `tenant` stands for empty fields. InputError if there is none of that name."""
    if tenant is not None:
        tenant_id(connection, tenant)  # one error, not one for each row
    return Column("tenant", values.name, required=tenant is None, default=tenant)


def import_file(
    connection: db.Connection,
    file: Source,
    kind: Kind,
    what: str,
    complete: Callable[[Mapping[str, object]], dict[str, object]],
) -> int:
    """Import every row of the file, or none; returns how many. ImportRefused names what is wrong.

    `complete` turns the values of a row into the columns of `kind.staged` (without the line).
    """
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
    file: Source,
    kind: Kind,
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
