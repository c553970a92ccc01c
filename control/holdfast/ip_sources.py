"""Files of IP ranges, read line by line: which country each is in, or which networks are not to be relied on.

Wrong lines are gathered, each with its line, and the reading goes on, so that one run finds everything that is wrong.
"""

import csv
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import BinaryIO

from holdfast.core.ip_country import MARKED, NO_COUNTRY
from holdfast.errors import InputError
from holdfast.ip_mmdb import Leaf, MaxMindDb
from holdfast.ip_ranges import CODES, Claim
from holdfast.plane.values import shown

#: No line of ours comes near this; a file without line ends must not be read into memory.
_LINE_LIMIT = 4096
#: Databases of countries stay far below this, of cities just so.
_LARGEST_MMDB = 256 * 1024 * 1024
#: Wrong lines beyond these are counted, not kept.
_KEPT = 50

#: What sources write where there is no country of ISO 3166-1: regions, unknown, proxies, withdrawn and private codes.
_NO_COUNTRY_CODES = frozenset(
    ("-", "--", "A1", "A2", "O1", "T1", "AN", "AP", "CS", "EU", "SU", "TP", "XK", "XX", "YU", "ZZ")
)
#: The names that a first line may give the columns.
_HEADINGS = frozenset(
    (
        "cidr",
        "country",
        "country_code",
        "end",
        "end_ip",
        "ip_range_end",
        "ip_range_start",
        "network",
        "start",
        "start_ip",
    )
)
_FORMS = "write start,end,country or network/length,country, such as 192.0.2.0,192.0.2.255,DK or 192.0.2.0/24,DK"


@dataclass(frozen=True, slots=True)
class WrongLine:
    """What is wrong in one line of a file, counted from 1."""

    file: str
    line: int
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}; {self.mend}"


@dataclass
class WrongLines:
    """What was found wrong: the first lines themselves, and how many there are."""

    kept: list[WrongLine] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, line: int, message: str, mend: str) -> None:
        self.count += 1
        if len(self.kept) < _KEPT:
            self.kept.append(WrongLine(file, line, message.removesuffix("."), mend))

    def extend(self, others: "WrongLines") -> None:
        self.count += others.count
        self.kept = (self.kept + others.kept)[:_KEPT]


@dataclass
class Claims:
    """What files say, by address family."""

    v4: list[Claim] = field(default_factory=list)
    v6: list[Claim] = field(default_factory=list)
    wrong: WrongLines = field(default_factory=WrongLines)

    def read_countries(self, file: BinaryIO, name: str, progress: Callable[[int], None] = lambda _: None) -> None:
        """Add a file's ranges: a MaxMind DB, if it is named .mmdb, else CSV.

        A line is start,end,country (addresses, or their numbers) or network/length,country.
        """
        if name.endswith(".mmdb"):
            self._read_mmdb(file, name, progress)
        else:
            self._read(file, name, progress, _country_line)

    def read_networks(self, file: BinaryIO, name: str, progress: Callable[[int], None] = lambda _: None) -> None:
        """Add a list of networks and addresses, one a line, as MARKED; what follows a # is a remark."""
        self._read(file, name, progress, _network_line)

    def _read_mmdb(self, file: BinaryIO, name: str, progress: Callable[[int], None]) -> None:
        """Claims of a MaxMind DB, whose "lines" are its networks in order. A wrong record is named by its first one."""
        data = file.read(_LARGEST_MMDB + 1)
        progress(len(data))
        codes: dict[int, int | None] = {}
        before = len(self.v4) + len(self.v6) + self.wrong.count
        try:
            if len(data) > _LARGEST_MMDB:
                raise InputError(f"the file is larger than {_LARGEST_MMDB} bytes", mend="give one of countries alone")
            database = MaxMindDb(data)
            for line, leaf in enumerate(database.leaves(), start=1):
                if leaf.record not in codes:
                    codes[leaf.record] = self._record_code(database, leaf, name, line)
                code = codes[leaf.record]
                if code is not None:
                    claim = Claim(leaf.first, leaf.last, code, name, line)
                    (self.v4 if leaf.version == 4 else self.v6).append(claim)
        except InputError as error:
            self.wrong.add(name, 1, str(error), error.mend)
        if len(self.v4) + len(self.v6) + self.wrong.count == before:
            self.wrong.add(name, 1, "no network in it has a country", "give a database of countries")

    def _record_code(self, database: MaxMindDb, leaf: Leaf, name: str, line: int) -> int | None:
        country, hidden = database.country(leaf.record)
        if hidden:
            return MARKED
        if country is None:
            return None
        try:
            return _code(country)
        except InputError as error:
            first = IPv4Address(leaf.first) if leaf.version == 4 else IPv6Address(leaf.first)
            self.wrong.add(name, line, f"the network at {first}: {error}", error.mend)
            return None

    def _read(
        self,
        file: BinaryIO,
        name: str,
        progress: Callable[[int], None],
        parse: Callable[[str, int], tuple[int, int, int, int] | None],
    ) -> None:
        before = len(self.v4) + len(self.v6) + self.wrong.count
        for line, text in self._lines(file, name, progress):
            text = text.partition("#")[0].strip()
            if not text:
                continue
            try:
                found = parse(text, line)
            except InputError as error:
                self.wrong.add(name, line, str(error), error.mend)
                continue
            if found is not None:
                version, first, last, code = found
                (self.v4 if version == 4 else self.v6).append(Claim(first, last, code, name, line))
        if len(self.v4) + len(self.v6) + self.wrong.count == before:
            self.wrong.add(name, 1, "the file says nothing", "give one that has ranges in it")

    def _lines(self, file: BinaryIO, name: str, progress: Callable[[int], None]) -> Iterator[tuple[int, str]]:
        for line in itertools.count(1):
            data = file.readline(_LINE_LIMIT)
            if not data:
                return
            progress(len(data))
            if line == 1:
                trouble = _no_text(data)
                if trouble:
                    self.wrong.add(name, line, *trouble)
                    return
                data = data.removeprefix(b"\xef\xbb\xbf")
            if len(data) == _LINE_LIMIT:
                self.wrong.add(name, line, f"the line is longer than {_LINE_LIMIT} bytes", _FORMS)
                return
            yield line, data.decode("utf-8", "surrogateescape")


def _no_text(beginning: bytes) -> tuple[str, str] | None:
    """Why a file that begins so is none to read line by line, and what to do."""
    if beginning.startswith(b"\x1f\x8b"):
        return "the file is compressed", "unpack it with gunzip"
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the file is UTF-16", "save it as CSV UTF-8"
    if b"\0" in beginning:
        return "the file is no text", "give the source's CSV file, or a MaxMind DB named .mmdb"
    return None


def _country_line(text: str, line: int) -> tuple[int, int, int, int] | None:
    """IP version, first and last address, code; None for a line of headings."""
    fields = _fields(text)
    if line == 1 and _HEADINGS.issuperset(name.lower() for name in fields):
        return None
    match fields:
        case [network, country] if "/" in network:
            return *_network(network), _code(country)
        case [start, end, country]:
            return *_range(_address(start), _address(end)), _code(country)
    raise InputError(f"{shown(text)} is no range with its country", mend=_FORMS)


def _network_line(text: str, _: int) -> tuple[int, int, int, int]:
    return *_network(text), MARKED


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return [part.strip() for part in text.split(",")]
    try:
        return [part.strip() for part in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise InputError(f"{shown(text)} is not CSV ({error})", mend="quote a whole field, or nothing") from error


def _network(text: str) -> tuple[int, int, int]:
    try:
        network = ip_network(text)
    except ValueError as error:
        mend = "write a network such as 192.0.2.0/24 or 2001:db8::/32, or an address"
        if "host bits" in str(error):
            mend = f"its network is {ip_network(text, strict=False)}"
        raise InputError(f"{shown(text)} is not a network", mend=mend) from error
    first = _plain(network.network_address)
    return network.version, int(first), int(network.broadcast_address)


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address, as text or as a number: what fits into 32 bits is IPv4."""
    try:
        if text.isascii() and text.isdigit():
            return _plain(ip_address(int(text)) if len(text) < 40 else ip_address(text))
        return _plain(ip_address(text))
    except ValueError as error:
        raise InputError(f"{shown(text)} is not an IP address", mend=_FORMS) from error


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise InputError(f"{shown(str(address))} has a zone", mend="leave out what follows the %")
        if address.ipv4_mapped is not None:
            raise InputError(f"{address} is an IPv4-mapped address", mend=f"write IPv4: {address.ipv4_mapped}")
    return address


def _range(start: IPv4Address | IPv6Address, end: IPv4Address | IPv6Address) -> tuple[int, int, int]:
    if start.version != end.version:
        raise InputError(f"{start} and {end} are not of one IP version", mend="give each version a line")
    if int(start) > int(end):
        raise InputError(f"the range ends at {end} before it begins at {start}", mend="write the lower address first")
    return start.version, int(start), int(end)


def _code(country: str) -> int:
    known = country.upper()
    code = CODES.get(known)
    if code is not None:
        return code
    if known in _NO_COUNTRY_CODES:
        return NO_COUNTRY
    mend = "write GB" if known == "UK" else "use ISO 3166-1 alpha-2, such as DK, and ZZ for none"
    raise InputError(f"{shown(country)} is no country code", mend=mend)
