"""Changing the product of a position: what is checked before units go from one product to another.

Index derivatives block the same margin in both products, so a conversion needs no funds; what differs is that intraday
units are squared at the close.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.practice import wire
from engine.practice.book import ConversionRecord
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.wire import input_error

_SPANS = ("day", "overnight")
_PRODUCTS = (wire.NRML, wire.MIS)


def read_conversion(form: Mapping[str, str], ledger: Ledger, floor: Floor) -> ConversionRecord:
    """Check a conversion against the position it is for.

    Raises:
        KiteError: HTTP 400 with the reason in words.
    """
    exchange, symbol = _required(form, "exchange"), _required(form, "tradingsymbol")
    side = _one_of(form, "transaction_type", (wire.BUY, wire.SELL))
    carried = _one_of(form, "position_type", _SPANS) == _SPANS[1]
    old, new = _one_of(form, "old_product", _PRODUCTS), _one_of(form, "new_product", _PRODUCTS)
    if old == new:
        raise input_error("Invalid `new_product`: it is the same as `old_product`.")
    if floor.closed:
        raise input_error("Markets are closed right now. Positions are converted while the practice session is open.")
    position = ledger.positions.get((exchange, symbol, old))
    contract = floor.day.universe.by_key.get(f"{exchange}:{symbol}")
    if position is None or contract is None or not position.quantity:
        raise input_error(f"There is no open {old} position in {exchange}:{symbol} to convert.")
    held = wire.BUY if position.quantity > 0 else wire.SELL
    if side != held:
        raise input_error(f"Invalid `transaction_type`: {side}. The position was opened by {held}.")
    text = _required(form, "quantity")
    quantity = int(text) if text.isdecimal() else 0
    if quantity <= 0 or (contract.lot and quantity % contract.lot):
        raise input_error(f"Invalid `quantity`: {text}. It should be in multiples of the lot size {contract.lot}.")
    most = position.convertible(carried=carried)
    if quantity > most:
        raise input_error(
            f"Invalid `quantity`: {quantity}. Only {most} of {abs(position.quantity)} units can be converted as "
            f"`{_SPANS[carried]}`."
        )
    return ConversionRecord(floor.now(), exchange, symbol, position.token, side, quantity, carried, old, new)


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise input_error(f"Missing or empty field `{name}`")
    return value


def _one_of(form: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = _required(form, name)
    if value not in allowed:
        raise input_error(f"Invalid `{name}`: {value}. Allowed are {', '.join(allowed)}.")
    return value
