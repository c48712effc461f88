"""Which packets are older than what is known already.

A packet carries the second of the exchange's stamp and the units traded so far that day; a later packet about the same
instrument has neither a smaller stamp nor, in the same second, a smaller volume. ``order_keys`` puts both into one
number, so that frames in order (nearly all) cost one comparison for whole columns; only packets whose key is smaller
than the held one are judged by ``is_late``.

Invariant: a held stamp that lies ahead of the market clock decides nothing. So neither one absurd stamp nor a clock
that is behind, a new day or a replay that starts again can keep true packets out.
"""

from __future__ import annotations

import sys
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.codec import Words
from engine.brokers.kite.frame_layout import Kinds
from engine.brokers.kite.packets import CARRIES, EXCHANGE_TIME, VOLUME

Keys: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]

STAMP_SHIFT: Final = 32
"""A key is the stamp, epoch seconds, above the volume, units."""
_HALVES: Final = np.array((VOLUME, EXCHANGE_TIME) if sys.byteorder == "little" else (EXCHANGE_TIME, VOLUME))
"""Both words in the order in which this machine keeps the halves of a 64-bit word."""
_KEY: Final = np.dtype(np.uint64)
_SHIFT: Final = np.array(STAMP_SHIFT, np.uint64)
_VOLUME_MASK: Final = np.array((1 << STAMP_SHIFT) - 1, np.uint64)
_NS_PER_S = 1_000_000_000
AHEAD_S = 5
"""A stamp further ahead of the market clock is not believed."""
SAME_SECOND_NS = 5 * _NS_PER_S
"""A volume that shrinks while the stamp stands still (or is not there) is an older packet only if the held one came
that recently; later it is a volume that was set back, as before the open."""


def order_keys(words: Words) -> Keys:
    """The key of each packet; without a stamp it is the volume alone."""
    keys: Keys = np.ndarray((len(words),), _KEY, words.take(_HALVES, axis=1))
    return keys


def is_late(
    keys: Keys, kinds: Kinds, held_keys: Keys, held_kinds: Integers, *, waited_ns: Integers, market_ns: int
) -> tuple[Mask, int]:
    """Judge packets whose key is smaller than the held one; all columns of one length.

    Args:
        keys: Of the packets.
        kinds: Their ``PacketKind``.
        held_keys: Of what is held about their instruments.
        held_kinds: ``PacketKind`` of what is held.
        waited_ns: Since what is held was received.
        market_ns: Market time of receipt of the packets, nanoseconds since the epoch.

    Returns:
        Which packets are late, and how many are not only because the held stamp lies ahead of the market clock.
    """
    stamps, held_stamps = (_signed(each >> _SHIFT) for each in (keys, held_keys))
    volumes, held_volumes = (_signed(each & _VOLUME_MASK) for each in (keys, held_keys))
    older = (stamps != 0) & (stamps < held_stamps)
    shrank = CARRIES[kinds, VOLUME] & CARRIES[held_kinds, VOLUME] & (volumes < held_volumes)
    shrank &= (stamps == 0) | (stamps == held_stamps)
    shrank &= (waited_ns >= 0) & (waited_ns <= SAME_SECOND_NS)
    late = older | shrank
    ahead = held_stamps > market_ns // _NS_PER_S + AHEAD_S
    disowned = int((late & ahead).sum())
    return late & ~ahead, disowned


def _signed(values: Keys) -> Integers:
    return values.astype(np.int64)
