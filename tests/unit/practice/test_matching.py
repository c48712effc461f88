"""How orders meet displayed depth: levels, partial fills, queues, recovery."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from engine.practice.matching import Fill, Matcher
from engine.practice.orders import Order
from engine.practice.session_market import Quotes

RECOVERY = 3.0


def quotes(
    moment: float = 100.0,
    bids: tuple[tuple[int, int], ...] = ((9990, 130), (9985, 260)),
    asks: tuple[tuple[int, int], ...] = ((10010, 65), (10015, 130), (10030, 195)),
    last: int = 10000,
    volume: int = 0,
) -> Quotes:
    """One instrument; (price in paise, units) per level."""

    def ladder(levels: tuple[tuple[int, int], ...], column: int) -> np.ndarray:
        padded = [*levels, *[(0, 0)] * (5 - len(levels))]
        return np.array([[level[column] for level in padded]], dtype=np.int64)

    empty = {field.name: np.zeros(1, dtype=np.int64) for field in fields(Quotes) if field.name != "moment"}
    blank = Quotes(moment=moment, **empty)
    return replace(
        blank,
        bid_price=ladder(bids, 0),
        bid_quantity=ladder(bids, 1),
        bid_orders=np.ones((1, 5), dtype=np.int64),
        ask_price=ladder(asks, 0),
        ask_quantity=ladder(asks, 1),
        ask_orders=np.ones((1, 5), dtype=np.int64),
        last=np.array([last]),
        volume=np.array([volume]),
    )


def order(side: str = "BUY", quantity: int = 65, price: int = 10010, **more: object) -> Order:
    """Return an order for one instrument (paise, units)."""
    made = Order(
        order_id="1",
        account="A",
        exchange="NFO",
        symbol="X",
        token=1,
        side=side,
        order_type="LIMIT",
        product="NRML",
        validity="DAY",
        quantity=quantity,
        price=price,
        trigger=0,
        market_protection=0.0,
        tag=None,
        placed_at=0.0,
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_an_order_takes_levels_best_first_and_stops_at_its_limit() -> None:
    """A buy takes each level's size at that level's price, and nothing beyond its limit."""
    fills = Matcher(RECOVERY).take(quotes(), 0, order(quantity=650, price=10015))
    assert fills == [Fill(10010, 65), Fill(10015, 130)]


def test_a_sell_takes_bids() -> None:
    """A sell meets the bids, highest first."""
    fills = Matcher(RECOVERY).take(quotes(), 0, order("SELL", 195, 9985))
    assert fills == [Fill(9990, 130), Fill(9985, 65)]


def test_an_order_away_from_the_market_takes_nothing() -> None:
    """A buy below the best ask is not filled at once."""
    assert Matcher(RECOVERY).take(quotes(), 0, order(price=10005)) == []


def test_taken_liquidity_is_gone_until_it_recovers() -> None:
    """What one order took is not there for the next, nor on the next instant; after the recovery it is back."""
    matcher, now = Matcher(RECOVERY), quotes()
    matcher.take(now, 0, order(quantity=65))
    assert matcher.take(now, 0, order(quantity=65, price=10010)) == []
    assert now.ask_price[0].tolist() == [10015, 10030, 0, 0, 0]
    soon = quotes(101.0)
    matcher.apply(soon)
    assert matcher.displayed(soon, 0, "BUY")[0] == Fill(10015, 130)
    later = quotes(100.0 + RECOVERY)
    matcher.apply(later)
    assert matcher.displayed(later, 0, "BUY")[0] == Fill(10010, 65)


def test_a_price_that_moved_away_and_back_is_fresh() -> None:
    """Taken liquidity is forgotten when its price leaves the display."""
    matcher = Matcher(RECOVERY)
    matcher.take(quotes(), 0, order(quantity=65))
    matcher.apply(quotes(100.5, asks=((10020, 65),)))
    back = quotes(101.0)
    matcher.apply(back)
    assert matcher.displayed(back, 0, "BUY")[0] == Fill(10010, 65)


def test_a_resting_order_joins_behind_the_displayed_size() -> None:
    """The queue ahead is the size at the order's price, nothing between the quotes, unknown beyond the display."""
    matcher, now = Matcher(RECOVERY), quotes()
    assert matcher.queue_ahead(now, 0, order(price=9990)) == 130
    assert matcher.queue_ahead(now, 0, order(price=10000)) == 0
    assert matcher.queue_ahead(now, 0, order(price=9900)) is None
    assert matcher.queue_ahead(now, 0, order("SELL", 65, 10015)) == 130


def test_trades_at_the_price_work_the_queue_off_before_filling() -> None:
    """Half of the traded volume reaches the bid: first those ahead, then this order, partially and then whole."""
    matcher = Matcher(RECOVERY)
    resting = order(quantity=130, price=9990, ahead=130, resting=True)
    first = quotes(101.0, last=9990, volume=200)
    assert matcher.wait(quotes(), first, 0, resting) == []
    assert resting.ahead == 30
    second = quotes(102.0, last=9990, volume=400)
    assert matcher.wait(first, second, 0, resting) == [Fill(9990, 70)]
    resting.filled = 70
    third = quotes(103.0, last=9990, volume=900)
    assert matcher.wait(second, third, 0, resting) == [Fill(9990, 60)]


def test_trades_above_a_resting_buy_do_not_reach_it() -> None:
    """Volume at a better price for sellers leaves a lower bid alone."""
    resting = order(quantity=65, price=9990, ahead=0, resting=True)
    assert Matcher(RECOVERY).wait(quotes(), quotes(101.0, last=10010, volume=10_000), 0, resting) == []


def test_a_market_that_crosses_the_price_fills_at_the_orders_own_price() -> None:
    """When the ask falls through a resting bid, the order is filled at its limit for what is displayed there."""
    resting = order(quantity=650, price=9990, ahead=999, resting=True)
    crossed = quotes(101.0, bids=((9970, 65),), asks=((9980, 65), (9985, 130), (9995, 65)))
    assert Matcher(RECOVERY).wait(quotes(), crossed, 0, resting) == [Fill(9990, 195)]


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_empty_side_fills_nothing(side: str) -> None:
    """Without displayed depth there is nothing to take."""
    assert Matcher(RECOVERY).take(quotes(bids=(), asks=()), 0, order(side, 65, 10000)) == []


def test_two_orders_do_not_share_the_same_volume() -> None:
    """What the earlier of two resting orders got of an instant's trades is not there for the later one."""
    matcher, before, now = Matcher(RECOVERY), quotes(), quotes(101.0, last=9990, volume=200)
    matcher.apply(now)
    first, second = (order(quantity=65, price=9995, ahead=0, resting=True) for _ in range(2))
    assert matcher.wait(before, now, 0, first) == [Fill(9995, 65)]
    assert matcher.wait(before, now, 0, second) == [Fill(9995, 35)]
