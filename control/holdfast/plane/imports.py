"""Importing users, platform numbers and callback numbers from CSV: the columns of each kind, and what is checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from holdfast.errors import InputError
from holdfast.plane import country_rules, db, provisioning, values
from holdfast.plane.csv_file import Column, CsvFile
from holdfast.plane.staging import TENANT_EXISTS, Check, Kind, Progress, import_file, tenant_column

_NUMBER_ONCE_IN_FILE = Check(
    "number",
    """select line, number || ' stands in line ' || first || ' already'
       from (select line, number, min(line) over (partition by number) as first from staged where number is not null) s
       where line > first""",
    "give a number once",
)

_USERS = Kind(
    staged={
        "line": "integer", "tenant": "text", "username": "text", "realm": "text", "ha1": "text",
        "display_name": "text", "number": "text", "country": "text", "outbound_enabled": "boolean",
        "inbound_enabled": "boolean", "do_not_disturb": "boolean", "forward_to": "text", "site": "text",
        "policy": "text", "common_area": "boolean", "pbx": "boolean",
    },
    checks=(
        TENANT_EXISTS,
        Check(
            "username",
            """select line, username || '@' || realm || ' stands in line ' || first || ' already'
               from (select line, username, realm, min(line) over (partition by username, realm) as first
                     from staged) s
               where line > first""",
            "give a user once",
        ),
        Check(
            "username",
            """select line, 'there is a user ' || username || '@' || realm || ' already'
               from staged join subscriber using (username, realm)""",
            "take the row out, or change that user with 'holdfast user set'",
        ),
        _NUMBER_ONCE_IN_FILE,
        Check(
            "number",
            """select s.line, s.number || ' is not a number of tenant ' || quote_literal(s.tenant)
               from staged s join tenant t on t.name = s.tenant
               where s.number is not null and not exists (
                   select from platform_number p where p.number = s.number and p.tenant_id = t.id)""",
            "give the tenant the number first ('holdfast number add' or 'number import')",
        ),
        Check(
            "number",
            """select s.line, s.number || ' is the number of ' || u.username || '@' || u.realm
               from staged s join subscriber u on u.number = s.number""",
            "give each user a number of their own",
        ),
        Check(
            "site",
            """select s.line, 'tenant ' || quote_literal(s.tenant) || ' has no site ' || quote_literal(s.site)
               from staged s join tenant t on t.name = s.tenant
               where s.site is not null and not exists (
                   select from site o where o.tenant_id = t.id and o.name = s.site)""",
            "make it first ('holdfast site create'), or correct the name",
        ),
        Check(
            "policy",
            """select s.line, 'tenant ' || quote_literal(s.tenant) || ' has no policy ' || quote_literal(s.policy)
               from staged s join tenant t on t.name = s.tenant
               where s.policy is not null and not exists (
                   select from policy o where o.tenant_id = t.id and o.name = s.policy)""",
            "make it first ('holdfast policy create'), or correct the name",
        ),
    ),
    insert="""insert into subscriber (tenant_id, username, realm, ha1, display_name, number, country, outbound_enabled,
                                      inbound_enabled, do_not_disturb, forward_to, site_id, policy_id, common_area, pbx)
              select t.id, s.username, s.realm, s.ha1, s.display_name, s.number, s.country, s.outbound_enabled,
                     s.inbound_enabled, s.do_not_disturb, s.forward_to, o.id, p.id, s.common_area, s.pbx
              from staged s
              join tenant t on t.name = s.tenant
              left join site o on o.tenant_id = t.id and o.name = s.site
              left join policy p on p.tenant_id = t.id and p.name = s.policy
              order by s.line""",
)  # fmt: skip

_NUMBERS = Kind(
    staged={
        "line": "integer", "tenant": "text", "number": "text", "outbound_enabled": "boolean", "carrier": "text",
        "location": "text", "enhanced": "boolean", "may_set_address": "boolean", "may_change_address": "boolean",
        "may_delete_address": "boolean",
    },
    checks=(
        TENANT_EXISTS,
        _NUMBER_ONCE_IN_FILE,
        Check(
            "number",
            """select s.line, s.number || ' is a platform number of tenant ' || quote_literal(t.name) || ' already'
               from staged s join platform_number p using (number) join tenant t on t.id = p.tenant_id""",
            "take the row out",
        ),
        Check(
            "number",
            """select s.line, s.number || ' is a callback number of pool ' || quote_literal(o.name)
               from staged s join pool_number p using (number) join pool o on o.id = p.pool_id""",
            "give tenants only numbers that are in no pool",
        ),
        Check(
            "carrier",
            """select line, 'there is no trunk group ' || quote_literal(carrier) from staged
               where carrier is not null and not exists (select from trunk_group g where g.name = staged.carrier)""",
            "make it first ('holdfast trunk-group create'), or correct the name",
        ),
        Check(
            "location",
            """select s.line, 'tenant ' || quote_literal(s.tenant) || ' has no location ' || quote_literal(s.location)
               from staged s join tenant t on t.name = s.tenant
               where s.location is not null and not exists (
                   select from location l where l.tenant_id = t.id and l.name = s.location)""",
            "make it first ('holdfast location create'), or correct the name",
        ),
    ),
    insert="""insert into platform_number (number, tenant_id, outbound_enabled, trunk_group_id, location_id, enhanced,
                                           may_set_address, may_change_address, may_delete_address)
              select s.number, t.id, s.outbound_enabled, g.id, l.id, s.enhanced,
                     s.may_set_address, s.may_change_address, s.may_delete_address
              from staged s join tenant t on t.name = s.tenant left join trunk_group g on g.name = s.carrier
                   left join location l on l.tenant_id = t.id and l.name = s.location
              order by s.line""",
)  # fmt: skip

_POOL_NUMBERS = Kind(
    staged={"line": "integer", "pool": "text", "number": "text", "shared": "boolean"},
    checks=(
        Check(
            "pool",
            """select line, 'there is no pool ' || quote_literal(pool) from staged
               where not exists (select from pool p where p.name = staged.pool)""",
            "make it first ('holdfast pool create'), or correct the name",
        ),
        _NUMBER_ONCE_IN_FILE,
        Check(
            "number",
            """select s.line, s.number || ' is in pool ' || quote_literal(o.name) || ' already'
               from staged s join pool_number p using (number) join pool o on o.id = p.pool_id""",
            "take the row out",
        ),
        Check(
            "number",
            """select s.line, s.number || ' is a platform number of tenant ' || quote_literal(t.name)
               from staged s join platform_number p using (number) join tenant t on t.id = p.tenant_id""",
            "put only numbers into a pool that no tenant uses",
        ),
    ),
    insert="""insert into pool_number (number, pool_id, shared)
              select s.number, p.id, s.shared from staged s join pool p on p.name = s.pool order by s.line""",
)


def import_users(
    connection: db.Connection, file: BinaryIO, *, tenant: str | None, realm: str, progress: Progress
) -> int:
    """Import users; returns how many. `tenant` and `realm` stand for empty fields. ImportRefused names what is wrong.

    Columns: username; password or ha1; tenant, realm, display_name, number, country, outbound_enabled,
    inbound_enabled, do_not_disturb, forward_to, site, policy, common_area, pbx.
    """
    columns = (
        tenant_column(connection, tenant),
        Column("username", values.username, required=True),
        Column("password", values.password, secret=True),
        Column("ha1", values.ha1_digest, secret=True),
        Column("realm", values.realm, default=realm),
        Column("display_name", values.display_name, default=""),
        Column("number", values.number),
        Column("country", country_rules.callers_country),
        Column("outbound_enabled", values.flag, default=True),
        Column("inbound_enabled", values.flag, default=True),
        Column("do_not_disturb", values.flag, default=False),
        Column("forward_to", values.forward_to),
        Column("site", values.name),
        Column("policy", values.name),
        Column("common_area", values.flag, default=False),
        Column("pbx", values.flag, default=False),
    )
    return import_file(connection, CsvFile(file, columns, progress, _check_user), _USERS, "user import", _with_ha1)


@dataclass(frozen=True, slots=True)
class NumbersImported:
    """How many numbers were imported, and how many of them with a registered address."""

    count: int
    with_address: int


def import_numbers(
    connection: db.Connection, file: BinaryIO, *, tenant: str | None, progress: Progress
) -> NumbersImported:
    """Import platform numbers. It is a carrier's upload, and may say all of their addresses (O2).

    Columns: number; tenant, outbound_enabled, carrier, location, enhanced, may_set_address, may_change_address,
    may_delete_address.
    """
    columns = (
        Column("number", values.number, required=True),
        tenant_column(connection, tenant),
        Column("outbound_enabled", values.flag, default=True),
        Column("carrier", values.name),
        Column("location", values.name),
        Column("enhanced", values.flag, default=False),
        *(Column(name, values.flag, default=True) for name in _MAY),
    )
    with_address = 0

    def counted(row: Mapping[str, object]) -> dict[str, object]:
        nonlocal with_address
        with_address += row["location"] is not None
        return dict(row)

    source = CsvFile(file, columns, progress, _check_address)
    count = import_file(connection, source, _NUMBERS, "number import", counted)
    return NumbersImported(count, with_address)


def import_pool_numbers(connection: db.Connection, file: BinaryIO, *, pool: str, progress: Progress) -> int:
    """Import callback numbers into a pool; returns how many. Columns: number; shared."""
    country = provisioning.pool(connection, pool).country  # one error, not one for each row

    def number(text: str) -> str:
        return country_rules.number_of_country(values.number(text), country)

    columns = (Column("number", number, required=True), Column("shared", values.flag, default=False))

    def in_pool(row: Mapping[str, object]) -> dict[str, object]:
        return {**row, "pool": pool}

    return import_file(connection, CsvFile(file, columns, progress), _POOL_NUMBERS, f"pool import {pool}", in_pool)


_MAY = ("may_set_address", "may_change_address", "may_delete_address")


def _check_address(row: Mapping[str, object]) -> Iterator[tuple[str, InputError]]:
    if row["enhanced"] and row["location"] is None:
        yield "enhanced", InputError("an enhanced number needs a registered address", mend="fill in location, too")
    if row["carrier"] is None and not all(row[name] for name in _MAY):
        yield (
            "carrier",
            InputError("only a carrier restricts what may be done with a number's address", mend="name the carrier"),
        )


def _check_user(row: Mapping[str, object]) -> Iterator[tuple[str, InputError]]:
    if (row["password"] is None) == (row["ha1"] is None):
        yield "password", InputError("give either a password or an HA1", mend="fill in one of the two columns")
    if row["forward_to"] is not None and row["forward_to"] in (f"{row['username']}@{row['realm']}", row["number"]):
        yield "forward_to", InputError("a user cannot be forwarded to themselves", mend="forward somewhere else")


def _with_ha1(row: Mapping[str, object]) -> dict[str, object]:
    if row["ha1"] is not None:
        return dict(row)
    return {**row, "ha1": values.ha1(str(row["username"]), str(row["realm"]), str(row["password"]))}
