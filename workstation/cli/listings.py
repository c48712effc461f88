"""``orders``, ``trades``, ``positions``, ``strategies`` and ``funds``: one listing each, as JSON or columns."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from engine.client import EngineClient
from engine.core.strategies import StrategyValue
from engine.core.vocabulary import Mark
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table
from workstation.formatting import decimal_text, full_time, money_exact

UNKNOWN = "—"
FIRST_QUOTES_S = 3.0
POLL_S = 0.05
INSTRUMENT_COLUMN = frozenset({0, 1, 2, 3})
PAISA_PLACES = 2
FINE_PLACES = 4
"""Ticks of currencies, and averages that do not end."""


def _amount(value: Decimal) -> str:
    return decimal_text(value, PAISA_PLACES)


def _price(value: Decimal | None) -> str:
    if value is None:
        return UNKNOWN
    places = PAISA_PLACES if value == round(value, PAISA_PLACES) else FINE_PLACES
    return decimal_text(value, places, group=False)


async def orders(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Today's orders and all that still work."""
    records = await engine.orders()
    if as_json:
        print_json(records)
        return ExitCode.DONE
    rows = [
        [
            f"o{record.number}",
            record.state,
            record.request.side,
            str(record.request.instrument),
            f"{record.filled_quantity}/{record.request.quantity}",
            _price(record.request.price),
            _price(record.average_price),
            record.broker_order_id or UNKNOWN,
            record.message,
        ]
        for record in records
    ]
    headings = ["order", "state", "side", "instrument", "filled", "price", "average", "broker id", "message"]
    print_table(headings, rows, left=INSTRUMENT_COLUMN | {8})
    return ExitCode.DONE


async def trades(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Today's fills."""
    fills = await engine.trades()
    if as_json:
        print_json(fills)
        return ExitCode.DONE
    rows = [
        [
            full_time(fill.filled_at),
            fill.side,
            str(fill.instrument),
            f"#{fill.strategy}" if fill.strategy is not None else UNKNOWN,
            str(fill.quantity),
            _price(fill.price),
            fill.broker_order_id,
            fill.trade_id,
        ]
        for fill in fills
    ]
    headings = ["time", "side", "instrument", "strategy", "units", "price", "broker order", "trade"]
    print_table(headings, rows, left=INSTRUMENT_COLUMN)
    return ExitCode.DONE


async def positions(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """The broker's net positions."""
    held = await engine.positions()
    if as_json:
        print_json(held)
        return ExitCode.DONE
    rows = [
        [
            str(position.instrument),
            position.product,
            f"{position.signed_quantity:+d}",
            _price(position.average_price),
            _price(position.last_price),
        ]
        for position in held
    ]
    print_table(["instrument", "product", "units", "average", "last"], rows, left=frozenset({0, 1}))
    return ExitCode.DONE


async def strategies(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Active strategies with their money on the three marks, gross of charges."""
    values = await _valued(engine)
    if as_json:
        print_json(values)
        return ExitCode.DONE
    rows = []
    for value in values:
        marks = [
            money_exact(value.profit[mark]) + (" partial" if value.partial.get(mark) else "")
            for mark in (Mark.LAST, Mark.MID, Mark.EXIT)
        ]
        rows.append([f"#{value.strategy.number}", value.strategy.name, str(value.open_legs), *marks])
    print_table(["strategy", "name", "legs", "gross last", "gross mid", "gross exit"], rows, left=frozenset({0, 1}))
    return ExitCode.DONE


async def _valued(engine: EngineClient) -> tuple[StrategyValue, ...]:
    """Strategies with every leg valued, or as they are when the wait is over: a new engine has no quotes yet."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FIRST_QUOTES_S
    while True:
        values = await engine.strategies()
        if not any(value.partial.get(Mark.LAST) for value in values) or loop.time() >= deadline:
            return values
        await asyncio.sleep(POLL_S)


async def funds(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Money at the broker."""
    money = await engine.funds()
    if as_json:
        print_json(money)
        return ExitCode.DONE
    used = money.utilisation
    rows = [
        ["free", _amount(money.net)],
        ["cash", _amount(money.cash)],
        ["used", _amount(money.used)],
        ["utilisation", UNKNOWN if used is None else f"{used:.1%}"],
    ]
    print_table(["funds", "rupees"], rows)
    return ExitCode.DONE
