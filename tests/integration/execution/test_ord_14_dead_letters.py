"""ORD-14: what was given up is listed with its reason, sent again once as a new order, or closed."""

from __future__ import annotations

import msgspec

from engine.core.commands import CloseDeadLetter, PlaceOrder, ReplayDeadLetter
from engine.core.decisions import LetterState, UnsentCause
from engine.core.orders import OrderState
from tests.kit.desk_host import Desk, Exchange, comes_to
from tests.kit.order_requests import resting_request


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
