"""Tokens to slots for whole columns at once.

Kite's tokens reach 2³² and are spread thin, so a plain table is out of the question and a search costs a comparison
chain per packet. This is one multiplication, one shift and one gather into a table sized so that the tokens rarely
collide, followed by a comparison of the *full* token; the few that collide, and tokens nobody asked for, go through a
dictionary.

Invariant: a slot is given for a token only if that very 32-bit token is mapped to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.intp]
Tokens = npt.NDArray[np.uint32]

ABSENT = -1
"""Slot of a token that is not mapped."""
_GOLDEN = 0x9E3779B1
_MASK = 0xFFFFFFFF
_WORD_BITS = 32
_BITS_MIN, _BITS_MAX = 8, 18
"""The largest table is 2 MiB: it must stay in the processor's second-level cache."""
_ATTEMPTS = 16


class TokenMap:
    """An immutable map, made anew when instruments are added or removed.

    Args:
        slot_of: Token → slot.
        token_at: Token of each slot, 0 where free; not copied, and not changed while this map is in use.
    """

    def __init__(self, slot_of: Mapping[int, int], token_at: Tokens) -> None:
        self._slot_of = dict(slot_of)
        self._token_at = token_at
        tokens = np.fromiter(self._slot_of.keys(), np.uint32, len(self._slot_of))
        slots = np.fromiter(self._slot_of.values(), np.intp, len(self._slot_of))
        bits = min(max(2 * len(tokens).bit_length() + 1, _BITS_MIN), _BITS_MAX)
        # Arrays without dimensions: with scalars the same operations take half as long again on short columns.
        self._shift = np.array(_WORD_BITS - bits, np.uint32)
        fewest = len(tokens) + 1
        multiplier = _GOLDEN
        for _ in range(_ATTEMPTS):
            factor = np.array(multiplier, np.uint32)
            # Filled with a slot in use, not with 0: a free slot holds token 0, which a packet could name too.
            table = np.full(1 << bits, slots[0] if len(slots) else 0, np.intp)
            places = (tokens * factor) >> self._shift
            table[places] = slots
            collisions = int((table[places] != slots).sum())
            if collisions < fewest:
                fewest, self._factor, self._table = collisions, factor, table
            if not collisions:
                break
            multiplier = (multiplier * _GOLDEN | 1) & _MASK

    def slot(self, token: int) -> int:
        """The slot of one token, or ``ABSENT``."""
        return self._slot_of.get(token, ABSENT)

    def slots(self, tokens: Tokens) -> tuple[Slots, bool]:
        """The slot of each token (``ABSENT`` where unmapped), and whether all are mapped."""
        if not self._slot_of:
            return np.full(len(tokens), ABSENT, np.intp), not len(tokens)
        places = tokens * self._factor
        places >>= self._shift
        slots = self._table.take(places)
        held = self._token_at.take(slots)
        if held.tobytes() == tokens.tobytes():  # for short columns cheaper than comparing them element by element
            return slots, True
        get = self._slot_of.get
        complete = True
        for index in np.flatnonzero(held != tokens).tolist():
            slot = get(int(tokens[index]), ABSENT)
            slots[index] = slot
            complete = complete and slot != ABSENT
        return slots, complete
