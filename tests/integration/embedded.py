"""The embedded media server as a process of its own."""

from pathlib import Path

from integration.media_server import SENTENCES, MediaServer, write_melodies
from lab.command import HOLDFAST
from lab.processes import Daemon, Program

DIGITS = tuple(f"digits/{digit}" for digit in range(10))


class EmbeddedServer(MediaServer):
    """Its prompts are melodies of 0.2 s, the digits too."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.clips = write_melodies(directory / "prompts/en", (*SENTENCES, *DIGITS), 0.2)
        argv = [str(HOLDFAST), "embedded-media"]
        self.daemon = Daemon(Program("media server", argv, directory / "output.log", self.environment))
