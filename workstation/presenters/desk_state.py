"""What one terminal is looking at: its cursor, its draft, its switches. Nothing of it is known to the engine."""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.identifiers import AccountId, OrderNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.views import ChainKey, ChainView, UnderlyingView
from engine.core.vocabulary import InstrumentKind, Mark
from workstation.formatting import expiry_day
from workstation.formatting import strike as strike_text
from workstation.presenters.chain_columns import ColumnSet
from workstation.presenters.chart_choice import ChartChoice, ChartTarget
from workstation.presenters.draft import Draft

COUNT_DIGITS_MAX = 4
"""A count of more digits is a stuck key, not a wish."""


class Notice(msgspec.Struct, frozen=True):
    """An answer on the message line until ``until`` (monotonic seconds)."""

    text: str
    tone: str
    until: float


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The contract under the cursor."""

    token: int
    """0 when the strike has no such contract."""
    underlying: str
    strike: float
    kind: InstrumentKind
    row: int


class DeskState:
    """Mutable state of one Desk. The cursor is a strike, not a row: it stays when rows move."""

    def __init__(self, mark: Mark) -> None:
        """Start on calls, valued at ``mark``, with nothing chosen."""
        self.mark = mark
        self.account: AccountId | None = None
        """The account that is looked at alone, and drafted for; ``None``: all of them, drafts are the first one's."""
        self.as_units = False
        self.columns = ColumnSet.TRADE
        self.key: ChainKey | None = None
        self.underlyings: tuple[UnderlyingView, ...] = ()
        self.expiries: tuple[ExpiryLabel, ...] = ()
        self.strike: float | None = None
        self.kind = InstrumentKind.CALL
        self.draft: Draft | None = None
        self.count = ""
        self.prefix = ""
        self.notice: Notice | None = None
        self.frozen_since: datetime | None = None
        self.expanded: frozenset[int] = frozenset()
        self.strategy: int | None = None
        """The strategy looked at last, by its number."""
        self.charted: ChartTarget | None = None
        """The instrument whose candles are looked at, or were last."""
        self.chart = ChartChoice()
        self.modifying: OrderNumber | None = None
        self.contract: Instrument | None = None
        """The contract under the cursor as the dump lists it, once looked up."""

    @property
    def label(self) -> str:
        """The short name of the chosen expiry, ``w0``; empty when it has none."""
        for item in self.expiries:
            if self.key is not None and item.expiry == self.key.expiry and item.labels:
                return item.labels[0]
        return ""

    def add_digit(self, digit: str) -> None:
        """One more digit of a count; a leading zero and digits beyond the bound are ignored."""
        if len(self.count) < COUNT_DIGITS_MAX and (self.count or digit != "0"):
            self.count += digit

    def take_count(self, default: int = 1) -> int:
        """The count typed before a key, which uses it up."""
        count, self.count = self.count, ""
        return int(count) if count else default

    def selection(self, view: ChainView | None) -> Selection | None:
        """The contract under the cursor in ``view``; ``None`` before a chain is there."""
        if view is None or not len(view.strikes):
            return None
        row = self.row(view)
        columns = view.calls if self.kind is InstrumentKind.CALL else view.puts
        return Selection(
            token=int(columns.token[row]),
            underlying=view.key.underlying,
            strike=float(view.strikes[row]),
            kind=self.kind,
            row=row,
        )

    def words_of(self, selection: Selection) -> str:
        """The words to search a contract of the chain in view by: ``nifty 24000 ce w0``."""
        expiry = self.label or (expiry_day(self.key.expiry).lower() if self.key is not None else "")
        figure = strike_text(selection.strike, group=False)
        return f"{selection.underlying.lower()} {figure} {selection.kind.value.lower()} {expiry}".strip()

    def row(self, view: ChainView) -> int:
        """The row of the cursor's strike, or of the nearest one; the ATM row before any was chosen."""
        wanted = self.strike if self.strike is not None else view.header.atm_strike
        if wanted is None:
            return len(view.strikes) // 2
        return int(abs(view.strikes - wanted).argmin())

    def move(self, view: ChainView, rows: int) -> None:
        """Move the cursor by ``rows``, not beyond the chain's ends."""
        if len(view.strikes):
            row = min(max(self.row(view) + rows, 0), len(view.strikes) - 1)
            self.strike = float(view.strikes[row])
