"""Marking a whole expiry: which price is used, what follows from it, and what a broken chain answers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.chain import ChainMarks, PriceInput, SideQuotes, mark_chain
from engine.analytics.forward import ForwardGrade, ForwardSource
from engine.analytics.implied_volatility import IvReason

FORWARD, SPOT, RATE, YEARS = 24_216.5, 24_206.9, 0.065, 4.25 / 365
STRIKES = np.arange(23_000.0, 25_550.0, 50.0)
ATM = int(np.searchsorted(STRIKES, 24_200.0))
SMILE = 0.11 + 0.8 * np.abs(np.log(STRIKES / FORWARD))


def quotes(strikes: FloatArray = STRIKES, smile: FloatArray = SMILE) -> tuple[SideQuotes, SideQuotes]:
    """A clean market: half a point of spread around prices on the forward, stale lasts, some interest."""
    sides = []
    for is_call in (True, False):
        fair = price(FORWARD, strikes, YEARS, RATE, smile, is_call=is_call)
        spread = np.minimum(0.25, 0.2 * fair)
        sides.append(
            SideQuotes(
                bid=fair - spread,
                ask=fair + spread,
                last=fair + 1.0,
                last_is_recent=np.zeros(strikes.size, dtype=np.bool_),
                open_interest=np.full(strikes.size, 1_000.0 if is_call else 1_500.0),
                volume=np.full(strikes.size, 400.0 if is_call else 200.0),
            )
        )
    return sides[0], sides[1]


def mark(
    call: SideQuotes,
    put: SideQuotes,
    strikes: FloatArray = STRIKES,
    *,
    years: float = YEARS,
    rate: float = RATE,
    spot: float | None = SPOT,
    future: float | None = None,
) -> ChainMarks:
    """Mark with the usual terms, some of them changed."""
    return mark_chain(strikes, call, put, years=years, rate=rate, future=future, spot=spot)


def test_clean_market_gives_back_what_it_was_made_of() -> None:
    """Forward, smile and Greeks come back from the mids alone, the same on both sides."""
    marks = mark(*quotes())
    assert marks.forward.forward == pytest.approx(FORWARD, abs=1e-6)
    assert marks.forward.grade is ForwardGrade.A
    assert marks.carry == pytest.approx(math.log(FORWARD / SPOT) / YEARS, rel=1e-6)
    for side in (marks.call, marks.put):
        assert (side.price_input == PriceInput.MID).all()
        assert (side.reason == IvReason.OK).all()
        np.testing.assert_allclose(side.volatility, SMILE, rtol=1e-6)
        np.testing.assert_allclose(side.greeks.price, side.price, rtol=1e-12)
    np.testing.assert_allclose(marks.call.greeks.delta - marks.put.greeks.delta, math.exp(-RATE * YEARS), rtol=1e-6)


def test_statistics_come_with_the_marks() -> None:
    """The figures above the chain are computed from the same prices, forward and volatilities."""
    marks = mark(*quotes())
    figures = marks.statistics
    assert figures.pcr_open_interest == pytest.approx(1.5)
    assert figures.pcr_volume == pytest.approx(0.5)
    assert figures.atm_strike == 24_200.0
    assert figures.straddle == pytest.approx(float(marks.call.price[ATM] + marks.put.price[ATM]))
    assert figures.atm_volatility == pytest.approx(0.11, abs=2e-3)
    assert figures.max_pain is not None


def with_call(index: int, **values: float) -> tuple[SideQuotes, SideQuotes]:
    """The clean market with one call's quote changed."""
    call, put = quotes()
    for name, value in values.items():
        getattr(call, name)[index] = value
    return call, put


@pytest.mark.parametrize(
    ("change", "used", "reason"),
    [
        ({"bid": 0.0}, PriceInput.NONE, IvReason.STALE),
        ({"ask": 0.0}, PriceInput.NONE, IvReason.STALE),
        ({"bid": math.nan}, PriceInput.NONE, IvReason.STALE),
        ({"ask": math.nan}, PriceInput.NONE, IvReason.STALE),
        ({"ask": math.inf}, PriceInput.NONE, IvReason.STALE),
        ({"bid": -1.0}, PriceInput.NONE, IvReason.STALE),
        ({"bid": 500.0, "ask": 400.0}, PriceInput.NONE, IvReason.STALE),
        ({"bid": 500.0, "ask": 400.0, "last_is_recent": True}, PriceInput.LAST, IvReason.OK),
        ({"bid": 0.0, "last_is_recent": True}, PriceInput.LAST, IvReason.OK),
        ({"bid": 0.0, "last": 0.0}, PriceInput.NONE, IvReason.NO_PRICE),
        ({"bid": 0.0, "last": math.nan}, PriceInput.NONE, IvReason.NO_PRICE),
        ({"bid": 0.0, "last": 0.0, "last_is_recent": True}, PriceInput.NONE, IvReason.NO_PRICE),
        ({"bid": 0.0, "last": math.inf, "last_is_recent": True}, PriceInput.NONE, IvReason.NO_PRICE),
        ({"bid": 90.0, "ask": 90.0}, PriceInput.MID, IvReason.OK),
        ({"last_is_recent": True}, PriceInput.MID, IvReason.OK),
    ],
)
def test_which_price_is_used(change: dict[str, float], used: PriceInput, reason: IvReason) -> None:
    """Mid when two-sided and not crossed, else a recent last, else none; always said, and neighbours are untouched."""
    marks = mark(*with_call(ATM, **change))
    assert marks.call.price_input[ATM] == used
    assert marks.call.reason[ATM] == reason
    assert np.isnan(marks.call.volatility[ATM]) == (reason != IvReason.OK)
    assert np.isnan(marks.call.greeks.delta[ATM]) == (reason != IvReason.OK)
    assert np.isnan(marks.call.price[ATM]) == (used == PriceInput.NONE)
    assert marks.call.reason[ATM + 1] == marks.put.reason[ATM] == IvReason.OK
    assert marks.forward.forward == pytest.approx(FORWARD, abs=1e-6)


def test_last_is_used_as_it_is() -> None:
    """A recent last standing in for a missing mid is the price, not blended with the one quote there is."""
    marks = mark(*with_call(ATM, bid=0.0, last=123.45, last_is_recent=True))
    assert marks.call.price[ATM] == 123.45


def test_price_below_intrinsic_has_its_reason() -> None:
    """A deep call quoted under its discounted intrinsic value has no volatility, and is not shown as zero."""
    marks = mark(*with_call(0, bid=1_100.0, ask=1_101.0))
    assert marks.call.reason[0] == IvReason.BELOW_INTRINSIC
    assert np.isnan(marks.call.volatility[0])


def test_given_future_is_the_forward() -> None:
    """A listed future of the expiry is used as it is, and said to be."""
    marks = mark(*quotes(), future=24_230.0)
    assert (marks.forward.forward, marks.forward.source) == (24_230.0, ForwardSource.FUTURE)
    assert marks.call.volatility[ATM] < marks.put.volatility[ATM]


@pytest.mark.parametrize("future", [0.0, math.nan, -1.0])
def test_a_future_without_a_price_falls_back_to_parity(future: float) -> None:
    """A future that has not traded does not take the forward away."""
    marks = mark(*quotes(), future=future)
    assert marks.forward.source is ForwardSource.PARITY


def test_no_forward_is_a_reason_and_not_spot() -> None:
    """With only one side quoted there is no parity, so no volatility, although spot is known."""
    call, put = quotes()
    put.bid[:] = math.nan
    put.last[:] = math.nan
    marks = mark(call, put)
    assert marks.forward.source is ForwardSource.NONE
    assert (marks.call.reason == IvReason.NO_FORWARD).all()
    assert (marks.put.reason == IvReason.NO_PRICE).all()
    assert np.isnan(marks.call.volatility).all()
    assert marks.statistics.atm_strike is None
    assert math.isnan(marks.statistics.straddle)
    assert math.isnan(marks.carry)
    assert marks.statistics.pcr_open_interest == pytest.approx(1.5)


@pytest.mark.parametrize("years", [0.0, -0.001])
@pytest.mark.parametrize("quoted", [True, False])
def test_expired_chain_has_no_volatilities(years: float, quoted: bool) -> None:
    """At and after the expiry instant the reason is the time, with and without quotes."""
    call, put = quotes()
    if not quoted:
        call.bid[:] = math.nan
    marks = mark(call, put, years=years)
    for side in (marks.call, marks.put):
        assert (side.reason == IvReason.NO_TIME).all()
        assert np.isnan(side.volatility).all()


@pytest.mark.parametrize(("years", "rate"), [(math.nan, RATE), (YEARS, math.nan), (YEARS, math.inf)])
def test_impossible_terms_are_reasons(years: float, rate: float) -> None:
    """A time or rate that is no number blanks the volatilities and raises nothing."""
    marks = mark(*quotes(), years=years, rate=rate)
    assert np.isnan(marks.call.volatility).all()
    assert not (marks.call.reason == IvReason.OK).any()


def test_empty_chain() -> None:
    """No strikes, no marks, no error."""
    nothing = np.empty(0)
    side = SideQuotes(nothing, nothing, nothing, np.empty(0, dtype=np.bool_), nothing, nothing)
    marks = mark(side, side, strikes=nothing)
    assert marks.call.volatility.shape == marks.put.greeks.vega.shape == (0,)
    assert marks.forward.source is ForwardSource.NONE
    assert marks.statistics.max_pain is None
    assert math.isnan(marks.statistics.pcr_volume)


def test_one_strike() -> None:
    """A single strike carries its own forward, graded C, and its volatility."""
    strikes = np.array([24_200.0])
    marks = mark(*quotes(strikes, np.array([0.12])), strikes=strikes)
    assert marks.forward.grade is ForwardGrade.C
    assert marks.call.volatility[0] == pytest.approx(0.12, rel=1e-9)
    assert math.isnan(marks.statistics.atm_volatility)


def test_duplicate_strikes_are_marked_alike() -> None:
    """A strike that occurs twice gets the same marks twice."""
    strikes = np.repeat(STRIKES, 2)
    marks = mark(*quotes(strikes, np.repeat(SMILE, 2)), strikes=strikes)
    np.testing.assert_array_equal(marks.call.volatility[::2], marks.call.volatility[1::2])
    assert marks.statistics.atm_strike == 24_200.0


@pytest.mark.parametrize("strike", [math.nan, 0.0, -50.0, math.inf])
def test_an_impossible_strike_blanks_only_its_row(strike: float) -> None:
    """A broken contract has a reason; the rest of the chain is not touched."""
    strikes = STRIKES.copy()
    strikes[3] = strike
    marks = mark(*quotes(), strikes=strikes)
    assert marks.call.reason[3] == marks.put.reason[3] == IvReason.BAD_INPUT
    assert np.isnan(marks.call.volatility[3])
    assert (np.delete(marks.call.reason, 3) == IvReason.OK).all()
    assert marks.statistics.atm_strike == 24_200.0


def test_inputs_are_not_changed() -> None:
    """The board's read-only views can be passed straight in."""
    call, put = quotes()
    for column in (*call, *put):
        column.flags.writeable = False
    marks = mark(call, put)
    assert (marks.call.reason == IvReason.OK).all()


@pytest.mark.parametrize(
    "cut", [lambda side: side._replace(ask=side.ask[1:]), lambda side: side._replace(volume=side.volume[:, None])]
)
def test_columns_of_another_shape_are_refused(cut: Callable[[SideQuotes], SideQuotes]) -> None:
    """A column that does not belong to the strikes is named with what is allowed."""
    call, put = quotes()
    with pytest.raises(ValueError, match=r"put\.(ask|volume) has shape .* one element per strike"):
        mark(call, cut(put))


def test_random_garbage_never_raises_and_always_says_why() -> None:
    """Hundreds of chains of nonsense: no exception, no warning, a reason beside every NaN and no zero volatility."""
    rng = np.random.default_rng(19)
    values = np.array([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-300, 0.05, 80.0, 90.0, 1_000.0, 1e308])
    for _ in range(300):
        strikes = rng.choice(np.array([math.nan, 0.0, -1.0, 24_000.0, 24_200.0, 24_250.0, 1e308]), 6)
        sides = [
            SideQuotes(
                rng.choice(values, 6),
                rng.choice(values, 6),
                rng.choice(values, 6),
                rng.random(6) < 0.5,
                rng.choice(values, 6),
                rng.choice(values, 6),
            )
            for _ in range(2)
        ]
        spot, future = rng.choice(values, 2)
        years = float(rng.choice(np.array([math.nan, -1.0, 0.0, 1e-6, 0.1, math.inf])))
        marks = mark(sides[0], sides[1], strikes, years=years, spot=float(spot), future=float(future))
        for side in (marks.call, marks.put):
            np.testing.assert_array_equal(np.isnan(side.volatility), side.reason != IvReason.OK)
            assert not (side.volatility == 0).any()
            assert not np.isinf(side.volatility).any()
