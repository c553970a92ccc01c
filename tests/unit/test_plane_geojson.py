"""Areas from GeoJSON (RFC 7946): what would lead a call to the wrong PSAP is refused, with the area's name."""

import json
from typing import Any

import pytest
import shapely

from holdfast.core import boundary
from holdfast.errors import InputError
from holdfast.plane import geojson
from holdfast.plane.geojson import Area, AreasRefused, overlaps, read_areas, stored_area


def square(west: float, south: float, size: float = 1.0) -> list[list[float]]:
    """A closed ring in GeoJSON's order, counter-clockwise."""
    east, north = west + size, south + size
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def feature(name: str, coordinates: Any, kind: str = "Polygon", **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"name": name, "psap": f"sip:{name}@psap.example", **properties},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def read(*features: object, **members: object) -> tuple[Area, ...]:
    document = {"type": "FeatureCollection", "features": list(features), **members}
    return read_areas(json.dumps(document).encode(), "name", "psap")


def wrong_with(*features: object, **members: object) -> list[str]:
    with pytest.raises(AreasRefused) as refused:
        read(*features, **members)
    assert refused.value.mend
    assert f"{len(refused.value.wrong)} thing" in str(refused.value)
    return list(refused.value.wrong)


def test_areas_come_with_their_names_psaps_and_boxes_and_latitude_first() -> None:
    hole = [[-98.6, 30.4], [-98.6, 30.6], [-98.4, 30.6], [-98.4, 30.4], [-98.6, 30.4]]
    polygon = feature("travis", [square(-99, 30), hole])
    island = feature("islands", [[square(-95, 29)], [square(-93, 29)]], "MultiPolygon", psap="+15125550100")
    travis, islands = read(polygon, island)
    assert (travis.name, travis.psap_uri, travis.box) == ("travis", "sip:travis@psap.example", (30, 31, -99, -98))
    assert travis.polygons[0][0][1] == (30.0, -98.0)
    assert len(travis.polygons[0]) == 2
    assert (islands.psap_uri, islands.box, len(islands.polygons)) == ("+15125550100", (29, 30, -95, -92), 2)


def test_one_feature_alone_and_positions_with_altitude_are_read() -> None:
    ring = [[*position, 100.0] for position in square(0, 0)]
    (area,) = read_areas(json.dumps(feature("sea", [ring])).encode(), "name", "psap")
    assert area.polygons[0][0][0] == (0.0, 0.0)


def test_what_is_stored_is_what_calls_are_decided_by() -> None:
    """core.boundary decides live calls on the stored rings; geometry ahead of time must agree with it."""
    hole = [[-98.6, 30.4], [-98.6, 30.6], [-98.4, 30.6], [-98.4, 30.4], [-98.6, 30.4]]
    (area,) = read(feature("travis", [square(-99, 30), hole]))
    for latitude in range(2995, 3110, 7):
        for longitude in range(-9905, -9790, 7):
            north, east = latitude / 100 + 0.003, longitude / 100 + 0.003  # never on a border
            assert area.shape.intersects(shapely.Point(east, north)) == boundary.contains(area.polygons, north, east)


def test_an_area_comes_back_from_the_database_as_it_went() -> None:
    (area,) = read(feature("islands", [[square(-95, 29)], [square(-93, 29)]], "MultiPolygon"))
    again = stored_area(area.name, area.psap_uri, json.loads(json.dumps(area.polygons)))
    assert (again.polygons, again.box) == (area.polygons, area.box)
    assert again.shape.equals(area.shape)


BOW_TIE = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (feature("a", [BOW_TIE]), "'a': Self-intersection[1 1]"),
        (feature("a", [square(0, 0), square(5, 5)]), "'a': Hole lies outside shell"),
        (feature("a", [[square(0, 0, 2)], [square(1, 1, 2)]], "MultiPolygon"), "'a': Self-intersection"),
        (feature("a", [square(0, 0)[:-1]]), "'a': a ring is not closed"),
        (feature("a", [square(0, 0)[:3]]), "'a': a ring has fewer than four positions"),
        (feature("a", [[[0, 0], [1, 1], [2, 2], [0, 0]]]), "'a': Self-intersection"),
        (feature("a", [[[0, 0]] * 5]), "'a': Too few points"),
        (feature("a", [square(179.5, 0)]), "longitude 180.5, latitude 0.0 is nowhere on earth"),
        (feature("a", [[[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]]), "'a': it crosses the 180th meridian"),
        (feature("a", [[[30, -99], [31, -99], [31, -98], [30, -98], [30, -99]]]), "the longitude first"),
        (feature("a", [[[0, 0], [1, None], [1, 1], [0, 0]]]), "'[1, None]' is no position"),
        (feature("a", [[[0, 0], [True, 0], [1, 1], [0, 0]]]), "is no position"),
        (feature("a", [[[0, 0], [10**400, 0], [1, 1], [0, 0]]]), "is no position"),
        (feature("a", [[0, 0]]), "a ring has fewer than four positions"),
        (feature("a", []), "a polygon has no rings"),
        (feature("a", [0, 0], "Point"), "'a': its geometry is 'Point'"),
        (feature("a", None, "MultiPolygon"), "'a': its geometry is empty"),
        ({**feature("a", [square(0, 0)]), "geometry": None}, "'a': its geometry is 'None'"),
        ({**feature("a", [square(0, 0)]), "properties": None}, "it has no properties"),
        ({"type": "Polygon", "coordinates": [square(0, 0)]}, "this is no Feature"),
        (feature(" ", [square(0, 0)]), "' ' is not a usable name"),
        (feature("a", [square(0, 0)], psap=911), "it has no text in its property 'psap'; its properties are 'name'"),
        (feature("a", [square(0, 0)], psap="sip:psap"), "'a': 'sip:psap' is not something that can be called"),
        (feature("a", [[[x / 10_000, 0] for x in range(20_001)]]), "'a': it has more than 20000 vertices"),
    ],
)  # fmt: skip
def test_an_area_that_cannot_be_routed_by_is_refused_by_its_name(broken: dict[str, Any], said: str) -> None:
    told = wrong_with(feature("good", [square(50, 50)]), broken)
    assert len(told) == 1
    assert told[0].startswith("feature 2: ")
    assert said in told[0]


def test_every_wrong_area_is_named_at_once() -> None:
    told = wrong_with(
        feature("a", [BOW_TIE]), feature("b", []), feature("c", [square(0, 0)]), feature("c", [square(3, 0)])
    )
    assert [line.partition(":")[0] for line in told] == [
        "feature 1", "feature 2", "'c' is the name of 2 areas; make them one MultiPolygon, or name them apart",
    ]  # fmt: skip


def test_areas_that_overlap_are_named_both_and_neighbours_are_not() -> None:
    touching = read(feature("a", [square(0, 0)]), feature("b", [square(1, 0)]), feature("c", [square(1, 1)]))
    assert list(overlaps(touching)) == []
    overlapping = read(
        feature("a", [square(0, 0)]), feature("b", [square(0.5, 0.5)]), feature("within-a", [square(0.1, 0.1, 0.1)])
    )
    assert list(overlaps(overlapping)) == [
        "'a' and 'b' overlap; every place must have one PSAP",
        "'a' and 'within-a' overlap; every place must have one PSAP",
    ]


def test_borders_that_differ_by_their_rounding_do_not_overlap() -> None:
    areas = read(feature("a", [square(0, 0)]), feature("b", [square(1 - 1e-9, 0)]))
    assert list(overlaps(areas)) == []
    areas = read(feature("a", [square(0, 0)]), feature("b", [square(1 - 1e-6, 0)]))  # a tenth of a metre, for 111 km
    assert list(overlaps(areas)) != []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is not JSON"),
        (b"\xff\xfe", "the file is not JSON"),
        (b"[" * 100_000, "the file is not JSON"),
        (b'{"type": "FeatureCollection", "features": [NaN]}', "the file is not JSON: NaN"),
        (b"[]", "the file is not GeoJSON"),
        (b'{"type": "Topology"}', "the file is GeoJSON of type 'Topology'"),
        (b'{"type": "FeatureCollection"}', "the file is GeoJSON of type 'FeatureCollection'"),
        (b'{"type": "FeatureCollection", "features": []}', "the file has no features"),
        (b'{"type": "FeatureCollection", "features": [' + b"0," * 10_000 + b"0]}", "the file has 10001 features"),
        (b'{"type": "FeatureCollection", "features": [0], "crs": {"properties": {"name": "EPSG::25832"}}}',
         "the file's coordinates are in 'EPSG::25832'"),
        (b'{"type": "FeatureCollection", "features": [0], "crs": 5}', "the file's coordinates are in 'None'"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_geojson_of_wgs84_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_areas(data, "name", "psap")
    assert said in str(refused.value)
    assert refused.value.mend


def test_wgs84_by_its_older_names_is_taken() -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    assert len(read(feature("a", [square(0, 0)]), crs=crs)) == 1


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MOST_BYTES", 1 << 20)
    with pytest.raises(InputError, match="more than 1 MiB"):
        read_areas(b" " * ((1 << 20) + 1), "name", "psap")
