"""Wrong states are impossible: each constraint refuses what it is there for, and says so in words with a mend."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, InputError
from holdfast.plane import db, values
from holdfast.plane.translation import translated
from integration.postgres import Database
from integration.sql_rows import provision

USER = "insert into subscriber (tenant_id, username, realm, ha1, {}) values (1, 'u', 'example.com', md5('u'), {})"
TRUNK = (
    "insert into trunk (trunk_group_id, name, host, source_addresses, {}) values (1, 't', 'host', '{{192.0.2.1}}', {})"
)

WRONG = [
    # numbers, countries, names
    ("insert into platform_number (number, tenant_id) values ('12025550123', 1)", "e164_format"),
    ("insert into platform_number (number, tenant_id) values ('+02025550123', 1)", "e164_format"),
    ("insert into platform_number (number, tenant_id) values ('+911', 1)", "e164_format"),
    ("insert into platform_number (number, tenant_id) values (E'+12025550123\\n', 1)", "e164_format"),
    ("insert into platform_number (number, tenant_id) values ('+1202555012３', 1)", "e164_format"),
    ("insert into tenant (name, country) values ('x', 'us')", "iso_country_format"),
    ("insert into tenant (name, country) values ('x', 'USA')", "iso_country_format"),
    ("insert into tenant (name, country) values (E'x\\ny', 'US')", "name_text_one_line"),
    ("insert into tenant (name, country) values (' x', 'US')", "name_text_one_line"),
    ("insert into tenant (name, country) values ('', 'US')", "name_text_one_line"),
    # tenants
    ("insert into tenant (name, country, max_emergency_calls) values ('x', 'US', 0)", "tenant_emergency_calls_allowed"),
    ("insert into tenant (name, country, security_desk) values ('x', 'US', 'sip:desk@x')", "aor_format"),
    ("insert into tenant (name, country) values ('acme', 'US')", "tenant_name_once"),
    ("delete from tenant where id = 1", "platform_number_has_tenant"),
    # nodes
    ("insert into node (name, sip_address, sip_port) values ('Edge 1', '192.0.2.9', 5060)", "node_name_format"),
    ("insert into node (name, sip_address, sip_port) values ('n', '192.0.2.0/24', 5060)", "node_address_is_one_host"),
    ("insert into node (name, sip_address, sip_port) values ('n', '192.0.2.9', 0)", "node_port_range"),
    ("insert into node (name, sip_address, sip_port) values ('edge-1', '192.0.2.9', 5060)", "node_name_once"),
    ("insert into node (name, sip_address, sip_port) values ('n', '192.0.2.1', 5061)", "node_address_once"),
    # platform numbers
    ("insert into platform_number (number, tenant_id) values ('+12025550101', 2)", "platform_number_pkey"),
    ("insert into platform_number (number, tenant_id) values ('+12025550109', 9)", "platform_number_has_tenant"),
    ("delete from platform_number where number = '+12025550101'", "subscriber_number_of_tenant"),
    ("update platform_number set tenant_id = 2 where number = '+12025550101'", "subscriber_number_of_tenant"),
    # users
    (USER.format("display_name", "E'x\\r\\nFrom: y'"), "line_text_one_line"),
    (USER.format("number", "'+12025550101'"), "subscriber_number_once"),
    (USER.format("number", "'+12025550102'"), "subscriber_number_of_tenant"),  # another tenant's
    (USER.format("number", "'+12025550199'"), "subscriber_number_of_tenant"),  # nobody's
    (USER.format("forward_to", "'911'"), "subscriber_forward_format"),
    (USER.format("forward_to", "'sip:x@y;tag=1'"), "subscriber_forward_format"),
    (USER.format("forward_to", "'u@example.com'"), "subscriber_forward_elsewhere"),
    ("update subscriber set forward_to = number", "subscriber_forward_elsewhere"),
    ("update subscriber set username = 'a b'", "subscriber_username_format"),
    ("update subscriber set username = ''", "subscriber_username_format"),
    ("update subscriber set realm = 'a@b'", "subscriber_realm_format"),
    ("update subscriber set ha1 = 'secret'", "subscriber_ha1_format"),
    ("update subscriber set tenant_id = 9", "subscriber_has_tenant"),
    (
        "insert into subscriber (tenant_id, username, realm, ha1) values (2, 'alice', 'example.com', md5(''))",
        "subscriber_username_once",
    ),
    # trunks
    ("insert into trunk_group (name) values ('psap')", "trunk_group_name_once"),
    ("update trunk_group set emergency = false where id = 1", "pool_group_carries_emergency"),
    (TRUNK.format("port", "65536"), "trunk_port_range"),
    (TRUNK.format("transport", "'sctp'"), "trunk_transport_known"),
    (TRUNK.format("priority", "-1"), "trunk_priority_range"),
    (TRUNK.format("weight", "0"), "trunk_weight_range"),
    ("update trunk set host = 'a b'", "trunk_host_format"),
    ("update trunk set source_addresses = '{}'", "trunk_sources_usable"),
    ("update trunk set source_addresses = '{null}'", "trunk_sources_usable"),
    ("update trunk set source_addresses = '{192.0.2.1/24}'", "trunk_sources_usable"),
    ("update trunk set source_addresses = '{0.0.0.0/0}'", "trunk_sources_usable"),
    ("update trunk set trunk_group_id = 9", "trunk_has_group"),
    (TRUNK.format("enabled", "true").replace("'t'", "'first'"), "trunk_name_once"),
    # pools
    ("insert into pool (name, trunk_group_id, country) values ('us', 1, 'US')", "pool_name_once"),
    ("insert into pool (name, trunk_group_id, country) values ('x', 2, 'US')", "pool_group_carries_emergency"),
    ("update pool set window_s = 3599", "pool_window_an_hour"),
    ("update pool set rest_s = -1", "pool_rest_not_negative"),
    ("update pool set target_idle = -1", "pool_target_range"),
    ("update pool set tenant_id = 9", "pool_has_tenant"),
    ("delete from pool", "pool_number_has_pool"),
    ("insert into pool_number (number, pool_id) values ('+13120000001', 1)", "pool_number_pkey"),
    ("insert into pool_number (number, pool_id) values ('+13120000009', 9)", "pool_number_has_pool"),
    ("insert into pool_number (number, pool_id) values ('+12025550101', 1)", "number_has_one_use"),
    ("insert into platform_number (number, tenant_id) values ('+13120000001', 1)", "number_has_one_use"),
    ("update pool_number set owner_node_id = 9, owner_store_id = 's'", "pool_number_owner_exists"),
    ("update pool_number set owner_node_id = 1", "pool_number_owner_whole"),
    ("update pool_number set owner_node_id = 1, owner_store_id = 's', shared = true", "pool_number_shared_unowned"),
]  # fmt: skip


@pytest.fixture(scope="module")
def superuser(shared_database: Database) -> Iterator[db.Connection]:
    """A connection whom nothing but the constraints holds back, to a database with one row of each kind or two."""
    with shared_database.connect("postgres") as connection:
        provision(connection, pool_numbers=1)
        connection.execute("insert into platform_number (number, tenant_id) values ('+12025550101', 1)")
        connection.execute("insert into platform_number (number, tenant_id) values ('+12025550102', 2)")
        connection.execute(
            """insert into subscriber (tenant_id, username, realm, ha1, number)
               values (1, 'alice', 'example.com', md5(''), '+12025550101')"""
        )
        connection.execute("insert into trunk_group (name, ordinary) values ('ordinary', true)")
        connection.execute(
            """insert into trunk (trunk_group_id, name, host, source_addresses)
               values (1, 'first', 'psap.example', '{192.0.2.7}')"""
        )
        yield connection


@pytest.mark.parametrize(("statement", "constraint"), WRONG)
def test_a_wrong_state_is_refused_by_its_constraint_in_words(
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


#: What each domain or column takes, and the function that reads it from people.
SAME_RULES = {
    "select %s::e164": values.number,
    "select %s::iso_country": values.country,
    "select %s::name_text": values.name,
    "select %s::line_text": values.display_name,
    "select %s::aor": values.aor,
    "update subscriber set username = %s where id = 1": values.username,
    "update subscriber set realm = %s where id = 1": values.realm,
    "update subscriber set forward_to = %s where id = 1": values.forward_to,
    "update subscriber set ha1 = %s where id = 1": values.ha1_digest,
    "update trunk set host = %s where id = 1": values.host,
    "update node set name = %s where id = 3": values.node_name,
}
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=140),
    st.text("+0123456789", max_size=17),
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.text("abAB019._+-@: ", max_size=70),
    st.from_regex(r"[a-zA-Z0-9.+_-]{1,64}@[a-zA-Z0-9.-]{1,20}", fullmatch=True),
    st.text("0123456789abcdefA", min_size=31, max_size=33),
    st.text("abcxyzABC", max_size=3),
)


@pytest.mark.parametrize("statement", SAME_RULES)
@given(text=TEXTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_people_may_type_is_what_the_database_takes(superuser: db.Connection, statement: str, text: str) -> None:
    try:
        value = SAME_RULES[statement](text)
    except HoldfastError:
        value = None
    with superuser.transaction(force_rollback=True):
        if value is not None:
            superuser.execute(statement.encode(), (value,))
            return
        with pytest.raises(psycopg.errors.CheckViolation):
            superuser.execute(statement.encode(), (text,))
