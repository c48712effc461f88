"""What a token may do once it is in: its scopes and its accounts, held against every call and topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.commands import CancelOrders, PlaceOrder, SetMode
from engine.core.identifiers import AccountId
from engine.core.orders import OrderState
from engine.core.vocabulary import Mode, OrderType
from engine.server import protocol, wire
from engine.server.access import Scope
from tests.kit.local_door import RawClient
from tests.kit.plain_engine import ACCOUNT, PlainEngine
from tests.kit.two_accounts import SECOND, TwoAccountEngine
from tests.kit.web_door import Site, opened_site

pytestmark = pytest.mark.usefixtures("bystander")

OTHER = AccountId("QQ0000")


def order(engine: PlainEngine, *, rests: bool = False, **fields: Any) -> PlaceOrder:
    """One lot; market orders rest in the small engine."""
    request = engine.request(engine.instruments[0].tradingsymbol)
    if rests:
        request = request.__class__(
            instrument=request.instrument, side=request.side, quantity=request.quantity, order_type=OrderType.MARKET
        )
    return PlaceOrder(request=request, **fields)


async def submit(client: RawClient, command: object, **parameters: Any) -> dict[str, Any]:
    """Submit a command by hand."""
    text = wire.encode(command).decode()
    extra = "".join(f', "{name}": "{value}"' for name, value in parameters.items())
    head = '{"jsonrpc": "2.0", "id": "s", "method": "submit", "params": {"command": '
    return await client.say(f"{head}{text}{extra}}}}}")


def is_forbidden(answer: dict[str, Any]) -> bool:
    """Whether the answer says that scope or account is missing."""
    return bool(answer.get("error", {}).get("code") == protocol.FORBIDDEN)


async def test_a_read_token_places_nothing(site: Site, engine: PlainEngine) -> None:
    """Looking is allowed, ordering is not; the refusal names what is missing, and it is written down."""
    async with await site.attach(site.token(Scope.READ)) as client:
        answer = await submit(client, order(engine))
        assert is_forbidden(answer)
        assert "needs the scope trade; this token has read" in answer["error"]["message"]
        assert "result" in await client.call("orders")
    assert not engine.submitted
    assert [line["detail"] for line in site.audited() if line["kind"] == "forbidden"]


@pytest.mark.parametrize(
    "command", [CancelOrders(everything=True), SetMode(mode=Mode.READ), SetMode(mode=Mode.CONFIRM)], ids=repr
)
async def test_a_read_token_changes_nothing(site: Site, engine: PlainEngine, command: object) -> None:
    """Not even what takes risk away: a token to look with cannot act at all."""
    async with await site.attach(site.token(Scope.READ)) as client:
        assert is_forbidden(await submit(client, command))
    assert not engine.submitted


async def test_a_trade_token_places(site: Site, engine: PlainEngine) -> None:
    """With the right scope the order goes through, and fills."""
    async with await site.attach(site.token(Scope.TRADE)) as client:
        answer = await submit(client, order(engine))
        assert answer["result"]["accepted"], answer
    assert len(engine.submitted) == 1


async def test_a_kill_token_cancels_and_places_nothing(site: Site, engine: PlainEngine) -> None:
    """The kill switch reaches every working order, disarms, and can never open a position."""
    await engine.submit(order(engine, rests=True), seat="somebody")
    async with await site.attach(site.token(Scope.KILL)) as client:
        assert is_forbidden(await submit(client, order(engine)))
        assert is_forbidden(await submit(client, SetMode(mode=Mode.CONFIRM)))
        answer = await submit(client, CancelOrders(everything=True))
        assert [row["state"] for row in answer["result"]["orders"]] == [OrderState.CANCELLED]
        assert (await submit(client, SetMode(mode=Mode.READ)))["result"]["accepted"]
    assert engine.mode is Mode.READ
    assert [type(command) for command, _ in engine.submitted[1:]] == [CancelOrders, SetMode]


@pytest.mark.parametrize("method", ["orders", "trades", "positions", "strategies", "funds", "events", "doctor"])
async def test_another_accounts_token_sees_nothing_of_ours(site: Site, method: str) -> None:
    """A token of another account is told neither money nor orders, only the market."""
    async with await site.attach(site.token(Scope.ADMIN, accounts=(OTHER,))) as client:
        assert is_forbidden(await client.call(method))
        assert "result" in await client.call("underlyings")
        assert (await client.call("hello"))["result"]["account"] == ""


@pytest.mark.parametrize("topic", ["desk", "strategies", "positions", "orders", "events"])
async def test_another_accounts_token_follows_nothing_of_ours(site: Site, topic: str) -> None:
    """No topic leaks what a call would not tell."""
    async with await site.attach(site.token(Scope.READ, accounts=(OTHER,))) as client:
        assert is_forbidden(await client.call("follow", topic=topic))


async def test_another_accounts_order(site: Site, engine: PlainEngine) -> None:
    """A token of another account cannot place for ours, cancel ours or read its history; ours can."""
    receipt = await engine.submit(order(engine, rests=True), seat="somebody")
    number = receipt.orders[0].number
    async with await site.attach(site.token(Scope.TRADE, Scope.KILL, accounts=(OTHER,))) as client:
        assert is_forbidden(await submit(client, order(engine)))
        assert is_forbidden(await submit(client, order(engine, account=ACCOUNT)))
        assert is_forbidden(await submit(client, CancelOrders(numbers=(number,))))
        assert is_forbidden(await submit(client, CancelOrders(everything=True)))
        assert is_forbidden(await client.call("order_history", number=number))
    assert len(engine.submitted) == 1
    async with await site.attach(site.token(Scope.TRADE, accounts=(ACCOUNT,))) as client:
        assert "result" in await client.call("order_history", number=number)
        assert (await submit(client, CancelOrders(numbers=(number,))))["result"]["accepted"]


async def test_nobody_acts_under_anothers_name(site: Site, engine: PlainEngine) -> None:
    """A client that names another seat is written down under its own."""
    async with await site.attach(site.token(Scope.TRADE)) as client:
        seat = (await client.call("hello"))["result"]["seat"]
        assert (await submit(client, order(engine), seat="local-1"))["result"]["accepted"]
    assert seat.startswith("web-")
    assert [seat for _, seat in engine.submitted] == [seat]


async def test_arming_is_written_down(site: Site) -> None:
    """Who armed the desk from afar can be found later."""
    async with await site.attach(site.token(Scope.TRADE, name="armer")) as client:
        assert (await submit(client, SetMode(mode=Mode.CONFIRM)))["result"]["accepted"]
    line = next(line for line in site.audited() if line["kind"] == "armed")
    assert (line["name"], line["token_id"]) == ("armer", site.token_id("armer"))


async def test_interest_without_the_door_is_not_callable(site: Site) -> None:
    """What would be left behind when a client goes cannot be asked for, whatever the scope."""
    async with await site.attach(site.token(Scope.ADMIN)) as client:
        for method in ("watch", "unwatch_chain", "close", "next_orders", "__init__", "desk"):
            assert (await client.call(method))["error"]["code"] == protocol.METHOD_NOT_FOUND


# -- one account of several ------------------------------------------------------------------------------------------


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[tuple[TwoAccountEngine, Site]]:
    """An engine of two accounts behind its door, with an order of each."""
    engine = TwoAccountEngine()
    for account in (ACCOUNT, SECOND):
        await engine.submit(order(engine, rests=True, account=account), seat="somebody")
    engine.submitted.clear()
    (tmp_path / "shared").mkdir()
    async with opened_site(engine, tmp_path / "shared") as opened:
        yield engine, opened


@pytest.mark.parametrize(
    "method",
    ["orders", "trades", "positions", "strategies", "funds", "events", "doctor", "operations", "execution_health"],
)
async def test_a_token_of_one_account_is_told_its_own(shared: tuple[TwoAccountEngine, Site], method: str) -> None:
    """Behind one door with another account: its own rows come, and no byte of the other's."""
    _, site = shared
    async with await site.attach(site.token(Scope.READ, accounts=(SECOND,))) as client:
        assert (await client.call("hello"))["result"]["account"] == SECOND
        answer = str(await client.call(method))
        assert "result" in answer
        assert ACCOUNT not in answer
    async with await site.attach(site.token(Scope.READ)) as client:
        assert ACCOUNT in str(await client.call(method)) or method == "trades"


@pytest.mark.parametrize("topic", ["desk", "strategies", "positions", "orders", "events"])
async def test_a_token_of_one_account_follows_its_own(shared: tuple[TwoAccountEngine, Site], topic: str) -> None:
    """The snapshot and what follows it: a change of the other account brings nothing, one of its own does."""
    engine, site = shared
    async with await site.attach(site.token(Scope.READ, accounts=(SECOND,))) as client:
        snapshot = str(await client.call("follow", topic=topic))
        assert "result" in snapshot
        assert SECOND in snapshot
        assert ACCOUNT not in snapshot
        for account in (ACCOUNT, SECOND):
            await engine.submit(order(engine, rests=True, account=account), seat="somebody")
        if topic in {"desk", "orders", "events"}:
            update = str(await client.next_topic())
            assert SECOND in update
            assert ACCOUNT not in update
        assert is_forbidden(await client.call("follow", topic="chain/NIFTY/2026-11-24"))


async def test_a_token_of_one_account_acts_for_its_own(shared: tuple[TwoAccountEngine, Site]) -> None:
    """Orders without a name are for it, cancelling everything is of it, and the other's orders cannot be touched."""
    engine, site = shared
    theirs, mine = (record.number for record in await engine.orders())
    async with await site.attach(site.token(Scope.TRADE, Scope.KILL, accounts=(SECOND,))) as client:
        assert is_forbidden(await submit(client, order(engine, account=ACCOUNT)))
        assert is_forbidden(await submit(client, CancelOrders(numbers=(theirs,))))
        assert is_forbidden(await client.call("why", number=theirs))
        assert not engine.submitted
        disarmed = await submit(client, SetMode(mode=Mode.READ))  # the mode of its own seat is its own matter
        assert disarmed["result"]["accepted"]
        made = await submit(client, order(engine, rests=True))
        assert [row["account"] for row in made["result"]["orders"]] == [SECOND]
        answer = await submit(client, CancelOrders(everything=True))
        assert {row["account"] for row in answer["result"]["orders"]} == {SECOND}
    states = {record.number: record.state for record in await engine.orders()}
    assert (states[theirs], states[mine]) == (OrderState.OPEN, OrderState.CANCELLED)
