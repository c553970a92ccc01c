"""G.711, wav files and what `playback` plays."""

import wave
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from holdfast.embedded import g711
from holdfast.embedded.audio import FRAME_SAMPLES, RINGBACK, SILENT_FRAME, frames
from holdfast.embedded.wav import PromptUnusable, load

PCMU = np.array(g711.PCMU_SAMPLES, "<i2")
PCMA = np.array(g711.PCMA_SAMPLES, "<i2")


def test_every_pcmu_byte_survives_decoding_and_encoding() -> None:
    every = bytes(range(256))
    linear = PCMU[list(every)].tobytes()
    # 0x7F is a second zero
    assert g711.encode_pcmu(linear) == every.replace(b"\x7f", b"\xff")


def test_the_laws_decode_to_the_values_of_the_recommendation() -> None:
    # ITU-T G.711 tables 1a to 2b, scaled to 16 bits
    assert [g711.PCMU_SAMPLES[byte] for byte in (0x00, 0x80, 0x0F, 0x7F, 0xFF)] == [-32124, 32124, -16764, 0, 0]
    assert [g711.PCMA_SAMPLES[byte] for byte in (0xAA, 0x2A, 0xD5, 0x55)] == [32256, -32256, 8, -8]


def test_a_quiet_and_a_loud_tone_come_through_both_laws_almost_unchanged() -> None:
    wave_form = np.sin(2 * np.pi * 1000 * np.arange(800) / 8000)
    for amplitude in (300, 30000):
        samples = (amplitude * wave_form).astype("<i2")
        pcmu = g711.encode_pcmu(samples.tobytes())
        pcma = pcmu.translate(g711.PCMU_TO_PCMA)
        again = pcma.translate(g711.PCMA_TO_PCMU)
        for decoded in (PCMU[list(pcmu)], PCMA[list(pcma)], PCMU[list(again)]):
            noise = decoded.astype(int) - samples
            assert np.sqrt(np.mean(noise.astype(float) ** 2)) < amplitude / 30


def write(path: Path, samples: int = 400, rate: int = 8000, channels: int = 1, width: int = 2) -> str:
    with wave.open(str(path), "wb") as sound:
        sound.setframerate(rate)
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.writeframes(b"\x01" * samples * channels * width)
    return str(path)


def test_a_file_is_cut_into_frames_and_the_last_is_filled_up(tmp_path: Path) -> None:
    found = list(frames(write(tmp_path / "a.wav")))
    assert [len(frame) for frame in found] == [FRAME_SAMPLES] * 3
    assert found[2][80:] == SILENT_FRAME[80:] != found[2][:80]


def test_a_file_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    before = load(tmp_path / "a.wav")
    write(tmp_path / "a.wav", samples=800)
    assert len(load(tmp_path / "a.wav")) == 2 * len(before)


@pytest.mark.parametrize("shape", [{"rate": 16000}, {"channels": 2}, {"width": 1}])
def test_a_file_of_another_shape_is_refused_with_the_way_out(tmp_path: Path, shape: dict[str, int]) -> None:
    with pytest.raises(PromptUnusable) as refused:
        frames(write(tmp_path / "a.wav", **shape))
    assert "sox" in refused.value.mend


@pytest.mark.parametrize(
    "target",
    [
        "/none.wav",
        "prompts/a.wav",
        "http_cache://x",
        "silence_stream://soon",
        "tone_stream://",
        "tone_stream://path=/etc/passwd",
        "file_string:///none.wav!silence_stream://20",
        "file_string://file_string://file_string://file_string://file_string://silence_stream://20",
        "/etc/hostname",
        "/",
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_frame(target: str) -> None:
    with pytest.raises(PromptUnusable):
        frames(target)


def test_silence_tones_and_sequences_have_their_lengths(tmp_path: Path) -> None:
    assert list(frames("silence_stream://90,400")) == [SILENT_FRAME] * 5
    assert len(list(frames("tone_stream://%(100,60,440,480);loops=3"))) == 24
    path = write(tmp_path / "sécurité.wav").encode().decode("latin-1")  # as it comes from the event socket
    assert len(list(frames(f"file_string://{path}!silence_stream://40!{path}"))) == 8


def test_ringback_sounds_for_two_seconds_in_six_for_ever() -> None:
    sounding = [frame != SILENT_FRAME for frame in islice(frames(RINGBACK), 900)]
    assert sounding == ([True] * 100 + [False] * 200) * 3
    tone = PCMU[list(b"".join(islice(frames(RINGBACK), 100)))]
    spectrum = np.abs(np.fft.rfft(tone))
    loudest = sorted(np.argsort(spectrum)[-2:] * 8000 / len(tone))
    assert loudest == [440, 480]
