"""The chain's numbers: equal to the analytics on the same inputs, and unknown where the market says nothing."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from engine.analytics.chain import PriceInput
from engine.analytics.greeks import greeks
from engine.analytics.implied_volatility import IvReason, implied_volatility
from engine.core.errors import UnknownInstrument
from engine.core.views import ChainColumns, ChainKey
from engine.core.vocabulary import Exchange, QuoteState
from engine.market.chain_inputs import ForwardChoice
from tests.unit.market.chain_kit import FORWARD, LOT, NIFTY_INDEX, RATE, SPOT, Market, row_of, smile
from tests.unit.market.market_kit import M0, M1, NIFTY_STRIKES, W0, W1

FLOATS = (
    "bid",
    "ask",
    "last",
    "volume",
    "open_interest",
    "open_interest_change",
    "implied_volatility",
    "delta",
    "gamma",
    "theta",
    "vega",
    "age_s",
    "theoretical",
    "mispricing",
    "spread_percent",
    "liquidity",
    "intrinsic",
    "extrinsic",
)


def assert_unknown(columns: ChainColumns, row: int | slice = slice(None)) -> None:
    """Every figure of the rows is NaN: none of them 0."""
    for name in FLOATS:
        assert np.isnan(getattr(columns, name)[row]).all(), name


def test_columns_agree_with_the_analytics() -> None:
    """IV and Greeks of every contract equal a direct call with the quote's mid and the header's forward."""
    market = Market()
    market.quote_all()
    view = market.view()
    header = view.header
    assert header.forward is not None
    for columns, is_call in ((view.calls, True), (view.puts, False)):
        mid = (columns.bid + columns.ask) / 2
        expected = implied_volatility(mid, header.forward, view.strikes, market.years, RATE, is_call=is_call)
        np.testing.assert_allclose(columns.implied_volatility, expected.volatility, rtol=1e-12)
        np.testing.assert_array_equal(columns.iv_reason, expected.reason)
        np.testing.assert_array_equal(columns.iv_input == PriceInput.MID, ~np.isnan(mid))
        direct = greeks(header.forward, view.strikes, market.years, RATE, expected.volatility, is_call=is_call)
        for name in ("delta", "gamma", "theta", "vega"):
            np.testing.assert_allclose(getattr(columns, name), getattr(direct, name), rtol=1e-12)


def test_the_smile_that_made_the_prices_comes_back() -> None:
    """Volatilities recovered from quotes on the tick lie on the smile they were made from."""
    market = Market()
    market.quote_all()
    view = market.view()
    for strike in (23_900, 24_000, 24_100):
        row = row_of(view, strike)
        assert view.calls.implied_volatility[row] == pytest.approx(smile(strike), abs=5e-4)
        assert view.puts.implied_volatility[row] == pytest.approx(smile(strike), abs=5e-4)
    assert view.calls.delta[row_of(view, 24_000)] - view.puts.delta[row_of(view, 24_000)] == pytest.approx(
        math.exp(-RATE * market.years), abs=2e-3
    )


def test_header_figures() -> None:
    """Forward, ATM, straddle, labels, lot size and time of a live chain."""
    market = Market()
    market.quote_all()
    view = market.view()
    header = view.header
    assert header.forward == pytest.approx(FORWARD, abs=0.1)
    assert (header.forward_source, header.forward_grade) == ("parity", "A")
    assert header.atm_strike == 24_000
    row = row_of(view, 24_000)
    mids = [(side.bid[row] + side.ask[row]) / 2 for side in (view.calls, view.puts)]
    assert header.straddle == pytest.approx(sum(mids))
    assert header.atm_volatility == pytest.approx(smile(FORWARD), abs=5e-4)
    assert (header.spot, header.spot_state) == (SPOT, QuoteState.LIVE)
    assert header.labels == ("w0",)
    assert header.lot_size == LOT
    assert header.exchange is Exchange.NFO
    assert header.reason == ""


@pytest.mark.parametrize(
    ("expiry", "instant"),
    [
        (W0, datetime(2026, 12, 1, 10, 10, tzinfo=UTC)),
        (W1, datetime(2026, 12, 8, 10, 0, tzinfo=UTC)),
        (M0, datetime(2026, 12, 29, 10, 0, tzinfo=UTC)),
    ],
)
def test_time_to_expiry_follows_the_calendar(expiry: date, instant: datetime) -> None:
    """Seconds to expiry count to the instant in force on the expiry's own date: 15:40, or 15:30 from December."""
    market = Market(expiry)
    assert market.model.expiry_instant == instant
    assert market.view().header.seconds_to_expiry == (instant - market.feed.market).total_seconds()


def test_stock_options_stop_at_the_close() -> None:
    """A stock's contracts run to 15:45 in December, an index's stop at 15:30."""
    market = Market(M0, underlying="BANKBARODA")
    assert market.model.expiry_instant == datetime(2026, 12, 29, 10, 15, tzinfo=UTC)
    assert market.view().header.spot is None
    assert "no index" in market.view().header.reason


def test_max_pain_and_ratios_the_right_way_up() -> None:
    """Calls held high and puts held low pull max pain between them; PCR is puts over calls."""
    market = Market()
    interest = {(strike, side): 0 for strike in (*NIFTY_STRIKES, 18_000, 30_000) for side in ("CE", "PE")}
    interest |= {(23_800, "CE"): 1_300, (24_200, "CE"): 65_000, (23_700, "PE"): 130_000, (24_300, "PE"): 650}
    market.quote_all(interest)
    view = market.view()
    calls, puts = view.calls.open_interest, view.puts.open_interest
    paid = {
        float(settle): float(
            np.nansum(calls * np.maximum(settle - view.strikes, 0))
            + np.nansum(puts * np.maximum(view.strikes - settle, 0))
        )
        for settle in view.strikes
    }
    assert view.header.max_pain == min(paid, key=lambda settle: paid[settle])
    assert view.header.max_pain == 23_800
    assert view.header.pcr_open_interest == pytest.approx(130_650 / 66_300)


def test_nothing_received_is_unknown_not_zero() -> None:
    """Before the first packet every figure is NaN or None and says why."""
    view = Market().view()
    assert_unknown(view.calls)
    assert_unknown(view.puts)
    assert (view.calls.state == QuoteState.UNKNOWN).all()
    assert (view.calls.iv_reason != IvReason.OK).all()
    header = view.header
    figures = (
        header.forward,
        header.atm_strike,
        header.atm_volatility,
        header.straddle,
        header.pcr_open_interest,
        header.pcr_volume,
        header.max_pain,
        header.spot,
    )
    assert figures == (None,) * 8
    assert header.forward_source == "none"
    assert "no option quote" in header.reason
    assert "no spot" in header.reason


def test_strikes_with_one_contract_only() -> None:
    """A put without a call has token 0 and unknowns on the call's side; the put is marked as any other."""
    market = Market()
    market.quote_all()
    view = market.view()
    row = row_of(view, 30_000)
    assert view.calls.token[row] == 0
    assert view.puts.token[row] == market.token(30_000, "PE")
    assert_unknown(view.calls, row)
    assert view.calls.state[row] == QuoteState.UNKNOWN
    assert view.puts.bid[row] > 0


def test_one_sided_quote_uses_a_recent_trade() -> None:
    """Without an ask there is no mid: a trade a moment ago stands in, and the volatility is of that trade."""
    market = Market()
    market.quote_all()
    token, fair = market.token(24_100, "CE"), market.fair(24_100, "CE")
    market.feed.full(token, bids=[(fair - 5, LOT)], last=fair, traded_ago_s=10, open_interest=65)
    view = market.view()
    row = row_of(view, 24_100)
    assert view.calls.state[row] == QuoteState.ONE_SIDED
    assert math.isnan(view.calls.ask[row])
    assert view.calls.implied_volatility[row] == pytest.approx(smile(24_100), abs=5e-4)
    assert view.calls.iv_input[row] == PriceInput.LAST


@pytest.mark.parametrize("age_s", [61.0, None])
def test_one_sided_quote_with_an_old_trade_has_no_volatility(age_s: float | None) -> None:
    """A trade older than the setting, or of unknown time, is not used; the reason says that it is old."""
    market = Market()
    market.quote_all()
    token, fair = market.token(24_100, "CE"), market.fair(24_100, "CE")
    market.feed.full(token, bids=[(fair - 5, LOT)], last=fair, traded_ago_s=age_s)
    view = market.view()
    row = row_of(view, 24_100)
    assert math.isnan(view.calls.implied_volatility[row])
    assert math.isnan(view.calls.delta[row])
    assert view.calls.iv_reason[row] == IvReason.STALE
    assert view.calls.last[row] > 0


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_crossed_quote_gives_no_mid(width: float) -> None:
    """A bid at or above the ask is shown with its state, and gives neither mid nor volatility nor forward."""
    market = Market()
    market.quote_all()
    fair = round(market.fair(24_000, "CE"), 1)
    market.feed.full(
        market.token(24_000, "CE"), bids=[(fair + width, LOT)], asks=[(fair, LOT)], last=fair, traded_ago_s=3_600
    )
    view = market.view()
    row = row_of(view, 24_000)
    assert view.calls.state[row] == QuoteState.CROSSED
    assert view.calls.bid[row] == pytest.approx(fair + width)
    assert math.isnan(view.calls.implied_volatility[row])
    assert view.header.straddle is None
    assert view.header.forward == pytest.approx(FORWARD, abs=0.1)


def test_all_stale() -> None:
    """After silence prices stay visible with their state, while nothing is computed from them."""
    market = Market()
    market.quote_all()
    assert market.view().header.forward is not None
    market.feed.pass_time(10.0, heartbeat=False)
    view = market.view()
    present = view.calls.token != 0
    assert (view.calls.state[present] == QuoteState.STALE).all()
    assert (view.calls.bid[present] > 0).all()
    assert np.isnan(view.calls.implied_volatility).all()
    assert (view.calls.iv_reason[present] == IvReason.STALE).all()
    assert np.isnan(view.puts.delta).all()
    header = view.header
    assert (header.forward, header.straddle, header.atm_volatility) == (None, None, None)
    assert header.spot_state is QuoteState.STALE
    assert "stale" in header.reason


def test_stale_quote_that_never_traded_says_stale() -> None:
    """A quote without a last trade on a silent path is withheld for being stale, not for want of a price."""
    market = Market()
    market.quote_all()
    market.feed.full(market.token(24_450, "CE"), bids=[(1.0, LOT)], asks=[(1.1, LOT)])
    market.feed.pass_time(10.0, heartbeat=False)
    view = market.view()
    assert view.calls.iv_reason[row_of(view, 24_450)] == IvReason.STALE


def test_price_below_intrinsic_has_a_reason() -> None:
    """A deep call quoted under its intrinsic value has NaN and the reason, never 0 %."""
    market = Market()
    market.quote_all()
    market.quote(23_500, "CE", middle=400.0)
    view = market.view()
    row = row_of(view, 23_500)
    assert math.isnan(view.calls.implied_volatility[row])
    assert view.calls.iv_reason[row] == IvReason.BELOW_INTRINSIC


def test_after_expiry() -> None:
    """From the instant on there is no time, no volatility, and the header says expired."""
    market = Market(now=datetime(2026, 12, 1, 10, 9, 30, tzinfo=UTC))
    market.quote_all()
    assert market.view().header.reason == ""
    market.feed.pass_time(30.0)
    market.quote_all()
    view = market.view()
    assert view.header.seconds_to_expiry == 0.0
    assert view.header.reason == "expired"
    present = view.calls.token != 0
    assert (view.calls.iv_reason[present] == IvReason.NO_TIME).all()
    assert np.isnan(view.calls.implied_volatility).all()


def test_frozen_index_is_shown_and_not_leant_on() -> None:
    """While the closing auction freezes the index, its state says so and the forward still comes from the options."""
    market = Market()
    market.quote_all()
    market.feed.index(NIFTY_INDEX, SPOT - 200)
    market.feed.states.set_frozen([NIFTY_INDEX])
    header = market.view().header
    assert (header.spot, header.spot_state) == (SPOT - 200, QuoteState.FROZEN)
    assert header.forward == pytest.approx(FORWARD, abs=0.1)


def test_future_as_the_forward() -> None:
    """Asked for the future of the same expiry, its mid is the forward and has no grade."""
    market = Market(M0, forward=ForwardChoice.FUTURE)
    market.quote_all()
    future = market.instruments.future("NIFTY", M0)
    market.feed.full(future.token, bids=[(24_050.0, LOT)], asks=[(24_051.0, LOT)], last=24_050.0)
    header = market.view().header
    assert (header.forward, header.forward_source, header.forward_grade) == (24_050.5, "future", "")


def test_the_other_forward_stands_in() -> None:
    """Parity without any pair of quotes falls to the future; the future of a weekly, which has none, to parity."""
    market = Market(M0)
    future = market.instruments.future("NIFTY", M0)
    market.feed.full(future.token, bids=[(24_050.0, LOT)], asks=[(24_051.0, LOT)])
    assert market.view().header.forward_source == "future"
    weekly = Market(W0, forward=ForwardChoice.FUTURE)
    weekly.quote_all()
    assert weekly.view().header.forward_source == "parity"


def test_a_future_of_another_expiry_is_never_used() -> None:
    """A weekly chain neither watches nor leans on the monthly future."""
    market = Market(W0)
    assert market.instruments.future("NIFTY", M0).token not in market.model.tokens
    assert market.instruments.future("NIFTY", M1).token not in market.model.tokens
    assert NIFTY_INDEX in market.model.tokens


def test_chain_of_an_expiry_without_options_is_refused() -> None:
    """A month with a future only is no chain; an unknown expiry neither."""
    market = Market()
    with pytest.raises(UnknownInstrument, match="no options"):
        market.builder.build(ChainKey("BANKNIFTY", M1))
    with pytest.raises(UnknownInstrument, match="no expiry"):
        market.builder.build(ChainKey("NIFTY", date(2026, 12, 2)))


def test_aliases_name_the_same_chain() -> None:
    """A chain asked for by an alias is the underlying's own chain."""
    assert Market().builder.build(ChainKey("nifty 50", W0)).key == ChainKey("NIFTY", W0)
