"""What the maker of minute candles knows of each slot, and the packets it works on, in columns."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.core.views import Integers
from engine.market.token_map import Slots

UNKNOWN: Final = -1
NEVER: Final = np.iinfo(np.int64).max
NO_PATH: Final = -1
_FIRST_CAPACITY: Final = 512

Flags = npt.NDArray[np.bool_]


class Packets(NamedTuple):
    """At most one packet of each slot, shape (n,) each."""

    slots: Slots
    price: Integers
    counter: Integers
    traded_s: Integers
    open_interest: Integers
    kinds: npt.NDArray[np.uint8]
    market_ns: Integers
    path: Integers

    def where(self, chosen: Flags | Slots) -> Packets:
        """Some of them, in the order given."""
        return Packets(
            slots=self.slots[chosen],
            price=self.price[chosen],
            counter=self.counter[chosen],
            traded_s=self.traded_s[chosen],
            open_interest=self.open_interest[chosen],
            kinds=self.kinds[chosen],
            market_ns=self.market_ns[chosen],
            path=self.path[chosen],
        )


class SlotColumns:
    """What is known of each slot."""

    def __init__(self) -> None:
        self.size = 0
        self.token: Integers = np.zeros(0, np.int64)
        self.generation: Integers = np.zeros(0, np.int64)
        self.is_index: Flags = np.zeros(0, np.bool_)
        self.has: Flags = np.zeros(0, np.bool_)
        """Whether a packet of this minute counted."""
        self.open: Integers = np.zeros(0, np.int64)
        self.high: Integers = np.zeros(0, np.int64)
        self.low: Integers = np.zeros(0, np.int64)
        self.close: Integers = np.zeros(0, np.int64)
        self.base: Integers = np.zeros(0, np.int64)
        """The day's counter at the minute's start."""
        self.counter: Integers = np.zeros(0, np.int64)
        self.open_interest: Integers = np.zeros(0, np.int64)
        self.last: Integers = np.zeros(0, np.int64)
        """Last price seen, 0 where the next packet is a first one."""
        self.last_ns: Integers = np.zeros(0, np.int64)
        """Market time of the last packet."""
        self.path: Integers = np.zeros(0, np.int64)
        self.live_ns: Integers = np.zeros(0, np.int64)
        """Market time since which the path has been sound."""

    def grow(self, size: int) -> None:
        """Have room for ``size`` slots."""
        capacity = len(self.token)
        if size > capacity:
            capacity = max(size, 2 * capacity, _FIRST_CAPACITY)
            for name, old in vars(self).items():
                if isinstance(old, np.ndarray):
                    new = np.zeros(capacity, old.dtype)
                    new[: len(old)] = old
                    setattr(self, name, new)
            self.clear(slice(self.size, capacity))
        self.size = max(self.size, size)

    def clear(self, slots: Slots | slice) -> None:
        """Know nothing of slots."""
        self.token[slots] = 0
        self.generation[slots] = 0
        self.is_index[slots] = False
        self.has[slots] = False
        self.path[slots] = NO_PATH
        self.live_ns[slots] = NEVER
        self.forget_day(slots)

    def forget_day(self, slots: Slots | slice) -> None:
        """Know neither counter nor price: the next packet is a first one."""
        self.base[slots] = UNKNOWN
        self.counter[slots] = UNKNOWN
        self.open_interest[slots] = UNKNOWN
        self.last[slots] = 0
        self.last_ns[slots] = 0
