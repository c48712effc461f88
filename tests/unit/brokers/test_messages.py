"""Kite's JSON to the domain: order book, fills, positions, funds, quotes, text frames, and what is not understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.brokers.kite import messages
from engine.brokers.kite.feed_messages import FeedTextKind, parse_text
from engine.brokers.kite.messages import UnreadableAnswer
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.orders import OrderTrigger
from engine.core.vocabulary import Exchange, OrderType, Product, QuoteState, Side, Validity, Variety

NOW = datetime(2026, 11, 19, 6, 0, tzinfo=UTC)
KEY = InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")
TAG = "WSGAYTEMZUGU3DOOBZ"


def body(data: object) -> bytes:
    """A success envelope."""
    return json.dumps({"status": "success", "data": data}).encode()


def order_row(**changes: Any) -> dict[str, Any]:
    """One row of the order book as the documentation shows it."""
    return {
        "placed_by": "AB1234",
        "order_id": "1914227164488687616",
        "exchange_order_id": None,
        "parent_order_id": None,
        "status": "OPEN",
        "status_message": None,
        "order_timestamp": "2026-11-19 11:30:05",
        "exchange_timestamp": None,
        "variety": "regular",
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26DEC24000CE",
        "instrument_token": 3840002,
        "order_type": "LIMIT",
        "transaction_type": "BUY",
        "validity": "DAY",
        "product": "NRML",
        "quantity": 65,
        "filled_quantity": 0,
        "price": 105.5,
        "trigger_price": 0,
        "average_price": 0,
        "pending_quantity": 65,
        "meta": {},
        "tag": TAG,
        "tags": [TAG],
    } | changes


def trade_row(**changes: Any) -> dict[str, Any]:
    """One fill."""
    return {
        "trade_id": "10000001",
        "order_id": "1914227164488687616",
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26DEC24000CE",
        "instrument_token": 3840002,
        "product": "NRML",
        "average_price": 105.5,
        "quantity": 65,
        "transaction_type": "SELL",
        "fill_timestamp": "2026-11-19 11:30:06",
        "order_timestamp": "11:30:05",
        "exchange_timestamp": "2026-11-19 11:30:06",
    } | changes


def test_an_order_row_reads_in_our_words() -> None:
    """Every field of a row arrives, times as UTC, prices exact, zeros as unknown."""
    (order,) = messages.parse_orders(body([order_row()]), NOW).rows
    assert (order.broker_order_id, order.instrument, order.token) == ("1914227164488687616", KEY, 3840002)
    assert (order.side, order.order_type, order.product) == (Side.BUY, OrderType.LIMIT, Product.NRML)
    assert (order.variety, order.validity) == (Variety.REGULAR, Validity.DAY)
    assert (order.quantity, order.filled_quantity) == (65, 0)
    assert (order.price, order.trigger_price, order.average_price) == (Decimal("105.5"), None, None)
    assert order.placed_at == datetime(2026, 11, 19, 6, 0, 5, tzinfo=UTC)
    assert order.tag == TAG


@pytest.mark.parametrize(
    ("status", "trigger"),
    [
        ("OPEN", OrderTrigger.BOOK_OPEN),
        ("TRIGGER PENDING", OrderTrigger.BOOK_TRIGGER_PENDING),
        ("AMO REQ RECEIVED", OrderTrigger.BOOK_OPEN),
        ("COMPLETE", OrderTrigger.BOOK_COMPLETE),
        ("REJECTED", OrderTrigger.BOOK_REJECTED),
        ("CANCELLED", OrderTrigger.BOOK_CANCELLED),
        *[
            (status, OrderTrigger.BOOK_INTERIM)
            for status in (
                "PUT ORDER REQ RECEIVED",
                "VALIDATION PENDING",
                "OPEN PENDING",
                "MODIFY VALIDATION PENDING",
                "MODIFY PENDING",
                "MODIFIED",
                "CANCEL PENDING",
                "UPDATE",
                "SOME NEW WORD",
                "complete",
            )
        ],
    ],
)
def test_statuses_become_triggers_and_unknown_words_are_interim(status: str, trigger: OrderTrigger) -> None:
    """Only the words that settle something do; the broker's own word is kept."""
    (order,) = messages.parse_orders(body([order_row(status=status)]), NOW).rows
    assert (order.status, order.trigger) == (status, trigger)


@pytest.mark.parametrize(
    ("raw", "exact"),
    [
        ("29151.225000000002", "29151.225"),
        ("156.70000000000002", "156.70"),
        ("0.30000000000000004", "0.30"),
        ("123.4567", "123.4567"),
        ("83.8725", "83.8725"),
        ("105", "105"),
        ("0.05", "0.05"),
        ("1e2", "100"),
    ],
)
def test_binary_noise_is_taken_off_prices(raw: str, exact: str) -> None:
    """A float of the wire becomes the decimal it stands for."""
    content = body([order_row(price="PRICE")]).replace(b'"PRICE"', raw.encode())
    (order,) = messages.parse_orders(content, NOW).rows
    assert order.price == Decimal(exact)


def test_null_and_missing_fields_are_taken_as_unknown() -> None:
    """What may be null or absent may be null and absent."""
    row = order_row(tag=None, tags=None, price=None, average_price=None, order_timestamp=None, status_message=None)
    for name in ("variety", "validity", "filled_quantity", "trigger_price", "exchange_timestamp"):
        del row[name]
    (order,) = messages.parse_orders(body([row]), NOW).rows
    assert (order.tag, order.price, order.placed_at, order.message) == (None, None, None, "")
    assert (order.variety, order.validity, order.filled_quantity) == (Variety.REGULAR, Validity.DAY, 0)


def test_our_tag_is_found_among_the_brokers() -> None:
    """With ``tag`` empty our own is picked from the list the broker puts its tags in."""
    (order,) = messages.parse_orders(body([order_row(tag=None, tags=["mktp", "mktp:2.00", TAG])]), NOW).rows
    assert order.tag == TAG
    (order,) = messages.parse_orders(body([order_row(tag=None, tags=["mktp"])]), NOW).rows
    assert order.tag is None


def test_an_order_id_as_a_number_loses_no_digit() -> None:
    """Nineteen digits survive even when the wire writes them as a number."""
    (order,) = messages.parse_orders(body([order_row(order_id=1914227164488687617)]), NOW).rows
    assert order.broker_order_id == "1914227164488687617"


@pytest.mark.parametrize(
    "change",
    [{"product": "BO"}, {"variety": "bo"}, {"exchange": "MF"}, {"quantity": 1.5}, {"order_timestamp": "yesterday"}],
)
def test_a_row_not_understood_hides_no_other(change: dict[str, Any]) -> None:
    """A foreign order of an unknown kind is left out with a reason; its neighbours arrive."""
    strange = order_row(tag=None, tags=[], order_id="9") | change
    parsed = messages.parse_orders(body([order_row(), strange, order_row(order_id="2")]), NOW)
    assert [order.broker_order_id for order in parsed.rows] == ["1914227164488687616", "2"]
    assert len(parsed.unread) == 1
    assert next(iter(change)) in parsed.unread[0]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"tags": ["autoslice", "autoslice:261119900000001", TAG]}, "a slice of 261119900000001"),
        ({"meta": {"iceberg": {"leg": 2, "legs": 4}}}, "leg 2 of 4"),
        ({"meta": {"iceberg": {"leg": 1, "legs": 4}}}, ""),
        ({"meta": {}}, ""),
        ({"meta": {"iceberg": "odd"}}, ""),
        ({"meta": ""}, ""),
        ({}, ""),
    ],
)
def test_an_order_that_the_broker_made_of_a_larger_one_says_so(fields: dict[str, object], part: str) -> None:
    """A slice and a later leg of an iceberg; the first leg is the order that was placed."""
    (order,) = messages.parse_orders(body([order_row(**fields)]), NOW).rows
    assert order.part == part


@pytest.mark.parametrize("where", [{"tag": TAG}, {"tag": None, "tags": ["mktp", TAG]}])
def test_a_book_without_one_of_our_own_rows_is_no_book(where: dict[str, Any]) -> None:
    """A row that may be ours and is not understood fails the read: a book without it would prove a false absence."""
    with pytest.raises(UnreadableAnswer, match="may be ours"):
        messages.parse_orders(body([order_row(), order_row(product="BO") | where]), NOW)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"status":"error"}', body({"net": 1}), body(None), b"\xff"]
)
def test_what_is_no_order_book_is_refused(content: bytes) -> None:
    """Anything but a list in a success envelope is unreadable, never an empty book."""
    with pytest.raises(UnreadableAnswer):
        messages.parse_orders(content, NOW)


def test_a_fill_reads_with_its_time_and_account() -> None:
    """A fill's identity, side, exact price and time."""
    (trade,) = messages.parse_trades(body([trade_row()]), AccountId("AB1234"), NOW).rows
    assert (trade.account, trade.trade_id, trade.broker_order_id) == ("AB1234", "10000001", "1914227164488687616")
    assert (trade.signed_quantity, trade.price) == (-65, Decimal("105.5"))
    assert trade.filled_at == datetime(2026, 11, 19, 6, 0, 6, tzinfo=UTC)


def test_a_time_of_day_alone_gets_the_markets_date_in_india() -> None:
    """With only ``HH:MM:SS`` the day is India's, also when UTC is still on the day before."""
    late = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)  # 01:30 on the 19th in India
    row = trade_row(fill_timestamp=None, exchange_timestamp=None, order_timestamp="01:15:00")
    (trade,) = messages.parse_trades(body([row]), AccountId("A"), late).rows
    assert trade.filled_at == datetime(2026, 11, 18, 19, 45, tzinfo=UTC)


@pytest.mark.parametrize("change", [{"quantity": 0}, {"quantity": -5}, {"transaction_type": "HOLD"}])
def test_an_impossible_fill_is_left_out(change: dict[str, Any]) -> None:
    """A fill of nothing or of no side is not a fill."""
    parsed = messages.parse_trades(body([trade_row(**change), trade_row()]), AccountId("A"), NOW)
    assert (len(parsed.rows), len(parsed.unread)) == (1, 1)


def test_positions_are_the_net_ones_signed() -> None:
    """The net list is read, the day's is not; short is negative; closed rows stay."""
    row = {
        "tradingsymbol": "NIFTY26DEC24000CE",
        "exchange": "NFO",
        "instrument_token": 3840002,
        "product": "NRML",
        "quantity": -130,
        "overnight_quantity": -65,
        "multiplier": 1,
        "average_price": 123.45670000000001,
        "close_price": 0,
        "last_price": 120.05,
        "value": 16049.371000000001,
    }
    closed = row | {"quantity": 0, "average_price": 0, "product": "MIS", "overnight_quantity": 0}
    parsed = messages.parse_positions(body({"net": [row, closed], "day": [row]}))
    short, flat = parsed.rows
    assert (short.signed_quantity, short.overnight_quantity, short.multiplier) == (-130, -65, Decimal(1))
    assert (short.average_price, short.value) == (Decimal("123.4567"), Decimal("16049.371"))
    assert (short.last_price, short.close_price) == (Decimal("120.05"), None)
    assert (flat.signed_quantity, flat.average_price, flat.product) == (0, Decimal(0), Product.MIS)


def test_funds_are_those_of_the_equity_segment() -> None:
    """Futures and options draw from equity; commodity is another purse."""
    segment = {"enabled": True, "net": 99725.05, "available": {"cash": 245431.6}, "utilised": {"debits": 145706.55}}
    other = {"net": 1.0, "available": {"cash": 1.0}, "utilised": {"debits": 1.0}}
    funds = messages.parse_funds(body({"equity": segment, "commodity": other}))
    assert (funds.net, funds.cash, funds.used) == (Decimal("99725.05"), Decimal("245431.6"), Decimal("145706.55"))
    with pytest.raises(UnreadableAnswer):
        messages.parse_funds(body({"equity": {"available": {}, "utilised": {}}}))


def test_a_profile_without_a_user_is_refused() -> None:
    """The account id is the one thing a profile must have."""
    profile = messages.parse_profile(body({"user_id": "AB1234", "user_name": None, "exchanges": ["NFO"]}))
    assert (profile.account_id, profile.name, profile.exchanges) == ("AB1234", "", ("NFO",))
    with pytest.raises(UnreadableAnswer):
        messages.parse_profile(body({"user_name": "Nobody"}))


def quote_row(buy: list[tuple[float, int]], sell: list[tuple[float, int]], **changes: Any) -> dict[str, Any]:
    """One quote with a book."""

    def side(levels: list[tuple[float, int]]) -> list[dict[str, Any]]:
        filled = [{"price": price, "quantity": quantity, "orders": 1} for price, quantity in levels]
        return filled + [{"price": 0, "quantity": 0, "orders": 0}] * (5 - len(filled))

    return {
        "instrument_token": 3840002,
        "timestamp": "2026-11-19 11:30:00",
        "last_price": 105.55,
        "volume": 1200,
        "oi": 65000,
        "net_change": 0,
        "ohlc": {"open": 1, "high": 2, "low": 1, "close": 101.1},
        "depth": {"buy": side(buy), "sell": side(sell)},
    } | changes


@pytest.mark.parametrize(
    ("buy", "sell", "state"),
    [
        ([(105.5, 65)], [(105.6, 130)], QuoteState.LIVE),
        ([(105.6, 65)], [(105.6, 130)], QuoteState.CROSSED),
        ([(105.5, 65)], [], QuoteState.ONE_SIDED),
        ([], [], QuoteState.LIVE),
    ],
)
def test_a_snapshot_becomes_a_quote(
    buy: list[tuple[float, int]], sell: list[tuple[float, int]], state: QuoteState
) -> None:
    """Prices exact, empty levels left out, state from the book, the exchange's time as UTC."""
    quotes, unread = messages.parse_quotes(body({"NFO:NIFTY26DEC24000CE": quote_row(buy, sell)}), NOW)
    quote = quotes[KEY]
    assert unread == ()
    assert (quote.last, quote.previous_close) == (Decimal("105.55"), Decimal("101.1"))
    assert (len(quote.bids), len(quote.asks), quote.state) == (len(buy), len(sell), state)
    assert (quote.volume, quote.open_interest) == (1200, 65000)
    assert quote.exchange_time == datetime(2026, 11, 19, 6, 0, tzinfo=UTC)


def test_an_index_snapshot_has_no_book_and_strange_keys_are_named() -> None:
    """An index without depth is a quote; a key that is no instrument is left out by name."""
    index = {"instrument_token": 256265, "last_price": 24350.25, "ohlc": {"close": 24305.5}, "timestamp": None}
    quotes, unread = messages.parse_quotes(body({"NSE:NIFTY 50": index, "MOON:X": index, "NFO:Y": {}}), NOW)
    quote = quotes[InstrumentKey(Exchange.NSE, "NIFTY 50")]
    assert (quote.last, quote.bids, quote.volume, quote.exchange_time) == (Decimal("24350.25"), (), None, None)
    assert len(unread) == 2


@pytest.mark.parametrize(
    ("data", "order_id"),
    [
        ({"order_id": "15"}, "15"),
        ({"order_id": 1914227164488687617}, "1914227164488687617"),
        ({"order_id": "15", "children": [{"order_id": "16"}, {"error": {"code": 400}}]}, "15"),
        ([{"order_id": "15"}, {"order_id": "16"}], "15"),
        ([{"error": {"code": 400}}, {"order_id": "16"}], "16"),
        ({}, None),
        ({"order_id": None}, None),
        ({"order_id": ""}, None),
        ({"order_id": 1.5}, None),
        ({"order_id": True}, None),
        ([], None),
        (None, None),
        ("15", None),
    ],
)
def test_the_order_id_of_each_shape_of_answer(data: object, order_id: str | None) -> None:
    """Plain, autosliced as parent and as list; anything without an id names none."""
    assert messages.order_id_of(body(data)) == order_id


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff", b'{"status":"error","data":{"order_id":"1"}}', b"[1]"])
def test_only_a_success_names_an_order(content: bytes) -> None:
    """An id outside a success envelope counts for nothing."""
    assert messages.order_id_of(content) is None


def test_text_frames_are_told_apart_and_never_raise() -> None:
    """Orders, errors and messages by their type; whatever else is kept as words."""
    update = parse_text(json.dumps({"type": "order", "data": order_row(status="UPDATE")}), NOW)
    assert update.kind is FeedTextKind.ORDER
    assert update.order is not None
    assert update.order.trigger is OrderTrigger.BOOK_INTERIM
    error = parse_text('{"type":"error","data":"too many tokens"}', NOW)
    assert (error.kind, error.words) == (FeedTextKind.ERROR, "too many tokens")
    for odd in ("", "{", "[]", '{"type":"instruments_meta","data":{}}', '{"type":"order","data":{}}'):
        assert parse_text(odd, NOW).kind is FeedTextKind.OTHER
