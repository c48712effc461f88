"""Several accounts in one exchange: one market, and a book, funds, limits and updates for each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.practice.conftest import DEADLINE_SECONDS, eventually
from tests.integration.practice.test_faults_on_the_wire import Client
from tests.kit.practice_process import PracticeProcess

KEYS = ("practice", "practice2", "practice3", "practice4")


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[PracticeProcess]:
    """An exchange with four accounts."""
    with PracticeProcess(tmp_path / "state", arguments=["--accounts", "4"]) as process:
        yield process


@pytest.fixture
def clients(exchange: PracticeProcess) -> list[Client]:
    """One client for each account."""
    return [Client(exchange, key) for key in KEYS]


def positions(client: Client) -> list[int]:
    """Return the net quantities of an account."""
    return [row["quantity"] for row in client.get("/portfolio/positions")["net"]]


def placed(client: Client, tag: str, price: float | None = None) -> str:
    """Place an order that is accepted and return its id."""
    answer = client.place(tag, price)
    assert not isinstance(answer, str)
    return str(json.loads(answer[2])["data"]["order_id"])


def is_filled(client: Client) -> bool:
    """Tell whether an account's one order is complete."""
    return [row["status"] for row in client.get("/orders")] == ["COMPLETE"]


def test_each_account_has_its_own_book(exchange: PracticeProcess, clients: list[Client]) -> None:
    """Orders, trades, positions, funds and profile are its own, over a kill as well; ids are unique over all."""
    assert [client.get("/user/profile")["user_id"] for client in clients] == ["PR0001", "PR0002", "PR0003", "PR0004"]
    before = clients[1].get("/user/margins/equity")["net"]
    ask = clients[0].quote()["depth"]["sell"][4]["price"]
    ids = [placed(client, f"own{number}", ask) for number, client in enumerate(clients)]
    assert len(set(ids)) == 4
    for client, order_id in zip(clients, ids, strict=True):
        eventually(partial(is_filled, client), "the fill")
        assert [row["order_id"] for row in client.get("/orders")] == [order_id]
        assert {row["order_id"] for row in client.get("/trades")} == {order_id}
        assert positions(client) == [65]
    assert clients[1].get("/user/margins/equity")["net"] < before
    trades = [row["trade_id"] for client in clients for row in client.get("/trades")]
    assert len(trades) == len(set(trades))
    exchange.kill()
    exchange.start()
    for client, order_id in zip(clients, ids, strict=True):
        assert [row["order_id"] for row in client.get("/orders")] == [order_id]
        assert positions(client) == [65]
    assert exchange.request("GET", "/practice/log")["by_tag"] == {f"own{number}": 1 for number in range(4)}


def test_one_account_cannot_touch_another_ones_order(clients: list[Client]) -> None:
    """An order is found by its owner alone."""
    order_id = placed(clients[0], "mine")
    assert clients[1].ask("DELETE", f"/orders/regular/{order_id}")[0] == 400
    assert clients[1].ask("GET", f"/orders/{order_id}")[0] == 400
    assert clients[0].ask("DELETE", f"/orders/regular/{order_id}")[0] == 200


def test_each_account_has_its_own_limits(clients: list[Client]) -> None:
    """When one has used up its second, another one is still served."""

    def statuses(client: Client) -> list[int]:
        return [client.ask("DELETE", "/orders/regular/1")[0] for _ in range(11)]

    def whole_second() -> list[int] | None:
        second = int(time.time())
        first, other = statuses(clients[0]), clients[1].ask("DELETE", "/orders/regular/1")[0]
        return [*first, other] if int(time.time()) == second else None

    *first, other = eventually(whole_second, "a burst within one calendar second")
    assert first[-1] == 429
    assert other == 400


async def test_updates_go_to_their_own_account(clients: list[Client]) -> None:
    """The socket of one account does not hear of another one's orders."""
    ask = clients[0].quote()["depth"]["sell"][4]["price"]
    heard: dict[str, list[dict[str, Any]]] = {key: [] for key in KEYS[:2]}

    async def listen(session: aiohttp.ClientSession, key: str) -> None:
        async with session.ws_connect(f"/?api_key={key}&access_token={key}") as socket:
            listening[key].set()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    heard[key].append(json.loads(message.data)["data"])
                    return

    listening = {key: asyncio.Event() for key in heard}
    async with aiohttp.ClientSession(clients[0].exchange.websocket) as session, asyncio.timeout(DEADLINE_SECONDS):
        tasks = [asyncio.create_task(listen(session, key)) for key in heard]
        await asyncio.gather(*(event.wait() for event in listening.values()))
        await asyncio.to_thread(placed, clients[1], "second", ask)
        await tasks[1]
        await asyncio.to_thread(placed, clients[0], "first", ask)
        await tasks[0]
    assert [row["tag"] for row in heard["practice"]] == ["first"]
    assert [row["user_id"] for row in heard["practice2"]] == ["PR0002"]


def test_a_fault_for_one_account(clients: list[Client]) -> None:
    """A fault with an account leaves the others alone."""
    clients[0].fault("error_503", method="POST", account="PR0003", count=5)
    seen = [client.place(f"fault{number}") for number, client in enumerate(clients)]
    assert [answer if isinstance(answer, str) else answer[0] for answer in seen] == [200, 200, 503, 200]


@pytest.mark.parametrize("count", ["0", "21", "x"])
def test_too_many_accounts_are_refused(tmp_path: Path, count: str) -> None:
    """The number of accounts is bounded, and the sentence says how."""
    process = PracticeProcess(tmp_path / "state", arguments=["--accounts", count])
    with pytest.raises(RuntimeError, match="ended with 2"):
        process.start()
    assert "--accounts" in process.errors
