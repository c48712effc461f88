"""What is checked before an order gets an id: refused at the door with HTTP 400, in the broker's words.

Form and contract rules only (unknown words, lot, tick, tag, what index options do not take). Freeze quantity, price
bands and funds are the exchange's and the risk system's business (``bands``): there the order gets an id and is
REJECTED in the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.practice import wire
from engine.practice.bands import AUTOMATIC, Refusal
from engine.practice.contracts import Contract
from engine.practice.orders import Order, OrderChange
from engine.practice.settings import ServiceSettings
from engine.practice.wire import input_error

_PAISE = 100
_TICK_SLACK = 1e-4
_YES = frozenset({"true", "1"})
_NO = frozenset({"", "false", "0"})
_FEWEST_LEGS = 2
_BSE = "BFO"

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
    """A well-formed placement: prices in paise, quantity in units, time to live in minutes (0: none).

    ``legs`` and ``leg_quantity`` are an iceberg's (0: none); ``autoslice`` asks for a split above the freeze quantity.
    """

    variety: str
    contract: Contract
    side: str
    order_type: str
    product: str
    validity: str
    validity_ttl: int
    quantity: int
    price: int
    trigger: int
    market_protection: float
    tag: str | None
    autoslice: bool
    legs: int
    leg_quantity: int


def read_placement(
    variety: str, form: Mapping[str, str], contracts: Mapping[str, Contract], settings: ServiceSettings
) -> PlaceRequest:
    """Check the form of a placement.

    Raises:
        KiteError: With HTTP 400 and the reason in words.
    """
    check_variety(variety)
    contract = _contract(form, contracts)
    side = _one_of(form, "transaction_type", (wire.BUY, wire.SELL))
    order_type = _one_of(form, "order_type", (wire.MARKET, wire.LIMIT, wire.STOP_LIMIT, wire.STOP_MARKET))
    product = _one_of(form, "product", (wire.NRML, wire.MIS))
    validity, ttl = _validity(form, wire.DAY, 0, settings)
    tag = form.get("tag") or None
    if tag is not None and len(tag) > settings.tag_length:
        raise input_error(f"Invalid `tag`. It should be maximum {settings.tag_length} characters.")
    check_order_type(order_type, contract)
    quantity = _quantity(_required(form, "quantity"), contract)
    check_disclosed(form)
    priced = order_type in {wire.LIMIT, wire.STOP_LIMIT}
    stop = order_type in {wire.STOP_LIMIT, wire.STOP_MARKET}
    price = _price(form, "price", contract, needed=True) if priced else 0
    trigger = _price(form, "trigger_price", contract, needed=True) if stop else 0
    protection = 0.0 if priced else read_protection(form.get("market_protection"))
    check_trigger(side, order_type, price, trigger)
    legs, leg_quantity = _iceberg(form, contract, quantity, settings) if variety == wire.ICEBERG else (0, 0)
    return PlaceRequest(
        variety=variety,
        contract=contract,
        side=side,
        order_type=order_type,
        product=product,
        validity=validity,
        validity_ttl=ttl,
        quantity=quantity,
        price=price,
        trigger=trigger,
        market_protection=protection,
        tag=tag,
        autoslice=_flag(form, "autoslice"),
        legs=legs,
        leg_quantity=leg_quantity,
    )


def read_change(form: Mapping[str, str], order: Order, contract: Contract, settings: ServiceSettings) -> OrderChange:
    """Check the form of a modification against the order it changes; quantity is the order's new total.

    Raises:
        KiteError: With HTTP 400 and the reason in words.
    """
    order_type = form.get("order_type") or order.order_type
    allowed = (wire.MARKET, wire.LIMIT, wire.STOP_LIMIT, wire.STOP_MARKET)
    if order_type not in allowed:
        raise input_error(f"Invalid `order_type`: {order_type}. Allowed are {_words(allowed)}.")
    check_order_type(order_type, contract)
    check_disclosed(form)
    validity, ttl = _validity(form, order.validity, order.validity_ttl, settings)
    quantity = _quantity(form["quantity"], contract) if form.get("quantity") else order.quantity
    price = _price(form, "price", contract, needed=False) or order.price
    trigger = _price(form, "trigger_price", contract, needed=False) or order.trigger
    protection = None
    if order_type in {wire.MARKET, wire.STOP_MARKET}:
        protection = read_protection(form.get("market_protection"))
    if order_type in {wire.STOP_LIMIT, wire.STOP_MARKET} and not trigger:
        raise input_error("Missing or empty field `trigger_price`")
    if order_type == wire.LIMIT and order.order_type == wire.STOP_LIMIT and not order.triggered:
        trigger = 0
    check_trigger(order.side, order_type, price, trigger)
    return OrderChange(order_type, quantity, price, trigger, validity, protection, ttl)


def check_variety(variety: str) -> None:
    """Refuse the varieties that derivatives do not take.

    Raises:
        KiteError: With HTTP 400.
    """
    if variety == wire.COVER:
        raise input_error("Cover orders (CO) are not allowed for F&O instruments.")
    if variety == wire.AUCTION:
        raise input_error("Auction orders are not allowed for F&O instruments.")
    if variety not in wire.VARIETIES:
        raise input_error(f"Invalid `variety`: {variety}. Allowed are {_words(wire.VARIETIES)}.")


def check_order_type(order_type: str, contract: Contract) -> None:
    """Refuse stop-market orders where the exchanges do not take them: options, and anything on BSE.

    Raises:
        KiteError: With HTTP 400.
    """
    if order_type != wire.STOP_MARKET:
        return
    if contract.exchange == _BSE:
        raise input_error("SL-M orders are not allowed on BSE. Use SL with a limit price instead.")
    if contract.is_option:
        raise input_error("SL-M orders are not allowed for options contracts. Use SL with a limit price instead.")


def check_disclosed(form: Mapping[str, str]) -> None:
    """Refuse a disclosed quantity: derivatives do not take one.

    Raises:
        KiteError: With HTTP 400.
    """
    if form.get("disclosed_quantity", "").strip() not in {"", "0"}:
        raise input_error("Invalid `disclosed_quantity`. Disclosed quantity is not allowed for F&O instruments.")


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
    if value != AUTOMATIC and not 0.0 < value <= 100.0:
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


def _contract(form: Mapping[str, str], contracts: Mapping[str, Contract]) -> Contract:
    exchange, symbol = _required(form, "exchange"), _required(form, "tradingsymbol")
    if exchange not in wire.TRADED_EXCHANGES:
        raise input_error(
            f"Invalid `exchange`: {exchange}. The practice exchange trades {_words(wire.TRADED_EXCHANGES)}."
        )
    contract = contracts.get(f"{exchange}:{symbol}")
    if contract is None or contract.is_index:
        raise input_error("The instrument you are placing an order for has either expired or does not exist.")
    return contract


def _validity(form: Mapping[str, str], default: str, minutes: int, settings: ServiceSettings) -> tuple[str, int]:
    """Return (validity, minutes to live); a time to live is needed with TTL and meaningless without."""
    validity = _one_of(form, "validity", (wire.DAY, wire.IOC, wire.TTL), default)
    if validity != wire.TTL:
        return validity, 0
    text = form.get("validity_ttl") or (str(minutes) if minutes else "")
    if not text:
        raise input_error("Missing or empty field `validity_ttl`")
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= settings.longest_ttl_minutes:
        raise input_error(
            f"Invalid `validity_ttl`: {text}. It is a number of minutes from 1 to {settings.longest_ttl_minutes}."
        )
    return validity, value


def _iceberg(form: Mapping[str, str], contract: Contract, quantity: int, settings: ServiceSettings) -> tuple[int, int]:
    """Return (number of legs, units of each but the last)."""
    text = _required(form, "iceberg_legs")
    legs = int(text) if text.isascii() and text.isdigit() else 0
    if not _FEWEST_LEGS <= legs <= settings.most_iceberg_legs:
        raise input_error(
            f"Invalid `iceberg_legs`: {text}. It should be between {_FEWEST_LEGS} and {settings.most_iceberg_legs}."
        )
    each = _quantity(_required(form, "iceberg_quantity"), contract, "iceberg_quantity")
    if -(-quantity // each) != legs:
        raise input_error(f"Invalid `iceberg_quantity`: {legs} legs of {each} do not make a quantity of {quantity}.")
    return legs, each


def _flag(form: Mapping[str, str], name: str) -> bool:
    text = form.get(name, "").strip().lower()
    if text not in _YES | _NO:
        raise input_error(f"Invalid `{name}`: {text}. Allowed are true and false.")
    return text in _YES


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


def _quantity(text: str, contract: Contract, name: str = "quantity") -> int:
    try:
        quantity = int(text)
    except ValueError as error:
        raise input_error(f"Invalid `{name}`: {text}. A whole number of units is expected.") from error
    if quantity <= 0:
        raise input_error(f"Invalid `{name}`. It should be greater than 0.")
    if contract.lot and quantity % contract.lot:
        raise input_error(f"Invalid `{name}`. It should be in multiples of the lot size {contract.lot}.")
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
