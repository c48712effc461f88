"""HOT by keys: arming it, strokes that send, held keys, and what every other mode makes of them."""

from __future__ import annotations

import pytest

from engine.core.commands import CancelOrders, PlaceOrder, SetMode, TouchSeat
from engine.core.vocabulary import Mode, OrderType, QuoteState, Side
from tests.tui.harness import Desk


def orders_of(desk: Desk) -> list[PlaceOrder]:
    """The orders that were handed over."""
    return [command for command in desk.sent if isinstance(command, PlaceOrder)]


def hot_desk(lots: int = 2) -> Desk:
    """A Desk whose seat is HOT."""
    desk = Desk()
    desk.engine.mode, desk.engine.hot_lots = Mode.HOT, lots
    return desk


async def test_hot_is_armed_by_two_keys_a_number_and_enter() -> None:
    """Enter arms what was typed; the status line says HOT with what is left of it, and D ends it without a question."""
    desk = Desk()
    desk.engine.mode = Mode.READ
    desk.engine.hot_left_s = 751
    async with desk.running():
        await desk.press("A", "h", "1", "2", "enter")
        assert desk.sent == [SetMode(mode=Mode.HOT, lots=12)]
        assert " HOT 12:31 " in desk.text("status")
        await desk.press("D")
        assert desk.sent[-1] == SetMode(mode=Mode.READ)
        assert "HOT" not in desk.text("status")


async def test_arming_hot_is_left_without_a_number() -> None:
    """Enter without a number, Esc, or any other key arms nothing, and the digits are gone with it."""
    async with Desk().running() as desk:
        await desk.press("A", "h", "enter", "A", "h", "3", "escape", "A", "h", "3", "x")
        assert desk.sent == []
        assert desk.reviews == 0
        await desk.press("b")
        assert "BUY 1L" in desk.text("ticket")


async def test_a_count_typed_before_is_not_part_of_the_lots() -> None:
    """Whoever forgot a digit is not armed for ten times as much."""
    async with Desk().running() as desk:
        await desk.press("1", "A", "h", "2", "enter")
        assert desk.sent == [SetMode(mode=Mode.HOT, lots=2)]


@pytest.mark.parametrize(("key", "side"), [("B", Side.BUY), ("S", Side.SELL)])
async def test_a_stroke_sends_one_limit_at_the_touch(key: str, side: Side) -> None:
    """The lots that are armed, at the touch, without a review, marked as a stroke, with a key of its own."""
    async with hot_desk().running() as desk:
        await desk.press(key)
        (command,) = orders_of(desk)
        request = command.request
        instrument = next(row for row in desk.engine.instruments.values() if row.key == request.instrument)
        quote = desk.engine.quote(instrument.token)
        assert quote is not None
        assert (command.stroke, request.side, request.order_type) == (True, side, OrderType.LIMIT)
        assert request.price == quote.touch(side)
        assert request.quantity == 2 * instrument.lot_size
        assert command.idempotency_key
        assert desk.reviews == 0


async def test_a_held_key_is_one_stroke() -> None:
    """However long it repeats; after 400 ms without it, or with the other key, it counts again."""
    async with hot_desk().running() as desk:
        await desk.press("B")
        for _ in range(5):
            desk.clock.advance(0.35)
            await desk.press("B")
        assert len(orders_of(desk)) == 1
        desk.clock.advance(0.41)
        await desk.press("B", "S")
        assert [command.request.side for command in orders_of(desk)] == [Side.BUY, Side.BUY, Side.SELL]
        assert len({command.idempotency_key for command in orders_of(desk)}) == 3


async def test_a_count_is_fewer_lots_and_never_more() -> None:
    """1B is one lot; more than is armed is refused in words."""
    async with hot_desk(lots=3).running() as desk:
        await desk.press("1", "B")
        (command,) = orders_of(desk)
        instrument = next(row for row in desk.engine.instruments.values() if row.key == command.request.instrument)
        assert command.request.quantity == instrument.lot_size
        await desk.press("4", "S")
        assert len(orders_of(desk)) == 1
        assert "HOT is armed for 3" in desk.text("ghost")


async def test_in_read_a_stroke_sends_nothing() -> None:
    """It says how to arm; no review, no draft."""
    desk = Desk()
    desk.engine.mode = Mode.READ
    async with desk.running():
        await desk.press("B", "S")
        assert desk.sent == []
        assert desk.reviews == 0
        assert "Mode is READ" in desk.text("ghost")


async def test_in_confirm_a_stroke_opens_the_review() -> None:
    """Only y sends it then, and it is no stroke."""
    async with Desk().running() as desk:
        await desk.press("B")
        assert desk.reviews == 1
        assert desk.sent == []
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = orders_of(desk)
        assert not command.stroke


async def test_a_stroke_needs_a_living_quote_and_a_living_picture() -> None:
    """Frozen by Space, or not LIVE at the engine: nothing is sent."""
    async with hot_desk().running() as desk:
        await desk.press("space", "B")
        assert "frozen" in desk.text("ghost")
        await desk.press("space")
        desk.engine.set_quote_state(QuoteState.STALE)
        desk.clock.advance(0.5)
        await desk.press("B")
        assert "not LIVE" in desk.text("ghost")
        assert orders_of(desk) == []


async def test_keys_are_told_while_hot_and_only_then() -> None:
    """Once in five seconds at most, whatever the keys mean; in CONFIRM nothing is told."""
    async with hot_desk().running() as desk:
        await desk.press("j", "k", "j")
        assert desk.sent == [TouchSeat()]
        for _ in range(10):  # in steps: a screen that stood still for a second would end HOT
            desk.clock.advance(0.5)
            await desk.settle(1)
        await desk.press("k")
        assert desk.sent == [TouchSeat(), TouchSeat()]
    async with Desk().running() as desk:
        await desk.press("j", "k")
        assert desk.sent == []


async def test_in_hot_cancelling_everything_asks_nothing() -> None:
    """It only takes risk away."""
    async with hot_desk().running() as desk:
        await desk.press("w", "5", "C")
        assert CancelOrders(everything=True) in desk.sent
        assert desk.reviews == 0


async def test_a_late_screen_ends_hot() -> None:
    """Nobody should send by one key what is painted a second late; it is asked once."""
    async with hot_desk().running() as desk:
        desk.clock.advance(2.0)
        await desk.settle()
        assert desk.sent.count(SetMode(mode=Mode.CONFIRM)) == 1
        assert desk.engine.mode is Mode.CONFIRM
