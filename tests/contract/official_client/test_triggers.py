"""Good-till-triggered orders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.official_client.conftest import Build, Trader, eventually
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import CONDITION, TRIGGER, TRIGGER_ORDER, TRIGGER_RESULT, has
from tests.kit.practice_process import PracticeProcess


def leg(option: dict[str, Any], side: str, price: float, **more: Any) -> dict[str, Any]:
    """Return the order of one leg."""
    order = {"transaction_type": side, "quantity": option["lot_size"], "order_type": "LIMIT"}
    return order | {"product": "NRML", "price": price} | more


def arguments(option: dict[str, Any], last: float, values: list[float], **more: Any) -> dict[str, Any]:
    """Return the arguments of a placement: a single trigger for one value, two legs for two."""
    return {
        "trigger_type": "single" if len(values) == 1 else "two-leg",
        "tradingsymbol": option["tradingsymbol"],
        "exchange": "NFO",
        "trigger_values": values,
        "last_price": last,
        "orders": [leg(option, "SELL", max(round(value), 1)) for value in values],
    } | more


@drives("place_gtt", "get_gtts", "get_gtt", "modify_gtt", "delete_gtt")
def test_the_life_of_a_trigger(trader: Trader) -> None:
    """A trigger is placed, read, changed and deleted; its object has the protocol's fields throughout."""
    from kiteconnect import exceptions

    kite, option = trader.kite, trader.option(1)
    last = trader.quote(option)["last_price"]
    number = kite.place_gtt(**arguments(option, last, [last * 0.5, last * 2]))["trigger_id"]
    trigger = kite.get_gtt(number)
    assert trigger in kite.get_gtts()
    has(trigger, TRIGGER)
    has(trigger["condition"], CONDITION)
    for row in trigger["orders"]:
        has(row, TRIGGER_ORDER)
        assert row["result"] is None
    assert (trigger["status"], trigger["type"]) == ("active", "two-leg")
    assert trigger["condition"]["trigger_values"] == pytest.approx([last * 0.5, last * 2], abs=0.01)
    assert kite.modify_gtt(number, **arguments(option, last, [last * 3])) == {"trigger_id": number}
    changed = kite.get_gtt(number)
    assert (changed["type"], changed["created_at"]) == ("single", trigger["created_at"])
    assert kite.delete_gtt(number) == {"trigger_id": number}
    assert kite.get_gtt(number)["status"] == "deleted"
    with pytest.raises(exceptions.InputException, match="deleted"):
        kite.modify_gtt(number, **arguments(option, last, [last * 3]))
    with pytest.raises((exceptions.InputException, exceptions.GeneralException)):
        kite.get_gtt(1)


def test_ill_formed_triggers_are_refused(trader: Trader) -> None:
    """Wrong sides, products, order types, lots, ticks and instruments raise InputException and leave no trigger."""
    from kiteconnect import exceptions

    kite, option = trader.kite, trader.option(1)
    last = trader.quote(option)["last_price"]
    before = len(kite.get_gtts())
    good = [last * 0.5, last * 2]
    details: tuple[dict[str, Any], ...] = (
        {"product": "MIS"},
        {"order_type": "MARKET"},
        {"quantity": 1},
        {"price": 10.03},
    )
    wrongs: list[dict[str, Any]] = [
        {"trigger_values": [last * 2, last * 0.5]},
        {"trigger_values": [last * 2, last * 3]},
        {"trigger_values": [last, last * 2]},
        {"tradingsymbol": "NOTHING"},
        {"last_price": 0},
        {"orders": [leg(option, "SELL", 10)]},
        *({"orders": [leg(option, "SELL", 10), leg(option, "SELL", 20) | detail]} for detail in details),
    ]
    for wrong in wrongs:
        with pytest.raises(exceptions.InputException):
            kite.place_gtt(**(arguments(option, last, good) | wrong))
    assert len(kite.get_gtts()) == before


def test_a_trigger_fires_one_order_and_survives_a_kill(own_exchange: PracticeProcess, official: Build) -> None:
    """Waiting triggers are there after kill -9; one fires by the last price, makes one order, and stays fired after
    another kill.
    """
    kite = official(own_exchange)
    trader = Trader(kite, own_exchange)
    option = trader.option()
    last = trader.quote(option)["last_price"]
    # Told a last price far away, the exchange finds the trigger reached at its next step.
    number = kite.place_gtt(**arguments(option, last * 3, [last * 2], orders=[leg(option, "BUY", 1.0)]))["trigger_id"]
    waits = kite.place_gtt(**arguments(option, last, [last * 9]))["trigger_id"]
    own_exchange.kill()
    own_exchange.start()
    kite = official(own_exchange)
    fired = eventually(lambda: _triggered(kite, number), "the trigger to fire")
    (row,) = fired["orders"]
    has(row["result"], TRIGGER_RESULT)
    result = row["result"]["order_result"]
    assert result["status"] == "success"
    assert result["order_id"] in {order["order_id"] for order in kite.orders()}
    own_exchange.kill()
    own_exchange.start()
    kite = official(own_exchange)
    assert kite.get_gtt(number)["orders"][0]["result"]["order_result"] == result
    assert kite.get_gtt(waits)["status"] == "active"
    assert len(kite.orders()) == 1


def _triggered(kite: Any, number: int) -> Any:
    trigger = kite.get_gtt(number)
    return trigger if trigger["status"] == "triggered" and trigger["orders"][0]["result"] else None
