"""Kite's JSON to the domain, purely.

Lists are read row by row: a row with a word this program does not know (an order of a product it cannot trade) is
left out and named in ``unread``, so that it hides no other. Invariant: a row is either right in every field or
unread.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from engine.brokers.kite.values import exact, indian_day, moment, price_or_none, whole, word
from engine.core.accounts import Profile
from engine.core.errors import InvalidInput
from engine.core.identifiers import TAG_PREFIX, AccountId, BrokerOrderId, InstrumentKey, OrderTag, TradeId
from engine.core.orders import BrokerOrder, OrderTrigger, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import Exchange, OrderType, Product, QuoteState, Side, Validity, Variety

_Row = TypeVar("_Row")
_Wire = TypeVar("_Wire", bound=msgspec.Struct)
_Content = TypeVar("_Content")

STATUS_TRIGGERS = {
    "OPEN": OrderTrigger.BOOK_OPEN,
    "AMO REQ RECEIVED": OrderTrigger.BOOK_OPEN,
    "TRIGGER PENDING": OrderTrigger.BOOK_TRIGGER_PENDING,
    "COMPLETE": OrderTrigger.BOOK_COMPLETE,
    "REJECTED": OrderTrigger.BOOK_REJECTED,
    "CANCELLED": OrderTrigger.BOOK_CANCELLED,
}
"""Statuses that settle where an order is; every other word (``UPDATE``, an order update's word for a partial fill,
among them) is on the way: keep looking."""
_SHOWN_CHARACTERS = 200
_OUR_TAG = f'"{TAG_PREFIX}'.encode("ascii")
_ROW_ERRORS = (msgspec.DecodeError, ValueError, InvalidInput)


class UnreadableAnswer(ValueError):
    """A success whose content is not what the documentation says; the sentence names where."""


class Parsed(msgspec.Struct, Generic[_Row], frozen=True):
    """The rows of a list."""

    rows: tuple[_Row, ...]
    unread: tuple[str, ...] = ()
    """One sentence for each row left out."""


class _Envelope(msgspec.Struct):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


AUTOSLICE = "autoslice"
"""The broker's own tag of the slices of an order, with the id of the whole after a colon."""


class _OrderRow(msgspec.Struct):
    order_id: str | int
    status: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    order_type: str
    product: str
    quantity: Decimal
    instrument_token: int = 0
    variety: str | None = None
    validity: str | None = None
    filled_quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    tag: str | None = None
    tags: list[str] | None = None
    status_message: str | None = None
    status_message_raw: str | None = None
    order_timestamp: str | None = None
    meta: object = None


class _TradeRow(msgspec.Struct):
    trade_id: str | int
    order_id: str | int
    exchange: str
    tradingsymbol: str
    transaction_type: str
    product: str
    quantity: Decimal
    average_price: Decimal
    instrument_token: int = 0
    fill_timestamp: str | None = None
    exchange_timestamp: str | None = None
    order_timestamp: str | None = None


class _PositionRow(msgspec.Struct):
    exchange: str
    tradingsymbol: str
    product: str
    quantity: Decimal
    average_price: Decimal
    value: Decimal
    instrument_token: int = 0
    overnight_quantity: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    last_price: Decimal | None = None
    close_price: Decimal | None = None


class _Positions(msgspec.Struct):
    net: list[msgspec.Raw]


class _Available(msgspec.Struct):
    cash: Decimal = Decimal(0)


class _Utilised(msgspec.Struct):
    debits: Decimal = Decimal(0)


class _Segment(msgspec.Struct):
    net: Decimal
    available: _Available
    utilised: _Utilised


class _Margins(msgspec.Struct):
    equity: _Segment


class _ProfileRow(msgspec.Struct):
    user_id: str
    user_name: str | None = None
    exchanges: list[str] | None = None
    products: list[str] | None = None


class _LevelRow(msgspec.Struct):
    price: Decimal
    quantity: Decimal
    orders: int = 0


class _DepthRow(msgspec.Struct):
    buy: list[_LevelRow] = []
    sell: list[_LevelRow] = []


class _OhlcRow(msgspec.Struct):
    close: Decimal | None = None


class _QuoteRow(msgspec.Struct):
    instrument_token: int
    last_price: Decimal | None = None
    timestamp: str | None = None
    volume: Decimal | None = None
    oi: Decimal | None = None
    ohlc: _OhlcRow | None = None
    depth: _DepthRow | None = None


def order_id_of(body: bytes) -> BrokerOrderId | None:
    """The order id of a placed, modified or cancelled order; ``None`` when the answer names none.

    An autosliced placement answers with a parent and its children, or a list of them: the first id is the parent's.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        data: object = msgspec.json.decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if envelope.status != "success":
        return None
    for element in data if isinstance(data, list) else [data]:
        found = element.get("order_id") if isinstance(element, dict) else None
        if isinstance(found, str | int) and not isinstance(found, bool) and found:
            return BrokerOrderId(str(found))
    return None


def parse_orders(body: bytes, now: datetime) -> Parsed[BrokerOrder]:
    """The order book. ``now`` (market clock) dates times of day.

    Raises:
        UnreadableAnswer: it is not a list in an envelope, or a row that may be one of ours is not understood: a book
            without it would say that the order is absent.
    """
    day = indian_day(now)
    raws = _data(body, list[msgspec.Raw])
    return _rows(raws, _OrderRow, lambda row: _order(row, day), is_vital=lambda raw: _OUR_TAG in raw)


def parse_order(data: bytes | msgspec.Raw, now: datetime) -> BrokerOrder:
    """One order object, as order updates carry it.

    Raises:
        UnreadableAnswer: a field is missing or not understood.
    """
    try:
        return _order(msgspec.json.decode(data, type=_OrderRow), indian_day(now))
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableAnswer(f"the order was not understood: {error}") from None


def parse_trades(body: bytes, account: AccountId, now: datetime) -> Parsed[Trade]:
    """The fills of the day. ``now`` (market clock) dates times of day.

    Raises:
        UnreadableAnswer: it is not a list in an envelope.
    """
    day = indian_day(now)
    return _rows(_data(body, list[msgspec.Raw]), _TradeRow, lambda row: _trade(row, account, day))


def parse_positions(body: bytes) -> Parsed[BrokerPosition]:
    """The net positions.

    Raises:
        UnreadableAnswer: there is no list of them.
    """
    return _rows(_data(body, _Positions).net, _PositionRow, _position)


def parse_funds(body: bytes) -> Funds:
    """Money of the equity segment, which futures and options draw from.

    Raises:
        UnreadableAnswer: a figure is missing.
    """
    segment = _data(body, _Margins).equity
    try:
        return Funds(
            net=exact(segment.net, "net"),
            cash=exact(segment.available.cash, "cash"),
            used=exact(segment.utilised.debits, "debits"),
        )
    except ValueError as error:
        raise UnreadableAnswer(str(error)) from None


def parse_profile(body: bytes) -> Profile:
    """Who is logged in.

    Raises:
        UnreadableAnswer: there is no user id.
    """
    row = _data(body, _ProfileRow)
    return Profile(
        account_id=AccountId(row.user_id),
        name=row.user_name or "",
        exchanges=tuple(row.exchanges or ()),
        products=tuple(row.products or ()),
    )


def parse_quotes(body: bytes, received: datetime) -> tuple[dict[InstrumentKey, Quote], tuple[str, ...]]:
    """Snapshots by instrument, and a sentence for each that was not understood.

    Their state tells the book only (crossed, one-sided, live): a snapshot does not say whether the session is open.

    Raises:
        UnreadableAnswer: it is not a map in an envelope.
    """
    quotes: dict[InstrumentKey, Quote] = {}
    unread: list[str] = []
    for name, raw in _data(body, dict[str, msgspec.Raw]).items():
        try:
            row = msgspec.json.decode(raw, type=_QuoteRow)
            quotes[InstrumentKey.parse(name)] = _quote(row, received)
        except _ROW_ERRORS as error:
            unread.append(f"{name}: {error}")
    return quotes, tuple(unread)


def _data(body: bytes, kind: type[_Content]) -> _Content:
    """The data of an envelope that says success."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        if envelope.status != "success":
            raise UnreadableAnswer(f'the status is "{envelope.status}" in an answer of success')
        return msgspec.json.decode(envelope.data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableAnswer(f"the answer is not what was asked for: {error}") from None


def _never(_: bytes) -> bool:
    return False


def _rows(
    raws: list[msgspec.Raw],
    wire: type[_Wire],
    read: Callable[[_Wire], _Row],
    *,
    is_vital: Callable[[bytes], bool] = _never,
) -> Parsed[_Row]:
    rows: list[_Row] = []
    unread: list[str] = []
    for raw in raws:
        try:
            rows.append(read(msgspec.json.decode(raw, type=wire)))
        except _ROW_ERRORS as error:
            content = bytes(raw)
            sentence = f"{error}: {content[:_SHOWN_CHARACTERS].decode('utf-8', errors='replace')}"
            if is_vital(content):
                raise UnreadableAnswer(f"a row that may be ours was not understood: {sentence}") from None
            unread.append(sentence)
    return Parsed(tuple(rows), tuple(unread))


def _key(exchange: str, symbol: str) -> InstrumentKey:
    return InstrumentKey(word(Exchange, exchange, "exchange"), symbol)


def _order(row: _OrderRow, day: date) -> BrokerOrder:
    return BrokerOrder(
        broker_order_id=BrokerOrderId(str(row.order_id)),
        instrument=_key(row.exchange, row.tradingsymbol),
        token=row.instrument_token,
        side=word(Side, row.transaction_type, "transaction_type"),
        order_type=word(OrderType, row.order_type, "order_type"),
        product=word(Product, row.product, "product"),
        variety=word(Variety, row.variety or Variety.REGULAR, "variety"),
        validity=word(Validity, row.validity or Validity.DAY, "validity"),
        status=row.status,
        trigger=STATUS_TRIGGERS.get(row.status, OrderTrigger.BOOK_INTERIM),
        quantity=whole(row.quantity, "quantity"),
        filled_quantity=whole(row.filled_quantity, "filled_quantity"),
        price=price_or_none(row.price, "price"),
        trigger_price=price_or_none(row.trigger_price, "trigger_price"),
        average_price=price_or_none(row.average_price, "average_price"),
        tag=_tag(row),
        message=row.status_message or row.status_message_raw or "",
        placed_at=moment(row.order_timestamp, "order_timestamp", day),
        part=_part(row),
        to_come=_to_come(row),
    )


def _to_come(row: _OrderRow) -> int:
    """Units of the legs of an iceberg that follow this one."""
    iceberg = row.meta.get("iceberg") if isinstance(row.meta, dict) else None
    left = iceberg.get("remaining_quantity") if isinstance(iceberg, dict) else None
    return left if isinstance(left, int) and not isinstance(left, bool) and left > 0 else 0


def _part(row: _OrderRow) -> str:
    """Of which larger order the broker made it; an iceberg's first leg is the order that was placed."""
    for tag in row.tags or ():
        kind, _, parent = tag.partition(":")
        if kind == AUTOSLICE and parent:
            return f"a slice of {parent}"
    iceberg = row.meta.get("iceberg") if isinstance(row.meta, dict) else None
    leg = iceberg.get("leg") if isinstance(iceberg, dict) else None
    if not isinstance(iceberg, dict) or not isinstance(leg, int) or leg <= 1:
        return ""
    return f"leg {leg} of {iceberg.get('legs', 'an iceberg')}"


def _tag(row: _OrderRow) -> OrderTag | None:
    """The tag that was sent; the broker puts tags of its own beside it, and may leave ``tag`` itself empty."""
    if row.tag:
        return OrderTag(row.tag)
    ours = [tag for tag in row.tags or () if tag.startswith(TAG_PREFIX)]
    return OrderTag(ours[0]) if ours else None


def _trade(row: _TradeRow, account: AccountId, day: date) -> Trade:
    filled_at = moment(row.fill_timestamp, "fill_timestamp", day) or moment(
        row.exchange_timestamp or row.order_timestamp, "exchange_timestamp", day
    )
    if filled_at is None:
        raise ValueError("the fill has no time")
    quantity = whole(row.quantity, "quantity")
    if quantity <= 0:
        raise ValueError(f"the fill's quantity is {quantity}")
    return Trade(
        account=account,
        instrument=_key(row.exchange, row.tradingsymbol),
        token=row.instrument_token,
        broker_order_id=BrokerOrderId(str(row.order_id)),
        trade_id=TradeId(str(row.trade_id)),
        side=word(Side, row.transaction_type, "transaction_type"),
        product=word(Product, row.product, "product"),
        quantity=quantity,
        price=exact(row.average_price, "average_price"),
        filled_at=filled_at,
    )


def _position(row: _PositionRow) -> BrokerPosition:
    return BrokerPosition(
        instrument=_key(row.exchange, row.tradingsymbol),
        token=row.instrument_token,
        product=word(Product, row.product, "product"),
        signed_quantity=whole(row.quantity, "quantity"),
        average_price=exact(row.average_price, "average_price"),
        overnight_quantity=whole(row.overnight_quantity, "overnight_quantity"),
        multiplier=exact(row.multiplier, "multiplier"),
        value=exact(row.value, "value"),
        last_price=price_or_none(row.last_price, "last_price"),
        close_price=price_or_none(row.close_price, "close_price"),
    )


def _quote(row: _QuoteRow, received: datetime) -> Quote:
    depth = row.depth or _DepthRow()
    bids, asks = _levels(depth.buy), _levels(depth.sell)
    return Quote(
        token=row.instrument_token,
        state=_book_state(bids, asks),
        last=price_or_none(row.last_price, "last_price"),
        bids=bids,
        asks=asks,
        volume=None if row.volume is None else whole(row.volume, "volume"),
        open_interest=None if row.oi is None else whole(row.oi, "oi"),
        previous_close=price_or_none(row.ohlc.close, "close") if row.ohlc else None,
        exchange_time=moment(row.timestamp, "timestamp", indian_day(received)),
        received_time=received,
        age_s=0.0,
    )


def _levels(rows: list[_LevelRow]) -> tuple[DepthLevel, ...]:
    return tuple(
        DepthLevel(exact(row.price, "price"), whole(row.quantity, "quantity"), row.orders) for row in rows if row.price
    )


def _book_state(bids: tuple[DepthLevel, ...], asks: tuple[DepthLevel, ...]) -> QuoteState:
    if bids and asks:
        return QuoteState.CROSSED if bids[0].price >= asks[0].price else QuoteState.LIVE
    return QuoteState.ONE_SIDED if bids or asks else QuoteState.LIVE
