"""Payoff, grid, parts, candles and legs as text: where things stand, what is unknown, and what adds up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.analysis import AttributionView, PayoffView, PositionSensitivities, ScenarioView
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import DeskView, Floats
from engine.core.vocabulary import Mark, QuoteState
from tests.kit.fake_engine import FakeEngineClient
from workstation.formatting import ASCII, UNICODE
from workstation.presenters.attribution import NAMES, attribution_lines, attribution_parts, attribution_reasons
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.m2m_chart import BLOCKS, bars, chart_lines, extremes_words, gap_minutes
from workstation.presenters.money_axis import CELL_WIDTH, money_ticks, short_money, tone_of
from workstation.presenters.payoff import payoff_items, payoff_lines, payoff_reasons, payoff_title
from workstation.presenters.scenario import grid_moves, grid_shifts, scenario_lines, scenario_title
from workstation.presenters.strategy_layout import strategy_layout
from workstation.presenters.strategy_legs import (
    LegMarket,
    leg_columns,
    leg_rows,
    legs_heading,
    money_line,
    quotes_words,
)

THREE = StrategyNumber(3)
AT = datetime(2027, 1, 14, 5, 32, tzinfo=UTC)
"""11:02 in India."""


def payoff(**changes: Any) -> PayoffView:
    """A short straddle at 24,000 for 300 points, one unit."""
    prices = np.linspace(23_000.0, 25_000.0, 201)
    values: dict[str, Any] = {
        "strategy": THREE,
        "at": AT,
        "underlying": "NIFTY",
        "expiry": AT.date(),
        "forward": 24_100.0,
        "prices": prices,
        "at_expiry": 300.0 - np.abs(prices - 24_000.0),
        "now": np.full(len(prices), 50.0),
        "days_ahead": 0.0,
        "volatility_shift": 0.0,
        "break_evens": (23_700.0, 24_300.0),
        "max_profit": 300.0,
        "max_loss": None,
        "profit_unlimited": False,
        "loss_unlimited": True,
        "reward_to_risk": None,
        "probability_of_profit": 0.534,
        "expected_value": -12.5,
        "distribution": "smile",
        "sensitivities": PositionSensitivities(delta=-1.0, gamma=-0.02, theta=5.0, vega=-7.4),
        "charges": Decimal("61.4"),
    }
    return PayoffView(**{**values, **changes})


def unknown(count: int = 201) -> Floats:
    """Nothing known."""
    return np.full(count, np.nan)


def attribution(**changes: Any) -> AttributionView:
    """Parts that sum to the total exactly."""
    parts: dict[str, Decimal | None] = {
        name: Decimal(place) * Decimal("100.37") for place, (name, _) in enumerate(NAMES, start=-4)
    }
    parts |= {name: value for name, value in changes.items() if name in parts}
    known: list[Decimal] = [part for part in parts.values() if part is not None]
    rest = {name: value for name, value in changes.items() if name not in parts}
    values: dict[str, Any] = {"strategy": THREE, "since": AT - timedelta(hours=1), "at": AT, "total": sum(known)}
    return AttributionView(**{**values, **parts, **rest})


def candle(minute: int, opened: str, closed: str, *, away: str = "5") -> M2mCandle:
    """A candle so many minutes after 09:15."""
    start, end, wick = Decimal(opened), Decimal(closed), Decimal(away)
    at = datetime(2027, 1, 14, 3, 45, tzinfo=UTC) + timedelta(minutes=minute)
    return M2mCandle(
        strategy=THREE,
        minute=at,
        open=start,
        high=max(start, end) + wick,
        low=min(start, end) - wick,
        close=end,
        samples=60,
    )


def texts(lines: list[Line]) -> list[str]:
    """The characters of lines."""
    return [text_of(line) for line in lines]


# --- money, short --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.4, "0"),
        (849.6, "+850"),
        (999.4, "+999"),
        (999.6, "+1.0k"),
        (-17_700.0, "-17.7k"),
        (99_940.0, "+99.9k"),
        (99_960.0, "+1.0lk"),
        (-257_134.0, "-2.6lk"),
        (996_000.0, "+10lk"),
        (-4_660_000.0, "-47lk"),
        (9_960_000.0, "+1.0cr"),
        (-123_400_000.0, "-12cr"),
        (float("nan"), "—"),
        (float("inf"), "—"),
        (None, "—"),
    ],
)
def test_short_money(value: float | None, text: str) -> None:
    """Six cells at most, the next unit where rounding reaches it, the unknown sign for what is no number."""
    assert short_money(value, UNICODE) == text


@given(st.floats(min_value=-9e9, max_value=9e9, allow_nan=False))
def test_short_money_keeps_sign_and_size(value: float) -> None:
    """Whatever the sum: it fits, its sign is right, and it is within five percent or fifty paise of the truth."""
    text = short_money(value, UNICODE)
    assert len(text) <= CELL_WIDTH
    number, unit = text, 1
    for word, size in (("cr", 10_000_000), ("lk", 100_000), ("k", 1000)):
        if number.endswith(word):
            number, unit = number.removesuffix(word), size
            break
    shown = float(number) * unit
    assert abs(shown - value) <= max(0.5 + 1e-9, 0.0501 * abs(value))
    assert shown * value >= 0


def test_ticks_of_money_tell_values_apart() -> None:
    """One unit on an axis, decimals only where they are needed, zero bare."""
    assert money_ticks([-200_000.0, 0.0, 200_000.0]) == ["-2 lakh", "0", "+2 lakh"]
    assert money_ticks([-50_000.0, 0.0, 50_000.0, 100_000.0]) == ["-0.5 lakh", "0", "+0.5 lakh", "+1.0 lakh"]
    assert money_ticks([-500.0, 0.0, 500.0]) == ["-500", "0", "+500"]
    assert money_ticks([0.0, 12_500_000.0]) == ["0", "+1.25 cr"]


# --- payoff --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 6), (62, 12), (105, 30), (80, 3), (80, 0)])
def test_a_payoff_fills_its_pane(size: tuple[int, int]) -> None:
    """Exactly as many lines as the pane has, none wider; figures before the picture."""
    lines = payoff_lines(payoff(), size[0], size[1], UNICODE)
    assert len(lines) == size[1]
    assert all(width_of(line) <= size[0] for line in lines)


def test_curves_stand_where_their_values_are() -> None:
    """The curve now is one row above zero, the one at expiry peaks at the strike and falls to both sides of it."""
    view = payoff()
    rows = texts(payoff_lines(view, 112, 40, UNICODE))
    picture = [row[12:] for row in rows if "│" in row]
    zero = next(place for place, row in enumerate(picture) if row.startswith(("──", ".─")))
    now = {place for place, row in enumerate(picture) if "*" in row}
    assert len(now) == 1
    assert now.pop() < zero
    top = next(place for place, row in enumerate(picture) if "." in row)
    middle = [column for column, sign in enumerate(picture[top]) if sign == "."]
    across = len(picture[0])
    assert middle[0] < across / 2 <= middle[-1] + 1
    bottom = max(place for place, row in enumerate(picture) if "." in row)
    assert picture[bottom].strip(" │").startswith(".")
    forward = [column for column, sign in enumerate(picture[bottom]) if sign == "│"]
    assert forward == [int((24_100 - 23_000) / 2_000 * across)]


def test_above_zero_is_gain_and_below_is_loss() -> None:
    """The tone of each piece of a curve is that of its sign; the figures say it too."""
    lines = payoff_lines(payoff(), 112, 40, UNICODE)
    zero = next(place for place, line in enumerate(lines) if text_of(line).strip().startswith("0│"))
    for place, line in enumerate(lines):
        for piece, tone in line[2:]:
            if set(piece) <= {"."} and place < zero - 1:
                assert "gain" in tone
            if set(piece) <= {"."} and place > zero + 1:
                assert "loss" in tone


def test_unlimited_is_said_and_never_a_number() -> None:
    """Best and worst in words where they have no bound, on either side."""
    assert ("worst", "unlimited") in payoff_items(payoff(), UNICODE)
    long = payoff(profit_unlimited=True, max_profit=None, loss_unlimited=False, max_loss=-300.0)
    items = dict(payoff_items(long, UNICODE))
    assert (items["best"], items["worst"]) == ("unlimited", "-300")


def test_what_is_not_known_is_the_sign_and_has_a_reason() -> None:
    """Not a number anywhere: no nan on the screen, no curve, the reason in its place."""
    view = payoff(
        at_expiry=unknown(),
        now=unknown(),
        prices=unknown(),
        forward=None,
        expiry=None,
        break_evens=(),
        max_profit=float("nan"),
        loss_unlimited=False,
        probability_of_profit=None,
        expected_value=float("nan"),
        distribution="none",
        sensitivities=PositionSensitivities(),
        charges=None,
        reason="3.1 has no volatility",
    )
    text = "\n".join(texts(payoff_lines(view, 80, 12, UNICODE)))
    assert "nan" not in text.lower()
    assert {words for name, words in payoff_items(view, UNICODE)} == {"—"}
    assert "—  3.1 has no volatility" in text
    assert "*" not in text
    assert "charges —, gross" in text_of(payoff_title(view, UNICODE)[1])
    assert len(payoff_reasons(view)) == 3


def test_a_curve_known_in_part_has_a_gap() -> None:
    """A payoff now that no model gives leaves the one at expiry alone; no break-even that exists is called none."""
    view = payoff(now=unknown(), break_evens=())
    text = "\n".join(texts(payoff_lines(view, 80, 12, UNICODE)))
    assert "*" not in text
    assert "....." in text
    assert dict(payoff_items(view, UNICODE))["at fwd"] == "—"
    assert dict(payoff_items(view, UNICODE))["even"] == "none"
    half = payoff(at_expiry=np.where(np.arange(201) < 100, np.nan, 5.0), break_evens=())
    assert dict(payoff_items(half, UNICODE))["even"] == "—"


def test_the_moment_looked_at_is_in_the_title() -> None:
    """Days and volatility as the view was computed for, not as they were wished for."""
    assert text_of(payoff_title(payoff(), UNICODE)[0]) == "* now  . at expiry"
    ahead = payoff(days_ahead=2.0, volatility_shift=-0.015)
    assert text_of(payoff_title(ahead, UNICODE)[0]) == "* in 2d, vol -1.5  . at expiry"


# --- scenario ------------------------------------------------------------------------------------------------------


def scenario(moves: tuple[float, ...], shifts: tuple[float, ...], **changes: Any) -> ScenarioView:
    """Money grows a thousand a percent and falls with volatility."""
    columns, rows = np.array(moves), np.array(shifts)
    profit = tuple(columns * 100_000.0 - shift * 50_000.0 for shift in shifts)
    values: dict[str, Any] = {
        "strategy": THREE,
        "at": AT,
        "days_ahead": 0.0,
        "forward": 24_000.0,
        "moves": columns,
        "shifts": rows,
        "profit": profit,
        "delta": profit,
    }
    return ScenarioView(**{**values, **changes})


@pytest.mark.parametrize(("width", "height"), [(24, 6), (55, 12), (92, 16), (200, 40)])
def test_a_grid_fits_and_has_the_present_in_its_middle(width: int, height: int) -> None:
    """Moves ascend, shifts descend, both are symmetric about the present, and the picture is as large as the pane."""
    moves, shifts = grid_moves(width), grid_shifts(height)
    assert list(moves) == sorted(moves)
    assert list(shifts) == sorted(shifts, reverse=True)
    assert moves[len(moves) // 2] == shifts[len(shifts) // 2] == 0.0
    lines = scenario_lines(scenario(moves, shifts), width, height, UNICODE)
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)
    assert "#" not in "".join(texts(lines))


def test_cells_have_their_sign_their_tone_or_the_unknown_sign() -> None:
    """Nothing unknown is drawn as zero."""
    view = scenario((-0.01, 0.0, 0.01), (0.0,), profit=(np.array([-1_000.0, np.nan, 2_500.0]),), reason="3.2: no mark")
    lines = scenario_lines(view, 40, 6, UNICODE)
    assert texts(lines)[2].split() == ["0.0", "-1.0k", "—", "+2.5k"]
    tones = {piece.strip(): tone.split()[-1] for piece, tone in lines[2] if piece.strip()}
    assert (tones["-1.0k"], tones["+2.5k"], tones["—"]) == ("loss", "gain", "old")
    assert "3.2: no mark" in texts(lines)[3]
    assert scenario_title(view) == [(("money against now, gross", "muted"),)]
    assert text_of(scenario_title(scenario((0.0,), (0.0,), days_ahead=1.5))[0]) == "in 1.5d"


def test_a_grid_without_cells_says_why() -> None:
    """Nothing open: a sentence and no table."""
    lines = scenario_lines(scenario((), (), forward=None, reason="nothing is open"), 40, 4, UNICODE)
    assert "nothing is open" in texts(lines)[0]


# --- attribution ---------------------------------------------------------------------------------------------------


@given(st.lists(st.decimals(-(10**7), 10**7, places=4), min_size=len(NAMES), max_size=len(NAMES)))
def test_shown_parts_add_up_to_the_shown_sum(parts: list[Decimal]) -> None:
    """Whatever the parts: those shown add up to the sum shown."""
    view = attribution(**dict(zip([name for name, _ in NAMES], parts, strict=True)))
    shown, total = attribution_parts(view)
    assert sum(part for _, part in shown if part is not None) == total


@pytest.mark.parametrize(("width", "height"), [(55, 9), (80, 14), (92, 20), (40, 6), (55, 0)])
def test_parts_fit_any_pane(width: int, height: int) -> None:
    """One column with bars, two columns, or the largest with the rest in one line: the sum is always there."""
    lines = attribution_lines(attribution(), width, height, UNICODE)
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)
    text = "\n".join(texts(lines))
    assert ("sum" in text) == bool(height)
    if height and "smaller ones" not in text:
        for _, words in NAMES[3:]:
            assert words.split()[0] in text


def test_what_is_left_out_is_in_one_line() -> None:
    """In a low and narrow pane the largest parts and the rest still add up."""
    lines = texts(attribution_lines(attribution(), 40, 6, UNICODE))
    figures = [int(line.split()[-1].replace(",", "")) for line in lines]
    assert sum(figures[:-1]) == figures[-1]
    assert "smaller ones" in lines[-2]


def test_charges_that_are_not_known_are_not_zero() -> None:
    """The sign stands in their place, the sum is without them, and the reason says so."""
    view = attribution(charges=None, reason="no rates of 2031")
    text = "\n".join(texts(attribution_lines(view, 80, 16, UNICODE)))
    assert any(line.split()[:2] == ["charges", "—"] for line in text.splitlines())
    assert attribution_reasons(view)[0].endswith("no rates of 2031")
    assert any("charges are not known" in reason for reason in attribution_reasons(view))
    assert "\n".join(texts(attribution_lines(view, 80, 16, ASCII))).isascii()


# --- candles -------------------------------------------------------------------------------------------------------


def test_a_missing_minute_is_a_column_of_dots() -> None:
    """Its neighbours are not joined over it, and it is counted."""
    candles = (candle(0, "0", "100"), candle(1, "100", "60"), candle(3, "60", "90"))
    assert gap_minutes(candles) == 1
    lines = texts(chart_lines(candles, 1, (30, 8), UNICODE, end=candles[-1].minute))
    columns = ["".join(line[12 + place] for line in lines[:-1]) for place in range(4)]
    assert set(columns[2]) == {BLOCKS["gap"]}
    assert BLOCKS["rose"] in columns[0]
    assert BLOCKS["fell"] in columns[1]
    assert BLOCKS["rose"] in columns[3]
    assert all(BLOCKS["gap"] not in column for column in (columns[0], columns[1], columns[3]))


def test_minutes_since_the_last_sample_are_a_gap_too() -> None:
    """While the exchange trades, the end of the picture is now, not the last minute that was seen."""
    candles = (candle(0, "0", "100"),)
    shown = bars(candles, 1, 40, candles[0].minute + timedelta(minutes=5, seconds=20))
    assert [bar.candle is None for bar in shown] == [False, True, True, True, True, True]


def test_candles_of_more_minutes_are_true_ones() -> None:
    """Open of the first, close of the last, extremes of all; they begin at whole multiples of Indian time."""
    candles = tuple(candle(place, str(place * 10), str(place * 10 + 10), away=str(place)) for place in range(7))
    shown = bars(candles, 5, 40, candles[-1].minute)
    assert [f"{bar.start:%H:%M}" for bar in shown] == ["03:45", "03:50"]
    first = shown[0].candle
    assert first is not None
    assert (first.open, first.close, first.samples) == (Decimal(0), Decimal(50), 300)
    assert (first.high, first.low) == (Decimal(54), Decimal(0))


def test_the_newest_candles_are_shown() -> None:
    """What does not fit is older."""
    candles = tuple(candle(place, "1", "2") for place in range(100))
    shown = bars(candles, 1, 30, candles[-1].minute)
    assert len(shown) == 30
    assert shown[-1].candle == candles[-1]


@pytest.mark.parametrize("size", [(63, 9), (105, 20), (80, 3), (20, 5)])
def test_a_chart_fills_its_pane(size: tuple[int, int]) -> None:
    """As many lines as asked for, none wider, in plain signs as well."""
    candles = tuple(candle(place, str(place * 37 % 400 - 200), str(place * 53 % 400 - 200)) for place in range(200))
    for glyphs in (UNICODE, ASCII):
        lines = chart_lines(candles, 1, size, glyphs, end=candles[-1].minute)
        assert len(lines) == size[1]
        assert all(width_of(line) <= size[0] for line in lines)
    assert "".join(texts(lines)).isascii()


def test_no_candle_is_said() -> None:
    """Before the first minute there is a sentence, and no extremes."""
    assert "No minute" in "".join(texts(chart_lines((), 1, (60, 8), UNICODE, end=AT)))
    assert extremes_words((), UNICODE) == ()
    stale = (candle(0, "0", "100"),)
    lines = chart_lines(stale, 1, (40, 8), UNICODE, end=stale[0].minute + timedelta(hours=3))
    assert " ".join("".join(texts(lines)).split()) == "Nothing was recorded in the last 28 minutes."


# --- legs ----------------------------------------------------------------------------------------------------------


def strategy(desk: DeskView) -> StrategyValue:
    """The third of the kit."""
    return desk.strategies[2]


def markets(value: StrategyValue, delta: float, theta: float) -> dict[int, LegMarket]:
    """Every leg moves alike."""
    market = LegMarket(bid=10.0, ask=10.05, state=QuoteState.LIVE, age_s=0.2, delta=delta, theta=theta)
    return {leg.leg.token: market for leg in value.legs}


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("mark", list(Mark))
def test_leg_rows_fit(desk: DeskView, width: int, mark: Mark) -> None:
    """Rows and headings as wide as the pane, nothing cut to a wrong figure."""
    value, columns = strategy(desk), leg_columns(width)
    rows = leg_rows(value, markets(value, 0.5, -3.0), mark, columns, UNICODE, as_units=False, find=lambda _: None)
    assert [row.row_id for row in rows] == [1, 2, 3, 4, 0]
    assert all(width_of(row.line) == width for row in rows)
    assert width_of(legs_heading(mark, columns, UNICODE)) == width
    assert "#" not in "".join(text_of(row.line) for row in rows)


def test_greeks_of_legs_add_up_to_the_total(desk: DeskView) -> None:
    """Legs of a third of a rupee each: the shown ones add up to the shown total; a gap of more is left as it is."""
    value = msgspec.structs.replace(strategy(desk), delta=0.4 * 650 * 4 / 650, theta=3.0)
    held = [leg.leg.holding.signed_quantity for leg in value.legs]
    by_token = {
        leg.leg.token: LegMarket(state=QuoteState.LIVE, delta=0.4 / units, theta=500.0 / units)
        for leg, units in zip(value.legs, held, strict=True)
    }
    rows = leg_rows(value, by_token, Mark.LAST, leg_columns(80), UNICODE, as_units=True, find=lambda _: None)
    words = [text_of(row.line).split() for row in rows]
    deltas = [int(row[-2]) for row in words]
    assert sum(deltas[:-1]) == deltas[-1] == 2
    thetas = [int(row[-1]) for row in words]
    assert thetas == [500, 500, 500, 500, 3]


def test_a_leg_without_a_mark_is_left_out_by_name(engine: FakeEngineClient) -> None:
    """Its money is the unknown sign, the sum carries p and names it, and the head carries p too."""
    token = engine.legs[3][0].token
    place = engine._place_of(token)
    assert place is not None
    engine.chains[place[0]].states[place[1], place[2]] = QuoteState.UNKNOWN
    engine.touch()
    value = engine.desk().strategies[2]
    rows = leg_rows(value, {}, Mark.LAST, leg_columns(120), UNICODE, as_units=False, find=lambda _: None)
    assert "—" in text_of(rows[0].line)
    assert text_of(rows[-1].line).startswith(" all without 3.1")
    assert "p " in text_of(rows[-1].line)
    head = text_of(money_line(value, Mark.LAST, (), 120, UNICODE))
    assert head.split()[2].endswith("p")
    assert quotes_words(value, {}) == "quotes NO QUOTE"
    assert quotes_words(value, markets(value, 0.1, 0.1)) == ""


def test_charges_that_are_not_known_leave_no_net(desk: DeskView) -> None:
    """Net and charges are the unknown sign; gross, realised and open stay."""
    value = msgspec.structs.replace(strategy(desk), charges_paid=None, net={Mark.LAST: None}, net_at_exit=None)
    words = text_of(money_line(value, Mark.LAST, ("high +1", "h"), 120, UNICODE))
    assert " net —  exit net — " in words
    assert "charges —" in words
    assert "high +1" in words


# --- layout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100, 119, 120, 160, 200, 300])
@pytest.mark.parametrize("height", [24, 29, 30, 36, 43, 44, 60, 100])
@pytest.mark.parametrize("legs", [0, 3, 50])
def test_every_pane_has_room(width: int, height: int, legs: int) -> None:
    """Whatever the size and however many legs: six lines and a title for each pane in sight, and nothing overlaps."""
    layout = strategy_layout(width, height, legs)
    assert not layout.small
    used = 2 + 2 + layout.legs_height + layout.upper_height + 2
    used += layout.lower_height if layout.split else 0
    assert used == height
    assert min(layout.upper_height, layout.lower_height) >= 7
    assert layout.left_width == width if not layout.split else width - layout.left_width - 2 + 1 >= 55


def test_tones_of_money() -> None:
    """What rounds to nothing has no tone, what is not known is dim."""
    assert [tone_of(value) for value in (0.4, -0.4, 0.6, -0.6, None, float("nan"))] == [
        "",
        "",
        "gain",
        "loss",
        "old",
        "old",
    ]
