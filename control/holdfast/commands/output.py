"""Printing records: a table for people, JSON for programs. What a stranger wrote is never obeyed by the terminal."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

_WIDEST = 60


def show_list(records: Sequence[Any], *, as_json: bool, columns: Sequence[str] = (), empty: str) -> None:
    """Print dataclasses or mappings; the table shows `columns` (all by default), JSON everything.

    `empty` is said, on stderr, instead of a table without rows.
    """
    documents = [_document(record) for record in records]
    if as_json:
        show_json(documents)
    elif not documents:
        click.echo(empty, err=True)
    else:
        names = list(columns) or list(documents[0])
        _table([name.replace("_", " ").upper() for name in names], [[d[name] for name in names] for d in documents])


def show_one(record: Any, *, as_json: bool) -> None:
    """Print one dataclass or mapping, a line for each field."""
    document = _document(record)
    if as_json:
        show_json(document)
        return
    width = max(len(name) for name in document)
    for name, value in document.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def show_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, default=_jsonable))


def utc(seconds: float | None) -> str | None:
    """UTC seconds as ISO 8601, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visible(text: str) -> str:
    """The text with everything escaped that a terminal would act on or not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _document(record: Any) -> dict[str, Any]:
    if isinstance(record, Mapping):
        return dict(record)
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _jsonable(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return _document(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _text(value: object) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_text, value))
        case dict():
            return visible(json.dumps(value, ensure_ascii=False))
        case _:
            return visible(str(value))


def _table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    texts = [[_short(_text(value)) for value in line] for line in lines]
    widths = [max(len(row[i]) for row in [list(header), *texts]) for i in range(len(header))]
    for row in [header, *texts]:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
