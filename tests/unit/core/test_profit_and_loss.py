"""The trader's money: true profit and loss, cash flow apart, on every worked example of the product."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.identifiers import InstrumentKey
from engine.core.positions import (
    BrokerPosition,
    Funds,
    Holding,
    unrealised_profit,
)
from engine.core.vocabulary import Exchange, Product

MIXED = ((50, "100", "120"), (-50, "150", "130"), (50, "40", "30"))


def cash_of(holding: Holding) -> Decimal:
    """What its fills have brought in, less what they took."""
    return holding.sold_value - holding.bought_value


def held(signed_quantity: int, price: str) -> Holding:
    """A holding opened by one fill."""
    return Holding().after_fill(signed_quantity, Decimal(price))


@pytest.mark.parametrize(
    ("signed_quantity", "entry", "mark", "profit"),
    [
        pytest.param(75, "100", "105", "375", id="long gains"),
        pytest.param(50, "100", "95", "-250", id="long loses"),
        pytest.param(100, "200.50", "200.50", "0", id="long unchanged"),
        pytest.param(10_000, "50.25", "55.75", "55000", id="large long"),
        pytest.param(75, "123.4567", "128.9876", "414.8175", id="no rounding inside"),
        pytest.param(-50, "200", "180", "1000", id="short gains"),
        pytest.param(-75, "100", "120", "-1500", id="short loses"),
        pytest.param(-100, "300.25", "300.25", "0", id="short unchanged"),
        pytest.param(-75, "100", "105", "-375", id="mirror of long gains"),
        pytest.param(-50, "100", "95", "250", id="mirror of long loses"),
        pytest.param(-10_000, "50.25", "55.75", "-55000", id="mirror of large long"),
        pytest.param(-75, "123.4567", "128.9876", "-414.8175", id="mirror of no rounding"),
        pytest.param(50, "200", "180", "-1000", id="mirror of short gains"),
        pytest.param(75, "100", "120", "1500", id="mirror of short loses"),
        pytest.param(-50, "100", "110", "-500", id="short of the second mixed book"),
        pytest.param(1_000_000, "0.05", "100000", "99999950000.00", id="very large difference"),
        pytest.param(0, "100", "105", "0", id="nothing held"),
    ],
)
def test_a_long_gains_when_the_price_rises(signed_quantity: int, entry: str, mark: str, profit: str) -> None:
    """Profit is signed quantity × (mark − entry), exactly, and a Decimal."""
    result = unrealised_profit(signed_quantity, Decimal(entry), Decimal(mark))
    assert result == Decimal(profit)
    assert type(result) is Decimal
    if signed_quantity:
        assert held(signed_quantity, entry).profit(Decimal(mark)) == Decimal(profit)


@pytest.mark.parametrize(
    ("signed_quantity", "opening", "liquidation"),
    [(50, "-5000", "6000"), (-50, "7500", "-6500")],
)
def test_cash_flow_is_another_figure(signed_quantity: int, opening: str, liquidation: str) -> None:
    """Opening a long pays, closing it receives; a short the other way round; neither is the profit."""
    entry, mark = ("100", "120") if signed_quantity > 0 else ("150", "130")
    opened = held(signed_quantity, entry)
    closed = opened.after_fill(-signed_quantity, Decimal(mark))
    assert cash_of(opened) == Decimal(opening)
    assert cash_of(closed) - cash_of(opened) == Decimal(liquidation)
    assert opened.profit(Decimal(mark)) == closed.realised == Decimal(opening) + Decimal(liquidation)


def test_three_legs_earn_fifteen_hundred() -> None:
    """+50 @100→120, −50 @150→130, +50 @40→30 is a profit of +1,500, not a loss."""
    assert sum(held(quantity, entry).profit(Decimal(mark)) for quantity, entry, mark in MIXED) == Decimal(1500)


def test_three_legs_cash_flows() -> None:
    """The same legs: +500 opening cash and +1,000 liquidation cash, kept apart from the profit they add up to."""
    opened = [held(quantity, entry) for quantity, entry, _ in MIXED]
    closed = [
        holding.after_fill(-quantity, Decimal(mark)) for holding, (quantity, _, mark) in zip(opened, MIXED, strict=True)
    ]
    opening = sum(map(cash_of, opened))
    liquidation = sum(map(cash_of, closed)) - opening
    assert (opening, liquidation, opening + liquidation) == (500, 1000, 1500)


@pytest.mark.parametrize(
    ("legs", "total"),
    [
        pytest.param(((50, "100", "95"), (-50, "200", "180")), "750", id="loss and gain"),
        pytest.param(((75, "100", "105"), (-50, "100", "110")), "-125", id="gain and loss"),
    ],
)
def test_mixed_books(legs: tuple[tuple[int, str, str], ...], total: str) -> None:
    """Longs and shorts add up with their own signs."""
    assert sum(held(q, entry).profit(Decimal(mark)) for q, entry, mark in legs) == Decimal(total)


def test_the_multiplier_scales_profit() -> None:
    """50,000→52,000 on half a unit of multiplier is 1,000."""
    half = Decimal("0.5")
    assert unrealised_profit(1, Decimal(50_000), Decimal(52_000), half) == Decimal(1000)


def test_adding_averages_the_price() -> None:
    """65 @100 and 130 @106 are 195 @104 with nothing realised."""
    holding = held(65, "100").after_fill(130, Decimal(106))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (195, Decimal(104), Decimal(0))


def test_adding_to_a_short_averages_the_price() -> None:
    """−65 @100 and −65 @110 are −130 @105."""
    holding = held(-65, "100").after_fill(-65, Decimal(110))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (-130, Decimal(105), Decimal(0))


def test_reducing_realises_at_the_average_and_keeps_it() -> None:
    """Selling 65 of 130 @100 at 110 realises +650; the rest still cost 100."""
    holding = held(130, "100").after_fill(-65, Decimal(110))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (65, Decimal(100), Decimal(650))


def test_covering_a_short_realises_with_the_right_sign() -> None:
    """Buying back 65 of −130 @100 at 90 realises +650."""
    holding = held(-130, "100").after_fill(65, Decimal(90))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (-65, Decimal(100), Decimal(650))


def test_closing_leaves_only_what_was_realised() -> None:
    """A closed long is worth its realised profit at any mark."""
    holding = held(65, "100").after_fill(-65, Decimal("98.5"))
    assert (holding.signed_quantity, holding.average_price) == (0, Decimal(0))
    assert holding.profit(Decimal(1)) == holding.profit(Decimal(99_999)) == Decimal("-97.5")


def test_crossing_zero_realises_and_opens_the_other_side() -> None:
    """Selling 195 out of a long of 65 @100 at 120 realises +1,300 and is short 130 @120."""
    holding = held(65, "100").after_fill(-195, Decimal(120))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (-130, Decimal(120), Decimal(1300))


def test_an_endless_average_leaves_no_dust_when_flat() -> None:
    """3 units for 1, 1 and 2 cost 4/3 each; sold at 2 they realise exactly 2."""
    holding = held(1, "1").after_fill(1, Decimal(1)).after_fill(1, Decimal(2)).after_fill(-3, Decimal(2))
    assert holding.realised == Decimal(2)


def test_an_endless_average_leaves_no_dust_through_flat() -> None:
    """The same, sold through flat: exactly 2 realised and a clean short."""
    holding = held(1, "1").after_fill(1, Decimal(1)).after_fill(1, Decimal(2)).after_fill(-5, Decimal(2))
    assert (holding.signed_quantity, holding.average_price, holding.realised) == (-2, Decimal(2), Decimal(2))


def test_turnover_is_counted_by_side() -> None:
    """Bought and sold quantities and values are kept apart, ≥ 0."""
    holding = held(65, "100").after_fill(-130, Decimal(110)).after_fill(65, Decimal(90))
    assert (holding.bought_quantity, holding.sold_quantity) == (130, 130)
    assert (holding.bought_value, holding.sold_value) == (Decimal(12_350), Decimal(14_300))
    assert holding.realised == Decimal(1950)


def test_a_fill_makes_a_new_holding() -> None:
    """A holding is a value: the old one stays as it was."""
    before = held(65, "100")
    before.after_fill(65, Decimal(200))
    assert before == held(65, "100")


def test_utilisation_of_funds() -> None:
    """Used / (used + free); unknown when there is neither."""
    assert Funds(net=Decimal(300), cash=Decimal(400), used=Decimal(100)).utilisation == Decimal("0.25")
    assert Funds(net=Decimal(0), cash=Decimal(0), used=Decimal(0)).utilisation is None


def test_a_broker_position_keeps_its_sign() -> None:
    """A short position of the broker is negative and its value is sell minus buy."""
    position = BrokerPosition(
        instrument=InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE"),
        token=1,
        product=Product.NRML,
        signed_quantity=-65,
        average_price=Decimal(100),
        overnight_quantity=0,
        multiplier=Decimal(1),
        value=Decimal(6500),
    )
    assert cash_of(held(position.signed_quantity, "100")) == position.value
