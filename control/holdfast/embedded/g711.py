"""G.711 (ITU-T G.711): 16-bit linear samples to and from PCMU and PCMA, by table.

Everything the embedded media server plays is kept as PCMU; a leg that negotiated PCMA gets each byte translated.
"""

import array
import sys
from functools import cache

#: One byte of silence in each law.
PCMU_SILENCE = 0xFF

_BIAS = 0x84  # added before the segment is found, so that every segment begins at a power of two
_CLIP = 32635


def _pcmu_byte(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    segment = magnitude.bit_length() - 8
    return ~(sign | segment << 4 | magnitude >> (segment + 3) & 0x0F) & 0xFF


def _pcmu_sample(byte: int) -> int:
    byte = ~byte & 0xFF
    segment = byte >> 4 & 7
    magnitude = (((byte & 0x0F) << 3) + _BIAS << segment) - _BIAS
    return -magnitude if byte & 0x80 else magnitude


def _pcma_byte(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 32767) >> 3
    segment = max(magnitude.bit_length() - 5, 0)
    step = magnitude >> max(segment, 1) & 0x0F
    return (sign | segment << 4 | step) ^ 0x55


def _pcma_sample(byte: int) -> int:
    byte ^= 0x55
    segment = byte >> 4 & 7
    magnitude = ((byte & 0x0F) << 4) + 8
    if segment:
        magnitude = magnitude + 0x100 << segment - 1
    return magnitude if byte & 0x80 else -magnitude


#: Linear value of each byte.
PCMU_SAMPLES = tuple(_pcmu_sample(byte) for byte in range(256))
PCMA_SAMPLES = tuple(_pcma_sample(byte) for byte in range(256))
#: For bytes.translate: one law to the other.
PCMU_TO_PCMA = bytes(_pcma_byte(sample) for sample in PCMU_SAMPLES)
PCMA_TO_PCMU = bytes(_pcmu_byte(sample) for sample in PCMA_SAMPLES)


@cache
def _pcmu_by_sample() -> bytes:
    # indexed by the sample's 16 bits read as unsigned
    return bytes(_pcmu_byte(value - 65536 if value > 32767 else value) for value in range(65536))


def encode_pcmu(linear: bytes) -> bytes:
    """16-bit signed little-endian samples to PCMU, one byte a sample; an odd last byte is an error of the caller."""
    samples = array.array("H", linear)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(_pcmu_by_sample().__getitem__, samples))
