"""From the board's columns to a marked expiry: which price and which forward go in.

Which forward: the one that is preferred, unless it is missing or (a parity forward of grade C beside a future) poor;
``engine.analytics.forward.choose_forward`` decides, and its reason goes along.

Price used for a volatility: the mid of a two-sided, uncrossed quote whose path is trusted; else the last trade if it is
recent; else none. Recent is measured against the newest exchange stamp in the chain, so that neither a difference
between clocks nor the evening after the close makes a price old. A stale quote gives nothing.

Invariant: nothing is filled in; what the board does not know reaches the analytics as NaN.
"""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from engine.analytics.chain import ChainMarks, SideQuotes, mark_chain
from engine.analytics.chain_extras import SideActivity
from engine.analytics.chain_memory import ChainMemory
from engine.analytics.forward import NO_FORWARD, ForwardSource, choose_forward, from_future
from engine.brokers.kite.packets import ASKS, BIDS, EXCHANGE_TIME, LAST_TRADE_TIME
from engine.core.views import Codes, Floats, Integers
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.market.token_map import Slots

Flags = npt.NDArray[np.bool_]

_PERCENT: Final = 100.0


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
    smile_refit_s: float = 1.0
    """A smile is fitted at most this often, and only after new packets; in between it moves with the forward."""
    smile_refit_poor_s: float = 3.0
    """So often one that is not of grade A: it has to be fitted from nothing, which takes several times longer."""


class ChainQuotes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Columns of the board at one moment: n calls, n puts, the index, the future; shape (2 n + 2,), NaN unknown."""

    bid: Floats
    ask: Floats
    last: Floats
    volume: Floats
    open_interest: Floats
    previous_close: Floats
    bid_quantity: Floats
    """Units at the best bid."""
    ask_quantity: Floats
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
        previous_close=board.previous_close(slots),
        bid_quantity=board.values(BIDS, slots),
        ask_quantity=board.values(ASKS, slots),
        trade_time=board.values(LAST_TRADE_TIME, slots),
        exchange_time=board.values(EXCHANGE_TIME, slots),
        age_s=board.age_s(slots, now_ns),
        state=states.states(board, slots, now_ns),
        sequence=sequence,
    )


class MarkedQuotes(NamedTuple):
    """A marked expiry with what it was marked from."""

    marks: ChainMarks
    call: SideQuotes
    put: SideQuotes
    years: float
    forward_reason: str
    """Why the forward is not the preferred one; empty when it is."""


def mark_quotes(
    strikes: Floats,
    quotes: ChainQuotes,
    settings: ChainSettings,
    *,
    years: float,
    now: datetime,
    memory: ChainMemory | None = None,
) -> MarkedQuotes:
    """Choose the input prices and the forward, and mark the expiry.

    Args:
        strikes: shape (n,).
        quotes: of those strikes' calls and puts, the index and the future.
        settings: rate, recency, choice of the forward.
        years: ACT/365 to the expiry instant; 0 when it has been reached.
        now: market time, aware; used for recency only where no packet carried an exchange stamp.
        memory: of this chain, kept from one call to the next; makes it faster.
    """
    trusted = is_trusted(quotes.state)
    with np.errstate(invalid="ignore"):
        # What has one side only keeps it: there is no mid, and it says something about liquidity.
        uncrossed = trusted & ~(quotes.bid >= quotes.ask)
    bid, ask = np.where(uncrossed, quotes.bid, np.nan), np.where(uncrossed, quotes.ask, np.nan)
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

    def marked(with_future: float | None) -> ChainMarks:
        return mark_chain(
            strikes, call, put, years=years, rate=settings.rate, future=with_future, spot=hint, memory=memory
        )

    listed = from_future(future) if future is not None else NO_FORWARD
    preferred = ForwardSource(settings.forward.value)
    marks = marked(future if preferred is ForwardSource.FUTURE else None)
    parity = marks.forward if marks.forward.source is ForwardSource.PARITY else NO_FORWARD
    chosen = choose_forward(parity, listed, prefer=preferred)
    if chosen.estimate.source is not marks.forward.source:
        marks = marked(future)
    return MarkedQuotes(marks, call, put, years, chosen.reason)


def side_activity(quotes: ChainQuotes, open_interest_change: Floats, rows: slice) -> SideActivity:
    """What the calls or the puts did today, with what stands at their touch; unknown where the path is suspect.

    Args:
        quotes: of the whole chain.
        open_interest_change: of the options, percent.
        rows: which of them.
    """
    trusted = is_trusted(quotes.state[rows])
    with np.errstate(all="ignore"):
        change = _PERCENT * (quotes.last[rows] / quotes.previous_close[rows] - 1.0)
    return SideActivity(
        price_change=np.where(trusted, change, np.nan),
        open_interest_change=np.where(trusted, open_interest_change[rows], np.nan),
        bid_quantity=quotes.bid_quantity[rows],
        ask_quantity=quotes.ask_quantity[rows],
    )


def is_trusted(states: Codes) -> Flags:
    """Of which quotes something may be computed: they were received, and their path is not suspect."""
    trusted: Flags = (states != QuoteState.STALE) & (states != QuoteState.UNKNOWN)
    return trusted


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
