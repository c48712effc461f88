"""What may send and what may not: drafts, reviews, and keys that arrive too early, twice, or in the wrong place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import CancelOrders, ModifyOrder, PlaceOrder, ResolveUnknown, SetMode
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.vocabulary import Mode, QuoteState, Side
from tests.tui.harness import Desk
from workstation.actions import ACTIONS, Place
from workstation.screens.desk import DeskScreen
from workstation.screens.panes import OrdersPane, SidePane
from workstation.widgets.chain_grid import ChainGrid

LOT = 65


async def open_review(desk: Desk, *keys: str) -> None:
    """Draft with ``keys`` and open the review, long enough ago for ``y`` to count."""
    await desk.press(*keys, "enter")
    assert desk.reviews == 1
    desk.clock.advance(1.0)
    await desk.settle()


async def test_the_whole_way_from_key_to_order() -> None:
    """Ten lots, review, y: one order with the price and quantity that were painted, then it stands in the list."""
    async with Desk().running() as desk:
        await open_review(desk, "1", "0", "s")
        assert "SELL 10L = 650 units" in desk.dialog_text
        assert "162.00" in desk.dialog_text
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceOrder)
        assert command.request.side is Side.SELL
        assert command.request.quantity == 10 * LOT
        assert command.request.price == Decimal("162.00")
        assert desk.engine.seats == ["terminal"]
        assert "o5 SELL 10L NIFTY 19JAN 24400CE" in desk.text("orders")
        assert "o5 is under way." in desk.text("ghost")


async def test_enter_never_sends() -> None:
    """However often Enter is pressed: it opens, it cancels, it never sends."""
    async with Desk().running() as desk:
        await desk.press("b")
        for _ in range(7):
            await desk.press("enter")
            desk.clock.advance(1.0)
        assert desk.sent == []


async def test_two_enters_in_one_read_open_one_review_at_most() -> None:
    """The second Enter already belongs to the dialog, where it cancels; nothing is stacked, nothing is sent."""
    async with Desk().running() as desk:
        await desk.press("s")
        desk.app.animation_level = "none"
        await desk.burst("enter", "enter")
        assert desk.reviews == 0
        await desk.burst("enter", "enter", "enter")
        assert desk.reviews == 1
        assert desk.sent == []


async def test_y_typed_ahead_is_ignored() -> None:
    """Draft, review and y in one read: the review stands and nothing went."""
    async with Desk().running() as desk:
        await desk.burst("s", "enter", "y", "y")
        assert desk.reviews == 1
        assert desk.sent == []


async def test_y_counts_only_after_the_delay() -> None:
    """A y within 250 ms of the paint is ignored; the same key later sends."""
    async with Desk().running() as desk:
        await desk.press("s", "enter")
        desk.clock.advance(0.24)
        await desk.press("y")
        assert desk.sent == []
        desk.clock.advance(0.02)
        await desk.press("y")
        assert len(desk.sent) == 1


async def test_two_ys_in_one_read_send_once() -> None:
    """A held y is one order."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        await desk.burst("y", "y", "y")
        assert len(desk.sent) == 1
        assert desk.dialog is None


async def test_each_review_has_its_own_key() -> None:
    """The idempotency key is made when a review opens: two reviews make two orders, one review only one."""
    async with Desk().running() as desk:
        for _ in range(2):
            await open_review(desk, "s")
            await desk.press("y")
        keys = [command.idempotency_key for command in desk.sent if isinstance(command, PlaceOrder)]
        assert keys == ["key-1", "key-2"]


async def test_a_moved_market_is_asked_again_at_the_new_price() -> None:
    """The bid falls beyond the tolerance: y prices anew and says by how much; a second y sends the new price."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        row = desk.engine.chains[desk.key].strikes.tolist().index(24_400.0)
        desk.engine.shift(desk.key, row, -1.0)
        await desk.press("y")
        assert desk.sent == []
        assert "moved +1.00 against you" in desk.dialog_text
        assert "161.00" in desk.dialog_text
        desk.clock.advance(0.1)
        await desk.press("y")
        assert desk.sent == [], "the new question needs its own 250 ms"
        desk.clock.advance(1.0)
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceOrder)
        assert command.request.price == Decimal("161.00")


async def test_a_move_within_the_tolerance_sends_the_painted_price() -> None:
    """Two ticks against the order are tolerated, and the price on the dialog is the one that goes."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        row = desk.engine.chains[desk.key].strikes.tolist().index(24_400.0)
        desk.engine.shift(desk.key, row, -0.10)
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceOrder)
        assert command.request.price == Decimal("162.00")


async def test_a_stale_quote_is_never_sent_on() -> None:
    """The quote goes stale under the dialog: y asks again and again, the checks refuse, nothing goes."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        desk.engine.set_quote_state(QuoteState.STALE)
        for _ in range(3):
            await desk.press("y")
            desk.clock.advance(1.0)
            await desk.settle()
        assert desk.sent == []
        assert "STALE" in desk.dialog_text
        assert desk.dialog is not None
        assert not desk.dialog.query_one("#agree").display


async def test_all_violations_are_listed_and_send_is_gone() -> None:
    """Every refusal at once; y does nothing."""
    desk = Desk()
    desk.engine.mode = Mode.READ
    async with desk.running():
        await open_review(desk, "9", "9", "b")
        text = desk.dialog_text
        assert "2 checks refuse" in text
        assert "your cap is 60L" in text
        assert "Mode is READ" in text
        assert desk.dialog is not None
        assert not desk.dialog.query_one("#agree").display
        await desk.press("y")
        assert desk.sent == []
        assert desk.reviews == 1


async def test_focus_of_a_review_is_on_cancel() -> None:
    """Focus starts on Cancel, and Enter on Send cancels all the same."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        assert desk.app.screen.focused is not None
        assert desk.app.screen.focused.id == "cancel"
        await desk.press("tab", "enter")
        assert desk.dialog is None
        assert desk.sent == []


async def test_the_mouse_obeys_the_same_delay() -> None:
    """A click on Send counts like y."""
    async with Desk().running() as desk:
        await desk.press("s", "enter")
        assert desk.pilot is not None
        await desk.pilot.click("#agree")
        await desk.settle()
        assert desk.sent == []
        desk.clock.advance(1.0)
        await desk.pilot.click("#agree")
        await desk.settle()
        assert len(desk.sent) == 1


async def test_counts_arrive_in_the_order_they_were_typed() -> None:
    """In one read, 10s and then 2b: ten lots were sold in the first draft, two bought in the second."""
    async with Desk().running() as desk:
        await desk.burst("1", "0", "s", "2", "b")
        assert "BUY 2L" in desk.text("ticket")
        await desk.burst("2", "b", "1", "0", "s")
        assert "SELL 10L" in desk.text("ticket")


async def test_a_count_is_shown_and_escape_drops_it() -> None:
    """The key line shows the count; Esc forgets it."""
    async with Desk().running() as desk:
        await desk.press("1", "2")
        assert "12…" in desk.text("keys")
        await desk.press("escape", "b")
        assert "BUY 1L" in desk.text("ticket")


async def test_prices_of_a_draft() -> None:
    """+ and - step by the tick, = goes back to the touch, p goes round bid, mid, ask, touch."""
    async with Desk().running() as desk:
        await desk.press("b")
        assert "162.10 touch" in desk.text("ticket")
        await desk.press("minus", "minus")
        assert "162.00 touch-0.10" in desk.text("ticket")
        await desk.press("equals_sign")
        assert "162.10 touch" in desk.text("ticket")
        found = []
        for _ in range(4):
            await desk.press("p")
            found.append(desk.lines("ticket")[2].split()[2:4])
        assert found == [["162.00", "bid"], ["162.05", "mid"], ["162.10", "ask"], ["162.10", "touch"]]


async def test_a_draft_keeps_the_quote_of_its_key() -> None:
    """The market moves after the key: the price stays, the drift is shown."""
    async with Desk().running() as desk:
        await desk.press("b")
        row = desk.engine.chains[desk.key].strikes.tolist().index(24_400.0)
        desk.engine.shift(desk.key, row, 2.0)
        await desk.settle()
        text = desk.text("ticket")
        assert "162.10 touch" in text
        assert "+2.00 against you" in text


async def test_no_letter_trades_while_the_bar_has_focus() -> None:
    """b, s, y, c and digits are text in the bar, and Enter on nonsense does nothing."""
    async with Desk().running() as desk:
        await desk.press("colon")
        await desk.type("bsyc10s")
        await desk.press("enter", "enter")
        assert desk.pane("bar").value == "bsyc10s"  # type: ignore[attr-defined]
        assert desk.sent == []
        assert desk.reviews == 0


async def test_no_desk_key_works_under_a_dialog() -> None:
    """Order keys pressed over a dialog change nothing below it."""
    async with Desk().running() as desk:
        await desk.press("question_mark", "b", "s", "c", "D", "colon")
        assert desk.dialog is not None
        await desk.press("escape")
        assert desk.sent == []
        assert "under the cursor" in desk.text("ticket")


async def test_cancel_modify_resolve_in_orders() -> None:
    """C cancels the row's order at once; m drafts a change that goes through the review; R looks an unknown one up."""
    desk = Desk()
    desk.engine.lose(2)
    async with desk.running():
        await desk.press("w", "5")
        assert desk.focus == "orders"
        await desk.press("R")
        assert desk.sent == [ResolveUnknown(number=OrderNumber(2))]
        desk.engine.submitted.clear()
        await desk.press("m", "plus", "plus")
        assert "change of o" in desk.text("ticket")
        assert desk.sent == []
        await desk.press("enter")
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, ModifyOrder)
        assert command.change.price == Decimal("52.10")
        desk.engine.submitted.clear()
        await desk.press("c")
        assert desk.sent == [CancelOrders(numbers=(command.number,))]


async def test_the_cursor_in_orders_stays_on_its_order() -> None:
    """A new unknown order sorts above: the cursor stays on the order it was on, and c cancels that one."""
    async with Desk().running() as desk:
        await desk.press("w", "5")
        first = desk.lines("orders")[1].split()[0]
        assert first == "o3"
        desk.engine.lose(2)
        await desk.settle()
        assert desk.lines("orders")[1].split()[0] == "o2"
        await desk.press("c")
        assert desk.sent == [CancelOrders(numbers=(OrderNumber(3),))]


async def test_cancel_all_goes_through_a_review() -> None:
    """C opens a review; only y sends."""
    async with Desk().running() as desk:
        await desk.press("w", "5", "C")
        assert desk.reviews == 1
        await desk.press("escape")
        assert desk.sent == []
        await desk.press("C")
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        assert desk.sent == [CancelOrders(everything=True)]


async def test_arming_takes_two_keys_and_disarming_one() -> None:
    """A then c is CONFIRM, D is READ at once; A then another key is nothing, in one read too."""
    desk = Desk()
    desk.engine.mode = Mode.READ
    async with desk.running():
        await desk.press("A", "x")
        assert desk.sent == []
        await desk.burst("A", "c")
        assert desk.sent == [SetMode(mode=Mode.CONFIRM)]
        assert " CONFIRM " in desk.text("status")
        await desk.press("D")
        assert desk.sent[-1] == SetMode(mode=Mode.READ)
        assert " READ " in desk.text("status")


async def test_the_second_key_of_a_pair_never_acts_on_a_pane() -> None:
    """A then c in one read over the orders arms and cancels nothing."""
    async with Desk().running() as desk:
        await desk.press("w", "5")
        await desk.burst("A", "c")
        assert desk.sent == [SetMode(mode=Mode.CONFIRM)]


async def test_a_terminal_state_cannot_be_cancelled_or_changed() -> None:
    """Cancel, modify and resolve of an order that is over answer in words."""
    async with Desk().running() as desk:
        await desk.press("w", "5", "G", "c")
        assert "o1 is COMPLETE" in desk.text("ghost")
        await desk.press("m")
        assert "only a resting order" in desk.text("ghost")
        await desk.press("R")
        assert "its outcome is known" in desk.text("ghost")
        assert desk.sent == []


async def test_a_refused_order_keeps_its_draft() -> None:
    """The engine refuses after y: the reason is said, the draft is still there."""
    async with Desk().running() as desk:
        await open_review(desk, "s")
        desk.engine.mode = Mode.READ
        await desk.press("y")
        assert "Refused. Mode is READ" in desk.text("ghost")
        assert "SELL 1L" in desk.text("ticket")
        assert desk.engine.order_list[-1].state is OrderState.REJECTED


async def test_one_sided_books_are_asked_twice() -> None:
    """No bid: a sale has no price; a purchase at the ask is asked once more, because the book is one-sided."""
    desk = Desk()
    desk.engine.set_quote_state(QuoteState.ONE_SIDED)
    async with desk.running():
        await desk.press("s", "enter")
        assert desk.reviews == 0
        assert "no price" in desk.text("ghost")
        await open_review(desk, "b")
        await desk.press("y")
        assert desk.sent == []
        assert "ONE-SIDED" in desk.dialog_text
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        assert len(desk.sent) == 1


@pytest.mark.parametrize("widget", [ChainGrid, OrdersPane, SidePane, DeskScreen])
def test_no_binding_has_priority(widget: type[ChainGrid]) -> None:
    """An order key with priority would fire through inputs and dialogs."""
    assert not any(binding.priority for binding in widget.BINDINGS if not isinstance(binding, tuple))


def test_keys_left_alone_are_not_bound() -> None:
    """Keys of multiplexers, line discipline, browsers and editors stay theirs; no Alt key does anything."""
    forbidden = {f"ctrl+{letter}" for letter in "bsqzhijmwtnkp"} | {"ctrl+left_square_bracket"}
    outside_bar = [action for action in ACTIONS if action.place is not Place.BAR]
    bound = {key for action in outside_bar for key in action.keys}
    assert not bound & forbidden
    assert not any(key.startswith("alt+") for key in bound)
