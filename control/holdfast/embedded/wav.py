"""Prompt files: RIFF WAVE, 8 kHz, mono, 16-bit linear, held in memory as PCMU."""

import wave
from functools import lru_cache
from pathlib import Path

from holdfast.embedded.g711 import encode_pcmu
from holdfast.errors import HoldfastError

SAMPLE_RATE = 8000
#: Ten minutes; a longer file is not a prompt.
_MAX_FRAMES = 600 * SAMPLE_RATE


class PromptUnusable(HoldfastError):
    """A sound file cannot be played."""


def load(path: Path) -> bytes:
    """The file as PCMU, one byte a sample (8000 a second).

    Raises PromptUnusable if the file is missing, broken or not 8 kHz mono 16-bit. A file that has changed on disk is
    read again.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise PromptUnusable(f"{path}: {error.strerror}") from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, _changed_ns: int, _size: int) -> bytes:
    try:
        with wave.open(str(path), "rb") as sound:
            shape = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth())
            if shape != (SAMPLE_RATE, 1, 2):
                raise PromptUnusable(
                    f"{path}: {shape[0]} Hz, {shape[1]} channel(s), {8 * shape[2]} bit",
                    mend="make it 8 kHz, mono, 16 bit: sox IN -r 8000 -c 1 -b 16 OUT",
                )
            if sound.getnframes() > _MAX_FRAMES:
                raise PromptUnusable(f"{path}: longer than {_MAX_FRAMES // SAMPLE_RATE} s")
            linear = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise PromptUnusable(f"{path}: {error}") from error
    return encode_pcmu(linear[: len(linear) & ~1])
