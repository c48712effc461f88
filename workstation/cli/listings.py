"""``orders``, ``trades``, ``positions``, ``strategies`` and ``funds``: one listing each, as JSON or columns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple, TypeVar

from engine.client import EngineClient
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId
from engine.core.strategies import StrategyValue
from engine.core.vocabulary import Mark
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table
from workstation.formatting import decimal_text, full_time, money_exact

T = TypeVar("T")
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


class Listed(NamedTuple):
    """Which accounts a listing shows."""

    accounts: tuple[AccountId, ...]
    is_one: bool
    """There is one account, or one was named: its name stands in no column."""

    def of(self, rows: Iterable[T], whose: Callable[[T], AccountId | None]) -> tuple[T, ...]:
        """The rows of these accounts."""
        return tuple(row for row in rows if whose(row) in self.accounts)

    def table(self, headings: list[str], rows: list[list[str]], whose: list[AccountId | None], left: set[int]) -> None:
        """Print a table; with several accounts its first column says whose a row is."""
        if not self.is_one:
            headings = ["account", *headings]
            rows = [[account or UNKNOWN, *row] for account, row in zip(whose, rows, strict=True)]
            left = {0, *(place + 1 for place in left)}
        print_table(headings, rows, left=frozenset(left))


def listed(engine: EngineClient, account: str | None) -> Listed:
    """The named account, or all.

    Raises:
        InvalidInput: the engine has no such account.
    """
    status = engine.desk().status
    accounts = tuple(view.account for view in status.accounts) or (status.account,)
    if account is None:
        return Listed(accounts, is_one=len(accounts) == 1)
    if account not in accounts:
        names = ", ".join(accounts)
        raise InvalidInput(f"{account[:40]} is no account of this engine; it has {names}.", field="account")
    return Listed((AccountId(account),), is_one=True)


async def orders(engine: EngineClient, account: str | None = None, *, as_json: bool) -> ExitCode:
    """Today's orders and all that still work."""
    chosen = listed(engine, account)
    records = chosen.of(await engine.orders(), lambda record: record.account)
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
    chosen.table(headings, rows, [record.account for record in records], {*INSTRUMENT_COLUMN, 8})
    return ExitCode.DONE


async def trades(engine: EngineClient, account: str | None = None, *, as_json: bool) -> ExitCode:
    """Today's fills."""
    chosen = listed(engine, account)
    fills = chosen.of(await engine.trades(), lambda fill: fill.account)
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
    chosen.table(headings, rows, [fill.account for fill in fills], set(INSTRUMENT_COLUMN))
    return ExitCode.DONE


async def positions(engine: EngineClient, account: str | None = None, *, as_json: bool) -> ExitCode:
    """The broker's net positions."""
    chosen = listed(engine, account)
    held = await engine.positions(None if account is None else chosen.accounts[0])
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
    whose = [position.account for position in held]
    chosen.table(["instrument", "product", "units", "average", "last"], rows, whose, {0, 1})
    return ExitCode.DONE


async def strategies(engine: EngineClient, account: str | None = None, *, as_json: bool) -> ExitCode:
    """Active strategies with their money on the three marks, gross of charges."""
    chosen = listed(engine, account)
    values = chosen.of(await _valued(engine), lambda value: value.strategy.account)
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
    headings = ["strategy", "name", "legs", "gross last", "gross mid", "gross exit"]
    chosen.table(headings, rows, [value.strategy.account for value in values], {0, 1})
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


async def funds(engine: EngineClient, account: str | None = None, *, as_json: bool) -> ExitCode:
    """Money at the broker; as JSON one object, or a list of them when there are several accounts."""
    chosen = listed(engine, account)
    found = [await engine.funds(one) for one in chosen.accounts]
    if as_json:
        print_json(found[0] if chosen.is_one else found)
        return ExitCode.DONE
    rows: list[list[str]] = []
    whose: list[AccountId | None] = []
    for money in found:
        used = money.utilisation
        rows += [
            ["free", _amount(money.net)],
            ["cash", _amount(money.cash)],
            ["used", _amount(money.used)],
            ["utilisation", UNKNOWN if used is None else f"{used:.1%}"],
        ]
        whose += [money.account] * (len(rows) - len(whose))
    chosen.table(["funds", "rupees"], rows, whose, {0})
    return ExitCode.DONE
