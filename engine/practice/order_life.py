"""What happens to an order once it is accepted: it opens, waits, fills, lapses; legs and slices follow.

Invariant: every state an order passes through is recorded; a fill and the state it leads to are of one commit. The
caller commits.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.practice import wire
from engine.practice.book import TradeRecord
from engine.practice.changes import Changes
from engine.practice.checks import PlaceRequest
from engine.practice.contracts import Contract
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.matching import Fill, Matcher
from engine.practice.orders import Iceberg, Order, Trade
from engine.practice.wire import Status

_SQUARE_OFF = "ADMINSQF"
_SEQUENCE_DIGITS = 11
_PARENT_DIGITS = 10
_EXCHANGE_DIGITS = 12
_TRADE_DIGITS = 9

LEG, SLICE, SQUARE_OFF = "leg", "slice", "square-off"


class OrderLife:
    """Moves the orders of one account through their states.

    Args:
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        matcher: How orders meet quotes.
        seat: Number of the account in its venue; it is part of every id, so that ids are unique over accounts.
    """

    def __init__(self, floor: Floor, ledger: Ledger, changes: Changes, matcher: Matcher, seat: int) -> None:
        self._floor = floor
        self._ledger = ledger
        self._changes = changes
        self._matcher = matcher
        self._seat = seat
        self.born: list[str] = []
        """Orders that the exchange made itself and that are still to be processed."""

    def next_id(self) -> str:
        """Return the next order id: 19 digits, the day first."""
        return f"{self._prefix()}{self._ledger.next_order:0{_SEQUENCE_DIGITS}d}"

    def parent_id(self) -> str:
        """Return an id for a sliced order, which is no order itself: no order's own id can be equal to it."""
        return f"{self._prefix()}9{self._ledger.next_order:0{_PARENT_DIGITS}d}"

    def new(self, request: PlaceRequest, quantity: int, status: Status, *, origin: str, tags: Sequence[str]) -> Order:
        """Record an accepted order."""
        leg = None
        if request.legs:
            # The leg's own protection is gone when it shows as a limit order; the next leg needs it again.
            leg = Iceberg(1, request.legs, request.leg_quantity, request.quantity, request.market_protection)
        order = Order(
            order_id=self.next_id(),
            account=self._changes.account,
            exchange=request.contract.exchange,
            symbol=request.contract.symbol,
            token=request.contract.token,
            side=request.side,
            order_type=request.order_type,
            product=request.product,
            validity=request.validity,
            validity_ttl=request.validity_ttl,
            quantity=quantity,
            price=request.price,
            trigger=request.trigger,
            market_protection=request.market_protection,
            tag=request.tag,
            tags=list(tags),
            variety=request.variety,
            iceberg=leg,
            origin=origin,
            placed_at=self._floor.now(),
        )
        self._changes.status(order, status)
        return order

    def give_exchange_id(self, order: Order) -> None:
        """Give an order the exchange's own 19-digit number and time."""
        sequence = int(order.order_id[-_SEQUENCE_DIGITS:])
        order.exchange_order_id = f"1{order.order_id[:6]}{self._seat:02d}{sequence:0{_EXCHANGE_DIGITS - 2}d}"
        order.exchange_at = self._floor.now()

    def open(self, order: Order, row: int, *, keeps_place: bool = False, told: Status | None = None) -> None:
        """Put an order into the market: fill what crosses, then rest, or lapse when it is immediate-or-cancel."""
        order.resting = True
        if not keeps_place:
            order.line = self._matcher.next_line()
        self._changes.status(order, Status.OPEN, told=told)
        self.fill(order, self._matcher.take(self._floor.quotes, row, order))
        if order.is_terminal:
            return
        if order.validity == wire.IOC:
            self.cancel_rest(order, None)
        elif not keeps_place:
            order.ahead = self._matcher.queue_ahead(self._floor.quotes, row, order)

    def fill(self, order: Order, fills: Sequence[Fill]) -> None:
        """Book fills; a complete leg of an iceberg is followed by the next."""
        if not fills:
            return
        for fill in fills:
            order.filled += fill.quantity
            order.filled_value += fill.quantity * fill.price
            trade = Trade(
                trade_id=self._trade_id(),
                order_id=order.order_id,
                exchange_order_id=order.exchange_order_id or "",
                exchange=order.exchange,
                symbol=order.symbol,
                token=order.token,
                product=order.product,
                side=order.side,
                quantity=fill.quantity,
                price=fill.price,
                moment=self._floor.now(),
            )
            self._changes.record(TradeRecord(trade))
        if order.open_quantity:
            self._changes.status(order, order.status, told=Status.UPDATE)
            return
        order.resting, order.change = False, None
        self._changes.status(order, Status.COMPLETE, told=Status.COMPLETE)
        self._next_leg(order)

    def cancel_rest(self, order: Order, words: str | None) -> None:
        """Cancel what is not filled."""
        order.cancelled = order.open_quantity
        order.resting, order.change = False, None
        order.status_message = words
        self._changes.status(order, Status.CANCELLED, told=Status.CANCELLED)

    def reject(self, order: Order, refusal: tuple[str, str]) -> None:
        """Reject an order with words for the user and the raw text."""
        order.status_message, order.status_message_raw = refusal
        order.cancelled = order.open_quantity
        order.resting, order.change = False, None
        self._changes.status(order, Status.REJECTED, told=Status.REJECTED)

    def square_off(self, contract: Contract, quantity: int, price: int) -> None:
        """Close an intraday position at a price, visible as an order of the broker's."""
        order = Order(
            order_id=self.next_id(),
            account=self._changes.account,
            exchange=contract.exchange,
            symbol=contract.symbol,
            token=contract.token,
            side=wire.SELL if quantity > 0 else wire.BUY,
            order_type=wire.LIMIT,
            product=wire.MIS,
            validity=wire.DAY,
            quantity=abs(quantity),
            price=price,
            trigger=0,
            market_protection=0.0,
            tag=None,
            placed_at=self._floor.now(),
            placed_by=_SQUARE_OFF,
            origin=SQUARE_OFF,
        )
        self.give_exchange_id(order)
        self._changes.status(order, Status.OPEN)
        self.fill(order, [Fill(price, abs(quantity))])

    def _next_leg(self, done: Order) -> None:
        leg = done.iceberg
        if leg is None or leg.leg >= leg.legs:
            return
        following = Iceberg(leg.leg + 1, leg.legs, leg.leg_quantity, leg.total_quantity, leg.market_protection)
        market = leg.market_protection != 0.0
        order = Order(
            order_id=self.next_id(),
            account=done.account,
            exchange=done.exchange,
            symbol=done.symbol,
            token=done.token,
            side=done.side,
            order_type=wire.MARKET if market else wire.LIMIT,
            product=done.product,
            validity=done.validity,
            validity_ttl=done.validity_ttl,
            quantity=min(leg.leg_quantity, leg.remaining),
            price=0 if market else done.price,
            trigger=0,
            market_protection=leg.market_protection,
            tag=done.tag,
            tags=[done.tag] if done.tag else [],
            variety=done.variety,
            iceberg=following,
            origin=LEG,
            placed_at=self._floor.now(),
        )
        self._changes.status(order, Status.RECEIVED)
        self.born.append(order.order_id)

    def _prefix(self) -> str:
        return f"{self._floor.day.session.day:%y%m%d}{self._seat:02d}"

    def _trade_id(self) -> str:
        number = self._ledger.next_trade
        return f"{self._seat}{number:0{_TRADE_DIGITS}d}" if self._seat else str(number)
