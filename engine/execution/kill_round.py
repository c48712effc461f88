"""What a kill process does next: a pure function of the broker's book, its positions, and the orders it sent itself.

Entries are cancelled first, and whatever rests on a contract before anything is traded in it; stops stay until their
leg is flat. Shorts are bought back before longs of the same underlying are sold. An order without an answer counts as
filled until it is found or presumed absent. Nothing is done to a leg whose position and fills do not agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from engine.core.identifiers import BrokerOrderId, InstrumentKey, OrderTag
from engine.core.orders import BrokerOrder, OrderRequest, OrderTrigger
from engine.core.positions import BrokerPosition
from engine.core.quotes import Quote
from engine.core.vocabulary import OrderType, Product, Side
from engine.execution.settings import KillSettings

LegKey = tuple[InstrumentKey, Product]
RESTING = frozenset({OrderTrigger.BOOK_OPEN, OrderTrigger.BOOK_TRIGGER_PENDING, OrderTrigger.BOOK_INTERIM})
BROKER_CHOOSES_BAND = Decimal(-1)
PERCENT = Decimal(100)
DOUBLINGS_MAX = 16
"""Beyond it every protection is at its greatest."""


class ContractFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known of a contract to trade it."""

    underlying: str
    tick: Decimal
    order_max: int | None
    """Most units of one order, whole lots; ``None``: no limit is known."""


class OwnOrder(msgspec.Struct, kw_only=True):
    """An order this process sent, or is sending."""

    tag: OrderTag
    leg: LegKey
    request: OrderRequest
    decided: Decimal | None
    """The touch when it was decided."""
    sent_at: float
    """Monotonic seconds."""
    priced_at: float
    order_id: BrokerOrderId | None = None
    is_answered: bool = False
    """The request has ended, with or without an answer."""
    ended_at: float = 0.0
    is_absent: bool = False
    """A definite no, or presumed absent."""
    missing_reads: int = 0
    prices: int = 0
    """New prices so far."""
    changing: bool = False
    """A change is on the wire."""

    @property
    def signed_quantity(self) -> int:
        """+ bought."""
        return self.request.side.sign * self.request.quantity

    @property
    def is_unknown(self) -> bool:
        """It may rest at the broker, and nobody has said so."""
        return self.order_id is None and not self.is_absent


class KillPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one moment."""

    now: float
    orders: Sequence[BrokerOrder]
    positions: Sequence[BrokerPosition]
    own: Mapping[OrderTag, OwnOrder]
    facts: Mapping[InstrumentKey, ContractFacts]
    quotes: Mapping[InstrumentKey, Quote]
    disagreeing: frozenset[LegKey] = frozenset()
    """Legs whose position does not contain their fills, or not yet."""
    flatten: bool = True


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """An order to send."""

    leg: LegKey
    request: OrderRequest
    decided: Decimal | None


class Reprice(msgspec.Struct, frozen=True, kw_only=True):
    """A new price for an order that rests."""

    own: OwnOrder
    price: Decimal


class KillRound(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done now."""

    cancels: tuple[BrokerOrder, ...] = ()
    places: tuple[Placement, ...] = ()
    changes: tuple[Reprice, ...] = ()
    waits: tuple[str, ...] = ()
    """Why a leg waits, in words."""
    is_done: bool = False
    """Nothing is held, nothing rests, nothing is unknown (without flattening: no entry rests)."""


def plan_round(picture: KillPicture, settings: KillSettings) -> KillRound:
    """What to do next."""
    net = {(p.instrument, p.product): p.signed_quantity for p in picture.positions if p.signed_quantity}
    own_ids = {own.order_id for own in picture.own.values() if own.order_id is not None}
    resting = [row for row in picture.orders if row.trigger in RESTING]
    cancels = [row for row in resting if row.broker_order_id not in own_ids and _goes(row, net, picture)]
    if not picture.flatten:
        return KillRound(cancels=tuple(cancels), is_done=not cancels)
    places: list[Placement] = []
    changes: list[Reprice] = []
    waits: list[str] = []
    held_back = _underlyings_short(net, picture.facts)
    for leg in sorted({*net, *(own.leg for own in picture.own.values())}, key=lambda leg: (net.get(leg, 0), str(leg))):
        own = [order for order in picture.own.values() if order.leg == leg]
        rows = {row.broker_order_id: row for row in resting}
        if leg in picture.disagreeing:
            waits.append(f"{leg[0].tradingsymbol}: position and fills do not agree yet")
            continue
        held = net.get(leg, 0)
        working = sum(_open_units(order, picture) for order in own)
        need = -held - working
        if held == 0 or need * held > 0:
            # Flat, or more is working than is held: a stop, or somebody else, was faster.
            cancels += [rows[order.order_id] for order in own if order.order_id in rows and _open_units(order, picture)]
            continue
        facts = picture.facts.get(leg[0])
        if facts is None:
            waits.append(f"{leg[0].tradingsymbol}: its lot and tick are not known yet")
            continue
        if held > 0 and facts.underlying in held_back:
            waits.append(f"{leg[0].tradingsymbol}: waits until the shorts of {facts.underlying} are bought back")
            continue
        others = [row for row in resting if row.instrument == leg[0] and row.broker_order_id not in own_ids]
        if any(row.trigger is not OrderTrigger.BOOK_TRIGGER_PENDING for row in others):
            waits.append(f"{leg[0].tradingsymbol}: waits until what rests there is cancelled")
            continue
        changes += _changes(own, rows, picture, settings, facts)
        if need:
            rejected = sum(order.is_absent for order in own)
            places += _pieces(leg, need, facts, picture.quotes.get(leg[0]), settings, attempt=rejected)
    is_asking = any(order.is_unknown for order in picture.own.values())
    is_done = not (net or resting or is_asking or picture.disagreeing)
    return KillRound(
        cancels=tuple(cancels), places=tuple(places), changes=tuple(changes), waits=tuple(waits), is_done=is_done
    )


def fills_of(orders: Sequence[BrokerOrder]) -> dict[LegKey, int]:
    """Signed units that the book's orders have filled, by leg."""
    filled: dict[LegKey, int] = {}
    for row in orders:
        if row.filled_quantity:
            leg = (row.instrument, row.product)
            filled[leg] = filled.get(leg, 0) + row.side.sign * row.filled_quantity
    return filled


def _goes(row: BrokerOrder, net: Mapping[LegKey, int], picture: KillPicture) -> bool:
    """Whether an order of somebody else is cancelled now."""
    leg = (row.instrument, row.product)
    held = net.get(leg, 0)
    works_against = held * row.side.sign < 0
    if row.trigger is OrderTrigger.BOOK_TRIGGER_PENDING:
        # A stop goes when its leg is flat, for certain and not before.
        return not works_against and leg not in picture.disagreeing
    if picture.flatten:
        return True
    return not works_against or row.quantity - row.filled_quantity > abs(held)


def _underlyings_short(net: Mapping[LegKey, int], facts: Mapping[InstrumentKey, ContractFacts]) -> frozenset[str]:
    return frozenset(facts[key].underlying for (key, _), held in net.items() if held < 0 and key in facts)


def _open_units(own: OwnOrder, picture: KillPicture) -> int:
    """Signed units of an own order that may still change the position."""
    if own.is_absent:
        return 0
    row = next((row for row in picture.orders if _is_row_of(row, own)), None)
    if row is None:
        return own.signed_quantity
    if row.trigger not in RESTING:
        return 0
    return own.request.side.sign * (row.quantity - row.filled_quantity)


def _is_row_of(row: BrokerOrder, own: OwnOrder) -> bool:
    return row.broker_order_id == own.order_id if own.order_id is not None else row.tag == own.tag


def _changes(
    own: Sequence[OwnOrder],
    rows: Mapping[BrokerOrderId, BrokerOrder],
    picture: KillPicture,
    settings: KillSettings,
    facts: ContractFacts,
) -> list[Reprice]:
    changes = []
    for order in own:
        row = rows.get(order.order_id) if order.order_id is not None else None
        if row is None or order.changing or picture.now - order.priced_at < settings.reprice_s:
            continue
        if order.prices >= settings.modifications_max:
            continue
        quote = picture.quotes.get(order.leg[0])
        price = protected_price(order.request.side, quote, facts.tick, protection(settings, order.prices + 1))
        if price is not None and price != row.price:
            changes.append(Reprice(own=order, price=price))
    return changes


def _pieces(
    leg: LegKey,
    need: int,
    facts: ContractFacts,
    quote: Quote | None,
    settings: KillSettings,
    *,
    attempt: int,
) -> list[Placement]:
    side = Side.BUY if need > 0 else Side.SELL
    touch = None if quote is None else quote.touch(side)
    # A limit beyond the touch; what the broker refuses so is tried at the market, and then at the touch.
    percent = (protection(settings, 0), None, Decimal(0))[attempt % 3]
    price = None if percent is None else protected_price(side, quote, facts.tick, percent)
    left, most = abs(need), facts.order_max or abs(need)
    pieces = []
    while left > 0:
        quantity = min(left, most)
        left -= quantity
        pieces.append(Placement(leg=leg, request=_request(leg, side, quantity, price), decided=touch))
    return pieces


def _request(leg: LegKey, side: Side, quantity: int, price: Decimal | None) -> OrderRequest:
    """A limit where there is a price; the market with the broker's own protection where there is none."""
    market = price is None
    return OrderRequest(
        instrument=leg[0],
        side=side,
        quantity=quantity,
        order_type=OrderType.MARKET if market else OrderType.LIMIT,
        product=leg[1],
        price=price,
        market_protection=BROKER_CHOOSES_BAND if market else None,
    )


def protection(settings: KillSettings, prices: int) -> Decimal:
    """Percent beyond the touch at the so manyth price."""
    doubled = settings.protection_percent * Decimal(2 ** min(prices, DOUBLINGS_MAX))
    return min(doubled, settings.protection_percent_max)


def protected_price(side: Side, quote: Quote | None, tick: Decimal, percent: Decimal) -> Decimal | None:
    """A limit so far beyond the touch, on the tick; ``None`` when nobody stands on the other side.

    An empty side leaves the last price to go by: the order rests there for whoever comes.
    """
    if quote is None:
        return None
    base = quote.touch(side) or quote.last
    if base is None:
        return None
    moved = base * (1 + side.sign * percent / PERCENT)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    steps = (moved / tick).quantize(Decimal(1), rounding=rounding)
    return max(steps, Decimal(1)) * tick
