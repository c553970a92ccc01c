"""Whether a point lies in the area that a PSAP serves."""

from collections.abc import Sequence
from itertools import pairwise

Ring = Sequence[Sequence[float]]


def contains(polygons: Sequence[Sequence[Ring]], latitude: float, longitude: float) -> bool:
    """Whether a point (degrees, WGS84) is in one of these polygons, each an outline and its holes.

    Rings are closed sequences of (latitude, longitude). Plane geometry: right for areas that neither hold a pole nor
    cross the 180th meridian.
    """
    return any(
        _in_ring(polygon[0], latitude, longitude)
        and not any(_in_ring(hole, latitude, longitude) for hole in polygon[1:])
        for polygon in polygons
        if polygon
    )


def _in_ring(ring: Ring, latitude: float, longitude: float) -> bool:
    """Ray casting: a ray along the parallel crosses the ring an odd number of times if it begins inside."""
    inside = False
    for (lat_1, lon_1), (lat_2, lon_2) in pairwise(ring):
        if (lat_1 > latitude) != (lat_2 > latitude):
            crossing = lon_1 + (latitude - lat_1) * (lon_2 - lon_1) / (lat_2 - lat_1)
            if longitude < crossing:
                inside = not inside
    return inside
