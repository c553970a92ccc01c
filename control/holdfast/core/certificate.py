"""The names that an X.509 certificate is for (RFC 5280): enough DER to find them. Nothing is verified here.

Kamailio itself tells the first of several DNS names only.
"""

import base64
import binascii
import functools
import re

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_MOST_CHARACTERS = 20_000
_OBJECT_ID = 0x06
#: PrintableString, UTF8String and IA5String; names in other encodings are not host names.
_TEXTS = {0x13, 0x0C, 0x16}
_VERSION, _EXTENSIONS, _DNS_NAME = 0xA0, 0xA3, 0x82
_COMMON_NAME, _SUBJECT_ALT_NAME = bytes.fromhex("550403"), bytes.fromhex("551d11")
#: After version, serial number, algorithm, issuer and validity (RFC 5280 §4.1).
_SUBJECT = 4


@functools.lru_cache(maxsize=64)  # asked at every message of the same few connections
def host_names(pem: str) -> frozenset[str]:
    """The DNS names of a certificate in lower case; of one without any, its common name (RFC 6125 §6.4.4).

    Empty for what is no certificate.
    """
    found = _PEM.search(pem) if len(pem) <= _MOST_CHARACTERS else None
    if found is None:
        return frozenset()
    try:
        [(_, certificate)] = _items(base64.b64decode("".join(found[1].split()), validate=True))
        fields = _items(_items(certificate)[0][1])
        names = list(_alternative_names(fields)) or list(_common_names(fields))
    except (binascii.Error, ValueError, IndexError):
        return frozenset()
    return frozenset(name.decode("ascii", "replace").lower() for name in names)


def _alternative_names(fields: list[tuple[int, bytes]]) -> list[bytes]:
    for extensions in (_items(value)[0][1] for tag, value in fields if tag == _EXTENSIONS):
        for _, extension in _items(extensions):
            (_, known_as), *_, (_, value) = _items(extension)
            if known_as == _SUBJECT_ALT_NAME:
                return [name for tag, name in _items(_items(value)[0][1]) if tag == _DNS_NAME]
    return []


def _common_names(fields: list[tuple[int, bytes]]) -> list[bytes]:
    subject = [value for tag, value in fields if tag != _VERSION][_SUBJECT]
    pairs = [_items(pair) for _, parts in _items(subject) for _, pair in _items(parts)]
    return [pair[1][1] for pair in pairs if pair[0] == (_OBJECT_ID, _COMMON_NAME) and pair[1][0] in _TEXTS]


def _items(data: bytes) -> list[tuple[int, bytes]]:
    """What DER holds, one beside the other: tags and contents. ValueError where a length leads beyond the end."""
    items, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("a length leads beyond the end")
        items.append((tag, data[at : at + length]))
        at += length
    return items
