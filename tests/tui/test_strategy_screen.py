"""The Strategy screen: opening and closing, figures that are the engine's, and what is said when they are missing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import WorkstationError
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle
from engine.core.views import ChainKey
from engine.core.vocabulary import Mark, QuoteState, Venue
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.tui.harness import Desk, before_picture
from workstation.actions import ACTIONS, Place
from workstation.formatting import UNICODE, decimal_text, money, rounded, whole_percent
from workstation.presenters.money_axis import short_money
from workstation.presenters.settings import TerminalSettings
from workstation.screens.desk import DeskScreen
from workstation.screens.place import PlaceScreen
from workstation.screens.strategy import StrategyScreen
from workstation.widgets.panes import LinePane

SnapCompare = Callable[..., bool]
OPEN = ("3", "g", "s")
THREE = StrategyNumber(3)


def pane(desk: Desk, name: str) -> LinePane:
    """A pane of the screen on top."""
    return desk.app.screen.query_one(f"#{name}", LinePane)


def lines(desk: Desk, name: str) -> list[str]:
    """What stands in a pane of the screen on top."""
    found = pane(desk, name)
    return [found.render_line(y).text for y in range(found.size.height)]


def text(desk: Desk, name: str) -> str:
    """The pane as one text."""
    return "\n".join(lines(desk, name))


def figures(words: str) -> list[int]:
    """The whole sums with a sign, or zero, of a text."""
    return [int(found.replace(",", "")) for found in re.findall(r"(?<![\w.])[+-][\d,]+(?![\d.%kl])", words)]


def whole(value: Decimal | float | None) -> int:
    """A figure in whole rupees, rounded as a contract note does."""
    assert value is not None
    return int(rounded(value, 0))


def is_open(desk: Desk) -> bool:
    """Whether the Strategy screen is on top."""
    return isinstance(desk.app.screen, StrategyScreen)


async def later(desk: Desk, seconds: float) -> None:
    """Let time pass and frames come."""
    desk.clock.advance(seconds)
    await desk.settle()


# --- opening and closing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("3", "g", "s"), "#3 fly-0920"),
        (("g", "s"), "#1 main"),
        (("w", "4", "j", "enter"), "#2 condor-feb"),
        (("w", "4", "j", "l", "j", "j", "enter"), "#2 condor-feb"),
        (("w", "4", "j", "j", "f4"), "#3 fly-0920"),
        (("colon", *"show", "space", "number_sign", "3", "enter"), "#3 fly-0920"),
        (("colon", *"go", "space", *"strategy", "enter"), "#1 main"),
    ],
)
async def test_it_opens_from_the_desk(keys: tuple[str, ...], name: str) -> None:
    """By count and letter, by Enter on a strategy's row or its leg's, by its key, and by a sentence; Esc goes back."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert is_open(desk)
        assert f"Strategy {name}" in text(desk, "strategy-head")
        await desk.press("escape")
        assert isinstance(desk.app.screen, DeskScreen)
        assert "24,400" in desk.text("chain")


async def test_the_strategy_seen_last_is_remembered() -> None:
    """G s without a count goes to where one was; n and N go round the strategies."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "n")
        assert "#1 main" in text(desk, "strategy-head")
        await desk.press("N", "N")
        assert "#2 condor-feb" in text(desk, "strategy-head")
        await desk.press("escape", "g", "s")
        assert "#2 condor-feb" in text(desk, "strategy-head")
        await desk.press("3", "g", "s")
        assert "#3 fly-0920" in text(desk, "strategy-head")
        assert len(desk.app.screen_stack) == 2


async def test_letters_lead_back_to_panes_of_the_desk() -> None:
    """G and a letter of a Desk pane goes there, the colon to the command bar, and nothing is left on the stack."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "g", "e")
        assert desk.focus == "events"
        await desk.press(*OPEN, "colon")
        assert desk.focus == "bar"
        assert len(desk.app.screen_stack) == 1


async def test_a_strategy_that_is_not_there_is_said() -> None:
    """A wrong number names those that exist; n leads to one of them."""
    async with Desk().running() as desk:
        await desk.press("9", "g", "s")
        assert "#9 is not among the active strategies. There are #1, #2, #3." in text(desk, "strategy-head")
        await desk.press("n")
        assert "#1 main" in text(desk, "strategy-head")


async def test_before_any_strategy_exists() -> None:
    """An engine without strategies says so and the screen lives."""
    desk = Desk()
    desk.engine.strategy_list.clear()
    async with desk.running():
        await desk.press("g", "s")
        assert "There is no strategy yet." in text(desk, "strategy-head")
        await desk.press("n", "y", "escape", "enter", "tab", "escape")
        assert isinstance(desk.app.screen, DeskScreen)


def test_every_screen_has_the_keys_of_every_screen() -> None:
    """Each action listed for every screen is there on the Desk and on what lies over it, and the screen's own ones."""
    for action in ACTIONS:
        owner, _, call = action.handler.partition(".")
        method = f"action_{call.partition('(')[0]}"
        if owner == "screen" and action.place is Place.DESK:
            assert hasattr(DeskScreen, method), action.id
            assert hasattr(PlaceScreen, method), action.id
        if action.place is Place.STRATEGY:
            assert hasattr(StrategyScreen, method), action.id


async def test_the_palette_offers_what_the_screen_can_do() -> None:
    """Over the strategy nothing of the chain is offered, and on the Desk nothing of the strategy."""
    from workstation.app import ActionProvider

    async with Desk().running() as desk:
        on_desk = {str(hit.text) async for hit in ActionProvider(desk.app.screen).discover()}
        await desk.press(*OPEN)
        over = {str(hit.text) async for hit in ActionProvider(desk.app.screen).discover()}
    assert any(words.startswith("strategy ") for words in on_desk)
    assert any(words.startswith("sell ") for words in on_desk)
    assert not any(words.startswith("days ") for words in on_desk)
    assert any(words.startswith("days ") for words in over)
    assert not any(words.startswith("sell ") for words in over)


async def test_nothing_on_it_sends() -> None:
    """Every key of the screen, Enter and y included: no command reaches the engine."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        for action in ACTIONS:
            if action.place in {Place.STRATEGY, Place.LIST}:
                await desk.press(*action.keys)
                if desk.dialog is not None:
                    await desk.press("escape")
        await desk.press("b", "s", "x", "X", "c", "C", "m", "r")
        assert is_open(desk)
        assert desk.sent == []


# --- figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", list(Mark))
async def test_legs_are_those_of_the_engine(mark: Mark) -> None:
    """Entry, mark, gross and Greeks of each leg read off the screen equal the engine's, and gross adds up."""
    desk = Desk(TerminalSettings(mark=mark))
    async with desk.running():
        await desk.press(*OPEN)
        value = desk.engine.desk().strategies[2]
        chain = desk.engine.chain(next(iter(desk.engine.chains)))
        assert chain is not None
        rows = [line for line in lines(desk, "legs")[2:] if line.strip()]
        shown = []
        for leg, row in zip(value.legs, rows, strict=False):
            side = chain.calls if row.split()[4].endswith("CE") else chain.puts
            place = int((side.token == leg.leg.token).nonzero()[0][0])
            units = leg.leg.holding.signed_quantity
            mark_price, gross = leg.marks[mark], leg.profit[mark]
            assert mark_price is not None
            assert gross is not None
            assert f" {leg.leg.holding.average_price} " in row
            assert f" {mark_price:.2f} " in row
            assert f" {side.bid[place]:.2f} " in row
            assert f" {side.ask[place]:.2f} " in row
            # The first signed figure of a row is its lots.
            got = figures(row.split("LIVE")[0])[-3:]
            assert abs(got[0] - gross) <= 1
            assert got[1] == whole(float(side.delta[place]) * units)
            assert got[2] == whole(float(side.theta[place]) * units)
            shown.append(got[0])
        assert figures(rows[len(value.legs)])[0] == sum(shown)
        assert figures(rows[len(value.legs)])[0] == whole(value.profit[mark])


async def test_the_head_tells_gross_net_and_what_leaving_leaves() -> None:
    """The money of the head is the engine's, its parts add up, and the extremes are those of the candles."""
    async with Desk().running(160, 45) as desk:
        await desk.press(*OPEN)
        value = desk.engine.desk().strategies[2]
        gross, net, at_exit, opened, charges, high, low = figures(lines(desk, "strategy-head")[1])
        assert gross == whole(value.profit[Mark.LAST])
        assert net == whole(value.net[Mark.LAST])
        assert at_exit == whole(value.net_at_exit)
        assert opened == gross
        assert gross + charges == net
        now = desk.clock.market_now()
        candles = await desk.engine.candles(THREE, now - timedelta(hours=12), now + timedelta(minutes=1))
        assert high == whole(max(candle.high for candle in candles))
        assert low == whole(min(candle.low for candle in candles))


async def test_the_payoff_is_that_of_the_engine() -> None:
    """Break-evens, best, worst, chances, Greeks and charges read off the screen equal the view; both curves stand."""
    async with Desk().running(200, 60) as desk:
        await desk.press(*OPEN)
        view = await desk.engine.payoff(THREE)
        shown = re.sub(r"\s+", " ", text(desk, "payoff"))
        greeks = view.sensitivities
        assert f"even {' '.join(decimal_text(value, 0) for value in view.break_evens)} " in shown
        assert f"best {money(view.max_profit)} worst {money(view.max_loss)}" in shown
        assert f"POP {whole_percent(view.probability_of_profit)} by smile EV {money(view.expected_value)}" in shown
        assert greeks.gamma is not None
        assert f"Γ {decimal_text(greeks.gamma, 2, sign=True)} V {money(greeks.vega)}" in shown
        assert f"charges -{whole(view.charges)}" in shown
        assert "net of charges" in shown
        assert "*****" in shown
        assert "....." in shown


async def test_days_and_volatility_ask_another_payoff() -> None:
    """The brackets move days, the braces volatility, a count repeats, = goes back; the grid follows the days."""
    async with Desk().running(200, 60) as desk:
        await desk.press(*OPEN, "2", "right_square_bracket", "3", "right_curly_bracket")
        assert "* in 2d, vol +3.0" in lines(desk, "payoff")[0]
        assert "in 2d" in lines(desk, "scenario")[0]
        view = await desk.engine.payoff(THREE, days_ahead=2.0, volatility_shift=0.03)
        forward = view.forward
        assert forward is not None
        here = min(range(len(view.prices)), key=lambda place: abs(view.prices[place] - forward))
        assert f"at fwd {money(float(view.now[here]))}" in text(desk, "payoff")
        await desk.press("left_square_bracket", "left_curly_bracket")
        assert "* in 1d, vol +2.0" in lines(desk, "payoff")[0]
        await desk.press("equals_sign")
        assert "* now" in lines(desk, "payoff")[0]


async def test_no_day_beyond_the_nearest_expiry() -> None:
    """The last day is just before the expiry and says so; a day back from there is a whole one again."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "9", "9", "right_square_bracket")
        assert "* in 5.2d" in lines(desk, "payoff")[0]
        assert "That is the nearest expiry" in text(desk, "ghost")
        await desk.press("left_square_bracket")
        assert "* in 5d" in lines(desk, "payoff")[0]


async def test_the_grid_is_that_of_the_engine() -> None:
    """Every cell equals the view's, shortened, and its sign is its tone."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        moves = tuple(step / 100 for step in range(-3, 4))
        shifts = tuple(step / 100 for step in range(4, -5, -1))
        view = await desk.engine.scenario(THREE, moves=moves, shifts=shifts)
        rows = lines(desk, "scenario")[3 : 3 + len(shifts)]
        for shift, values, row in zip(shifts, view.profit, rows, strict=True):
            words = row.removeprefix(UNICODE.bar).split()
            assert words[0] == decimal_text(shift * 100, 1, sign=True)
            assert words[1:] == [short_money(value, UNICODE) for value in values.tolist()]
        tones = {piece.strip(): tone for line in pane(desk, "scenario")._lines for piece, tone in line}
        for cell, tone in tones.items():
            if cell.endswith(("k", "lk")) and cell[0] in "+-":
                assert ("gain" if "+" in cell else "loss") in tone.split()


async def test_the_parts_add_up_to_the_sum() -> None:
    """The parts of the money read off the screen add up to its sum, which is the engine's."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        view = await desk.engine.attribution(THREE)
        shown = text(desk, "moved")
        assert "since 09:20:41" in shown
        body = "\n".join(lines(desk, "moved")[1:])
        *_, total = [int(found.replace(",", "")) for found in re.findall(r"sum +([+-][\d,]+)", body)]
        assert total == whole(view.total)
        assert sum(figures(body)) == 2 * total


async def test_candles_show_their_gaps() -> None:
    """Minutes without a sample are dotted columns and counted; more minutes in a candle bring older ones into sight."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        assert "6 min missing" in lines(desk, "m2m")[0]
        assert all("······" in line for line in lines(desk, "m2m")[1:-1])
        assert "09:30" not in lines(desk, "m2m")[-1]
        await desk.press("minus")
        assert "3 min" in lines(desk, "m2m")[0]
        assert "09:30" in lines(desk, "m2m")[-1]
        await desk.press("plus", "plus")
        assert "1 min" in lines(desk, "m2m")[0]


class Counting(FakeEngineClient):
    """Keeps how long the ranges of candles were that were asked for."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.asked: list[timedelta] = []

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        self.asked.append(end - start)
        return await super().candles(strategy, start, end)


async def test_only_new_minutes_are_asked_for() -> None:
    """After the first reading of the day the candles are asked from the last minute seen, and none is lost."""
    engine = Counting(FixedClock())
    asked = engine.asked
    async with Desk(engine=engine).running() as desk:
        await desk.press(*OPEN)
        await later(desk, 61.0)
        assert asked[0] > timedelta(hours=10)
        assert asked[-1] < timedelta(minutes=6)
        assert "6 min missing" in lines(desk, "m2m")[0]


# --- what is missing, old or failing -------------------------------------------------------------------------------


async def test_unknown_figures_have_their_reason_one_key_away() -> None:
    """Without prices every figure is the unknown sign, no number stands in the payoff, and y says why."""
    desk = Desk()
    desk.engine.set_quote_state(QuoteState.UNKNOWN)
    async with desk.running():
        await desk.press(*OPEN)
        assert "even —   best —   worst —   R:R —   POP —   EV —" in text(desk, "payoff")
        assert "nan" not in text(desk, "payoff").lower()
        assert lines(desk, "scenario")[3].split()[2:] == ["—"] * 7
        assert "all without 3.1, 3.2, 3.3, 3.4" in text(desk, "legs")
        await desk.press("y")
        assert "no price and no volatility: 3.1" in desk.dialog_text
        assert "3.1: no last and no mid" in desk.dialog_text


async def test_stale_quotes_are_marked() -> None:
    """A suspect path: each leg says STALE with its age and carries the mark, the pictures say what they rest on."""
    desk = Desk()
    desk.engine.age_s = 7.2
    desk.engine.set_quote_state(QuoteState.STALE)
    async with desk.running():
        await desk.press(*OPEN)
        row = lines(desk, "legs")[2]
        assert "210.65~" in row
        assert "STALE 7.2s" in row
        for name in ("payoff", "scenario", "moved"):
            assert "quotes STALE" in lines(desk, name)[0]
        await desk.resize(80, 24)
        assert "210.65~" in lines(desk, "legs")[2]


async def test_when_all_is_known_y_says_so() -> None:
    """With living quotes and whole answers nothing is missing."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "y")
        assert "Every figure is known, and none is old." in desk.dialog_text


async def test_an_engine_that_fails_is_said_and_survived() -> None:
    """Answers that cannot be renewed stay, dim, with age and reason; when the engine answers again they are alive."""
    async with Desk().running(200, 60) as desk:
        await desk.press(*OPEN)
        whole = lines(desk, "payoff")[1]
        desk.engine.analysis_trouble = "the engine is busy"
        await later(desk, 7.0)
        assert "7.0s old: the engine is busy" in lines(desk, "payoff")[0]
        assert lines(desk, "payoff")[1] == whole
        assert {tone for _, tone in pane(desk, "payoff")._lines[1]} == {"old"}
        await desk.press("y")
        assert "Payoff: the engine is busy" in desk.dialog_text
        await desk.press("escape")
        desk.engine.analysis_trouble = ""
        await later(desk, 1.1)
        assert "old" not in lines(desk, "payoff")[0]
        assert {tone for _, tone in pane(desk, "payoff")._lines[1]} != {"old"}


async def test_an_engine_that_fails_from_the_start() -> None:
    """Before the first answer the reason stands in its place; the legs are shown all the same."""
    desk = Desk()
    desk.engine.analysis_trouble = "no analysis here"
    async with desk.running():
        await desk.press(*OPEN)
        for name in ("payoff", "scenario", "m2m", "moved"):
            assert "—  no analysis here" in text(desk, name)
        assert "24350CE" in text(desk, "legs")


async def test_pictures_that_cannot_be_had_keep_the_last_ones() -> None:
    """The engine's own pictures raise: the legs stay, the reason stands below, and the screen goes on afterwards."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        desk.engine.failing = "the link is lost"
        await later(desk, 1.1)
        assert "the link is lost" in text(desk, "ghost")
        assert "24350CE" in text(desk, "legs")
        desk.engine.failing = ""
        await later(desk, 1.1)
        assert "the link is lost" not in text(desk, "ghost")


async def test_it_reads_once_a_second_at_most() -> None:
    """However many frames are drawn: one question of each kind a second; the legs follow the market."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        before = desk.engine.analysis_asked
        await desk.settle(10)
        assert desk.engine.analysis_asked == before
        desk.engine.shift(next(iter(desk.engine.chains)), 19, 50.0)
        await later(desk, 1.01)
        await desk.settle(10)
        assert desk.engine.analysis_asked == before + 4
        assert "260.65" in text(desk, "legs")


async def test_a_pane_out_of_sight_asks_nothing() -> None:
    """With room for one pane only that one and the candles of the head are asked for."""
    async with Desk().running(80, 24) as desk:
        await desk.press(*OPEN)
        before = desk.engine.analysis_asked
        await later(desk, 1.01)
        assert desk.engine.analysis_asked == before + 2


async def test_leaving_ends_what_it_asked() -> None:
    """Questions under way are given up with the screen, and the chains it watched are given back."""
    async with Desk().running() as desk:
        watched = dict(desk.engine.watched)
        desk.engine.analysis_gate = asyncio.Event()
        await desk.press("2", "g", "s")
        assert len(desk.engine.watched) == 2
        assert desk.engine.analysis_asked == 4
        assert desk.engine.analysis_abandoned == 0
        await desk.press("escape")
        assert desk.engine.analysis_abandoned == 4
        assert desk.engine.watched == watched
        assert not [worker for worker in desk.app.workers if worker.is_running]


async def test_switching_strategies_never_shows_the_figures_of_another() -> None:
    """While the answers about the new one are under way, nothing of the old one is left."""
    async with Desk().running() as desk:
        await desk.press(*OPEN)
        desk.engine.analysis_gate = asyncio.Event()
        await desk.press("2", "g", "s")
        assert "#2 condor-feb" in text(desk, "strategy-head")
        for name in ("payoff", "scenario", "m2m", "moved"):
            assert "—  asking" in text(desk, name)
        desk.engine.analysis_gate.set()
        await desk.settle()
        assert "asking" not in text(desk, "payoff")


async def test_a_frozen_picture_stands_still() -> None:
    """Frozen, neither legs nor pictures change and nothing is asked; thawed, they go on."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "space")
        before, asked = text(desk, "legs"), desk.engine.analysis_asked
        desk.engine.shift(next(iter(desk.engine.chains)), 19, 50.0)
        await later(desk, 3.0)
        assert "FROZEN 3.0s" in text(desk, "status")
        assert text(desk, "legs") == before
        assert desk.engine.analysis_asked == asked
        await desk.press("space")
        await later(desk, 1.1)
        assert "260.65" in text(desk, "legs")


async def test_a_frozen_picture_is_never_half_drawn() -> None:
    """Opened while frozen, the screen is drawn whole once; keys that would look elsewhere say that it is frozen."""
    async with Desk().running() as desk:
        await desk.press("space", *OPEN)
        for name in ("payoff", "scenario", "m2m", "moved"):
            assert "asking" not in text(desk, name)
        for key in ("right_square_bracket", "right_curly_bracket", "n"):
            await desk.press(key)
            assert "The picture is frozen; Space lets it go on." in text(desk, "ghost")
        assert "* now" in lines(desk, "payoff")[0]
        assert "#3 fly-0920" in text(desk, "strategy-head")


async def test_closed_legs_stay_with_their_money() -> None:
    """A leg that was closed shows no price and no Greek, but what it has made; the sum has it in."""
    desk = Desk()
    leg = desk.engine.legs[3][0]
    closed = leg.holding.after_fill(-leg.holding.signed_quantity, Decimal("214.85"))
    desk.engine.legs[3][0] = msgspec.structs.replace(leg, holding=closed)
    desk.engine.touch()
    async with desk.running():
        await desk.press(*OPEN)
        row = lines(desk, "legs")[2]
        assert "closed" in row
        assert "-19,175" in row
        assert "3 open of 4" in text(desk, "legs")
        value = desk.engine.desk().strategies[2]
        assert figures(lines(desk, "legs")[6])[0] == whole(value.profit[Mark.LAST])
        await desk.press("enter")
        assert "Closed." in desk.dialog_text
        assert "Realised -19,175.00." in desk.dialog_text


async def test_a_leg_opens_with_everything_known_of_it() -> None:
    """Enter on a leg: units, entry, every mark with its money in paise, bid and ask with their state."""
    async with Desk().running() as desk:
        await desk.press(*OPEN, "j", "enter")
        words = desk.dialog_text
        assert "3.2 NIFTY 19JAN 24350PE NRML" in words
        assert "-650 units in at 121.35 on average." in words
        assert "Bid 153.80, ask 154.20: LIVE 0.2s." in words


# --- sizes ---------------------------------------------------------------------------------------------------------


async def test_one_pane_at_a_time_where_there_is_no_room() -> None:
    """At 80x24 Tab goes round legs and panes, one of them below the legs; w and a digit go straight there."""
    async with Desk().running(80, 24) as desk:
        await desk.press(*OPEN)
        for name in ("payoff", "scenario", "m2m", "moved", "legs"):
            await desk.press("tab")
            focused = desk.app.screen.focused
            assert focused is not None
            assert focused.id == name
            seen = [other for other in ("payoff", "scenario", "m2m", "moved") if pane(desk, other).size.height]
            assert len(seen) == 1
            assert name in {seen[0], "legs"}
        await desk.press("shift+tab", "shift+tab", "w", "3")
        assert pane(desk, "scenario").size.height > 0
        assert "Tab payoff M2M why" in lines(desk, "scenario")[0]


async def test_resizing_keeps_the_strategy() -> None:
    """From wide to narrow to too small and back, also while the Desk is covered: nothing is drawn into old places."""
    async with Desk().running(200, 60) as desk:
        await desk.press(*OPEN)
        await desk.resize(80, 24)
        assert "24350CE" in text(desk, "legs")
        assert pane(desk, "scenario").size.height == 0
        await desk.resize(60, 20)
        assert "too small" in text(desk, "strategy-small")
        await desk.resize(120, 36)
        await desk.settle()
        assert pane(desk, "scenario").size.height > 0
        assert all(len(line) == 120 for line in lines(desk, "legs"))
        await desk.press("escape")
        await desk.settle()
        assert len(desk.lines("strategies")[0]) == 120


async def test_plain_terminals() -> None:
    """With ascii glyphs nothing on the screen needs another character set."""
    desk = Desk(TerminalSettings(glyphs="ascii"))
    async with desk.running():
        await desk.press(*OPEN)
        for name in ("strategy-head", "legs", "payoff", "scenario", "m2m", "moved", "keys", "status"):
            assert text(desk, name).isascii(), name


class Deaf(FakeEngineClient):
    """Cannot watch anything."""

    async def watch_chain(self, key: ChainKey) -> None:
        raise WorkstationError("no more chains can be watched")


async def test_chains_that_cannot_be_watched_are_said() -> None:
    """Without the chain there are no Greeks of legs: the sign stands there and y says why."""
    desk = Desk(engine=Deaf(FixedClock()))
    async with desk.running():
        await desk.press(*OPEN)
        await desk.press("y")
        assert "no more chains can be watched" in desk.dialog_text
        await desk.press("escape", "escape")
        assert isinstance(desk.app.screen, DeskScreen)


# --- pictures ------------------------------------------------------------------------------------------------------


def practice(engine: FakeEngineClient) -> None:
    """A simulated venue."""
    engine.venue = Venue.PRACTICE


def stale(engine: FakeEngineClient) -> None:
    """The path of the prices is suspect."""
    engine.age_s = 7.2
    engine.set_quote_state(QuoteState.STALE)
    engine.set_feed(state=QuoteState.STALE, age_s=7.2)


def unknown(engine: FakeEngineClient) -> None:
    """No price is known."""
    engine.set_quote_state(QuoteState.UNKNOWN)


def live(engine: FakeEngineClient) -> None:
    """Nothing special."""


PICTURES = {
    "120x36": ((120, 36), live, OPEN),
    "80x24": ((80, 24), live, OPEN),
    "80x24 grid": ((80, 24), live, (*OPEN, "tab", "tab")),
    "80x24 candles": ((80, 24), live, (*OPEN, "w", "4")),
    "80x24 why": ((80, 24), live, (*OPEN, "w", "5")),
    "200x60": ((200, 60), practice, ("2", "g", "s")),
    "200x60 ahead": ((200, 60), live, (*OPEN, "2", "right_square_bracket", "right_curly_bracket")),
    "stale": ((120, 36), stale, OPEN),
    "unknown": ((120, 36), unknown, OPEN),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(snap_compare: SnapCompare, name: str) -> None:
    """The screen as it was accepted, at the sizes it is made for and in the states that matter."""
    size, prepare, keys = PICTURES[name]
    desk = Desk()
    prepare(desk.engine)
    assert snap_compare(desk.app, terminal_size=size, run_before=before_picture(desk, *keys))
