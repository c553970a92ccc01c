"""The areas that PSAPs serve, from GeoJSON (RFC 7946): read, and held against everything that would mislead a call.

In GeoJSON, as in shapely, a position is (longitude, latitude); what is stored, as in all of Holdfast, is (latitude,
longitude). WGS84 degrees. A plane is reckoned on, which is right for areas that do not cross the 180th meridian.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from holdfast.errors import InputError
from holdfast.plane import values
from holdfast.plane.routing_values import call_uri
from holdfast.plane.values import shown

MOST_BYTES = 64 << 20
MOST_AREAS = 10_000
MOST_VERTICES = 20_000
#: In square degrees, some 100 square metres: neighbours' borders that were drawn apart differ by their rounding.
_ROUNDING = 1e-8
#: RFC 7946 §4 has WGS84 alone; older files name it in one of these ways.
_WGS84 = ("CRS84", "4326")

Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Area:
    """What one PSAP serves. `polygons` as they are stored: rings of (latitude, longitude), the first the outline."""

    name: str
    psap_uri: str
    polygons: tuple[tuple[Ring, ...], ...]
    shape: BaseGeometry

    @property
    def box(self) -> tuple[float, float, float, float]:
        """South, north, west and east, in degrees."""
        west, south, east, north = self.shape.bounds
        return south, north, west, east


class AreasRefused(InputError):
    """The file has wrong areas; nothing was imported."""

    def __init__(self, wrong: Sequence[str]) -> None:
        count = len(wrong)
        super().__init__(
            f"{count} thing{'s are' if count != 1 else ' is'} wrong in the file; nothing was imported",
            mend="correct the file and import it again",
        )
        self.wrong = tuple(wrong)


def read_areas(data: bytes, name_property: str, psap_property: str) -> tuple[Area, ...]:
    """Every area of a FeatureCollection, or of a single Feature. AreasRefused names all that is wrong."""
    areas: list[Area] = []
    wrong: list[str] = []
    for number, feature in enumerate(_features(data), 1):
        try:
            areas.append(_area(feature, name_property, psap_property))
        except InputError as error:
            wrong.append(f"feature {number}: {error}; {error.mend}" if error.mend else f"feature {number}: {error}")
    names: dict[str, int] = {}
    for area in areas:
        names[area.name] = names.get(area.name, 0) + 1
    wrong += [
        f"{shown(name)} is the name of {count} areas; make them one MultiPolygon, or name them apart"
        for name, count in names.items()
        if count > 1
    ]
    if wrong:
        raise AreasRefused(wrong)
    return tuple(areas)


def overlaps(areas: Sequence[Area]) -> Iterator[str]:
    """Each two areas that share more than a border, by name."""
    shapes = [area.shape for area in areas]
    tree = shapely.STRtree(shapes)
    for one, other in sorted(zip(*tree.query(shapes, predicate="intersects").tolist(), strict=True)):
        if one < other and shapes[one].intersection(shapes[other]).area > _ROUNDING:
            yield f"{shown(areas[one].name)} and {shown(areas[other].name)} overlap; every place must have one PSAP"


def stored_area(name: str, psap_uri: str, polygons: Sequence[Sequence[Sequence[Sequence[float]]]]) -> Area:
    """An area as the database holds it."""
    rings = tuple(tuple(tuple((p[0], p[1]) for p in ring) for ring in polygon) for polygon in polygons)
    return Area(name, psap_uri, rings, _shape(rings))


def _features(data: bytes) -> list[Any]:
    if len(data) > MOST_BYTES:
        raise InputError(
            f"the file has more than {MOST_BYTES >> 20} MiB", mend="simplify the areas, or import in parts"
        )
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the file is not JSON: {str(error)[:100]}", mend="export it as GeoJSON again") from error
    if not isinstance(document, dict):
        raise InputError("the file is not GeoJSON", mend="export it as a FeatureCollection of polygons")
    _check_reference_system(document)
    features = [document] if document.get("type") == "Feature" else document.get("features")
    if document.get("type") not in ("Feature", "FeatureCollection") or not isinstance(features, list):
        raise InputError(
            f"the file is GeoJSON of type {shown(str(document.get('type')))}",
            mend="export it as a FeatureCollection of polygons",
        )
    if not features:
        raise InputError("the file has no features", mend="export the areas, each with its name and PSAP")
    if len(features) > MOST_AREAS:
        raise InputError(f"the file has {len(features)} features", mend=f"import at most {MOST_AREAS} for one group")
    return features


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _check_reference_system(document: Mapping[str, Any]) -> None:
    named = document.get("crs")
    if named is None:
        return
    properties = named.get("properties") if isinstance(named, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not (isinstance(name, str) and name.endswith(_WGS84)):
        raise InputError(
            f"the file's coordinates are in {shown(str(name))}",
            mend="export it in WGS84 (EPSG:4326), as RFC 7946 wants it",
        )


def _area(feature: object, name_property: str, psap_property: str) -> Area:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise InputError("this is no Feature", mend="export the areas as a FeatureCollection")
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        raise InputError("it has no properties", mend="give each area its name and its PSAP")
    name = values.name(_property(properties, name_property))
    try:
        psap_uri = call_uri(_property(properties, psap_property))
        polygons = tuple(_polygons(feature.get("geometry")))
    except InputError as error:
        raise InputError(f"{shown(name)}: {error}", mend=error.mend) from error
    return Area(name, psap_uri, polygons, _sound_shape(name, polygons))


def _property(properties: Mapping[str, Any], name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str):
        known = ", ".join(map(shown, list(properties)[:8])) or "none"
        raise InputError(f"it has no text in its property {shown(name)}", mend=f"its properties are {known}")
    return value


def _polygons(geometry: object) -> Iterator[tuple[Ring, ...]]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if kind == "Polygon":
        coordinates = [coordinates]
    elif kind != "MultiPolygon":
        raise InputError(f"its geometry is {shown(str(kind))}", mend="an area is a Polygon or a MultiPolygon")
    if not isinstance(coordinates, list) or not coordinates:
        raise InputError("its geometry is empty", mend="leave the feature out, or draw it")
    count = 0
    for polygon in coordinates:
        if not isinstance(polygon, list) or not polygon:
            raise InputError("a polygon has no rings", mend="give it an outline")
        rings = []
        for ring in polygon:
            count += len(ring) if isinstance(ring, list) else 0
            if count > MOST_VERTICES:
                raise InputError(f"it has more than {MOST_VERTICES} vertices", mend="simplify it")
            rings.append(_ring(ring))
        yield tuple(rings)


def _ring(positions: object) -> Ring:
    """RFC 7946 §3.1.6: four positions or more, the last the same as the first."""
    if not isinstance(positions, list) or len(positions) < 4:
        raise InputError("a ring has fewer than four positions", mend="close it: its last position is its first")
    ring = tuple(_position(position) for position in positions)
    if ring[0] != ring[-1]:
        raise InputError("a ring is not closed", mend="repeat its first position at its end (RFC 7946 §3.1.6)")
    if any(abs(one[1] - other[1]) > 180 for one, other in pairwise(ring)):
        raise InputError(
            "it crosses the 180th meridian", mend="cut it there into a MultiPolygon (RFC 7946 §3.1.9)"
        )  # fmt: skip
    return ring


def _position(position: object) -> tuple[float, float]:
    """From GeoJSON's (longitude, latitude, …) to (latitude, longitude)."""
    if not isinstance(position, list) or len(position) < 2 or not all(map(_is_number, position[:2])):
        raise InputError(f"{shown(str(position))} is no position", mend="write [longitude, latitude]")
    longitude, latitude = float(position[0]), float(position[1])
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise InputError(
            f"longitude {longitude}, latitude {latitude} is nowhere on earth",
            mend="write degrees of WGS84, the longitude first (RFC 7946 §3.1.1)",
        )
    return latitude, longitude


def _is_number(value: object) -> bool:
    # a number of JSON may have hundreds of digits, which no float holds
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _sound_shape(name: str, polygons: Sequence[Sequence[Ring]]) -> BaseGeometry:
    shape = _shape(polygons)
    if not shape.is_valid:
        # GEOS says "Self-intersection[2 2]": the kind of trouble, and where
        raise InputError(
            f"{shown(name)}: {shapely.is_valid_reason(shape)} (longitude, latitude)",
            mend="mend the drawing: rings must not cross, and holes must lie inside",
        )
    return shape


def _shape(polygons: Sequence[Sequence[Ring]]) -> BaseGeometry:
    parts = []
    for rings in polygons:
        outline, *holes = ([(longitude, latitude) for latitude, longitude in ring] for ring in rings)
        parts.append(shapely.Polygon(outline, holes))
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
