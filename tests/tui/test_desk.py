"""The Desk itself: what it shows equals what the engine says, at every size and in every state."""

from __future__ import annotations

from datetime import date

from engine.core.commands import AcknowledgeEvent
from engine.core.views import ChainKey
from engine.core.vocabulary import InstrumentKind, Mark, QuoteState
from tests.tui.harness import Desk
from workstation.formatting import money, round_parts
from workstation.widgets.chain_grid import ChainGrid


async def test_numbers_on_the_chain_equal_those_of_the_engine() -> None:
    """Every bid, ask, strike and position in sight is the engine's own."""
    async with Desk().running() as desk:
        grid = desk.pane("chain")
        assert isinstance(grid, ChainGrid)
        view = desk.engine.chain(desk.key)
        assert view is not None
        lines = desk.lines("chain")
        for place in range(grid.page):
            row = grid.first_row + place
            words = lines[1 + place].replace("@", " ").replace("<", " ").replace(">", " ").split()
            assert f"{view.strikes[row]:,.0f}" in words
            for price in (view.calls.bid[row], view.calls.ask[row], view.puts.bid[row], view.puts.ask[row]):
                assert f"{price:.2f}" in words
            if view.calls.position[row]:
                assert f"{view.calls.position[row] // 65:+d}" in lines[1 + place]


async def test_money_on_the_screen_equals_that_of_the_engine() -> None:
    """Day figures and each strategy on each mark, rounded the same way."""
    async with Desk().running() as desk:
        view = desk.engine.desk()
        status = desk.text("status")
        rows = desk.lines("strategies")
        shown = {}
        for mark in Mark:
            parts, _ = round_parts([value.profit[mark] for value in view.strategies])
            shown[mark] = {value.strategy.name: part for value, part in zip(view.strategies, parts, strict=True)}
            assert f"{mark.value} {money(view.status.day_profit[mark])}" in status
        for value in view.strategies:
            (line,) = [row for row in rows if value.strategy.name in row]
            for mark in Mark:
                assert money(shown[mark][value.strategy.name]) in line.split()


async def test_unknown_figures_are_dashes_never_numbers() -> None:
    """A feed that has given nothing shows the unknown sign in every price cell, and no zero."""
    desk = Desk()
    desk.engine.set_quote_state(QuoteState.UNKNOWN)
    async with desk.running():
        line = next(line for line in desk.lines("chain") if "24,400" in line)
        assert line.count("—") >= 10
        assert "0.00" not in line
        assert "fwd —" in desk.text("head")


async def test_a_partial_total_says_so() -> None:
    """A leg without a bid leaves the exit figure partial: p after it, in the row, the total and the day."""
    desk = Desk()
    token = desk.engine.legs[1][0].token
    chain = desk.engine.chains[ChainKey("NIFTY", date(2027, 1, 19))]
    row = (token - chain.first_token) // 2
    chain.states[row, InstrumentKind.CALL] = QuoteState.ONE_SIDED
    desk.engine.touch()
    async with desk.running():
        main, total = (next(line for line in desk.lines("strategies") if name in line) for name in ("main", " all"))
        assert main.split()[5].endswith("p")
        assert total.split()[4].endswith("p")
        assert "p" in desk.lines("status")[1].split("exit ")[1].split()[0]


async def test_resizing_at_any_moment() -> None:
    """From large to tiny to common, with a draft, with a dialog, with the bar open: never an error, nothing lost."""
    async with Desk().running(200, 60) as desk:
        await desk.press("1", "0", "s")
        for size in ((40, 10), (120, 36), (80, 24), (1, 1), (200, 60), (79, 24), (80, 23), (120, 36)):
            await desk.resize(*size)
        assert "SELL 10L" in desk.text("ticket")
        await desk.press("enter")
        for size in ((40, 10), (20, 3), (120, 36)):
            await desk.resize(*size)
        assert desk.reviews == 1
        assert "SELL 10L = 650 units" in desk.dialog_text
        await desk.press("escape", "colon")
        await desk.type("buy 2L")
        for size in ((40, 10), (120, 36)):
            await desk.resize(*size)
        assert desk.pane("bar").value == "buy 2L"  # type: ignore[attr-defined]


async def test_small_screen_takes_no_order_keys() -> None:
    """What cannot be seen cannot be traded: at 40x10 order keys do nothing."""
    async with Desk().running(40, 10) as desk:
        await desk.press("b", "s", "enter", "c", "C")
        assert desk.reviews == 0
        assert desk.sent == []
        assert "too small" in desk.text("small")
        await desk.resize(120, 36)
        assert desk.focus == "chain"
        assert "under the cursor" in desk.text("ticket")


async def test_only_changed_rows_are_painted() -> None:
    """One strike moves: one line of the grid is painted, not the whole grid."""
    async with Desk().running() as desk:
        grid = desk.pane("chain")
        assert isinstance(grid, ChainGrid)
        painted: list[int] = []
        original = grid.line_at

        def spy(y: int) -> object:
            painted.append(y)
            return original(y)

        grid.line_at = spy  # type: ignore[method-assign, assignment]
        row = grid.first_row + 3
        desk.engine.shift(desk.key, row, 1.0)
        desk.app.take_frame()
        assert desk.pilot is not None
        await desk.pilot.pause()
        assert {y for y in painted if y != grid.size.height - 1} == {4}
        painted.clear()
        desk.app.take_frame()
        await desk.pilot.pause()
        assert [y for y in painted if y != grid.size.height - 1] == []


async def test_a_changed_price_flashes_and_fades() -> None:
    """The tone of a changed bid is the gain colour for 300 ms and plain afterwards."""
    async with Desk().running() as desk:
        grid = desk.pane("chain")
        assert isinstance(grid, ChainGrid)
        row = grid.first_row + 10
        before = grid.render_line(11)
        desk.engine.shift(desk.key, row, 1.0)
        desk.app.take_frame()
        flashing = [segment.style for segment in grid.render_line(11) if segment.style == grid.tone("up")]
        assert flashing
        desk.clock.advance(0.31)
        desk.app.take_frame()
        calm = [segment.style for segment in grid.render_line(11) if segment.style == grid.tone("up")]
        assert calm == []
        assert grid.render_line(11).text != before.text


async def test_the_cursor_stays_on_its_strike() -> None:
    """ATM moves away: the cursor stays where the hand put it; z follows."""
    async with Desk().running() as desk:
        await desk.press("j", "j", "l")
        assert "24,500 12.5>" in desk.text("chain")
        chain = desk.engine.chains[desk.key]
        chain.spot += 150
        chain.sequence += 1
        chain.row_sequence[:] = chain.sequence
        await desk.settle()
        cursor = next(line for line in desk.lines("chain") if ">" in line)
        assert "24,500" in cursor
        atm = next(line for line in desk.lines("chain") if line.startswith("@"))
        assert "24,550" in atm
        await desk.press("z")
        assert "24,550" in next(line for line in desk.lines("chain") if ">" in line)


async def test_expiries_and_underlyings() -> None:
    """[ ] and { } move; exactly one chain is watched however fast the keys come."""
    async with Desk().running() as desk:
        await desk.press("right_square_bracket")
        assert desk.key == ChainKey("NIFTY", date(2027, 1, 26))
        await desk.burst("right_square_bracket", "right_square_bracket", "left_square_bracket", "right_square_bracket")
        assert desk.key == ChainKey("NIFTY", date(2027, 2, 23))
        await desk.press("right_curly_bracket")
        assert desk.key == ChainKey("BANKNIFTY", date(2027, 1, 26))
        assert "BANKNIFTY w0" in desk.text("head")
        await desk.press("left_curly_bracket", "left_curly_bracket")
        assert desk.key.underlying == "SENSEX"
        assert list(desk.engine.watched.values()) == [1]
    assert desk.engine.watched == {}


async def test_panes_by_tab_and_by_digit() -> None:
    """Tab goes round the panes; w and a digit go to one."""
    async with Desk().running() as desk:
        seen = []
        for _ in range(7):
            seen.append(desk.focus)
            await desk.press("tab")
        assert seen == ["chain", "ticket", "depth", "strategies", "orders", "events", "bar"]
        await desk.press("escape", "w", "4")
        assert desk.focus == "strategies"
        await desk.press("g", "e")
        assert desk.focus == "events"


async def test_freezing_keeps_the_picture_and_lets_ages_go_on() -> None:
    """Space: prices stand, FROZEN is said, the feed's age grows; a draft takes the living quote."""
    async with Desk().running() as desk:
        await desk.press("space")
        row = desk.engine.chains[desk.key].strikes.tolist().index(24_400.0)
        desk.engine.shift(desk.key, row, 5.0)
        desk.clock.advance(3.0)
        await desk.settle()
        assert "FROZEN 3.0s" in desk.text("status")
        assert " 162.00  162.10" in desk.text("chain")
        await desk.press("b")
        assert "167.10 touch" in desk.text("ticket")
        await desk.press("space")
        assert " 167.00  167.10" in desk.text("chain")
        assert "FROZEN" not in desk.text("status")


async def test_ages_go_on_while_the_engine_says_nothing_new() -> None:
    """The same picture for four seconds: the feed's age is four seconds more."""
    async with Desk().running() as desk:
        assert "feed 0.2s" in desk.text("status")
        for _ in range(80):
            desk.clock.advance(0.05)
            desk.app.take_frame()
        await desk.settle()
        assert "feed 4.2s" in desk.text("status")


async def test_a_late_frame_is_said() -> None:
    """Two seconds without a frame: SCREEN LATE, until it has run well for a second."""
    async with Desk().running() as desk:
        desk.clock.advance(2.0)
        desk.app.take_frame()
        await desk.settle(1)
        assert "SCREEN LATE 1.9s" in desk.text("status") or "SCREEN LATE 2.0s" in desk.text("status")
        for _ in range(25):
            desk.clock.advance(0.05)
            desk.app.take_frame()
        await desk.settle(1)
        assert "LATE" not in desk.text("status")


async def test_marks_and_units() -> None:
    """M goes round the marks, u shows units."""
    async with Desk().running() as desk:
        assert "Day last" in desk.text("status")
        await desk.press("M")
        assert "Day mid" in desk.text("status")
        await desk.press("u")
        assert "-650" in desk.text("chain")
        assert " 130 NIFTY 19JAN 24300PE" in desk.text("orders")


async def test_acknowledging_events() -> None:
    """! acknowledges the oldest unread one and shows it."""
    async with Desk().running() as desk:
        assert "1 event" in desk.text("status")
        await desk.press("exclamation_mark")
        assert desk.sent == [AcknowledgeEvent(sequence=3)]
        assert "event" not in desk.text("status")
        assert "delta -66" in desk.text("ghost")
        await desk.press("exclamation_mark")
        assert "No event waits" in desk.text("ghost")


async def test_strategies_unfold_into_legs() -> None:
    """L shows the legs with their lots and money, h hides them."""
    async with Desk().running(160, 45) as desk:
        await desk.press("w", "4", "j", "j", "l")
        text = desk.text("strategies")
        assert "3.1  -10L NIFTY 19JAN 24350CE" in text
        assert "avg 185.35 NRML" in text
        await desk.press("h")
        assert "3.1" not in desk.text("strategies")


async def test_depth_is_a_dialog_where_there_is_no_pane() -> None:
    """I at 80 columns opens the book; at 120 it goes to the pane."""
    async with Desk().running(80, 24) as desk:
        await desk.press("i")
        assert "162.00 162.10" in desk.dialog_text
        await desk.press("escape")
    async with Desk().running(120, 36) as desk:
        await desk.press("i")
        assert desk.dialog is None
        assert desk.focus == "depth"
