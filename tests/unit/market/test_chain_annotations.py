"""What a chain says beyond prices and Greeks: theoretical values, liquidity, build-up, smile, walls, and the spot."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from engine.analytics.open_interest import BuildUp
from engine.analytics.smile import Smile, SmileGrade
from engine.core.views import ChainView
from engine.core.vocabulary import QuoteState
from engine.market.chain_header import NOBODY_LOOKS
from engine.market.chain_inputs import ForwardChoice
from tests.unit.market.chain_kit import FORWARD, LOT, NIFTY_INDEX, RATE, SPOT, Market, row_of, smile
from tests.unit.market.market_kit import M0, NIFTY_STRIKES

NEAR = (23_900, 24_000, 24_100)


def quoted(market: Market | None = None) -> tuple[Market, ChainView]:
    """A chain with every quote there, and its first picture."""
    market = market or Market()
    market.quote_all()
    return market, market.view()


def fitted(market: Market) -> Smile:
    """The curve the chain has now: the same object until it is fitted anew."""
    found = market.model.smile(market.feed.market, market.feed.monotonic)
    assert found is not None
    return found


def test_parts_of_a_price_add_up() -> None:
    """Intrinsic and extrinsic make the mid, and so do theoretical value and mispricing."""
    market, view = quoted()
    present = view.calls.token != 0
    discount = math.exp(-RATE * market.years)
    for side, sign in ((view.calls, 1), (view.puts, -1)):
        mid = 0.5 * (side.bid + side.ask)
        listed = present if side is view.calls else view.puts.token != 0
        np.testing.assert_allclose((side.intrinsic + side.extrinsic)[listed], mid[listed], rtol=1e-12)
        np.testing.assert_allclose((side.theoretical + side.mispricing)[listed], mid[listed], rtol=1e-12)
        forward = view.header.forward
        assert forward is not None
        expected = discount * np.maximum(sign * (forward - view.strikes), 0.0)
        np.testing.assert_allclose(side.intrinsic[listed], expected[listed], rtol=1e-12)


def test_a_strikes_own_quote_never_moves_its_theoretical_value() -> None:
    """A call quoted two points dear is that much mispriced: the value comes from all other strikes."""
    market, before = quoted()
    row = row_of(before, 24_100)
    market.feed.pass_time(5.0)
    market.quote_all()
    market.quote(24_100, "CE", middle=market.fair(24_100, "CE") + 2.0)
    view = market.view()
    assert view.calls.mispricing[row] == pytest.approx(2.0, abs=0.3)
    assert view.calls.theoretical[row] == pytest.approx(market.fair(24_100, "CE"), abs=0.3)
    assert abs(view.puts.mispricing[row]) < 0.4


def test_spread_and_liquidity() -> None:
    """A wider quote has a wider spread and a lower score; one side alone has no spread and a low score."""
    market, _ = quoted()
    token = market.token(24_000, "CE")
    middle = round(market.fair(24_000, "CE"), 0)
    market.feed.full(token, bids=[(middle - 2, LOT)], asks=[(middle + 2, LOT)], last=middle)
    market.feed.full(market.token(24_100, "CE"), bids=[(50.0, LOT)], last=50.0)
    view = market.view()
    wide, tight, one_sided = (row_of(view, strike) for strike in (24_000, 23_900, 24_100))
    assert view.calls.spread_percent[wide] == pytest.approx(100 * 4 / middle)
    assert view.calls.liquidity[wide] < view.calls.liquidity[tight] <= 100
    assert math.isnan(view.calls.spread_percent[one_sided])
    assert 0 <= view.calls.liquidity[one_sided] < view.calls.liquidity[wide]


def test_crossed_quotes_have_neither_spread_nor_score() -> None:
    """A bid above the ask says nothing about how well an option trades."""
    market, _ = quoted()
    market.feed.full(market.token(24_000, "CE"), bids=[(200.0, LOT)], asks=[(199.0, LOT)], last=200.0)
    view = market.view()
    row = row_of(view, 24_000)
    assert view.calls.state[row] == QuoteState.CROSSED
    assert math.isnan(view.calls.spread_percent[row])
    assert math.isnan(view.calls.liquidity[row])


@pytest.mark.parametrize(
    ("close", "interest", "expected"),
    [
        (100.0, 13_000, BuildUp.LONG_BUILD_UP),
        (300.0, 13_000, BuildUp.SHORT_BUILD_UP),
        (300.0, 3_250, BuildUp.LONG_UNWINDING),
        (100.0, 3_250, BuildUp.SHORT_COVERING),
        (150.0, 13_000, BuildUp.NEUTRAL),
        (0.0, 13_000, BuildUp.UNKNOWN),
    ],
)
def test_build_up_of_price_and_open_interest(close: float, interest: int, expected: BuildUp) -> None:
    """Price against the previous close, open interest against the morning; without a close it is unknown."""
    market, first = quoted()
    row = row_of(first, 24_000)
    assert first.calls.build_up[row] == BuildUp.UNKNOWN
    market.quote(24_000, "CE", middle=150.0, open_interest=interest, close=close)
    assert market.view().calls.build_up[row] == expected


def test_stale_quotes_build_nothing_up() -> None:
    """On a suspect path there is no class, no spread, no score and no theoretical value."""
    market, _ = quoted()
    for strike in NEAR:
        market.quote(strike, "CE", open_interest=13_000, close=100.0)
    assert (market.view().calls.build_up != BuildUp.UNKNOWN).any()
    market.feed.pass_time(10.0, heartbeat=False)
    view = market.view()
    assert (view.calls.build_up == BuildUp.UNKNOWN).all()
    for name in ("theoretical", "mispricing", "spread_percent", "liquidity", "intrinsic", "extrinsic"):
        assert np.isnan(getattr(view.calls, name)).all(), name
    header = view.header
    assert (header.smile_grade, header.risk_reversal, header.butterfly) == ("none", None, None)
    assert header.carry == pytest.approx(math.log(FORWARD / SPOT) / market.years, rel=1e-2)
    assert (header.expected_move, header.one_sigma_move, header.gamma_exposure) == (None, None, None)
    assert header.gamma_unknown > 0
    assert header.call_walls == header.put_walls == ()


def test_header_of_the_smile() -> None:
    """Grade, skew, moves and walls stand above a live chain."""
    market = Market()
    interest = {(strike, side): 6_500 for strike in NIFTY_STRIKES for side in ("CE", "PE")}
    interest |= {(24_200, "CE"): 65_000, (24_300, "CE"): 130_000, (23_800, "PE"): 97_500, (24_400, "PE"): 650_000}
    market.quote_all(interest)
    header = market.view().header
    assert header.smile_grade in {"A", "B"}
    assert header.call_walls[:2] == (24_300, 24_200)
    assert header.put_walls[0] == 23_800
    assert header.expected_move == header.straddle
    assert header.one_sigma_move == pytest.approx(FORWARD * smile(FORWARD) * math.sqrt(market.years), rel=1e-2)
    assert header.risk_reversal is not None
    assert header.risk_reversal < 0
    assert header.carry == pytest.approx(math.log(FORWARD / SPOT) / market.years, rel=1e-2)
    assert (header.spot, header.spot_source) == (SPOT, "index")


def test_gamma_exposure_counts_calls_against_puts() -> None:
    """Calls count positive, puts negative; with ten times the puts the total is negative."""
    market = Market()
    market.quote_all({(strike, "PE"): 65_000 for strike in NIFTY_STRIKES})
    few_calls = market.view().header
    other = Market()
    other.quote_all({(strike, "CE"): 65_000 for strike in NIFTY_STRIKES})
    few_puts = other.view().header
    assert few_calls.gamma_exposure is not None
    assert few_puts.gamma_exposure is not None
    assert few_calls.gamma_exposure < 0 < few_puts.gamma_exposure


# -- how often the smile is fitted ---------------------------------------------------------------------------------


def test_the_smile_is_fitted_at_its_pace_and_after_packets_only() -> None:
    """Packets within the pause fit nothing anew; after it they do; a quiet market is never fitted again."""
    market, _ = quoted()
    first = fitted(market)
    for _ in range(5):
        market.feed.pass_time(0.05)
        market.quote(24_000, "CE")
        market.view()
    assert fitted(market) is first
    market.feed.pass_time(5.0)
    market.quote(24_000, "CE")
    market.view()
    second = fitted(market)
    assert second is not first
    for _ in range(5):
        market.feed.pass_time(5.0)
        market.view()
    assert fitted(market) is second


def test_a_poor_smile_is_fitted_less_often() -> None:
    """One that is not of grade A costs more to fit: it waits longer than a good one."""
    market = Market()
    # Nine strikes are too few for an A.
    strikes = range(23_800, 24_250, 50)
    for strike in strikes:
        for side in ("CE", "PE"):
            market.quote(strike, side)
    first = fitted(market)
    assert first.grade is SmileGrade.B
    market.feed.pass_time(1.5)
    market.quote(24_000, "CE")
    assert fitted(market) is first
    market.feed.pass_time(2.0)
    market.quote(24_000, "CE")
    assert fitted(market) is not first


def test_between_fits_the_smile_moves_with_the_forward() -> None:
    """When every quote jumps within a second, theoretical values follow before the next fit."""
    market, before = quoted()
    row, first = row_of(before, 24_000), fitted(market)
    market.feed.pass_time(0.1)
    for strike in NIFTY_STRIKES:
        market.quote(strike, "CE", middle=market.fair(strike, "CE") + 20)
        market.quote(strike, "PE", middle=max(market.fair(strike, "PE") - 20, 0.1))
    after = market.view()
    assert fitted(market) is first
    assert after.calls.theoretical[row] - before.calls.theoretical[row] > 5


def test_a_chain_that_nobody_watches_has_marks_only() -> None:
    """Held for its Greeks: extras are unknown and say why; the first look brings them at once."""
    market = Market()
    market.model.set_watched(False)
    market.quote_all()
    view = market.view()
    assert np.isfinite(view.calls.delta[row_of(view, 24_000)])
    assert np.isnan(view.calls.theoretical).all()
    assert np.isnan(view.puts.liquidity).all()
    assert (view.calls.build_up == BuildUp.UNKNOWN).all()
    assert (view.header.smile_grade, view.header.smile_reason) == ("none", NOBODY_LOOKS)
    assert view.header.expected_move is not None
    market.model.set_watched(True)
    assert np.isfinite(market.view().calls.theoretical[row_of(view, 24_000)])


def test_the_smile_can_be_asked_for_without_watching() -> None:
    """One who needs the curve of a held chain gets it, at the same pace as everybody."""
    market = Market()
    market.model.set_watched(False)
    market.quote_all()
    found = fitted(market)
    assert float(found.volatility(24_000)) == pytest.approx(smile(24_000), abs=2e-3)
    market.feed.pass_time(0.2)
    market.quote(24_000, "CE")
    assert fitted(market) is found


def test_a_smile_of_too_few_quotes_is_said() -> None:
    """Three quoted strikes make no curve: the grade says none, the reason how many are needed, values are unknown."""
    market = Market()
    for strike in NEAR:
        market.quote(strike, "CE")
        market.quote(strike, "PE")
    view = market.view()
    assert view.header.smile_grade == "none"
    assert "needed" in view.header.smile_reason
    assert np.isnan(view.calls.theoretical).all()
    assert np.isfinite(view.calls.intrinsic[row_of(view, 23_900)])


# -- rows ----------------------------------------------------------------------------------------------------------


def test_a_quiet_row_stays_quiet_while_the_smile_breathes() -> None:
    """A new fit that moves values by less than what is shown changes no row but the quoted one."""
    market, first = quoted()
    since = market.view().sequence
    market.feed.pass_time(1.5)
    market.quote(24_450, "PE", middle=market.fair(24_450, "PE") + 0.05)
    view = market.view(since)
    assert row_of(first, 24_450) in view.changed
    assert view.changed.size < view.strikes.size / 2


def test_a_moved_theoretical_value_is_a_change() -> None:
    """When the others' quotes move a strike's value by a tick, its row is drawn again though its own quote rests."""
    market, first = quoted()
    since = market.view().sequence
    row = row_of(first, 24_100)
    market.feed.pass_time(5.0)
    for strike in NIFTY_STRIKES:
        if strike not in {24_100, 18_000}:
            market.quote(strike, "CE", middle=market.fair(strike, "CE") * 1.05)
            market.quote(strike, "PE", middle=market.fair(strike, "PE") * 1.05)
    view = market.view(since)
    assert abs(view.calls.theoretical[row] - first.calls.theoretical[row]) > 0.05
    assert view.calls.bid[row] == first.calls.bid[row]
    assert row in view.changed


# -- spot and forward ----------------------------------------------------------------------------------------------


def test_the_frozen_index_gives_way_to_the_synthetic_spot() -> None:
    """In the closing auction the spot follows the options by the carry measured before; the source says so."""
    market, live = quoted()
    assert live.header.carry is not None
    market.feed.states.set_frozen([NIFTY_INDEX])
    market.feed.pass_time(2.0)
    for strike in NIFTY_STRIKES:
        market.quote(strike, "CE", middle=market.fair(strike, "CE") + 15)
        market.quote(strike, "PE", middle=max(market.fair(strike, "PE") - 15, 0.1))
    header = market.view().header
    assert header.spot_state is QuoteState.FROZEN
    assert header.spot_source == "synthetic"
    assert header.forward is not None
    assert header.spot == pytest.approx(SPOT + header.forward - FORWARD, abs=0.5)
    assert header.forward > FORWARD + 10
    assert header.carry == live.header.carry


def test_a_carry_of_yesterday_makes_no_spot() -> None:
    """After the night the index as it stood is shown, with why there is nothing better."""
    market, _ = quoted()
    market.feed.states.set_frozen([NIFTY_INDEX])
    market.feed.pass_time(2.0)
    market.feed.market += timedelta(days=1)
    market.quote_all()
    header = market.view().header
    assert (header.spot, header.spot_source, header.carry) == (SPOT, "index", None)
    assert "carry was not measured" in header.reason


def test_a_poor_parity_forward_gives_way_to_the_future() -> None:
    """One strike with both sides makes parity of grade C: the future of the same expiry is taken, and it is said."""
    market = Market(M0)
    market.feed.index(NIFTY_INDEX, SPOT)
    future = market.instruments.future("NIFTY", M0)
    market.feed.full(future.token, bids=[(24_050.0, LOT)], asks=[(24_051.0, LOT)], last=24_050.0)
    market.quote(24_000, "CE")
    market.quote(24_000, "PE")
    header = market.view().header
    assert (header.forward, header.forward_source) == (24_050.5, "future")
    assert "grade C" in header.reason
    market.quote_all()
    assert market.view().header.forward_source == "parity"


def test_a_person_who_prefers_the_future_reads_why_it_is_not() -> None:
    """A weekly has no future: the header names parity and the reason."""
    market = Market(forward=ForwardChoice.FUTURE)
    market.quote_all()
    assert "no future of this expiry" in market.view().header.reason


def test_one_sided_quotes_reach_the_liquidity_score_only() -> None:
    """The kernels are given the side that is there, which makes no mid of it."""
    market, _ = quoted()
    market.feed.full(market.token(24_100, "CE"), bids=[(50.0, LOT)], last=50.0, traded_ago_s=None)
    view = market.view()
    row = row_of(view, 24_100)
    assert math.isnan(view.calls.implied_volatility[row])
    assert math.isnan(view.calls.extrinsic[row])
    assert view.calls.liquidity[row] >= 0
