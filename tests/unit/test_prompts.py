"""The voice prompts as they are made: complete, audible, equally loud, never clipped."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lab.audio import Samples, read_wav, write_wav

SOUNDS = Path(__file__).parents[2] / "freeswitch" / "sounds"
SCRIPT = SOUNDS / "make_prompts.py"
SENTENCES = {
    "readback/intro", "readback/again", "readback/end", "readback/unavailable",
    "callback/no_answer_again", "callback/no_answer_end", "emergency/unavailable",
}  # fmt: skip


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_prompts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_prompts"] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


make_prompts = _load()


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prompts")
    run = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    return folder


@pytest.fixture
def language_file(tmp_path: Path) -> Path:
    """A copy of the English one, to be spoilt."""
    path = tmp_path / "en.toml"
    path.write_text((SOUNDS / "en.toml").read_text("utf-8"), "utf-8")
    return path


def level(samples: Samples) -> float:
    """RMS of the frames in which somebody speaks, in dB of full scale; measured otherwise than the script does."""
    frames = samples[: len(samples) // 80 * 80].reshape(-1, 80).astype(float)
    power = (frames**2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() * 0.05**2].mean() / 32768**2))


def test_every_prompt_of_every_language_is_there_and_nothing_else(prompts: Path) -> None:
    expected = {f"{name}.wav" for name in SENTENCES} | {f"digits/{digit}.wav" for digit in "0123456789"}
    languages = {path.stem for path in SOUNDS.glob("*.toml")}
    assert {path.name for path in prompts.iterdir()} == languages
    for language in languages:
        made = {str(path.relative_to(prompts / language)) for path in (prompts / language).rglob("*") if path.is_file()}
        assert made == expected


def test_prompts_are_audible_and_never_clipped(prompts: Path) -> None:
    for path in prompts.rglob("*.wav"):
        samples = read_wav(path)  # refuses all but 8 kHz, mono, 16 bit
        seconds = len(samples) / 8000
        assert (0.4 < seconds < 1.2) if path.parent.name == "digits" else (1.5 < seconds < 9), path
        assert 3000 < np.abs(samples.astype(int)).max() < 32000, path
        assert abs(samples.astype(float).mean()) < 100, path


def test_sentences_are_as_loud_as_the_digits(prompts: Path) -> None:
    digits = np.mean([level(read_wav(path)) for path in prompts.glob("en/digits/*.wav")])
    for name in SENTENCES:
        assert abs(level(read_wav(prompts / "en" / f"{name}.wav")) - digits) < 2, name


def test_silence_around_a_prompt_is_a_tenth_of_a_second(prompts: Path) -> None:
    for path in prompts.rglob("*.wav"):
        samples = np.abs(read_wav(path).astype(int))
        loud = np.flatnonzero(samples > samples.max() * 0.05)
        assert 0.08 < loud[0] / 8000 < 0.3, path  # "seven" begins very softly
        assert 0.08 < (len(samples) - loud[-1]) / 8000 < 0.35, path


def test_making_them_again_gives_the_same_files(prompts: Path, tmp_path: Path) -> None:
    assert make_prompts.main([str(tmp_path)]) == 0
    for path in prompts.rglob("*.wav"):
        assert (tmp_path / path.relative_to(prompts)).read_bytes() == path.read_bytes()
    assert not list(tmp_path.rglob(".*")), "no temporary file is left"


def test_a_language_without_recorded_digits_gets_synthesised_ones(tmp_path: Path) -> None:
    text = (SOUNDS / "en.toml").read_text("utf-8")
    before, _, after = text.partition("[digits]")
    words = '[digits]\nwords = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]\n'
    file = tmp_path / "de.toml"
    file.write_text(before.replace("en-US", "de-DE") + words + "[prompts]" + after.partition("[prompts]")[2], "utf-8")
    make_prompts.make(make_prompts.read_language(file), tmp_path)
    for digit in range(10):
        samples = read_wav(tmp_path / f"de/digits/{digit}.wav")
        assert 0.3 < len(samples) / 8000 < 1.5
        assert 3000 < np.abs(samples.astype(int)).max() < 32000


def test_halving_the_rate_keeps_speech_and_removes_what_would_fold_back() -> None:
    def passed(hertz: int) -> float:
        tone = [round(10000 * math.sin(2 * math.pi * hertz * n / 16000)) for n in range(16000)]
        halved = make_prompts.halved_rate(make_prompts.array.array("h", tone))
        assert len(halved) == 8000
        return float(np.std(np.asarray(halved)[100:-100]) / np.std(tone))

    assert all(0.9 < passed(hertz) < 1.1 for hertz in (300, 1000, 3000))
    assert all(passed(hertz) < 0.03 for hertz in (4500, 5000, 7000))


def test_a_clip_whose_peaks_leave_no_room_stays_quieter_rather_than_clipping() -> None:
    click = make_prompts.array.array("h", [300] * 7999 + [20000])
    louder = make_prompts.at_loudness(click, 9000)
    assert max(louder) <= 32767 * 0.9 + 1


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("/usr/share/asterisk", "/nowhere", "apt-get install asterisk-core-sounds-en-wav"),
        ('"en-US"', '"xx-XX"', "choose a voice"),
        ("rate = 90", "rate = 1", "choose a voice and a rate"),
        ('"readback/end"', '"readback/ende"', "must name exactly"),
        ("[prompts]", "[promts]", "'prompts' is missing"),
        ("[voice]", "[voice", "mend the file"),
        ("End of the test. Goodbye.", "", "write words there"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_mend(
    language_file: Path, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    language_file.write_text(language_file.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(make_prompts.PromptError, match=complaint) as caught:
        make_prompts.make(make_prompts.read_language(language_file), tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\xff" * 4000])
def test_a_broken_recording_is_refused(language_file: Path, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "0.wav").write_bytes(content)
    text = language_file.read_text("utf-8").replace("/usr/share/asterisk/sounds/en_US_f_Allison/digits", str(folder))
    language_file.write_text(text, "utf-8")
    with pytest.raises(make_prompts.PromptError, match=r"0\.wav: .*apt-get install --reinstall"):
        make_prompts.make(make_prompts.read_language(language_file), tmp_path / "out")


def test_a_silent_recording_is_refused(language_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    write_wav(folder / "0.wav", np.zeros(8000, np.int16))
    text = language_file.read_text("utf-8").replace("/usr/share/asterisk/sounds/en_US_f_Allison/digits", str(folder))
    language_file.write_text(text, "utf-8")
    with pytest.raises(make_prompts.PromptError, match="silent"):
        make_prompts.make(make_prompts.read_language(language_file), tmp_path / "out")


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--help"]])
def test_wrong_arguments_show_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert make_prompts.main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert make_prompts.main([str(tmp_path / "file")]) == 2
    assert "name a folder that can be written" in capsys.readouterr().err
