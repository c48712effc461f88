"""The rows of price candles in memory."""

from __future__ import annotations

from engine.core.identifiers import InstrumentKey


class BarTable:
    """The rows of one database."""

    def __init__(self) -> None:
        self.decimals: dict[InstrumentKey, int] = {}
        self.rows: dict[tuple[InstrumentKey, int], tuple[int, ...]] = {}
        """The figures of ``storage.bar_rows.FIGURES`` by instrument and epoch second."""
