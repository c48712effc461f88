"""Priorities on the order road."""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """Who goes first. Lower is faster."""

    EXIT = 0
    """Takes a position away: exits and the kill switch."""
    CANCEL = 1
    STOP = 2
    """Protects a position: a stop that only reduces."""
    HEDGE = 3
    """The leg of a plan that the others wait for."""
    MODIFY = 4
    ENTRY = 5

    @property
    def may_use_reserve(self) -> bool:
        """Whether the last places of a second, of a minute and on the wire are meant for it."""
        return self <= Lane.CANCEL

    @property
    def may_use_day_reserve(self) -> bool:
        """Whether the day's last orders and the queue's last places are: what is held may always be protected."""
        return self <= Lane.STOP

    @property
    def expires(self) -> bool:
        """Whether waiting makes it wrong: its price was meant for another moment."""
        return self >= Lane.HEDGE
