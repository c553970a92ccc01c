"""CSV files, read row by row: UTF-8 with or without a byte order mark, comma-separated, the first row names columns.

Nothing here knows the database. Wrong rows are reported, each with its line, and the reading goes on, so that one run
finds everything that is wrong.
"""

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from holdfast.errors import InputError
from holdfast.plane.values import shown

#: No row of ours comes near this; a file without line ends must not be read into memory.
LINE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what reads a value of it (InputError if it cannot), and whether it must be there."""

    name: str
    read: Callable[[str], object]
    required: bool = False
    #: what an empty field means
    default: object = None
    #: taken as it stands, spaces and all, and never shown
    secret: bool = False


@dataclass(frozen=True, slots=True)
class WrongRow:
    """What is wrong in one place of a file. `line` counts from 1, the header included; `column` may be empty."""

    line: int
    column: str
    message: str
    mend: str

    def __str__(self) -> str:
        column = f"{self.column}: " if self.column else ""
        return f"{self.line}: {column}{self.message}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Row:
    """One good row: the values read, by column name."""

    line: int
    values: Mapping[str, object]


@dataclass
class CsvFile:
    """A file being read. Iterate over `rows()`; what is wrong gathers in `wrong`."""

    file: BinaryIO
    columns: Sequence[Column]
    #: told the number of bytes of each line read
    progress: Callable[[int], None] = lambda _: None
    #: asked for each row that is good by itself: what is wrong between its columns
    check: Callable[[Mapping[str, object]], Iterator[tuple[str, InputError]]] = lambda _: iter(())
    wrong: list[WrongRow] = field(default_factory=list)

    def rows(self) -> Iterator[Row]:
        """Every good row, in order. A file that cannot be read to its end has its last line in `wrong`."""
        reader = csv.reader(self._lines(), strict=True)
        header: Sequence[str] | None = None
        line = 0
        while True:
            # the reader counts lines that it has read: a row begins on the line after them
            line = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                self._report(line, "", *_csv_trouble(str(error)))
                return
            except _BadLine as error:
                self._report(reader.line_num + 1, "", *error.args)
                return
            if fields is None:
                break
            if not any(text.strip() for text in fields):
                continue  # an empty line, or a spreadsheet's empty row
            if header is None:
                header = self._header(line, fields)
                if header is None:
                    return
                continue
            row = self._row(line, header, fields)
            if row is not None:
                yield row
        if header is None:
            self._report(1, "", "the file is empty", f"begin it with the line {','.join(c.name for c in self.columns)}")

    def _lines(self) -> Iterator[str]:
        for number in itertools.count(1):
            data = self.file.readline(LINE_LIMIT)
            if not data:
                return
            if number == 1:
                if data.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise _BadLine("the file is UTF-16", "save it as CSV UTF-8")
                data = data.removeprefix(b"\xef\xbb\xbf")
            if len(data) == LINE_LIMIT:
                raise _BadLine(f"the line is longer than {LINE_LIMIT} bytes", "save the file as CSV, one row a line")
            self.progress(len(data))
            # a byte that is not UTF-8 becomes a lone surrogate, which spoils its own field only
            yield data.decode("utf-8", "surrogateescape")

    def _header(self, line: int, fields: Sequence[str]) -> Sequence[str] | None:
        names = [text.strip().lower() for text in fields]
        known = [column.name for column in self.columns]
        mend = f"the columns are {', '.join(known)}"
        before = len(self.wrong)
        for name in names:
            if name not in known:
                separated = len(names) == 1 and any(mark in name for mark in ";\t")
                hint = "separate the columns by commas" if separated else mend
                self._report(line, "", f"unknown column {shown(name)}", hint)
        for name in known:
            if names.count(name) > 1:
                self._report(line, name, "the column stands there twice", "keep one of them")
        for column in self.columns:
            if column.required and column.name not in names:
                self._report(line, column.name, "the column is missing", mend)
        return names if len(self.wrong) == before else None

    def _row(self, line: int, header: Sequence[str], fields: Sequence[str]) -> Row | None:
        if len(fields) != len(header):
            self._report(
                line, "", f"the row has {len(fields)} fields, the header has {len(header)}",
                "give every row as many, with quotation marks around a field that holds a comma",
            )  # fmt: skip
            return None
        texts = dict(zip(header, fields, strict=True))
        before = len(self.wrong)
        values: dict[str, object] = {}
        for column in self.columns:
            try:
                values[column.name] = _value(column, texts.get(column.name, ""))
            except InputError as error:
                self._report(line, column.name, str(error), error.mend)
        if len(self.wrong) == before:
            for name, trouble in self.check(values):
                self._report(line, name, str(trouble), trouble.mend)
        return Row(line, values) if len(self.wrong) == before else None

    def _report(self, line: int, column: str, message: str, mend: str) -> None:
        self.wrong.append(WrongRow(line, column, message, mend))


class _BadLine(Exception):
    """Why the file cannot be read any further, and how to mend it: args[0] and args[1]."""


def _value(column: Column, text: str) -> object:
    if not column.secret:
        text = text.strip()
    if not text:
        if column.required:
            raise InputError("the field is empty", mend="every row needs one")
        return column.default
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = "the field" if column.secret else shown(text)
        raise InputError(f"{what} is not UTF-8", mend="save the file as CSV UTF-8") from error
    return column.read(text)


def _csv_trouble(text: str) -> tuple[str, str]:
    if "unexpected end of data" in text or "field larger" in text:
        return "a quotation mark is opened and not closed", "close it, or write two for one that is meant"
    if "expected after" in text:
        return "a quotation mark stands inside a field", "write two for one that is meant, and quote the whole field"
    if "new-line character" in text:
        return "a line ends in a carriage return alone", "save the file with Unix or Windows line ends"
    return f"this is not CSV ({text})", "save the file as CSV UTF-8"
