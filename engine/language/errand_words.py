"""Words for commands that no sentence asks for yet: the kill switch, triggers at the broker, conversions."""

from __future__ import annotations

from engine.core.commands import ConvertPosition, KillSwitch
from engine.core.standing_triggers import GttRequest
from engine.language.numbers import price_text


def kill_words(command: KillSwitch) -> str:
    """``kill``, ``kill 3``, ``kill AB1234``, ``kill and lock``."""
    words = "kill" if command.strategy is None else f"kill {command.strategy}"
    if command.account is not None:
        words += f" of {command.account}" if command.strategy is not None else f" {command.account}"
    return f"{words} and lock" if command.lock else words


def gtt_words(request: GttRequest) -> str:
    """``NFO:NIFTY26D0124000CE: sell 65 @ 99.00 at 100.00``, both sides of a pair."""
    each = (
        f"{order.side.casefold()} {order.quantity} @ {price_text(order.price)} at {price_text(order.trigger_price)}"
        for order in request.orders
    )
    return f"{request.instrument}: {' or '.join(each)}"


def conversion_words(command: ConvertPosition, instrument: tuple[str, str]) -> str:
    """``convert 2L nifty 24000 ce 01dec26 mis to nrml``; ``instrument`` is the quantity and the contract in words."""
    quantity, contract = instrument
    side = "long" if command.side.sign > 0 else "short"
    carried = " carried" if command.overnight else ""
    products = f"{command.from_product.casefold()} to {command.to_product.casefold()}"
    return f"convert {side}{carried} {quantity} {contract} {products}"
