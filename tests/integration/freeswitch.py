"""A real FreeSWITCH with our configuration."""

import shutil
from pathlib import Path

from holdfast import render
from integration.media_server import SENTENCES, MediaServer, write_melodies
from lab.errors import LabError
from lab.media import find_freeswitch
from lab.processes import Daemon, Program


class FreeSwitch(MediaServer):
    """In the foreground on private ports. Its digits are the real ones, each sentence is half a second of melody."""

    def __init__(self, directory: Path, real_prompts: Path) -> None:
        super().__init__(directory)
        language = directory / "prompts/en"
        shutil.copytree(real_prompts / "en", language)
        self.clips = write_melodies(language, SENTENCES, 0.5)
        binary = find_freeswitch()
        if binary is None:
            raise LabError("there is no FreeSWITCH here")
        render.freeswitch(self.settings, directory / "conf")
        argv = render.freeswitch_argv(self.settings, binary, directory / "conf")
        self.daemon = Daemon(Program("FreeSWITCH", argv, directory / "output.log"))

    def ready(self) -> bool:
        return super().ready() and "RUNNING" in self.api("sofia status")

    def forget_that_the_controller_stalled(self) -> None:
        """Ask it again, without the ten seconds' wait."""
        self.api("sched_del holdfast")
        self.api("global_setvar holdfast_controller_stalled=false")

    def log(self) -> str:
        return (self.directory / "state/freeswitch/log/freeswitch.log").read_text("utf-8", "replace")
