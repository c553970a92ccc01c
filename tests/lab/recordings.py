"""What was said in a recording: a matched filter against the very clips that were played.

The score of a clip at a place is the normalised cross-correlation, -1 to 1, independent of gain. A lost packet that
the recorder left out shifts the rest of a clip, so a clip is matched in pieces, and between two pieces the match may
go on a packet earlier.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.audio import RATE_HZ, Samples, read_wav

#: Measured with noise, gain, G.711 and 1 % loss: the right digit scores 0.8 and more, a wrong one up to 0.67.
THRESHOLD = 0.7
_PIECES = 10
_LOST_PACKETS = 2  # within one clip
_PACKET = RATE_HZ // 50  # 20 ms
_SILENCE = 0.02  # of a clip's peak: what is quieter at its ends is cut off
Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """A clip found in a recording: which one, from where to where (samples), and how surely (score)."""

    name: str
    first: int
    last: int
    score: float


def digit_clips(digits_dir: Path) -> dict[str, Signal]:
    """The prompt clips `0.wav` … `9.wav`, without the silence around the words."""
    return {digit: trimmed(read_wav(digits_dir / f"{digit}.wav").astype(float)) for digit in "0123456789"}


def digits_heard(recording: Path, digits_dir: Path) -> str:
    """The digits spoken in the recording, in order, as one string: "12025550123"."""
    clips = digit_clips(digits_dir)
    return "".join(found.name for found in find_clips(read_wav(recording).astype(float), clips))


def clip_score(recording: Path, clip: Samples) -> float:
    """The best score of this clip anywhere in the recording, 0 to 1."""
    return score(read_wav(recording), clip)


def score(sound: Samples, clip: Samples) -> float:
    """The best score of the clip anywhere in the sound, 0 to 1; 0 if the sound is shorter."""
    scores = match_scores(sound.astype(float), trimmed(clip.astype(float)))
    return float(scores.max()) if len(scores) else 0.0


def find_clips(signal: Signal, clips: Mapping[str, Signal]) -> list[Heard]:
    """Every occurrence of every clip that scores above the threshold, in order of time.

    Where occurrences overlap, only the best one counts (non-maximum suppression).
    """
    candidates = [
        Heard(name, int(first), int(first) + len(clip), float(scores[first]))
        for name, clip in clips.items()
        for scores in [match_scores(signal, clip)]
        for first in _peaks(scores)
    ]
    kept: list[Heard] = []
    for candidate in sorted(candidates, key=lambda heard: -heard.score):
        if not any(_overlap(candidate, other) for other in kept):
            kept.append(candidate)
    return sorted(kept, key=lambda heard: heard.first)


def match_scores(signal: Signal, clip: Signal) -> Signal:
    """The clip's score at each place of the signal where it fits; empty if the signal is shorter."""
    places = len(signal) - len(clip) + 1
    if places <= 0:
        return np.zeros(0)
    margin = _LOST_PACKETS * _PACKET
    padded = np.concatenate([np.zeros(margin), signal])
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    edges = np.linspace(0, len(clip), _PIECES + 1).astype(int)
    # by how many packets were lost so far: the best product of clip and signal, and the signal energy it used
    product = [np.zeros(places)] + [np.full(places, -np.inf)] * _LOST_PACKETS
    used = [np.zeros(places)] * (_LOST_PACKETS + 1)
    for first, last in itertools.pairwise(edges):
        piece_products = _correlate(padded, clip[first:last], int(first), places + margin)
        for lost in range(_LOST_PACKETS, -1, -1):
            if lost:
                worse = product[lost - 1] > product[lost]
                product[lost] = np.where(worse, product[lost - 1], product[lost])
                used[lost] = np.where(worse, used[lost - 1], used[lost])
            start = margin - lost * _PACKET
            product[lost] = product[lost] + piece_products[start : start + places]
            windows = energy[last + start : last + start + places] - energy[first + start : first + start + places]
            used[lost] = used[lost] + windows
    # a floor of 20 units RMS: what is nearly silent matches nothing
    floor = 400.0 * len(clip)
    scores = [p / np.sqrt(np.maximum(u, floor)) for p, u in zip(product, used, strict=True)]
    best: Signal = np.max(scores, axis=0) / np.linalg.norm(clip)
    return best


def _correlate(padded: Signal, piece: Signal, offset: int, places: int) -> Signal:
    """The product of the piece with the signal, at each place where its clip might begin."""
    size = 1 << int(np.ceil(np.log2(len(padded) + len(piece))))
    spectrum = np.fft.rfft(padded, size) * np.conj(np.fft.rfft(piece, size))
    result: Signal = np.fft.irfft(spectrum, size)[offset : offset + places]
    return result


def _peaks(scores: Signal) -> list[int]:
    """Places above the threshold that are the highest within half a clip's usual length around them."""
    above = np.flatnonzero(scores > THRESHOLD)
    peaks: list[int] = []
    for place in above:
        if peaks and place - peaks[-1] < RATE_HZ // 10:
            if scores[place] > scores[peaks[-1]]:
                peaks[-1] = int(place)
        else:
            peaks.append(int(place))
    return peaks


def _overlap(one: Heard, other: Heard) -> bool:
    shared = min(one.last, other.last) - max(one.first, other.first)
    return shared > 0.4 * min(one.last - one.first, other.last - other.first)


def trimmed(clip: Signal) -> Signal:
    """The clip without the near-silence at its ends."""
    loud = np.flatnonzero(np.abs(clip) > _SILENCE * np.abs(clip).max())
    return clip[loud[0] : loud[-1] + 1]
