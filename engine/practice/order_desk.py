"""The order desk of one account: requests accepted, validated, matched, changed, cancelled.

Invariant: every state an order passes through is in its history and in the book; a request is answered as accepted
only when it is durable, and acted on shortly after, as the broker does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from engine.practice import checks, wire
from engine.practice.bands import ReferencePrices, Refusal
from engine.practice.book import OrderRecord
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.changes import Changes
from engine.practice.checks import PlaceRequest
from engine.practice.floor import Floor
from engine.practice.funds import Funds
from engine.practice.ledger import Ledger
from engine.practice.matching import Matcher, in_turn
from engine.practice.order_life import SLICE, OrderLife
from engine.practice.orders import Order, OrderChange
from engine.practice.risk import RiskCheck, is_stop_waiting
from engine.practice.session_market import Quotes
from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError, Status

_CLOSED = "Markets are closed right now. Orders are taken while the practice session is open."
_OPEN_ALREADY = "Your order could not be converted to an After Market Order (AMO): the market is open."
_BUSY = "Order cannot be {} as it is being processed or is already complete."
_CHANGEABLE = ("order_type", "quantity", "price", "trigger", "validity", "market_protection", "validity_ttl")
_UNPROCESSED = frozenset({Status.RECEIVED, Status.AMO_RECEIVED})


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of a placement at the door.

    Attributes:
        order_id: The order, or the parent of its slices (which is no order itself).
        children: Of a sliced order: each slice's order id, or why it was refused.
    """

    order_id: str
    children: tuple[str | KiteError, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """Ids of the orders that are in the book now."""
        return tuple(child for child in self.children if isinstance(child, str)) if self.children else (self.order_id,)


class OrderDesk:
    """Handles the orders of one account.

    Args:
        settings: Limits.
        calendar: Facts of underlyings (freeze quantities).
        floor: The market now.
        ledger: The account's state.
        changes: How state is changed.
        funds: What the account can afford.
        matcher: How orders meet quotes; the accounts of a venue share one.
        references: Reference prices of price protection; the accounts of a venue share one.
        seat: Number of the account in its venue.
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
        references: ReferencePrices | None = None,
        seat: int = 0,
    ) -> None:
        self._settings = settings
        self._floor = floor
        self._ledger = ledger
        self._changes = changes
        self._matcher = matcher
        self._references = references or ReferencePrices()
        self._risk = RiskCheck(calendar, floor, funds, self._references, changes.account)
        self._life = OrderLife(floor, ledger, changes, matcher, seat)
        self.rejection: Callable[[Order], Refusal | None] = lambda _: None
        """Asked about every order that is validated: an imposed rejection, or None."""
        self.slice_failure: Callable[[str], KiteError | None] = lambda _: None
        """Asked, with its tag, about every slice but the first: an imposed refusal, or None."""

    def place(self, variety: str, form: Mapping[str, str]) -> str:
        """Accept an order and return its id; it is durable, but nothing has happened to it yet.

        Raises:
            KiteError: The request is refused.
        """
        return self.submit(form, variety=variety).order_id

    def submit(self, form: Mapping[str, str], *, variety: str = wire.REGULAR, origin: str = "") -> Placement:
        """Accept a placement, whoever makes it.

        This is the door for everything that makes orders: the HTTP route, and inside the exchange whatever fires them
        (a trigger, a conversion). ``form`` has the fields of ``POST /orders/{variety}`` as text. With an ``origin``
        (a word that says what made it) the exchange acts on the order at its next step by itself; without one the
        caller must call ``process`` with each id of ``Placement.accepted``.

        Raises:
            KiteError: The request is refused; nothing is in the book.
        """
        request = checks.read_placement(variety, form, self._floor.day.universe.by_key, self._settings)
        after_hours = request.variety == wire.AMO
        if self._floor.is_over(request.contract) or (self._floor.closed and not after_hours):
            raise wire.input_error(_CLOSED)
        if after_hours and not self._floor.closed:
            raise wire.input_error(_OPEN_ALREADY)
        status = Status.AMO_RECEIVED if after_hours else Status.RECEIVED
        freeze = self._risk.freeze(request.contract)
        if request.autoslice and not after_hours and freeze is not None and request.quantity > freeze:
            placement = self._slice(request, freeze, origin or SLICE)
        else:
            quantity = request.leg_quantity or request.quantity
            tags = [request.tag] if request.tag else []
            placement = Placement(self._life.new(request, quantity, status, origin=origin, tags=tags).order_id)
        self._changes.commit()
        if origin:
            self._life.born.extend(placement.accepted)
        return placement

    def process(self, order_id: str) -> None:
        """Validate an accepted order and let it meet the market."""
        order = self._ledger.orders.get(order_id)
        if order is None or order.status not in _UNPROCESSED:
            return
        if order.status == Status.AMO_RECEIVED and self._floor.closed:
            return
        self._changes.status(order, Status.VALIDATION_PENDING)
        row, contract = self._floor.row(order.token), self._floor.day.universe.by_token.get(order.token)
        if row is None or contract is None:
            self._life.reject(order, checks.NO_MARKET if contract is not None else checks.EXPIRED)
        elif (refusal := self.rejection(order) or self._risk.refusal(order, contract)) is not None:
            self._life.reject(order, refusal)
        else:
            self._life.give_exchange_id(order)
            if order.order_type == wire.STOP_LIMIT:
                self._changes.status(order, Status.TRIGGER_PENDING)
                self._try_trigger(order, row)
            else:
                self._changes.status(order, Status.OPEN_PENDING)
                self._life.open(order, row)
        self._changes.commit()

    def modify(self, variety: str, order_id: str, form: Mapping[str, str]) -> str:
        """Accept a modification; it takes effect shortly after.

        Raises:
            KiteError: The request is refused.
        """
        order = self._changeable(variety, order_id, "modified")
        if order.modifications >= self._settings.modifications_per_order:
            raise KiteError(400, ErrorType.ORDER, "Maximum allowed order modifications exceeded.")
        order.change = checks.read_change(form, order, self._floor.contract(order.token), self._settings)
        order.modifications += 1
        waiting = order.status == Status.AMO_RECEIVED
        self._changes.status(order, Status.MODIFY_AMO_RECEIVED if waiting else Status.MODIFY_VALIDATION_PENDING)
        self._changes.commit()
        return order_id

    def finish_change(self, order_id: str) -> None:
        """Let an accepted modification take effect, or say why it does not."""
        order = self._ledger.orders.get(order_id)
        if order is None or order.change is None or order.is_terminal:
            return
        change, order.change = order.change, None
        changed = _with_change(order, change)
        if order.status == Status.MODIFY_AMO_RECEIVED:
            self._take_over(order, changed)
            self._changes.status(order, Status.AMO_RECEIVED)
            self._changes.commit()
            return
        row, contract = self._floor.row(order.token), self._floor.contract(order.token)
        refusal = self._risk.refusal(changed, contract)
        if refusal is None and changed.quantity < order.filled:
            words = f"Quantity {changed.quantity} is below the filled quantity {order.filled}."
            refusal = (words, "RMS:Invalid quantity")
        if refusal is not None or row is None:
            order.status_message, order.status_message_raw = refusal or checks.NO_MARKET
            self._changes.status(order, Status.TRIGGER_PENDING if is_stop_waiting(order) else Status.OPEN)
            self._changes.commit()
            return
        self._changes.status(order, Status.MODIFY_PENDING)
        # A lower quantity keeps the place in the queue; another price or a higher quantity goes to its end.
        keeps_place = order.resting and changed.price == order.price and changed.quantity <= order.quantity
        self._take_over(order, changed)
        self._changes.status(order, Status.MODIFIED, told=Status.UPDATE)
        if order.open_quantity == 0:
            order.resting = False
            self._changes.status(order, Status.COMPLETE, told=Status.COMPLETE)
        elif is_stop_waiting(order):
            order.resting = False
            self._changes.status(order, Status.TRIGGER_PENDING)
            self._try_trigger(order, row)
        else:
            self._life.open(order, row, keeps_place=keeps_place)
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
            self._life.cancel_rest(order, None)
            self._changes.commit()

    def resume(self) -> None:
        """Act on what was accepted before a restart and not yet acted on."""
        for order in self._ledger.open_orders():
            self._matcher.saw(order.line)
            if order.status in _UNPROCESSED:
                self.process(order.order_id)
            elif order.status == Status.CANCEL_PENDING:
                self.finish_cancel(order.order_id)
            elif order.change is not None:
                self.finish_change(order.order_id)

    def step(self, before: Quotes) -> None:
        """Let waiting orders meet the quotes of this instant; what expired lapses. The caller commits."""
        step_desks([self], before)

    def prepare(self, before: Quotes) -> None:
        """Bring what the accounts of a venue share to this instant; once a step, before any order is served."""
        self._matcher.apply(self._floor.quotes)
        self._references.update(before, self._floor.quotes)

    def settle_waiting(self) -> list[Order]:
        """Act on what waits for a step to happen, and return the orders that wait for the market."""
        born, self._life.born = self._life.born, []
        for order_id in born:
            self.process(order_id)
        waiting: list[Order] = []
        for order in self._ledger.open_orders():
            if order.status == Status.AMO_RECEIVED and not self._floor.closed:
                self.process(order.order_id)
            elif self._floor.row(order.token) is None or order.status in _UNPROCESSED:
                continue
            elif self._floor.is_over(self._floor.contract(order.token)):
                self._life.cancel_rest(order, "The contract has expired.")
            elif order.expires_at is not None and self._floor.now() >= order.expires_at:
                self._life.cancel_rest(order, "The order's validity (TTL) has ended.")
            elif order.resting or order.status == Status.TRIGGER_PENDING:
                waiting.append(order)
        return waiting

    def meet(self, order: Order, before: Quotes) -> None:
        """Let one waiting order meet what happened since the last step. The caller commits."""
        row = self._floor.row(order.token)
        if row is None or order.is_terminal:
            return
        if order.resting:
            self._life.fill(order, self._matcher.wait(before, self._floor.quotes, row, order))
        elif order.status == Status.TRIGGER_PENDING:
            self._try_trigger(order, row)

    def end_day(self) -> None:
        """Let day orders lapse and square intraday positions at the last price. The caller commits."""
        for order in self._ledger.open_orders():
            if order.variety != wire.AMO or order.status not in {Status.AMO_RECEIVED, Status.MODIFY_AMO_RECEIVED}:
                self._life.cancel_rest(order, "The session closed.")
        for position in list(self._ledger.positions.values()):
            if position.product == wire.MIS and position.quantity:
                contract = self._floor.contract(position.token)
                self._life.square_off(contract, position.quantity, self._floor.last_price(position.token, 0))
        self._life.born.clear()
        self._matcher.forget()
        self._references.forget()

    def after_hours_orders(self) -> list[OrderRecord]:
        """Return the records that carry after-market orders over the opening of the next session."""
        records = []
        for order in self._ledger.open_orders():
            if order.status in {Status.AMO_RECEIVED, Status.MODIFY_AMO_RECEIVED}:
                moment = order.updated_at or order.placed_at
                records.append(OrderRecord(moment, msgspec.structs.replace(order, tags=list(order.tags))))
        return records

    def _slice(self, request: PlaceRequest, freeze: int, origin: str) -> Placement:
        """Split a quantity above the freeze quantity; slices after the first can be refused on their own."""
        lot = max(request.contract.lot, 1)
        each = freeze // lot * lot
        count = -(-request.quantity // each) if each else 0
        if not 0 < count <= self._settings.most_slices:
            raise wire.input_error(
                f"Quantity {request.quantity} needs {count} slices of {each}; "
                f"autoslice makes at most {self._settings.most_slices}."
            )
        parent = self._life.parent_id()
        tags = [*([request.tag] if request.tag else []), "autoslice", f"autoslice:{parent}"]
        children: list[str | KiteError] = []
        for number in range(count):
            quantity = min(each, request.quantity - number * each)
            failure = self.slice_failure(request.tag or "") if number else None
            if number and failure is None:
                failure = self._risk.slice_shortfall(request, quantity)
            if failure is None:
                order = self._life.new(request, quantity, Status.RECEIVED, origin=origin, tags=tags)
                children.append(order.order_id)
            else:
                children.append(failure)
        return Placement(parent, tuple(children))

    def _changeable(self, variety: str, order_id: str, verb: str) -> Order:
        checks.check_variety(variety)
        order = self._ledger.orders.get(order_id)
        if order is None:
            raise wire.input_error(f"Couldn't find that `order_id`: {order_id}.")
        self.process(order_id)
        self.finish_change(order_id)
        closed = self._floor.closed and order.status != Status.AMO_RECEIVED
        if order.is_terminal or order.status == Status.CANCEL_PENDING or closed:
            raise KiteError(400, ErrorType.ORDER, _BUSY.format(verb))
        return order

    def _take_over(self, order: Order, changed: Order) -> None:
        for name in (*_CHANGEABLE, "tags"):
            setattr(order, name, getattr(changed, name))
        order.modified = True
        order.status_message = order.status_message_raw = None

    def _try_trigger(self, order: Order, row: int) -> None:
        last = int(self._floor.quotes.last[row])
        if last <= 0 or (last < order.trigger if order.side == wire.BUY else last > order.trigger):
            return
        order.triggered = True
        refusal = self._risk.refusal(order, self._floor.contract(order.token))
        if refusal is not None:
            self._life.reject(order, refusal)
        else:
            self._life.open(order, row, told=Status.UPDATE)


def step_desks(desks: Sequence[OrderDesk], before: Quotes) -> None:
    """Let the waiting orders of all accounts of a venue meet this instant, in one line. The callers commit."""
    if not desks:
        return
    desks[0].prepare(before)
    owner: dict[int, OrderDesk] = {}
    waiting: list[Order] = []
    for desk in desks:
        for order in desk.settle_waiting():
            owner[id(order)] = desk
            waiting.append(order)
    for order in _stops_last(waiting):
        owner[id(order)].meet(order, before)


def _stops_last(orders: Iterable[Order]) -> list[Order]:
    """Return resting orders in their turn, then stops: what is triggered now joins behind what rests already."""
    ordered = in_turn(orders)
    return [order for order in ordered if order.resting] + [order for order in ordered if not order.resting]


def _with_change(order: Order, change: OrderChange) -> Order:
    changed = msgspec.structs.replace(order, tags=list(order.tags))
    for name in _CHANGEABLE:
        value = getattr(change, name)
        if value is not None:
            setattr(changed, name, value)
    return changed
