"""Policies, usages, dial plans and countries, as an operator types them; what is wrong is refused there."""

from pathlib import Path

import pytest

from holdfast.plane import db
from integration.command import Command, on_node
from integration.postgres import Database
from integration.routing import provision_routing, typed


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    command = on_node(tmp_path, database)
    provision_routing(command, database)
    return command


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory, shared_database: Database) -> Command:
    """For tests that change nothing."""
    command = on_node(tmp_path_factory.mktemp("node"), shared_database)
    provision_routing(command, shared_database)
    return command


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
    ("country set,XX,--served,on", "there is no country XX"),
    ("country set,United States,--served,on", "'United States' is not a country code"),
    ("country set,GU,--served,on", "callers in GU count as callers in US — write US"),
    ("country set,AQ,--served,on", "AQ (Antarctica) has no emergency number"),
    ("country set,AQ", "nothing to change was given"),
    ("country set,NO,--tenant,nobody,--served,on", "there is no tenant 'nobody'"),
    ("country unset,NO", "there is no rule for NO"),
    ("country list,--tenant,nobody", "there is no tenant 'nobody'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_wrong_provisioning_is_refused_where_it_is_entered_with_the_reason(
    provisioned: Command, line: str, message: str
) -> None:
    assert message in provisioned.refused(*typed(line))


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
