"""Places: what is a civic address, what is a shape on the earth, where its middle is, and who found it."""

import math

import pytest

from holdfast.core.place import Place, Shape, ShapeKind, civic_from_mapping, measured, signed_area
from holdfast.errors import InputError

SQUARE = ((47.0, -122.0), (47.0, -121.0), (48.0, -121.0), (48.0, -122.0), (47.0, -122.0))


def test_l1_a_civic_address_stands_in_the_order_of_its_schema() -> None:
    given = {"HNP": "A", "PC": " 98052 ", "hno": "3910", "a1": "WA", "Country": "us", "RD": "163rd \n Ave", "FLR": " "}
    assert civic_from_mapping(given) == (
        ("country", "US"), ("A1", "WA"), ("RD", "163rd Ave"), ("HNO", "3910"), ("PC", "98052"), ("HNP", "A"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"street": "Main"}, "'street' is no element"),
        ({"A1": "WA", "a1": "OR"}, "two A1"),
        ({"A1": "x" * 256}, "A1 has 256 characters"),
        ({"LOC": "Room\x00 2"}, "cannot be printed"),
        ({"LOC": "Room \u202e2"}, "cannot be printed"),
        ({"LOC": "Room \ud800"}, "cannot be printed"),
        ({"country": "USA"}, "the country is 'USA'"),
        ({"country": "\u0435s"}, "the country is"),  # a Cyrillic letter
    ],
)
def test_l1_what_is_no_civic_address_is_refused_with_the_reason(given: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        civic_from_mapping(given)


def test_l1_an_unknown_element_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        civic_from_mapping({"street": "Main"})
    assert "RD" in error.value.mend
    assert "HNO" in error.value.mend


def test_l1_a_place_knows_its_country_and_whether_it_says_anything() -> None:
    assert Place(civic_from_mapping({"country": "ca", "A1": "ON"})).country == "CA"
    assert Place(shape=Shape(ShapeKind.POINT, ((45.0, -75.0),))).country is None
    assert not Place(shape=Shape(ShapeKind.POINT, ((45.0, -75.0),))).is_empty
    assert Place(method="GPS").is_empty


@pytest.mark.parametrize("method", ["GPS", "A-GPS", "Cell", "DHCP", "LLDP-MED", "802.11", "TA-NMR", "Wiremap", "RFID",
                                    "gps", " hybridTDOA_AGPS ", "LIS", "ASSIST"])  # fmt: skip
def test_l3_what_a_machine_found_is_measured(method: str) -> None:
    assert measured(method)


@pytest.mark.parametrize("method", ["", "Manual", "MANUAL", "Manual-RESD", "best-guess", "Derived", "Default", "CLS",
                                    "unheard-of", "not GPS", "GPSManual"])  # fmt: skip
def test_l3_what_somebody_typed_or_nobody_knows_is_not_measured(method: str) -> None:
    assert not measured(method)


@pytest.mark.parametrize(
    ("kind", "positions", "measures", "said"),
    [
        (ShapeKind.POINT, ((90.1, 0.0),), {}, "nowhere on earth"),
        (ShapeKind.POINT, ((-90.1, 0.0),), {}, "nowhere on earth"),
        (ShapeKind.POINT, ((0.0, 180.1),), {}, "nowhere on earth"),
        (ShapeKind.POINT, ((math.nan, 0.0),), {}, "nowhere on earth"),
        (ShapeKind.POINT, ((0.0, math.inf),), {}, "nowhere on earth"),
        (ShapeKind.POINT, ((0.0, 0.0, math.nan),), {}, "nowhere near the earth"),
        (ShapeKind.POINT, ((0.0, 0.0, 1e9),), {}, "nowhere near the earth"),
        (ShapeKind.POINT, ((0.0,),), {}, "not all latitude and longitude"),
        (ShapeKind.POINT, ((0.0, 0.0, 0.0, 0.0),), {}, "not all latitude and longitude"),
        (ShapeKind.POINT, (), {}, "not all latitude and longitude"),
        (ShapeKind.POINT, ((0.0, 0.0), (1.0, 1.0)), {}, "one position, not 2"),
        (ShapeKind.POINT, ((0.0, 0.0),), {"radius_m": 3.0}, "no measures"),
        (ShapeKind.CIRCLE, ((0.0, 0.0),), {}, "radius_m"),
        (ShapeKind.CIRCLE, ((0.0, 0.0),), {"radius_m": -1.0}, "radius_m is -1"),
        (ShapeKind.CIRCLE, ((0.0, 0.0),), {"radius_m": math.nan}, "radius_m is nan"),
        (ShapeKind.CIRCLE, ((0.0, 0.0),), {"radius_m": math.inf}, "radius_m is inf"),
        (ShapeKind.CIRCLE, ((0.0, 0.0),), {"radius_m": 1.0, "confidence_percent": 100.0}, "confidence of 100"),
        (ShapeKind.SPHERE, ((0.0, 0.0),), {"radius_m": 1.0}, "not all latitude and longitude"),
        (ShapeKind.POLYGON, SQUARE[:-1], {}, "not closed"),
        (ShapeKind.POLYGON, (*SQUARE[:-1], (47.0, -122.0, 3.0)), {}, "not all latitude and longitude"),
        (ShapeKind.POLYGON, SQUARE[:2], {}, "polygon of 2 positions"),
        (ShapeKind.POLYGON, SQUARE[:4] * 17 + SQUARE[:1], {}, "polygon of 69 positions"),
        (
            ShapeKind.ARC_BAND,
            ((0.0, 0.0),),
            {"inner_radius_m": 5.0, "outer_radius_m": 4.0, "start_angle_degrees": 0.0, "opening_angle_degrees": 9.0},
            "inner radius",
        ),
    ],
)
def test_l1_no_unsound_shape_exists(
    kind: ShapeKind, positions: tuple[tuple[float, ...], ...], measures: dict[str, float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Shape(kind, positions, **measures)


def test_l1_the_middle_of_a_circle_is_its_position_and_of_a_polygon_its_centroid() -> None:
    assert Shape(ShapeKind.CIRCLE, ((47.5, -122.5),), radius_m=30).centre() == (47.5, -122.5)
    assert Shape(ShapeKind.POLYGON, SQUARE).centre() == pytest.approx((47.5, -121.5))
    assert Shape(ShapeKind.POLYGON, SQUARE[::-1]).centre() == pytest.approx((47.5, -121.5))


def test_l1_the_middle_of_a_triangle_is_a_third_up_whichever_way_it_runs() -> None:
    triangle = ((0.0, 0.0), (0.0, 3.0), (3.0, 0.0), (0.0, 0.0))
    assert Shape(ShapeKind.POLYGON, triangle).centre() == pytest.approx((1.0, 1.0))
    assert Shape(ShapeKind.POLYGON, triangle[::-1]).centre() == pytest.approx((1.0, 1.0))


def test_l1_the_middle_of_a_polygon_across_the_180th_meridian_is_inside_it() -> None:
    fiji = ((-18.0, 179.0), (-18.0, -179.0), (-16.0, -179.0), (-16.0, 179.0), (-18.0, 179.0))
    latitude, longitude = Shape(ShapeKind.POLYGON, fiji).centre()
    assert latitude == pytest.approx(-17.0)
    assert abs(longitude) == pytest.approx(180.0)


def test_l1_a_polygon_of_one_line_has_its_middle_on_it() -> None:
    line = ((1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (1.0, 1.0))
    assert Shape(ShapeKind.POLYGON, line).centre() == pytest.approx((2.0, 2.0))


def test_l1_the_middle_of_an_arc_band_is_between_its_arcs_and_not_where_it_is_anchored() -> None:
    """RFC 5491 §5.2.5: the position given is not in the region."""
    band = Shape(
        ShapeKind.ARC_BAND, ((-43.5723, 153.2176),), inner_radius_m=3594, outer_radius_m=4148, start_angle_degrees=20,
        opening_angle_degrees=20,
    )  # fmt: skip
    latitude, longitude = band.centre()
    north = (latitude + 43.5723) * 111_319.5
    east = (longitude - 153.2176) * 111_319.5 * math.cos(math.radians(43.5723))
    assert 3594 < math.hypot(north, east) < 4148
    assert math.degrees(math.atan2(east, north)) == pytest.approx(30, abs=0.1)


def test_l1_a_ring_tells_which_way_it_runs() -> None:
    assert signed_area(SQUARE) == pytest.approx(1.0)
    assert signed_area(SQUARE[::-1]) == pytest.approx(-1.0)
