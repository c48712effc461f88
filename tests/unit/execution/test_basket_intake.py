"""What a basket is told before it is sent: its legs in turn, every refusal, and margins that are asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from engine.core.commands import PlaceBasket, Preview
from engine.core.errors import RateLimited
from engine.core.funds_margin import BasketMargin
from engine.core.orders import OrderRequest
from engine.core.plans import LegPlan, LegRole
from engine.core.vocabulary import Side
from engine.execution.plans.basket_intake import LIMITED_PAUSE_S, MARGIN_FRESH_S, MARGIN_PAUSE_S, BasketIntake
from tests.kit.fake_broker import option
from tests.unit.execution.desk import Desk, buy, sell
from tests.unit.execution.plan_desk import PlansDesk

WING, BODY = option(24_100), option(24_000)
SHORT = sell(price="105")
HEDGE = buy(price="105", instrument=WING.key)
BASKET = PlaceBasket(legs=(SHORT, HEDGE))
QUESTIONS = 3
"""Of two legs: each alone and both together."""


class Calculator:
    """The broker's calculator: a naked short blocks 1,000, a covered one 100, a bought one 10."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refusals = 0
        self.under_way = 0
        self.most_at_once = 0

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What they block together."""
        assert consider_positions
        self.asked.append(tuple(request.instrument.tradingsymbol for request in requests))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.refusals:
            self.refusals -= 1
            raise RateLimited("Too many requests.")
        sides = {request.side for request in requests}
        final = 10 if sides == {Side.BUY} else 1000 if sides == {Side.SELL} else 100
        return BasketMargin(initial=Decimal(final), final=Decimal(final), orders=())


def intake(desk: PlansDesk, calculator: Calculator) -> BasketIntake:
    """Baskets of the desk's account."""
    return BasketIntake(
        facts=desk.facts,
        judge=desk.executor,
        plans=desk.plans,
        margins=calculator,
        available=lambda: Decimal(10**6),
        clock=desk.clock,
    )


async def previewed(desk: Desk, baskets: BasketIntake, command: PlaceBasket = BASKET, pause_s: float = 1.0) -> Preview:
    """The preview, once the clock has moved over the pauses between questions."""
    asking = asyncio.ensure_future(baskets.preview(command))
    await desk.clock.advance(pause_s)
    return await asyncio.wait_for(asking, 1.0)


async def test_the_legs_stand_in_the_order_in_which_they_are_sent() -> None:
    """The hedge first, whichever was named first; ``ordered`` leaves them as they are."""
    async with PlansDesk() as desk:
        baskets = intake(desk, Calculator())
        preview = await previewed(desk, baskets)
        assert [(leg.index, leg.role) for leg in preview.legs] == [(1, LegRole.HEDGE), (0, LegRole.SHORT)]
        assert [leg.token for leg in preview.legs] == [WING.token, BODY.token]
        assert all(leg.quote is not None and leg.lot_size and leg.tick_size for leg in preview.legs)
        given = PlaceBasket(legs=BASKET.legs, leg_plan=LegPlan(hedge_first=False))
        assert [leg.index for leg in (await previewed(desk, baskets, given)).legs] == [0, 1]
        lone = await previewed(desk, baskets, PlaceBasket(legs=(HEDGE,)))
        assert [leg.role for leg in lone.legs] == [LegRole.LONG]


async def test_every_refusal_of_every_leg_is_told_at_once() -> None:
    """A price off the tick here, a broken lot there: both, with the number of the leg as it was written."""
    async with PlansDesk() as desk:
        wrong = PlaceBasket(legs=(sell(price="105.03"), buy(66, "105", instrument=WING.key)))
        preview = await previewed(desk, intake(desk, Calculator()), wrong)
        checks = [violation.check for violation in preview.violations]
        assert "leg 1 tick" in checks
        assert "leg 2 lot" in checks


async def test_a_basket_that_is_typed_asks_the_broker_once() -> None:
    """Looked at again and again within a moment, also at the same time, each set of legs is asked for once."""
    async with PlansDesk() as desk:
        calculator = Calculator()
        baskets = intake(desk, calculator)
        first, second = await asyncio.gather(previewed(desk, baskets), previewed(desk, baskets, pause_s=0.0))
        assert first.margin_paths == second.margin_paths
        assert first.margin_paths is not None
        assert first.margin_paths.chosen.after == (Decimal(10), Decimal(100))
        await previewed(desk, baskets, PlaceBasket(legs=BASKET.legs, leg_plan=LegPlan(fill_timeout_s=9)))
        assert len(calculator.asked) == len(set(calculator.asked)) == QUESTIONS
        assert calculator.most_at_once == 1
        await desk.clock.advance(MARGIN_FRESH_S)
        await previewed(desk, baskets)
        assert len(calculator.asked) == 2 * QUESTIONS


async def test_a_refusal_for_speed_is_waited_out_once() -> None:
    """The second refusal of one question leaves the margin unknown, and the preview says so."""
    async with PlansDesk() as desk:
        calculator = Calculator()
        calculator.refusals = 1
        pause_s = LIMITED_PAUSE_S + QUESTIONS * MARGIN_PAUSE_S
        assert (await previewed(desk, intake(desk, calculator), pause_s=pause_s)).margin_paths is not None
        calculator.refusals = 2
        preview = await previewed(desk, intake(desk, calculator), pause_s=pause_s)
        assert preview.margin_paths is None
        assert any("The margin on the way is not known" in note for note in preview.notes)
