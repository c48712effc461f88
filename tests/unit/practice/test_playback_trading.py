"""Trading against a tape: orders meet it once, in tape time, and what happened cannot be undone by going back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from engine.practice.orders import Order
from engine.practice.wire import KiteError
from tests.kit.practice_tapes import RecordedMarket
from tests.kit.tape_desk import Desk, expected, playing

SECONDS = 40
GAP = (10, 15)


@pytest.fixture(scope="module")
def recorded() -> RecordedMarket:
    """The market that was recorded."""
    return RecordedMarket(strikes=12)


@pytest.fixture(scope="module")
def tape(recorded: RecordedMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of it, with an outage of five."""
    return recorded.write(tmp_path_factory.mktemp("tapes"), recorded.records(SECONDS, gap=GAP))


async def test_an_order_fills_against_the_standing_book(tape: Path, tmp_path: Path) -> None:
    """While the tape is paused, at the touch that was recorded, at tape time."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(20.0)
        contract = desk.contract()
        _, ask = desk.touch(contract)
        order = desk.place(contract, "BUY", ask)
        assert order.filled > 0
        trade = desk.exchange.ledger.trades[0]
        assert (trade.price, trade.moment) == (ask, desk.exchange.floor.now())
        assert desk.ear.updates[-1]["order_id"] == order.order_id


async def test_there_is_no_trade_before_the_first_frame(tape: Path, tmp_path: Path) -> None:
    """Nothing is known of any price yet."""
    async with playing(tmp_path, tape) as desk:
        contract = next(row for row in desk.exchange.floor.day.universe.priced if row.is_option)
        order = desk.place(contract, "BUY", 100_00)
        assert order.status == "REJECTED"
        assert "no prices" in (order.status_message or "")


async def resting(desk: Desk, seconds: float) -> tuple[Order, float]:
    """Rest an order that the tape will reach: buy at the lowest ask to come; return it and that moment."""
    await desk.sought(seconds)
    contract = desk.contract()
    _, now = desk.touch(contract)
    return desk.place(contract, "BUY", now - contract.tick), now


async def test_the_same_orders_at_the_same_time_fill_alike(tape: Path, tmp_path: Path) -> None:
    """A resting order meets the tape in the same way played slowly or sought over."""
    fills = []
    for name, asked in (("played", {"play": True}), ("sought", {"seek": SECONDS - 0.5})):
        async with playing(tmp_path / name, tape) as desk:
            await resting(desk, 3.0)
            desk.act(**asked)
            await desk.until(lambda: desk.state == "ended", "the end")
            fills.append([(row.moment, row.price, row.quantity) for row in desk.exchange.ledger.trades])
    assert fills[0] == fills[1]
    assert fills[0], "the order was to be reached by the tape"


async def test_a_trade_cannot_be_undone_by_going_back(tape: Path, tmp_path: Path) -> None:
    """Before it is refused in words; after it is allowed."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(20.0)
        contract = desk.contract()
        assert desk.place(contract, "BUY", desk.touch(contract)[1]).filled
        await desk.sought(30.0)
        with pytest.raises(KiteError, match="an order traded at 11:00:20"):
            desk.act(seek=19.0)
        assert desk.state == "paused"
        await desk.sought(25.0)
        assert desk.player.view().now == desk.player.view().start + timedelta(seconds=25)
        assert len(desk.exchange.ledger.trades) == 1


async def test_an_order_that_rests_is_not_taken_to_before_it_was_placed(tape: Path, tmp_path: Path) -> None:
    """It would meet a past it was not in."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(20.0)
        contract = desk.contract()
        order = desk.place(contract, "BUY", desk.touch(contract)[0] - 5 * contract.tick)
        assert order.status == "OPEN"
        with pytest.raises(KiteError, match="open order was placed or changed"):
            desk.act(seek=10.0)


async def test_the_past_that_is_played_again_fills_nothing(tape: Path, tmp_path: Path) -> None:
    """On the way back to its moment an order that rests does not meet what was before."""
    async with playing(tmp_path, tape) as desk:
        order, _ = await resting(desk, 3.0)
        assert order.status == "OPEN"
        await desk.sought(3.5)
        filled = order.filled
        await desk.sought(3.25)
        assert order.filled == filled
        assert desk.exchange.market.is_fed


@pytest.mark.parametrize("played", [2.5, 16.0, 33.5])
async def test_after_a_kill_it_stands_where_it_stood(played: float, tape: Path, tmp_path: Path) -> None:
    """With its quotes, its orders and its trades; and what follows is what would have followed."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(played)
        contract = desk.contract()
        order = desk.place(contract, "BUY", desk.touch(contract)[1])
        place, touch, heard = desk.player.view(), desk.touch(contract), len(desk.ear.heard)
    async with playing(tmp_path, tape, play=True) as desk:
        await desk.stands()
        assert desk.ear.heard == []
        assert desk.player.view() == place
        assert desk.touch(contract)[0] == touch[0]
        assert desk.exchange.ledger.orders[order.order_id].filled == order.filled
        assert len(desk.exchange.ledger.trades) == 1
        desk.act(seek=SECONDS - 0.5)
        await desk.until(lambda: desk.state == "ended", "the end")
        assert desk.ear.heard == expected(tape)[heard:]


async def test_in_a_gap_of_the_recording_nothing_trades(tape: Path, tmp_path: Path) -> None:
    """Nobody knows the market there: no order is met, new or resting, after a kill either; then it goes on."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(GAP[0] - 0.5)
        contract = desk.contract()
        resting_order = desk.place(contract, "BUY", desk.touch(contract)[0] - contract.tick)
        await desk.sought(GAP[0] + 1.5)
        assert not desk.exchange.market.is_fed
        assert "lost" in {word for word, _ in desk.ear.heard}
        eager = desk.place(contract, "BUY", resting_order.price + 20 * contract.tick)
        assert (eager.filled, resting_order.filled) == (0, 0)
    async with playing(tmp_path, tape) as desk:
        await desk.stands()
        assert not desk.exchange.market.is_fed
        assert json.loads(desk.player.greeting())["data"]["event"] == "lost"
        await desk.sought(GAP[1] + 1.0)
        assert [word for word, _ in desk.ear.heard if word == "back"] == ["back"]
        order = desk.place(contract, "BUY", desk.touch(contract)[1])
        assert order.filled == order.quantity


async def test_at_its_end_the_market_is_closed(tape: Path, tmp_path: Path) -> None:
    """Day orders lapse, no new one is taken, and going back opens it again."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(20.0)
        contract = desk.contract()
        order = desk.place(contract, "BUY", desk.touch(contract)[0] - 5 * contract.tick)
        desk.act(seek=SECONDS - 0.5, play=True)
        await desk.until(lambda: desk.state == "ended", "the end")
        assert order.is_terminal
        assert desk.exchange.floor.closed
        with pytest.raises(KiteError, match="Markets are closed"):
            desk.place(contract, "BUY", 100_00)
        with pytest.raises(KiteError, match="has ended"):
            desk.act(play=True)
        await desk.sought(20.0)
        assert not desk.exchange.floor.closed
