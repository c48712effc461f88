"""Values that the contract tests keep and read back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from engine.core.accounts import Account
from engine.core.identifiers import (
    AccountId,
    BrokerOrderId,
    InstrumentKey,
    IntentId,
    OrderNumber,
    OrderTag,
    StrategyNumber,
    TradeId,
)
from engine.core.instruments import Instrument
from engine.core.ledger import LedgerEntry, LedgerSource, trade_reference
from engine.core.orders import (
    OrderEvent,
    OrderIntent,
    OrderRecord,
    OrderRequest,
    OrderState,
    OrderTrigger,
    Trade,
)
from engine.core.strategies import M2mCandle
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Product, Side, Validity, Venue

ACCOUNT = AccountId("AB1234")
OTHER_ACCOUNT = AccountId("CD5678")
MORNING = datetime(2026, 11, 20, 3, 45, 12, 345678, tzinfo=UTC)
MINUTE = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
CALL = InstrumentKey(Exchange.NFO, "NIFTY26NOV24000CE")
PUT = InstrumentKey(Exchange.NFO, "NIFTY26NOV24000PE")
TOKEN = 4_294_967_295
"""The largest token of the wire: it must not turn negative anywhere."""


def account(account_id: AccountId = ACCOUNT, name: str = "Main") -> Account:
    """An account."""
    return Account(account_id=account_id, name=name, venue=Venue.PRACTICE, created_at=MORNING)


def option(symbol: str, *, strike: str = "24000", token: int = 12_345_678) -> Instrument:
    """One row of a dump."""
    return Instrument(
        token=token,
        exchange_token=48_225,
        tradingsymbol=symbol,
        exchange=Exchange.NFO,
        name="NIFTY",
        kind=InstrumentKind.CALL,
        segment="NFO-OPT",
        expiry=date(2026, 11, 24),
        strike=Decimal(strike),
        tick_size=Decimal("0.05"),
        lot_size=65,
    )


def request(**changes: object) -> OrderRequest:
    """A limit order for two lots of a call."""
    values: dict[str, object] = {
        "instrument": CALL,
        "side": Side.BUY,
        "quantity": 130,
        "price": Decimal("105.35"),
    }
    return OrderRequest(**(values | changes))  # type: ignore[arg-type]


def stop_request() -> OrderRequest:
    """An order with every field filled."""
    return request(
        instrument=PUT,
        side=Side.SELL,
        order_type=OrderType.SL_M,
        product=Product.MIS,
        price=Decimal("99.95"),
        trigger_price=Decimal("100.00"),
        validity=Validity.DAY,
        market_protection=Decimal(-1),
    )


def intent(number: int = 1, *, account_id: AccountId = ACCOUNT, wanted: OrderRequest | None = None) -> OrderIntent:
    """The intent number ``number``: its id, tag and key all differ from the others'."""
    return OrderIntent(
        intent_id=IntentId(f"{account_id.lower()}{number:026d}"),
        account=account_id,
        tag=OrderTag(f"WS{number:016d}"),
        idempotency_key=f"key {number}",
        request=wanted or request(),
        created_at=MORNING + timedelta(seconds=number),
    )


def event(record: OrderRecord, trigger: OrderTrigger, to_state: OrderState, *, applied: bool = True) -> OrderEvent:
    """Something that happened to an order."""
    return OrderEvent(
        number=record.number,
        account=record.account,
        trigger=trigger,
        from_state=record.state,
        to_state=to_state,
        applied=applied,
        at=MORNING + timedelta(minutes=1),
        detail="why",
    )


def outside_order(broker_order_id: str = "261120000000777", *, account_id: AccountId = ACCOUNT) -> OrderRecord:
    """An order placed on the phone."""
    return OrderRecord(
        number=OrderNumber(0),
        intent_id=None,
        account=account_id,
        tag=OrderTag("phone"),
        request=request(),
        state=OrderState.OPEN,
        broker_order_id=BrokerOrderId(broker_order_id),
        filled_quantity=65,
        average_price=Decimal("104.123456"),
        message="from outside",
        created_at=MORNING,
        updated_at=MORNING + timedelta(seconds=5),
        sent_at=MORNING,
        answered_at=MORNING + timedelta(seconds=1),
    )


def trade(
    trade_id: str = "1001",
    *,
    side: Side = Side.BUY,
    quantity: int = 65,
    price: str = "105.35",
    order_id: str = "261120000000001",
    at: datetime = MORNING,
    account_id: AccountId = ACCOUNT,
) -> Trade:
    """A fill."""
    return Trade(
        account=account_id,
        instrument=CALL,
        token=TOKEN,
        broker_order_id=BrokerOrderId(order_id),
        trade_id=TradeId(trade_id),
        side=side,
        product=Product.NRML,
        quantity=quantity,
        price=Decimal(price),
        filled_at=at,
    )


def entry_of(fill: Trade, strategy: StrategyNumber, leg: int = 1) -> LedgerEntry:
    """The movement that a fill makes."""
    return LedgerEntry(
        account=fill.account,
        strategy=strategy,
        leg=leg,
        instrument=fill.instrument,
        token=fill.token,
        product=fill.product,
        signed_quantity=fill.signed_quantity,
        price=fill.price,
        at=fill.filled_at,
        source=LedgerSource.TRADE,
        reference=trade_reference(fill),
    )


def side_of_transfer(strategy: StrategyNumber, signed_quantity: int, reference: str = "t1") -> LedgerEntry:
    """One side of a transfer of calls."""
    return LedgerEntry(
        account=ACCOUNT,
        strategy=strategy,
        leg=1,
        instrument=CALL,
        token=TOKEN,
        product=Product.NRML,
        signed_quantity=signed_quantity,
        price=Decimal("110.5"),
        at=MORNING,
        source=LedgerSource.TRANSFER,
        reference=reference,
    )


def candle(strategy: StrategyNumber, minute: int, prices: str, samples: int = 10) -> M2mCandle:
    """A candle of minute ``minute`` from ``"open high low close"``."""
    first, high, low, close = (Decimal(price) for price in prices.split())
    return M2mCandle(
        strategy=strategy,
        minute=MINUTE + timedelta(minutes=minute),
        open=first,
        high=high,
        low=low,
        close=close,
        samples=samples,
    )
