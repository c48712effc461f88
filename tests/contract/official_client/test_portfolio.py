"""Positions, their conversion, holdings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.official_client.conftest import Build, Trader
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import HOLDING, POSITION, has
from tests.kit.practice_process import PracticeProcess

SHARE = {
    "tradingsymbol": "EXAMPLE",
    "exchange": "NSE",
    "isin": "INE000000000",
    "quantity": 10,
    "average_price": 100.0,
    "last_price": 110.0,
    "close_price": 105.0,
}


def convert(kite: Any, option: dict[str, Any], quantity: int, old: str, new: str, **more: str) -> Any:
    """Convert a long position of the day."""
    side = {"transaction_type": "BUY", "position_type": "day"} | more
    return kite.convert_position(
        exchange="NFO",
        tradingsymbol=option["tradingsymbol"],
        quantity=quantity,
        old_product=old,
        new_product=new,
        **side,
    )


def held(kite: Any, option: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return an instrument's net positions by product."""
    rows = kite.positions()["net"]
    return {row["product"]: row for row in rows if row["tradingsymbol"] == option["tradingsymbol"]}


@drives("positions", "convert_position")
def test_positions_and_their_conversion(trader: Trader) -> None:
    """Part of a position changes its product: quantities and money are only moved, and the identities hold."""
    from kiteconnect import exceptions

    kite, option = trader.kite, trader.option(-3)
    lot = option["lot_size"]
    trader.bought(option, quantity=3 * lot)
    before = held(kite, option)["NRML"]
    assert convert(kite, option, lot, "NRML", "MIS") is True
    after = held(kite, option)
    assert {product: row["quantity"] for product, row in after.items()} == {"NRML": 2 * lot, "MIS": lot}
    assert sum(row["value"] for row in after.values()) == pytest.approx(before["value"])
    for row in after.values():
        has(row, POSITION)
        assert row["quantity"] == row["overnight_quantity"] + row["day_buy_quantity"] - row["day_sell_quantity"]
        assert row["value"] == pytest.approx(row["sell_value"] - row["buy_value"])
        assert row["pnl"] == pytest.approx(row["value"] + row["quantity"] * row["last_price"])
        assert row["average_price"] == pytest.approx(before["average_price"])
    for wrong in (
        {"quantity": 4 * lot},
        {"quantity": lot + 1},
        {"quantity": lot, "transaction_type": "SELL"},
        {"quantity": lot, "position_type": "overnight"},
        {"quantity": lot, "new": "NRML"},
        {"quantity": lot, "new": "CNC"},
    ):
        arguments: dict[str, Any] = {"old": "NRML", "new": "MIS"} | wrong
        with pytest.raises(exceptions.InputException):
            convert(kite, option, arguments.pop("quantity"), arguments.pop("old"), arguments.pop("new"), **arguments)
    assert convert(kite, option, lot, "MIS", "NRML") is True
    assert held(kite, option)["NRML"]["quantity"] == 3 * lot


def test_a_conversion_survives_a_kill(own_exchange: PracticeProcess, official: Build) -> None:
    """After kill -9 both products' positions are what they were."""
    trader = Trader(official(own_exchange), own_exchange)
    option = trader.option()
    trader.bought(option)
    convert(trader.kite, option, option["lot_size"], "NRML", "MIS")
    own_exchange.request("POST", "/practice/clock", {"speed": 0.0})
    keys = ("quantity", "average_price", "day_buy_value", "value")
    before = {product: {key: row[key] for key in keys} for product, row in held(trader.kite, option).items()}
    own_exchange.kill()
    own_exchange.start()
    again = official(own_exchange)
    after = {product: {key: row[key] for key in keys} for product, row in held(again, option).items()}
    assert before == after
    assert after["MIS"]["quantity"] == option["lot_size"]


@drives("holdings", "get_auction_instruments")
def test_the_account_holds_no_shares(kite: Any) -> None:
    """Holdings and auctions are empty lists by default: no invented securities."""
    assert kite.holdings() == []
    assert kite.get_auction_instruments() == []


def test_holdings_that_were_put_in(own_exchange: PracticeProcess, official: Build) -> None:
    """Holdings that a test puts in have the protocol's fields, add up, and survive kill -9."""
    shares: Any = [SHARE]
    own_exchange.request("PUT", "/practice/holdings", shares)
    (row,) = official(own_exchange).holdings()
    has(row, HOLDING)
    assert (row["pnl"], row["day_change"]) == (pytest.approx(100.0), pytest.approx(5.0))
    own_exchange.kill()
    own_exchange.start()
    assert official(own_exchange).holdings() == [row]
    summary = own_exchange.request("GET", "/portfolio/holdings/summary")
    assert (summary["invested_amount"], summary["current_value"]) == (1000.0, 1100.0)
    assert summary["total_pnl_percent"] == pytest.approx(10.0)
    assert own_exchange.request("GET", "/portfolio/holdings/compact")[0]["isin"] == SHARE["isin"]
