"""When an exit and a guard both fill: what is then held against everybody's intention, and the order that takes it off.

Pure functions of the day's fills. A fill of an order that could only take away when it was made, and that carries the
net through zero or on beyond it, has overshot by so many units. Whatever trades against them afterwards, a reversal
among it, makes them fewer. A reversal never counts as having overshot, so that one can never cause another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.ledger import trade_reference
from engine.core.orders import OrderRecord, OrderState, Trade
from engine.core.vocabulary import Side
from engine.execution.housekeeping import RESTING, Ask, Holdings, PositionKey
from engine.execution.words import grouped

REVERSAL_PREFIX = "hk/over/"
"""Keys of reversals: this, the fill that overshot, and which attempt it is."""


class FilledBy(msgspec.Struct, frozen=True, kw_only=True):
    """Whose fill it is."""

    number: OrderNumber
    strategy: StrategyNumber
    takes_away: bool
    """When it was made, it could only take away what was held."""
    is_reversal: bool


class Overshoot(msgspec.Struct, frozen=True, kw_only=True):
    """Units that one fill has bought or sold too many, as far as nothing has taken them off since."""

    reference: str
    """Of the fill."""
    number: OrderNumber
    strategy: StrategyNumber
    side: Side
    """Of the fill; the reversal has the other one."""
    quantity: int
    at: datetime
    """Aware UTC."""


class Reverse(msgspec.Struct, frozen=True, kw_only=True):
    """Send one order that takes an overshoot off."""

    key: PositionKey
    side: Side
    quantity: int
    strategy: StrategyNumber
    idempotency_key: str
    words: str


class OvershootLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a reversal may be."""

    window: timedelta
    """An older overshoot is asked about: somebody may have seen it and want to keep it."""
    attempts_max: int
    """Reversals of one fill; the next one only when the one before has ended."""


def overshoots(
    carried: int, net: int, fills: Sequence[Trade], filled_by: Callable[[Trade], FilledBy | None]
) -> tuple[Overshoot, ...]:
    """What of one contract and product is held because of fills that went too far, oldest first.

    Nothing is said when the fills do not lead from ``carried`` to ``net``: one is missing, or units were converted.

    Args:
        carried: Signed units held when the day began.
        net: Signed units held after all of ``fills``.
        fills: The day's, of this contract and product, in any order.
        filled_by: Whose a fill is; ``None`` for an order from outside.
    """
    ordered = sorted(fills, key=lambda fill: (fill.filled_at, not _takes_away(filled_by(fill)), fill.trade_id))
    held = carried
    if carried + sum(fill.signed_quantity for fill in ordered) != net:
        return ()
    found: list[Overshoot] = []
    for fill in ordered:
        before, held = held, held + fill.signed_quantity
        sign = fill.side.sign
        left = fill.quantity
        for place, earlier in enumerate(found):
            if earlier.side is not fill.side and left:
                taken = min(left, earlier.quantity)
                found[place] = msgspec.structs.replace(earlier, quantity=earlier.quantity - taken)
                left -= taken
        found = [item for item in found if item.quantity and item.side.sign * held > 0]
        beyond = max(0, held * sign) - max(0, before * sign)
        whose = filled_by(fill)
        if whose is not None and whose.takes_away and not whose.is_reversal and beyond > 0:
            found.append(
                Overshoot(
                    reference=trade_reference(fill),
                    number=whose.number,
                    strategy=whose.strategy,
                    side=fill.side,
                    quantity=beyond,
                    at=fill.filled_at,
                )
            )
    return tuple(found)


def reversals(
    key: PositionKey,
    found: Sequence[Overshoot],
    holdings: Holdings,
    working: Sequence[OrderRecord],
    earlier: Mapping[str, OrderRecord],
    *,
    now: datetime,
    limits: OvershootLimits,
    quantity_max: int | None,
) -> tuple[Reverse | Ask, ...]:
    """The one order that is due now, if any, and what a person should decide; nothing while something has to settle.

    Args:
        key: The contract and product.
        found: Its overshoots.
        holdings: What is held; the broker's part was read after the fills.
        working: Orders of the account that may still trade.
        earlier: Orders by their idempotency key, ended ones too.
        now: Market time.
        limits: What is allowed.
        quantity_max: The most units that one order takes; ``None`` when it is not known.
    """
    here = [record for record in working if PositionKey.of(record.request) == key]
    if any(record.state not in RESTING or is_reversal(record) for record in here):
        # Unknown, on the wire, or a reversal: one of them may take it off, or make it larger.
        return ()
    asked: list[Ask] = []
    for item in found:
        step = _step(key, item, holdings, here, earlier, now=now, limits=limits, quantity_max=quantity_max)
        if isinstance(step, Reverse):
            return (*asked, step)
        if step is not None:
            asked.append(step)
    return tuple(asked)


def _step(
    key: PositionKey,
    item: Overshoot,
    holdings: Holdings,
    here: Sequence[OrderRecord],
    earlier: Mapping[str, OrderRecord],
    *,
    now: datetime,
    limits: OvershootLimits,
    quantity_max: int | None,
) -> Reverse | Ask | None:
    sign, out = item.side.sign, item.side.opposite
    what = f"o{item.number} went too far by {item.side} {grouped(item.quantity)} of {key}"
    ask = f"overshoot {item.reference}"
    if now - item.at > limits.window:
        words = f"{what}, and nobody has taken it off: decide whether it is to stay."
        return Ask(key=ask, words=words, number=item.number)
    leaving = sum(record.remaining_quantity for record in here if record.request.side is out)
    held = min(holdings.ledger.get(key, 0) * sign, holdings.broker.get(key, 0) * sign)
    units = min(item.quantity, held - leaving)
    if units <= 0:
        return None
    if holdings.strategies.get((item.strategy, key), 0) * sign < units:
        words = f"{what}, and #{item.strategy} does not hold it: look at the strategies that trade it."
        return Ask(key=f"{ask} strategy", words=words, number=item.number)
    prefix = f"{REVERSAL_PREFIX}{item.reference}/"
    attempts = [record for name, record in earlier.items() if name.startswith(prefix)]
    if len([record for record in attempts if record.state is not OrderState.COMPLETE]) >= limits.attempts_max:
        words = f"{what}; {len(attempts)} reversals did not take it off: take it off by hand."
        return Ask(key=f"{ask} attempts", words=words, number=item.number)
    return Reverse(
        key=key,
        side=out,
        quantity=units if quantity_max is None else min(units, quantity_max),
        strategy=item.strategy,
        idempotency_key=f"{prefix}{len(attempts) + 1}",
        words=f"{what}: an exit and its guard both filled",
    )


def is_reversal(record: OrderRecord) -> bool:
    """Whether an order was made to take an overshoot off."""
    return (record.idempotency_key or "").startswith(REVERSAL_PREFIX)


def _takes_away(whose: FilledBy | None) -> bool:
    return whose is not None and whose.takes_away
