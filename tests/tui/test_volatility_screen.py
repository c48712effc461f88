"""The Volatility screen: keys, what it reads and how often, what it says when nothing comes, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import pytest

from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.tui.harness import Desk, before_picture
from tests.tui.test_snapshots import closed, empty, reader, stale
from workstation.formatting import signed_price, strike, volatility, volatility_points
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.smile import mispriced
from workstation.screens.desk import DeskScreen
from workstation.screens.volatility import VolatilityScreen
from workstation.widgets.panes import LinePane

SIZES = [(80, 24), (120, 36), (200, 60)]


def page(desk: Desk) -> str:
    """What stands on the screen's page."""
    pane = desk.app.screen.query_one("#volatility-page", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def words(desk: Desk) -> str:
    """The page with single blanks."""
    return " ".join(page(desk).split())


def standing(desk: Desk, name: str) -> str:
    """A standing line of the screen on top."""
    pane = desk.app.screen.query_one(f"#{name}", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


async def later(desk: Desk, seconds: float = 1.0) -> None:
    """Let time pass, and what is then asked for arrive."""
    desk.clock.advance(seconds)
    await desk.settle()


@pytest.mark.parametrize("keys", [("g", "v"), ("f5",), ("g", "s", "g", "v")])
async def test_keys_open_it_and_escape_leads_back(keys: tuple[str, ...]) -> None:
    """Keys g v and F5 open it, from another screen too; Esc is the Desk again; nothing was sent on the way."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(desk.app.screen, VolatilityScreen)
        assert "1 Smile" in page(desk)
        await desk.press("escape")
        assert isinstance(desk.app.screen, DeskScreen)
        assert len(desk.app.screen_stack) == 1
        assert desk.sent == []


async def test_the_palette_opens_it() -> None:
    """Found by its words; the palette over it offers its own actions and none of the chain."""
    async with Desk().running() as desk:
        await desk.app.run_action("screen.volatility")
        await desk.settle()
        assert isinstance(desk.app.screen, VolatilityScreen)
        from workstation.app import ActionProvider

        provider = ActionProvider(desk.app.screen)
        offered = {hit.help async for hit in provider.discover()}
        assert "The next series of minutes." in offered
        assert "Open the draft for review; Enter never sends." not in offered


async def test_the_numbers_are_the_engines_own() -> None:
    """Smile, strikes, expiries, history and minutes read off the screen equal what EngineClient gives."""
    async with Desk().running(200, 60) as desk:
        await desk.press("g", "v")
        text, key = words(desk), desk.key
        smile = await desk.engine.smile(key)
        assert f"ATM {volatility(smile.atm_volatility)} " in text
        assert f"RR 25 {volatility_points(smile.risk_reversal)} " in text
        assert f"fly 25 {volatility_points(smile.butterfly)} " in text
        assert f"residual {(smile.rms_residual or 0) * 100:.2f}" in text
        rich, cheap = mispriced(smile, 3)
        for item in (*rich, *cheap):
            figures = (
                strike(item.strike),
                volatility(float(smile.quoted[item.row])),
                volatility(float(smile.theoretical[item.row])),
                signed_price(float(smile.call_mispricing[item.row])),
                signed_price(float(smile.put_mispricing[item.row])),
            )
            assert " ".join(figures) in text
        view = await desk.engine.volatility(key.underlying)
        for term in view.terms:
            shown = f"{term.days:.1f} {volatility(term.atm_volatility)} {volatility(term.forward_volatility)}"
            assert f"{term.labels[0]} {shown}" in text
        assert f"rank {view.rank:.0f} percentile {view.percentile:.0f} of {view.days} days" in text
        assert f"IV-RV {volatility_points(view.spread)}" in text
        assert f"basis {signed_price(view.basis)}" in text
        for past in view.realised:
            assert f"{past.estimator} {volatility(past.volatility)} {past.window}" in text
        now = desk.clock.market_now()
        series = await desk.engine.series(key, now - timedelta(hours=6), now)
        values = series.columns["atm_volatility"] * 100
        assert f"ATM IV {values[-1]:.2f} {values[-1] - values[0]:+.2f}" in text
        assert f"range {values.min():.2f} to {values.max():.2f}" in text


async def test_it_reads_once_a_second_at_most() -> None:
    """Twenty frames ask no second time; a second later smile and volatility are asked for, minutes later."""
    async with Desk().running() as desk:
        await desk.press("g", "v")
        first = desk.engine.analysis_calls
        assert first == 3
        for _ in range(20):
            desk.clock.advance(0.04)
            await desk.settle(1)
        assert desk.engine.analysis_calls == first
        await later(desk, 0.3)
        assert desk.engine.analysis_calls == first + 2
        for _ in range(5):
            await later(desk)
        assert desk.engine.analysis_calls == first + 2 + 2 * 5 + 1


async def test_leaving_cancels_what_is_under_way() -> None:
    """An engine that does not answer holds nothing back: Esc leaves, the questions end, none is asked any more."""
    async with Desk().running() as desk:
        desk.engine.analysis_hangs = True
        await desk.press("g", "v")
        assert "the engine has been asked" in words(desk)
        asked = desk.engine.analysis_calls
        assert asked == 3
        await desk.press("escape")
        await desk.settle()
        assert desk.engine.analysis_cancelled == asked
        await later(desk, 5.0)
        assert desk.engine.analysis_calls == asked
        assert "24,400" in desk.text("chain")


async def test_a_failing_engine_is_said_and_survived() -> None:
    """The last figures stay, marked as old with the reason; when the engine answers again the mark is gone."""
    async with Desk().running(160, 45) as desk:
        await desk.press("g", "v")
        assert "residual 0.09" in words(desk)
        desk.engine.analysis_failing = "the engine is busy"
        await later(desk)
        assert "residual 0.09" in words(desk)
        assert "the engine is busy" in words(desk)
        desk.engine.analysis_failing = ""
        await later(desk)
        assert "the engine is busy" not in words(desk)


async def test_answers_that_stop_coming_are_marked_old() -> None:
    """Without an error too: six seconds without an answer, and the pane says how old it is."""
    async with Desk().running() as desk:
        await desk.press("g", "v")
        desk.engine.analysis_hangs = True
        await later(desk)
        assert "old" not in words(desk)
        await later(desk, 6.0)
        assert "~ 7.0s old" in words(desk)


async def test_an_engine_without_analysis_shows_reasons_and_no_figures() -> None:
    """From the first moment failing: the unknown sign and the sentence in every pane."""
    desk = Desk()
    desk.engine.analysis_failing = "no market today"
    async with desk.running() as desk:
        await desk.press("g", "v")
        assert words(desk).count("— no market today") == 5
        await desk.press("y")
        assert "Smile: no market today." in desk.dialog_text


async def test_why_is_one_key_away() -> None:
    """Key y says why figures are missing; Esc closes the text, then the screen."""
    desk = Desk()
    desk.engine.stored_days = 3
    async with desk.running() as desk:
        await desk.press("g", "v")
        assert "rank — percentile — of 3 days" in words(desk)
        await desk.press("y")
        assert "rank and percentile need 20 stored days, 3 are there." in " ".join(desk.dialog_text.split())
        assert "yang-zhang: it needs 20 stored sessions." in desk.dialog_text
        await desk.press("escape")
        assert isinstance(desk.app.screen, VolatilityScreen)


async def test_unknown_is_never_a_number() -> None:
    """Without a single price: no grade, no volatility, no basis, and the words of the engine."""
    desk = Desk()
    empty(desk.engine)
    async with desk.running() as desk:
        await desk.press("g", "v")
        text = words(desk)
        assert "no strike has a volatility" in text
        assert "smile no fit ATM — residual — RR 25 — fly 25 —" in text
        assert "calendar not checked" in text
        await desk.press("w", "4", "z")
        assert "IV — rank — percentile — of 84 days IV-RV — basis — build-up — rolled —" in words(desk)


async def test_series_and_indicators_by_key() -> None:
    """Keys n and N walk through the series, i through the indicators; what is asked for is drawn."""
    async with Desk().running() as desk:
        await desk.press("g", "v")
        titles = []
        for _ in range(6):
            await desk.press("n")
            titles.append(next(line for line in page(desk).splitlines() if "5 Minutes" in line).split("─")[2].strip())
        assert titles == ["straddle", "PCR oi", "PCR vol", "OI lakh", "forward", "ATM IV"]
        await desk.press("N", "N")
        assert "calls 93.9 +12.7" in words(desk)
        await desk.press("n", "i")
        assert "EMA 20 24," in words(desk)
        await desk.press("i")
        assert "upper 24," in words(desk)
        await desk.press("i")
        assert "RSI 14" in words(desk)
        assert "70│" in page(desk)
        await desk.press("i")
        assert "no indicator" in words(desk)


async def test_gaps_are_seen_and_counted() -> None:
    """Five minutes nobody saw are blank columns in the curve and a number below it."""
    async with Desk().running(200, 60) as desk:
        await desk.press("g", "v", "w", "5", "z")
        assert "missing 5" in words(desk)
        rows = [line[9:] for line in page(desk).splitlines() if "│" in line]
        width = len(rows[0])
        blank = [place for place in range(width) if all(row[place : place + 1] in {" ", ""} for row in rows)]
        middle = [place for place in blank if 10 < place < width - 10]
        assert 5 <= len(middle) <= 12
        assert middle == list(range(middle[0], middle[-1] + 1))


async def test_panes_by_key_at_80_by_24() -> None:
    """Tab, Shift-Tab, w and a digit choose the pane that is shown; the status line keeps venue and mode."""
    async with Desk().running(80, 24) as desk:
        await desk.press("g", "v")
        assert "residual 0.09" in words(desk)
        await desk.press("tab")
        assert "CE pts" in words(desk)
        await desk.press("shift+tab", "shift+tab")
        assert "missing 5" in words(desk)
        await desk.press("w", "4")
        assert "yang-zhang" in words(desk)
        assert standing(desk, "status").startswith(" LIVE")


async def test_zoom_shows_one_pane_and_all_again() -> None:
    """Key z on the chosen pane; the other panes are back with the next z."""
    async with Desk().running() as desk:
        await desk.press("g", "v", "tab", "z")
        assert "CE pts" in words(desk)
        assert "residual" not in words(desk)
        await desk.press("z")
        assert "residual" in words(desk)


async def test_expiry_and_underlying_move_with_the_desk() -> None:
    """] and } show another chain here, watched once and unwatched, and the Desk shows it too."""
    async with Desk().running() as desk:
        await desk.press("g", "v", "right_square_bracket")
        assert "NIFTY w1 26 JAN" in words(desk)
        assert len(desk.engine.watched) == 1
        await desk.press("right_curly_bracket")
        await desk.settle()
        assert "BANKNIFTY" in words(desk)
        await desk.press("escape")
        assert desk.key.underlying == "BANKNIFTY"
        assert "BANKNIFTY" in desk.text("head")


async def test_a_frozen_picture_stays() -> None:
    """Space freezes figures and questions; the status line says so; Space again lets them go on."""
    async with Desk().running() as desk:
        await desk.press("g", "v", "space")
        calls = desk.engine.analysis_calls
        before = page(desk)
        await later(desk, 3.0)
        assert page(desk) == before
        assert desk.engine.analysis_calls == calls
        assert "FROZEN" in standing(desk, "status")
        await desk.press("space")
        await later(desk)
        assert desk.engine.analysis_calls > calls


async def test_the_minutes_before_today_are_shown_before_the_first_one() -> None:
    """Without a minute of today the days before are asked for once more; with none at all, words."""
    desk = Desk()
    desk.engine.first_minute = 10_000
    async with desk.running() as desk:
        await desk.press("g", "v")
        assert desk.engine.analysis_calls == 4
        assert "no minute of ATM IV is stored" in words(desk)


async def test_closed_prices_are_said() -> None:
    """After the close the title says that the prices are not alive."""
    desk = Desk()
    closed(desk.engine)
    async with desk.running() as desk:
        await desk.press("g", "v")
        assert "prices CLOSED" in words(desk)
        desk.engine.set_feed(state=QuoteState.LIVE)
        await later(desk)
        assert "prices CLOSED" not in words(desk)


async def test_nothing_on_it_sends() -> None:
    """Every key of the chain that drafts or sends means nothing here."""
    async with Desk().running() as desk:
        await desk.press("g", "v")
        await desk.press("s", "b", "1", "0", "s", "enter", "plus", "minus", "equals_sign", "p", "c", "C", "m")
        assert desk.sent == []
        assert desk.reviews == 0
        await desk.press("escape", "escape")
        assert "draft" not in desk.text("ticket")


async def test_too_small_a_terminal_does_not_break_it() -> None:
    """Down to nothing and back; the page is whole again."""
    async with Desk().running() as desk:
        await desk.press("g", "v")
        for size in ((40, 10), (10, 5), (300, 90), (120, 36)):
            await desk.resize(*size)
        assert "residual 0.09" in words(desk)


# --- pictures ------------------------------------------------------------------------------------------------------


def live(engine: FakeEngineClient) -> None:
    """Nothing special."""


def breached(engine: FakeEngineClient) -> None:
    """Two smiles cross, and little is stored."""
    engine.breaches = ("the smiles of 19JAN and 26JAN cross below 23,900: total variance falls by 0.3%",)
    engine.stored_days = 4


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
    """At every size it is made for, with an indicator of its own scale."""
    assert picture(size, ("g", "v", "i", "i", "i"))


@pytest.mark.parametrize("state", [empty, stale, reader, breached], ids=lambda state: state.__name__)
def test_picture_in_state(picture: Callable[..., bool], state: Callable[[FakeEngineClient], None]) -> None:
    """Each state says in words what it is."""
    assert picture((120, 36), ("g", "v", "n"), state)


def test_picture_of_minutes_at_80(picture: Callable[..., bool]) -> None:
    """Two curves and a gap, one pane alone."""
    assert picture((80, 24), ("g", "v", "w", "5", "4", "n", "i"))


def test_picture_on_a_plain_light_terminal(picture: Callable[..., bool]) -> None:
    """Plain signs in place of dots, on the light theme."""
    assert picture((120, 36), ("g", "v", "i", "i"), live, TerminalSettings(glyphs="ascii", theme="desk-light"))
