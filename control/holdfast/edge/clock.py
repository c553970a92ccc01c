"""Reading this machine's clocks, for the pure rules of core.lease, which take a Moment."""

import functools
import time
from pathlib import Path

from holdfast.core.lease import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot_id() -> str:
    """The kernel's random name of this boot (a UUID). It cannot change while a process lives."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def now() -> Moment:
    """Both clocks, read together. CLOCK_BOOTTIME also counts while the machine sleeps, and nobody can set it."""
    return Moment(wall_s=time.time(), boot_id=boot_id(), boottime_s=time.clock_gettime(time.CLOCK_BOOTTIME))
