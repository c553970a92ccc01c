"""Reading CSV: whatever bytes come, each row is either read or named, and nothing ends in a traceback."""

import io

from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.errors import InputError
from holdfast.plane import values
from holdfast.plane.csv_file import Column, CsvFile, Row

COLUMNS = (
    Column("number", values.number, required=True),
    Column("outbound_enabled", values.flag, default=True),
    Column("password", values.password, secret=True),
)


def read(data: bytes) -> tuple[list[Row], CsvFile]:
    file = CsvFile(io.BytesIO(data), COLUMNS)
    return list(file.rows()), file


@given(st.binary(max_size=400))
@example(b'number\n"\n\n')
@example(b"\xef\xbb\xbfnumber\n+12025550123")
@example(b"number\n" + b"," * 70_000)
@example(b'number\n"' + b"a\n" * 80_000 + b'"\n')
def test_whatever_bytes_come_rows_are_read_or_named(data: bytes) -> None:
    rows, file = read(data)
    assert rows or file.wrong or b"number" in data
    for wrong in file.wrong:
        assert wrong.line >= 1
        assert wrong.message
        assert wrong.mend
        assert str(wrong).isprintable()


@given(st.lists(st.sampled_from(["+12025550123", "911", "", "+1 202-555 0124", '"', "x,y", "\u00e9"]), max_size=20))
def test_every_row_with_something_in_it_is_accounted_for(fields: list[str]) -> None:
    quoted = ['"' + field.replace('"', '""') + '"' for field in fields]
    rows, file = read(b"number\n" + "".join(f"{field}\r\n" for field in quoted).encode())
    named = {wrong.line for wrong in file.wrong}
    read_lines = {row.line for row in rows}
    assert not named & read_lines
    assert named | read_lines == {line for line, field in enumerate(fields, start=2) if field}


def test_a_row_of_several_lines_is_named_by_its_first() -> None:
    _, file = read(b'number,password\n"+1202\n555\n0123",x\n911,\n')
    assert [wrong.line for wrong in file.wrong] == [2, 5]


def test_progress_is_told_every_byte() -> None:
    told: list[int] = []
    data = b"\xef\xbb\xbfnumber\r\n+12025550123\r\n"
    file = CsvFile(io.BytesIO(data), COLUMNS, told.append)
    assert [row.values["number"] for row in file.rows()] == ["+12025550123"]
    assert sum(told) == len(data.removeprefix(b"\xef\xbb\xbf"))


def test_what_is_wrong_between_columns_is_named_with_its_column() -> None:
    file = CsvFile(
        io.BytesIO(b"number\n+12025550123\n"), COLUMNS,
        check=lambda row: iter([("number", InputError(f"{row['number']} is odd", mend="use an even one"))]),
    )  # fmt: skip
    assert list(file.rows()) == []
    assert [str(wrong) for wrong in file.wrong] == ["2: number: +12025550123 is odd; use an even one"]
