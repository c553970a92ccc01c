"""Which media server the lab runs: a real FreeSWITCH where there is one, else the embedded one."""

import os
import shutil
from pathlib import Path

from lab.errors import LabError

_FOLDERS = (Path("/usr/local/freeswitch/bin"), Path("/opt/freeswitch/bin"), Path("/usr/bin"))


def find_freeswitch() -> Path | None:
    """The FreeSWITCH binary: HOLDFAST_FREESWITCH if that is set, else on PATH or in the usual prefixes; None: none.

    Raises LabError when HOLDFAST_FREESWITCH names something that cannot be run.
    """
    if named := os.environ.get("HOLDFAST_FREESWITCH"):
        binary = Path(named)
        if not _is_program(binary):
            raise LabError(
                f"HOLDFAST_FREESWITCH is {named}, which is no program that can be run",
                mend="name the freeswitch binary itself, or unset it to have one looked for",
            )
        return binary
    on_path = shutil.which("freeswitch")
    candidates = ([Path(on_path)] if on_path else []) + [folder / "freeswitch" for folder in _FOLDERS]
    return next((binary for binary in candidates if _is_program(binary)), None)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
