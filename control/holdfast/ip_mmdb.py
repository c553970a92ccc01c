"""MaxMind DB files (format 2.0) read as IP ranges with their country. Several providers publish theirs so.

The file may be damaged or hostile: every offset is checked, and nothing nests, repeats or refers without a limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.errors import InputError

_MARKER = b"\xab\xcd\xefMaxMind.com"
_METADATA_WITHIN = 128 * 1024
#: Between the tree and the data.
_SEPARATOR = 16
_DEEPEST = 16
#: Values in one record. City records have some dozens.
_MOST_VALUES = 10_000
#: A tree has a path to each node once; writers let a few more networks share the IPv4 subtree.
_MOST_VISITS_PER_NODE = 8

_POINTER, _TEXT, _MAP, _ARRAY, _BOOLEAN = 1, 2, 7, 11, 14
_UNSIGNED = frozenset((5, 6, 9, 10))
_SKIPPED = frozenset((3, 4, 8, 15))  # double, bytes, int32, float: a length and as many bytes
_POINTER_BASE = (0, 2048, 526336, 0)
_LONG_SIZE = {29: (1, 29), 30: (2, 285), 31: (3, 65821)}

#: What providers say of addresses that many people hide behind; some of these stand in paid databases only.
_HIDING = frozenset(
    ("is_anonymous", "is_anonymous_proxy", "is_anonymous_vpn", "is_hosting_provider", "is_public_proxy",
     "is_residential_proxy", "is_satellite_provider", "is_tor_exit_node")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leaf:
    """One network of the tree: its IP version, first and last address, and where its record is in the file."""

    version: int
    first: int
    last: int
    record: int


class _Damaged(InputError):
    """The file is no MaxMind DB, or damaged."""

    mend = "download it again"


class MaxMindDb:
    """A file in memory. Raises InputError, here and later, for one that is damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        at = data.rfind(_MARKER, max(0, len(data) - _METADATA_WITHIN))
        if at < 0:
            raise _Damaged
        told = self._value(at + len(_MARKER), at + len(_MARKER), [_MOST_VALUES])[0]
        if not isinstance(told, dict):
            raise _Damaged
        self._nodes = _whole(told.get("node_count"))
        self._bits = _whole(told.get("record_size"))
        self._ip_version = _whole(told.get("ip_version"))
        major = _whole(told.get("binary_format_major_version"))
        if self._bits not in (24, 28, 32) or self._ip_version not in (4, 6) or major != 2:
            raise InputError("this MaxMind DB is of a kind that is not known here", mend="give it as CSV")
        self._node_bytes = self._bits // 4
        self._records_at = self._nodes * self._node_bytes + _SEPARATOR
        if self._nodes < 1 or self._records_at > at:
            raise _Damaged

    def leaves(self) -> Iterator[Leaf]:
        """Every network that has a record. IPv4 addresses stand at ::/96 of an IPv6 tree, and are found there only."""
        bits = 32 if self._ip_version == 4 else 128
        ipv4 = self._ipv4_root() if bits == 128 else -1
        pending = [(0, 0, 0)]  # node or record, the prefix's length, its first address
        visits = self._nodes * _MOST_VISITS_PER_NODE
        while pending:
            node, length, first = pending.pop()
            if node >= self._nodes:
                if node > self._nodes:
                    yield from self._leaf(node, first, first + (1 << (bits - length)) - 1, bits)
                continue
            if length >= bits or not visits:
                raise _Damaged
            if node == ipv4 and first:
                continue  # ::ffff:0:0/96, 2002::/16 and others that mean the same IPv4 addresses
            visits -= 1
            left, right = self._children(node)
            pending.append((right, length + 1, first | 1 << (bits - length - 1)))
            pending.append((left, length + 1, first))

    def country(self, record: int) -> tuple[str | None, bool]:
        """What a record says: the country's code as it stands there, and whether people hide behind the network."""
        found = self._value(record, self._records_at, [_MOST_VALUES])[0]
        if not isinstance(found, dict):
            return None, False
        country = found.get("country")
        code = country.get("iso_code") if isinstance(country, dict) else found.get("country_code", country)
        traits = found.get("traits")
        hidden = [*found.items(), *(traits.items() if isinstance(traits, dict) else ())]
        return code if isinstance(code, str) else None, any(name in _HIDING and value is True for name, value in hidden)

    def _ipv4_root(self) -> int:
        node = 0
        for _ in range(96):
            if node >= self._nodes:
                break
            node = self._children(node)[0]
        return node

    def _children(self, node: int) -> tuple[int, int]:
        start = node * self._node_bytes
        both = int.from_bytes(self._data[start : start + self._node_bytes], "big")
        if self._bits != 28:
            return both >> self._bits, both & ((1 << self._bits) - 1)
        # 24 bits of the left one, its 4 highest, the right one's 4 highest, 24 bits of the right one
        return both >> 32 | (both >> 28 & 0xF) << 24, both & 0xFFF_FFFF

    def _leaf(self, node: int, first: int, last: int, bits: int) -> Iterator[Leaf]:
        record = node - self._nodes - _SEPARATOR + self._records_at
        if bits == 32 or last < 1 << 32:
            yield Leaf(4, first, last, record)
            return
        if first == 0:
            yield Leaf(4, 0, (1 << 32) - 1, record)
        yield Leaf(6, first, last, record)

    def _value(self, at: int, base: int, budget: list[int], depth: int = 0) -> tuple[object, int]:
        """The value that stands at an offset, and the offset behind it. Pointers count from `base`."""
        budget[0] -= 1
        if budget[0] < 0 or depth > _DEEPEST:
            raise _Damaged
        control = self._bytes(at, 1)[0]
        at += 1
        kind = control >> 5
        if kind == _POINTER:
            return self._pointed(control, at, base, budget, depth)
        if kind == 0:
            kind = 7 + self._bytes(at, 1)[0]
            at += 1
        size = control & 0x1F
        if size in _LONG_SIZE:
            more, added = _LONG_SIZE[size]
            size = added + int.from_bytes(self._bytes(at, more), "big")
            at += more
        if kind == _MAP:
            return self._map(size, at, base, budget, depth)
        if kind == _ARRAY:
            for _ in range(size):
                at = self._value(at, base, budget, depth + 1)[1]
            return None, at  # no country stands in an array
        if kind == _BOOLEAN:
            return bool(size), at
        return self._plain(kind, self._bytes(at, size)), at + size

    def _pointed(self, control: int, at: int, base: int, budget: list[int], depth: int) -> tuple[object, int]:
        length = control >> 3 & 3
        digits = self._bytes(at, length + 1)
        high = 0 if length == 3 else (control & 7) << 8 * (length + 1)
        target = base + _POINTER_BASE[length] + high + int.from_bytes(digits, "big")
        return self._value(target, base, budget, depth + 1)[0], at + length + 1

    def _map(self, size: int, at: int, base: int, budget: list[int], depth: int) -> tuple[dict[str, object], int]:
        entries = {}
        for _ in range(size):
            name, at = self._value(at, base, budget, depth + 1)
            value, at = self._value(at, base, budget, depth + 1)
            if not isinstance(name, str):
                raise _Damaged
            entries[name] = value
        return entries, at

    @staticmethod
    def _plain(kind: int, content: bytes) -> object:
        if kind == _TEXT:
            return content.decode("utf-8", "replace")
        if kind in _UNSIGNED and len(content) <= 16:
            return int.from_bytes(content, "big")
        if kind in _SKIPPED:
            return None
        raise _Damaged

    def _bytes(self, at: int, length: int) -> bytes:
        found = self._data[at : at + length]
        if len(found) != length:
            raise _Damaged
        return found


def _whole(number: object) -> int:
    if type(number) is not int:
        raise _Damaged
    return number
