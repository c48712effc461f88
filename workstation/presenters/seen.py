"""What a screen knows of something it asks for again and again: the last answer, its age, and why there is no newer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Answer_co = TypeVar("Answer_co", covariant=True)

STALE_AFTER_S = 5.0
"""An answer older than this is marked: newer ones are asked for every second."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[Answer_co]):
    """One thing as it is known now."""

    value: Answer_co | None = None
    age_s: float | None = None
    """Since the answer came."""
    trouble: str = ""
    """Why the newest question got no answer; empty when it did."""
    stale_after_s: float = STALE_AFTER_S

    @property
    def is_stale(self) -> bool:
        """Whether the answer must be marked as old."""
        return self.value is not None and (bool(self.trouble) or (self.age_s or 0.0) > self.stale_after_s)
