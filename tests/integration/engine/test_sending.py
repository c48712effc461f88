"""The way out on the practice exchange: budgets as the exchange counts them, the breaker, and dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import msgspec

from engine.core.commands import CloseDeadLetter, PlaceOrder, ReplayDeadLetter
from engine.core.decisions import LetterState, UnsentCause
from engine.core.errors import RateLimited
from engine.core.orders import OrderRequest, OrderState
from engine.core.vocabulary import Side
from tests.kit.desk_host import Desk, Exchange, Option, comes_to, live_chain
from workstation.assembly import Host

BURST = 24


async def resting_request(host: Host) -> OrderRequest:
    """A buy that rests."""
    option = Option(await live_chain(host.client), "ce")
    instrument = host.engine.day.index.get(option.token)
    assert instrument is not None
    return OrderRequest(instrument=instrument.key, side=Side.BUY, quantity=option.lot, price=option.low)


async def know_its_clock(host: Host) -> None:
    """Ask until the exchange's clock is known better than the guard: each answer tells its second."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 15
    while (host.engine.parts.server_uncertainty_s() or 1.0) > host.engine.parts.execution.budget.guard_s / 2:
        assert loop.time() < deadline, "the exchange's clock stays uncertain"
        # A refusal for speed tells its second too.
        with suppress(RateLimited):
            await host.client.funds()
        await asyncio.sleep(0.03)


async def test_ord_3_a_burst_is_spread_over_the_seconds_of_the_exchange(desk: Desk) -> None:
    """No calendar second of its own log has more than ten, nothing is refused for speed, the last one's ETA held."""
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        command = PlaceOrder(request=await resting_request(host))
        await know_its_clock(host)
        receipts = await asyncio.gather(*(client.submit(command) for _ in range(BURST)))
        assert all(receipt.accepted for receipt in receipts)
        etas = [receipt.eta_s for receipt in receipts if receipt.eta_s is not None]
        assert len(etas) == BURST
        assert 1.0 < max(etas) < 6.0
        for receipt in receipts:
            await comes_to(client, receipt.orders[0].number, OrderState.OPEN)
        rows = (await exchange.ask("GET", "/practice/log?after=0"))["rows"]
        placed = [row for row in rows if row["method"] == "POST" and row["tag"]]
        assert len(placed) == BURST
        assert max(Counter(int(row["at"]) for row in placed).values()) <= 10
        health = await client.execution_health()
        assert health is not None
        assert health.rate_limited == 0
        assert health.budget.day_used == BURST
        assert {view.step: view.count for view in health.latencies}["acknowledge"] == BURST


async def test_ord_4_gateway_errors_open_the_breaker_and_an_answer_closes_it(desk: Desk) -> None:
    """Three 503 in a row: entries are refused at once in words; after the pause the next order is the try."""
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        command = PlaceOrder(request=await resting_request(host))
        await exchange.fault("error_503", method="POST", path="/orders", count=3)
        for _ in range(3):
            receipt = await client.submit(command)
            await comes_to(client, receipt.orders[0].number, OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT)
        refused = await client.submit(command)
        assert [violation.check for violation in refused.violations] == ["breaker"]
        assert "tried again in" in refused.message
        preview = await client.preview(command)
        assert "breaker" in {violation.check for violation in preview.violations}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 15
        while not (taken := await client.submit(command)).accepted:
            assert loop.time() < deadline, taken.message
            await asyncio.sleep(0.1)
        await comes_to(client, taken.orders[0].number, OrderState.OPEN)
        health = await client.execution_health()
        assert health is not None
        orders = next(breaker for breaker in health.breakers if breaker.endpoint == "orders")
        assert (orders.state, orders.opened) == ("closed", 1)


async def test_ord_14_a_dead_letter_is_explained_replayed_once_and_closed(desk: Desk) -> None:
    """Refused for speed until its attempts are used up; sent again as one new order; a second one is closed."""
    settings = msgspec.structs.replace(desk.configuration.orders, rate_limited_attempts=2)
    desk.configuration = msgspec.structs.replace(desk.configuration, orders=settings)
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        command = PlaceOrder(request=await resting_request(host))
        await exchange.fault("error_429", method="POST", path="/orders", count=4)
        numbers = []
        for _ in range(2):
            receipt = await client.submit(command)
            record = await comes_to(client, receipt.orders[0].number, OrderState.NOT_SENT)
            assert record.letter is LetterState.OPEN
            numbers.append(record.number)
        second, first = await client.dead_letters()
        assert (first.number, second.number) == tuple(numbers)
        assert first.cause is UnsentCause.TOO_FAST
        assert "2 times" in first.why
        assert len(first.attempts) == 3
        replay = ReplayDeadLetter(numbers=(first.number,))
        preview = await client.preview(replay)
        assert preview.sentence.startswith(f"Sends o{first.number} again as a new order. ")
        assert preview.violations == ()
        sent, again = await client.submit(replay), await client.submit(replay)
        assert sent.accepted
        assert again.repeated
        assert sent.orders[0].number == again.orders[0].number
        await comes_to(client, sent.orders[0].number, OrderState.OPEN)
        closed = await client.submit(CloseDeadLetter(numbers=(second.number,), reason="the day is over"))
        assert closed.accepted
        assert await client.dead_letters() == ()
        why = await client.why(sent.orders[0].number)
        assert why.decision is not None
        assert why.decision.replays == first.number
        twice = await client.preview(ReplayDeadLetter(numbers=(first.number, second.number)))
        assert [violation.check for violation in twice.violations] == ["letter", "letter"]
        accepted = [row for row in await exchange.orders() if row["status"] != "REJECTED"]
        assert len(accepted) == 1
