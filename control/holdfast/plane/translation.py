"""PostgreSQL's errors in the words of whoever typed the value: the one place where driver errors are translated."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from holdfast.errors import DatabaseUnavailable, HoldfastError, InputError

#: SQLSTATE that schema.sql's own refusals carry: message and hint are written for people already
REFUSED = "HF001"

#: constraint → (what is wrong, how to mend it); {values} is the offending key, where PostgreSQL tells it.
#: A test holds this table against every constraint of the schema.
CONSTRAINTS: dict[str, tuple[str, str]] = {
    # kinds of text
    "e164_format": ("a number is not E.164", "write + and 7 to 15 digits, such as +12025550123"),
    "iso_country_format": ("a country is not an ISO 3166-1 alpha-2 code", "write two capitals, such as US"),
    "name_text_one_line": ("a name is empty, too long or not one line", "use 1 to 128 visible characters"),
    "line_text_one_line": ("a display name is too long or not one line", "use at most 128 visible characters"),
    "aor_format": ("an address is not user@domain", "write it such as desk@example.com"),
    # nodes
    "node_name_format": (
        "a node's name cannot be a host name",
        "use lower-case letters, digits and -, at most 63, such as edge-1",
    ),
    "node_address_is_one_host": ("a node's address is a network", "give the address of the one host, without /"),
    "node_port_range": ("a node's port is not a port", "use 1 to 65535"),
    "node_name_once": ("there is a node {values} already", "choose another name"),
    "node_address_once": ("another node is at {values} already", "give each node an address and port of its own"),
    # tenants
    "tenant_emergency_calls_allowed": ("a tenant must be allowed an emergency call", "use at least 1"),
    "tenant_name_once": ("there is a tenant {values} already", "choose another name"),
    # platform numbers
    "platform_number_pkey": ("{values} is a platform number already", "give a number once, to one tenant"),
    "platform_number_has_tenant": ("the number's tenant does not exist", "'holdfast tenant list' shows all"),
    "platform_number_of_tenant": ("{values} is a platform number already", "give a number once, to one tenant"),
    # users
    "subscriber_has_tenant": ("the user's tenant does not exist, or still has users", "see 'holdfast user list'"),
    "subscriber_username_format": (
        "a username has characters that SIP would have to escape",
        "use 1 to 64 of letters, digits and _ . + -",
    ),
    "subscriber_realm_format": ("a realm is not a domain", "write it such as example.com"),
    "subscriber_ha1_format": ("an HA1 is not 32 lower-case hexadecimal digits", "use MD5(username:realm:password)"),
    "subscriber_forward_format": (
        "a forward is neither a number nor an address",
        "write +12025550123 or someone@example.com",
    ),
    "subscriber_username_once": ("there is a user {values} already", "choose another username"),
    "subscriber_number_once": ("{values} is another user's number already", "give each user a number of their own"),
    "subscriber_number_of_tenant": (
        "{values} is not a platform number of the user's tenant, or is still a user's",
        "'holdfast number add' gives a tenant a number; 'holdfast user set --no-number' frees one",
    ),
    "subscriber_forward_elsewhere": ("a user cannot be forwarded to themselves", "forward somewhere else"),
    # trunks
    "trunk_group_name_once": ("there is a trunk group {values} already", "choose another name"),
    "trunk_group_emergency_key": ("there is such a trunk group already", "choose another name"),
    "trunk_has_group": ("the trunk's group does not exist, or still has trunks", "'holdfast trunk list' shows them"),
    "trunk_host_format": ("a trunk's host is not a host name or address", "write it such as sip.carrier.example"),
    "trunk_port_range": ("a trunk's port is not a port", "use 1 to 65535"),
    "trunk_transport_known": ("a trunk's transport is not known", "use udp or tcp"),
    "trunk_priority_range": ("a trunk's priority is out of range", "use 0 to 1000; lower is tried first"),
    "trunk_weight_range": ("a trunk's weight is out of range", "use 1 to 1000"),
    "trunk_sources_usable": (
        "a trunk's source addresses cannot be used",
        "give at least one address, or a network without bits beyond its mask and not wider than /8",
    ),
    "trunk_name_once": ("there is a trunk {values} already", "choose another name"),
    # pools
    "pool_has_tenant": ("the pool's tenant does not exist, or still has pools", "'holdfast pool list' shows them"),
    "pool_window_an_hour": ("a callback number must stay its caller's for an hour at least", "use 3600 or more"),
    "pool_rest_not_negative": ("a rest cannot be negative", "use 0 or more seconds"),
    "pool_target_range": ("a target of idle numbers is out of range", "use 0 to 100000"),
    "pool_name_once": ("there is a pool {values} already", "choose another name"),
    "pool_group_carries_emergency": (
        "the pool's trunk group must carry emergency calls, and is in use",
        "name a group made with --emergency; 'holdfast trunk-group list' shows them",
    ),
    "pool_number_pkey": ("{values} is in a pool already", "give a number once, to one pool"),
    "pool_number_has_pool": ("the pool does not exist, or still has numbers", "'holdfast pool list' shows all"),
    "pool_number_owner_exists": ("the owning node does not exist, or still owns numbers", "see 'holdfast node list'"),
    "pool_number_owner_whole": ("a number's owner is a node and one store of it", "let the edge agent claim numbers"),
    "pool_number_shared_unowned": ("a number that a node owns cannot be shared", "share a number that is free"),
}


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
