"""The matched filter: the digits that were spoken, in order, and no others, whatever the line did to them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab import audio
from lab.recordings import Signal, clip_score, digit_clips, digits_heard, find_clips, score

DIGITS = Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")
NUMBER = "12025550142"
RNG_SEED = 7


def spoken(number: str, seed: int = RNG_SEED) -> Signal:
    random = np.random.default_rng(seed)
    parts: list[Signal] = [np.zeros(2000)]
    for digit in number:
        parts += [audio.read_wav(DIGITS / f"{digit}.wav").astype(float), np.zeros(int(random.integers(400, 2500)))]
    return np.concatenate(parts)


def packets(signal: Signal) -> list[Signal]:
    return [signal[i : i + 160] for i in range(0, len(signal), 160)]


def with_noise(signal: Signal) -> Signal:
    return signal + np.random.default_rng(RNG_SEED).normal(0, 150, len(signal))


def through_g711(signal: Signal) -> Signal:
    coded = audio.mu_law(np.clip(signal, -32768, 32767).astype(np.int16))
    return np.array([decoded(byte) for byte in coded], dtype=float)


def decoded(byte: int) -> int:
    """ITU-T G.711, one µ-law byte to a sample."""
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 132 << ((byte >> 4) & 7)) - 132
    return -magnitude if byte & 0x80 else magnitude


def with_packets_silenced(signal: Signal) -> Signal:
    random = np.random.default_rng(RNG_SEED)
    return np.concatenate([packet if random.random() > 0.01 else packet * 0 for packet in packets(signal)])


def with_packets_left_out(signal: Signal) -> Signal:
    random = np.random.default_rng(RNG_SEED)
    return np.concatenate([packet for packet in packets(signal) if random.random() > 0.01])


@pytest.mark.parametrize(
    "line",
    [
        lambda signal: signal,
        lambda signal: signal * 0.15,
        lambda signal: np.clip(signal * 1.8, -32768, 32767),
        with_noise,
        through_g711,
        with_packets_silenced,
        with_packets_left_out,
    ],
    ids=["clean", "quiet", "clipped", "noise", "g711", "1 % silenced", "1 % left out"],
)
def test_a7_the_digits_are_heard_in_order(line: Callable[[Signal], Signal], tmp_path: Path) -> None:
    recording = tmp_path / "heard.wav"
    audio.write_wav(recording, line(spoken(NUMBER)).astype(np.int16))
    assert digits_heard(recording, DIGITS) == NUMBER


def test_a7_another_number_is_not_taken_for_it(tmp_path: Path) -> None:
    recording = tmp_path / "heard.wav"
    other = "12025550124"
    audio.write_wav(recording, spoken(other).astype(np.int16))
    assert digits_heard(recording, DIGITS) == other


def test_no_digit_is_heard_in_silence_noise_or_a_melody(tmp_path: Path) -> None:
    random = np.random.default_rng(RNG_SEED)
    recording = tmp_path / "heard.wav"
    for sound in (np.zeros(16000), random.normal(0, 3000, 16000), audio.melody("alice").astype(float), np.zeros(0)):
        audio.write_wav(recording, sound.astype(np.int16))
        assert digits_heard(recording, DIGITS) == ""


def test_each_occurrence_is_found_once_at_its_place() -> None:
    clips = digit_clips(DIGITS)
    signal = np.concatenate([np.zeros(1000), clips["5"], np.zeros(3000), clips["5"], np.zeros(500)])
    found = find_clips(signal, clips)
    assert [(heard.name, heard.first) for heard in found] == [("5", 1000), ("5", 4000 + len(clips["5"]))]
    assert all(heard.score > 0.99 for heard in found)


def test_an_endpoints_melody_is_told_from_anothers(tmp_path: Path) -> None:
    recording = tmp_path / "heard.wav"
    audio.write_source(recording, "alice", length_s=4)
    assert clip_score(recording, audio.melody("alice")) > 0.99
    assert clip_score(recording, audio.melody("psap")) < 0.4
    assert score(np.zeros(10, np.int16), audio.melody("alice")) == 0


def test_mu_law_keeps_the_sound_and_its_wav_says_what_it_is() -> None:
    sound = audio.melody("alice")
    error = np.abs(through_g711(sound.astype(float)) - sound)
    assert np.all(error <= np.abs(sound.astype(int)) / 16 + 8)
    file = audio.mu_law_wav(sound)
    assert file[:4] == b"RIFF"
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    assert file[20:22] == b"\x07\x00"


def test_a_file_that_is_still_being_written_is_read_so_far(tmp_path: Path) -> None:
    whole, growing = tmp_path / "whole.wav", tmp_path / "growing.wav"
    audio.write_wav(whole, audio.melody("alice"))
    head = bytearray(whole.read_bytes()[:4045])
    head[40:44] = bytes(4)  # the data chunk's length is filled in at the end
    growing.write_bytes(head)
    assert np.array_equal(audio.read_growing_wav(growing), audio.melody("alice")[:2000])
    growing.write_bytes(b"RIFF")
    assert len(audio.read_growing_wav(growing)) == 0


def test_a_wav_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ulaw.wav"
    path.write_bytes(audio.mu_law_wav(audio.melody("alice")))
    with pytest.raises(Exception, match="unknown format: 7"):
        audio.read_wav(path)
