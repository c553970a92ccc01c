"""Prompts are looked at once, at start, and each fault is named."""

import wave
from pathlib import Path

import pytest

from holdfast.calls import prompts
from holdfast.errors import SettingsError
from holdfast.settings import Media


def speak(root: Path, language: str, *, without: str = "", rate: int = 8000) -> None:
    for name in prompts.REQUIRED:
        if name != without:
            (root / language / name).parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(root / language / name), "wb") as clip:
                clip.setnchannels(1)
                clip.setsampwidth(2)
                clip.setframerate(rate)
                clip.writeframes(b"\0\0" * 8)


def media(root: Path, language: str = "en") -> Media:
    return Media(prompts_dir=root, language=language)


def test_a_call_is_spoken_to_in_its_own_language_or_in_the_nodes(tmp_path: Path) -> None:
    speak(tmp_path, "en")
    speak(tmp_path, "pt-BR")
    languages = prompts.load(media(tmp_path, "pt-BR"))
    assert languages.of_call("en").folder == tmp_path / "en"
    assert languages.of_call("pt-BR").folder == languages.of_call("xx").folder == tmp_path / "pt-BR"
    assert languages.of_call("../en").folder == tmp_path / "pt-BR"


def test_a_language_that_lacks_a_file_is_replaced_by_english(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    speak(tmp_path, "en")
    speak(tmp_path, "da", without="digits/7.wav")
    languages = prompts.load(media(tmp_path, "da"))
    assert languages.of_call("da").folder == tmp_path / "en"
    assert "da/digits/7.wav is missing" in caplog.text


def test_each_missing_prompt_is_named(tmp_path: Path) -> None:
    speak(tmp_path, "en", without="readback/end.wav")
    speak(tmp_path, "da", without="digits/0.wav")
    with pytest.raises(SettingsError) as error:
        prompts.load(media(tmp_path, "da"))
    assert "en/readback/end.wav is missing" in str(error.value)
    assert "da/digits/0.wav is missing" in str(error.value)
    assert "make_prompts.py" in error.value.mend
    with pytest.raises(SettingsError, match=r"en/callback/no_answer_end.wav is missing"):
        prompts.load(media(tmp_path / "nothing here"))


def test_a_prompt_that_is_no_telephone_sound_is_named(tmp_path: Path) -> None:
    speak(tmp_path, "en")
    (tmp_path / "en/readback/intro.wav").write_bytes(b"RIFF")
    (tmp_path / "en/readback/again.wav").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"intro.wav.*again.wav"):
        prompts.load(media(tmp_path))
    speak(tmp_path, "en", rate=16000)
    with pytest.raises(SettingsError, match="not 8 kHz"):
        prompts.load(media(tmp_path))


def test_a_folder_that_a_playlist_cannot_name_is_refused(tmp_path: Path) -> None:
    for name in ("a!b", "a$b", "a'b"):
        speak(tmp_path / name, "en")
        with pytest.raises(SettingsError, match="cannot be told"):
            prompts.load(media(tmp_path / name))


def test_a_number_is_said_digit_by_digit(tmp_path: Path) -> None:
    clips = prompts.Prompts(tmp_path).digits("+120")
    assert clips == [f"{tmp_path}/digits/{digit}.wav" for digit in "120"]
    with pytest.raises(KeyError):
        prompts.Prompts(tmp_path).digits("+1a")
