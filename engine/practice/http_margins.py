"""Routes of the calculators: margins of orders and baskets, and the virtual contract note. Bodies are JSON."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from engine.practice.charges import Charges, Note
from engine.practice.contracts import Contract
from engine.practice.http_common import answer, json_body, services
from engine.practice.order_margins import Asked, Block, MarginCalculator, MarginOrder, is_true, read_asked
from engine.practice.quirks import Quirks
from engine.practice.wire import BUY, SELL, input_error

Row = TypeVar("Row")
_MOST_ROWS = (50, 200)
"""How many orders one calculation may have: the broker publishes no cap."""
_DECIMALS = (None, 4)
"""Amounts are known to come with the noise of floating point, and not known always to."""


class ContractNoteOrder(msgspec.Struct, frozen=True):
    """An executed order as the virtual contract note takes it."""

    order_id: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    variety: str
    product: str
    order_type: str
    quantity: int
    average_price: float


CHARGES: web.AppKey[Charges] = web.AppKey("charges", Charges)


async def order_margins(request: web.Request) -> web.Response:
    """``POST /margins/orders``: each order by itself."""
    asked = await _asked(request)
    calculator = _calculator(request)
    blocks = calculator.orders(asked)
    compact = request.query.get("mode") == "compact"
    return answer(_elements(request, calculator, asked, blocks, compact=compact))


async def basket_margins(request: web.Request) -> web.Response:
    """``POST /margins/basket``: all orders together."""
    asked = await _asked(request)
    calculator = _calculator(request)
    initial, final, each = calculator.basket(asked, consider_positions=is_true(request.query, "consider_positions"))
    compact = request.query.get("mode") == "compact"
    elements = _elements(request, calculator, asked, each, compact=compact)
    # The broker was seen to leave the basket's own charges at zero.
    nothing = _wire(request, Note())
    return answer(
        {
            "initial": initial.to_wire(None, nothing, compact=compact),
            "final": final.to_wire(None, nothing, compact=compact),
            "orders": elements,
            "charges": nothing,
        }
    )


async def contract_note(request: web.Request) -> web.Response:
    """``POST /charges/orders``: the charges of executed orders, in the order of the request."""
    rows = await _rows(request, ContractNoteOrder)
    own = services(request)
    universe, day = own.exchange.floor.day.universe, own.exchange.floor.day.session.day
    result: list[dict[str, Any]] = []
    for row in rows:
        contract = universe.by_key.get(f"{row.exchange}:{row.tradingsymbol}")
        if contract is None or contract.is_index:
            raise input_error(f"Invalid `tradingsymbol`: {row.exchange}:{row.tradingsymbol} is not traded here.")
        if row.transaction_type not in {BUY, SELL}:
            raise input_error(f"Invalid `transaction_type`: {row.transaction_type}. Allowed are BUY, SELL.")
        if not row.order_id:
            raise input_error("Missing or empty field `order_id`")
        if row.quantity <= 0:
            raise input_error("Invalid `quantity`. It should be greater than 0.")
        if not 0.0 < row.average_price < float("inf"):
            raise input_error("Invalid `average_price`. It should be greater than 0.")
        note = request.app[CHARGES].note(contract, row.transaction_type, row.quantity, row.average_price, day)
        result.append(
            {
                "transaction_type": row.transaction_type,
                "tradingsymbol": row.tradingsymbol,
                "exchange": row.exchange,
                "variety": row.variety,
                "product": row.product,
                "order_type": row.order_type,
                "quantity": row.quantity,
                "price": row.average_price,
                "charges": _wire(request, note),
            }
        )
    return answer(result)


def _calculator(request: web.Request) -> MarginCalculator:
    exchange = services(request).exchange
    return MarginCalculator(exchange.floor, exchange.funds, request.app[CHARGES])


async def _asked(request: web.Request) -> list[Asked]:
    floor = services(request).exchange.floor
    return [read_asked(row, floor) for row in await _rows(request, MarginOrder)]


async def _rows(request: web.Request, kind: type[Row]) -> list[Row]:
    body = await json_body(request)
    try:
        rows = msgspec.convert(body, list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise input_error(f"Invalid JSON: a list of orders with numbers as numbers is expected; {error}.") from error
    most = Quirks(services(request).settings.seed).pick("basket size", _MOST_ROWS)
    if not 1 <= len(rows) <= most:
        raise input_error(f"Invalid number of orders: {len(rows)}. From 1 to {most} are allowed.")
    return rows


def _elements(
    request: web.Request, calculator: MarginCalculator, asked: list[Asked], blocks: list[Block], *, compact: bool
) -> list[dict[str, Any]]:
    def element(contract: Contract, row: Asked, block: Block) -> dict[str, Any]:
        return block.to_wire(contract, _wire(request, calculator.note(row)), compact=compact)

    return [element(row.contract, row, block) for row, block in zip(asked, blocks, strict=True)]


def _wire(request: web.Request, note: Note) -> dict[str, Any]:
    return note.to_wire(Quirks(services(request).settings.seed).pick("decimals of charges", _DECIMALS))


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_post("/margins/orders", order_margins)
    router.add_post("/margins/basket", basket_margins)
    router.add_post("/charges/orders", contract_note)
