"""Margins of orders and baskets, and the virtual contract note."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.official_client.conftest import Trader
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import CHARGES, MARGIN, NOTE, has


def order(option: dict[str, Any], side: str, price: float, **more: Any) -> dict[str, Any]:
    """Return one lot of an option as the margin calculators take it."""
    return {
        "exchange": "NFO",
        "tradingsymbol": option["tradingsymbol"],
        "transaction_type": side,
        "variety": "regular",
        "product": "NRML",
        "order_type": "LIMIT",
        "quantity": option["lot_size"],
        "price": price,
        "trigger_price": 0,
    } | more


@drives("order_margins")
def test_margins_of_orders(trader: Trader) -> None:
    """A bought option needs its premium alone; a sold one span and exposure of two per cent; charges come along."""
    option = trader.option(2, name="BANKNIFTY")
    lot = option["lot_size"]
    bought, sold = trader.kite.order_margins([order(option, "BUY", 50.0), order(option, "SELL", 50.0)])
    for row in (bought, sold):
        has(row, MARGIN)
        has(row["charges"], CHARGES)
        assert row["total"] == pytest.approx(row["span"] + row["exposure"] + row["option_premium"])
    assert (bought["span"], bought["exposure"], bought["option_premium"]) == (0, 0, 50.0 * lot)
    assert sold["exposure"] == pytest.approx(0.02 * trader.spot("BANKNIFTY") * lot, rel=0.01)
    assert sold["span"] > sold["exposure"]
    assert sold["charges"]["transaction_tax"] == pytest.approx(0.0015 * 50.0 * lot)


@drives("basket_order_margins")
def test_margins_of_a_hedged_basket(trader: Trader) -> None:
    """A vertical spread's final span is about its width; initial shows none of the hedge; compact gives the totals."""
    near, far = trader.option(2), trader.option(4)
    lot, width = near["lot_size"], far["strike"] - near["strike"]
    prices = [trader.quote(row)["last_price"] for row in (near, far)]
    basket = [order(near, "SELL", prices[0]), order(far, "BUY", prices[1])]
    answer = trader.kite.basket_order_margins(basket, consider_positions=False)
    assert set(answer) == {"initial", "final", "orders", "charges"}
    initial, final = answer["initial"], answer["final"]
    for row in (initial, final, *answer["orders"]):
        has(row, MARGIN)
    assert final["span"] == pytest.approx(width * lot, rel=0.3)
    assert initial["span"] > 3 * final["span"]
    assert initial["option_premium"] == pytest.approx(prices[1] * lot)
    assert final["option_premium"] == pytest.approx((prices[1] - prices[0]) * lot)
    assert initial["exposure"] == final["exposure"] > 0
    assert initial["total"] == pytest.approx(sum(row["total"] for row in answer["orders"]))
    brief = trader.kite.basket_order_margins(basket, consider_positions=False, mode="compact")
    assert set(brief["orders"][0]) == {"type", "tradingsymbol", "exchange", "total"}
    assert brief["final"]["total"] == pytest.approx(final["total"], rel=0.1)


@drives("basket_order_margins")
def test_a_position_offsets_a_basket(trader: Trader) -> None:
    """With positions considered, selling what is held needs no margin; without, it does."""
    option = trader.option(5)
    trader.bought(option)
    basket = [order(option, "SELL", trader.quote(option)["last_price"])]
    alone = trader.kite.basket_order_margins(basket, consider_positions=False)
    beside = trader.kite.basket_order_margins(basket, consider_positions=True)
    assert alone["final"]["span"] > 0
    assert (beside["final"]["span"], beside["final"]["exposure"]) == (0, 0)


@drives("get_virtual_contract_note")
def test_virtual_contract_note(trader: Trader) -> None:
    """Charges come per order, in the order asked; the seller pays the tax, the buyer the stamp."""
    from kiteconnect import exceptions

    option = trader.option()
    rows = [
        {key: value for key, value in order(option, side, 0.0).items() if key not in {"price", "trigger_price"}}
        | {"order_id": side, "average_price": 120.0}
        for side in ("SELL", "BUY")
    ]
    sold, bought = trader.kite.get_virtual_contract_note(rows)
    for row in (sold, bought):
        has(row, NOTE)
        has(row["charges"], CHARGES)
        assert row["charges"]["brokerage"] == 20.0
    assert (sold["transaction_type"], bought["transaction_type"]) == ("SELL", "BUY")
    assert sold["charges"]["stamp_duty"] == bought["charges"]["transaction_tax"] == 0
    assert round(sold["charges"]["total"], 2) == 38.58
    assert round(bought["charges"]["total"], 2) == 27.11
    for wrong in ({"average_price": 0}, {"quantity": "65"}, {"order_id": ""}, {"tradingsymbol": "NOTHING"}):
        with pytest.raises(exceptions.InputException):
            trader.kite.get_virtual_contract_note([rows[0] | wrong])
