"""The names that location documents are written in, alike for reading and for writing."""

from collections.abc import Mapping
from types import MappingProxyType

from holdfast.core.place import ShapeKind

PIDF = "urn:ietf:params:xml:ns:pidf"  # RFC 3863
DATA_MODEL = "urn:ietf:params:xml:ns:pidf:data-model"  # RFC 4479
GEOPRIV = "urn:ietf:params:xml:ns:pidf:geopriv10"  # RFC 4119
POLICY = "urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy"  # RFC 4119
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"  # RFC 5139
CIVIC_EXTENSION = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr:ext"  # RFC 6848
CIVIC_4119 = "urn:ietf:params:xml:ns:pidf:geopriv10:civicLoc"  # RFC 4119, before RFC 5139 replaced it
GML = "http://www.opengis.net/gml"  # GML 3.1.1, RFC 5491 §5
GML_4119 = "urn:opengis:specification:gml:schema-xsd:feature:v3.0"  # in RFC 4119's examples
GEOSHAPE = "http://www.opengis.net/pidflo/1.0"  # OGC 06-142r1, RFC 5491 §5
CONFIDENCE = "urn:ietf:params:xml:ns:geopriv:conf"  # RFC 7459
LYNC = "urn:schema:Rtc.LIS.msftE911PidfExtn.2008"  # [MS-SIPRE] appendix D
#: Ours: nobody has named an element for those who are to be told of the call.
NOTIFICATION = "urn:x-holdfast:notification"

CRS_2D = "urn:ogc:def:crs:EPSG::4326"  # WGS84: latitude, longitude (RFC 5491 §5.1)
CRS_3D = "urn:ogc:def:crs:EPSG::4979"  # and altitude
METRES = "urn:ogc:def:uom:EPSG::9001"
DEGREES = "urn:ogc:def:uom:EPSG::9102"
RADIANS = "urn:ogc:def:uom:EPSG::9101"

SHAPE_ELEMENTS: Mapping[ShapeKind, tuple[str, str]] = MappingProxyType(
    {
        ShapeKind.POINT: (GML, "Point"),
        ShapeKind.POLYGON: (GML, "Polygon"),
        ShapeKind.CIRCLE: (GEOSHAPE, "Circle"),
        ShapeKind.ELLIPSE: (GEOSHAPE, "Ellipse"),
        ShapeKind.ARC_BAND: (GEOSHAPE, "ArcBand"),
        ShapeKind.SPHERE: (GEOSHAPE, "Sphere"),
        ShapeKind.ELLIPSOID: (GEOSHAPE, "Ellipsoid"),
        ShapeKind.PRISM: (GEOSHAPE, "Prism"),
    }
)
#: The elements of pidflo/1.0 that hold a shape's measures, by our names of them.
MEASURE_ELEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "radius_m": "radius",
        "semi_major_m": "semiMajorAxis",
        "semi_minor_m": "semiMinorAxis",
        "vertical_m": "verticalAxis",
        "orientation_degrees": "orientation",
        "inner_radius_m": "innerRadius",
        "outer_radius_m": "outerRadius",
        "start_angle_degrees": "startAngle",
        "opening_angle_degrees": "openingAngle",
        "height_m": "height",
    }
)
