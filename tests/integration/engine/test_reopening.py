"""Close and open again: orders, trades, strategies and candles are there, and no key makes a second order."""

from __future__ import annotations

from tests.kit.desk_host import (
    Desk,
    Exchange,
    Option,
    eventually,
    filled,
    live_chain,
    main_strategy,
    say,
    until,
)

KEY = "once-and-for-all"


async def test_everything_is_there_again(desk: Desk) -> None:
    """A second opening shows what the first did; a repeated key is answered with the first order."""
    async with desk.opened() as host:
        client = host.client
        option = Option(await live_chain(client), "ce", 1)
        await say(client, "new condor-one")
        made = await filled(client, f"buy 2L {option.words} @ ask+2 into condor-one", idempotency_key=KEY)
        resting = await say(client, f"buy 1L {option.words} @ {option.low}")
        exchange = Exchange(host.exchange.root)
        began = host.engine.clock.market_now()
        await exchange.speed(60)
        await until(lambda: (host.engine.clock.market_now() - began).total_seconds() > 130, "two market minutes")
        await exchange.speed(1)
        strategies = {value.strategy.number: value.strategy.name for value in await client.strategies()}
        trades = await client.trades()
        number = next(value for value, name in strategies.items() if name == "condor-one")
        await eventually(lambda: client.candles(number, began, host.engine.clock.market_now()), "a candle")
        ended = host.engine.clock.market_now()
        values = {value.strategy.number: value for value in await client.strategies()}
        holding = values[number].legs[0].leg.holding
    async with desk.opened() as host:
        client = host.client
        candles = await client.candles(number, began, ended)
        assert len(candles) >= 2
        orders = {record.number: record for record in await client.orders()}
        assert orders[made.number] == made
        assert orders[resting.orders[0].number].state.is_working
        assert await client.trades() == trades
        found = {value.strategy.number: value for value in await client.strategies()}
        assert {key: value.strategy.name for key, value in found.items()} == strategies
        (leg,) = found[number].legs
        assert leg.leg.holding.signed_quantity == 2 * option.lot
        assert leg.leg.holding == holding
        posts = await Exchange(host.exchange.root).posts()
        again = await say(client, f"buy 2L {option.words} @ ask+2 into condor-one", idempotency_key=KEY)
        assert again.accepted
        assert again.repeated
        assert again.orders[0].number == made.number
        other = await say(client, f"buy 2L {option.words.replace('ce', 'pe')} @ ask+2", idempotency_key=KEY)
        assert not other.accepted
        assert "new key" in other.message
        assert await Exchange(host.exchange.root).posts() == posts
        assert host.client.desk().status.degraded == ()


async def test_a_reader_looks_and_cannot_act(desk: Desk) -> None:
    """An engine that only looks shows orders and positions of another day's writer, and refuses every command."""
    async with desk.opened() as host:
        option = Option(await live_chain(host.client), "ce")
        made = await filled(host.client, f"buy 1L {option.words} @ ask+2")
    async with desk.opened(read_only=True) as host:
        assert [record.number for record in await host.client.orders()] == [made.number]
        assert len(await host.client.trades()) >= 1
        assert (await main_strategy(host.client)).open_legs == 1
        receipt = await say(host.client, f"sell 1L {option.words} @ bid")
        assert not receipt.accepted
        assert "only look" in receipt.message
        receipt = await say(host.client, "new never-here")
        assert not receipt.accepted
