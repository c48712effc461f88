"""Price parts, spreads and the liquidity score by hand-worked values, and what unknown does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.black import price
from engine.analytics.liquidity import liquidity_score, price_parts, spread

NAN = math.nan


def score(
    bid: float,
    ask: float,
    *,
    bid_quantity: float = NAN,
    ask_quantity: float = NAN,
    volume: float = NAN,
    open_interest: float = NAN,
) -> float:
    """One option's score, lot 65, tick 0.05."""
    found = liquidity_score(
        bid,
        ask,
        bid_quantity=bid_quantity,
        ask_quantity=ask_quantity,
        volume=volume,
        open_interest=open_interest,
        size=65.0,
        tick=0.05,
    )
    return float(found)


def test_parts_add_up_to_the_premium() -> None:
    """Intrinsic and extrinsic of calls and puts sum to the price, and parity's two intrinsics differ by F - K."""
    strikes = np.array([23_000.0, 24_200.0, 25_500.0])
    is_call = np.array([[True], [False]])
    premium = price(24_216.5, strikes, 0.05, 0.065, 0.12, is_call=is_call)
    parts = price_parts(premium, 24_216.5, strikes, 0.05, 0.065, is_call=is_call)
    np.testing.assert_allclose(parts.intrinsic + parts.extrinsic, premium)
    expected = (24_216.5 - strikes) * math.exp(-0.065 * 0.05)
    np.testing.assert_allclose(parts.intrinsic[0] - parts.intrinsic[1], expected)
    assert (parts.extrinsic > 0.0).all()
    np.testing.assert_allclose(parts.extrinsic[0], parts.extrinsic[1], rtol=1e-9)


def test_unknown_parts_are_nan() -> None:
    """Without a price there is an intrinsic value and no extrinsic one; without a forward neither."""
    parts = price_parts([NAN, 0.0, 5.0, math.inf], [110.0, 110.0, NAN, 110.0], 100.0, 0.0, 0.065, is_call=True)
    np.testing.assert_array_equal(parts.intrinsic, [10.0, 10.0, NAN, 10.0])
    assert np.isnan(parts.extrinsic).all()
    assert float(price_parts(12.0, 110.0, 100.0, -1.0, 0.065, is_call=True).extrinsic) == pytest.approx(2.0)
    assert price_parts(12.0, 110.0, 100.0, 0.0, 0.0, is_call=[True, False]).intrinsic.tolist() == [10.0, 0.0]


def test_spread_in_points_and_per_cent_of_the_mid() -> None:
    """99 to 101 is 2 points and 2 per cent; crossed and one-sided quotes have no spread."""
    found = spread([99.0, 101.0, 0.0, NAN, 5.0, 5.0], [101.0, 99.0, 5.0, 5.0, math.inf, 5.0])
    np.testing.assert_allclose(found.points, [2.0, NAN, NAN, NAN, NAN, 0.0])
    np.testing.assert_allclose(found.percent, [2.0, NAN, NAN, NAN, NAN, 0.0])


def test_a_perfect_market_scores_one_hundred() -> None:
    """A spread of one tick, ten lots on either side and ten thousand lots traded and held: 100."""
    plenty = 65.0 * 10_000
    assert score(100.0, 100.05, bid_quantity=650, ask_quantity=9_999, volume=plenty, open_interest=plenty) == 100.0


def test_one_tick_is_tight_however_cheap_the_option() -> None:
    """0.40 to 0.45 is 12 per cent wide and as tight as can be; 0.40 to 0.90 is ten ticks and not."""
    assert score(0.40, 0.45) == pytest.approx(100.0)
    assert score(0.40, 0.90) == pytest.approx(0.0)


def test_tightness_is_logarithmic_in_per_cent() -> None:
    """From 0.25 to 10 per cent: their geometric mean, 1.58 per cent, is half-way."""
    half = math.sqrt(0.25 * 10.0) / 100.0
    assert score(1_000.0 * (1 - half / 2), 1_000.0 * (1 + half / 2)) == pytest.approx(50.0)
    assert score(1_000.0, 1_002.5) == pytest.approx(100.0, abs=0.1)
    assert score(900.0, 1_000.0) == 0.0


def test_the_parts_weigh_as_said() -> None:
    """Half for the spread, three tenths for depth, two tenths for activity."""
    tight = {"bid": 100.0, "ask": 100.05}
    assert score(**tight, bid_quantity=0.0, ask_quantity=650.0, volume=0.0, open_interest=0.0) == pytest.approx(50.0)
    assert score(**tight, bid_quantity=650.0, ask_quantity=650.0, volume=0.0, open_interest=0.0) == pytest.approx(80.0)
    assert score(**tight, bid_quantity=0.0, ask_quantity=0.0) == pytest.approx(100.0 * 0.5 / 0.8)
    assert score(**tight, volume=0.0) == pytest.approx(100.0 * 0.5 / 0.7)
    lots = math.sqrt(11.0) - 1.0
    assert score(**tight, bid_quantity=65.0 * lots, ask_quantity=1e9) == pytest.approx(100.0 * 0.65 / 0.8)


def test_activity_is_the_mean_of_what_is_known() -> None:
    """Volume and open interest share the part; one alone carries it."""
    tight, plenty = {"bid": 100.0, "ask": 100.05}, 65.0 * 10_000
    assert score(**tight, volume=plenty, open_interest=0.0) == pytest.approx(100.0 * 0.6 / 0.7)
    assert score(**tight, volume=NAN, open_interest=0.0) == score(**tight, volume=0.0, open_interest=NAN)


def test_a_one_sided_quote_has_no_tightness() -> None:
    """With nobody on the other side the spread's part is nil, and depth is what it is."""
    assert score(5.0, NAN, bid_quantity=1_000.0, ask_quantity=0.0) == 0.0
    assert score(0.0, 5.0) == 0.0


@pytest.mark.parametrize(("bid", "ask"), [(NAN, NAN), (0.0, 0.0), (5.0, 4.0), (math.inf, NAN)])
def test_without_a_quote_there_is_no_score(bid: float, ask: float) -> None:
    """Nothing quoted, or crossed, is unknown, not 0."""
    assert math.isnan(score(bid, ask, volume=1e6, open_interest=1e6))


def test_scores_broadcast() -> None:
    """Two rows of quotes and one of depth are two rows of scores."""
    found = liquidity_score(
        [[100.0], [50.0]], [[100.5], [51.0]], bid_quantity=[65.0, 650.0], ask_quantity=650.0, size=65.0, tick=0.05
    )
    assert found.shape == (2, 2)
    assert (found[:, 1] > found[:, 0]).all()
    assert liquidity_score([1.0], 1.05, volume=[1.0, 2.0], size=65.0, tick=0.05).shape == (2,)
