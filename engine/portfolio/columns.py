"""The fast path: every open leg of every strategy valued on three marks at once, in float64 and int64 columns.

Layout changes only when the ledger does; a valuation is a handful of numpy passes over the legs. It agrees with the
Decimal view to float64 precision, and on ``last`` its exact Decimal can be recovered (see ``exact_last``): the sum of
quantity × last is a whole number of 1/``PRICE_UNITS`` as long as prices have at most that many places.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.core.identifiers import StrategyNumber
from engine.core.money import ZERO
from engine.core.views import Floats, Integers
from engine.core.vocabulary import Mark
from engine.portfolio.book import PortfolioBook
from engine.portfolio.marks import MarkColumns, Marks
from engine.portfolio.valuation import MARKS

PRICE_PLACES: Final = 4
"""Exchange prices have at most four decimal places (currency derivatives)."""
PRICE_UNITS: Final = 10**PRICE_PLACES
EXACT_MAX: Final = 1e10
"""Rupees up to which a float64 sum still tells neighbouring multiples of the price unit apart with room to spare."""

Bools = npt.NDArray[np.bool_]


class LegColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Open legs of the book, one element each, grouped by strategy; and one element per strategy."""

    revision: int
    """Of the book it was made from."""
    numbers: tuple[StrategyNumber, ...]
    """Active strategies, by number; shape (m,)."""
    token: Integers
    signed_quantity: Integers
    weight: Floats
    """Signed quantity × multiplier."""
    fixed: Floats
    """Realised − weight × average price: what the leg is worth besides weight × mark."""
    strategy_index: npt.NDArray[np.intp]
    closed: Floats
    """Realised of each strategy's flat legs; shape (m,)."""
    exact_fixed: tuple[Decimal, ...]
    """``closed`` plus the sum of ``fixed``, exact; shape (m,)."""
    open_count: npt.NDArray[np.intp]
    """Open legs of each strategy; shape (m,)."""


class FastValues(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Every strategy's money now; arrays of shape (m,)."""

    profit: dict[Mark, Floats]
    """Sum over the legs that have the mark, rupees, gross."""
    missing: dict[Mark, npt.NDArray[np.intp]]
    """How many legs each sum leaves out."""
    last_sum: Floats
    """Σ weight × last of the legs that have it, without the fixed part."""
    trusted: Bools
    """Every open leg's path is live."""


def build_columns(book: PortfolioBook) -> LegColumns:
    """Lay the book's open legs out in columns."""
    strategies = book.strategies()
    tokens: list[int] = []
    quantities: list[int] = []
    weights: list[float] = []
    fixed: list[float] = []
    index: list[int] = []
    closed: list[float] = []
    exact: list[Decimal] = []
    for place, strategy in enumerate(strategies):
        whole = flat = ZERO
        for standing in book.standings(strategy.number):
            leg, holding = standing.leg, standing.leg.holding
            if not holding.signed_quantity:
                flat += holding.realised
                continue
            weight = holding.signed_quantity * leg.multiplier
            part = holding.realised - weight * holding.average_price
            whole += part
            tokens.append(leg.token)
            quantities.append(holding.signed_quantity)
            weights.append(float(weight))
            fixed.append(float(part))
            index.append(place)
        closed.append(float(flat))
        exact.append(whole + flat)
    strategy_index = np.array(index, dtype=np.intp)
    return LegColumns(
        revision=book.revision,
        numbers=tuple(strategy.number for strategy in strategies),
        token=np.array(tokens, dtype=np.int64),
        signed_quantity=np.array(quantities, dtype=np.int64),
        weight=np.array(weights, dtype=np.float64),
        fixed=np.array(fixed, dtype=np.float64),
        strategy_index=strategy_index,
        closed=np.array(closed, dtype=np.float64),
        exact_fixed=tuple(exact),
        open_count=np.bincount(strategy_index, minlength=len(strategies)),
    )


def evaluate(legs: LegColumns, marks: MarkColumns) -> FastValues:
    """Value every strategy on the three marks; ``marks`` has one element per leg of ``legs``."""
    count = len(legs.numbers)
    profit: dict[Mark, Floats] = {}
    missing: dict[Mark, npt.NDArray[np.intp]] = {}
    for mark in MARKS:
        moving = legs.weight * marks.of(mark)
        known = np.isfinite(moving)
        money = np.where(known, moving + legs.fixed, 0.0)
        profit[mark] = legs.closed + np.bincount(legs.strategy_index, weights=money, minlength=count)
        missing[mark] = np.bincount(legs.strategy_index[~known], minlength=count)
    moving = legs.weight * marks.last
    moving = np.where(np.isfinite(moving), moving, 0.0)
    last_sum = np.bincount(legs.strategy_index, weights=moving, minlength=count).astype(np.float64)
    suspect = np.bincount(legs.strategy_index[~marks.trusted], minlength=count)
    return FastValues(profit=profit, missing=missing, last_sum=last_sum, trusted=suspect == 0)


def evaluate_book(legs: LegColumns, marks: Marks) -> FastValues:
    """Ask for the marks and value."""
    return evaluate(legs, marks.columns(legs.token, legs.signed_quantity))


def exact_last(legs: LegColumns, last_sum: Floats) -> list[Decimal | None]:
    """The exact profit on ``last`` of each strategy whose legs all have it; ``None`` beyond ``EXACT_MAX`` rupees."""
    carried = np.abs(last_sum) <= EXACT_MAX
    units = np.rint(np.where(carried, last_sum, 0.0) * PRICE_UNITS).astype(np.int64).tolist()
    return [
        Decimal(unit).scaleb(-PRICE_PLACES) + fixed if is_carried else None
        for unit, fixed, is_carried in zip(units, legs.exact_fixed, carried.tolist(), strict=True)
    ]
