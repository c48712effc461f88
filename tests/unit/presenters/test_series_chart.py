"""Stored minutes as a chart: curves, gaps, days, indicators."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from engine.core.analysis import SeriesView
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import START
from tests.unit.presenters.conftest import KEY
from workstation.formatting import ASCII, UNICODE
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.series_chart import (
    INDICATORS,
    NO_INDICATOR,
    SERIES,
    ChartChoice,
    ChartIndicator,
    ChartSeries,
    series_lines,
)

OPEN_S = int(START.timestamp()) // 86_400 * 86_400 + 3 * 3600 + 45 * 60
"""09:15 in India on the day of the made-up market."""
EMA, BOLLINGER, RSI = INDICATORS[1:]
STRADDLE = next(item for item in SERIES if item.id == "straddle")
INTEREST = next(item for item in SERIES if item.id == "open_interest")


def minutes(places: list[int], values: list[float], **more: list[float]) -> SeriesView:
    """A straddle at these minutes after the open."""
    columns = {"straddle": values, **more}
    return SeriesView(
        key=KEY,
        strike=None,
        minute=np.array([OPEN_S + 60 * place for place in places], dtype=np.int64),
        columns={name: np.array(column, dtype=np.float64) for name, column in columns.items()},
    )


def joined(lines: list[Line]) -> str:
    """All lines as one text."""
    return "\n".join(text_of(line) for line in lines)


def plain(view: SeriesView | None, choice: ChartChoice, width: int = 70, height: int = 14) -> list[str]:
    """The chart with plain signs."""
    return [text_of(line) for line in series_lines(view, choice, width, height, ASCII)]


@pytest.mark.parametrize("indicator", INDICATORS, ids=lambda item: item.id)
@pytest.mark.parametrize("series", SERIES, ids=lambda item: item.id)
@pytest.mark.parametrize(("width", "height"), [(80, 18), (72, 15), (30, 8), (12, 3), (80, 1)])
async def test_every_chart_fills_its_room_exactly(
    engine: FakeEngineClient, series: ChartSeries, indicator: ChartIndicator, width: int, height: int
) -> None:
    """Each series with each indicator at every size: so many lines, and none wider than its room."""
    choice = ChartChoice(series=series, indicator=indicator)
    asked = choice.indicator.asked(choice.series)
    view = await engine.series(KEY, START - timedelta(hours=6), START, indicators=asked)
    lines = series_lines(view, choice, width, height, UNICODE)
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)
    assert "missing" in joined(series_lines(view, choice, 80, 18, UNICODE))


async def test_the_engine_is_asked_for_what_is_drawn(engine: FakeEngineClient) -> None:
    """Every curve an indicator draws is in the answer to what it asks for."""
    for series in SERIES:
        for indicator in INDICATORS:
            view = await engine.series(KEY, START - timedelta(hours=6), START, indicators=indicator.asked(series))
            assert all(line.column in view.columns for line in indicator.lines(series)), (series.id, indicator.id)
    assert NO_INDICATOR.asked(STRADDLE) == ()
    assert BOLLINGER.asked(STRADDLE) == ("straddle_bollinger_20",)


def test_figures_below_the_chart_are_the_days_own() -> None:
    """The latest, its change since the first minute, the range, and which minutes they are."""
    lines = plain(minutes([0, 1, 2, 3], [100.0, 130.0, 90.0, 120.5]), ChartChoice(series=STRADDLE))
    text = " ".join(" ".join(lines[-2:]).split())
    assert "straddle 120.50 +20.50" in text
    assert "range 90.00 to 130.00" in text
    assert "minutes 14 Jan 09:15 to 09:18" in text
    assert "missing" not in text


def test_a_gap_is_blank_and_counted() -> None:
    """Ten minutes nobody saw: no sign stands between, and the count is said."""
    places = [*range(20), *range(30, 50)]
    lines = plain(minutes(places, [100.0] * len(places)), ChartChoice(series=STRADDLE), width=59, height=14)
    row = next(line for line in lines if "***" in line)
    curve = row[9:].rstrip()
    blank = curve.strip("*")
    assert blank.strip() == ""
    assert 8 <= len(blank) <= 11
    assert "missing 10" in " ".join(lines)


def test_an_unknown_figure_is_a_gap_too() -> None:
    """A minute that was seen, but whose figure is unknown, breaks the curve and is not counted as missing."""
    values = [100.0] * 20 + [np.nan] * 10 + [100.0] * 20
    lines = plain(minutes(list(range(50)), values), ChartChoice(series=STRADDLE), width=59)
    row = next(line for line in lines if "***" in line)
    assert "  " in row[9:].rstrip()
    assert "missing" not in " ".join(lines)


def test_only_the_latest_day_is_drawn() -> None:
    """Yesterday's minutes are left out, whatever they were; its date stands with the times."""
    view = minutes([-1440, -1439, 0, 1], [500.0, 500.0, 100.0, 101.0])
    text = " ".join(plain(view, ChartChoice(series=STRADDLE)))
    assert "range 100.00 to 101.00" in text
    assert "14 Jan 09:15 to 09:16" in text
    older = minutes([-1440, -1439], [500.0, 501.0])
    assert "13 Jan 09:15 to 09:16" in " ".join(plain(older, ChartChoice(series=STRADDLE)))


@pytest.mark.parametrize(
    "view",
    [
        None,
        minutes([], []),
        minutes([0, 1], [np.nan, np.nan]),
        msgspec.structs.replace(minutes([0], [1.0]), columns={}),
    ],
)
def test_nothing_stored_is_said(view: SeriesView | None) -> None:
    """No answer, no minute, no known figure, no such column: words and the unknown sign, no axis."""
    lines = series_lines(view, ChartChoice(series=STRADDLE), 70, 10, UNICODE)
    assert len(lines) == 10
    assert "—  no minute of straddle is stored" in joined(lines)
    assert "│" not in joined(lines)


def test_volatility_is_in_percent_and_open_interest_in_lakh() -> None:
    """The stored figure times its scale, in the texts and on the axis."""
    view = minutes(
        [0, 1], [1.0, 1.0], atm_volatility=[0.12, 0.13], call_open_interest=[5e5, 6e5], put_open_interest=[4e5, 4e5]
    )
    assert "ATM IV 13.00 +1.00" in " ".join(plain(view, ChartChoice()))
    text = " ".join(plain(view, ChartChoice(series=INTEREST)))
    assert "calls 6.0 +1.0" in text
    assert "puts 4.0 0.0" in text


def test_an_indicator_on_the_same_scale_shares_the_picture() -> None:
    """Bands widen the axis so that they are seen, and their latest figures stand below."""
    places = list(range(40))
    view = minutes(
        places,
        [100.0] * 40,
        straddle_bollinger_20_upper=[110.0] * 40,
        straddle_bollinger_20_middle=[100.0] * 40,
        straddle_bollinger_20_lower=[90.0] * 40,
    )
    lines = plain(view, ChartChoice(series=STRADDLE, indicator=BOLLINGER))
    assert sum(1 for line in lines if line.count("-") > 20) == 2
    assert "upper 110.00" in " ".join(lines)
    assert "lower 90.00" in " ".join(lines)


def test_an_oscillator_has_a_strip_of_its_own() -> None:
    """RSI between its guides below the curve; where there is no room for it, its figure alone."""
    view = minutes(list(range(40)), [100.0 + n for n in range(40)], straddle_rsi_14=[50.0] * 40)
    choice = ChartChoice(series=STRADDLE, indicator=RSI)
    lines = plain(view, choice, height=18)
    assert [line[:8].strip() for line in lines if line[:8].strip() in {"30", "70"}] == ["70", "30"]
    assert "RSI 14 50.00" in " ".join(lines)
    low = plain(view, choice, height=9)
    assert not any(line[:8].strip() == "70" for line in low)
    assert "RSI 14 50.00" in " ".join(low)


def test_an_indicator_that_is_not_there_is_unknown() -> None:
    """Young or left out: the unknown sign, and the chart still stands."""
    view = minutes([0, 1, 2], [100.0, 101.0, 102.0], straddle_ema_20=[np.nan] * 3)
    assert "EMA 20 n/a" in " ".join(plain(view, ChartChoice(series=STRADDLE, indicator=EMA)))
    assert "RSI 14 n/a" in " ".join(plain(view, ChartChoice(series=STRADDLE, indicator=RSI)))


def test_a_young_day_does_not_fill_the_picture() -> None:
    """The first two minutes stand at the left of half an hour."""
    lines = plain(minutes([0, 1], [100.0, 101.0]), ChartChoice(series=STRADDLE))
    body = [line[9:] for line in lines if "|" in line]
    assert all(row.rstrip().rfind("*") < 8 for row in body)
    assert any("09:30" in line for line in lines)
