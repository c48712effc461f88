"""The broker's volatility convention: the future, no interest, trading days over 252."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.black import price
from engine.analytics.implied_volatility import IvReason, implied_volatility
from engine.analytics.kite_style import kite_implied_volatility

FORWARD = 24_216.5
STRIKES = [24_000.0, 24_400.0]


def test_convention_is_the_future_without_interest_on_trading_days() -> None:
    """A Black-76 price on the future, rate nil, 2.5 of 252 days gives its volatility back, in percent."""
    premium = price(FORWARD, STRIKES, 2.5 / 252, 0.0, 0.135, is_call=[True, False])
    found, reason = kite_implied_volatility(premium, FORWARD, STRIKES, 2.5, is_call=[True, False])
    assert (reason == IvReason.OK).all()
    np.testing.assert_allclose(found, 13.5, rtol=1e-11)


def test_call_and_put_at_one_strike_agree() -> None:
    """On the future's own forward both sides have one volatility, unlike on the exchange's convention."""
    sides = price(FORWARD, 24_200.0, 3 / 252, 0.0, 0.11, is_call=[True, False])
    found = kite_implied_volatility(sides, FORWARD, 24_200.0, 3.0, is_call=[True, False]).volatility
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_against_calendar_time_it_differs_by_the_ratio_of_the_clocks() -> None:
    """Over a weekend four calendar days are two sessions: the figures differ by the root of the clocks' ratio."""
    premium = price(FORWARD, 24_200.0, 4 / 365, 0.0, 0.10, is_call=True)
    calendar = float(implied_volatility(premium, FORWARD, 24_200.0, 4 / 365, 0.0, is_call=True).volatility)
    trading = float(kite_implied_volatility(premium, FORWARD, 24_200.0, 2.0, is_call=True).volatility) / 100.0
    assert trading / calendar == pytest.approx(math.sqrt((4 / 365) / (2 / 252)), rel=1e-9)


@pytest.mark.parametrize("days", [0.0, -1.0])
def test_after_the_last_session_there_is_none(days: float) -> None:
    """No time, no volatility, and why."""
    found, reason = kite_implied_volatility(100.0, FORWARD, 24_200.0, days, is_call=True)
    assert np.isnan(found)
    assert reason == IvReason.NO_TIME


def test_unknown_inputs_have_reasons() -> None:
    """No price and no future are named apart."""
    found, reason = kite_implied_volatility([math.nan, 100.0], [FORWARD, math.nan], 24_200.0, 2.0, is_call=True)
    assert np.isnan(found).all()
    assert reason.tolist() == [IvReason.NO_PRICE, IvReason.BAD_INPUT]
