"""Sites: a tenant's buildings and campuses. Names are keys within a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.plane import db, rows
from holdfast.plane.civic_checks import country_of_place
from holdfast.plane.lookup import Pointers, id_of, own_id, with_own_ids


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """A site; `country`, `policy` and `security_desk` None: the tenant's."""

    id: int
    tenant: str
    name: str
    country: str | None
    policy: str | None
    security_desk: str | None
    locations: int
    users: int


_SITES = """select s.id, t.name as tenant, s.name, s.country, p.name as policy, s.security_desk,
                   (select count(*) from location l where l.site_id = s.id) as locations,
                   (select count(*) from subscriber u where u.site_id = s.id) as users
            from site s join tenant t on t.id = s.tenant_id left join policy p on p.id = s.policy_id """
_POLICY: Pointers = {"policy": ("policy_id", "policy")}


def sites(connection: db.Connection, tenant: str | None = None) -> tuple[SiteRecord, ...]:
    """Every site (of one tenant), by tenant and name."""
    of_tenant = id_of(connection, "tenant", tenant) if tenant else None
    return rows.select(
        connection,
        SiteRecord,
        _SITES + "where %(tenant)s::integer is null or s.tenant_id = %(tenant)s order by t.name, s.name",
        {"tenant": of_tenant},
    )


def site(connection: db.Connection, tenant: str, name: str) -> SiteRecord:
    """One site; InputError if the tenant has none of that name."""
    found = own_id(connection, "site", tenant, name)
    return rows.select(connection, SiteRecord, _SITES + "where s.id = %s", (found,))[0]


def create_site(connection: db.Connection, tenant: str, columns: Mapping[str, object]) -> None:
    """`columns` of table site but the tenant; `policy` is the name of one of the tenant's."""
    with db.change(connection, f"site create {columns['name']} of {tenant}"):
        stored = with_own_ids(connection, tenant, _with_country(columns), _POLICY)
        rows.insert(connection, "site", {"tenant_id": id_of(connection, "tenant", tenant), **stored})


def change_site(connection: db.Connection, tenant: str, name: str, columns: Mapping[str, object]) -> None:
    """As create_site; None empties a column."""
    with db.change(connection, f"site set {name} of {tenant}: {', '.join(columns)}"):
        stored = with_own_ids(connection, tenant, _with_country(columns), _POLICY)
        rows.update(connection, "site", "id", own_id(connection, "site", tenant, name), stored)


def delete_site(connection: db.Connection, tenant: str, name: str) -> None:
    """InputError while locations, users or pools are there."""
    with db.change(connection, f"site delete {name} of {tenant}"):
        rows.delete(connection, "site", "id", own_id(connection, "site", tenant, name))


def _with_country(columns: Mapping[str, object]) -> Mapping[str, object]:
    country = columns.get("country")
    return columns if country is None else {**columns, "country": country_of_place(str(country))}
