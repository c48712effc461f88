"""From the board's columns to a marked expiry: which price and which forward go in.

Price used for a volatility: the mid of a two-sided, uncrossed quote whose path is trusted; else the last trade if it is
recent; else none. Recent is measured against the newest exchange stamp in the chain, so that neither a difference
between clocks nor the evening after the close makes a price old. A stale quote gives nothing.

Invariant: nothing is filled in; what the board does not know reaches the analytics as NaN.
"""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from engine.analytics.chain import ChainMarks, SideQuotes, mark_chain
from engine.analytics.forward import ForwardSource
from engine.brokers.kite.packets import EXCHANGE_TIME, LAST_TRADE_TIME
from engine.core.views import Codes, Floats, Integers
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.market.token_map import Slots

Flags = npt.NDArray[np.bool_]


class ForwardChoice(StrEnum):
    """Which forward is taken first; the other one stands in when it cannot be had, and the header says which it is."""

    PARITY = "parity"
    FUTURE = "future"


class ChainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may set about chains."""

    rate: float
    """Continuously compounded, 0.065 is 6.5 %."""
    last_recent_s: float
    """A last trade not older than this may stand in for a missing mid, seconds."""
    forward: ForwardChoice = ForwardChoice.PARITY
    refresh_s: float = 1.0
    """Without any packet the chain is computed this often."""


class ChainQuotes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Columns of the board at one moment: n calls, n puts, the index, the future; shape (2 n + 2,), NaN unknown."""

    bid: Floats
    ask: Floats
    last: Floats
    volume: Floats
    open_interest: Floats
    trade_time: Floats
    """Epoch seconds of the last trade; 0 for never."""
    exchange_time: Floats
    """Epoch seconds."""
    age_s: Floats
    state: Codes
    sequence: Integers
    """Board sequence of each instrument's last packet; 0 where it is not on the board."""


def read_quotes(board: QuotesBoard, states: Staleness, slots: Slots, now_ns: int) -> ChainQuotes:
    """Gather the columns of ``slots`` (-1 where an instrument is not on the board) at monotonic ``now_ns``."""
    sequence: Integers = np.zeros(slots.size, np.int64)
    present = slots >= 0
    if present.any():
        sequence[present] = board.sequences[slots[present]]
    return ChainQuotes(
        bid=board.bid(slots),
        ask=board.ask(slots),
        last=board.last(slots),
        volume=board.volume(slots),
        open_interest=board.open_interest(slots),
        trade_time=board.values(LAST_TRADE_TIME, slots),
        exchange_time=board.values(EXCHANGE_TIME, slots),
        age_s=board.age_s(slots, now_ns),
        state=states.states(board, slots, now_ns),
        sequence=sequence,
    )


def mark_quotes(
    strikes: Floats, quotes: ChainQuotes, settings: ChainSettings, *, years: float, now: datetime
) -> ChainMarks:
    """Choose the input prices and the forward, and mark the expiry.

    Args:
        strikes: shape (n,).
        quotes: of those strikes' calls and puts, the index and the future.
        settings: rate, recency, choice of the forward.
        years: ACT/365 to the expiry instant; 0 when it has been reached.
        now: market time, aware; used for recency only where no packet carried an exchange stamp.
    """
    trusted = (quotes.state != QuoteState.STALE) & (quotes.state != QuoteState.UNKNOWN)
    two_sided = trusted & (quotes.bid < quotes.ask)
    bid, ask = np.where(two_sided, quotes.bid, np.nan), np.where(two_sided, quotes.ask, np.nan)
    newest = float(np.fmax.reduce(quotes.exchange_time, initial=0.0))
    reference = newest if newest > 0 else now.timestamp()
    recent = trusted & (quotes.trade_time > 0) & (reference - quotes.trade_time <= settings.last_recent_s)
    count = strikes.size
    index_place, future_place = 2 * count, 2 * count + 1

    def side(rows: slice) -> SideQuotes:
        return SideQuotes(
            bid[rows], ask[rows], quotes.last[rows], recent[rows], quotes.open_interest[rows], quotes.volume[rows]
        )

    call, put = side(slice(0, count)), side(slice(count, 2 * count))
    future = _future_price(bid, ask, quotes.last, recent, future_place)
    hint = _spot_hint(int(quotes.state[index_place]), float(quotes.last[index_place]), future)

    def marks(with_future: float | None) -> ChainMarks:
        return mark_chain(strikes, call, put, years=years, rate=settings.rate, future=with_future, spot=hint)

    if settings.forward is ForwardChoice.FUTURE:
        return marks(future)
    marked = marks(None)
    if marked.forward.source is ForwardSource.NONE and future is not None:
        return marks(future)
    return marked


def known(value: float) -> float | None:
    """A finite value, else ``None``."""
    return value if math.isfinite(value) else None


def _future_price(bid: Floats, ask: Floats, last: Floats, recent: Flags, place: int) -> float | None:
    """Mid of the future, else its recent last trade, else none."""
    mid = 0.5 * float(bid[place] + ask[place])
    if math.isfinite(mid):
        return mid
    return known(float(last[place])) if recent[place] else None


def _spot_hint(state: int, spot: float, future: float | None) -> float | None:
    """Where the money is: the moving index, else the future, else the index as it stood."""
    if state != QuoteState.LIVE and future is not None:
        return future
    return known(spot) if state not in {QuoteState.STALE, QuoteState.UNKNOWN} else None
