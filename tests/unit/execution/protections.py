"""Orders and holdings for tests of housekeeping."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.identifiers import AccountId, BrokerOrderId, IntentId, OrderNumber, StrategyNumber, TradeId
from engine.core.orders import OrderRecord, OrderRequest, OrderState, Trade
from engine.core.vocabulary import OrderType, Product, Side
from engine.execution.housekeeping import Holdings, PositionKey, Protection, Role, TidyPicture
from tests.kit.fake_broker import LOT, TOKEN, option

ACCOUNT = AccountId("AB1234")
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
MAIN = StrategyNumber(1)
OTHER = StrategyNumber(2)
CALL = PositionKey(option().key, Product.NRML)


def order(
    number: int,
    side: Side = Side.BUY,
    quantity: int = LOT,
    *,
    kind: OrderType = OrderType.SL,
    state: OrderState = OrderState.TRIGGER_PENDING,
    filled: int = 0,
    strategy: StrategyNumber = MAIN,
    modifications: int = 0,
    key: str = "",
    product: Product = Product.NRML,
) -> OrderRecord:
    """An order for the one call."""
    is_stop = kind is OrderType.SL
    return OrderRecord(
        number=OrderNumber(number),
        intent_id=IntentId(f"{number:032x}"),
        account=ACCOUNT,
        tag=None,
        request=OrderRequest(
            instrument=option().key,
            side=side,
            quantity=quantity,
            order_type=kind,
            product=product,
            price=Decimal(130),
            trigger_price=Decimal(120) if is_stop else None,
            strategy=strategy,
        ),
        state=state,
        broker_order_id=BrokerOrderId(f"26{number:017d}"),
        filled_quantity=filled,
        idempotency_key=key or f"made-{number}",
        created_at=NOW - timedelta(minutes=5),
        updated_at=NOW - timedelta(minutes=5),
        modifications=modifications,
    )


def held(net: int, *, broker: int | None = None, main: int | None = None, other: int = 0) -> Holdings:
    """Holdings of the call; everything agrees unless said otherwise."""
    return Holdings(
        ledger={CALL: net},
        broker={CALL: net if broker is None else broker},
        strategies={(MAIN, CALL): net - other if main is None else main, (OTHER, CALL): other},
    )


def picture(
    holdings: Holdings | None,
    *protective: OrderRecord,
    entries: tuple[OrderRecord, ...] = (),
    doubtful: bool = False,
    untouchable: frozenset[OrderNumber] = frozenset(),
    lot: int | None = LOT,
    stand_ins: tuple[OrderRecord, ...] = (),
) -> TidyPicture:
    """What housekeeping looks at; ``stand_ins`` are in the place of o7."""
    return TidyPicture(
        working=(*protective, *entries),
        protections={
            record.number: Protection(role=Role.of(record.request.order_type), strategy=record.request.strategy or MAIN)
            for record in protective
        },
        holdings=holdings,
        doubtful=frozenset({CALL}) if doubtful else frozenset(),
        untouchable=untouchable,
        lot_size=lambda _: lot,
        modifications_max=25,
        stand_ins={OrderNumber(7): stand_ins} if stand_ins else {},
    )


def fill(number: int, side: Side, quantity: int, at: datetime = NOW) -> Trade:
    """A fill of the order with this number."""
    return Trade(
        account=ACCOUNT,
        instrument=option().key,
        token=TOKEN,
        broker_order_id=BrokerOrderId(f"26{number:017d}"),
        trade_id=TradeId(f"{number}{quantity}{at:%S%f}"),
        side=side,
        product=Product.NRML,
        quantity=quantity,
        price=Decimal(100),
        filled_at=at,
    )
