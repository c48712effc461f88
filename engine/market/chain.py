"""One expiry's chain, live: quotes off the board, marked by the analytics, as a picture with a sequence.

A model looks at the board when asked (once a frame), and computes only when a contract of its own changed, own
positions changed, or a second has passed: time itself moves theta, ages and states. What costs most and only a person
or a script looks at (smile, theoretical values, walls) is computed only while somebody watches.

Invariant: what is not known is NaN (``None`` in the header) with a reason; nothing unknown is ever 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from engine.analytics.chain import SideMarks
from engine.analytics.chain_extras import SideExtras
from engine.analytics.implied_volatility import IvReason
from engine.analytics.open_interest import BuildUp
from engine.analytics.smile import Smile
from engine.calendar.sessions import SessionCalendar, years_to_expiry
from engine.core.errors import UnknownInstrument
from engine.core.instruments import Instrument
from engine.core.views import ChainColumns, ChainKey, ChainView, Floats, Integers
from engine.core.vocabulary import QuoteState
from engine.market.chain_changes import OpenInterestBaseline, OpenInterestChange, RowChanges
from engine.market.chain_header import ChainFacts, SpotWatch, chain_header
from engine.market.chain_inputs import ChainQuotes, ChainSettings, read_quotes
from engine.market.chain_marker import ChainMarker
from engine.market.instrument_index import InstrumentIndex
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.market.token_map import Slots

_NS_PER_S: Final = 1_000_000_000
_NO_TOKEN: Final = 0


class ChainModel:
    """The live chain of one expiry. Made by :class:`ChainBuilder`."""

    def __init__(
        self,
        key: ChainKey,
        *,
        index: InstrumentIndex,
        board: QuotesBoard,
        states: Staleness,
        calendar: SessionCalendar,
        settings: ChainSettings,
        baseline: OpenInterestBaseline,
        sequences: Iterator[int],
    ) -> None:
        contracts = index.contracts(key.underlying, key.expiry)
        if not contracts.strikes:
            raise UnknownInstrument(f"{key.underlying} has no options of {key.expiry}, only a future.", field="expiry")
        strikes = contracts.strikes
        self._key = key
        self._board = board
        self._states = states
        self._calendar = calendar
        self._settings = settings
        self._sequences = sequences
        self._strikes: Floats = np.array([float(strike) for strike in strikes])
        self._strikes.flags.writeable = False
        index_row = index.index_instrument(key.underlying)
        sides = [_token(side.get(strike)) for side in (contracts.calls, contracts.puts) for strike in strikes]
        self._option_tokens: Integers = np.array(sides, np.int64)
        self._tokens = (*sides, _token(index_row), _token(contracts.future))
        first = next(iter((*contracts.calls.values(), *contracts.puts.values())))
        self._facts = ChainFacts(
            underlying=key.underlying,
            expiry=key.expiry,
            labels=next(item.labels for item in index.expiries(key.underlying) if item.expiry == key.expiry),
            lot_size=contracts.lot_size,
            exchange=first.exchange,
            has_index=index_row is not None,
        )
        self._marker = ChainMarker(self._strikes, settings, lot_size=contracts.lot_size, tick=float(first.tick_size))
        self._spot = SpotWatch()
        self._nothing = _no_extras(len(strikes))
        self._watched = True
        self._instant = calendar.expiry_instant(key.expiry, is_index=index.rules.is_index(key.underlying))
        self._interest = OpenInterestChange(self._option_tokens, baseline)
        self._position: Integers = np.zeros(len(sides), np.int64)
        self._working: Integers = np.zeros(len(sides), np.int64)
        self._changes = RowChanges(len(strikes))
        self._slots: Slots = np.zeros(0, np.intp)
        self._present: Slots = np.zeros(0, np.intp)
        self._layout: int | None = None
        self._board_sequence = 0
        self._seen = 0
        self._own_changed = False
        self._halt = ""
        self._computed_at = -math.inf
        self._view: ChainView | None = None
        self._since = 0

    @property
    def key(self) -> ChainKey:
        """Which chain this is."""
        return self._key

    @property
    def tokens(self) -> tuple[int, ...]:
        """What must be on the board for it: options, the index, the future of this expiry."""
        return tuple(token for token in self._tokens if token != _NO_TOKEN)

    @property
    def option_token(self) -> int:
        """One of its options': all are of one segment."""
        return int(self._option_tokens.max())

    @property
    def expiry_instant(self) -> datetime:
        """When its contracts stop, aware UTC."""
        return self._instant

    def set_own(self, positions: Mapping[int, int], working: Mapping[int, int]) -> None:
        """Take the account's signed units and its count of working orders, by token; others' tokens are ignored."""
        size = self._option_tokens.size
        position = np.fromiter((positions.get(token, 0) for token in self._tokens[:size]), np.int64, size)
        orders = np.fromiter((working.get(token, 0) for token in self._tokens[:size]), np.int64, size)
        if np.array_equal(position, self._position) and np.array_equal(orders, self._working):
            return
        # An option on no strike has token 0, which is nobody's position.
        self._position, self._working = position, orders
        self._own_changed = True

    def set_watched(self, watched: bool) -> None:
        """Say whether somebody looks at it (at first somebody does); while nobody does, extras are left out."""
        if watched is not self._watched:
            self._watched = watched
            self._own_changed = True

    def set_halt(self, words: str) -> None:
        """Say why the market of its contracts may be halted; nothing when it is not."""
        if words != self._halt:
            self._halt, self._own_changed = words, True

    def smile(self, now_market: datetime, now_monotonic: float) -> Smile | None:
        """The fitted smile, at most ``smile_refit_s`` old while packets come; ``None`` when it was never looked at.

        Whoever does not watch may ask too: then it is fitted now, at the same pace.
        """
        self.refresh(now_market, now_monotonic, self._since)
        return self._marker.smile(now_monotonic)

    def refresh(self, now_market: datetime, now_monotonic: float, since: int = 0) -> ChainView:
        """The chain now.

        Args:
            now_market: aware UTC, the venue's clock: time to expiry, and the trading day.
            now_monotonic: seconds of the clock the board's packets were stamped with: ages and states.
            since: a sequence given out before; ``changed`` holds the rows that changed after it.

        Returns:
            The same object while nothing was computed anew and ``since`` is the same.
        """
        view = self._view
        if view is None or self._due(now_monotonic):
            view = self._computed(now_market, now_monotonic, since)
        elif since != self._since:
            view = msgspec.structs.replace(view, changed=self._changes.since(since, view.sequence))
        self._view, self._since = view, since
        return view

    # -- when ---------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> bool:
        board = self._board
        if self._own_changed or board.layout != self._layout:
            return True
        if board.sequence != self._board_sequence:
            self._board_sequence = board.sequence
            if self._present.size and int(board.sequences[self._present].max()) > self._seen:
                return True
        return not 0 <= now - self._computed_at < self._settings.refresh_s

    def _find_slots(self) -> None:
        if self._board.layout == self._layout:
            return
        self._layout = self._board.layout
        self._slots = self._board.slots_of(self._tokens)
        self._present = self._slots[self._slots >= 0]

    # -- what ---------------------------------------------------------------------------------------------------

    def _computed(self, now_market: datetime, now_monotonic: float, since: int) -> ChainView:
        self._find_slots()
        quotes = read_quotes(self._board, self._states, self._slots, round(now_monotonic * _NS_PER_S))
        self._own_changed = False
        self._computed_at = now_monotonic
        self._board_sequence = self._board.sequence
        self._seen = int(quotes.sequence.max()) if quotes.sequence.size else 0
        left = years_to_expiry(now_market, self._instant)
        day = self._calendar.day_of(now_market)
        size = self._option_tokens.size
        interest = self._interest.percent(day, quotes.open_interest[:size], quotes.sequence[:size])
        marked = self._marker.mark(
            quotes,
            interest,
            years=left.years,
            now_market=now_market,
            now_monotonic=now_monotonic,
            with_extras=self._watched,
        )
        marks, extras = marked.quotes.marks, marked.extras
        index, index_state = float(quotes.last[size]), QuoteState(int(quotes.state[size]))
        spot = self._spot.spot(index, index_state, marks.forward, left.years, day)
        seconds = (self._instant - now_market).total_seconds()
        header = chain_header(self._facts, quotes, marked, spot, seconds, halt=self._halt)
        half = size // 2
        calls = self._columns(quotes, marks.call, extras and extras.call, interest, slice(0, half))
        puts = self._columns(quotes, marks.put, extras and extras.put, interest, slice(half, size))
        rows = self._changes.changed_rows(calls, puts)
        before = self._view
        sequence = before.sequence if before is not None else 0
        if before is None or rows.any() or header != before.header:
            sequence = next(self._sequences)
            self._changes.mark(rows, sequence)
        return ChainView(
            key=self._key,
            sequence=sequence,
            strikes=self._strikes,
            header=header,
            calls=calls,
            puts=puts,
            changed=self._changes.since(since, sequence),
        )

    def _columns(
        self, quotes: ChainQuotes, marks: SideMarks, extras: SideExtras | None, interest: Floats, rows: slice
    ) -> ChainColumns:
        state = quotes.state[rows]
        reason = marks.reason
        # The analytics see a stale quote as none at all; here it is known that there is one.
        withheld = (state == QuoteState.STALE) & (reason == IvReason.NO_PRICE)
        if withheld.any():
            priced = ~(np.isnan(quotes.bid[rows]) & np.isnan(quotes.ask[rows]) & np.isnan(quotes.last[rows]))
            reason = np.where(withheld & priced, np.uint8(IvReason.STALE), reason)
        if extras is None:
            extras = self._nothing
        columns = ChainColumns(
            token=self._option_tokens[rows],
            bid=quotes.bid[rows],
            ask=quotes.ask[rows],
            last=quotes.last[rows],
            volume=quotes.volume[rows],
            open_interest=quotes.open_interest[rows],
            open_interest_change=interest[rows],
            implied_volatility=marks.volatility,
            iv_reason=reason,
            iv_input=marks.price_input,
            delta=marks.greeks.delta,
            gamma=marks.greeks.gamma,
            theta=marks.greeks.theta,
            vega=marks.greeks.vega,
            state=state,
            age_s=quotes.age_s[rows],
            position=self._position[rows],
            working=self._working[rows],
            theoretical=self._of_listed(extras.theoretical, rows),
            mispricing=extras.mispricing,
            spread_percent=extras.spread_percent,
            liquidity=extras.liquidity,
            build_up=extras.build_up,
            intrinsic=self._of_listed(extras.intrinsic, rows),
            extrinsic=extras.extrinsic,
        )
        for name in ChainColumns.__struct_fields__:
            getattr(columns, name).flags.writeable = False
        return columns

    def _of_listed(self, values: Floats, rows: slice) -> Floats:
        """Unknown where a strike has no such contract: what follows from the strike alone is nobody's figure there."""
        return np.where(self._option_tokens[rows] == _NO_TOKEN, np.nan, values)


class ChainBuilder:
    """Makes chain models over one board and one day's instruments.

    Args:
        index: the day's instruments.
        board: where quotes arrive.
        states: the judge of quotes.
        calendar: gives expiry instants and the trading day.
        settings: what a person may set.
        baseline: first open interest of the day, kept across models.
        sequences: numbers for views, growing, never given twice: a sequence of a model that is gone then means nothing
            to its successor. Default: from 1 on.
    """

    def __init__(
        self,
        *,
        index: InstrumentIndex,
        board: QuotesBoard,
        states: Staleness,
        calendar: SessionCalendar,
        settings: ChainSettings,
        baseline: OpenInterestBaseline,
        sequences: Iterator[int] | None = None,
    ) -> None:
        self._index = index
        self._board = board
        self._states = states
        self._calendar = calendar
        self._settings = settings
        self._baseline = baseline
        self._sequences = sequences if sequences is not None else itertools.count(1)

    def build(self, key: ChainKey) -> ChainModel:
        """The model of a chain; its tokens still have to be put on the board.

        Raises:
            UnknownInstrument: no such underlying or expiry today, or the expiry has no options.
        """
        return ChainModel(
            ChainKey(self._index.resolve_underlying(key.underlying), key.expiry),
            index=self._index,
            board=self._board,
            states=self._states,
            calendar=self._calendar,
            settings=self._settings,
            baseline=self._baseline,
            sequences=self._sequences,
        )


def _token(instrument: Instrument | None) -> int:
    return instrument.token if instrument is not None else _NO_TOKEN


def _no_extras(strikes: int) -> SideExtras:
    """Of a chain that nobody looks at."""
    unknown = np.full(strikes, np.nan)
    return SideExtras(
        intrinsic=unknown,
        extrinsic=unknown,
        spread=unknown,
        spread_percent=unknown,
        liquidity=unknown,
        build_up=np.full(strikes, BuildUp.UNKNOWN, np.uint8),
        theoretical=unknown,
        theoretical_volatility=unknown,
        mispricing=unknown,
        mispricing_volatility=unknown,
    )
