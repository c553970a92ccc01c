"""Rows to frozen dataclasses and back, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, TypeVar

from psycopg import sql
from psycopg.rows import class_row

from holdfast.plane.db import Connection
from holdfast.plane.translation import translated

_T = TypeVar("_T")
Parameters = Sequence[Any] | Mapping[str, Any]


def select(connection: Connection, kind: type[_T], query: LiteralString, parameters: Parameters = ()) -> tuple[_T, ...]:
    """Every row of the query as a `kind`, whose fields are the query's columns."""
    with translated(), connection.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(query, parameters))


def value(connection: Connection, query: LiteralString | sql.Composed, parameters: Parameters = ()) -> Any:
    """The first column of the query's first row; None if there is no row."""
    with translated():
        row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def insert(connection: Connection, table: LiteralString, columns: Mapping[str, object]) -> None:
    """Insert one row. What is not among the columns takes the schema's default."""
    query = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    with translated():
        connection.execute(query, list(columns.values()))


def update(
    connection: Connection, table: LiteralString, key: LiteralString, row_key: object, columns: Mapping[str, object]
) -> None:
    """Change columns of the one row whose `key` is `row_key`."""
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in columns]
    query = sql.SQL("update {} set {} where {} = {}").format(
        sql.Identifier(table), sql.SQL(", ").join(assignments), sql.Identifier(key), sql.Placeholder()
    )
    with translated():
        connection.execute(query, [*columns.values(), row_key])


def pairs(connection: Connection, query: LiteralString, parameters: Parameters = ()) -> list[tuple[Any, Any]]:
    """Every row of a query of two columns."""
    with translated():
        return [(row[0], row[1]) for row in connection.execute(query, parameters)]


def delete(connection: Connection, table: LiteralString, key: LiteralString, row_key: object) -> None:
    """Delete the one row whose `key` is `row_key`."""
    query = sql.SQL("delete from {} where {} = {}").format(
        sql.Identifier(table), sql.Identifier(key), sql.Placeholder()
    )
    with translated():
        connection.execute(query, [row_key])
