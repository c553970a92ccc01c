"""Trunk groups, trunks and pools, and what routing asks of tenants and users, as an operator types them."""

import socket
from pathlib import Path

import pytest

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
    # trunk groups
    ("trunk-group create,x,--psap,boundary", "PSAPs are set for a trunk group that carries neither"),
    ("trunk-group create,x,--ordinary,--psap-uri,911", "PSAPs are set for a trunk group that carries neither"),
    ("trunk-group create,x,--emergency,--psap,lost", "without a server"),
    ("trunk-group create,x,--emergency,--psap,lost,--lost-url,lost.example.com", "is not a LoST server"),
    ("trunk-group create,x,--emergency,--psap-uri,sip:911@psap?x=y", "is not something that can be called"),
    ("trunk-group create,x,--pbx", "a PBX belongs to a tenant"),
    ("trunk-group create,x,--country,XX", "--country: there is no country XX"),
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
    ("trunk create,t,--group,psap,--host,0.0.0.0", "the host 0.0.0.0 stands for 0.0.0.0, which is no host's address"),
    ("trunk create,t,--group,psap,--host,0", "which is no host's address"),
    ("trunk create,t,--group,psap,--host,0.0.0.0,--source,192.0.2.9,--no-resolve-check", "trunk t leads nowhere"),
    ("trunk create,t,--group,psap,--host,ff02::1,--source,192.0.2.9,--no-resolve-check", "trunk t leads nowhere"),
    ("trunk set,psap-1,--host,224.0.0.1,--no-resolve-check", "trunk psap-1 leads nowhere"),
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
    ("pool create,p,--trunk-group,world,--country,XX", "there is no country XX"),
    ("pool create,p,--trunk-group,acme-carrier,--country,US", "pool p is not that tenant's"),
    ("pool create,p,--trunk-group,acme-carrier,--country,US,--tenant,other", "pool p is not that tenant's"),
    ("pool create,p,--trunk-group,world,--country,US,--tenant,acme,--location,Lobby", "does not tell locations by the"),
    ("pool create,p,--trunk-group,world,--country,US,--site,Main", "the site 'Main' would be a tenant's"),
    ("pool create,p,--trunk-group,world,--country,US,--tenant,acme,--site,Annex", "has no site 'Annex'"),
    ("pool set,nowhere,--rest-s,0", "there is no pool 'nowhere'"),
    # tenants and users
    ("tenant set,acme,--policy,elsewhere", "tenant 'acme' has no policy 'elsewhere'"),
    ("tenant set,acme,--policy,head office,--no-policy", "policy is both given and taken away"),
    ("tenant create,x,--country,XX", "--country: there is no country XX"),
    ("user set,alice,--country,UK", "--country: there is no country UK"),
    ("tenant set,acme,--max-test-calls,0", "0 is not in the range"),
    ("tenant set,acme,--country-required,maybe", "--country-required: 'maybe' is neither yes nor no"),
    ("user set,alice,--policy,elsewhere", "tenant 'acme' has no policy 'elsewhere'"),
    ("user set,alice,--site,Annex", "tenant 'acme' has no site 'Annex'"),
    ("user set,alice,--location,Yard", "tenant 'acme' has no location 'Yard'"),
    ("user set,alice,--location,Lobby,--no-location", "location is both given and taken away"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_wrong_provisioning_is_refused_where_it_is_entered_with_the_reason(
    provisioned: Command, line: str, message: str
) -> None:
    assert message in provisioned.refused(*typed(line))


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
