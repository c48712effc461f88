"""Four accounts on one practice exchange: what a test asks of each, on both sides."""

from __future__ import annotations

from typing import Any

from engine.client import EngineClient
from engine.core.commands import PlaceOrder, Receipt
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.orders import OrderRequest, OrderState
from engine.core.strategies import StrategyValue
from engine.core.vocabulary import Side
from tests.kit.desk_host import Desk, Exchange, Option, live_chain, until
from workstation.assembly import Host

ACCOUNTS = tuple(AccountId(f"PR000{number}") for number in range(1, 5))
ONE, TWO, THREE, FOUR = ACCOUNTS
KEYS = dict(zip(ACCOUNTS, ("practice", "practice2", "practice3", "practice4"), strict=True))


def with_four_accounts(desk: Desk) -> Desk:
    """The desk, with four accounts at its exchange."""
    desk.changed(practice={"accounts": len(ACCOUNTS)})
    return desk


def books(root: str) -> dict[AccountId, Exchange]:
    """Each account's own view of the exchange."""
    return {account: Exchange(root, key=key) for account, key in KEYS.items()}


async def tags_at(root: str, account: AccountId) -> list[str]:
    """Tags in an account's order book at the exchange, oldest first."""
    return [str(row["tag"]) for row in await books(root)[account].orders()]


async def an_option(host: Host) -> tuple[Option, OrderRequest]:
    """An option near the money, and a buy of one lot of it that rests."""
    option = Option(await live_chain(host.client), "ce")
    instrument = host.engine.day.index.get(option.token)
    assert instrument is not None
    request = OrderRequest(instrument=instrument.key, side=Side.BUY, quantity=option.lot, price=option.low)
    return option, request


async def placed(client: EngineClient, request: OrderRequest, account: AccountId | None, **fields: Any) -> Receipt:
    """Submit an order for an account."""
    return await client.submit(PlaceOrder(request=request, account=account, **fields))


async def main_of(client: EngineClient, account: AccountId) -> StrategyValue:
    """An account's default strategy, valued now."""
    return next(
        value for value in await client.strategies() if value.strategy.is_default and value.strategy.account == account
    )


async def number_of_main(client: EngineClient, account: AccountId) -> StrategyNumber:
    """The number of an account's default strategy."""
    return (await main_of(client, account)).strategy.number


async def all_reconciled(host: Host) -> None:
    """Wait until each account may send."""
    desks = tuple(host.engine.desks)
    await until(
        lambda: all(desk.executor is not None and desk.executor.snapshot().is_reconciled for desk in desks),
        "four accounts at work",
    )


async def states_of(client: EngineClient, account: AccountId) -> set[OrderState]:
    """The states of an account's orders."""
    return {record.state for record in await client.orders() if record.account == account}
