"""Users: who registers phones, with which number, and what calls they take."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.errors import InputError
from holdfast.plane import db, rows
from holdfast.plane.lookup import Pointers, with_own_ids
from holdfast.plane.provisioning import tenant_id


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as shown to people: without the HA1."""

    id: int
    tenant: str
    username: str
    realm: str
    display_name: str
    number: str | None
    country: str | None
    outbound_enabled: bool
    inbound_enabled: bool
    do_not_disturb: bool
    forward_to: str | None
    site: str | None
    policy: str | None
    location: str | None
    common_area: bool
    pbx: bool


#: Names of the user's tenant's own; `location` is where the user confirmed to be
_OWN: Pointers = {
    "site": ("site_id", "site"), "policy": ("policy_id", "policy"), "location": ("confirmed_location_id", "location")
}  # fmt: skip
_USERS = """select s.id, t.name as tenant, s.username, s.realm, s.display_name, s.number, s.country,
                   s.outbound_enabled, s.inbound_enabled, s.do_not_disturb, s.forward_to, o.name as site,
                   p.name as policy, l.name as location, s.common_area, s.pbx
            from subscriber s join tenant t on t.id = s.tenant_id left join site o on o.id = s.site_id
                 left join policy p on p.id = s.policy_id left join location l on l.id = s.confirmed_location_id """


def users(connection: db.Connection, *, tenant: str | None = None, limit: int | None = None) -> tuple[UserRecord, ...]:
    """Every user (of one tenant), by username; at most `limit` of them."""
    of_tenant = tenant_id(connection, tenant) if tenant else None
    return rows.select(
        connection,
        UserRecord,
        _USERS
        + """where %(tenant)s::integer is null or s.tenant_id = %(tenant)s
             order by s.username, s.realm limit %(limit)s""",
        {"tenant": of_tenant, "limit": limit},
    )


def user(connection: db.Connection, username: str, realm: str) -> UserRecord:
    """One user; InputError if there is none of that name."""
    found = rows.select(connection, UserRecord, _USERS + "where s.username = %s and s.realm = %s", (username, realm))
    if not found:
        raise InputError(
            f"there is no user {username}@{realm}", mend="'holdfast user list' shows all; --realm names another domain"
        )
    return found[0]


def create_user(connection: db.Connection, tenant: str, columns: Mapping[str, object]) -> None:
    """`columns` of table subscriber but the tenant; username, realm and ha1 are needed.

    `site`, `policy` and `location` are names of the tenant's own.
    """
    with db.change(connection, f"user create {columns['username']}@{columns['realm']}"):
        stored = with_own_ids(connection, tenant, columns, _OWN)
        rows.insert(connection, "subscriber", {"tenant_id": tenant_id(connection, tenant), **stored})


def change_user(connection: db.Connection, username: str, realm: str, columns: Mapping[str, object]) -> None:
    """`columns` as for create_user; None takes away."""
    with db.change(connection, f"user set {username}@{realm}: {', '.join(columns)}"):
        found = user(connection, username, realm)
        rows.update(connection, "subscriber", "id", found.id, with_own_ids(connection, found.tenant, columns, _OWN))
