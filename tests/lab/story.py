"""A story told with a running system: scenes of steps and checks, each with its ladders, recordings and leases."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lab.audio import read_wav
from lab.errors import LabError
from lab.ladder import ladders
from lab.narration import Narrator
from lab.phones import Phone
from lab.report import Check, Recording, Scene
from lab.sipp import Outcome
from lab.system import System
from lab.trace import Captured


class Story:
    """Collects what is checked. A scene that cannot be carried out counts as failed, and the story goes on."""

    def __init__(self, system: System, narrator: Narrator) -> None:
        self.system = system
        self.scenes: list[Scene] = []
        self._narrator = narrator

    @contextmanager
    def scene(self, title: str, story: str) -> Iterator[Scene]:
        """One scene; at its end the ladders and leases of what happened in it are kept."""
        scene = Scene(title, story)
        self.scenes.append(scene)
        self._narrator.title(f"{len(self.scenes)}. {title}")
        mark = self.system.collector.mark()
        try:
            yield scene
        except (LabError, ValueError, IndexError) as error:
            self.check("–", "this step could be carried out", "yes", f"no: {error}", ok=False)
            self._calm()
        scene.ladders = ladders(self.system.collector.messages(mark), self.system.parts)
        scene.leases = [shown(lease) for lease in self.system.leases()]

    @contextmanager
    def afterwards(self, title: str, story: str) -> Iterator[Scene]:
        """A scene after the system was closed: nothing passes any more, and there is nothing to bring to rest."""
        self.scenes.append(Scene(title, story))
        self._narrator.title(f"{len(self.scenes)}. {title}")
        yield self.scenes[-1]

    def tell(self, text: str) -> None:
        self._narrator.tell(text)

    def check(self, row: str, what: str, expected: object, observed: object, *, ok: bool | None = None) -> None:
        """Note one check in the current scene; `ok` defaults to expected == observed."""
        held = expected == observed if ok is None else ok
        check = Check(row, what, str(expected), str(observed), ok=held)
        self.scenes[-1].checks.append(check)
        self._narrator.check(check)

    def check_ran(self, what: str, outcome: Outcome) -> None:
        """Note that a SIPp scenario went as written."""
        said = "as written" if outcome.ok else f"exit code {outcome.exit_code}: {outcome.complaints[:300]}"
        self.check("–", what, "as written", said)

    def keep(self, label: str, phone: Phone) -> Path:
        """Put the phone's latest recording into the report, and return it."""
        recordings = phone.recordings()
        if not recordings:
            raise LabError(f"{phone.name} has recorded nothing")
        self.scenes[-1].recordings.append(Recording(label, read_wav(recordings[-1])))
        return recordings[-1]

    def captured(self, since: int) -> list[Captured]:
        return self.system.collector.messages(since)

    def _calm(self) -> None:
        """Bring every phone back to rest, so that one failure does not spoil the scenes after it."""
        for phone in self.system.phones:
            phone.stop()
            phone.start()
            if phone.account.password and self.system.kamailio.running:
                phone.registered()


def shown(lease: dict[str, object]) -> dict[str, object]:
    """A lease row as a person wants to read it."""
    marked, window = float(str(lease["marked_at"])), float(str(lease["window_s"]))
    return {
        "number": lease["number"],
        "holder": lease["aor"] or lease["caller_key"],
        "first dial": _clock(lease["first_dial_at"]),
        "last call ended": _clock(lease["last_end_at"]),
        "window ends": "never during a call" if lease["calls"] else _clock(marked + window),
        "minutes left": "–" if lease["calls"] else round((marked + window - time.time()) / 60),
        "calls in progress": lease["calls"],
    }


def _clock(seconds: object) -> str:
    return "–" if seconds is None else datetime.fromtimestamp(float(str(seconds)), UTC).strftime("%H:%M:%S UTC")
