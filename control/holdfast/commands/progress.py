"""Progress of reading a file: a bar on a terminal, else a line on stderr every so often."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

#: seconds between two lines when nobody watches a terminal
_LINE_EVERY_S = 5.0


@contextmanager
def reading(file: BinaryIO, label: str) -> Iterator[Callable[[int], None]]:
    """Yields what is to be told the number of bytes of every piece that was read."""
    size = _size(file)
    if size and sys.stderr.isatty():
        with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
            yield bar.update
        return
    yield _Lines(label, size).read


class _Lines:
    def __init__(self, label: str, size: int) -> None:
        self._label, self._size, self._bytes = label, size, 0
        self._last_s = time.monotonic()

    def read(self, count: int) -> None:
        self._bytes += count
        now = time.monotonic()
        if now - self._last_s >= _LINE_EVERY_S:
            self._last_s = now
            part = f" ({100 * self._bytes // self._size} %)" if self._size else ""
            click.echo(f"{self._label}: {self._bytes / 1e6:.1f} MB read{part}", err=True)


def _size(file: BinaryIO) -> int:
    """The file's size in bytes; 0 for a pipe, whose end nobody knows."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
