"""The database's own word on policies, rules, countries, trunk groups and pools: wrong states are impossible there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import HoldfastError, InputError
from holdfast.plane import db, routing_values
from holdfast.plane.translation import translated
from integration.postgres import Database
from integration.sql_rows import provision

POLICY = "insert into policy (tenant_id, name, {}) values (1, 'x', {})"
MASK = "insert into policy_mask (policy_id, dialled, sent) values ({}, '{}', '{}')"
ROUTE = (
    "insert into routing_rule (tenant_id, usage, emergency_number, trunk_group_id, position) values ({}, {}, {}, {})"
)
DIAL = "insert into dial_rule (tenant_id, prefix, strip, prepend) values ({}, '{}', {}, '{}')"
COUNTRY = "insert into country_rule (tenant_id, country, {}) values ({}, '{}', {})"
GROUP = "insert into trunk_group (name, emergency, {}) values ('x', true, {})"
TRUNK = "insert into trunk (trunk_group_id, name, host, source_addresses{}) values ({}, 'x', '{}', '{{{}}}'{})"
POOL = "insert into pool (name, trunk_group_id, country, tenant_id{}) values ('x', {}, '{}', {}{})"

WRONG = [
    # policies
    (POLICY.format("usage", "''"), "name_text_one_line"),
    (POLICY.format("notification_uri", "'ftp://desk'"), "policy_notification_format"),
    (POLICY.format("notification_uri", "'https:///x'"), "policy_notification_format"),
    (POLICY.format("notification_uri", "E'sip:desk@x\\r\\nX: y'"), "policy_notification_format"),
    (POLICY.format("notification_uri", "'https://desk/\">'"), "policy_notification_format"),
    (POLICY.format("conference_uri, conference_mode", "'desk', 'oneway'"), "policy_conference_format"),
    (POLICY.format("conference_uri, conference_mode", "'sip:d@x', 'both'"), "policy_conference_mode_known"),
    (POLICY.format("conference_uri", "'sip:d@x'"), "policy_conference_whole"),
    (POLICY.format("conference_mode", "'oneway'"), "policy_conference_whole"),
    (POLICY.format("usage", "null").replace("'x'", "'main'"), "policy_name_once"),
    ("insert into policy (tenant_id, name) values (9, 'x')", "policy_has_tenant"),
    ("update tenant set policy_id = 1 where id = 2", "tenant_policy_is_its_own"),
    ("delete from policy where id = 1", "tenant_policy_is_its_own"),
    ("update subscriber set policy_id = 2", "subscriber_policy_of_tenant"),
    ("delete from policy where id = 3", "subscriber_policy_of_tenant"),
    ("update tenant set max_test_calls = 0", "tenant_test_calls_allowed"),
    # masks
    (MASK.format(1, "0", "911"), "policy_mask_dialled_format"),
    (MASK.format(1, "5550123", "911"), "policy_mask_dialled_format"),
    (MASK.format(1, "0112", "+911"), "policy_mask_sent_format"),
    (MASK.format(1, "0911", "112"), "policy_mask_once"),
    (MASK.format(9, "0112", "112"), "policy_mask_has_policy"),
    # direct routing
    (ROUTE.format(9, "'own'", "'911'", "1, 1"), "routing_rule_has_tenant"),
    (ROUTE.format(1, "'own'", "'9+1'", "1, 1"), "routing_rule_number_format"),
    (ROUTE.format(1, "'own'", "'**'", "1, 1"), "routing_rule_number_format"),
    (ROUTE.format(1, "'own'", "'911'", "1, 0"), "routing_rule_position_range"),
    (ROUTE.format(1, "'own'", "'911'", "1, 1"), "routing_rule_once"),
    (ROUTE.format(1, "'own'", "'112'", "2, 1"), "routing_rule_group_carries_emergency"),
    (ROUTE.format(1, "'own'", "'112'", "4, 1"), "routing_rule_group_of_tenant"),
    ("update routing_rule set trunk_group_id = 4 where id = 1", "routing_rule_group_of_tenant"),
    ("update routing_rule set tenant_id = 2 where id = 1", "routing_rule_group_of_tenant"),
    ("update trunk_group set tenant_id = 2 where id = 7", "routing_rule_group_of_tenant"),
    # dial plans
    (DIAL.format(9, "8", 0, ""), "dial_rule_has_tenant"),
    (DIAL.format(1, "", 0, ""), "dial_rule_prefix_format"),
    (DIAL.format(1, "+1", 0, ""), "dial_rule_prefix_format"),
    (DIAL.format(1, "8", 2, ""), "dial_rule_strip_within_prefix"),
    (DIAL.format(1, "8", -1, ""), "dial_rule_strip_within_prefix"),
    (DIAL.format(1, "8", 0, "sip:"), "dial_rule_prepend_format"),
    (DIAL.format(1, "9", 0, ""), "dial_rule_once"),
    # countries
    (COUNTRY.format("served", 9, "NO", "true"), "country_rule_has_tenant"),
    (COUNTRY.format("served", 1, "no", "true"), "iso_country_format"),
    (COUNTRY.format("screening", 1, "NO", "'perhaps'"), "country_rule_screening_known"),
    (COUNTRY.format("served", 1, "NO", "null"), "country_rule_says_something"),
    (COUNTRY.format("served", "null", "SE", "true"), "country_rule_once"),
    (COUNTRY.format("served", 1, "SE", "true"), "country_rule_once"),
    # trunk groups
    (GROUP.format("tenant_id", 9), "trunk_group_has_tenant"),
    (GROUP.format("country", "'us'"), "iso_country_format"),
    (GROUP.format("pbx", "true"), "trunk_group_pbx_of_tenant"),
    (GROUP.format("location_method", "'guess'"), "trunk_group_location_method_known"),
    (GROUP.format("location_id_header", "'X: Y'"), "trunk_group_location_id_header_format"),
    (GROUP.format("psap_method", "'guess'"), "trunk_group_psap_method_known"),
    (GROUP.format("psap_uri", "'sip:psap@x?Replaces=y'"), "trunk_group_psap_uri_format"),
    (GROUP.format("psap_method", "'lost'"), "trunk_group_lost_has_url"),
    (GROUP.format("lost_url", "'lost.example.com'"), "trunk_group_lost_url_format"),
    (GROUP.format("psap_uri", "'911'").replace("true", "false"), "trunk_group_psap_is_used"),
    (GROUP.format("psap_method", "'boundary'").replace("true", "false"), "trunk_group_psap_is_used"),
    (GROUP.format("answers_within_ms", 199), "trunk_group_answers_range"),
    (GROUP.format("rings_within_ms", 9_999), "trunk_group_rings_range"),
    (GROUP.format("final_codes", "'{200}'"), "trunk_group_final_codes_are_failures"),
    (GROUP.format("final_codes", "'{486,null}'"), "trunk_group_final_codes_are_failures"),
    (GROUP.format("location_refused_codes", "'{700}'"), "trunk_group_refused_codes_are_failures"),
    # trunks and N9
    (TRUNK.format(", certificate_name", 1, "h", "192.0.2.77", ", 'x'"), "trunk_certificate_needs_tls"),
    (TRUNK.format(", transport, certificate_name", 1, "h", "192.0.2.77", ", 'tls', 'a b'"),
     "trunk_certificate_name_format"),
    (TRUNK.format(", port", 1, "192.0.2.1", "192.0.2.77", ", 5061"), "trunk_leads_elsewhere"),
    (TRUNK.format(", port", 1, "::FFFF:192.0.2.1", "192.0.2.77", ", 5061"), "trunk_leads_elsewhere"),
    (TRUNK.format(", port", 1, "2001:DB8:0::5", "192.0.2.77", ", 5060"), "trunk_leads_elsewhere"),
    ("update trunk set host = '192.0.2.1', port = 5061 where id = 1", "trunk_leads_elsewhere"),
    ("update trunk set port = 5061 where name = 'beside'", "trunk_leads_elsewhere"),
    ("insert into node (name, sip_address, sip_port) values ('n', '198.51.100.1', 5060)", "trunk_leads_elsewhere"),
    ("update node set sip_address = '198.51.100.1', sip_port = 5060 where id = 1", "trunk_leads_elsewhere"),
    (TRUNK.format("", 3, "h", "198.51.100.1", ""), "trunk_origin_clear"),  # a tenant's and the platform's
    (TRUNK.format("", 3, "h", "198.51.0.0/16", ""), "trunk_origin_clear"),  # a wider network
    (TRUNK.format("", 3, "h", "192.0.2.9,2001:db8:7::1", ""), "trunk_origin_clear"),  # within a network
    (TRUNK.format("", 5, "h", "203.0.113.1", ""), "trunk_origin_clear"),  # a carrier and a PBX of one tenant
    ("update trunk set source_addresses = '{198.51.100.1}' where name = 'own'", "trunk_origin_clear"),
    ("update trunk set trunk_group_id = 3 where name = 'beside'", "trunk_origin_clear"),
    # pools
    (POOL.format("", 3, "US", "null", ""), "pool_tenant_is_its_carriers"),
    (POOL.format("", 3, "US", 2, ""), "pool_tenant_is_its_carriers"),
    ("update pool set trunk_group_id = 3 where name = 'us'", "pool_tenant_is_its_carriers"),
    (POOL.format("", 6, "US", "null", ""), "pool_country_is_its_carriers"),
    ("update trunk_group set country = 'CA' where id = 1", "pool_country_is_its_carriers"),
    ("update pool set country = 'CA' where name = 'lobby'", "pool_country_is_its_carriers"),
    (POOL.format(", location_id", 1, "US", 1, ", 1"), "pool_of_location_is_elin"),
    ("update trunk_group set location_method = 'value' where id = 3", "pool_of_location_is_elin"),
    ("update pool set tenant_id = null where name = 'lobby'", "pool_place_of_tenant"),
]  # fmt: skip

RIGHT = [
    # the platform's groups serve every tenant, and a tenant's group its tenant
    ROUTE.format(2, "'own'", "'911'", "1, 1"),
    ROUTE.format(1, "'own'", "'*'", "3, 1"),
    POOL.format("", 3, "US", 1, ""),
    POOL.format("", 1, "US", 2, ""),
    POOL.format("", 6, "CA", "null", ""),
    POOL.format(", location_id", 3, "US", 1, ", 1"),
    # trunks of one group, or of groups that are treated alike, may share addresses
    TRUNK.format("", 1, "h", "198.51.100.0/24", ""),
    TRUNK.format("", 6, "h", "198.51.100.1", ""),
    # the neighbour's address, port or family
    TRUNK.format("", 3, "h", "198.51.101.1", ""),
    TRUNK.format(", port", 1, "192.0.2.1", "192.0.2.77", ", 5060"),
    TRUNK.format(", port", 1, "192.0.2.2", "192.0.2.77", ", 5061"),
    TRUNK.format(", transport, certificate_name", 1, "h", "192.0.2.77", ", 'tls', '*.x'"),
    "insert into node (name, sip_address, sip_port) values ('n', '198.51.100.1', 5070)",
    COUNTRY.format("served", 2, "SE", "true"),
    DIAL.format(2, "9", 1, "+1"),
    POLICY.format("conference_uri, conference_mode", "'tel:+12025550123', 'twoway'"),
    POLICY.format("notification_uri", "'https://desk.example.com/911?site=%41&x=[1]'"),
    GROUP.format("psap_method, lost_url", "'lost', 'http://[2001:db8::1]:8080/LoST'"),
    "update trunk_group set final_codes = '{}', location_refused_codes = '{}'",
]  # fmt: skip


@pytest.fixture(scope="module")
def superuser(shared_database: Database) -> Iterator[db.Connection]:
    """Held back by the constraints alone. Groups: 1 psap, 2 pstn, 3 acme's, 4 other's, 5 PBX, 6 Canada's, 7 acme's."""
    with shared_database.connect("postgres") as connection:
        provision(connection)
        connection.execute("insert into node (name, sip_address, sip_port) values ('six', '2001:db8::5', 5060)")
        connection.execute(
            """insert into trunk_group (name, emergency, tenant_id, pbx, location_method, country) values
                   ('pstn', false, null, false, 'none', null), ('acme', true, 1, false, 'elin', 'US'),
                   ('other', true, 2, false, 'none', null), ('pbx', false, 1, true, 'none', null),
                   ('ca', true, null, false, 'none', 'CA'), ('routed', true, 1, false, 'none', null)"""
        )
        connection.execute(
            """insert into trunk (trunk_group_id, name, host, port, source_addresses) values
                   (1, 'first', '198.51.100.1', 5060, '{198.51.100.0/25,2001:db8:7::/48}'),
                   (1, 'beside', '192.0.2.1', 5070, '{198.51.100.3}'),
                   (3, 'own', '203.0.113.1', 5060, '{203.0.113.0/28}')"""
        )
        connection.execute("insert into policy (tenant_id, name) values (1, 'main'), (2, 'theirs'), (1, 'second')")
        connection.execute("insert into policy_mask (policy_id, dialled, sent) values (1, '0911', '911')")
        connection.execute("update tenant set policy_id = 1 where id = 1")
        connection.execute(
            "insert into subscriber (tenant_id, username, realm, ha1, policy_id) values (1, 'u', 'x', md5(''), 3)"
        )
        connection.execute(
            """insert into routing_rule (tenant_id, usage, emergency_number, trunk_group_id)
               values (1, 'own', '911', 3), (1, 'other', '911', 7)"""
        )
        connection.execute("insert into dial_rule (tenant_id, prefix, strip) values (1, '9', 1)")
        connection.execute(
            "insert into country_rule (tenant_id, country, served) values (null, 'SE', true), (1, 'SE', false)"
        )
        connection.execute(
            "insert into location (tenant_id, name, country, latitude, longitude) values (1, 'Lobby', 'US', 1, 1)"
        )
        connection.execute(
            "insert into pool (name, trunk_group_id, country, tenant_id, location_id) values ('lobby', 3, 'US', 1, 1)"
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


@pytest.mark.parametrize("statement", RIGHT)
def test_what_contradicts_nothing_is_taken(superuser: db.Connection, statement: str) -> None:
    with superuser.transaction(force_rollback=True):
        assert superuser.execute(statement.encode()).rowcount > 0


#: What each column takes, and the function that reads it from people.
SAME_RULES = {
    "update policy set notification_uri = %s where id = 1": routing_values.notification_uri,
    "update policy set conference_uri = %s, conference_mode = 'oneway' where id = 1": routing_values.conference_uri,
    "update trunk_group set lost_url = %s where id = 1": routing_values.lost_url,
    "update trunk_group set psap_uri = %s where id = 1": routing_values.call_uri,
    "update trunk_group set location_id_header = %s where id = 1": routing_values.header_name,
    "update trunk set transport = 'tls', certificate_name = %s where id = 1": routing_values.certificate_name,
    "update policy_mask set dialled = %s": routing_values.masked,
    "update routing_rule set emergency_number = %s where id = 1": routing_values.rule_number,
    "insert into dial_rule (tenant_id, prefix) values (2, %s)": routing_values.prefix,
    "update dial_rule set prepend = %s": routing_values.prepend,
}
_URI_TEXT = st.text("aZ09.-_~:/?#[]@!$&'()*+,;=%\"<>\\ é", max_size=12)
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.builds(
        str.__add__, st.sampled_from(["sip:", "sips:", "tel:", "http://", "https://", "urn:", "SIP:"]), _URI_TEXT
    ),
    st.from_regex(r"(sip:|https://)(%[0-9A-Fa-f]{2}|[a-z]){1,252}", fullmatch=True),
    st.from_regex(r"(tel:)?\+?[0-9]{1,16}", fullmatch=True),
    st.from_regex(r"sips?:[a-z0-9.+*#-]{1,5}@[a-z0-9.:\[\]-]{1,9}(;[a-z=]{1,4}){0,2}", fullmatch=True),
    st.from_regex(r"urn:service:sos(\.[a-z-]{0,3}){0,2}", fullmatch=True),
    st.text("0123456789*#+", max_size=14),
    st.text("aZ0-*_. ", max_size=70),
)


@pytest.mark.parametrize("statement", SAME_RULES)
@given(text=TEXTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_two_who_contradict_each_other_at_the_same_moment_are_not_both_taken(database: Database) -> None:
    node = "insert into node (name, sip_address, sip_port) values ('n', '203.0.113.7', 5060)"
    trunk = TRUNK.format("", 1, "203.0.113.7", "203.0.113.7", "")
    with database.connect() as one, database.connect() as other, ThreadPoolExecutor(1) as pool:
        provision(one)
        one.execute("begin")
        one.execute(node)
        second = pool.submit(other.execute, trunk.encode())
        # it waits for the lock that every change of the provisioning takes, and looks afterwards
        one.execute("commit")
        with pytest.raises(psycopg.Error) as refused:
            second.result(timeout=20)
    assert refused.value.diag.constraint_name == "trunk_leads_elsewhere"


def test_an_administrator_without_more_rights_is_told_the_same(database: Database) -> None:
    with database.connect() as admin:
        provision(admin)
        admin.execute("insert into trunk_group (name, emergency, tenant_id) values ('own', true, 2)")
        with pytest.raises(InputError, match="carrier of another tenant"), translated():
            admin.execute(ROUTE.format(1, "'u'", "'911'", "2, 1").encode())
        with pytest.raises(InputError, match="leads back to us: node edge-1"), translated():
            admin.execute(TRUNK.format(", port", 1, "192.0.2.1", "192.0.2.77", ", 5061").encode())
