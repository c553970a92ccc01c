"""A connection to PostgreSQL, and changes whose outcome is known even when the connection breaks in mid-commit."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.errors import DatabaseUnavailable, InputError
from holdfast.plane.translation import translate, translated, unreachable
from holdfast.settings import Settings

AGENT = "holdfast_agent"
ADMIN = "holdfast_admin"
API = "holdfast_api"
OWNER = "holdfast_owner"
SUPERUSER = "postgres"

#: A person waits at the other end; an import of 100 000 rows takes about ten seconds.
STATEMENT_TIMEOUT_S = 300
#: How long one change waits for another one's lock.
LOCK_TIMEOUT_S = 15
#: A restart or a failover of PostgreSQL is waited for when the outcome of a commit must be looked up.
RECONNECT_WITHIN_S = 10.0
RECONNECT_EVERY_S = 0.25

Connection = psycopg.Connection[tuple[object, ...]]


def conninfo(settings: Settings, *, role: str = ADMIN, override: str = "") -> str:
    """The libpq string to connect with: settings.database.dsn, then `override` (libpq syntax) on top.

    A settings file serves all processes of a node, so a `user` in it may be the agent's: unless `override`, PGUSER or
    a libpq service names one, `role` stands in for that and for none. InputError if `override` cannot be read, or
    holds a password.
    """
    configured = _parsed(settings.database.dsn, "database.dsn", "correct it in the settings file")
    on_top = _parsed(override, "--database", "write it such as 'user=holdfast_admin host=/run/postgresql'")
    if "password" in on_top:
        raise InputError(
            "--database holds a password, which every user of this machine could see",
            mend="put it into a pgpass file (man psql, 'password file')",
        )
    elsewhere = "service" in {**configured, **on_top} or "PGUSER" in os.environ
    if configured.get("user") == AGENT or ("user" not in configured and not elsewhere):
        configured["user"] = role
    timeouts = f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={LOCK_TIMEOUT_S}s"
    defaults = {
        "connect_timeout": str(settings.database.connect_timeout_s),
        # a peer that fell silent is given up after as long as a statement may take
        "tcp_user_timeout": str(STATEMENT_TIMEOUT_S * 1000),
        "application_name": "holdfast",
        "options": f"{timeouts} -c search_path=holdfast",
    }
    return make_conninfo(**{**defaults, **configured, **on_top})


def _parsed(text: str, where: str, mend: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError as error:
        raise InputError(f"{where}: {str(error).strip()}", mend=mend) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: it is not UTF-8", mend=mend) from error


def connect(settings: Settings, *, role: str = ADMIN, override: str = "") -> Connection:
    """Connect in autocommit mode; write with `change`. DatabaseUnavailable says why it is not possible."""
    return open_connection(conninfo(settings, role=role, override=override))


def open_connection(info: str) -> Connection:
    """Connect with a whole libpq string (see conninfo)."""
    try:
        return psycopg.connect(info, autocommit=True)
    except psycopg.Error as error:
        raise unreachable(error) from error


@contextmanager
def change(connection: Connection, what: str) -> Iterator[None]:
    """One transaction of provisioning: all of it is stored, or none. `what` says which change, without secrets.

    Leaving it without an error means that it is stored. Should the connection break while it is being committed, the
    change is looked up by its key over a new connection; when that is impossible, DatabaseUnavailable says that the
    outcome is not known. InputError if PostgreSQL refuses a value.
    """
    key = uuid.uuid4()
    with translated():
        connection.execute("begin isolation level read committed")
    try:
        with translated():
            yield
            connection.execute("insert into provisioning_change (id, what) values (%s, %s)", (key, what))
    except BaseException:
        _roll_back(connection)
        raise
    try:
        connection.execute("commit")
    except psycopg.Error as error:
        if not connection.closed:
            raise translate(error) from error  # PostgreSQL itself refused to commit
        if not _is_stored(connection.info.dsn, key, what):
            raise DatabaseUnavailable(
                f"the connection to PostgreSQL broke, and nothing was changed ({what})", mend="try again"
            ) from error


def _roll_back(connection: Connection) -> None:
    try:
        connection.execute("rollback")
    except psycopg.Error:
        # the connection is gone, and PostgreSQL rolls back by itself; the error that led here is being raised
        connection.close()


def _is_stored(info: str, key: uuid.UUID, what: str) -> bool:
    """Whether the change took effect, asked over new connections until one works or the deadline has passed."""
    deadline = time.monotonic() + RECONNECT_WITHIN_S
    while True:
        try:
            return _key_is_taken(info, key, what)
        except DatabaseUnavailable as error:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"the connection to PostgreSQL broke, and whether this was stored is not known: {what}",
                    mend="look with 'holdfast … list' once PostgreSQL is back, before you repeat it",
                ) from error
        time.sleep(RECONNECT_EVERY_S)


def _key_is_taken(info: str, key: uuid.UUID, what: str) -> bool:
    with open_connection(info) as fresh, translated(), fresh.transaction(force_rollback=True):
        # the broken session may still be committing: inserting the same key waits for its outcome
        inserted = fresh.execute(
            "insert into provisioning_change (id, what) values (%s, %s) on conflict do nothing", (key, what)
        )
        return inserted.rowcount == 0
