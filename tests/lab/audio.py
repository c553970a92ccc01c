"""Telephone audio for the lab: 8 kHz mono 16-bit WAV files, and a melody of its own for every endpoint."""

import hashlib
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
Samples = NDArray[np.int16]

_TONES = np.arange(400, 2800, 80)  # Hz, well inside the telephone band
_TONE_S = 0.15
_TONES_PER_MELODY = 8
_GAP_S = 0.8


def read_wav(path: Path) -> Samples:
    """The samples of an 8 kHz mono 16-bit file; ValueError for another format."""
    with wave.open(str(path), "rb") as file:
        shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if shape != (RATE_HZ, 1, 2):
            raise ValueError(f"{path}: rate, channels, bytes per sample are {shape}, not (8000, 1, 2)")
        data = file.readframes(file.getnframes())
    return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.int16)


def read_growing_wav(path: Path) -> Samples:
    """The samples so far of a file that baresip is still writing: its header's lengths are not filled in yet."""
    data = path.read_bytes()
    start = data.find(b"data") + 8
    if start < 44:
        return np.zeros(0, np.int16)
    return np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], dtype="<i2").astype(np.int16)


def write_wav(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())


def melody(name: str) -> Samples:
    """A 1.2 s melody that belongs to this name: the same each time, and unlike every other name's."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    tones = np.random.default_rng(seed).choice(_TONES, _TONES_PER_MELODY, replace=False)
    time = np.arange(int(RATE_HZ * _TONE_S)) / RATE_HZ
    envelope = np.hanning(len(time)) ** 0.3  # no clicks between tones
    sound = np.concatenate([np.sin(2 * np.pi * tone * time) * envelope for tone in tones])
    return (sound * 10000).astype(np.int16)


def write_source(path: Path, name: str, length_s: float = 150.0) -> Path:
    """A file for a phone to speak from: its melody again and again. Long, because baresip hangs up at its end."""
    phrase = np.concatenate([melody(name), np.zeros(int(RATE_HZ * _GAP_S), np.int16)])
    write_wav(path, np.tile(phrase, int(length_s * RATE_HZ / len(phrase)) + 1))
    return path


def mu_law(samples: Samples) -> bytes:
    """ITU-T G.711 µ-law, one byte per sample: half the size for the report, as the phone network carries it."""
    clipped = np.clip(np.abs(samples.astype(np.int32)), 0, 32635) + 132
    exponent = np.floor(np.log2(clipped)).astype(np.int32) - 7
    mantissa = (clipped >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    coded = ~(sign | (exponent << 4) | mantissa) & 0xFF
    data: bytes = coded.astype(np.uint8).tobytes()
    return data


def mu_law_wav(samples: Samples) -> bytes:
    """A WAV file (format 7, µ-law) in memory."""
    data = mu_law(samples)
    head = b"fmt " + (18).to_bytes(4, "little")
    for value, size in ((7, 2), (1, 2), (RATE_HZ, 4), (RATE_HZ, 4), (1, 2), (8, 2), (0, 2)):
        head += value.to_bytes(size, "little")
    fact = b"fact" + (4).to_bytes(4, "little") + len(samples).to_bytes(4, "little")
    chunk = b"data" + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
    inner = b"WAVE" + head + fact + chunk
    return b"RIFF" + len(inner).to_bytes(4, "little") + inner
