"""What the fake engine's account holds at the start: three strategies, four orders, a few events."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.core.events import EventKind
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.orders import OrderRequest, OrderState
from engine.core.strategies import Strategy
from engine.core.vocabulary import InstrumentKind, Severity, Side

if TYPE_CHECKING:
    from tests.kit.fake_state import FakeEngineState

ACCOUNT = AccountId("AB1234")


def fill_book(engine: FakeEngineState) -> None:
    """Three strategies, four orders and a few events."""
    nifty, call, put = "NIFTY", InstrumentKind.CALL, InstrumentKind.PUT
    book = (
        ("main", ((0, 24_700, call, 1, "49.10"),)),
        (
            "condor-feb",
            (
                (1, 23_900, put, 2, "41.20"),
                (1, 24_100, put, -2, "88.75"),
                (1, 24_700, call, -2, "96.40"),
                (1, 24_900, call, 2, "58.05"),
            ),
        ),
        (
            "fly-0920",
            (
                (0, 24_350, call, -10, "185.35"),
                (0, 24_350, put, -10, "121.35"),
                (0, 24_950, call, 10, "14.30"),
                (0, 23_800, put, 10, "15.45"),
            ),
        ),
    )
    for number, (name, legs) in enumerate(book, start=1):
        engine.strategy_list.append(
            Strategy(
                number=StrategyNumber(number),
                account=ACCOUNT,
                name=name,
                is_default=number == 1,
                created_at=engine.clock.market_now(),
            )
        )
        engine.legs[number] = [
            engine.leg(number, place, engine.option(nifty, expiry, strike, kind).token, lots * 65, Decimal(price))
            for place, (expiry, strike, kind, lots, price) in enumerate(legs, start=1)
        ]
    orders = (
        (24_350, call, Side.SELL, 10, "185.35", OrderState.COMPLETE, 3),
        (24_700, call, Side.SELL, 1, "52.00", OrderState.OPEN, 1),
        (24_300, put, Side.BUY, 2, "88.10", OrderState.OPEN, None),
        (23_950, put, Side.BUY, 5, "12.40", OrderState.REJECTED, None),
    )
    for strike, kind, side, lots, price, state, strategy in orders:
        request = OrderRequest(
            instrument=engine.option(nifty, 0, strike, kind).key,
            side=side,
            quantity=lots * 65,
            price=Decimal(price),
            strategy=None if strategy is None else StrategyNumber(strategy),
        )
        filled = request.quantity if state is OrderState.COMPLETE else 0
        words = "margin is short by 12,400" if state is OrderState.REJECTED else ""
        engine.add_order(
            request, state, filled_quantity=filled, message=words, average_price=Decimal(price) if filled else None
        )
    start = engine.clock.market_now()
    engine.add_event(
        EventKind.STRATEGY, "4 of 4 filled in 1.9s, slip -0.15", subject="#3", at=start - timedelta(minutes=101)
    )
    engine.add_event(
        EventKind.TRADE, "phone bought 1L 24,700 CE, now in #1", subject="#1", at=start - timedelta(minutes=22)
    )
    engine.add_event(
        EventKind.STRATEGY,
        "delta -66 is outside +-60",
        severity=Severity.ATTENTION,
        subject="#3",
        at=start - timedelta(seconds=10),
    )
