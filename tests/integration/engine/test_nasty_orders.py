"""Orders that must not be sent: each refused in words that say what is wrong and what is allowed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import UnknownOrder
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRequest, OrderState
from engine.core.vocabulary import Exchange as Segment
from engine.core.vocabulary import OrderType, Side
from tests.kit.desk_host import Exchange, Option, comes_to, live_chain, say
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def base_request(host: Host) -> OrderRequest:
    """A request that would be taken."""
    option = Option(await live_chain(host.client), "ce")
    instrument = host.engine.day.index.get(option.token)
    assert instrument is not None
    return OrderRequest(instrument=instrument.key, side=Side.BUY, quantity=option.lot, price=option.low)


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"quantity": 100}, "lot", "not a multiple of the lot, 65. Nearest: 1L"),
        ({"quantity": 0}, "quantity", "at least 1 unit"),
        ({"quantity": -65}, "quantity", "at least 1 unit"),
        ({"price": Decimal("50.03")}, "tick", "The tick is 0.05: 50.00 or 50.05"),
        ({"price": Decimal(0)}, "price", "above 0"),
        ({"price": None}, "price", "needs a price"),
        ({"price": Decimal(100_000)}, "distance", "above the market"),
        ({"order_type": OrderType.MARKET, "price": None}, "protection", "needs a market protection"),
        ({"order_type": OrderType.SL, "trigger_price": None}, "trigger", "needs a trigger"),
        (
            {"instrument": InstrumentKey(Segment.NFO, "NIFTY26NOV99999CE")},
            "instrument",
            "not in today's instrument dump",
        ),
        ({"instrument": InstrumentKey(Segment.NSE, "NIFTY 50")}, "instrument", "an index and cannot be traded"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
async def test_what_the_checks_refuse(shared_host: Host, change: dict[str, object], check: str, words: str) -> None:
    """Preview and submission refuse alike, in the same words, and nothing reaches the exchange."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    posts = await exchange.posts()
    command = PlaceOrder(request=msgspec.structs.replace(await base_request(shared_host), **change))
    preview = await client.preview(command)
    receipt = await client.submit(command)
    assert not receipt.accepted
    found = {violation.check: violation.message for violation in receipt.violations}
    assert check in found, found
    assert words in found[check]
    assert check in {violation.check for violation in preview.violations}
    assert receipt.orders == ()
    assert await exchange.posts() == posts


async def test_all_violations_at_once(shared_host: Host) -> None:
    """A wrong quantity, a wrong price and too much money are all named in one answer."""
    request = msgspec.structs.replace(await base_request(shared_host), quantity=65 * 999 + 1, price=Decimal("90.03"))
    receipt = await shared_host.client.submit(PlaceOrder(request=request))
    assert {"lot", "tick", "value"} <= {violation.check for violation in receipt.violations}


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("buy 1L nifti 24000 ce w0", "nifti"),
        ("buy 1L nifty 24017 ce w0", "24,017. Next: 24,000 and 24,050"),
        ("buy 1L nifty 24200 ce w9", "w9"),
        ("buy 1L nifty 24200 xx w0", "xx"),
        ("buy nifty", "quantity"),
        ("buy 1L nifty 24200 ce w0 @", "price"),
        ("buy 1L nifty 24200 ce w0 into nowhere", "nowhere"),
        ("cancel o999", "o999"),
        ("hodl", "hodl"),
        ("", "command"),
    ],
)
async def test_what_the_grammar_refuses(shared_host: Host, sentence: str, words: str) -> None:
    """A sentence that names what does not exist gets one error with its place, and the text is not changed."""
    found = await shared_host.client.interpret(sentence)
    assert found.command is None
    assert found.wish is None
    assert found.text == sentence
    assert found.error is not None
    assert words.casefold() in found.error.message.casefold()
    assert 0 <= found.error.place <= len(sentence)


async def test_numbers_that_are_nobodys(shared_host: Host) -> None:
    """An order or strategy that does not exist is refused by its number."""
    client = shared_host.client
    receipt = await client.submit(
        PlaceOrder(
            request=msgspec.structs.replace(await base_request(shared_host), strategy=StrategyNumber(987_654)),
        )
    )
    assert not receipt.accepted
    assert "strategy" in receipt.message
    history = client.order_history(OrderNumber(987_654))
    with pytest.raises(UnknownOrder, match="no o987654"):
        await history


async def test_what_only_the_broker_refuses(shared_host: Host) -> None:
    """An order that passes our checks and not the exchange's is REJECTED in the exchange's words."""
    client = shared_host.client
    option = Option(await live_chain(client), "ce")
    outside = await say(client, f"buy 1L {option.words} @ 0.05")
    assert not outside.accepted
    assert "outside the exchange's band" in outside.message
    await Exchange(shared_host.exchange.root).fault("reject", count=1)
    receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
    assert receipt.accepted, receipt.message
    record = await comes_to(client, receipt.orders[0].number, OrderState.REJECTED)
    assert record.message
