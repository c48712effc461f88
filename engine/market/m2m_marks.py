"""The three marks of held instruments, straight off the board: last, mid, and what an exit now would get.

``exit`` walks the visible depth for the held size: a long sells into the bids, a short buys from the asks. The last
price is given whatever its state, together with that state, so that it can be shown dimmed; mid and exit are claims
about now and need a live book.

Invariant: prices are exact (integers of the wire until the end); a mark that cannot be had is ``None`` with a reason,
never a neighbouring mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.packets import (
    ASKS,
    BIDS,
    LAST,
    LEVEL_WORDS,
    LEVELS,
    PacketKind,
    price_decimals,
)
from engine.core.vocabulary import Mark, QuoteState
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.market.token_map import Slots

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

QUANTITY_LIMIT: Final = 2**31
"""A quantity must be smaller, so that quantity times a 32-bit price fits 63 bits."""

_STATES: Final = tuple(QuoteState)
_UNITS: Final = tuple(Decimal(1).scaleb(-decimals) for decimals in range(10))
"""Rupees of one wire unit, by the decimal places of the segment."""
_NO_REASONS: Final[Mapping[Mark, str]] = MappingProxyType({})
_BID_ROWS: Final = slice(BIDS, BIDS + LEVELS * LEVEL_WORDS, LEVEL_WORDS)
_ASK_ROWS: Final = slice(ASKS, ASKS + LEVELS * LEVEL_WORDS, LEVEL_WORDS)
_BID_PRICES: Final = slice(BIDS + 1, BIDS + LEVELS * LEVEL_WORDS, LEVEL_WORDS)
_ASK_PRICES: Final = slice(ASKS + 1, ASKS + LEVELS * LEVEL_WORDS, LEVEL_WORDS)

_NOT_WATCHED: Final = "the instrument is not on the board"
_STATE_REASONS: Final = {
    QuoteState.UNKNOWN: "nothing has been received",
    QuoteState.STALE: "the quote is stale",
    QuoteState.FROZEN: "the exchange does not move it now",
    QuoteState.CROSSED: "the book is crossed",
    QuoteState.CLOSED: "the session is over",
}
_NEVER_TRADED: Final = "no last price"
_NO_DEPTH: Final = "no depth is received"
_NOT_HELD: Final = "nothing is held"


class InstrumentMarks(NamedTuple):
    """The marks of one instrument for one held quantity; prices in rupees."""

    state: QuoteState
    """A last price whose state is not LIVE is to be shown as such."""
    last: Decimal | None
    mid: Decimal | None
    exit: Decimal | None
    """Average price an exit of the whole quantity would get from the visible depth."""
    reasons: Mapping[Mark, str]
    """Why a mark is ``None``, for those that are."""

    def of(self, mark: Mark) -> Decimal | None:
        """The price at ``mark``."""
        if mark is Mark.LAST:
            return self.last
        return self.mid if mark is Mark.MID else self.exit


class MarkArrays(NamedTuple):
    """The same marks in columns of shape (n,), float64 rupees; NaN where one cannot be had."""

    states: npt.NDArray[np.uint8]
    """``QuoteState``."""
    last: npt.NDArray[np.float64]
    mid: npt.NDArray[np.float64]
    exit: npt.NDArray[np.float64]


class _Walk(NamedTuple):
    """Depth taken for each quantity, in units and wire prices."""

    found: Integers
    paid: Integers


class MarkReader:
    """Reads marks of many instruments at once.

    Args:
        board: where the quotes are.
        states: the judge of quotes.
    """

    def __init__(self, board: QuotesBoard, states: Staleness) -> None:
        self._board = board
        self._states = states
        self._layout = -1
        self._tokens: Integers = np.zeros(0, np.int64)
        self._slots: Slots = np.zeros(0, np.intp)
        self._scale: Floats = np.zeros(0)

    def marks(self, held: Sequence[tuple[int, int]], now_ns: int) -> tuple[InstrumentMarks, ...]:
        """The marks of each (token, signed units), in their order, at monotonic ``now_ns``.

        With 0 units there is no exit to price: last and mid are given, ``exit`` is not.

        Raises:
            ValueError: a quantity of ``QUANTITY_LIMIT`` units or more.
        """
        if not held:
            return ()
        slots = self._board.slots_of(token for token, _ in held)
        quantities = np.array([quantity for _, quantity in held], np.int64)
        if int(np.abs(quantities).max()) >= QUANTITY_LIMIT:
            raise ValueError(f"a held quantity must be below {QUANTITY_LIMIT} units")
        if not self._board.tokens.size:
            return tuple(_absent() for _ in held)
        words = self._board.words.take(slots, axis=0, mode="clip")
        states = self._states.states(self._board, slots, now_ns)
        kinds = self._board.kinds.take(slots, mode="clip")
        walk = _walked(words, quantities)
        columns = zip(
            held,
            slots.tolist(),
            states.tolist(),
            (kinds == PacketKind.FULL).tolist(),
            words[:, LAST].tolist(),
            words[:, BIDS + 1].tolist(),
            words[:, ASKS + 1].tolist(),
            walk.found.tolist(),
            walk.paid.tolist(),
            strict=True,
        )
        return tuple(
            _absent()
            if slot < 0
            else _marks(
                _STATES[state],
                quantity,
                unit=_UNITS[price_decimals(token)],
                last=last,
                book=(bid, ask) if depth else None,
                walk=(found, paid),
            )
            for (token, quantity), slot, state, depth, last, bid, ask, found, paid in columns
        )

    def columns(self, tokens: Integers, quantities: Integers, now_ns: int) -> MarkArrays:
        """Marks of many holdings at once, without an object each; agrees with ``marks`` to a float's precision.

        Raises:
            ValueError: a quantity of ``QUANTITY_LIMIT`` units or more.
        """
        if len(quantities) and int(np.abs(quantities).max()) >= QUANTITY_LIMIT:
            raise ValueError(f"a held quantity must be below {QUANTITY_LIMIT} units")
        unknown = np.full(len(tokens), np.nan)
        slots, scale = self._places(tokens)
        states = self._states.states(self._board, slots, now_ns)
        if not len(tokens) or not self._board.tokens.size:
            return MarkArrays(states, unknown, unknown, unknown)
        last, bid, ask = self._board.last(slots), self._board.bid(slots), self._board.ask(slots)
        words = self._board.words.take(slots, axis=0, mode="clip")
        walk = _walked(words, quantities)
        wanted = np.abs(quantities)
        has_depth = (self._board.kinds.take(slots, mode="clip") == PacketKind.FULL) & (slots >= 0)
        quotes_live = has_depth & (states == QuoteState.LIVE)
        book_usable = quotes_live | (has_depth & (states == QuoteState.ONE_SIDED))
        enough = book_usable & (wanted > 0) & (walk.found >= wanted)
        exits = np.where(enough, walk.paid / np.maximum(wanted, 1) / scale, np.nan)
        return MarkArrays(states, last, np.where(quotes_live, (bid + ask) / 2, np.nan), exits)

    def _places(self, tokens: Integers) -> tuple[Slots, Floats]:
        """Slot and wire integers a rupee of each token; the same columns are asked for many times a second."""
        if self._board.layout != self._layout or not np.array_equal(tokens, self._tokens):
            self._tokens, self._layout = tokens.copy(), self._board.layout
            self._slots = self._board.slots_of(tokens.tolist())
            self._scale = np.array([10.0 ** price_decimals(token) for token in tokens.tolist()])
        return self._slots, self._scale


def _walked(words: npt.NDArray[np.uint32], quantities: Integers) -> _Walk:
    """Take each quantity from the side it would meet, best level first."""
    is_long = (quantities > 0)[:, np.newaxis]
    prices = np.where(is_long, words[:, _BID_PRICES], words[:, _ASK_PRICES]).astype(np.int64)
    sizes = np.where(is_long, words[:, _BID_ROWS], words[:, _ASK_ROWS]).astype(np.int64)
    sizes[prices == 0] = 0
    before = np.cumsum(sizes, axis=1) - sizes
    taken = np.clip(np.abs(quantities)[:, np.newaxis] - before, 0, sizes)
    return _Walk(taken.sum(axis=1), (taken * prices).sum(axis=1))


def _marks(
    state: QuoteState,
    quantity: int,
    *,
    unit: Decimal,
    last: int,
    book: tuple[int, int] | None,
    walk: tuple[int, int],
) -> InstrumentMarks:
    """Put one instrument's marks together; ``book`` is best bid and ask, ``walk`` units found and what they cost."""
    reasons: dict[Mark, str] = {}
    mid = exit_price = None
    if not last:
        reasons[Mark.LAST] = _STATE_REASONS[state] if state is QuoteState.UNKNOWN else _NEVER_TRADED
    blocked = _STATE_REASONS.get(state) or (_NO_DEPTH if book is None else None)
    if blocked is not None or book is None:
        reasons[Mark.MID] = reasons[Mark.EXIT] = blocked or _NO_DEPTH
    else:
        bid, ask = book
        if bid and ask:
            mid = (bid + ask) * unit / 2
        else:
            reasons[Mark.MID] = _missing_sides(bid, ask)
        found, paid = walk
        wanted = abs(quantity)
        if not wanted:
            reasons[Mark.EXIT] = _NOT_HELD
        elif found < wanted:
            side = "bids" if quantity > 0 else "asks"
            reasons[Mark.EXIT] = f"only {found:,} of {wanted:,} units in the {side}"
        else:
            exit_price = paid * unit / wanted
    price = last * unit if last else None
    return InstrumentMarks(state, price, mid, exit_price, reasons or _NO_REASONS)


def _missing_sides(bid: int, ask: int) -> str:
    if not bid and not ask:
        return "the book is empty"
    return "no ask" if bid else "no bid"


def _absent() -> InstrumentMarks:
    reasons = dict.fromkeys(Mark, _NOT_WATCHED)
    return InstrumentMarks(QuoteState.UNKNOWN, None, None, None, reasons)
