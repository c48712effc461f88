"""When the day's locks fall: pure functions of the day's figures, the limits, and the time.

A figure that is not known is never guessed. With bounds a lock falls when even the better bound is beyond the limit;
when the limit lies between the bounds the judgement is BLIND, and says so. What a lock blocks is decided here too:
an order that works against what is held, up to its size, is an exit whatever else is true, and always goes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.locks import LockKind
from engine.core.orders import OrderRequest
from engine.core.vocabulary import OrderType
from engine.execution.facts import CheckContext
from engine.execution.risk import net_position
from engine.execution.settings import LockLimits
from engine.execution.words import grouped, grouped_decimal

TRIGGERED = frozenset({OrderType.SL, OrderType.SL_M})


class DayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's day looks like now. Money is net of charges, at what leaving now would get, rupees."""

    low: Decimal | None
    """The least it can be; ``None`` when nothing bounds it."""
    high: Decimal | None
    """The most it can be; equal to ``low`` when it is known."""
    missing: str = ""
    """What keeps it from being known: ``2.1 has no bid``."""
    trades: int = 0
    """Orders that opened or enlarged a leg today."""
    losing_run: int = 0
    """Exits in a row, up to the last, that lost money."""
    last_exit: Decimal | None = None
    """What the last exit made, before charges."""
    last_exit_at: datetime | None = None
    """Aware UTC, market clock."""

    @property
    def is_known(self) -> bool:
        """Whether the money is exact."""
        return self.low is not None and self.low == self.high


class Fallen(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that falls now."""

    kind: LockKind
    until: datetime
    """Aware UTC, market clock."""
    words: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the limits say of a day."""

    fallen: tuple[Fallen, ...] = ()
    blind: str = ""
    """Why a money lock can neither be proved nor excluded; empty when all can."""


def judge_day(limits: LockLimits, day: DayFigures, *, now: datetime, day_ends: datetime) -> Judged:
    """Which locks fall on these figures.

    Args:
        limits: What is allowed.
        day: The figures.
        now: Aware UTC, market clock.
        day_ends: When the exchange's day ends, aware UTC, market clock.
    """
    fallen: list[Fallen] = []
    blind: list[str] = []
    if limits.daily_loss is not None:
        edge = -limits.daily_loss
        if day.high is not None and day.high <= edge:
            words = f"day net {_shown(day)}, limit {grouped_decimal(edge)}"
            fallen.append(Fallen(kind=LockKind.DAILY_LOSS, until=day_ends, words=words))
        elif day.low is None or day.low <= edge:
            blind.append(f"the daily loss lock at {grouped_decimal(edge)}")
    if limits.daily_profit is not None:
        edge = limits.daily_profit
        if day.low is not None and day.low >= edge:
            words = f"day net {_shown(day)}, target {grouped_decimal(edge)}"
            fallen.append(Fallen(kind=LockKind.DAILY_PROFIT, until=day_ends, words=words))
        elif day.high is None or day.high >= edge:
            blind.append(f"the daily profit lock at {grouped_decimal(edge)}")
    if limits.trades_per_day is not None and day.trades >= limits.trades_per_day:
        words = f"{grouped(day.trades)} trades today, limit {grouped(limits.trades_per_day)}"
        fallen.append(Fallen(kind=LockKind.TRADE_COUNT, until=day_ends, words=words))
    cool = _cool_down(limits, day, now)
    if cool is not None:
        fallen.append(cool)
    return Judged(fallen=tuple(fallen), blind=_blind_words(blind, day))


def is_exit(request: OrderRequest, context: CheckContext) -> bool:
    """Whether an order can only take a held position away, as far as locks are concerned.

    Stops that rest are not counted against it: an exit and the stop that guards the same position stand beside each
    other, and the stop goes when the leg is flat. Nothing is an exit while positions are not known.
    """
    left: int | None = None
    for this_product in (True, False):
        net = net_position(request, context, this_product=this_product)
        if net is None or net * request.side.sign >= 0:
            return False
        spoken_for = sum(
            order.remaining_quantity
            for order in context.working
            if order.request.instrument == request.instrument
            and order.request.side is request.side
            and order.request.order_type not in TRIGGERED
            and (not this_product or order.request.product is request.product)
        )
        # A stop may not be kept from going by the exit it stands behind either.
        free = abs(net) if request.order_type in TRIGGERED else max(0, abs(net) - spoken_for)
        left = free if left is None else min(left, free)
    return left is not None and request.quantity <= left


def is_resting_entry(request: OrderRequest, context: CheckContext) -> bool:
    """Whether a hold cancels a resting order, its quantity being what is still open.

    A triggered order against a position is a stop, too large or not, and stays; any other order stays if it is no
    larger than the position it works against. While positions are not known only triggered orders stay.
    """
    net = net_position(request, context, this_product=True)
    is_triggered = request.order_type in TRIGGERED
    if net is None:
        return not is_triggered
    if net * request.side.sign >= 0:
        return True
    return not is_triggered and request.quantity > abs(net)


def _cool_down(limits: LockLimits, day: DayFigures, now: datetime) -> Fallen | None:
    if day.last_exit_at is None or day.last_exit is None or day.last_exit >= 0:
        return None
    until = day.last_exit_at + timedelta(seconds=limits.cool_down_s)
    if now >= until:
        return None
    if limits.losing_exit is not None and day.last_exit <= -limits.losing_exit:
        words = f"an exit lost {grouped_decimal(-day.last_exit)}, limit {grouped_decimal(limits.losing_exit)}"
    elif limits.losing_exits is not None and day.losing_run >= limits.losing_exits:
        words = f"{day.losing_run} losing exits in a row, limit {limits.losing_exits}"
    else:
        return None
    return Fallen(kind=LockKind.COOL_DOWN, until=until, words=words)


def _shown(day: DayFigures) -> str:
    if day.is_known and day.low is not None:
        return grouped_decimal(day.low)
    low = "no bound" if day.low is None else grouped_decimal(day.low)
    high = "no bound" if day.high is None else grouped_decimal(day.high)
    return f"between {low} and {high}"


def _blind_words(blind: list[str], day: DayFigures) -> str:
    if not blind:
        return ""
    why = f" ({day.missing})" if day.missing else ""
    return f"BLIND: {' and '.join(blind)} can neither be proved nor excluded: day net {_shown(day)}{why}."
