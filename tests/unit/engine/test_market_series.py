"""Stored minutes as an engine gives them: columns, Greeks of the past, indicators, and what is refused."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest

from engine.analysis.market_analysis import EXPIRY_COLUMNS, STRIKE_COLUMNS
from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.views import ChainKey
from tests.unit.engine.analysis_kit import MINUTE, OPEN, Analysis
from tests.unit.market.chain_kit import FORWARD, MORNING, RATE
from tests.unit.market.market_kit import W0


@pytest.fixture
def analysis() -> Analysis:
    """A desk that watches nothing yet."""
    return Analysis()


async def test_minutes_of_an_expiry(analysis: Analysis) -> None:
    """Minutes in [start, end) with all columns; the gap between them stays one."""
    for number in (0, 1, 5, 9):
        await analysis.store(OPEN + number * MINUTE, forward=24_000.0 + number)
    found = await analysis.answers.series(ChainKey("nifty 50", W0), OPEN + MINUTE, OPEN + 9 * MINUTE)
    start = int(OPEN.timestamp())
    assert found.minute.tolist() == [start + 60, start + 300]
    assert tuple(found.columns) == EXPIRY_COLUMNS
    assert found.columns["forward"].tolist() == [24_001.0, 24_005.0]
    assert (found.key, found.strike) == (analysis.desk.key, None)


async def test_an_expired_chain_has_its_history(analysis: Analysis) -> None:
    """An expiry that is listed no more is still found; one never stored is empty."""
    past = ChainKey("NIFTY", date(2026, 11, 17))
    await analysis.store(OPEN - timedelta(days=7), key=past)
    found = await analysis.answers.series(past, OPEN - timedelta(days=8), OPEN)
    assert found.minute.size == 1
    never = await analysis.answers.series(ChainKey("NIFTY", date(2020, 1, 2)), OPEN, MORNING, strike=24_000.0)
    assert never.minute.size == 0
    assert tuple(never.columns) == STRIKE_COLUMNS


async def test_greeks_of_a_strikes_minutes(analysis: Analysis) -> None:
    """Prices made at 17 % give back the Greeks of 17 % against the stored forward, at each minute's end."""
    instant = analysis.market.model.expiry_instant
    years = [(instant - OPEN - (number + 1) * MINUTE).total_seconds() / (365 * 86_400) for number in range(3)]
    for number, left in enumerate(years):
        call, put = (float(price(FORWARD, 24_000.0, left, RATE, 0.17, is_call=is_call)) for is_call in (True, False))
        await analysis.store(OPEN + number * MINUTE, call=call, put=put)
    found = await analysis.answers.series(analysis.desk.key, OPEN, MORNING, strike=24_000.0)
    assert tuple(found.columns) == STRIKE_COLUMNS
    for side, is_call in (("call", True), ("put", False)):
        expected = greeks(FORWARD, 24_000.0, np.array(years), RATE, 0.17, is_call=is_call)
        for name in ("delta", "gamma", "theta", "vega"):
            np.testing.assert_allclose(found.columns[f"{side}_{name}"], getattr(expected, name), rtol=1e-9)
    assert found.columns["put_open_interest"].tolist() == [13_000.0] * 3


async def test_indicators_have_a_running_start(analysis: Analysis) -> None:
    """What remembers looks at the minutes before the asked span too; the answer holds the span alone."""
    for number in range(60):
        await analysis.store(OPEN + number * MINUTE, forward=24_000.0 + number, call=100.0 + number)
    start = OPEN + 50 * MINUTE
    found = await analysis.answers.series(
        analysis.desk.key, start, MORNING, indicators=("ema_20", "straddle_bollinger_upper")
    )
    assert found.minute.size == 10
    assert np.isfinite(found.columns["ema_20"]).all()
    assert found.columns["ema_20"].shape == found.minute.shape
    assert "straddle_bollinger_upper" in found.columns
    with pytest.raises(ValueError, match="read-only"):
        found.columns["ema_20"][0] = 0.0


async def test_a_strikes_volume_weighted_price(analysis: Analysis) -> None:
    """From the day's counter: a minute that trades nothing weighs nothing."""
    for number, (paid, counter) in enumerate(((100.0, 650.0), (110.0, 715.0), (200.0, 715.0), (120.0, 780.0))):
        await analysis.store(OPEN + number * MINUTE, call=paid, volume=counter)
    found = await analysis.answers.series(
        analysis.desk.key, OPEN, MORNING, strike=24_000.0, indicators=("call_price_vwap",)
    )
    np.testing.assert_allclose(found.columns["call_price_vwap"], [np.nan, 110.0, 110.0, 115.0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"indicators": ("macd",)}, "Indicators: ema, rsi, bollinger, supertrend, vwap, atr, cpr"),
        ({"indicators": ("vwap",)}, "has no volume"),
        ({"indicators": ("ema",) * 17}, "at most 16 indicators"),
        ({"start": OPEN.replace(tzinfo=None)}, "no zone"),
        ({"end": OPEN}, "before they start"),
        ({"start": MORNING - timedelta(days=32)}, "at most 31 days"),
        ({"strike": math.nan}, "no strike"),
        ({"strike": -1.0}, "no strike"),
    ],
)
async def test_questions_that_cannot_be_answered(analysis: Analysis, changes: dict[str, object], words: str) -> None:
    """Each is refused in words, naming what is allowed."""
    question: dict[str, object] = {"start": OPEN, "end": MORNING} | changes
    with pytest.raises(InvalidInput, match=words):
        await analysis.answers.series(analysis.desk.key, **question)  # type: ignore[arg-type]


async def test_series_of_an_unknown_underlying(analysis: Analysis) -> None:
    """Refused by name."""
    with pytest.raises(UnknownInstrument, match="NOWHERE"):
        await analysis.answers.series(ChainKey("NOWHERE", W0), OPEN, MORNING)
