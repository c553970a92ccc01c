"""Claims about IP ranges made into one table without overlaps: contradictions, second opinions, marked networks.

A table in the making is a list of steps, (where it begins, what is there), from 0 to the end of the address space;
what is there is a code of core.ip_country: a reason, or FIRST_COUNTRY + a country's place in COUNTRIES.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from itertools import pairwise
from typing import NamedTuple

from holdfast.core.ip_country import CONTRADICTED, ISO_COUNTRIES, MARKED, OWN_REASONS, UNKNOWN, Ranges

COUNTRIES = tuple(sorted(ISO_COUNTRIES))
FIRST_COUNTRY = len(OWN_REASONS)
CODES = {country: code for code, country in enumerate(COUNTRIES, start=FIRST_COUNTRY)}

Step = tuple[int, int]
_HALF_BITS = 64
_HALF = 1 << _HALF_BITS


class Claim(NamedTuple):
    """What one line of a file (of a MaxMind DB: one network) says: from `first` to `last`, both among them: `code`."""

    first: int
    last: int
    code: int
    file: str
    line: int


def flatten(claims: Iterable[Claim], bits: int, overlap: Callable[[Claim, Claim], None]) -> list[Step]:
    """Steps from claims in any order. Where claims overlap and differ, the addresses are CONTRADICTED.

    `bits` is the length of the family's addresses. `overlap` is told each claim that overlaps, and one of those that
    it overlaps with.
    """
    steps: list[Step] = [(0, UNKNOWN)]
    cluster: list[Claim] = []
    widest: Claim | None = None
    for claim in sorted(claims):
        if widest is not None and claim.first <= widest.last:
            overlap(claim, widest)
        else:
            _resolve(cluster, steps)
            cluster, widest = [], None
        cluster.append(claim)
        if widest is None or claim.last > widest.last:
            widest = claim
    _resolve(cluster, steps)
    if steps[-1][0] == 1 << bits:  # the last claim ends where the address space does
        steps.pop()
    return _merged(steps)


def checked(steps: Sequence[Step], opinion: Sequence[Step]) -> list[Step]:
    """The steps, with CONTRADICTED wherever a second opinion has another country or contradicts itself."""

    def agree(code: int, other: int) -> int:
        differs = other == CONTRADICTED or (other >= FIRST_COUNTRY and other != code)
        return CONTRADICTED if code >= FIRST_COUNTRY and differs else code

    return _combined(steps, opinion, agree)


def marked(steps: Sequence[Step], marks: Sequence[Step]) -> list[Step]:
    """The steps, with MARKED wherever `marks` has it."""
    return _combined(steps, marks, lambda code, mark: MARKED if mark == MARKED else code)


def halved(steps: Sequence[Step]) -> list[Step]:
    """IPv6 steps by the upper 64 bits. A /64 that is not all the same is CONTRADICTED, or MARKED if any of it is.

    A /64 is one subscriber's network (RFC 6177): a host in it that is said to be elsewhere casts doubt on all of it.
    """
    halves: list[Step] = []
    for (start, code), (end, _) in pairwise([*steps, (1 << 128, UNKNOWN)]):
        first, last = start >> _HALF_BITS, (end - 1) >> _HALF_BITS
        if start % _HALF == 0:
            halves.append((first, code))
            continue
        before = halves[-1][1]
        _put(halves, first, MARKED if MARKED in (code, before) else CONTRADICTED)
        if first < last:
            halves.append((first + 1, code))
    return _merged(halves)


def ranges(steps: Sequence[Step]) -> Ranges:
    """The steps as a table holds them."""
    return Ranges([start for start, _ in steps], bytes(code for _, code in steps))


def addresses(table: Ranges, end: int) -> Counter[int]:
    """How many keys (IPv4 addresses, IPv6 /64 networks) of a whole space that ends at `end` have each code."""
    count: Counter[int] = Counter()
    for (start, following), code in zip(pairwise([*table.starts, end]), table.codes, strict=True):
        count[code] += following - start
    return count


def _resolve(cluster: Sequence[Claim], steps: list[Step]) -> None:
    """Append the steps of claims that overlap; one claim alone is a cluster, too."""
    edges: list[tuple[int, int, int]] = []  # (where, how many claims more, of which code)
    for claim in cluster:
        edges += [(claim.first, 1, claim.code), (claim.last + 1, -1, claim.code)]
    standing: Counter[int] = Counter()
    for where, change, code in sorted(edges):
        standing[code] += change
        if not standing[code]:
            del standing[code]
        there = UNKNOWN if not standing else next(iter(standing)) if len(standing) == 1 else CONTRADICTED
        _put(steps, where, there)


def _combined(one: Sequence[Step], other: Sequence[Step], choose: Callable[[int, int], int]) -> list[Step]:
    """Both tables read side by side: at every address, what `choose` makes of the two codes."""
    steps: list[Step] = []
    there = [UNKNOWN, UNKNOWN]
    both = ([(start, which, code) for start, code in table] for which, table in enumerate((one, other)))
    for start, which, code in merge(*both):
        there[which] = code
        _put(steps, start, choose(*there))
    return _merged(steps)


def _put(steps: list[Step], start: int, code: int) -> None:
    """Append a step, in the place of one that begins where it does."""
    if steps and steps[-1][0] == start:
        steps.pop()
    steps.append((start, code))


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Neighbours that are the same become one."""
    merged: list[Step] = []
    for step in steps:
        if not merged or merged[-1][1] != step[1]:
            merged.append(step)
    return merged
