"""Making and migrating the database: roles, schema, numbered migrations."""

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.errors import DatabaseUnavailable
from holdfast.plane import rows
from holdfast.plane.db import OWNER, Connection, open_connection
from holdfast.plane.translation import translated, unreachable

SQL_DIR = Path(__file__).resolve().parents[3] / "sql"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of sql/migrations."""

    version: int
    name: str
    path: Path


def migrations() -> tuple[Migration, ...]:
    """Every migration in order; they are numbered 0001, 0002, … without a gap."""
    folder = SQL_DIR / "migrations"
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)", path.stem)
        if match is None or int(match[1]) != len(found) + 1:
            raise DatabaseUnavailable(
                f"{path} is out of turn among the migrations", mend="install Holdfast again: its files are damaged"
            )
        found.append(Migration(int(match[1]), match[2], path))
    if not found:
        raise DatabaseUnavailable(f"no migrations in {folder}", mend="install Holdfast again: its files are missing")
    return tuple(found)


def schema_version(connection: Connection) -> int:
    """The version of the database's schema; 0: there is none."""
    if not rows.value(connection, "select to_regclass('holdfast.schema_migration') is not null"):
        return 0
    return int(rows.value(connection, "select coalesce(max(version), 0) from holdfast.schema_migration"))


def create_database(info: str) -> bool:
    """Create the database that `info` names, unless it exists. True: it was created. Needs a role that may."""
    name = conninfo_to_dict(info).get("dbname") or "holdfast"
    try:
        psycopg.connect(info).close()
    except psycopg.OperationalError as error:
        if f'database "{name}" does not exist' not in str(error):
            raise unreachable(error) from error
    else:
        return False
    with open_connection(make_conninfo(info, dbname="postgres")) as connection, translated():
        try:
            connection.execute(
                sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(str(name)))
            )
        except pg.DuplicateDatabase:
            return False  # somebody else was quicker
    return True


def create_roles(connection: Connection) -> None:
    """Run sql/roles.sql, which changes nothing when it was run before."""
    script = (SQL_DIR / "roles.sql").read_text(encoding="utf-8")
    with translated():
        connection.execute(script.encode())
        connection.execute("set search_path = holdfast")


def migrate(connection: Connection) -> tuple[Migration, ...]:
    """Bring the schema to today's version, each migration in a transaction of its own; returns those applied.

    Needs the roles (create_roles) and a connection that may become holdfast_owner.
    """
    known = migrations()
    applied = []
    with translated():
        for migration in known:
            with connection.transaction():
                # (HOLD, 2): two that migrate at once must not both apply the same file
                connection.execute("select pg_advisory_xact_lock(1213156420, 2)")
                version = schema_version(connection)
                if version > len(known):
                    raise DatabaseUnavailable(
                        f"the database's schema is version {version}, and this Holdfast knows {len(known)}",
                        mend="install the newer Holdfast on this machine",
                    )
                if version >= migration.version:
                    continue
                connection.execute(sql.SQL("set local role {}").format(sql.Identifier(OWNER)))
                connection.execute(migration.path.read_bytes())
                connection.execute(
                    "insert into holdfast.schema_migration (version, name) values (%s, %s)",
                    (migration.version, migration.name),
                )
            applied.append(migration)
    return tuple(applied)
