"""The report that a demo leaves: one HTML page that needs nothing else, for people to open, listen and look."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from lab.audio import RATE_HZ, Samples, mu_law_wav
from lab.ladder import Arrow, Ladder

_TIME_WIDTH = 76  # px, left of the first column
_COLUMN_WIDTH = 190
_HEAD_HEIGHT = 44
_ROW_HEIGHT = 30


@dataclass(frozen=True)
class Check:
    """One thing that was checked: the requirement row it belongs to, what, what was expected and what was seen."""

    row: str
    what: str
    expected: str
    observed: str
    ok: bool


@dataclass(frozen=True)
class Recording:
    """What one endpoint heard."""

    label: str
    samples: Samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE_HZ

    @property
    def data_uri(self) -> str:
        return "data:audio/wav;base64," + base64.b64encode(mu_law_wav(self.samples)).decode("ascii")


@dataclass
class Scene:
    """One step of the story, with what was checked in it and what there is to hear and see."""

    title: str
    story: str = ""
    checks: list[Check] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    ladders: list[Ladder] = field(default_factory=list)
    leases: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class Report:
    """The whole page. `facts` are name-value lines under the title (date, media server, versions)."""

    title: str
    facts: Mapping[str, str]
    scenes: Sequence[Scene]

    @property
    def checks(self) -> list[Check]:
        return [check for scene in self.scenes for check in scene.checks]

    @property
    def failed(self) -> int:
        return sum(not check.ok for check in self.checks)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and not self.failed


@dataclass(frozen=True)
class Line:
    """An arrow, placed: pixel coordinates in the SVG. An arrow to the column it came from is drawn as a stub."""

    arrow: Arrow
    y: int
    x1: int
    x2: int

    @property
    def label_x(self) -> int:
        return (self.x1 + self.x2) // 2

    @property
    def css(self) -> str:
        classes = [f"leg{self.arrow.leg % 4}", "request" if self.arrow.is_request else "response"]
        classes += ["failed"] if self.arrow.failed else []
        classes += ["again"] if self.arrow.retransmission else []
        return " ".join(classes)


@dataclass(frozen=True)
class Drawing:
    """A ladder, laid out."""

    ladder: Ladder
    width: int
    height: int
    columns: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]


def draw(ladder: Ladder) -> Drawing:
    """Place a ladder's columns and arrows."""
    xs = [_TIME_WIDTH + _COLUMN_WIDTH // 2 + i * _COLUMN_WIDTH for i in range(len(ladder.columns))]
    lines = []
    for row, arrow in enumerate(ladder.arrows):
        x1, x2 = xs[arrow.source], xs[arrow.target]
        lines.append(Line(arrow, _HEAD_HEIGHT + 28 + row * _ROW_HEIGHT, x1, x2 if x1 != x2 else x1 + 40))
    return Drawing(
        ladder,
        width=_TIME_WIDTH + _COLUMN_WIDTH * len(ladder.columns),
        height=_HEAD_HEIGHT + 28 + _ROW_HEIGHT * len(ladder.arrows),
        columns=tuple(zip(ladder.columns, xs, strict=True)),
        lines=tuple(lines),
    )


def render(report: Report) -> str:
    """The page. Everything that came over the network is escaped by Jinja's autoescaping."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(report=report, draw=draw, head=_HEAD_HEIGHT)


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")
