"""What leaving now would cost at the book that is shown, against the mid."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.core.money import ZERO
from engine.core.plans import ExitGoal
from engine.core.quotes import walk_depth
from engine.core.vocabulary import Side
from engine.execution.facts import MarketFacts
from engine.execution.plans.exit_goals import closing_side
from engine.execution.plans.exit_prices import mark_of, trusted
from engine.execution.words import grouped


def exit_costs(facts: MarketFacts, goals: Sequence[ExitGoal]) -> tuple[list[str], Decimal | None, list[str]]:
    """Rows in words, rupees lost against the mid by taking the visible book, and what is not known of that."""
    rows, notes, total = [], [], ZERO
    known = False
    for goal in sorted(goals, key=lambda goal: goal.signed_quantity > 0):
        side, quantity = closing_side(goal), abs(goal.signed_quantity)
        name = goal.instrument.tradingsymbol
        verb = "buys back" if side is Side.BUY else "sells"
        rows.append(f"{verb} {grouped(quantity)} {name}")
        instrument = facts.instrument(goal.instrument)
        raw = None if instrument is None else facts.quote(instrument)
        quote, mark = trusted(raw), mark_of(raw)
        if quote is None or mark is None:
            state = "unknown" if raw is None else raw.state.name
            notes.append(f"{name}: its quote is {state}; what leaving costs is not known.")
            continue
        walk = walk_depth(quote.asks if side is Side.BUY else quote.bids, quantity)
        if walk.average_price is not None:
            known = True
            total += (walk.average_price - mark) * side.sign * walk.filled
        if walk.filled < quantity:
            notes.append(f"{name}: the book shows {grouped(walk.filled)} of {grouped(quantity)}; the rest costs more.")
    return rows, total if known else None, notes
