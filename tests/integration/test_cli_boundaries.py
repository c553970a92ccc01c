"""The areas that PSAPs serve: imported, replaced and removed, and the PSAPs of locations with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.core import boundary as live
from holdfast.plane import db
from integration.command import Command, on_node
from integration.places import provision_places
from integration.postgres import Database


@pytest.fixture
def holdfast(tmp_path: Path, database: Database) -> Command:
    """Location Field lies at 30.5 N, 98.5 W; HQ lobby has no point."""
    command = on_node(tmp_path, database)
    provision_places(command)
    command.ok("trunk-group", "create", "psap", "--emergency", "--tenant", "acme", "--psap", "boundary")
    return command


def area(name: str, west: float, south: float, size: float = 1.0, psap: str = "") -> dict[str, Any]:
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "properties": {"CNTY": name, "URI": psap or f"sip:{name}@psap.example"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def geojson(holdfast: Command, *areas: dict[str, Any]) -> list[str]:
    """The arguments that import these areas."""
    path = holdfast.folder / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": areas}))
    return ["boundary", "import", str(path), "--group", "psap", "--name-property", "CNTY", "--psap-property", "URI"]


def psap_of(holdfast: Command, name: str = "Field") -> list[str]:
    found = holdfast.json("location", "show", name, "--tenant", "acme")["psaps"]
    return [f"{one['psap_uri']} by {one['found_by']}" for one in found]


def names(holdfast: Command) -> list[str]:
    return [one["name"] for one in holdfast.json("boundary", "list")]


TRAVIS = area("travis", -99, 30)


def test_importing_areas_finds_the_psap_of_every_location_in_them(holdfast: Command) -> None:
    result = holdfast.run(*geojson(holdfast, TRAVIS, area("hays", -98, 30)))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 areas imported into trunk group psap: 2 added, 0 changed, 0 removed",
        "acme, Field, trunk group psap: sip:travis@psap.example found",
        "2 PSAPs: 1 new, 1 failed",
    ]
    # a street address alone is in no polygon, which is said with its mend
    assert "acme, HQ lobby, trunk group psap: no PSAP found: it has an address and no point" in result.stderr
    assert "--latitude and --longitude" in result.stderr
    assert psap_of(holdfast) == ["sip:travis@psap.example by boundary"]
    assert holdfast.json("boundary", "list", "--group", "psap")[1] == {
        "trunk_group": "psap", "name": "travis", "psap_uri": "sip:travis@psap.example", "vertices": 5,
        "min_latitude": 30, "max_latitude": 31, "min_longitude": -99, "max_longitude": -98,
    }  # fmt: skip


def test_a_location_that_moves_gets_the_psap_of_where_it_is_then(holdfast: Command) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS, area("hays", -98, 30)))
    result = holdfast.run("location", "set", "Field", "--tenant", "acme", "--longitude", "-97.5")
    assert "acme, Field, trunk group psap: sip:hays@psap.example found" in result.stdout
    result = holdfast.run("location", "set", "Field", "--tenant", "acme", "--longitude", "-90")
    assert result.exit_code == 0
    assert "no PSAP found: none of the group's 2 areas holds it" in result.stderr
    assert psap_of(holdfast) == []
    created = holdfast.run("location", "create", "Hut", "--tenant", "acme", "--country", "US",
                           "--latitude", "30.1", "--longitude", "-98.9")  # fmt: skip
    assert "acme, Hut, trunk group psap: sip:travis@psap.example found" in created.stdout


def test_a_point_on_a_border_has_one_psap_and_always_the_same(holdfast: Command) -> None:
    holdfast.ok("location", "set", "Field", "--tenant", "acme", "--longitude", "-98")
    holdfast.run(*geojson(holdfast, TRAVIS, area("hays", -98, 30)))
    assert psap_of(holdfast) == ["sip:hays@psap.example by boundary"]
    holdfast.run(*geojson(holdfast, area("hays", -98, 30), TRAVIS), "--replace")
    assert psap_of(holdfast) == ["sip:hays@psap.example by boundary"]


def test_replacing_areas_changes_psaps_and_leaves_no_moment_without_one(
    holdfast: Command, admin: db.Connection
) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS, area("hays", -98, 30)))
    result = holdfast.run(*geojson(holdfast, area("travis", -99, 30, psap="+15125550911"), area("bell", -98, 31)),
                          "--replace")  # fmt: skip
    assert result.stdout.splitlines()[:2] == [
        "2 areas imported into trunk group psap: 1 added, 1 changed, 1 removed",
        "acme, Field, trunk group psap: +15125550911 is another now",
    ]
    assert (names(holdfast), psap_of(holdfast)) == (["bell", "travis"], ["+15125550911 by boundary"])
    gone = admin.execute("select relation from tombstone where relation = 'location_psap'").fetchall()
    assert gone == []  # changed in place: a node never lacks it


def test_importing_the_same_again_changes_nothing(holdfast: Command, admin: db.Connection) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS))
    before = admin.execute("select revision from boundary union all select revision from location_psap").fetchall()
    assert "0 added, 0 changed, 0 removed" in holdfast.run(*geojson(holdfast, TRAVIS), "--replace").stdout
    after = admin.execute("select revision from boundary union all select revision from location_psap").fetchall()
    assert after == before


def test_removing_areas_takes_their_psaps_away(holdfast: Command) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS, area("hays", -98, 30)))
    result = holdfast.run("boundary", "remove", "travis", "--group", "psap")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["1 area of trunk group psap removed", "2 PSAPs: 2 failed"]
    assert (names(holdfast), psap_of(holdfast)) == (["hays"], [])
    assert "has no boundary 'travis'" in holdfast.refused("boundary", "remove", "travis", "--group", "psap")
    holdfast.run("boundary", "remove", "--all", "--group", "psap")
    assert names(holdfast) == []
    assert "has no boundaries" in holdfast.refused("boundary", "remove", "--all", "--group", "psap")
    for arguments in (("travis", "--all"), ()):
        assert "which area is meant" in holdfast.refused("boundary", "remove", "--group", "psap", *arguments)


def refused(holdfast: Command, *arguments: str) -> list[str]:
    """The lines that name what is wrong, after checking that nothing was imported."""
    result = holdfast.run(*arguments)
    *lines, verdict = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert verdict.startswith("holdfast: ")
    assert "nothing was imported — correct the file" in verdict
    return [line.removeprefix(f"{holdfast.folder}/areas.geojson: ") for line in lines]


def test_areas_that_overlap_are_refused_with_both_names_in_one_file_and_with_what_is_there(holdfast: Command) -> None:
    said = "'hays' and 'travis' overlap; every place must have one PSAP"
    assert refused(holdfast, *geojson(holdfast, area("hays", -98.5, 30), TRAVIS)) == [said]
    holdfast.run(*geojson(holdfast, TRAVIS))
    assert refused(holdfast, *geojson(holdfast, area("hays", -98.5, 30))) == [said]
    assert names(holdfast) == ["travis"]
    holdfast.run(*geojson(holdfast, area("hays", -98.5, 30)), "--replace")
    assert names(holdfast) == ["hays"]


def test_areas_of_two_groups_may_overlap(holdfast: Command) -> None:
    holdfast.ok("trunk-group", "create", "fire", "--emergency", "--psap", "boundary")
    holdfast.run(*geojson(holdfast, TRAVIS))
    arguments = [part if part != "psap" else "fire" for part in geojson(holdfast, TRAVIS)]
    assert "1 added" in holdfast.run(*arguments).stdout


def test_a_name_that_is_taken_and_broken_areas_are_refused(holdfast: Command) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS))
    assert refused(holdfast, *geojson(holdfast, TRAVIS)) == [
        "'travis' is there already; use --replace, or another name",
    ]  # fmt: skip
    broken = {**TRAVIS, "geometry": {"type": "Point", "coordinates": [0, 0]}}
    assert refused(holdfast, *geojson(holdfast, TRAVIS, broken)) == [
        "feature 2: 'travis': its geometry is 'Point'; an area is a Polygon or a MultiPolygon"
    ]
    path = holdfast.folder / "areas.geojson"
    path.write_text("{")
    assert "the file is not JSON" in holdfast.refused("boundary", "import", str(path), "--group", "psap")
    arguments = [part if part != "psap" else "nowhere" for part in geojson(holdfast, TRAVIS)]
    assert "there is no trunk group 'nowhere'" in holdfast.refused(*arguments)


def test_a_group_that_finds_its_psaps_otherwise_is_told_of(holdfast: Command) -> None:
    holdfast.ok("trunk-group", "set", "psap", "--psap", "fixed")
    result = holdfast.run(*geojson(holdfast, TRAVIS))
    assert "trunk group psap finds its PSAPs otherwise (fixed) until that is changed" in result.stderr
    assert psap_of(holdfast) == []


def test_what_nodes_get_holds_the_points_that_psaps_were_found_by(holdfast: Command, agent: db.Connection) -> None:
    holdfast.run(*geojson(holdfast, TRAVIS))
    query = "select row_data -> 'polygons' from changes_since(0, 1000) where relation = 'boundary'"
    rows: list[Any] = agent.execute(query).fetchall()
    assert live.contains(rows[0][0], 30.5, -98.5)
    assert not live.contains(rows[0][0], -98.5, 30.5)
