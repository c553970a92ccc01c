"""Where the prompts lie: one complete folder per language, looked at once, at start."""

import logging
import re
import wave
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import SettingsError
from holdfast.settings import Media

log = logging.getLogger(__name__)

#: The language that stands in for one whose folder is not complete.
LAST_LANGUAGE = "en"
READBACK_INTRO = "readback/intro.wav"
READBACK_AGAIN = "readback/again.wav"
READBACK_END = "readback/end.wav"
CALLBACK_AGAIN = "callback/no_answer_again.wav"
CALLBACK_END = "callback/no_answer_end.wav"
#: Spoken by the media server alone, without a controller: to the caller of an emergency call that no trunk took.
EMERGENCY_UNAVAILABLE = "emergency/unavailable.wav"
REQUIRED = (
    READBACK_INTRO, READBACK_AGAIN, READBACK_END, CALLBACK_AGAIN, CALLBACK_END, EMERGENCY_UNAVAILABLE,
    *(f"digits/{digit}.wav" for digit in "0123456789"),
)  # fmt: skip

#: What a playlist of the media server can hold: '!' would end a path there, '$' and others would be expanded.
_USABLE_PATH = re.compile(r"/[\w ./+-]+")
_SAMPLES_PER_S, _CHANNELS, _BYTES_PER_SAMPLE = 8000, 1, 2


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one language."""

    folder: Path

    def path(self, name: str) -> str:
        """Absolute path of one of REQUIRED."""
        if name not in REQUIRED:
            raise KeyError(name)
        return str(self.folder / name)

    def digits(self, number: str) -> list[str]:
        """The clips that say an E.164 number digit by digit; its + is not said."""
        return [self.path(f"digits/{digit}.wav") for digit in number.removeprefix("+")]


@dataclass(frozen=True, slots=True)
class Languages:
    """Every language with a complete folder, and the one that is spoken when a call names none of them."""

    complete: dict[str, Prompts]
    otherwise: Prompts

    def of_call(self, language: str) -> Prompts:
        return self.complete.get(language, self.otherwise)


def load(media: Media) -> Languages:
    """Look at every language's folder. SettingsError names each missing or unusable prompt of the language wanted."""
    root = media.prompts_dir
    if not _USABLE_PATH.fullmatch(str(root)):
        raise SettingsError(
            f"media.prompts_dir: the media server cannot be told {str(root)!r}",
            mend="use a path of letters, digits, spaces and . _ + - only",
        )
    complete = {name: Prompts(root / name) for name in media.languages() if not _faults(root / name)}
    for language in dict.fromkeys((media.language, LAST_LANGUAGE)):
        if language in complete:
            if language != media.language:
                log.warning("speaking %s: %s", language, _sentence(_faults(root / media.language)))
            return Languages(complete, complete[language])
    faults = _faults(root / media.language)
    if media.language != LAST_LANGUAGE:
        faults += _faults(root / LAST_LANGUAGE)
    raise SettingsError(
        f"media.prompts_dir: {_sentence(faults)}",
        mend=f"make them: python3 freeswitch/sounds/make_prompts.py {root}",
    )


def _faults(folder: Path) -> list[str]:
    """Each prompt that is missing or that the media server could not play as it is."""
    faults = []
    for name in REQUIRED:
        try:
            with wave.open(str(folder / name), "rb") as clip:
                found = (clip.getframerate(), clip.getnchannels(), clip.getsampwidth())
        except FileNotFoundError:
            faults.append(f"{folder / name} is missing")
        except (OSError, EOFError, wave.Error) as error:
            faults.append(f"{folder / name}: {error or 'no sound in it'}")
        else:
            if found != (_SAMPLES_PER_S, _CHANNELS, _BYTES_PER_SAMPLE):
                faults.append(f"{folder / name} is not 8 kHz, mono, 16 bit")
    return faults


def _sentence(faults: list[str]) -> str:
    return "; ".join(faults)
