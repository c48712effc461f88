"""Orders and trades: every call, and the shapes of what comes back. How orders are matched is tested elsewhere."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pytest

from tests.contract.official_client.conftest import Trader, eventually
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import ORDER, ORDER_EXTRA, TRADE, has


@drives("place_order", "orders", "order_history", "order_trades", "trades")
def test_a_filled_order(trader: Trader) -> None:
    """A crossing order completes; book, history, its trades and all trades have the protocol's fields and agree."""
    option = trader.option(3)
    order = trader.bought(option, tag="filled")
    for row in [*trader.kite.orders(), *trader.kite.order_history(order["order_id"])]:
        has(row, ORDER, ORDER_EXTRA)
    assert isinstance(order["order_timestamp"], datetime)
    assert (order["filled_quantity"], order["pending_quantity"]) == (option["lot_size"], 0)
    fills = trader.kite.order_trades(order["order_id"])
    for fill in fills:
        has(fill, TRADE)
    assert sum(fill["quantity"] for fill in fills) == option["lot_size"]
    assert all(fill in trader.kite.trades() for fill in fills)
    assert all(len(fill["order_timestamp"]) == len("HH:MM:SS") for fill in fills)


@drives("modify_order", "cancel_order", "exit_order")
def test_a_resting_order_is_changed_and_ended(trader: Trader) -> None:
    """A modification and a cancellation are answered with the order's id and show in its history."""
    option, kite = trader.option(4), trader.kite
    price = trader.resting_price(option)
    first, second = (trader.place(option, "BUY", price, tag=tag) for tag in ("first", "second"))
    trader.reaches(first, "OPEN")
    lower = round(price - 1.0, 2)
    assert trader.admitted(lambda: kite.modify_order("regular", first, price=lower)) == first
    eventually(lambda: kite.order_history(first)[-1]["price"] == lower, "the modification")
    assert trader.admitted(lambda: kite.cancel_order("regular", first)) == first
    cancelled = trader.reaches(first, "CANCELLED")
    assert cancelled["cancelled_quantity"] == option["lot_size"]
    trader.reaches(second, "OPEN")
    assert trader.admitted(lambda: kite.exit_order("regular", second)) == second
    trader.reaches(second, "CANCELLED")


@drives("place_autoslice_order")
def test_a_sliced_order(trader: Trader) -> None:
    """More than the freeze quantity is split; the answer names an order, whatever its shape."""
    option, kite = trader.option(-2), trader.kite
    price = trader.resting_price(option)
    quantity = option["lot_size"] * 30
    answer = trader.admitted(
        lambda: kite.place_autoslice_order(
            "regular", "NFO", option["tradingsymbol"], "BUY", quantity, "NRML", "LIMIT", price=price, tag="sliced"
        )
    )
    listed = answer if isinstance(answer, list) else [answer]
    assert all(isinstance(row["order_id"], str) for row in listed)
    ours = eventually(
        lambda: (
            sum(row["quantity"] for row in kite.orders() if row["tag"] == "sliced") == quantity
            and [row for row in kite.orders() if row["tag"] == "sliced"]
        ),
        "all slices in the book",
    )
    for row in ours:
        trader.reaches(row["order_id"], "OPEN")
        trader.admitted(partial(kite.cancel_order, "regular", row["order_id"]))


def test_refused_orders_raise_the_clients_classes(trader: Trader) -> None:
    """Ill-formed placements raise InputException, unknown orders too; nothing enters the book."""
    from kiteconnect import exceptions

    option, kite = trader.option(), trader.kite
    before = len(kite.orders())
    wrongs = ({"quantity": 1}, {"price": 100.03}, {"tag": "x" * 21}, {"product": "CNC"}, {"order_type": "STOP"})
    for wrong in wrongs:
        with pytest.raises(exceptions.InputException) as refused:
            trader.place(option, "BUY", **({"price": 100.0} | wrong))
        assert refused.value.code == 400
    with pytest.raises(exceptions.InputException):
        trader.admitted(lambda: kite.cancel_order("regular", "1"))
    with pytest.raises(exceptions.InputException):
        kite.order_trades("1")
    assert len(kite.orders()) == before
