"""Policies, usages, dial plans, countries and trunk groups, as an operator types them; what is wrong is refused."""

import socket
from pathlib import Path

import pytest

from holdfast.plane import db
from integration.command import Command, on_node
from integration.postgres import Database


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision(command, database)
    return command


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory, shared_database: Database) -> Command:
    """For tests that change nothing."""
    command = on_node(tmp_path_factory.mktemp("node"), shared_database)
    provision(command, shared_database)
    return command


def provision(holdfast: Command, database: Database) -> None:
    """Tenants acme and other; the platform's carrier, acme's own and its PBX; a site and a location of each tenant."""
    holdfast.ok("node", "create", "--address", "192.0.2.1")
    for tenant in ("acme", "other"):
        holdfast.ok("tenant", "create", tenant, "--country", "US")
    holdfast.ok("user", "create", "alice", "--tenant", "acme", stdin="secret\n")
    holdfast.ok("trunk-group", "create", "psap", "--emergency", "--country", "US")
    holdfast.ok("trunk-group", "create", "world", "--emergency")
    holdfast.ok("trunk-group", "create", "pstn", "--ordinary")
    holdfast.ok("trunk-group", "create", "acme-carrier", "--emergency", "--tenant", "acme", "--location", "elin")
    holdfast.ok("trunk-group", "create", "acme-pbx", "--pbx", "--tenant", "acme")
    holdfast.ok("trunk-group", "create", "other-carrier", "--emergency", "--tenant", "other")
    holdfast.ok("trunk", "create", "psap-1", "--group", "psap", "--host", "198.51.100.1", "--source", "198.51.100.0/24")
    holdfast.ok("trunk", "create", "acme-1", "--group", "acme-carrier", "--host", "203.0.113.1")
    holdfast.ok("policy", "create", "head office", "--tenant", "acme", "--usage", "own", "--mask", "0911=911")
    holdfast.ok("policy", "create", "elsewhere", "--tenant", "other")
    holdfast.ok("route", "add", "--tenant", "acme", "--usage", "own", "--number", "911", "--group", "acme-carrier")
    holdfast.ok("dial-rule", "add", "--tenant", "acme", "--prefix", "9", "--strip", "1")
    with database.connect() as admin:
        admin.execute("insert into site (tenant_id, name) values (1, 'Main'), (2, 'Annex')")
        admin.execute(
            """insert into location (tenant_id, name, country, latitude, longitude)
               values (1, 'Lobby', 'US', 38.9, -77.0), (2, 'Yard', 'US', 38.9, -77.0)"""
        )


REFUSED = [
    # masks: L2, N7
    ("policy set,head office,--tenant,acme,--mask,911=112", "911 reaches 911 in US, CA, PR"),
    ("policy set,head office,--tenant,acme,--mask,112=911", "112 reaches 112 in DK, GB"),
    ("policy set,head office,--tenant,acme,--mask,933=911", "933 reaches 933 in US, CA, PR"),
    ("policy set,head office,--tenant,acme,--mask,0556=556", "556 is no emergency number in any country"),
    ("policy set,head office,--tenant,acme,--mask,5551234=911", "'5551234=911' is not a mask"),
    ("policy set,head office,--tenant,acme,--mask,0=911", "'0=911' is not a mask"),
    ("policy set,head office,--tenant,acme,--mask,911", "'911' is not a mask"),
    ("policy set,head office,--tenant,acme,--mask,911=911", "the mask 911=911 changes nothing"),
    ("policy set,head office,--tenant,acme,--mask,8911=911,--mask,8911=112", "8911 is masked twice"),
    ("policy set,head office,--tenant,acme,--no-mask,7911", "policy 'head office' has no mask for 7911"),
    ("policy create,x,--tenant,acme,--mask,911=112", "no mask may change that"),
    # policies
    ("policy create,head office,--tenant,acme", "the tenant has a policy head office already"),
    ("policy create,x,--tenant,nobody", "there is no tenant 'nobody'"),
    ("policy create,x,--tenant,acme,--usage,own,--no-usage", "usage is both given and taken away"),
    ("policy create,x,--tenant,acme,--notification-uri,ftp://x", "'ftp://x' is not a notification URI"),
    ("policy create,x,--tenant,acme,--conference-uri,desk", "'desk' is not a conference URI"),
    ("policy create,x,--tenant,acme,--conference-uri,sip:d@example.com", "only work together"),
    ("policy create,x,--tenant,acme,--conference-mode,oneway", "only work together"),
    ("policy set,head office,--tenant,acme", "nothing to change was given"),
    ("policy show,elsewhere,--tenant,acme", "tenant 'acme' has no policy 'elsewhere'"),
    ("policy delete,elsewhere,--tenant,acme", "tenant 'acme' has no policy 'elsewhere'"),
    # direct routing: D8
    ("route add,--tenant,acme,--usage,own,--number,411,--group,psap", "411 is no emergency number in any country"),
    ("route add,--tenant,acme,--usage,own,--number,9911,--group,psap", "9911 is sent as 911"),
    ("route add,--tenant,acme,--usage,own,--number,+911,--group,psap", "'+911' is not an emergency number"),
    ("route add,--tenant,acme,--usage,own,--number,911,--group,other-carrier", "the carrier of another tenant"),
    ("route add,--tenant,acme,--usage,own,--number,911,--group,pstn", "must carry emergency calls"),
    ("route add,--tenant,acme,--usage,own,--number,911,--group,nowhere", "there is no trunk group 'nowhere'"),
    ("route add,--tenant,acme,--usage,own,--number,911,--group,psap,--position,1", "stands at that position already"),
    ("route remove,--tenant,acme,--usage,own,--number,112", "tenant 'acme' has no such rule"),
    ("route remove,--tenant,other,--usage,own,--number,911", "tenant 'other' has no such rule"),
    # dial plans
    ("dial-rule add,--tenant,acme,--prefix,9,--strip,1", "has a dial rule for this prefix already"),
    ("dial-rule add,--tenant,acme,--prefix,8,--strip,2", "a rule for 8 cannot strip 2 digits"),
    ("dial-rule add,--tenant,acme,--prefix,8a", "'8a' is not a prefix to dial"),
    ("dial-rule add,--tenant,acme,--prefix,8,--prepend,sip:", "'sip:' is not digits to put before"),
    ("dial-rule remove,--tenant,other,--prefix,9", "tenant 'other' has no dial rule for 9"),
    # countries: A6, D2, O5 and O7
    ("country set,XX,--served,on", "there is no country 'XX'"),
    ("country set,United States,--served,on", "there is no country 'United States'"),
    ("country set,GU,--served,on", "callers in GU count as callers in US — write US"),
    ("country set,AQ,--served,on", "AQ (Antarctica) has no emergency number"),
    ("country set,AQ", "nothing to change was given"),
    ("country set,NO,--tenant,nobody,--served,on", "there is no tenant 'nobody'"),
    ("country unset,NO", "there is no rule for NO"),
    ("country list,--tenant,nobody", "there is no tenant 'nobody'"),
    # trunk groups
    ("trunk-group create,x,--psap,boundary", "PSAPs are set for a trunk group that carries neither"),
    ("trunk-group create,x,--ordinary,--psap-uri,911", "PSAPs are set for a trunk group that carries neither"),
    ("trunk-group create,x,--emergency,--psap,lost", "without a server"),
    ("trunk-group create,x,--emergency,--psap,lost,--lost-url,lost.example.com", "is not a LoST server"),
    ("trunk-group create,x,--emergency,--psap-uri,sip:911@psap?x=y", "is not something that can be called"),
    ("trunk-group create,x,--pbx", "a PBX belongs to a tenant"),
    ("trunk-group create,x,--country,XX", "--country: there is no country 'XX'"),
    ("trunk-group create,x,--tenant,nobody", "there is no tenant 'nobody'"),
    ("trunk-group create,x,--final-codes,486,302", "'302' is not a failure of SIP"),
    ("trunk-group create,x,--final-codes,486,", "'' is not a failure of SIP"),
    ("trunk-group create,x,--location-id-header,X Y", "'X Y' is not a header name"),
    ("trunk-group create,x,--answers-within,50", "50 is not in the range"),
    ("trunk-group create,psap", "there is a trunk group psap already"),
    ("trunk-group set,nowhere,--emergency,on", "there is no trunk group 'nowhere'"),
    ("trunk-group set,psap,--country,CA,--no-country", "country is both given and taken away"),
    ("trunk-group set,acme-carrier,--emergency,off", "must carry emergency calls, and is in use"),
    ("trunk-group set,acme-carrier,--tenant,other", "the carrier of another tenant"),
    ("trunk-group set,acme-pbx,--no-tenant", "a PBX belongs to a tenant"),
    ("trunk-group show,nowhere", "there is no trunk group 'nowhere'"),
    # trunks
    ("trunk create,t,--group,psap,--host,192.0.2.1", "trunk t leads back to us: node edge-1 is at 192.0.2.1 port 5060"),
    ("trunk create,t,--group,psap,--host,::ffff:192.0.2.1", "trunk t leads back to us"),
    ("trunk set,psap-1,--host,192.0.2.1", "trunk psap-1 leads back to us"),
    ("node create,edge-2,--address,203.0.113.1", "node edge-2 would be where trunk acme-1 leads"),
    ("trunk create,t,--group,acme-carrier,--host,198.51.100.7", "calls of trunk t (from 198.51.100.7)"),
    ("trunk create,t,--group,acme-pbx,--host,203.0.113.1", "the other of carrier and PBX"),
    ("trunk set,acme-1,--source,198.51.0.0/16", "could not be told from those of trunk psap-1"),
    ("trunk-group set,acme-carrier,--pbx,on,--tenant,other", "the carrier of another tenant"),
    ("trunk create,t,--group,psap,--host,198.51.100.2,--certificate-name,x", "a certificate is shown over TLS alone"),
    ("trunk create,t,--group,psap,--host,198.51.100.2,--certificate-name,a b", "'a b' is not a name in a certificate"),
    ("trunk set,psap-1,--certificate-name,x,--no-certificate-name", "certificate_name is both given and taken away"),
    # pools
    ("pool create,p,--trunk-group,psap,--country,CA", "trunk group psap carries calls of US, and pool p"),
    ("pool create,p,--trunk-group,world,--country,GU", "callers in GU count as callers in US"),
    ("pool create,p,--trunk-group,world,--country,XX", "there is no country 'XX'"),
    ("pool create,p,--trunk-group,acme-carrier,--country,US", "pool p is not that tenant's"),
    ("pool create,p,--trunk-group,acme-carrier,--country,US,--tenant,other", "pool p is not that tenant's"),
    ("pool create,p,--trunk-group,world,--country,US,--tenant,acme,--location,Lobby", "does not tell locations by the"),
    ("pool create,p,--trunk-group,world,--country,US,--site,Main", "the site 'Main' would be a tenant's"),
    ("pool create,p,--trunk-group,world,--country,US,--tenant,acme,--site,Annex", "has no site 'Annex'"),
    ("pool set,nowhere,--rest-s,0", "there is no pool 'nowhere'"),
    # tenants and users
    ("tenant set,acme,--policy,elsewhere", "tenant 'acme' has no policy 'elsewhere'"),
    ("tenant set,acme,--policy,head office,--no-policy", "policy is both given and taken away"),
    ("tenant set,acme,--max-test-calls,0", "0 is not in the range"),
    ("tenant set,acme,--country-required,maybe", "--country-required: 'maybe' is neither yes nor no"),
    ("user set,alice,--policy,elsewhere", "tenant 'acme' has no policy 'elsewhere'"),
    ("user set,alice,--site,Annex", "tenant 'acme' has no site 'Annex'"),
    ("user set,alice,--location,Yard", "tenant 'acme' has no location 'Yard'"),
    ("user set,alice,--location,Lobby,--no-location", "location is both given and taken away"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "message"), REFUSED)
def test_wrong_provisioning_is_refused_where_it_is_entered_with_the_reason(
    provisioned: Command, typed: str, message: str
) -> None:
    command, _, options = typed.partition(",")
    line = provisioned.refused(*command.split(), *_arguments(options))
    assert message in line


def _arguments(options: str) -> list[str]:
    """Split at commas; codes are the one value that has commas of its own."""
    arguments = options.split(",") if options else []
    if "--final-codes" in arguments:
        place = arguments.index("--final-codes") + 1
        arguments[place:] = [",".join(arguments[place:])]
    return arguments


# Policies


def test_l2_a_policy_is_made_changed_given_and_deleted(holdfast: Command, admin: db.Connection) -> None:
    said = holdfast.ok(
        "policy", "create", "floor 2", "--tenant", "acme", "--usage", "own", "--notification-uri",
        "https://desk.example.com/911", "--conference-uri", "sip:desk@example.com", "--conference-mode", "oneway",
        "--mask", "0911=911", "--mask", "*99=911", "--mask", "0999=999",
    )  # fmt: skip
    assert "0911 reaches 911 in US, CA, PR" in said
    assert "0999 reaches 999 in GB" in said
    assert "no routing rules yet" not in said
    made = holdfast.json("policy", "show", "floor 2", "--tenant", "acme")
    assert made == {
        "id": made["id"], "tenant": "acme", "name": "floor 2", "usage": "own",
        "notification_uri": "https://desk.example.com/911", "conference_uri": "sip:desk@example.com",
        "conference_mode": "oneway", "masks": ["*99=911", "0911=911", "0999=999"], "users": 0, "sites": 0,
        "tenant_default": False,
    }  # fmt: skip
    holdfast.ok("user", "set", "alice", "--policy", "floor 2")
    holdfast.ok("tenant", "set", "acme", "--policy", "floor 2")
    admin.execute("update site set policy_id = %s where name = 'Main'", (made["id"],))
    holdfast.ok(
        "policy", "set", "floor 2", "--tenant", "acme", "--no-usage", "--no-conference-uri", "--no-notification-uri",
        "--no-mask", "*99", "--mask", "0911=112",
    )  # fmt: skip
    changed = holdfast.json("policy", "show", "floor 2", "--tenant", "acme")
    assert (changed["usage"], changed["notification_uri"], changed["conference_uri"], changed["conference_mode"]) == (
        None, None, None, None,
    )  # fmt: skip
    assert (changed["masks"], changed["users"], changed["sites"], changed["tenant_default"]) == (
        ["0911=112", "0999=999"], 1, 1, True,
    )  # fmt: skip
    delete = ("policy", "delete", "floor 2", "--tenant", "acme")
    assert "is still" in holdfast.refused(*delete)
    holdfast.ok("user", "set", "alice", "--no-policy")
    holdfast.ok("tenant", "set", "acme", "--no-policy")
    assert "policy" in holdfast.refused(*delete)
    admin.execute("update site set policy_id = null")
    holdfast.ok(*delete)
    assert [policy["name"] for policy in holdfast.json("policy", "list", "--tenant", "acme")] == ["head office"]
    assert len(holdfast.json("policy", "list")) == 2


def test_n7_a_deleted_policys_masks_are_taken_from_the_nodes_too(holdfast: Command, agent: db.Connection) -> None:
    before = agent.execute("select max(revision) from changes_since(0, 10000)").fetchone()
    assert before is not None
    holdfast.ok("policy", "delete", "head office", "--tenant", "acme")
    gone = agent.execute("select relation from changes_since(%s, 100) where row_data is null", before).fetchall()
    assert sorted(str(row[0]) for row in gone) == ["policy", "policy_mask"]


def test_d8_a_usage_without_rules_and_a_rule_without_policies_are_told(holdfast: Command) -> None:
    said = holdfast.ok("policy", "create", "new", "--tenant", "acme", "--usage", "typo")
    assert "usage typo has no routing rules yet" in said
    said = holdfast.ok("route", "add", "--tenant", "acme", "--usage", "Own", "--number", "*", "--group", "psap")
    assert "no policy of tenant acme names usage Own yet" in said


def test_n7_a_mask_that_no_served_country_knows_is_told(holdfast: Command) -> None:
    said = holdfast.ok("policy", "set", "head office", "--tenant", "acme", "--mask", "0000=000")
    assert "0000 reaches 000 in no country that is served" in said
    holdfast.ok("country", "set", "AU", "--tenant", "acme", "--served", "on")
    said = holdfast.ok("policy", "set", "head office", "--tenant", "acme", "--mask", "0000=000")
    assert "0000 reaches 000 in AU" in said


def test_n7_a_country_that_a_tenant_serves_counts_for_its_masks(holdfast: Command) -> None:
    mask = ("--mask", "112=911")  # in DK and GB 112 is itself
    change = ("policy", "set", "head office", "--tenant", "acme", *mask)
    assert "112 reaches 112 in DK, GB" in holdfast.refused(*change)
    for code in ("DK", "GB"):
        holdfast.ok("country", "set", code, "--tenant", "acme", "--served", "off")
    holdfast.ok(*change)
    assert "112 reaches 112 in DK, GB" in holdfast.refused("policy", "set", "elsewhere", "--tenant", "other", *mask)


# Direct routing


def test_d8_the_rules_of_a_usage_stand_in_the_order_in_which_they_are_tried(holdfast: Command) -> None:
    rule = ("--tenant", "acme", "--usage", "own", "--number")
    assert "at position 2" in holdfast.ok("route", "add", *rule, "911", "--group", "psap")
    assert "at position 1" in holdfast.ok("route", "add", *rule, "*", "--group", "world")
    holdfast.ok("route", "add", *rule, "911", "--group", "world", "--position", "7")
    found = holdfast.json("route", "list", "--tenant", "acme")
    assert [(one["number"], one["position"], one["trunk_group"], one["policies"]) for one in found] == [
        ("911", 1, "acme-carrier", 1), ("911", 2, "psap", 1), ("911", 7, "world", 1), ("*", 1, "world", 1),
    ]  # fmt: skip
    assert "has 3 rules for 911" in holdfast.refused("route", "remove", *rule, "911")
    assert "no longer leave over psap" in holdfast.ok("route", "remove", *rule, "911", "--position", "2")
    holdfast.ok("route", "remove", *rule, "*")
    assert [one["position"] for one in holdfast.json("route", "list")] == [1, 7]


# Dial plans


def test_n7_a_dial_rule_says_which_emergency_numbers_it_makes_diallable(holdfast: Command) -> None:
    said = holdfast.ok("dial-rule", "add", "--tenant", "acme", "--prefix", "5", "--strip", "1")
    assert "5911 reaches 911 and counts as an emergency call (US, CA, PR)" in said
    assert "5112 reaches 112 and counts as an emergency call (DK, GB)" in said
    assert "no emergency number is shadowed" in said
    said = holdfast.ok("dial-rule", "add", "--tenant", "acme", "--prefix", "00", "--strip", "2", "--prepend", "+")
    assert "the first 2 digits go and + comes before" in said
    found = {rule["prefix"]: rule for rule in holdfast.json("dial-rule", "list", "--tenant", "acme")}
    assert {"5911=911", "5112=911", "5112=112"} <= set(found["5"]["emergency"])
    assert "9911=911" not in found["9"]["emergency"]  # the table's own, with or without a rule
    assert "9999=999" not in found["9"]["emergency"]
    holdfast.ok("dial-rule", "remove", "--tenant", "acme", "--prefix", "5")
    assert [rule["prefix"] for rule in holdfast.json("dial-rule", "list")] == ["00", "9"]


def test_n7_what_a_country_served_for_the_tenant_adds_is_told(holdfast: Command) -> None:
    holdfast.ok("dial-rule", "add", "--tenant", "acme", "--prefix", "5", "--strip", "1")
    assert "5000=000" not in holdfast.json("dial-rule", "list", "--tenant", "acme")[0]["emergency"]
    holdfast.ok("country", "set", "AU", "--tenant", "acme", "--served", "on")
    assert "5000=000" in holdfast.json("dial-rule", "list", "--tenant", "acme")[0]["emergency"]


# Countries


def one_country(holdfast: Command, code: str, *arguments: str) -> dict[str, object]:
    (found,) = [one for one in holdfast.json("country", "list", *arguments) if one["country"] == code]
    assert isinstance(found, dict)
    return found


def test_d2_every_country_is_listed_and_five_are_served_by_default(holdfast: Command) -> None:
    found = holdfast.json("country", "list")
    assert len(found) > 200
    assert sorted(one["country"] for one in found if one["served"]) == ["CA", "DK", "GB", "PR", "US"]
    assert holdfast.json("country", "list", "--served") == [one for one in found if one["served"]]
    assert {one["country"] for one in found}.isdisjoint({"GU", "VI", "MP", "AS"})  # given as US (A6)
    us = one_country(holdfast, "US")
    assert {"911", "9911=911"} <= set(us["emergency"])  # type: ignore[call-overload]
    assert us["tests"] == ["933", "9933"]
    assert us["decided_by"] == {"served": "table", "screening": "table", "notify_desk": "table"}
    assert us["sources"]


def test_d2_o5_o7_a_tenants_rule_counts_before_the_platforms_and_that_before_the_table(holdfast: Command) -> None:
    holdfast.ok("country", "set", "no", "--served", "on", "--notify-desk", "on")
    holdfast.ok("country", "set", "NO", "--tenant", "acme", "--served", "off", "--screening", "national")
    platform = one_country(holdfast, "NO")
    assert (platform["served"], platform["screening"], platform["notify_desk"]) == (True, "direct", True)
    assert platform["decided_by"] == {"served": "platform", "screening": "table", "notify_desk": "platform"}
    assert one_country(holdfast, "NO", "--tenant", "other") == platform
    acme = one_country(holdfast, "NO", "--tenant", "acme")
    assert (acme["served"], acme["screening"], acme["notify_desk"]) == (False, "national", True)
    assert acme["decided_by"] == {"served": "tenant", "screening": "tenant", "notify_desk": "platform"}
    table = holdfast.ok("country", "list", "--tenant", "acme")
    (line,) = [line for line in table.splitlines() if line.startswith("NO ")]
    assert "served: tenant, screening: tenant, notify_desk: platform" in line
    holdfast.ok("country", "set", "NO", "--tenant", "acme", "--served", "on")  # the rest of the rule stays
    assert one_country(holdfast, "NO", "--tenant", "acme")["screening"] == "national"
    holdfast.ok("country", "unset", "NO", "--tenant", "acme")
    assert one_country(holdfast, "NO", "--tenant", "acme") == platform
    holdfast.ok("country", "unset", "NO")
    assert one_country(holdfast, "NO")["decided_by"] == one_country(holdfast, "US")["decided_by"]


# Trunk groups and trunks


def test_a_trunk_group_takes_every_setting_and_gives_it_back(holdfast: Command) -> None:
    said = holdfast.ok(
        "trunk-group", "create", "g", "--emergency", "--screening", "--ordinary", "--tenant", "acme", "--country", "ca",
        "--location", "provider-id", "--location-id-header", "X-Loc", "--psap", "lost", "--psap-uri",
        "sip:911@psap.example", "--lost-url", "https://lost.example.com/LoST", "--answers-within", "1500",
        "--rings-within", "60000", "--final-codes", "603, 486,486", "--location-refused-codes", "none",
    )  # fmt: skip
    assert "asked of https://lost.example.com/LoST" in said
    made = holdfast.json("trunk-group", "show", "g")
    expected = {
        "id": made["id"], "name": "g", "tenant": "acme", "country": "CA", "emergency": True, "screening": True,
        "ordinary": True, "pbx": False, "trunks": 0, "location_method": "provider_id", "location_id_header": "X-Loc",
        "psap_method": "lost", "psap_uri": "sip:911@psap.example", "lost_url": "https://lost.example.com/LoST",
        "answers_within_ms": 1500, "rings_within_ms": 60000, "final_codes": [486, 603], "location_refused_codes": [],
    }  # fmt: skip
    assert made == expected
    holdfast.ok(
        "trunk-group", "set", "g", "--no-tenant", "--no-country", "--psap", "fixed", "--no-lost-url", "--no-psap-uri",
        "--location", "none", "--emergency", "off", "--screening", "off", "--location-refused-codes", "415",
    )  # fmt: skip
    assert holdfast.json("trunk-group", "show", "g") == {
        **expected, "tenant": None, "country": None, "psap_method": "fixed", "lost_url": None, "psap_uri": None,
        "location_method": "none", "emergency": False, "screening": False, "location_refused_codes": [415],
    }  # fmt: skip


def test_a_trunk_group_that_says_nothing_is_as_it_was_before(holdfast: Command) -> None:
    holdfast.ok("trunk-group", "create", "plain", "--emergency")
    plain = holdfast.json("trunk-group", "show", "plain")
    assert plain == {
        "id": plain["id"], "name": "plain", "tenant": None, "country": None, "emergency": True, "screening": False,
        "ordinary": False, "pbx": False, "trunks": 0, "location_method": "none", "location_id_header": "X-Location-ID",
        "psap_method": "fixed", "psap_uri": None, "lost_url": None, "answers_within_ms": 3000,
        "rings_within_ms": 120_000, "final_codes": [486, 600, 603, 604, 606],
        "location_refused_codes": [405, 415, 488, 513],
    }  # fmt: skip


def test_a_group_that_screens_needs_not_carry_emergency_calls(holdfast: Command) -> None:
    said = holdfast.ok("trunk-group", "create", "screeners", "--screening", "--psap-uri", "+12025550177")
    assert "no call uses it yet" not in said
    assert "no call uses it yet" in holdfast.ok("trunk-group", "create", "idle")


def test_a_trunk_over_tls_has_its_own_port_and_a_certificate(holdfast: Command) -> None:
    create = ("trunk", "create", "secure", "--group", "psap", "--host", "198.51.100.9", "--transport", "tls")
    holdfast.ok(*create, "--certificate-name", "*.carrier.example")
    (secure,) = [trunk for trunk in holdfast.json("trunk", "list") if trunk["name"] == "secure"]
    assert (secure["port"], secure["transport"], secure["certificate_name"]) == (5061, "tls", "*.carrier.example")
    assert "a certificate is shown over TLS alone" in holdfast.refused("trunk", "set", "secure", "--transport", "tcp")
    holdfast.ok("trunk", "set", "secure", "--transport", "tcp", "--no-certificate-name", "--port", "5060")


def test_a_name_that_leads_back_to_us_is_refused_from_both_sides(
    holdfast: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"edge.example": ["192.0.2.1"], "far.example": ["198.51.100.8", "2001:db8::8"]}

    def name_server(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise OSError("no such host")
        return [(None, None, None, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    create = ("trunk", "create", "named", "--group", "psap", "--source", "198.51.100.8", "--host")
    line = holdfast.refused(*create, "edge.example")
    assert "trunk named leads back to us: edge.example port 5060 is node edge-1" in line
    holdfast.ok(*create, "edge.example", "--port", "5070")  # somebody else on that machine
    assert "leads back to us" in holdfast.refused("trunk", "set", "named", "--port", "5060")
    holdfast.ok("trunk", "set", "named", "--host", "far.example", "--port", "5060")
    for address in known["far.example"]:
        line = holdfast.refused("node", "create", "edge-2", "--address", address)
        assert "node edge-2 would be where trunk named leads (far.example)" in line
    holdfast.ok("node", "create", "edge-2", "--address", "198.51.100.8", "--port", "5062")


def test_n9_a_group_that_becomes_anothers_is_refused_while_its_calls_could_not_be_told_apart(holdfast: Command) -> None:
    holdfast.ok("trunk", "create", "w", "--group", "world", "--host", "198.51.100.200")  # within psap-1's network
    for change in (["--tenant", "acme"], ["--tenant", "acme", "--pbx", "on"]):
        assert "could not be told from those of trunk psap-1" in holdfast.refused(
            "trunk-group", "set", "world", *change
        )
    holdfast.ok("trunk", "set", "w", "--source", "198.51.101.200")
    holdfast.ok("trunk-group", "set", "world", "--tenant", "acme")


# Pools


def test_a_pool_takes_numbers_of_its_own_country_alone(holdfast: Command, tmp_path: Path) -> None:
    create = ("pool", "create")
    holdfast.ok(*create, "us", "--trunk-group", "psap", "--country", "US")
    holdfast.ok(*create, "ca", "--trunk-group", "world", "--country", "CA")
    holdfast.ok(*create, "gb", "--trunk-group", "world", "--country", "GB")
    line = holdfast.refused("pool", "add-numbers", "us", "+12025550110", "+16135550110")
    assert "+16135550110 is a number of CA, and the pool's are of US" in line
    assert "is a number of PR" in holdfast.refused("pool", "add-numbers", "us", "+17875550110")
    assert "+442079460000 is a number of" in holdfast.refused("pool", "add-numbers", "ca", "+442079460000")
    assert "is a number of +1, and" in holdfast.refused("pool", "add-numbers", "gb", "+18005550110")
    assert "is a number of no country" in holdfast.refused("pool", "add-numbers", "us", "+99912345678")
    holdfast.ok("pool", "add-numbers", "ca", "+16135550110", "+18005550110")  # toll-free numbers are North America's
    holdfast.ok("pool", "add-numbers", "us", "+12025550110", "+16715550110")  # Guam's are the United States'
    holdfast.ok("pool", "add-numbers", "gb", "+442079460000")
    file = tmp_path / "numbers.csv"
    file.write_text("number\n+12025550111\n+16135550111\n+45 32 12 34 56\n", encoding="utf-8")
    result = holdfast.run("pool", "import", "us", str(file))
    assert result.exit_code == 2
    assert f"{file}:3: number: +16135550111 is a number of CA, and the pool's are of US" in result.stderr
    assert f"{file}:4: number: +4532123456 is a number of DK" in result.stderr
    assert [one["numbers"] for one in holdfast.json("pool", "list")] == [2, 1, 2]


def test_l7_a_pool_is_a_sites_or_a_locations_and_can_be_changed(holdfast: Command) -> None:
    own = ("--trunk-group", "acme-carrier", "--country", "US", "--tenant", "acme")
    holdfast.ok("pool", "create", "lobby", *own, "--site", "Main", "--location", "Lobby")
    (pool,) = holdfast.json("pool", "list")
    assert (pool["tenant"], pool["site"], pool["location"]) == ("acme", "Main", "Lobby")
    holdfast.ok("pool", "set", "lobby", "--no-site", "--rest-s", "60", "--window-s", "7200", "--target-idle", "0")
    (pool,) = holdfast.json("pool", "list")
    assert (pool["site"], pool["location"], pool["rest_s"], pool["window_s"], pool["target_idle"]) == (
        None, "Lobby", 60, 7200, 0,
    )  # fmt: skip
    line = holdfast.refused("trunk-group", "set", "acme-carrier", "--location", "value")
    assert "pool lobby is a location's, and trunk group acme-carrier does not tell locations by the number" in line
    assert "has no site 'Annex'" in holdfast.refused("pool", "set", "lobby", "--site", "Annex")
    holdfast.ok("pool", "set", "lobby", "--no-location")
    holdfast.ok("trunk-group", "set", "acme-carrier", "--location", "value")


def test_a_group_does_not_leave_the_country_or_the_tenant_of_its_pools(holdfast: Command) -> None:
    holdfast.ok("pool", "create", "all", "--trunk-group", "world", "--country", "CA")
    assert "carries calls of US, and pool all has" in holdfast.refused("trunk-group", "set", "world", "--country", "US")
    assert "pool all is not that tenant's" in holdfast.refused("trunk-group", "set", "world", "--tenant", "acme")
    holdfast.ok("trunk-group", "set", "world", "--country", "CA")


# Tenants and users


def test_a6_a9_a_tenants_country_may_not_count_and_its_tests_have_a_limit_of_their_own(holdfast: Command) -> None:
    create = ("tenant", "create", "t", "--country", "GB", "--max-emergency-calls", "5", "--max-test-calls", "3")
    holdfast.ok(*create, "--country-required", "on")
    made = holdfast.json("tenant", "show", "t")
    assert (made["max_emergency_calls"], made["max_test_calls"], made["country_required"]) == (5, 3, True)
    holdfast.ok("tenant", "set", "t", "--country-required", "off", "--max-test-calls", "4")
    changed = holdfast.json("tenant", "show", "t")
    assert changed == {**made, "max_test_calls": 4, "country_required": False}


def test_l2_o4_a_user_has_a_site_a_policy_and_a_place(holdfast: Command) -> None:
    what = ("--site", "Main", "--policy", "head office", "--location", "Lobby", "--common-area", "on", "--pbx", "on")
    holdfast.ok("user", "create", "bob", "--tenant", "acme", *what, stdin="secret\n")
    holdfast.ok("user", "set", "alice", *what)
    for name in ("alice", "bob"):
        user = holdfast.json("user", "show", name)
        assert (user["site"], user["policy"], user["location"]) == ("Main", "head office", "Lobby")
        assert (user["common_area"], user["pbx"]) == (True, True)
    holdfast.ok(
        "user", "set", "bob", "--no-site", "--no-policy", "--no-location", "--common-area", "off", "--pbx", "no"
    )
    bob = holdfast.json("user", "show", "bob")
    assert (bob["site"], bob["policy"], bob["location"], bob["common_area"], bob["pbx"]) == (
        None, None, None, False, False,
    )  # fmt: skip


def test_l2_o4_users_are_imported_with_their_site_and_policy(holdfast: Command, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    header = "username,password,site,policy,common_area,pbx,tenant\n"
    file.write_text(header + "u1,x,Main,head office,yes,,\nu2,x,,,,on,other\n", encoding="utf-8")
    holdfast.ok("user", "import", str(file), "--tenant", "acme")
    first, second = (holdfast.json("user", "show", name) for name in ("u1", "u2"))
    assert (first["site"], first["policy"], first["common_area"], first["pbx"]) == ("Main", "head office", True, False)
    assert (second["site"], second["policy"], second["common_area"], second["pbx"]) == (None, None, False, True)
    rows = "u3,x,Annex,,,,\nu4,x,,elsewhere,,,\nu5,x,Nowhere,head office,,,other\nu6,x,,,maybe,,\n"
    file.write_text(header + rows, encoding="utf-8")
    *wrong, _verdict = holdfast.run("user", "import", str(file), "--tenant", "acme").stderr.splitlines()
    assert [line.removeprefix(f"{file}:").rpartition("; ")[0] for line in wrong] == [
        "2: site: tenant 'acme' has no site 'Annex'",
        "3: policy: tenant 'acme' has no policy 'elsewhere'",
        "4: policy: tenant 'other' has no policy 'head office'",
        "4: site: tenant 'other' has no site 'Nowhere'",
        "5: common_area: 'maybe' is neither yes nor no",
    ]
