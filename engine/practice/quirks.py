"""Behaviours of the broker that nobody has documented: which one this exchange shows depends on its seed alone.

A program that works against every variant relies on none of them. Invariant: a seed always shows the same variant of a
behaviour, and the choices for different behaviours are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from engine.practice.noise import generator

Variant = TypeVar("Variant")


class Quirks:
    """The variants of one venue.

    Args:
        seed: Seed of the venue.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def pick(self, behaviour: str, variants: Sequence[Variant]) -> Variant:
        """Return this venue's variant of a behaviour."""
        return variants[int(generator(self._seed, "quirk", behaviour).integers(len(variants)))]
