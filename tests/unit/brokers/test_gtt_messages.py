"""Triggers on Kite's wire: exact prices, states as they are spelled, and nothing that is not understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.brokers.kite.conversion import is_converted
from engine.brokers.kite.gtt import gtt_form, parse_gtts, trigger_id_of
from engine.brokers.kite.margins import parse_basket
from engine.brokers.kite.messages import UnreadableAnswer
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Exchange, Side
from tests.unit.execution.desk import buy

ACCOUNT = AccountId("AB1234")
KEY = InstrumentKey(Exchange.NFO, "NIFTY26NOV24000CE")
ROW: dict[str, Any] = {
    "id": 112_127,
    "user_id": "AB1234",
    "parent_trigger": None,
    "type": "two-leg",
    "created_at": "2026-11-19 10:35:00",
    "updated_at": "2026-11-19 10:36:00",
    "expires_at": "2027-11-19 00:00:00",
    "status": "triggered",
    "condition": {
        "exchange": "NFO",
        "last_price": 105.25,
        "tradingsymbol": "NIFTY26NOV24000CE",
        "trigger_values": [60.050000000000004, 180],
        "instrument_token": 1,
    },
    "orders": [
        {
            "exchange": "NFO",
            "tradingsymbol": "NIFTY26NOV24000CE",
            "product": "NRML",
            "order_type": "LIMIT",
            "transaction_type": "SELL",
            "quantity": 65,
            "price": price,
            "result": result,
        }
        for price, result in (
            (58.349999999999994, None),
            (
                179.95,
                {"meta": "{}", "order_result": {"status": "failed", "order_id": "26111", "rejection_reason": "funds"}},
            ),
        )
    ],
    "meta": {},
}


def body(*rows: dict[str, Any], status: str = "success") -> bytes:
    """An answer."""
    return json.dumps({"status": status, "data": list(rows)}).encode()


def changed(**fields: Any) -> dict[str, Any]:
    """The row with other fields."""
    return ROW | fields


def test_a_trigger_is_read_whole() -> None:
    """Noise of binary fractions is taken off, times are UTC, what became of it stands on its order."""
    parsed = parse_gtts(body(ROW), ACCOUNT)
    (row,) = parsed.rows
    assert parsed.unread == ()
    assert (row.trigger_id, row.status, row.request.kind) == (112_127, GttStatus.TRIGGERED, GttKind.OCO)
    assert row.created_at == datetime(2026, 11, 19, 5, 5, tzinfo=UTC)
    first, second = row.request.orders
    assert first == GttOrder(trigger_price=Decimal("60.05"), side=Side.SELL, quantity=65, price=Decimal("58.35"))
    assert (second.result_order_id, second.result_words) == (BrokerOrderId("26111"), "funds")
    assert (row.message, row.last_price) == ("funds", Decimal("105.25"))


def test_every_status_of_the_broker_is_known_and_ours_are_not_its() -> None:
    """Seven words; what only we say is not read from the wire."""
    for status in GttStatus:
        parsed = parse_gtts(body(changed(status=status)), ACCOUNT)
        is_ours = status in {GttStatus.UNKNOWN, GttStatus.PRESUMED_ABSENT}
        assert bool(parsed.rows) is not is_ours
        assert bool(parsed.unread) is is_ours


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "three-leg"},
        {"orders": ROW["orders"][:1]},
        {"orders": [row | {"order_type": "MARKET"} for row in ROW["orders"]]},
        {"orders": [row | {"tradingsymbol": "OTHER"} for row in ROW["orders"]]},
        {"orders": [row | {"quantity": 0.5} for row in ROW["orders"]]},
        {"condition": None},
    ],
)
def test_a_row_that_is_not_understood_hides_no_other_and_an_active_one_hides_all(fields: dict[str, Any]) -> None:
    """An ended one is left out and named; without an active one the list would say that it is absent."""
    parsed = parse_gtts(body(ROW, changed(**fields)), ACCOUNT)
    assert len(parsed.rows) == len(parsed.unread) == 1
    with pytest.raises(UnreadableAnswer, match="active trigger"):
        parse_gtts(body(ROW, changed(status="active", **fields)), ACCOUNT)


@pytest.mark.parametrize("answer", [b"", b"[]", b"\xff", body(ROW, status="error"), b'{"status":"success","data":{}}'])
def test_what_is_no_list_is_never_an_empty_one(answer: bytes) -> None:
    """Nothing may be presumed from it."""
    with pytest.raises(UnreadableAnswer):
        parse_gtts(answer, ACCOUNT)


@pytest.mark.parametrize(
    ("answer", "trigger_id", "converted"),
    [
        (b'{"status":"success","data":{"trigger_id":123}}', 123, False),
        (b'{"status":"success","data":true}', None, True),
        (b'{"status":"success","data":false}', None, False),
        (b'{"status":"error","data":{"trigger_id":123}}', None, False),
        (b'{"status":"success","data":{"trigger_id":"abc"}}', None, False),
        (b"<html>", None, False),
    ],
)
def test_only_a_plain_yes_is_a_yes(answer: bytes, trigger_id: int | None, converted: bool) -> None:
    """Anything else leaves the outcome unknown."""
    assert trigger_id_of(answer) == trigger_id
    assert is_converted(answer) is converted


def test_numbers_are_numbers_on_the_wire() -> None:
    """The condition and the orders are JSON with numbers, as the documentation has them."""
    request = GttRequest(
        instrument=KEY,
        kind=GttKind.SINGLE,
        orders=(GttOrder(trigger_price=Decimal("60.05"), side=Side.SELL, quantity=65, price=Decimal("58.35")),),
    )
    form = gtt_form(request, Decimal("105.25"))
    assert form["type"] == "single"
    assert json.loads(form["condition"]) == {
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26NOV24000CE",
        "trigger_values": [60.05],
        "last_price": 105.25,
    }
    (order,) = json.loads(form["orders"])
    assert (order["quantity"], order["price"], order["order_type"]) == (65, 58.35, "LIMIT")


def test_a_basket_is_read_whole_or_not_at_all() -> None:
    """Sums with their parts, one figure for each order in the order asked."""
    block = {"total": 100.004, "span": 60, "exposure": 30.5, "option_premium": 9.504}
    rows = [{"tradingsymbol": buy().instrument.tradingsymbol, "total": 40.1}]

    def answer(**fields: Any) -> bytes:
        return json.dumps(
            {"status": "success", "data": {"initial": block, "final": block, "orders": rows} | fields}
        ).encode()

    margin = parse_basket(answer(), [buy()])
    assert (margin.initial, margin.orders) == (Decimal("100.004"), (Decimal("40.10"),))
    assert (margin.final_parts.collateral, margin.final_parts.premium) == (Decimal("90.50"), Decimal("9.504"))
    for wrong, asked in ((answer(), [buy(), buy()]), (answer(orders=[]), [buy()]), (answer(final=None), [buy()])):
        with pytest.raises(UnreadableAnswer):
            parse_basket(wrong, asked)
