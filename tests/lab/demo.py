"""`make demo`: a real phone dials 933 and 911, the line drops, and the PSAP's callback rings it; whatever is down."""

import os
import platform
import signal
import sys
from datetime import UTC, datetime

from holdfast.errors import HoldfastError
from lab import report, scenes
from lab.errors import told
from lab.media import find_freeswitch
from lab.narration import Narrator
from lab.report import Report
from lab.services import REPOSITORY
from lab.story import Story
from lab.system import System

REPORT = REPOSITORY / "var" / "demo" / "report.html"


def main() -> int:
    """Run the demo; 0 only if every check held and nothing is left running."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    narrator = Narrator()
    narrator.title("Holdfast: the callback rings the right phone")
    try:
        system = System(say=lambda part: narrator.tell(f"starting {part}"))
        story = Story(system, narrator)
        with system:
            narrator.tell(f"all parts are up; the media server is {_media(system)}")
            scenes.tell_all(story)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except HoldfastError as error:
        print(told(error), file=sys.stderr)
        return 2
    _check_nothing_is_left(system, story)
    return _conclude(story, narrator)


def _check_nothing_is_left(system: System, story: Story) -> None:
    left = system.what_is_left()
    with story.afterwards("The end", "Every process is stopped."):
        story.check("–", "nothing is left running", "nothing", ", ".join(left) or "nothing")


def _conclude(story: Story, narrator: Narrator) -> int:
    facts = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "media server": _media(story.system),
        "took": f"{narrator.seconds:.0f} s",
        "machine": f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs",
    }
    finished = Report("Holdfast: what the demo showed", facts, story.scenes)
    report.write(finished, REPORT)
    narrator.table(finished.scenes)
    total = len(finished.checks)
    held = f"Every check held: {total} of {total}, in {narrator.seconds:.0f} s"
    narrator.title(held if finished.ok else f"{finished.failed} of {total} checks FAILED")
    print(f"The report, with ladder diagrams and recordings: {REPORT}")
    return 0 if finished.ok else 1


def _media(system: System) -> str:
    if system.has_freeswitch:
        return "FreeSWITCH"
    if find_freeswitch() is not None:
        return "the embedded one, as HOLDFAST_MEDIA says"
    return "the embedded one (no FreeSWITCH was found; HOLDFAST_FREESWITCH=/path/to/freeswitch names one)"


if __name__ == "__main__":
    sys.exit(main())
