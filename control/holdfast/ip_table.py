"""The IP country table on disk: the one shipped with Holdfast, a node's own, and building another from files.

A node reads <state_dir>/ip-country.bin. It is unpacked from the shipped one, or built by the operator in its place.
"""

import lzma
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.core.ip_country import HEADER, MAGIC, IpCountries, IpTableUnusable, Origin, encode, is_shipped
from holdfast.errors import InputError
from holdfast.ip_ranges import COUNTRIES, Claim, Step, checked, flatten, halved, marked, ranges
from holdfast.ip_sources import Claims, WrongLines

FILE_NAME = "ip-country.bin"
#: The checkout that this package runs from has it: the data lie beside the code, not in a wheel.
SHIPPED = Path(__file__).resolve().parent / "data" / f"{FILE_NAME}.xz"
#: Tables of every announced network with a country of its own stay far below this.
_LARGEST = 64 * 1024 * 1024
_MODE = 0o644  # Kamailio's user reads it


class SourcesRefused(InputError):
    """The files have wrong lines; no table was built."""

    def __init__(self, wrong: WrongLines) -> None:
        few = wrong.count == 1
        super().__init__(
            f"{wrong.count} thing{' is' if few else 's are'} wrong in the files; no table was built",
            mend="correct the files and build it again",
        )
        self.wrong = wrong


@dataclass(frozen=True)
class Sources:
    """What a table is built from.

    `opinion` is a second opinion: where it has another country, neither is believed. `unreliable` are networks whose
    addresses say nothing, such as VPNs'. A line of `countries` that overlaps another is wrong,
    unless `overlaps` says to take what they agree on.
    """

    countries: Claims
    opinion: Claims = field(default_factory=Claims)
    unreliable: Claims = field(default_factory=Claims)
    overlaps: bool = False


def build(sources: Sources, origin: Origin, *, shipped: bool = False) -> bytes:
    """The table, the same bytes for the same sources. Raises SourcesRefused when any line of any file is wrong."""
    wrong = WrongLines()
    for claims in (sources.countries, sources.opinion, sources.unreliable):
        wrong.extend(claims.wrong)
    v4 = _steps(sources, 32, wrong)
    v6 = _steps(sources, 128, wrong)
    if wrong.count:
        raise SourcesRefused(wrong)
    return encode(ranges(v4), ranges(halved(v6)), COUNTRIES, origin, shipped=shipped)


def _steps(sources: Sources, bits: int, wrong: WrongLines) -> list[Step]:
    def refuse(claim: Claim, other: Claim) -> None:
        if claim.file == other.file and claim.line < other.line:
            claim, other = other, claim
        wrong.add(
            claim.file, claim.line, f"the range overlaps that of {other.file}:{other.line}",
            "correct one of the two; --overlaps-unreliable takes what they agree on",
        )  # fmt: skip

    def allow(_: Claim, __: Claim) -> None:
        return

    def of(claims: Claims) -> list[Claim]:
        return claims.v4 if bits == 32 else claims.v6

    steps = flatten(of(sources.countries), bits, allow if sources.overlaps else refuse)
    steps = checked(steps, flatten(of(sources.opinion), bits, allow))
    return marked(steps, flatten(of(sources.unreliable), bits, allow))


def open_table(path: Path) -> IpCountries:
    """The table in this file. Raises IpTableUnusable for one that is not there, damaged, or something else.

    It is read, not mapped: a mapped file that somebody copies another over ends the process with SIGBUS. Read before
    a fork, it is in memory once for all workers.
    """
    try:
        table = _read(path, _LARGEST)
    except OSError as error:
        raise IpTableUnusable(
            f"{path}: {error.strerror}", mend="'holdfast render' unpacks the shipped table to node.state_dir"
        ) from error
    return _parsed(path, table)


def shipped_table() -> IpCountries:
    """The table that came with Holdfast, read from its packed file. Raises IpTableUnusable."""
    return _parsed(SHIPPED, _shipped())


def table_path(state_dir: Path) -> Path:
    """Where a node's table is, whoever made it."""
    return state_dir / FILE_NAME


def default_table(state_dir: Path) -> Path:
    """The node's table, whole: unpacked now if there is none, or if the one there was shipped with another Holdfast.

    An operator's own table is never replaced. Raises IpTableUnusable if that one is damaged, OSError where nothing can
    be written.
    """
    path = table_path(state_dir)
    if not _is_current(path):
        table = _shipped()
        _parsed(SHIPPED, table)
        state_dir.mkdir(parents=True, exist_ok=True)
        write_table(path, table)
    return path


def write_table(path: Path, table: bytes) -> None:
    """Write the file whole or not at all. Raises InputError rather than overwrite something that is no table."""
    if path.exists() and _read(path, len(MAGIC)) != MAGIC:
        raise InputError(f"{path} exists and is no IP country table", mend="name another file, or remove it")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
            file.write(table)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _parsed(path: Path, table: bytes) -> IpCountries:
    try:
        return IpCountries.from_buffer(table)
    except IpTableUnusable as error:
        raise IpTableUnusable(f"{path}: {error}", mend=error.mend) from error


def _is_current(path: Path) -> bool:
    """Whether the table there is to be kept. Raises IpTableUnusable for an operator's that is damaged."""
    try:
        beginning = _read(path, HEADER.size)
    except FileNotFoundError:
        return False
    if not is_shipped(beginning):
        open_table(path)
        return True
    if beginning != _shipped(HEADER.size):
        return False
    try:
        open_table(path)
    except IpTableUnusable:
        return False
    return True


def _read(path: Path, length: int) -> bytes:
    """A file's first bytes. Opening a pipe that nobody writes to would wait, hence O_NONBLOCK."""
    if path.is_dir():
        raise IpTableUnusable(f"{path} is a folder", mend="name a file")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IpTableUnusable(f"{path} is not a file", mend="name a file")
        return file.read(length)


def _shipped(length: int = _LARGEST) -> bytes:
    try:
        with lzma.LZMAFile(SHIPPED) as file:
            return file.read(length)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise IpTableUnusable(f"{SHIPPED}: {error}", mend="get this file of Holdfast again") from error
