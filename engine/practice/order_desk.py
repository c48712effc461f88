"""The life of an order: accepted, validated, matched, changed, cancelled, lapsed.

Invariant: every state an order passes through is in its history and in the book; a request is answered as accepted
only when it is durable, and acted on shortly after, as the broker does.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.practice import checks, wire
from engine.practice.book import TradeRecord
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.changes import ACCOUNT, Changes
from engine.practice.contracts import Contract
from engine.practice.floor import Floor
from engine.practice.funds import Funds
from engine.practice.ledger import Ledger
from engine.practice.matching import Fill, Matcher
from engine.practice.orders import Order, OrderChange, Trade
from engine.practice.session_market import Quotes
from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError, Status

_SQUARE_OFF = "ADMINSQF"
_SEQUENCE_DIGITS = 13
_CLOSED = "Markets are closed right now. Orders are taken while the practice session is open."
_BUSY = "Order cannot be {} as it is being processed or is already complete."
_CHANGEABLE = ("order_type", "quantity", "price", "trigger", "validity", "market_protection")


class OrderDesk:
    """Handles the orders of one account.

    Args:
        settings: Limits.
        calendar: Facts of underlyings (freeze quantities).
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        funds: What the account can afford.
        matcher: How orders meet quotes.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        calendar: TradingCalendar,
        floor: Floor,
        ledger: Ledger,
        changes: Changes,
        funds: Funds,
        matcher: Matcher,
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._floor = floor
        self._ledger = ledger
        self._changes = changes
        self._funds = funds
        self._matcher = matcher

    def place(self, variety: str, form: Mapping[str, str]) -> str:
        """Accept an order and return its id; it is durable, but nothing has happened to it yet.

        Raises:
            KiteError: The request is refused.
        """
        by_key = self._floor.day.universe.by_key
        request = checks.read_placement(variety, form, by_key, self._settings.tag_length)
        if self._floor.closed or self._floor.is_over(request.contract):
            raise wire.input_error(_CLOSED)
        order = Order(
            order_id=self._next_id(),
            account=ACCOUNT,
            exchange=request.contract.exchange,
            symbol=request.contract.symbol,
            token=request.contract.token,
            side=request.side,
            order_type=request.order_type,
            product=request.product,
            validity=request.validity,
            quantity=request.quantity,
            price=request.price,
            trigger=request.trigger,
            market_protection=request.market_protection,
            tag=request.tag,
            tags=[request.tag] if request.tag else [],
            placed_at=self._floor.now(),
        )
        self._changes.status(order, Status.RECEIVED)
        self._changes.commit()
        return order.order_id

    def process(self, order_id: str) -> None:
        """Validate an accepted order and let it meet the market."""
        order = self._ledger.orders.get(order_id)
        if order is None or order.status != Status.RECEIVED:
            return
        self._changes.status(order, Status.VALIDATION_PENDING)
        row, contract = self._floor.row(order.token), self._floor.contract(order.token)
        refusal = self._refusal(order, contract)
        if refusal is not None or row is None:
            self._reject(order, refusal or checks.NO_MARKET)
        else:
            self._give_exchange_id(order)
            if order.order_type == wire.STOP_LIMIT:
                self._changes.status(order, Status.TRIGGER_PENDING)
                self._try_trigger(order, row)
            else:
                self._changes.status(order, Status.OPEN_PENDING)
                self._open(order, row)
        self._changes.commit()

    def modify(self, variety: str, order_id: str, form: Mapping[str, str]) -> str:
        """Accept a modification; it takes effect shortly after.

        Raises:
            KiteError: The request is refused.
        """
        order = self._changeable(variety, order_id, "modified")
        if order.modifications >= self._settings.modifications_per_order:
            raise KiteError(400, ErrorType.ORDER, "Maximum allowed order modifications exceeded.")
        order.change = checks.read_change(form, order, self._floor.contract(order.token))
        order.modifications += 1
        self._changes.status(order, Status.MODIFY_VALIDATION_PENDING)
        self._changes.commit()
        return order_id

    def finish_change(self, order_id: str) -> None:
        """Let an accepted modification take effect, or say why it does not."""
        order = self._ledger.orders.get(order_id)
        if order is None or order.change is None or order.is_terminal:
            return
        change, order.change = order.change, None
        row, contract = self._floor.row(order.token), self._floor.contract(order.token)
        changed = _with_change(order, change)
        refusal = self._refusal(changed, contract)
        if refusal is None and changed.quantity < order.filled:
            words = f"Quantity {changed.quantity} is below the filled quantity {order.filled}."
            refusal = (words, "RMS:Invalid quantity")
        if refusal is not None or row is None:
            order.status_message, order.status_message_raw = refusal or checks.NO_MARKET
            self._changes.status(order, Status.TRIGGER_PENDING if _is_stop_waiting(order) else Status.OPEN)
            self._changes.commit()
            return
        self._changes.status(order, Status.MODIFY_PENDING)
        keeps_place = changed.price == order.price and changed.quantity <= order.quantity
        for name in (*_CHANGEABLE, "tags"):
            setattr(order, name, getattr(changed, name))
        order.modified = True
        order.status_message = order.status_message_raw = None
        self._changes.status(order, Status.MODIFIED, told=Status.UPDATE)
        if order.open_quantity == 0:
            order.resting = False
            self._changes.status(order, Status.COMPLETE, told=Status.COMPLETE)
        elif _is_stop_waiting(order):
            order.resting = False
            self._changes.status(order, Status.TRIGGER_PENDING)
            self._try_trigger(order, row)
        else:
            self._open(order, row, keeps_place=keeps_place)
        self._changes.commit()

    def cancel(self, variety: str, order_id: str) -> str:
        """Accept a cancellation; it takes effect shortly after.

        Raises:
            KiteError: The request is refused.
        """
        order = self._changeable(variety, order_id, "cancelled")
        self._changes.status(order, Status.CANCEL_PENDING)
        self._changes.commit()
        return order_id

    def finish_cancel(self, order_id: str) -> None:
        """Let an accepted cancellation take effect, unless the order was filled meanwhile."""
        order = self._ledger.orders.get(order_id)
        if order is not None and not order.is_terminal:
            self._cancel_rest(order, None)
            self._changes.commit()

    def resume(self) -> None:
        """Act on what was accepted before a restart and not yet acted on."""
        for order in self._ledger.open_orders():
            if order.status == Status.RECEIVED:
                self.process(order.order_id)
            elif order.status == Status.CANCEL_PENDING:
                self.finish_cancel(order.order_id)
            elif order.change is not None:
                self.finish_change(order.order_id)

    def step(self, before: Quotes) -> None:
        """Let waiting orders meet the quotes of this instant; what expired lapses. The caller commits."""
        self._matcher.apply(self._floor.quotes)
        for order in self._ledger.open_orders():
            row = self._floor.row(order.token)
            if row is None or order.status == Status.RECEIVED:
                continue
            if self._floor.is_over(self._floor.contract(order.token)):
                self._cancel_rest(order, "The contract has expired.")
            elif order.resting:
                self._fill(order, self._matcher.wait(before, self._floor.quotes, row, order))
            elif order.status == Status.TRIGGER_PENDING:
                self._try_trigger(order, row)

    def end_day(self) -> None:
        """Let day orders lapse and square intraday positions at the last price. The caller commits."""
        for order in self._ledger.open_orders():
            self._cancel_rest(order, "The session closed.")
        for position in list(self._ledger.positions.values()):
            if position.product == wire.MIS and position.quantity:
                contract = self._floor.contract(position.token)
                self._square_off(contract, position.quantity, self._floor.last_price(position.token, 0))
        self._matcher.forget()

    def _next_id(self) -> str:
        return f"{self._floor.day.session.day:%y%m%d}{self._ledger.next_order:0{_SEQUENCE_DIGITS}d}"

    def _give_exchange_id(self, order: Order) -> None:
        order.exchange_order_id = f"1{order.order_id[:6]}{order.order_id[-9:]}"
        order.exchange_at = self._floor.now()

    def _square_off(self, contract: Contract, quantity: int, price: int) -> None:
        order = Order(
            order_id=self._next_id(),
            account=ACCOUNT,
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
        )
        self._give_exchange_id(order)
        self._changes.status(order, Status.OPEN)
        self._fill(order, [Fill(price, abs(quantity))])

    def _refusal(self, order: Order, contract: Contract) -> tuple[str, str] | None:
        """Return why the risk system or the exchange rejects an order; a market order becomes its protected limit."""
        floor, quotes = self._floor, self._floor.quotes
        row = floor.row(order.token)
        if row is None:
            return checks.NO_MARKET
        if floor.is_over(contract):
            return checks.EXPIRED
        if order.order_type == wire.MARKET and not _protect(order, contract, int(quotes.last[row])):
            return checks.NO_LAST_PRICE
        freeze = self._calendar.underlyings[contract.name].freeze_quantity
        refusal = checks.freeze_refusal(contract, order.quantity, freeze)
        # A stop's limit is checked when it is triggered: the market will be elsewhere by then.
        if refusal is None and not _is_stop_waiting(order):
            band = (int(quotes.lower_circuit[row]), int(quotes.upper_circuit[row]))
            refusal = checks.price_refusal(contract, order.price, band, int(quotes.fair[row]))
        if refusal is not None:
            return refusal
        short = self._funds.shortfall(floor.day, quotes, order)
        return None if short is None else checks.margin_refusal(*short)

    def _changeable(self, variety: str, order_id: str, verb: str) -> Order:
        checks.check_variety(variety)
        order = self._ledger.orders.get(order_id)
        if order is None:
            raise wire.input_error(f"Couldn't find that `order_id`: {order_id}.")
        self.process(order_id)
        if order.is_terminal or order.status == Status.CANCEL_PENDING or self._floor.closed:
            raise KiteError(400, ErrorType.ORDER, _BUSY.format(verb))
        self.finish_change(order_id)
        if order.is_terminal:
            raise KiteError(400, ErrorType.ORDER, _BUSY.format(verb))
        return order

    def _try_trigger(self, order: Order, row: int) -> None:
        last = int(self._floor.quotes.last[row])
        if last <= 0 or (last < order.trigger if order.side == wire.BUY else last > order.trigger):
            return
        order.triggered = True
        refusal = self._refusal(order, self._floor.contract(order.token))
        if refusal is not None:
            self._reject(order, refusal)
        else:
            self._open(order, row, told=Status.UPDATE)

    def _open(self, order: Order, row: int, *, keeps_place: bool = False, told: Status | None = None) -> None:
        """Put an order into the market: fill what crosses, then rest, or lapse when it is immediate-or-cancel."""
        order.resting = True
        self._changes.status(order, Status.OPEN, told=told)
        self._fill(order, self._matcher.take(self._floor.quotes, row, order))
        if order.is_terminal:
            return
        if order.validity == wire.IOC:
            self._cancel_rest(order, None)
        elif not keeps_place:
            order.ahead = self._matcher.queue_ahead(self._floor.quotes, row, order)

    def _fill(self, order: Order, fills: list[Fill]) -> None:
        if not fills:
            return
        for fill in fills:
            order.filled += fill.quantity
            order.filled_value += fill.quantity * fill.price
            trade = Trade(
                trade_id=str(self._ledger.next_trade),
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
        else:
            order.resting, order.change = False, None
            self._changes.status(order, Status.COMPLETE, told=Status.COMPLETE)

    def _cancel_rest(self, order: Order, words: str | None) -> None:
        order.cancelled = order.open_quantity
        order.resting, order.change = False, None
        order.status_message = words
        self._changes.status(order, Status.CANCELLED, told=Status.CANCELLED)

    def _reject(self, order: Order, refusal: tuple[str, str]) -> None:
        order.status_message, order.status_message_raw = refusal
        order.cancelled = order.open_quantity
        order.resting = False
        self._changes.status(order, Status.REJECTED, told=Status.REJECTED)


def _is_stop_waiting(order: Order) -> bool:
    return order.order_type == wire.STOP_LIMIT and not order.triggered


def _protect(order: Order, contract: Contract, last: int) -> bool:
    """Turn a market order into a limit at its protected price; False when there is no last price to start from."""
    if last <= 0:
        return False
    order.price, percent = checks.protected_price(contract, order.side, last, order.market_protection)
    order.order_type, order.market_protection = wire.LIMIT, 0.0
    order.tags = [*order.tags, "mktp", f"mktp:{percent:.2f}"]
    return True


def _with_change(order: Order, change: OrderChange) -> Order:
    changed = msgspec.structs.replace(order, tags=list(order.tags))
    for name in _CHANGEABLE:
        value = getattr(change, name)
        if value is not None:
            setattr(changed, name, value)
    return changed
