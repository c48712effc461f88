"""What the broker has said of orders' margin: asked once, kept a while, and never waited for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.core.errors import BrokerUnavailable
from engine.core.funds_margin import BasketMargin, MarginParts
from engine.core.identifiers import StrategyNumber
from engine.core.orders import OrderRequest
from engine.margin_cache import ASKING_MAX, FRESH_S, KEPT_MAX, PATIENCE_S, MarginCache
from tests.kit.fake_broker import FakeBroker
from tests.unit.execution.desk import ACCOUNT, ManualClock, buy, settle

ANSWER = BasketMargin(
    initial=Decimal(1200), final=Decimal(900), orders=(Decimal(1200),), final_parts=MarginParts(span=Decimal(900))
)


class Broker(FakeBroker):
    """Counts and holds questions about margin."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(ACCOUNT, clock)
        self.questions: list[OrderRequest] = []
        self.gate: asyncio.Event | None = None
        self.margins = ANSWER
        self.trouble: BrokerUnavailable | None = None

    async def basket_margins(
        self,
        requests: Sequence[OrderRequest],
        *,
        consider_positions: bool = True,
    ) -> BasketMargin:
        self.questions += requests
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return await super().basket_margins(requests, consider_positions=consider_positions)


class Cache:
    """A cache with its clock, its broker and a revision that a test sets."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker = Broker(self.clock)
        self.revision = 0
        self.cache = MarginCache(self.broker, self.clock, lambda: self.revision)


async def test_an_answer_is_kept_with_its_age() -> None:
    """It is asked for again when it is no longer fresh; where fills belong does not matter."""
    desk = Cache()
    assert desk.cache.seen(buy()) is None
    await desk.cache.know(buy())
    seen = desk.cache.seen(buy(strategy=StrategyNumber(3)))
    assert seen is not None
    assert (seen.needed, seen.raises, seen.age_s) == (Decimal(1200), True, 0.0)
    assert desk.cache.needed(buy()) == Decimal(1200)
    await desk.clock.advance(FRESH_S / 2)
    await desk.cache.know(buy())
    assert len(desk.broker.questions) == 1
    await desk.clock.advance(FRESH_S)
    await desk.cache.know(buy())
    assert len(desk.broker.questions) == 2
    assert desk.cache.seen(buy(130)) is None


async def test_whether_the_margin_grows_is_known_for_the_account_as_it_was() -> None:
    """After another order it is not known any more; what must be free still is, nearly."""
    desk = Cache()
    await desk.cache.know(buy())
    desk.revision += 1
    seen = desk.cache.seen(buy())
    assert seen is not None
    assert (seen.needed, seen.raises) == (Decimal(1200), False)


async def test_nobody_waits_long_and_an_error_leaves_it_unknown() -> None:
    """After the patience it goes on without; the answer is there when it comes."""
    desk = Cache()
    desk.broker.gate = asyncio.Event()
    asking = asyncio.ensure_future(desk.cache.know(buy()))
    await desk.clock.advance(PATIENCE_S / 2)
    assert not asking.done()
    await desk.clock.advance(PATIENCE_S)
    await asking
    assert desk.cache.seen(buy()) is None
    desk.broker.gate.set()
    await settle()
    assert desk.cache.seen(buy()) is not None
    desk.broker.trouble = BrokerUnavailable("no connection")
    await desk.cache.know(buy(130))
    assert desk.cache.seen(buy(130)) is None


async def test_questions_and_answers_are_bounded() -> None:
    """Beyond a few on the wire none is asked, and the oldest answers go."""
    desk = Cache()
    desk.broker.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(desk.cache.know(buy(65 * (lots + 1)))) for lots in range(ASKING_MAX + 3)]
    await desk.clock.advance(PATIENCE_S)
    await asyncio.gather(*waiting)
    assert len(desk.broker.questions) == ASKING_MAX
    await desk.cache.close()
    desk.broker.gate = None
    for lots in range(KEPT_MAX + 2):
        await desk.cache.know(msgspec.structs.replace(buy(), quantity=65 * (lots + 1)))
    assert desk.cache.seen(buy(65)) is None
    assert desk.cache.seen(buy(65 * (KEPT_MAX + 2))) is not None
