#!/usr/bin/env python3
"""Make the voice prompts: OUT_DIR/<language>/{readback,callback,emergency,digits}/*.wav, 8 kHz, mono, 16 bit.

    python freeswitch/sounds/make_prompts.py OUT_DIR

Each <language>.toml beside this file is one language: its sentences are synthesised with ttspico, its digits are
copied from recordings or, where there are none, synthesised too. Running it again gives the same files; each appears
whole or not at all. Standard library only, apart from ttspico: a deployment needs no audio tools.
"""

import array
import math
import os
import sys
import tomllib
import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import mul
from pathlib import Path

RATE_HZ = 8000
_SYNTHESISER_HZ = 16000
_FULL_SCALE = 32767
#: Of full scale: what is left above a sentence's loudest sample. Synthesis itself is made quieter, so as not to clip.
_HEADROOM = 0.9
_SYNTHESISER_VOLUME = 50
#: Silence before and after each clip; between two digits there is twice as much.
_MARGIN = RATE_HZ // 10
_FRAME = RATE_HZ // 100
#: A 10 ms frame this much quieter than the loudest one is silence (-40 dB).
_SILENCE = 0.01
#: A frame this much quieter than the loudest one does not count towards how loud a clip is (-26 dB).
_ACTIVE = 0.05

PROMPTS = (
    "readback/intro",
    "readback/again",
    "readback/end",
    "readback/unavailable",
    "callback/no_answer_again",
    "callback/no_answer_end",
    "emergency/unavailable",
)
DIGITS = "0123456789"

Samples = array.array  # of "h": 16-bit signed, native byte order
Speak = Callable[[str], "Samples[int]"]


class PromptError(Exception):
    """The prompts cannot be made; the message ends with the mend."""


@dataclass(frozen=True)
class Language:
    """One <language>.toml. Exactly one of digits_folder and digit_words is set."""

    name: str
    voice: str
    rate_percent: int
    sentences: dict[str, str]
    digits_folder: Path | None
    digits_package: str
    digit_words: tuple[str, ...]


def read_language(path: Path) -> Language:
    """Read and check one language's file; PromptError names what is wrong in it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        voice, digits, sentences = document["voice"], document["digits"], document["prompts"]
        language = Language(
            name=path.stem,
            voice=str(voice["synthesiser"]),
            rate_percent=int(voice.get("rate", 100)),
            sentences={str(name): str(text) for name, text in sentences.items()},
            digits_folder=Path(digits["folder"]) if "folder" in digits else None,
            digits_package=str(digits["package"]) if "folder" in digits else "",
            digit_words=() if "folder" in digits else tuple(str(word) for word in digits["words"]),
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise PromptError(f"{path}: {error}: mend the file; en.toml shows a whole one") from error
    except KeyError as error:
        raise PromptError(f"{path}: {error} is missing: en.toml shows a whole file") from error
    if wrong := set(PROMPTS) ^ set(language.sentences):
        names = ", ".join(PROMPTS)
        raise PromptError(f"{path}: [prompts] must name exactly {names}; wrong: {', '.join(sorted(wrong))}")
    if language.digits_folder is None and len(language.digit_words) != len(DIGITS):
        raise PromptError(f"{path}: [digits] words must be ten, from zero to nine")
    return language


def make(language: Language, out_dir: Path) -> list[Path]:
    """Make every prompt of the language below out_dir/<language>; returns the files."""
    speak = _synthesiser(language)
    if language.digits_folder is not None:
        digits = {digit: trimmed(_recorded(language, digit)) for digit in DIGITS}
        loudness = sum(map(active_rms, digits.values())) / len(digits)
    else:
        spoken = [trimmed(speak(word)) for word in language.digit_words]
        loudness = _FULL_SCALE * 0.12
        digits = {digit: at_loudness(clip, loudness) for digit, clip in zip(DIGITS, spoken, strict=True)}
    clips = {f"digits/{digit}": clip for digit, clip in digits.items()}
    for name, text in language.sentences.items():
        clips[name] = at_loudness(trimmed(speak(text)), loudness)
    return [_write(out_dir / language.name / f"{name}.wav", clip) for name, clip in clips.items()]


def _synthesiser(language: Language) -> Speak:
    try:
        import ttspico  # here, because its absence is an error with a mend of its own
    except ImportError as error:
        raise PromptError("the Python package ttspico is missing: pip install ttspico") from error
    try:
        engine = ttspico.TtsEngine(language.voice)
        engine.rate, engine.volume = language.rate_percent, _SYNTHESISER_VOLUME
    except (RuntimeError, ValueError) as error:
        raise PromptError(f"{language.name}.toml: {error}: choose a voice and a rate that ttspico has") from error

    def speak(text: str) -> "Samples[int]":
        data = engine.speak(text)
        if not data:
            raise PromptError(f"{language.name}.toml: nothing is spoken for {text!r}: write words there")
        return halved_rate(_from_bytes(data))

    return speak


def _recorded(language: Language, digit: str) -> "Samples[int]":
    path = (language.digits_folder or Path()) / f"{digit}.wav"
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            data = file.readframes(file.getnframes())
    except FileNotFoundError as error:
        raise PromptError(f"no recorded digit at {path}: apt-get install {language.digits_package}") from error
    except (OSError, EOFError, wave.Error) as error:
        raise PromptError(f"{path}: {error}: apt-get install --reinstall {language.digits_package}") from error
    if shape != (RATE_HZ, 1, 2):
        raise PromptError(f"{path}: not 8 kHz, mono, 16 bit: convert it with sox")
    return _from_bytes(data)


def halved_rate(samples: "Samples[int]") -> "Samples[int]":
    """16 kHz to 8 kHz: a windowed-sinc low-pass filter (63 taps, cut off at 3.6 kHz), then every other sample."""
    half = 31
    cutoff = 3600 / _SYNTHESISER_HZ
    taps = [
        (2 * cutoff if n == 0 else math.sin(2 * math.pi * cutoff * n) / (math.pi * n))
        * (0.54 + 0.46 * math.cos(math.pi * n / half))
        for n in range(-half, half + 1)
    ]
    gain = sum(taps)
    taps = [tap / gain for tap in taps]
    padded = [0] * half + samples.tolist() + [0] * half
    return _rounded(sum(map(mul, padded[n : n + len(taps)], taps)) for n in range(0, len(samples), 2))


def trimmed(samples: "Samples[int]") -> "Samples[int]":
    """The clip with exactly 100 ms of near-silence before and after its speech; PromptError if it is all silence."""
    levels = _frame_levels(samples)
    loudest = max(levels, default=0.0)
    if loudest < 1:
        raise PromptError("a clip is silent: install its sound package again")
    loud = [n for n, level in enumerate(levels) if level > loudest * _SILENCE]
    first, last = loud[0] * _FRAME, min((loud[-1] + 1) * _FRAME, len(samples))
    before = samples[max(0, first - _MARGIN) : first]
    after = samples[last : last + _MARGIN]
    return _silence(_MARGIN - len(before)) + before + samples[first:last] + after + _silence(_MARGIN - len(after))


def active_rms(samples: "Samples[int]") -> float:
    """How loud a clip is while somebody speaks in it: RMS over its frames, pauses left out (0 to 32767)."""
    levels = _frame_levels(samples)
    active = [level for level in levels if level > max(levels) * _ACTIVE]
    return math.sqrt(sum(level * level for level in active) / len(active))


def at_loudness(samples: "Samples[int]", rms: float) -> "Samples[int]":
    """The clip at this loudness (see active_rms), or as near to it as its peaks allow without clipping."""
    peak = max(abs(sample) for sample in samples)
    factor = min(rms / active_rms(samples), _FULL_SCALE * _HEADROOM / peak)
    return _rounded(sample * factor for sample in samples)


def _frame_levels(samples: "Samples[int]") -> list[float]:
    frames = (samples[n : n + _FRAME] for n in range(0, len(samples), _FRAME))
    return [math.sqrt(sum(map(mul, frame, frame)) / len(frame)) for frame in frames]


def _rounded(values: Iterable[float]) -> "Samples[int]":
    return array.array("h", (max(-_FULL_SCALE, min(_FULL_SCALE, round(value))) for value in values))


def _silence(length: int) -> "Samples[int]":
    return array.array("h", bytes(2 * length))


def _from_bytes(data: bytes) -> "Samples[int]":
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _write(path: Path, samples: "Samples[int]") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with wave.open(str(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(samples.tobytes())  # the wave module swaps bytes where it must
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def main(arguments: list[str]) -> int:
    """Make all languages; 0, or 2 after one line that says what is wrong and how to mend it."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: make_prompts.py OUT_DIR\n")
        return 2
    out_dir = Path(arguments[0])
    try:
        languages = [read_language(path) for path in sorted(Path(__file__).parent.glob("*.toml"))]
        for language in languages:
            files = make(language, out_dir)
            sys.stdout.write(f"{out_dir / language.name}: {len(files)} prompts\n")
    except PromptError as error:
        sys.stderr.write(f"make_prompts: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"make_prompts: {error.filename}: {error.strerror}: name a folder that can be written\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
