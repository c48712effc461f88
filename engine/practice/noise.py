"""Random numbers that are a function of their address.

The market must be recomputable at any instant, so nothing may depend on how often it was asked before. Long series come
from generators keyed by what they describe; small flickers come from a hash of (instrument, purpose, time bucket).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]
BoolArray = NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SCALE = 1.0 / float(1 << 53)


def name_key(text: str) -> int:
    """Return a stable 32-bit number for a name (the same in every process)."""
    return zlib.crc32(text.encode())


def generator(seed: int, *address: str | int) -> np.random.Generator:
    """Return a generator that depends only on the seed and the address."""
    parts = [seed & 0xFFFFFFFFFFFFFFFF]
    parts.extend(name_key(part) if isinstance(part, str) else part for part in address)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(parts)))


def mix(keys: KeyArray) -> KeyArray:
    """Scramble 64-bit keys (the finaliser of splitmix64); shape and dtype are kept."""
    mixed = keys + _GOLDEN
    mixed ^= mixed >> np.uint64(30)
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return mixed


def uniform(keys: KeyArray) -> FloatArray:
    """Map keys to numbers in [0, 1)."""
    return (mix(keys) >> np.uint64(11)).astype(np.float64) * _SCALE


def uniform_at(keys: KeyArray, purpose: int, bucket: IntArray | int) -> FloatArray:
    """Return one number in [0, 1) per key for a purpose and a time bucket (scalar or one per key)."""
    # At least one dimension: numpy warns of the intended wrap-around on scalars only.
    stamp = np.atleast_1d(np.asarray(bucket, dtype=np.int64)).astype(np.uint64) * _MIX_2
    stamp += np.atleast_1d(np.uint64(purpose)) * _MIX_1
    return uniform(keys ^ stamp)
