"""Margins against measured anchors, and positions against the broker's identities."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.practice.book import Carried
from engine.practice.margins import MarginLeg, requirement
from engine.practice.orders import Trade
from engine.practice.positions import Position

SPOT = 19_434.0
RATE = 0.065
CALL = MarginLeg(
    underlying="NIFTY",
    quantity=-75,
    spot=SPOT,
    forward=SPOT * 1.002,
    strike=20_600.0,
    years=12 / 365,
    volatility=0.11,
    is_call=True,
    is_future=False,
    price=5.0,
    expires_today=False,
)


def test_a_short_call_out_of_the_money_needs_what_was_measured() -> None:
    """Six per cent out, twelve days: about 4.6 % of spot plus 2 % exposure."""
    needed = requirement([CALL], RATE)
    assert needed.exposure == pytest.approx(0.02 * SPOT * 75)
    assert needed.span / (SPOT * 75) == pytest.approx(0.0459, abs=0.012)


def test_a_short_at_the_money_needs_about_a_tenth() -> None:
    """At the money the whole is 10 to 14 % of spot."""
    needed = requirement([replace(CALL, strike=SPOT)], RATE)
    assert 0.10 < needed.total / (SPOT * 75) < 0.14


def test_a_spread_needs_about_its_width() -> None:
    """A vertical spread's scan risk falls to its width; exposure stays on the short leg."""
    short = replace(CALL, strike=19_500.0)
    long = replace(CALL, strike=19_600.0, quantity=75)
    needed = requirement([short, long], RATE)
    assert needed.span / 75 == pytest.approx(100.0, abs=15.0)
    assert needed.exposure == pytest.approx(0.02 * SPOT * 75)


def test_a_long_option_needs_nothing() -> None:
    """It is paid in full."""
    assert requirement([replace(CALL, quantity=75)], RATE).total == 0.0


def test_expiry_day_adds_two_per_cent_on_shorts() -> None:
    """The surcharge is on the notional of shorts, on their expiry day only."""
    today = requirement([replace(CALL, expires_today=True)], RATE)
    assert today.exposure == pytest.approx(0.04 * SPOT * 75)


def test_underlyings_do_not_hedge_each_other() -> None:
    """A long in another underlying does not lower a short's requirement."""
    other = replace(CALL, underlying="SENSEX", quantity=750)
    assert requirement([CALL, other], RATE).span == pytest.approx(requirement([CALL], RATE).span)


def test_a_future_is_charged_both_ways() -> None:
    """Long and short futures need about the scan range plus exposure."""
    future = replace(CALL, is_future=True, price=SPOT * 1.002, quantity=75)
    for signed in (75, -75):
        needed = requirement([replace(future, quantity=signed)], RATE)
        assert needed.span / (SPOT * 75) == pytest.approx(0.093, abs=0.002)
        assert needed.exposure == pytest.approx(0.02 * SPOT * 75)


def trade(side: str, quantity: int, rupees: float) -> Trade:
    """Return a fill at a price in rupees."""
    return Trade("1", "1", "1", "NFO", "X", 1, "NRML", side, quantity, round(rupees * 100), 0.0)


def position(overnight: int = 0, average: float = 0.0, close: float = 0.0) -> Position:
    """Return a position as it is carried into a day."""
    return Position.from_carried(Carried("NFO", "X", 1, "NRML", overnight, average, round(close * 100)))


@pytest.mark.parametrize("overnight", [0, 130, -195])
def test_identities_hold_whatever_was_carried(overnight: int) -> None:
    """Quantity, value, profit and day's gain obey the broker's identities for flat, long and short carries."""
    held = position(overnight, 90.0, 95.0)
    for fill in (trade("BUY", 65, 100.0), trade("SELL", 260, 110.0), trade("BUY", 130, 105.5)):
        held.add(fill)
    last = 102.25
    row = held.to_wire(last, day_only=False)
    assert row["quantity"] == row["overnight_quantity"] + row["day_buy_quantity"] - row["day_sell_quantity"]
    assert row["value"] == pytest.approx(row["sell_value"] - row["buy_value"])
    assert row["pnl"] == pytest.approx(row["value"] + row["quantity"] * last)
    assert row["m2m"] == pytest.approx(row["sell_m2m"] - row["buy_m2m"] + row["quantity"] * last)
    assert row["m2m"] == pytest.approx(held.m2m(last))
    if overnight > 0:
        assert row["buy_m2m"] == pytest.approx(row["day_buy_value"] + overnight * 95.0)
    if overnight < 0:
        assert row["sell_m2m"] == pytest.approx(row["day_sell_value"] + -overnight * 95.0)


def test_average_price_follows_the_open_side() -> None:
    """Adding averages, reducing keeps, closing clears, reversing starts anew."""
    held = position()
    held.add(trade("BUY", 65, 100.0))
    held.add(trade("BUY", 65, 110.0))
    assert held.average == pytest.approx(105.0)
    held.add(trade("SELL", 65, 120.0))
    assert held.average == pytest.approx(105.0)
    held.add(trade("SELL", 130, 90.0))
    assert (held.quantity, held.average) == (-65, 90.0)
    held.add(trade("BUY", 65, 80.0))
    assert held.to_wire(80.0, day_only=False)["average_price"] == 0.0


def test_profit_of_a_round_trip() -> None:
    """Buy 75 at 100, last 105: +375; sell 75 at 100, last 120: -1500."""
    bought, sold = position(), position()
    bought.add(trade("BUY", 75, 100.0))
    sold.add(trade("SELL", 75, 100.0))
    assert bought.to_wire(105.0, day_only=False)["pnl"] == pytest.approx(375.0)
    assert sold.to_wire(120.0, day_only=False)["pnl"] == pytest.approx(-1500.0)


def test_the_day_row_ignores_what_was_carried() -> None:
    """The day list shows the day's activity alone."""
    held = position(130, 90.0, 95.0)
    held.add(trade("SELL", 65, 100.0))
    row = held.to_wire(100.0, day_only=True)
    assert (row["overnight_quantity"], row["quantity"], row["average_price"]) == (0, -65, 100.0)
