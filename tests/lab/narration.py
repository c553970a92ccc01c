"""What a demo tells while it runs: plain lines, with colour only where a person looks at a terminal."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from lab.report import Check, Scene


class Narrator:
    """Prints the story as it happens. Every line is flushed: a long step shows where it is."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._colour = self._out.isatty()
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    def title(self, text: str) -> None:
        self._line()
        self._line(self._painted(text, "1"))

    def tell(self, text: str) -> None:
        self._line(f"  {self.seconds:5.1f} s  {text}")

    def check(self, check: Check) -> None:
        self._line(f"           {self._mark(check)} {check.row:<5} {check.what}: {check.observed}")
        if not check.ok:
            self._line(f"                        expected: {check.expected}")

    def table(self, scenes: Sequence[Scene]) -> None:
        """Every check, in columns."""
        self.title("What was checked")
        for scene in scenes:
            for check in scene.checks:
                self._line(f"  {self._mark(check)} {check.row:<5} {check.what}")

    def _mark(self, check: Check) -> str:
        return self._painted("ok    ", "32") if check.ok else self._painted("FAILED", "31;1")

    def _line(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text
