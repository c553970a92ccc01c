"""PostgreSQL's errors in the words of whoever typed the value: the one place where driver errors are translated."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from holdfast.errors import DatabaseUnavailable, HoldfastError, InputError
from holdfast.plane import constraints, constraints_places, constraints_routing

#: SQLSTATE that schema.sql's own refusals carry: message and hint are written for people already
REFUSED = "HF001"

CONSTRAINTS = {**constraints.CONSTRAINTS, **constraints_places.CONSTRAINTS, **constraints_routing.CONSTRAINTS}


@contextmanager
def translated() -> Iterator[None]:
    """Raise whatever psycopg raises inside as InputError or DatabaseUnavailable, with its mend."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error
    except UnicodeEncodeError as error:
        # bytes of the command line that are no UTF-8 are lone surrogates here, which psycopg cannot send
        raise InputError("a value is not UTF-8", mend="type it in UTF-8") from error


def translate(error: psycopg.Error) -> HoldfastError:
    """The error as people should read it. Statements and values never appear in it, so no secret can."""
    if error.sqlstate == REFUSED:
        return InputError(error.diag.message_primary, mend=error.diag.message_hint or "")
    constraint = CONSTRAINTS.get(error.diag.constraint_name or "")
    if constraint:
        message, mend = constraint
        return InputError(message.format(values=_offending_values(error)), mend=mend)
    for kind, message, mend in _KINDS:
        if isinstance(error, kind):
            return DatabaseUnavailable(f"{message}: {_first_line(error)}", mend=mend)
    if isinstance(error, psycopg.DataError):
        return InputError(f"PostgreSQL cannot take a value: {_first_line(error)}", mend="correct the value")
    return DatabaseUnavailable(f"PostgreSQL: {_first_line(error)}", mend="'holdfast doctor' looks for the cause")


#: most specific first
_KINDS: tuple[tuple[type[psycopg.Error], str, str], ...] = (
    (
        pg.InsufficientPrivilege,
        "this database role may not do that",
        "provision as holdfast_admin and initialise as a superuser: --database user=…",
    ),
    (
        pg.UndefinedTable,
        "the database has no Holdfast schema, or an old one",
        "run 'holdfast db init' as a database superuser",
    ),
    (
        pg.InvalidSchemaName,
        "the database has no Holdfast schema",
        "run 'holdfast db init' as a database superuser",
    ),
    (
        pg.UndefinedFunction,
        "the database's Holdfast schema is of another version",
        "run 'holdfast db migrate' as a database superuser",
    ),
    (pg.InvalidCatalogName, "no such database", "run 'holdfast db init' as a database superuser"),
    (
        pg.LockNotAvailable,
        "another change of the provisioning has been going on for too long",
        "wait for it to end (an import, perhaps), and try again",
    ),
    (
        pg.QueryCanceled,
        "PostgreSQL took too long, and the statement was given up; nothing was changed",
        "try again when PostgreSQL is less busy",
    ),
    (
        pg.ReadOnlySqlTransaction,
        "PostgreSQL is read-only (a standby, or after a failover)",
        "name the primary in database.dsn, or add target_session_attrs=read-write",
    ),
    (pg.DiskFull, "PostgreSQL's disk is full", "free space there"),
)


def _offending_values(error: psycopg.Error) -> str:
    # 'Key (username, realm)=(alice, example.com) already exists.', in whatever language PostgreSQL speaks
    found = re.search(r"\(([^()]*)\)=\((.*)\)", error.diag.message_detail or "")
    if not found:
        return "that value"
    columns, key = found.groups()
    if columns == "tenant_id, name":
        return key.partition(", ")[2]  # people know what is a tenant's by its name
    if ", " not in columns:
        return key  # a name may hold a comma
    values = key.split(", ")
    if error.diag.constraint_name == "subscriber_username_once":
        return "@".join(values)
    if error.diag.constraint_name == "node_address_once":
        return ":".join(values)
    return values[0]


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error)
    # libpq's second line asks whether the server is running, which our mend says better
    line = " ".join((text.strip().splitlines() or [type(error).__name__])[0].split())
    return line.removeprefix("connection failed: ").removeprefix("connection is bad: ")


def unreachable(error: psycopg.Error) -> HoldfastError:
    """What a failed connection attempt means."""
    text = str(error)
    line = _first_line(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return DatabaseUnavailable(
            f"PostgreSQL does not let us in: {line}",
            mend="put the password into a pgpass file (man psql, 'password file')",
        )
    if "Peer authentication failed" in text or "Ident authentication failed" in text or "pg_hba.conf" in text:
        return DatabaseUnavailable(
            f"PostgreSQL does not let us in: {line}", mend="run as that user, or allow the role in pg_hba.conf"
        )
    if re.search(r'role ".*" does not exist', text) or re.search(r'database ".*" does not exist', text):
        return DatabaseUnavailable(f"PostgreSQL: {line}", mend="run 'holdfast db init' as a database superuser")
    if re.search(r"could not translate host name", text):
        return DatabaseUnavailable(f"PostgreSQL: {line}", mend="correct the host in database.dsn")
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {line}", mend="start it, or correct database.dsn in the settings file"
    )
