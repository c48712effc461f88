"""What an exit says of itself: rows for a screen, and at the end its time and slippage as the exchange has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.money import ZERO
from engine.core.orders import OrderRecord
from engine.core.plans import PlanStep
from engine.core.vocabulary import Side
from engine.execution.plans.algorithm import PlanPicture
from engine.execution.plans.exit_goals import GoalStanding
from engine.execution.plans.plan_facts import Facts
from engine.execution.words import grouped, rupees

DECIDED = "d"
"""Fact ``d0``: the price that goal 0 was decided at."""
BEGAN, SLIPPAGE, ELAPSED = "began", "slippage", "elapsed_s"
"""Facts: when it began to act; at the end its slippage (rupees, + better than decided) and its market seconds."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What has been filled of a set of orders."""

    quantity: int
    value: Decimal
    """Sum of price × quantity, rupees."""
    last_at: datetime | None
    is_whole: bool
    """The trades of every filled unit have been read; otherwise averages stand in for them."""

    @property
    def average(self) -> Decimal | None:
        """Average price."""
        return self.value / self.quantity if self.quantity else None


def account_of(picture: PlanPicture, orders: Sequence[OrderRecord]) -> Account:
    """Fills of orders, from the broker's trades where they have been read."""
    quantity, value, last, whole = 0, ZERO, None, True
    for order in orders:
        if not order.filled_quantity:
            continue
        trades = picture.fills(order)
        moments = [trade.filled_at for trade in trades]
        if sum(trade.quantity for trade in trades) == order.filled_quantity:
            value += sum((trade.price * trade.quantity for trade in trades), ZERO)
        else:
            whole = False
            moments = [order.updated_at]
            if order.average_price is not None:
                value += order.average_price * order.filled_quantity
        quantity += order.filled_quantity
        last = max((*moments, *(() if last is None else (last,))))
    return Account(quantity=quantity, value=value, last_at=last, is_whole=whole)


def slippage_of(account: Account, side: Side, decided: Decimal | None) -> Decimal | None:
    """Rupees against the decided price, + is better; ``None`` before a fill or without a decided price."""
    if decided is None or not account.quantity:
        return None
    return (decided * account.quantity - account.value) * side.sign


def total_slippage(picture: PlanPicture, rows: Sequence[GoalStanding], facts: Facts) -> Decimal | None:
    """Over all goals, what was taken back included; ``None`` when no filled goal has a decided price."""
    total: Decimal | None = None
    for row in rows:
        decided = facts.price(f"{DECIDED}{row.index}")
        for orders, side in ((row.orders, row.side), (row.back, row.side.opposite)):
            part = slippage_of(account_of(picture, orders.orders), side, decided)
            if part is not None:
                total = part if total is None else total + part
    return total


def is_whole(picture: PlanPicture, rows: Sequence[GoalStanding]) -> bool:
    """Whether every fill's trade has been read."""
    return all(account_of(picture, (*row.orders.orders, *row.back.orders)).is_whole for row in rows)


def close_books(picture: PlanPicture, rows: Sequence[GoalStanding], facts: Facts) -> str:
    """Keep time and slippage in the facts; the last sentence of the plan."""
    orders = [order for row in rows for order in (*row.orders.orders, *row.back.orders)]
    account = account_of(picture, orders)
    began = facts.moment(BEGAN)
    words = "Flat" if all(not row.stays for row in rows) else "Done"
    if began is not None and account.last_at is not None:
        seconds = max(0.0, (account.last_at - began).total_seconds())
        facts.text[ELAPSED] = f"{seconds:.3f}"
        words += f" in {seconds:.1f} s of the market"
    slippage = total_slippage(picture, rows, facts)
    if slippage is not None:
        facts.text[SLIPPAGE] = str(slippage)
        words += f", slippage {'+' if slippage > 0 else ''}{rupees(slippage)}"
    words += f", {grouped(account.quantity)} units traded."
    elsewhere = [
        f"{grouped(row.closed_elsewhere)} of {row.goal.instrument.tradingsymbol}"
        for row in rows
        if row.closed_elsewhere
    ]
    if elsewhere:
        words += f" Closed elsewhere meanwhile: {', '.join(elsewhere)}."
    back = [f"{grouped(row.back.filled)} of {row.goal.instrument.tradingsymbol}" for row in rows if row.back.filled]
    if back:
        words += f" Taken too much beside a stop or a late order, and taken back: {', '.join(back)}."
    standing = [
        f"{net:+,d} of {row.goal.instrument.tradingsymbol}"
        for row in rows
        if row.goal.strategy is None and not row.stays and (net := picture.net(row.goal.instrument, row.goal.product))
    ]
    if standing:
        words += f" The account's net has grown or lags: {', '.join(standing)}."
    return words


def left_words(rows: Sequence[GoalStanding]) -> str:
    """``650 of NIFTY26D0124950CE, 325 of …``; empty when nothing is left."""
    return ", ".join(f"{grouped(row.left)} of {row.goal.instrument.tradingsymbol}" for row in rows if row.left)


def exit_steps(picture: PlanPicture, rows: Sequence[GoalStanding], waits: frozenset[int]) -> tuple[PlanStep, ...]:
    """One row a goal; ``waits`` are goals that shorts are in the way of."""
    facts = Facts(picture.plan.progress.facts)
    found = []
    for row in rows:
        account = account_of(picture, row.orders.orders)
        state = "WORKS"
        if row.is_flat:
            state = "FLAT" if not row.stays else "DONE"
        elif picture.plan.state.is_over:
            state = "FAILED"
        elif row.index in waits and not row.orders.working:
            state = "WAITS"
        strategy = "" if row.goal.strategy is None else f"#{row.goal.strategy} "
        found.append(
            PlanStep(
                words=f"{strategy}{row.side} {grouped(row.quantity)} {row.goal.instrument.tradingsymbol}",
                state=state,
                filled=account.quantity,
                quantity=row.quantity,
                orders=tuple(order.number for order in (*row.orders.orders, *row.back.orders)),
                average_price=account.average,
                decided_price=facts.price(f"{DECIDED}{row.index}"),
            )
        )
    return tuple(found)
