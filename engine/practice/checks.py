"""What is checked before an order gets an id (refused with HTTP 400), and what the exchange rejects afterwards.

Form and contract rules (unknown words, lot, tick, tag) are refused at the door. Freeze quantity, price bands and
funds are the exchange's and the risk system's business: the order gets an id and is REJECTED in the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.practice import wire
from engine.practice.contracts import Contract
from engine.practice.orders import Order, OrderChange
from engine.practice.wire import input_error

_PAISE = 100
_AUTOMATIC = -1.0
_OPTION_BANDS = ((10_00, 5.0), (100_00, 3.0), (500_00, 2.0))
_OPTION_BAND_ABOVE = 1.0
_FUTURE_BANDS = ((100_00, 2.0), (500_00, 1.0))
_FUTURE_BAND_ABOVE = 0.5
_LPP_SMALL_PREMIUM, _LPP_RUPEES, _LPP_SHARE = 50_00, 20_00, 0.40
_TICK_SLACK = 1e-4

Refusal = tuple[str, str]
"""Words for the user, and the risk system's or the exchange's own text."""
NO_MARKET: Refusal = (
    "The practice exchange has no prices for this instrument, so it cannot be traded here.",
    "PRACTICE:No market",
)
EXPIRED: Refusal = ("The contract has expired.", "16413 : Contract is expired")
NO_LAST_PRICE: Refusal = (
    "There is no last price to protect a market order with. Use a limit order.",
    "RMS:No LTP",
)


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """A well-formed placement: prices in paise, quantity in units."""

    contract: Contract
    side: str
    order_type: str
    product: str
    validity: str
    quantity: int
    price: int
    trigger: int
    market_protection: float
    tag: str | None


def read_placement(
    variety: str, form: Mapping[str, str], contracts: Mapping[str, Contract], tag_length: int
) -> PlaceRequest:
    """Check the form of a placement.

    Raises:
        KiteError: With HTTP 400 and the reason in words.
    """
    check_variety(variety)
    exchange = _required(form, "exchange")
    symbol = _required(form, "tradingsymbol")
    if exchange not in wire.TRADED_EXCHANGES:
        raise input_error(
            f"Invalid `exchange`: {exchange}. The practice exchange trades {_words(wire.TRADED_EXCHANGES)}."
        )
    contract = contracts.get(f"{exchange}:{symbol}")
    if contract is None or contract.is_index:
        raise input_error("The instrument you are placing an order for has either expired or does not exist.")
    side = _one_of(form, "transaction_type", (wire.BUY, wire.SELL))
    order_type = _one_of(form, "order_type", (wire.MARKET, wire.LIMIT, wire.STOP_LIMIT, wire.STOP_MARKET))
    product = _one_of(form, "product", (wire.NRML, wire.MIS))
    validity = _one_of(form, "validity", (wire.DAY, wire.IOC), wire.DAY)
    tag = form.get("tag") or None
    if tag is not None and len(tag) > tag_length:
        raise input_error(f"Invalid `tag`. It should be maximum {tag_length} characters.")
    if order_type == wire.STOP_MARKET:
        raise input_error("SL-M orders are not allowed for this instrument. Use SL with a limit price instead.")
    quantity = _quantity(_required(form, "quantity"), contract)
    price = _price(form, "price", contract, needed=order_type != wire.MARKET)
    trigger = _price(form, "trigger_price", contract, needed=order_type == wire.STOP_LIMIT)
    protection = 0.0
    if order_type == wire.MARKET:
        price, trigger = 0, 0
        protection = read_protection(form.get("market_protection"))
    elif order_type == wire.LIMIT:
        trigger = 0
    check_trigger(side, order_type, price, trigger)
    return PlaceRequest(contract, side, order_type, product, validity, quantity, price, trigger, protection, tag)


def read_change(form: Mapping[str, str], order: Order, contract: Contract) -> OrderChange:
    """Check the form of a modification against the order it changes; quantity is the order's new total.

    Raises:
        KiteError: With HTTP 400 and the reason in words.
    """
    order_type = form.get("order_type") or order.order_type
    allowed = (wire.MARKET, wire.LIMIT, wire.STOP_LIMIT)
    if order_type not in allowed:
        raise input_error(f"Invalid `order_type`: {order_type}. Allowed are {_words(allowed)}.")
    validity = form.get("validity") or order.validity
    if validity not in {wire.DAY, wire.IOC}:
        raise input_error(f"Invalid `validity`: {validity}. Allowed are DAY and IOC.")
    quantity = _quantity(form["quantity"], contract) if form.get("quantity") else order.quantity
    price = _price(form, "price", contract, needed=False) or order.price
    trigger = _price(form, "trigger_price", contract, needed=False) or order.trigger
    protection = None
    if order_type == wire.MARKET:
        protection = read_protection(form.get("market_protection"))
    elif order_type == wire.STOP_LIMIT and not trigger:
        raise input_error("Missing or empty field `trigger_price`")
    if order_type == wire.LIMIT and order.order_type == wire.STOP_LIMIT and not order.triggered:
        trigger = 0
    check_trigger(order.side, order_type, price, trigger)
    return OrderChange(order_type, quantity, price, trigger, validity, protection)


def check_variety(variety: str) -> None:
    """Refuse the varieties that this exchange does not serve.

    Raises:
        KiteError: With HTTP 400.
    """
    if variety == wire.REGULAR:
        return
    if variety in wire.VARIETIES:
        raise input_error(
            f"Orders of variety `{variety}` are not served by the practice exchange; use `{wire.REGULAR}`."
        )
    raise input_error(f"Invalid `variety`: {variety}. Allowed are {_words(wire.VARIETIES)}.")


def read_protection(text: str | None) -> float:
    """Return a market protection: -1 (automatic) or a percentage.

    Raises:
        KiteError: It is absent, zero, or out of range.
    """
    message = (
        "Market orders without market protection are not allowed via API. "
        "Set market_protection to -1 (automatic) or to a percentage above 0 and up to 100."
    )
    try:
        value = float(text) if text else 0.0
    except ValueError as error:
        raise input_error(f"Invalid `market_protection`: {text}.") from error
    if value != _AUTOMATIC and not 0.0 < value <= 100.0:
        raise input_error(message)
    return value


def check_trigger(side: str, order_type: str, price: int, trigger: int) -> None:
    """Refuse a stop whose trigger lies beyond its limit.

    Raises:
        KiteError: With HTTP 400.
    """
    if order_type != wire.STOP_LIMIT:
        return
    if side == wire.BUY and trigger > price:
        raise input_error("Trigger price for stoploss buy orders should be lower than or equal to the limit price.")
    if side == wire.SELL and trigger < price:
        raise input_error("Trigger price for stoploss sell orders should be higher than or equal to the limit price.")


def protected_price(contract: Contract, side: str, last: int, protection: float) -> tuple[int, float]:
    """Return (limit price in paise, percentage) of a market order: the last price moved by the protection, on a
    tick.
    """
    percent = protection if protection != _AUTOMATIC else _automatic_band(contract, last)
    if side == wire.BUY:
        raw = last * (1.0 + percent / 100.0)
        price = int(raw / contract.tick + _TICK_SLACK) * contract.tick
        return max(price, last), percent
    raw = last * (1.0 - percent / 100.0)
    price = -int(-raw / contract.tick + _TICK_SLACK) * contract.tick
    return max(price, contract.tick), percent


def freeze_refusal(contract: Contract, quantity: int, freeze: int) -> Refusal | None:
    """Return why a quantity is too large for one order (units), else None."""
    if quantity <= freeze:
        return None
    return (
        f"Quantity {quantity} is above the freeze quantity of {freeze} for {contract.name}. Place smaller orders.",
        f"17080 : Order quantity exceeds the quantity freeze limit {freeze}",
    )


def price_refusal(contract: Contract, price: int, band: tuple[int, int], reference: int) -> Refusal | None:
    """Return why the exchange rejects a limit price, else None; all prices in paise.

    Args:
        contract: What is traded.
        price: Limit price.
        band: Lower and upper circuit limit.
        reference: Reference price for limit-price protection (options).
    """
    shown = f"{price / _PAISE:.2f}"
    if contract.is_option:
        width = _LPP_RUPEES if reference <= _LPP_SMALL_PREMIUM else round(reference * _LPP_SHARE)
        floor, ceiling = max(reference - width, 0), reference + width
        if not floor <= price <= ceiling:
            return (
                f"The order price {shown} is outside the LPP range {floor / _PAISE:.2f} to {ceiling / _PAISE:.2f}.",
                "16284 : Order price is outside the limit price protection range",
            )
    low, high = band
    if not low <= price <= high:
        return (
            f"The order price {shown} exceeds circuit limits {low / _PAISE:.2f} to {high / _PAISE:.2f}.",
            "17070 : The Price is out of the current execution range",
        )
    return None


def margin_refusal(required: float, available: float) -> Refusal:
    """Return the words of a rejection for want of funds (rupees)."""
    words = (
        f"Insufficient funds. Required margin is {required:.2f} but available margin is {available:.2f}. "
        "Check the orderbook for open orders."
    )
    return (
        words,
        f"RMS:Margin Exceeds,Required:{required:.2f}, Available:{available:.2f}",
    )


def _automatic_band(contract: Contract, last: int) -> float:
    bands, above = (_OPTION_BANDS, _OPTION_BAND_ABOVE) if contract.is_option else (_FUTURE_BANDS, _FUTURE_BAND_ABOVE)
    return next((percent for limit, percent in bands if last <= limit), above)


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise input_error(f"Missing or empty field `{name}`")
    return value


def _one_of(form: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = form.get(name) or default
    if value is None:
        raise input_error(f"Missing or empty field `{name}`")
    if value not in allowed:
        raise input_error(f"Invalid `{name}`: {value}. Allowed are {_words(allowed)}.")
    return value


def _quantity(text: str, contract: Contract) -> int:
    try:
        quantity = int(text)
    except ValueError as error:
        raise input_error(f"Invalid `quantity`: {text}. A whole number of units is expected.") from error
    if quantity <= 0:
        raise input_error("Invalid `quantity`. It should be greater than 0.")
    if contract.lot and quantity % contract.lot:
        raise input_error(f"Invalid `quantity`. It should be in multiples of the lot size {contract.lot}.")
    return quantity


def _price(form: Mapping[str, str], name: str, contract: Contract, *, needed: bool) -> int:
    text = form.get(name)
    try:
        value = float(text) if text else 0.0
    except ValueError as error:
        raise input_error(f"Invalid `{name}`: {text}. A number is expected.") from error
    if value != value or value in {float("inf"), float("-inf")} or value < 0.0:  # noqa: PLR0124 - NaN is not itself
        raise input_error(f"Invalid `{name}`: {text}. It should be greater than 0.")
    if value == 0.0:
        if needed:
            raise input_error(f"Missing or empty field `{name}`")
        return 0
    paise = round(value * _PAISE)
    if abs(value * _PAISE - paise) > _TICK_SLACK * _PAISE or paise % contract.tick:
        raise input_error(
            f"Invalid `{name}`: {text}. Tick size for this instrument is {contract.tick / _PAISE:.2f}. "
            f"Kindly enter the {name.replace('_', ' ')} in multiples of the tick size."
        )
    return paise


def _words(values: tuple[str, ...]) -> str:
    return ", ".join(values)
