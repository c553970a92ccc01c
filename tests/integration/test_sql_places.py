"""Wrong places are impossible: each constraint refuses what it is there for, in words; carriers' words are kept."""

from collections.abc import Iterator

import psycopg
import pytest

from holdfast.errors import InputError
from holdfast.plane import db
from holdfast.plane.translation import translated
from integration.postgres import Database
from integration.sql_rows import provision

LOCATION = "insert into location (tenant_id, name, country, {}) values (1, 'x', 'US', {})"
ELEMENT = "insert into network_element (tenant_id, kind, element_key, location_id) values (1, {}, 1)"
AREA = """insert into boundary (trunk_group_id, name, psap_uri, polygons, min_latitude, max_latitude, min_longitude,
                                max_longitude) values ({})"""
FREE = "update platform_number set {} where number = '+15125550102'"
KEPT = "update platform_number set {} where number = '+15125550101'"
PSAP = "insert into location_psap (location_id, trunk_group_id, psap_uri, found_by) values ({})"

WRONG = [
    ("insert into site (tenant_id, name) values (9, 'x')", "site_has_tenant"),
    ("insert into site (tenant_id, name) values (1, 'HQ')", "site_name_once"),
    ("insert into site (tenant_id, name, policy_id) values (1, 'x', 2)", "site_policy_of_tenant"),  # another tenant's
    ("insert into site (tenant_id, name, security_desk) values (1, 'x', 'desk')", "aor_format"),
    ("delete from site where id = 1", "location_site_of_tenant"),
    (LOCATION.format("civic", "'{}'"), "location_says_where"),
    (LOCATION.format("civic", "'[]'"), "location_civic_is_object"),
    (LOCATION.format("latitude", "1"), "location_point_whole"),
    (LOCATION.format("latitude, longitude", "91, 0"), "location_latitude_range"),
    (LOCATION.format("latitude, longitude", "'NaN', 0"), "location_latitude_range"),
    (LOCATION.format("latitude, longitude", "0, -181"), "location_longitude_range"),
    (LOCATION.format("civic, validation", """'{"A1": "TX"}', 'sure'"""), "location_validation_known"),
    (LOCATION.format("civic, provider_location_id", """'{"A1": "TX"}', 'a b'"""), "location_provider_id_format"),
    (LOCATION.format("civic, site_id", """'{"A1": "TX"}', 2"""), "location_site_of_tenant"),  # another tenant's
    ("update location set name = 'Lobby' where id = 3", "location_name_once"),
    ("insert into location (tenant_id, name, country, latitude, longitude) values (9, 'x', 'US', 1, 1)",
     "location_has_tenant"),
    (ELEMENT.format("'desk', 'a/b'"), "network_element_kind_known"),
    (ELEMENT.format("'subnet', '192.0.2.0'"), "network_element_key_format"),
    (ELEMENT.format("'subnet', '2001:DB8::/32'"), "network_element_key_format"),
    (ELEMENT.format("'bssid', '00:11:22:aa:bb:cc'"), "network_element_key_format"),
    (ELEMENT.format("'switch', 'a b'"), "network_element_key_format"),
    (ELEMENT.format("'switch_port', 'a'"), "network_element_key_format"),
    (ELEMENT.format("'subnet', '10.0.0.0/8'"), "network_element_once"),
    ("update network_element set location_id = 2", "network_element_location_of_tenant"),  # another tenant's
    ("insert into network_element (tenant_id, kind, element_key, location_id) values (9, 'switch', 'x', 1)",
     "network_element_has_tenant"),
    (AREA.format("9, 'x', '911', '[]', 0, 1, 0, 1"), "boundary_has_group"),
    (AREA.format("1, 'x', 'sip:a@b?c', '[]', 0, 1, 0, 1"), "boundary_psap_uri_format"),
    (AREA.format("1, 'x', '911', '{}', 0, 1, 0, 1"), "boundary_polygons_are_array"),
    (AREA.format("1, 'x', '911', '[]', 1, 0, 0, 1"), "boundary_box_whole"),
    (AREA.format("1, 'Travis', '911', '[]', 0, 1, 0, 1"), "boundary_name_once"),
    (PSAP.format("9, 1, '911', 'lost'"), "location_psap_has_location"),
    (PSAP.format("1, 9, '911', 'lost'"), "location_psap_has_group"),
    (PSAP.format("1, 1, 'nonsense', 'lost'"), "location_psap_uri_format"),
    (PSAP.format("1, 1, '911', 'guess'"), "location_psap_found_by_known"),
    (PSAP.format("3, 1, '911', 'lost'"), "location_psap_once"),
    (FREE.format("trunk_group_id = 9"), "platform_number_has_group"),
    (FREE.format("location_id = 2"), "platform_number_address_of_tenant"),  # another tenant's
    (FREE.format("enhanced = true"), "platform_number_enhanced_has_address"),
    (FREE.format("may_set_address = false"), "platform_number_only_carriers_restrict"),
    ("delete from location where id = 1", "platform_number_address_of_tenant"),
    ("update subscriber set site_id = 2", "subscriber_site_of_tenant"),
    ("update subscriber set confirmed_location_id = 2", "subscriber_location_of_tenant"),
    ("update pool set tenant_id = 1, site_id = 2", "pool_site_of_tenant"),
    (FREE.format("trunk_group_id = 2"), "carrier_serves_number"),
    ("insert into platform_number (number, tenant_id, trunk_group_id) values ('+15125550109', 1, 2)",
     "carrier_serves_number"),
    ("update trunk_group set tenant_id = 2 where id = 3", "carrier_serves_number"),
    # O2: +15125550101 is a number of carrier 1, which keeps everything to itself
    (KEPT.format("location_id = 3"), "carrier_decides_address"),
    (KEPT.format("location_id = null"), "carrier_decides_address"),
    (KEPT.format("may_set_address = true"), "carrier_decides_address"),
    (KEPT.format("may_change_address = true, location_id = 3"), "carrier_decides_address"),
    (KEPT.format("trunk_group_id = 3"), "carrier_decides_address"),
    ("delete from platform_number where number = '+15125550101'", "carrier_decides_address"),
    ("update location set civic = '{\"A1\": \"OK\"}'", "carrier_decides_address"),
    ("update location set latitude = 1, longitude = 1", "carrier_decides_address"),
    ("update location set country = 'CA' where id = 1", "carrier_decides_address"),
    ("update location set validation = 'validated' where id = 1", "carrier_decides_address"),
    ("update location set provider_location_id = 'x' where id = 1", "carrier_decides_address"),
]  # fmt: skip


@pytest.fixture(scope="module")
def superuser(shared_database: Database) -> Iterator[db.Connection]:
    """A connection whom nothing but constraints and triggers holds back."""
    with shared_database.connect("postgres") as connection:
        provision(connection, pool_numbers=1)
        begin_with(connection)
        yield connection


def begin_with(connection: db.Connection) -> None:
    connection.execute("insert into policy (tenant_id, name) values (1, 'mine'), (2, 'theirs')")
    connection.execute("insert into site (tenant_id, name) values (1, 'HQ'), (2, 'Annex')")
    connection.execute(
        """insert into location (tenant_id, site_id, name, country, civic)
           values (1, 1, 'Lobby', 'US', '{"A1": "TX"}'), (2, 2, 'Yard', 'US', '{"A1": "TX"}'),
                  (1, null, 'Roof', 'US', '{"A1": "TX"}')"""
    )
    connection.execute("insert into trunk_group (name, ordinary) values ('pstn', true)")
    connection.execute("insert into trunk_group (name, emergency) values ('carrier', true)")
    connection.execute(
        """insert into network_element (tenant_id, kind, element_key, location_id)
           values (1, 'subnet', '10.0.0.0/8', 3)"""
    )
    connection.execute(AREA.format("1, 'Travis', '911', '[]', 0, 1, 0, 1").encode())
    connection.execute(PSAP.format("3, 1, '911', 'lost'").encode())
    connection.execute(
        """insert into platform_number (number, tenant_id, trunk_group_id, location_id, may_set_address,
                                        may_change_address, may_delete_address)
           values ('+15125550101', 1, 1, 1, false, false, false)"""
    )
    connection.execute(
        """insert into platform_number (number, tenant_id, trunk_group_id)
           values ('+15125550102', 1, null), ('+15125550103', 1, 3)"""
    )
    connection.execute(
        "insert into subscriber (tenant_id, username, realm, ha1) values (1, 'alice', 'example.com', md5(''))"
    )


@pytest.mark.parametrize(("statement", "constraint"), WRONG)
def test_a_wrong_place_is_refused_by_its_constraint_in_words(
    superuser: db.Connection, statement: str, constraint: str
) -> None:
    with pytest.raises(InputError) as refused, translated(), superuser.transaction():
        superuser.execute(statement.encode())
    cause = refused.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.diag.constraint_name == constraint
    assert refused.value.mend
    assert "constraint" not in str(refused.value)
    assert "{" not in str(refused.value)


def test_o2_what_is_not_the_address_is_nobodys_but_the_administrators(superuser: db.Connection) -> None:
    with superuser.transaction(force_rollback=True):
        superuser.execute("update platform_number set outbound_enabled = false, enhanced = location_id is not null")
        superuser.execute("update location set name = name || '!', site_id = null")


def test_o2_acting_for_a_carrier_ends_with_its_transaction(superuser: db.Connection) -> None:
    change = KEPT.format("location_id = 3").encode()
    with superuser.transaction(force_rollback=True):
        superuser.execute("select set_config('holdfast.for_carrier', '1', true)")
        superuser.execute(change)
        superuser.execute('update location set civic = \'{"A1": "OK"}\' where id = 1')
        superuser.execute("delete from platform_number where number = '+15125550101'")
    with pytest.raises(psycopg.Error, match="lets nobody else"):
        superuser.execute(change)


@pytest.mark.parametrize("other", ["2", "", "x", "11"])
def test_o2_acting_for_another_carrier_is_acting_for_none(superuser: db.Connection, other: str) -> None:
    with superuser.transaction(force_rollback=True):
        superuser.execute("select set_config('holdfast.for_carrier', %s, true)", (other,))
        with pytest.raises(psycopg.Error, match="lets nobody else"):
            superuser.execute(KEPT.format("location_id = 3").encode())


def test_o2_the_administrators_role_is_held_to_it_as_well(superuser: db.Connection, shared_database: Database) -> None:
    del superuser  # it made the rows
    with shared_database.connect() as admin, pytest.raises(psycopg.Error, match="lets nobody else change"):
        admin.execute(KEPT.format("location_id = 3").encode())


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        ('update location set civic = \'{"A1": "OK"}\' where id = 3', False),
        ("update location set latitude = 1, longitude = 1 where id = 3", False),
        ("update location set country = 'CA' where id = 3", False),
        ("update location set name = 'Loft', validation = 'none' where id = 3", True),
        ("update trunk_group set psap_method = 'lost', lost_url = 'http://x' where id = 1", True),
        ("update trunk_group set psap_method = 'boundary' where id = 1", False),
        ("delete from location where id = 3", False),
    ],
)
def test_a_psap_stands_for_as_long_as_it_was_found_for_this_address_in_this_way(
    superuser: db.Connection, change: str, stands: bool
) -> None:
    with superuser.transaction(force_rollback=True):
        superuser.execute("update network_element set location_id = 1")
        superuser.execute("select set_config('holdfast.for_carrier', '1', true)")
        superuser.execute(change.encode())
        found = superuser.execute("select count(*) from location_psap").fetchone()
        buried = superuser.execute("select count(*) from tombstone where relation = 'location_psap'").fetchone()
    assert (found, buried) == ((int(stands),), (int(not stands),))  # nodes are told to forget it, too
