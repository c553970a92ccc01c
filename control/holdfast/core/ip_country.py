"""The country that an IP address was given out to, from a table in memory; None wherever that is not to be relied on.

A6: with no country code from the client, and no place known, the source address decides; where that is unreliable the
code is required. So every doubt is None here, with its reason, and never a guess. A country is a weak hint all the
same: it says where an address is registered or announced to be used, not where a phone stands.

The table is one buffer, so that a file read before a fork is shared by every worker. Little-endian:

    offset  bytes
    0       8      magic
    8       2      format, 1
    10      2      flags: 1 = shipped with Holdfast, not built by an operator
    12      4      CRC-32 of everything but these four bytes
    16      4 × 4  how many IPv6 ranges (n6), IPv4 ranges (n4), countries (c), bytes of origin (o)
    32      8 n6   where each IPv6 range begins: the upper 64 bits, ascending, the first is 0
            4 n4   where each IPv4 range begins, ascending, the first is 0
            n6     what each IPv6 range is: a reason (below OWN_REASONS' length), or that length + a country's place
            n4     what each IPv4 range is
            2 c    the countries, ascending
            o      where the table comes from, JSON

A range ends where the next begins, so gaps are ranges too. IPv6 is known down to /64, a single subscriber's network.
"""

import json
import struct
import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from operator import lt
from typing import Literal

from holdfast.core.ip_special import V4_SPECIAL, V6_SPECIAL, SpecialRanges, Unreliable
from holdfast.errors import HoldfastError

MAGIC = b"\x89HFIPCC\n"
FORMAT = 1
HEADER = struct.Struct("<8sHHIIIII")
_CRC_AT = slice(12, 16)
_SHIPPED = 1
#: Nobody's description of a table is longer; a damaged length must not make us parse megabytes.
_LONGEST_ORIGIN = 64 * 1024

#: What a range of the table may be instead of a country: its number is its place here, and never changes.
OWN_REASONS = (Unreliable.NOT_IN_TABLE, Unreliable.MARKED, Unreliable.CONTRADICTED, Unreliable.NO_COUNTRY)
UNKNOWN, MARKED, CONTRADICTED, NO_COUNTRY = range(len(OWN_REASONS))

_ISO_3166_1 = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA "
    "CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA "
    "GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP "
    "KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS "
    "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS "
    "RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW "
    "TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
#: ISO 3166-1 alpha-2, officially assigned. Not among them: EU and UK (reserved), XK (user-assigned), AN (withdrawn).
ISO_COUNTRIES = frozenset(_ISO_3166_1.split())

#: An IPv6 address with the longest zone that Linux has (RFC 4007 §11) is shorter.
_LONGEST_ADDRESS = 64
_MAPPED = 0xFFFF  # ::ffff:0:0/96, RFC 4291 §2.5.5.2


class IpTableUnusable(HoldfastError):
    """The IP country table cannot be used."""

    mend = "build it again ('holdfast ip-countries build'), or remove it: 'holdfast render' unpacks the shipped one"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table comes from, as its builder wrote it. `date` is the source's own (ISO 8601); "" is not known."""

    source: str = ""
    version: str = ""
    date: str = ""
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One address's country, or why there is none that could be relied on. Exactly one of the two is None."""

    country: str | None
    unreliable: Unreliable | None


@dataclass(frozen=True, slots=True)
class Ranges:
    """One family's table: where each range begins, and what it is (a place in `answers` of IpCountries)."""

    starts: Sequence[int]
    codes: Sequence[int]


_WHY = {reason: Finding(None, reason) for reason in Unreliable}


@dataclass(frozen=True, slots=True)
class IpCountries:
    """A table to look addresses up in. Nothing that is asked raises; a look-up takes some microseconds."""

    v4: Ranges = field(repr=False)
    v6: Ranges = field(repr=False)
    answers: tuple[Finding, ...] = field(repr=False)
    origin: Origin
    shipped: bool
    crc: int

    def country(self, address: str) -> str | None:
        """ISO 3166-1 alpha-2, or None: unreliable. The text may be anything."""
        return self.look_up(address).country

    def look_up(self, address: str) -> Finding:
        """The country, or why it is unreliable."""
        if len(address) > _LONGEST_ADDRESS:
            return _WHY[Unreliable.NOT_AN_ADDRESS]
        try:
            if ":" not in address:
                return self._v4(int(IPv4Address(address)))
            value = int(IPv6Address(address))
        except AddressValueError:
            return _WHY[Unreliable.NOT_AN_ADDRESS]
        if value >> 32 == _MAPPED:
            return self._v4(value & 0xFFFF_FFFF)
        return _special(V6_SPECIAL, value) or self._found(self.v6, value >> 64)

    def _v4(self, value: int) -> Finding:
        return _special(V4_SPECIAL, value) or self._found(self.v4, value)

    def _found(self, ranges: Ranges, key: int) -> Finding:
        return self.answers[ranges.codes[bisect_right(ranges.starts, key) - 1]]

    @classmethod
    def from_buffer(cls, buffer: bytes | bytearray | memoryview) -> "IpCountries":
        """The table in this buffer, which must not change afterwards. Raises IpTableUnusable unless it is whole.

        Everything is checked once here (some 20 ms for the shipped one), so that no look-up can fail: a flipped bit
        changes the CRC, and a table that somebody else wrote must still be in order.
        """
        view = memoryview(buffer).cast("B").toreadonly()
        if len(view) < HEADER.size or view[: len(MAGIC)] != MAGIC:
            raise IpTableUnusable(
                "this is no IP country table of Holdfast",
                mend="name one that 'holdfast ip-countries build' wrote, or move this file out of the way",
            )
        _, version, flags, crc, n6, n4, n_countries, n_origin = HEADER.unpack_from(view)
        if version != FORMAT:
            raise IpTableUnusable(f"the IP country table has format {version}, this Holdfast reads {FORMAT}")
        lengths = (8 * n6, 4 * n4, n6, n4, 2 * n_countries, n_origin)
        if len(view) != HEADER.size + sum(lengths):
            raise IpTableUnusable(f"the IP country table is {len(view)} bytes, not {HEADER.size + sum(lengths)}")
        if _crc(view) != crc:
            raise IpTableUnusable("the IP country table is damaged: its checksum differs")
        starts6, starts4, codes6, codes4, countries, origin = _parts(view[HEADER.size :], lengths)
        answers = _answers(bytes(countries))
        return cls(
            v4=_ranges(_integers(starts4, "I"), codes4, len(answers)),
            v6=_ranges(_integers(starts6, "Q"), codes6, len(answers)),
            answers=answers,
            origin=_origin(origin),
            shipped=bool(flags & _SHIPPED),
            crc=crc,
        )


def is_shipped(beginning: bytes) -> bool:
    """Whether a file that begins so is a table that came with Holdfast, this one or another, damaged or not."""
    if len(beginning) < HEADER.size or not beginning.startswith(MAGIC):
        return False
    return bool(HEADER.unpack_from(beginning)[2] & _SHIPPED)


def encode(v4: Ranges, v6: Ranges, countries: Sequence[str], origin: Origin, *, shipped: bool = False) -> bytes:
    """The bytes that `IpCountries.from_buffer` reads, the same for the same table. `v6` is keyed by the upper 64 bits.

    A code below OWN_REASONS' length is that reason; above, a place in `countries`. Raises IpTableUnusable for what
    could not be read again.
    """
    told = json.dumps(asdict(origin), ensure_ascii=False, sort_keys=True).encode("utf-8")
    body = b"".join(
        (
            struct.pack(f"<{len(v6.starts)}Q", *v6.starts),
            struct.pack(f"<{len(v4.starts)}I", *v4.starts),
            bytes(v6.codes),
            bytes(v4.codes),
            "".join(countries).encode("ascii"),
            told,
        )
    )
    counts = (len(v6.starts), len(v4.starts), len(countries), len(told))
    whole = bytearray(HEADER.pack(MAGIC, FORMAT, _SHIPPED if shipped else 0, 0, *counts) + body)
    whole[_CRC_AT] = struct.pack("<I", _crc(memoryview(whole)))
    IpCountries.from_buffer(whole)
    return bytes(whole)


def _special(ranges: SpecialRanges, value: int) -> Finding | None:
    reason = ranges.reasons[bisect_right(ranges.starts, value) - 1]
    return None if reason is None else _WHY[reason]


def _crc(view: memoryview) -> int:
    return zlib.crc32(view[_CRC_AT.stop :], zlib.crc32(view[: _CRC_AT.start]))


def _parts(view: memoryview, lengths: Sequence[int]) -> list[memoryview]:
    parts = []
    for length in lengths:
        parts.append(view[:length])
        view = view[length:]
    return parts


def _integers(view: memoryview, typecode: Literal["I", "Q"]) -> memoryview:
    """Little-endian integers, where they stand; a machine of the other byte order needs a copy."""
    if sys.byteorder == "little":
        return view.cast(typecode)
    swapped = array(typecode, bytes(view))
    swapped.byteswap()
    return memoryview(swapped)


def _ranges(starts: memoryview, codes: memoryview, n_answers: int) -> Ranges:
    if not len(starts) or starts[0] != 0 or not all(map(lt, starts, starts[1:])):
        raise IpTableUnusable("the IP country table is not in order")
    if max(codes) >= n_answers:
        raise IpTableUnusable("the IP country table names a country that it has not")
    return Ranges(starts, codes)


def _answers(countries: bytes) -> tuple[Finding, ...]:
    text = countries.decode("ascii", "replace")
    codes = [text[at : at + 2] for at in range(0, len(text), 2)]
    if not ISO_COUNTRIES.issuperset(codes) or not all(map(lt, codes, codes[1:])):
        raise IpTableUnusable("the IP country table's countries are no ISO 3166-1 codes in order")
    return (*(_WHY[reason] for reason in OWN_REASONS), *(Finding(code, None) for code in codes))


def _origin(view: memoryview) -> Origin:
    names = [column.name for column in fields(Origin)]
    try:
        if len(view) > _LONGEST_ORIGIN:
            raise ValueError
        document = json.loads(bytes(view).decode("utf-8"))
        texts = [document[name] for name in names]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IpTableUnusable("the IP country table does not say where it comes from") from error
    return Origin(*texts)
