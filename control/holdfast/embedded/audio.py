"""What `playback` can play: wav files, silence, tones and sequences of them, as 20 ms frames of PCMU.

The names are FreeSWITCH's: an absolute path, `silence_stream://MS`, `tone_stream://%(ON,OFF,HZ[,HZ…]);loops=N` and
`file_string://A!B!C`. They come in as latin-1 text, one character a byte, as everything from the event socket does.
"""

import math
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, count, repeat
from pathlib import Path

from holdfast.embedded.g711 import PCMU_SILENCE, encode_pcmu
from holdfast.embedded.wav import SAMPLE_RATE, PromptUnusable, load

FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
SILENT_FRAME = bytes([PCMU_SILENCE]) * FRAME_SAMPLES

#: The ringback heard in North America (ATIS-0300105): 440 and 480 Hz, two seconds in six.
RINGBACK = "tone_stream://%(2000,4000,440,480);loops=-1"

_TONE = re.compile(r"%\((\d{1,4}),(\d{1,5})((?:,\d{1,4}(?:\.\d{1,3})?){1,4})\)")
_LOOPS = re.compile(r"loops=(-?\d{1,4})")
_AMPLITUDE = 0.25 * 32767  # of all frequencies of a tone together: about -15 dBm0
_DEEPEST_SEQUENCE = 4

Frames = Iterator[bytes]


def frames(target: str, depth: int = 0) -> Frames:
    """The frames of what FreeSWITCH would play for `target`; the last one is filled up with silence.

    Raises PromptUnusable at once, before any frame is asked for, if the target cannot be played.
    """
    scheme, separator, rest = target.partition("://")
    if not separator:
        return _file(target)
    if scheme == "silence_stream":
        return _silence(rest)
    if scheme == "tone_stream":
        return _tones(rest)
    if scheme == "file_string" and depth < _DEEPEST_SEQUENCE:
        return chain.from_iterable([frames(part, depth + 1) for part in rest.split("!") if part])
    raise PromptUnusable(f"cannot play {scheme}://")


def _file(path: str) -> Frames:
    if not path.startswith("/"):
        raise PromptUnusable("a sound file must be named by its absolute path")
    return _cut(load(Path(os.fsdecode(path.encode("latin-1")))))


def _silence(text: str) -> Frames:
    # FreeSWITCH: MS[,DIVISOR]; the divisor is a level of comfort noise, which is never sent here
    duration, _, _noise = text.partition(",")
    if not re.fullmatch(r"-1|\d{1,8}", duration):
        raise PromptUnusable(f"silence_stream://{text[:20]}: not a number of milliseconds")
    return repeat(SILENT_FRAME) if duration == "-1" else repeat(SILENT_FRAME, math.ceil(int(duration) / FRAME_MS))


def _tones(text: str) -> Frames:
    loops = 1
    cycle = b""
    for part in filter(None, text.split(";")):
        if found := _LOOPS.fullmatch(part):
            loops = int(found[1])
        elif found := _TONE.fullmatch(part):
            frequencies = tuple(float(hertz) for hertz in found[3].split(",")[1:])
            cycle += _tone(int(found[1]), frequencies) + bytes([PCMU_SILENCE]) * (int(found[2]) * SAMPLE_RATE // 1000)
        else:
            raise PromptUnusable(f"tone_stream: cannot read {part[:40]!r}")
    if not cycle:
        raise PromptUnusable("tone_stream: no tone")
    rounds: Iterator[object] = count() if loops < 0 else iter(range(max(loops, 1)))
    return (frame for _ in rounds for frame in _cut(cycle))


@lru_cache(maxsize=32)
def _tone(duration_ms: int, frequencies: tuple[float, ...]) -> bytes:
    amplitude = _AMPLITUDE / len(frequencies)
    samples = bytearray()
    for index in range(duration_ms * SAMPLE_RATE // 1000):
        angle = 2 * math.pi * index / SAMPLE_RATE
        value = int(sum(amplitude * math.sin(angle * hertz) for hertz in frequencies))
        samples += value.to_bytes(2, "little", signed=True)
    return encode_pcmu(bytes(samples))


def _cut(encoded: bytes) -> Frames:
    for start in range(0, len(encoded), FRAME_SAMPLES):
        yield encoded[start : start + FRAME_SAMPLES].ljust(FRAME_SAMPLES, bytes([PCMU_SILENCE]))
