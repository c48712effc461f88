"""Why the money moved: the change of a strategy's value, split into the moves of the market and what trading cost.

Between two marks a leg's price changes by

    delta dF + gamma dF**2 / 2 + theta dt + vega dv + vanna dF dv + volga dv**2 / 2 + rho dr + residual

with the Greeks of the first mark (forward ``F``, volatility ``v``, time, rate). The delta is to the expiry's forward,
so the basis is no part of it. A ledger adds such segments up, at any pace: the shorter they are, the smaller the
residual. Trades change the quantity between two segments and add the spread they paid and their costs. A forward that
bounces between bid and ask is movement like any other here: fed every second, the bounce shows as gamma against delta
(never in the sum). Feed a steady forward, or no faster than its moves mean something.

Where a mark lacks what is needed, the leg's move is carried as *unexplained*, with a reason, and is explained in one
longer segment once the leg is marked completely again (unless its quantity has changed meanwhile).

Invariant: what an :class:`Attribution` lists adds up to its change exactly, in float64, in any order: every amount is a
multiple of ``2**-14`` (0.00006 rupees) and below ``2**38``, so that their sums have no rounding, and the residual is
the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.analytics.arrays import DAYS_PER_YEAR, PER_PERCENTAGE_POINT, BoolArray, CodeArray, FloatArray
from engine.analytics.legs import LegKind
from engine.analytics.second_order import all_greeks

QUANTA_PER_UNIT: Final = 2.0**14
"""Amounts are reported as whole multiples of one over this."""

PAISA: Final = Decimal("0.01")


class AttributionReason(IntEnum):
    """Why a part of the change is unexplained; stored as one byte."""

    OK = 0
    NO_PRICE = 1
    """No price now: the leg is held at its last one, and its move since is not in the change yet."""
    NO_FORWARD = 2
    NO_VOLATILITY = 3
    NO_TIME = 4
    NO_RATE = 5
    NO_START = 6
    """The position was there before the first complete mark."""
    NO_GREEKS = 7
    """The Greeks at the segment's start have no value (at the money at the expiry instant)."""
    NO_MID = 8
    """A trade came without the middle of the market: what it paid in spread is unknown."""
    BAD_FILL = 9
    """A trade or its costs were no numbers: the leg is left out of the change altogether."""


class LegMarks(NamedTuple):
    """What legs are marked at, at one instant, shape ``(n,)``; NaN where unknown."""

    price: FloatArray
    """The mark, index points: always of one kind (last, mid or exit)."""
    forward: FloatArray
    """Of the leg's own expiry; a future's own price."""
    volatility: FloatArray
    """Annual, implied by the price; not needed for futures."""
    years: FloatArray
    """ACT/365 to the leg's expiry; not needed for futures."""


class Moves(NamedTuple):
    """Parts of a price change, index points per unit, shape ``(n,)``; NaN where the Greeks have no value."""

    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    vanna: FloatArray
    volga: FloatArray
    rate: FloatArray


class Attribution(NamedTuple):
    """The change of a value and its parts, in money; ``change`` equals the sum of all others exactly."""

    change: float
    """Net of costs, since the ledger began; legs with ``BAD_FILL`` left out."""
    delta: float
    gamma: float
    """``gamma dF**2 / 2``"""
    theta: float
    vega: float
    vanna: float
    volga: float
    """``volga dv**2 / 2``"""
    rate: float
    spread: float
    """Paid by trading away from the middle of the market; negative when paid."""
    costs: float
    """Negative."""
    unexplained: float
    """Moves without complete marks; ``reasons`` says why."""
    residual: float
    """What the parts leave: higher orders, and marks that differ from the middle at a trade."""
    reasons: tuple[tuple[int, AttributionReason], ...]
    """Slots whose change is not fully explained, ascending."""

    @property
    def parts(self) -> tuple[float, ...]:
        """Everything that adds up to the change."""
        return self[1:-1]


def moves(
    kind: CodeArray,
    strike: FloatArray,
    before: LegMarks,
    after: LegMarks,
    *,
    rate_before: FloatArray | float,
    rate_after: FloatArray | float,
) -> Moves:
    """Return the parts of the price changes between two marks.

    Args:
        kind: members of :class:`~engine.analytics.legs.LegKind`, shape ``(n,)``.
        strike: index points, shape ``(n,)``.
        before: marks at the start, whose Greeks are used.
        after: marks at the end.
        rate_before: continuously compounded, 0.065 = 6.5 %.
        rate_after: the same at the end.

    Returns:
        NaN for options without Greeks at the start or without a mark at the end. Futures have delta alone, cash
        nothing.
    """
    option = kind <= LegKind.PUT
    with np.errstate(all="ignore"):
        forward = after.forward - before.forward
        plain = np.where(kind == LegKind.FUTURE, forward, 0.0)
        if not option.any():
            return Moves(plain, *(np.zeros(kind.shape) for _ in Moves._fields[1:]))
        start = all_greeks(
            before.forward, strike, before.years, rate_before, before.volatility, is_call=kind == LegKind.CALL
        )
        volatility = (after.volatility - before.volatility) / PER_PERCENTAGE_POINT
        days = (before.years - after.years) * DAYS_PER_YEAR
        rate = (np.asarray(rate_after) - np.asarray(rate_before)) / PER_PERCENTAGE_POINT
        modelled = Moves(
            delta=start.delta * forward,
            gamma=0.5 * start.gamma * forward * forward,
            theta=start.theta * days,
            vega=start.vega * volatility,
            vanna=start.vanna * forward * volatility,
            volga=0.5 * start.vomma * volatility * volatility,
            rate=start.rho * rate,
        )
    return Moves(
        *(
            np.where(option, part, plain if name == "delta" else 0.0)
            for name, part in zip(Moves._fields, modelled, strict=True)
        )
    )


class _Row(IntEnum):
    """Rows of the ledger's table; one column per leg."""

    STRIKE = 0
    MULTIPLIER = 1
    QUANTITY = 2
    PRICE = 3
    """Last known mark; NaN before the first."""
    START_PRICE = 4
    """Where the move that is not explained yet began."""
    START_FORWARD = 5
    START_VOLATILITY = 6
    START_YEARS = 7
    START_RATE = 8
    PAID = 9
    """Money paid for all quantity bought, less received for sold."""
    COSTS = 10
    SPREAD = 11
    UNEXPLAINED = 12
    FIRST_PART = 13
    """The parts follow, in the order of :class:`Moves`."""


_PARTS: Final = slice(_Row.FIRST_PART, _Row.FIRST_PART + len(Moves._fields))
_EMPTY_COLUMN: Final = (0.0,) * 3 + (math.nan,) * 6 + (0.0,) * (_PARTS.stop - _Row.PAID)


class AttributionLedger:
    """Adds up why the legs of one strategy, or of a whole book, changed in value.

    Legs have slots: small integers, given once and kept, also after the leg is closed. For a fill, mark the slot at the
    market of that moment first, if it is known, and then tell the trade: the move up to the fill is explained with the
    old quantity, the fill's distance from the middle is the spread.
    """

    def __init__(self) -> None:
        self._table: FloatArray = np.empty((_PARTS.stop, 0))
        self._kind: CodeArray = np.empty(0, np.uint8)
        self._complete: BoolArray = np.empty(0, np.bool_)
        """Whether the start of the present segment has all that Greeks need."""
        self._now: CodeArray = np.empty(0, np.uint8)
        """What the last mark lacked."""
        self._why: CodeArray = np.empty(0, np.uint8)
        """Why something has been unexplained for good."""

    def add(self, kind: LegKind, *, strike: float = math.nan, multiplier: float = 1.0) -> int:
        """Make a slot for a leg, without any quantity yet.

        Args:
            kind: what it is.
            strike: index points, for options.
            multiplier: money per index point and unit.
        """
        column = np.array(_EMPTY_COLUMN)[:, None]
        column[_Row.STRIKE], column[_Row.MULTIPLIER] = strike, multiplier
        self._table = np.concatenate((self._table, column), axis=1)
        self._kind = np.append(self._kind, np.uint8(kind))
        self._complete = np.append(self._complete, False)
        self._now = np.append(self._now, np.uint8(AttributionReason.OK))
        self._why = np.append(self._why, np.uint8(AttributionReason.OK))
        return self._kind.size - 1

    def trade(self, slot: int, quantity: float, price: float, *, mid: float = math.nan, costs: float = 0.0) -> None:
        """Change a leg's quantity.

        A position that exists when the ledger begins is a trade at its opening value with that as ``mid``.

        Args:
            slot: from :meth:`add`.
            quantity: signed units bought (+) or sold (-).
            price: of the fill, index points.
            mid: middle of the market at the fill; NaN when unknown.
            costs: charges in money, positive.
        """
        column = self._table[:, slot]
        if self._now[slot] != AttributionReason.OK:
            self._close_segment(slot, mid)
        amount = quantity * column[_Row.MULTIPLIER]
        if math.isnan(column[_Row.PRICE]):
            # Nothing was known before: the leg is valued from here on.
            column[_Row.PRICE] = column[_Row.START_PRICE] = price if math.isnan(mid) else mid
        if math.isnan(mid):
            column[_Row.UNEXPLAINED] += amount * (column[_Row.PRICE] - price)
            self._why[slot] = AttributionReason.NO_MID
        else:
            column[_Row.SPREAD] += amount * (mid - price)
        column[_Row.QUANTITY] += quantity
        column[_Row.PAID] += amount * price
        column[_Row.COSTS] += costs

    def charge(self, slot: int, costs: float) -> None:
        """Add costs, in money, positive, that came apart from a trade."""
        self._table[_Row.COSTS, slot] += costs

    def mark(self, slots: NDArray[np.intp], marks: LegMarks, *, rate: float) -> None:
        """Value legs, and explain their moves since they were last marked completely.

        Args:
            slots: which legs, without repetition, shape ``(n,)``.
            marks: columns of shape ``(n,)``.
            rate: continuously compounded, 0.065 = 6.5 %.

        Raises:
            ValueError: a column does not have one element per slot, or a slot is repeated.
        """
        if any(np.shape(column) != slots.shape for column in marks) or np.unique(slots).size != slots.size:
            raise ValueError(
                f"{slots.size} slots with columns of {[np.shape(column) for column in marks]}: "
                "give one element per slot, and every slot once"
            )
        table, kind = self._table[:, slots], self._kind[slots]
        reason = _missing(kind, marks, rate)
        complete, started = reason == AttributionReason.OK, self._complete[slots]
        priced = np.isfinite(marks.price)
        first = priced & np.isnan(table[_Row.START_PRICE])
        table[_Row.START_PRICE, first] = marks.price[first]
        weight = table[_Row.QUANTITY] * table[_Row.MULTIPLIER]
        with np.errstate(all="ignore"):
            move = np.where(weight == 0.0, 0.0, weight * (marks.price - table[_Row.START_PRICE]))
        start = LegMarks(*table[_Row.START_PRICE : _Row.START_YEARS + 1])
        parts = np.stack(
            moves(kind, table[_Row.STRIKE], start, marks, rate_before=table[_Row.START_RATE], rate_after=rate)
        )
        held = weight != 0.0
        known = np.isfinite(parts).all(axis=0)
        explained = complete & started & known & held
        table[_PARTS, explained] += weight[explained] * parts[:, explained]
        lost = complete & ~(started & known) & held & (move != 0.0)
        table[_Row.UNEXPLAINED, lost] += move[lost]
        why = self._why[slots]
        why[lost] = np.where(started[lost], AttributionReason.NO_GREEKS, AttributionReason.NO_START)

        table[_Row.PRICE, priced] = marks.price[priced]
        for row, column in zip(range(_Row.START_PRICE, _Row.START_YEARS + 1), marks, strict=True):
            table[row, complete] = column[complete]
        table[_Row.START_RATE, complete] = rate
        self._table[:, slots] = table
        self._complete[slots] = started | complete
        self._why[slots] = why
        self._now[slots] = reason

    def report(self, slots: Iterable[int] | None = None) -> Attribution:
        """Return the change since the ledger began and its parts, for some legs or for all."""
        chosen = np.arange(self._kind.size) if slots is None else np.array(sorted(set(slots)), dtype=np.intp)
        table = self._table[:, chosen]
        with np.errstate(all="ignore"):
            weight = table[_Row.QUANTITY] * table[_Row.MULTIPLIER]
            value = np.where(weight == 0.0, 0.0, weight * table[_Row.PRICE])
            change = value - table[_Row.PAID] - table[_Row.COSTS]
            pending = np.where(weight == 0.0, 0.0, weight * (table[_Row.PRICE] - table[_Row.START_PRICE]))
        usable = np.isfinite(change)
        total = _exact(change[usable].sum())
        unexplained = table[_Row.UNEXPLAINED] + pending
        parts = [_exact(row.sum()) for row in table[_PARTS, usable]]
        parts += [_exact(row[usable].sum()) for row in (table[_Row.SPREAD], 0.0 - table[_Row.COSTS], unexplained)]
        reason = np.where((weight != 0.0) & (self._now[chosen] != AttributionReason.OK), self._now[chosen], 0)
        reason = np.where(reason == 0, self._why[chosen], reason)
        reason[~usable] = AttributionReason.BAD_FILL
        reasons = tuple(
            (int(slot), AttributionReason(code)) for slot, code in zip(chosen, reason.tolist(), strict=True) if code
        )
        return Attribution._make((total, *parts, total - sum(parts), reasons))

    def _close_segment(self, slot: int, mid: float) -> None:
        """Give up explaining a move whose end was marked incompletely: the quantity is about to change."""
        column = self._table[:, slot]
        if self._now[slot] == AttributionReason.NO_PRICE and not math.isnan(mid):
            column[_Row.PRICE] = mid
        weight = column[_Row.QUANTITY] * column[_Row.MULTIPLIER]
        if weight != 0.0 and column[_Row.PRICE] != column[_Row.START_PRICE]:
            column[_Row.UNEXPLAINED] += weight * (column[_Row.PRICE] - column[_Row.START_PRICE])
            self._why[slot] = self._now[slot]
        column[_Row.START_PRICE] = column[_Row.PRICE]
        self._complete[slot] = False


def in_money(attribution: Attribution, change: Decimal | None = None, step: Decimal = PAISA) -> dict[str, Decimal]:
    """Return the parts as money for a screen, by name, rounded so that they still add up to the change exactly.

    Args:
        attribution: the parts.
        change: the exact change, as the books have it; by default the attribution's own, rounded.
        step: what each part is rounded to; the residual takes what that leaves.
    """
    parts = {
        name: Decimal(value).quantize(step, ROUND_HALF_EVEN)
        for name, value in zip(Attribution._fields[1:-2], attribution.parts[:-1], strict=True)
    }
    whole = Decimal(attribution.change).quantize(step, ROUND_HALF_EVEN) if change is None else change
    return {"change": whole, **parts, "residual": whole - sum(parts.values())}


def _missing(kind: CodeArray, marks: LegMarks, rate: float) -> CodeArray:
    """Return what each mark lacks, members of :class:`AttributionReason`."""
    option, future = kind <= LegKind.PUT, kind == LegKind.FUTURE
    reason = np.zeros(kind.shape, dtype=np.uint8)
    with np.errstate(all="ignore"):
        blame = (
            (np.full(kind.shape, not math.isfinite(rate)) & option, AttributionReason.NO_RATE),
            (option & ~(np.isfinite(marks.volatility) & (marks.volatility >= 0.0)), AttributionReason.NO_VOLATILITY),
            (option & ~(np.isfinite(marks.years) & (marks.years >= 0.0)), AttributionReason.NO_TIME),
            (
                (option | future) & ~(np.isfinite(marks.forward) & (marks.forward > 0.0)),
                AttributionReason.NO_FORWARD,
            ),
            (~np.isfinite(marks.price), AttributionReason.NO_PRICE),
        )
    for where, code in blame:
        reason[where] = code
    return reason


def _exact(amount: float) -> float:
    """Round to the grid on which sums are exact."""
    return float(np.round(amount * QUANTA_PER_UNIT) / QUANTA_PER_UNIT)
