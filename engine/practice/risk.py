"""What the broker's risk system and the exchange say to an order that was accepted: its refusal in words, or nothing.

Invariant: nothing here changes the book; only a market order is turned into the protected limit that is judged.
"""

from __future__ import annotations

from engine.practice import bands, checks, wire
from engine.practice.bands import ReferencePrices, Refusal
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.checks import PlaceRequest
from engine.practice.contracts import Contract
from engine.practice.floor import Floor
from engine.practice.funds import Funds
from engine.practice.orders import Order
from engine.practice.wire import ErrorType, KiteError


class RiskCheck:
    """Judges the orders of one account.

    Args:
        calendar: Facts of underlyings (freeze quantities).
        floor: The market now.
        funds: What the account can afford.
        references: Reference prices of price protection.
        account: User id.
    """

    def __init__(
        self, calendar: TradingCalendar, floor: Floor, funds: Funds, references: ReferencePrices, account: str
    ) -> None:
        self._calendar = calendar
        self._floor = floor
        self._funds = funds
        self._references = references
        self._account = account

    def freeze(self, contract: Contract) -> int | None:
        """Return the freeze quantity of a contract (units), None when none is known."""
        dated = self._calendar.rules.freeze_quantity(contract.name, self._floor.day.session.day)
        if dated is not None:
            return dated
        facts = self._calendar.underlyings.get(contract.name)
        return facts.freeze_quantity if facts is not None else None

    def refusal(self, order: Order, contract: Contract) -> Refusal | None:
        """Return why an order is rejected, else None; a market order becomes its protected limit."""
        floor, quotes = self._floor, self._floor.quotes
        row = floor.row(order.token)
        if row is None:
            return checks.NO_MARKET
        if floor.is_over(contract):
            return checks.EXPIRED
        if not bands.protect(order, contract, int(quotes.last[row])):
            return checks.NO_LAST_PRICE
        refusal = bands.freeze_refusal(contract, order.quantity, self.freeze(contract))
        # A stop's limit is checked when it is triggered: the market will be elsewhere by then.
        if refusal is None and not is_stop_waiting(order):
            circuits = (int(quotes.lower_circuit[row]), int(quotes.upper_circuit[row]))
            is_index = contract.name in self._calendar.underlyings
            band = self._calendar.rules.price_band(contract, floor.day.session.day, is_index=is_index)
            refusal = bands.price_refusal(order.price, circuits, self._references.of(quotes, row), band)
        if refusal is not None:
            return refusal
        short = self._funds.shortfall(floor.day, quotes, order)
        return None if short is None else checks.margin_refusal(*short)

    def slice_shortfall(self, request: PlaceRequest, quantity: int) -> KiteError | None:
        """Return the refusal of a slice that the account cannot afford beside those already accepted, else None."""
        row = self._floor.row(request.contract.token)
        if row is None:
            return None
        probe = Order(
            order_id="",
            account=self._account,
            exchange=request.contract.exchange,
            symbol=request.contract.symbol,
            token=request.contract.token,
            side=request.side,
            order_type=request.order_type,
            product=request.product,
            validity=request.validity,
            quantity=quantity,
            price=request.price,
            trigger=request.trigger,
            market_protection=request.market_protection,
            tag=None,
            placed_at=self._floor.now(),
        )
        quotes = self._floor.quotes
        if not bands.protect(probe, request.contract, int(quotes.last[row])):
            return None
        short = self._funds.shortfall(self._floor.day, quotes, probe)
        return None if short is None else KiteError(400, ErrorType.MARGIN, checks.margin_refusal(*short)[0])


def is_stop_waiting(order: Order) -> bool:
    """Tell whether an order is a stop whose trigger was not reached."""
    return order.order_type in {wire.STOP_LIMIT, wire.STOP_MARKET} and not order.triggered
