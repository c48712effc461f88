"""The Charts screen: where its instrument comes from, its keys, what it reads and how often, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest

from engine.core.bars import BarInterval
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.tui.harness import Desk, before_picture
from tests.tui.test_snapshots import closed, reader, stale
from workstation.presenters.settings import TerminalSettings
from workstation.screens.charts import ChartsScreen
from workstation.screens.desk import DeskScreen
from workstation.widgets.panes import LinePane

SIZES = [(80, 24), (120, 36), (200, 60)]
INDEX = InstrumentKey(Exchange.NSE, "NIFTY 50")


def pane(desk: Desk, name: str) -> list[str]:
    """A pane of the screen on top."""
    found = desk.app.screen.query_one(f"#{name}", LinePane)
    return [found.render_line(y).text for y in range(found.size.height)]


def page(desk: Desk) -> str:
    """What stands on the page."""
    return "\n".join(pane(desk, "charts-page"))


def words(desk: Desk) -> str:
    """The page with single blanks."""
    return " ".join(page(desk).split())


def title(desk: Desk) -> str:
    """The first line of the page."""
    return pane(desk, "charts-page")[0]


async def later(desk: Desk, seconds: float = 1.0) -> None:
    """Let time pass, and what is then asked for arrive."""
    desk.clock.advance(seconds)
    await desk.settle()


# --- where the instrument comes from -------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("g", "t"), ("f6",), ("g", "v", "g", "t")])
async def test_keys_open_it_and_escape_leads_back(keys: tuple[str, ...]) -> None:
    """Keys g t and F6 open it, from another screen too; Esc is the Desk again; nothing was sent on the way."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(desk.app.screen, ChartsScreen)
        assert "NIFTY 19JAN 24400CE" in title(desk)
        await desk.press("escape")
        assert isinstance(desk.app.screen, DeskScreen)
        assert desk.sent == []


async def test_the_contract_under_the_cursor_is_charted() -> None:
    """Two strikes down on the put side; and back on the Desk another one, which replaces it."""
    async with Desk().running() as desk:
        await desk.press("j", "j", "l", "g", "t")
        assert "NIFTY 19JAN 24500PE" in title(desk)
        await desk.press("escape", "h", "k", "g", "t")
        assert "NIFTY 19JAN 24450CE" in title(desk)


async def test_the_leg_of_a_row_and_the_order_of_a_row_are_charted() -> None:
    """From the unfolded strategies, from the Strategy screen, and from the orders."""
    async with Desk().running() as desk:
        await desk.press("w", "4", "l", "j", "g", "t")
        strategy = desk.engine.strategy_list[0]
        leg = desk.engine.legs[int(strategy.number)][0]
        assert desk.engine.bars_asked[-1][0] == leg.instrument
        await desk.press("escape", "2", "g", "s")
        await desk.press("g", "t")
        assert desk.engine.bars_asked[-1][0] == desk.engine.legs[2][0].instrument
        await desk.press("escape", "w", "5", "g", "t")
        symbols = {order.request.instrument for order in desk.engine.order_list}
        assert desk.engine.bars_asked[-1][0] in symbols


async def test_instruments_at_hand_are_walked_through() -> None:
    """Call, put, index and future by n, round and back by N."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        seen = []
        for _ in range(4):
            await desk.press("n")
            seen.append(title(desk).split("─")[2].strip())
        assert seen[:3] == ["NIFTY 19JAN 24400PE", "NIFTY 50", "NIFTY 26JAN FUT"]
        await desk.press("N", "N")
        assert "NIFTY 50" in title(desk)
        assert "vol" not in words(desk)


async def test_searching_charts_what_was_chosen() -> None:
    """What answers is listed while it is typed; down and Enter take the second; Esc leaves everything as it was."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "slash")
        await desk.type("nifty")
        await desk.settle()
        assert "> NIFTY 50" in page(desk)
        assert "NIFTY27JANFUT" in page(desk)
        await desk.press("down", "enter")
        assert "NIFTY 26JAN FUT" in title(desk)
        await desk.press("slash")
        await desk.type("xyz")
        await desk.settle()
        assert 'No instrument answers to "xyz" today.' in page(desk)
        await desk.press("enter")
        assert 'No instrument answers to "xyz"' in "".join(pane(desk, "ghost"))
        await desk.press("escape")
        assert "NIFTY 26JAN FUT" in title(desk)


async def test_digits_and_letters_are_text_while_searching() -> None:
    """Words with keys of the screen in them arrive whole, and mean nothing else."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "slash")
        await desk.type("nifty 24350 pe w0")
        await desk.settle()
        assert "> NIFTY 19JAN 24350PE" in page(desk)
        await desk.press("enter")
        assert "NIFTY 19JAN 24350PE" in title(desk)
        assert desk.sent == []


async def test_a_sentence_opens_it() -> None:
    """:chart with a contract and a length."""
    async with Desk().running() as desk:
        await desk.press("colon")
        await desk.type("chart nifty 24350 pe w0 15m")
        await desk.press("enter")
        await desk.settle()
        assert isinstance(desk.app.screen, ChartsScreen)
        assert "NIFTY 19JAN 24350PE ─ 15m" in title(desk)


async def test_before_any_chain_there_are_words() -> None:
    """Nothing chosen and nothing at hand: what to do is said, and nothing is asked."""
    desk = Desk()
    desk.engine.loading = True
    async with desk.running() as desk:
        await desk.press("g", "t")
        assert "No instrument is chosen" in words(desk)
        assert desk.engine.bars_asked == []
        await desk.press("n")
        assert "No instrument is at hand" in "".join(pane(desk, "ghost"))


# --- what it shows ---------------------------------------------------------------------------------------------------


async def test_the_figures_are_the_engines_own() -> None:
    """Open, high, low and close of the newest candle, its study, and what is asked for."""
    async with Desk().running(200, 60) as desk:
        await desk.press("g", "t")
        key, interval, start, end, asked = desk.engine.bars_asked[-1]
        view = await desk.engine.bars(key, interval, start, end, indicators=asked)
        text = words(desk)
        for name, values in (("O", view.open), ("H", view.high), ("L", view.low), ("C", view.close)):
            assert f"{name} {values[-1]:.2f}" in text
        assert f"e EMA 20 {view.columns['ema_20'][-1]:.2f}" in text
        assert "RUNNING" in text
        assert interval is BarInterval.MINUTES_5


async def test_the_cursor_moves_by_candles_days_and_pages() -> None:
    """Keys h and l by candles with counts, H by days, Ctrl-U by half pictures, G back to the newest."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "h")
        assert "14 Jan 10:55 O" in words(desk)
        await desk.press("1", "0", "h", "l")
        assert "14 Jan 10:10 O" in words(desk)
        await desk.press("H")
        assert "14 Jan 09:15 O" in words(desk)
        await desk.press("H")
        assert "13 Jan 09:15 O" in words(desk)
        await desk.press("shift+right")
        assert "14 Jan 09:15 O" in words(desk)
        await desk.press("ctrl+u")
        assert "13 Jan" in pane(desk, "charts-page")[1]
        await desk.press("G")
        assert "14 Jan 11:00 O" in words(desk)


async def test_going_back_loads_more_and_ends() -> None:
    """At the oldest candle earlier days are asked for, as often as there are more; then it says that there are none."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        spans = []
        for _ in range(4):
            await desk.press("home")
            await later(desk)
            spans.append((desk.clock.market_now() - min(item[2] for item in desk.engine.bars_asked)).days)
        assert spans == [11, 25, 25, 25]
        await desk.press("home")
        assert "shown for 25 days back at most" in "".join(pane(desk, "ghost"))


async def test_the_length_of_a_candle_by_key() -> None:
    """15m, then m to the next one; a length that there is not is refused in words; 3gt opens with it."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "1", "5", "m")
        assert "─ 15m ─" in title(desk)
        await desk.press("m")
        assert "─ 60m ─" in title(desk)
        await desk.press("7", "m")
        assert "is no candle length" in "".join(pane(desk, "ghost"))
        assert "─ 60m ─" in title(desk)
        await desk.press("escape", "escape", "3", "g", "t")
        assert "─ 3m ─" in title(desk)


async def test_studies_by_key() -> None:
    """Key i and a letter: over the candles, in strips, off again, none of them; the letters are told while it waits."""
    async with Desk().running(120, 40) as desk:
        await desk.press("g", "t", "i")
        assert "r RSI 14" in "".join(pane(desk, "keys"))
        await desk.press("b", "i", "s", "i", "v", "i", "r", "i", "o")
        text = words(desk)
        for part in ("b upper", "s Supertrend", "v VWAP", "─ RSI 14", "─ OI lakh"):
            assert part in text
        await desk.press("i", "e")
        assert "EMA 20" not in words(desk)
        await desk.press("i", "x")
        assert "RSI" not in words(desk)
        assert "VWAP" not in words(desk)


async def test_gaps_partial_and_quiet_minutes_are_told_apart() -> None:
    """Missing minutes are dotted and counted, partial candles marked, quiet ones blank; y says what it means."""
    desk = Desk()
    gapped(desk.engine)
    async with desk.running() as desk:
        await desk.press("g", "t")
        assert "15 min missing" in title(desk)
        assert any("···" in line for line in pane(desk, "charts-page"))
        marks = pane(desk, "charts-page")[-2]
        assert marks.count("p") == 2
        await desk.press("7", "h")
        assert "PARTIAL" in words(desk)
        await desk.press("y")
        assert "15 minutes of what is loaded are missing" in " ".join(desk.dialog_text.split())


async def test_no_candle_is_told_with_its_reason() -> None:
    """Every span that may be asked for is asked for once; then the engine's note is said."""
    desk = Desk()
    empty(desk.engine)
    async with desk.running() as desk:
        await desk.press("g", "t")
        for _ in range(4):
            await later(desk)
        assert "No candle of NIFTY 19JAN 24400CE" in words(desk)
        assert "The broker's history has not answered yet; ask again." in words(desk)


async def test_an_engine_that_fails_says_why_and_the_picture_grows_old() -> None:
    """What was there stays, marked old with the engine's words, and recovers."""
    desk = Desk()
    async with desk.running() as desk:
        await desk.press("g", "t")
        desk.engine.bars_failing = "The engine has no history now."
        await later(desk, 7.0)
        assert "~ 7.0s old" in title(desk)
        assert "The engine has no history now." in title(desk)
        assert "RUNNING" in words(desk)
        desk.engine.bars_failing = ""
        await later(desk)
        await later(desk)
        assert "old" not in title(desk)


# --- what it reads ---------------------------------------------------------------------------------------------------


async def test_the_newest_candles_are_read_once_a_second_and_all_of_them_seldom() -> None:
    """Two questions at first; each second a short one; the long one again when the short ones reach no farther."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        asked = desk.engine.bars_asked
        assert len(asked) == 2
        for _ in range(20):
            desk.clock.advance(0.04)
            await desk.settle(1)
        assert len(asked) == 2
        await later(desk)
        assert len(asked) == 3
        key, _, start, end, _ = asked[-1]
        assert (end - start).total_seconds() == 61 * 60
        for _ in range(32):
            await later(desk)
        spans = [(item[3] - item[2]).total_seconds() for item in asked]
        assert sum(span > 86_400 for span in spans) == 2
        assert key == asked[0][0]


async def test_the_running_candle_lives() -> None:
    """A new last price is on the screen a second later: close, high and the line at the axis."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        desk.engine.last_price = 171.25
        await later(desk)
        assert "C 171.25" in words(desk)
        assert any(line.endswith("<171.25") for line in pane(desk, "charts-page"))


async def test_nothing_is_read_behind_another_screen_or_while_frozen() -> None:
    """Space stops the questions and keeps the picture; so does leaving."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "space")
        count, before = len(desk.engine.bars_asked), page(desk)
        await later(desk, 3.0)
        assert (len(desk.engine.bars_asked), page(desk)) == (count, before)
        await desk.press("space")
        await later(desk)
        assert len(desk.engine.bars_asked) > count
        await desk.press("escape")
        count = len(desk.engine.bars_asked)
        await later(desk, 3.0)
        assert len(desk.engine.bars_asked) == count


async def test_closed_and_stale_prices_are_said() -> None:
    """By the state of the instrument's own quote; of the feed where it has none."""
    desk = Desk()
    async with desk.running() as desk:
        await desk.press("g", "t")
        assert "prices" not in title(desk)
        desk.engine.set_quote_state(QuoteState.STALE)
        await later(desk)
        assert "prices STALE" in title(desk)
        desk.engine.set_feed(state=QuoteState.CLOSED)
        await desk.press("n", "n")
        assert "prices CLOSED" in title(desk)


async def test_what_was_chosen_is_kept() -> None:
    """Studies, length and width come back with the screen."""
    async with Desk().running() as desk:
        await desk.press("g", "t", "i", "r", "3", "m", "plus", "escape", "g", "t")
        assert "RSI 14" in words(desk)
        assert "─ 3m ─" in title(desk)


async def test_nothing_on_it_sends_and_any_size_is_survived() -> None:
    """Every key that drafts or sends elsewhere; then down to nothing and back."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        await desk.press("s", "b", "1", "0", "s", "enter", "equals_sign", "p", "c", "C", "S", "B")
        assert desk.sent == []
        assert desk.reviews == 0
        for size in ((40, 10), (10, 5), (300, 90), (120, 36)):
            await desk.resize(*size)
        assert "RUNNING" in words(desk)


async def test_the_mouse_moves_the_cursor() -> None:
    """A click puts it on the candle there, the wheel moves it by one."""
    async with Desk().running() as desk:
        await desk.press("g", "t")
        assert desk.pilot is not None
        await desk.pilot.click("#charts-page", offset=(100, 10))
        await desk.settle()
        assert pane(desk, "charts-page")[-2][100] == "^"


# --- pictures ------------------------------------------------------------------------------------------------------


def live(engine: FakeEngineClient) -> None:
    """Nothing special."""


def gapped(engine: FakeEngineClient) -> None:
    """A quarter of an hour is missing, two candles were not watched as a whole, and for a while nobody traded."""
    engine.missing_candles = ((25, 40),)
    engine.partial_minutes = (57, 62)
    engine.quiet_minutes = ((75, 85),)
    engine.bars_note = "The broker's history has not answered yet; ask again."


def empty(engine: FakeEngineClient) -> None:
    """No candle at all."""
    engine.bars_known = False
    engine.bars_note = "The broker's history has not answered yet; ask again."


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare one screen with its accepted picture."""

    def compare(
        size: tuple[int, int],
        keys: tuple[str, ...],
        state: Callable[[FakeEngineClient], None] = live,
        settings: TerminalSettings | None = None,
    ) -> bool:
        desk = Desk(settings)
        state(desk.engine)
        app: Any | PurePath = desk.app
        return snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))

    return compare


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_a_living_market(picture: Callable[..., bool], size: tuple[int, int]) -> None:
    """At every size it is made for, with studies over and below the candles."""
    assert picture(size, ("g", "t", "i", "b", "i", "r", "4", "h"))


@pytest.mark.parametrize("state", [gapped, empty, stale, reader, closed], ids=lambda state: state.__name__)
def test_picture_in_state(picture: Callable[..., bool], state: Callable[[FakeEngineClient], None]) -> None:
    """Each state says in words what it is."""
    assert picture((120, 36), ("g", "t", "later", "later"), state)


def test_picture_of_wide_candles_of_an_index(picture: Callable[..., bool]) -> None:
    """Three cells a body, two days, no volume."""
    assert picture((120, 36), ("g", "t", "n", "n", "1", "5", "m", "plus", "plus", "i", "s"))


def test_picture_of_the_search(picture: Callable[..., bool]) -> None:
    """What answers, and the one that Enter takes."""
    assert picture((120, 36), ("g", "t", "slash", "n", "i", "f", "t", "y", "down"))


def test_picture_on_a_plain_light_terminal(picture: Callable[..., bool]) -> None:
    """Plain signs in place of blocks, on the light theme."""
    settings = TerminalSettings(glyphs="ascii", theme="desk-light")
    assert picture((120, 36), ("g", "t", "i", "v", "plus"), gapped, settings)


def test_picture_without_colours(picture: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rising and falling, cursor, gaps and marks are told by their signs."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert picture((120, 36), ("g", "t", "3", "h"), gapped)
