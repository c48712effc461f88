"""One call that adds to a marked expiry what its quotes say beyond prices and Greeks.

Per option: intrinsic and extrinsic value, spread, liquidity score, build-up class, and the theoretical value off the
smile of all other strikes with the mispricing. Per expiry: the smile itself, walls, gamma exposure and skew.

The smile is fitted only when asked; between fits the caller gives the last one back, which then moves with the forward.

Invariant: every array of the answer has one element per strike, what is unknown is NaN or a code of its own, and no
input array is changed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.analytics.arrays import CodeArray, FloatArray
from engine.analytics.black import price
from engine.analytics.chain import ChainMarks, PriceInput, SideQuotes
from engine.analytics.liquidity import DEFAULT_SCALE, LiquidityScale, liquidity_score, price_parts, spread
from engine.analytics.open_interest import WALLS, GammaExposure, Walls, build_up, gamma_exposure, walls
from engine.analytics.skew import QUARTER_DELTA, Skew, skew_on_quotes, skew_on_smile
from engine.analytics.smile import Smile, SmileGrade
from engine.analytics.smile_fit import fit_smile, smile_quotes

_IS_CALL = np.array([[True], [False]])


class SideActivity(NamedTuple):
    """What the quotes do not say of the calls or the puts, shape ``(n,)``; NaN where unknown."""

    price_change: FloatArray
    """Since the day began, any unit, per cent for instance."""
    open_interest_change: FloatArray
    """Over the same span, any unit."""
    bid_quantity: FloatArray
    """Units at the best bid."""
    ask_quantity: FloatArray
    """Units at the best ask."""


class ExtrasSettings(NamedTuple):
    """What a person may set."""

    price_threshold: float = 0.0
    """Change of an option's price up to which it counts as none, in the unit of ``SideActivity.price_change``."""
    open_interest_threshold: float = 0.0
    walls: int = WALLS
    delta: float = QUARTER_DELTA
    """Absolute delta of the skew's wings."""
    liquidity: LiquidityScale = DEFAULT_SCALE


DEFAULT_SETTINGS = ExtrasSettings()


class SideExtras(NamedTuple):
    """What was found of the calls or the puts, shape ``(n,)``."""

    intrinsic: FloatArray
    """Index points, against the forward, discounted."""
    extrinsic: FloatArray
    """Index points."""
    spread: FloatArray
    """Index points."""
    spread_percent: FloatArray
    """Of the mid."""
    liquidity: FloatArray
    """Score 0 to 100."""
    build_up: CodeArray
    """Members of :class:`~engine.analytics.open_interest.BuildUp`."""
    theoretical: FloatArray
    """Index points, by all other strikes' quotes."""
    theoretical_volatility: FloatArray
    """Annual."""
    mispricing: FloatArray
    """Price less theoretical value, index points: positive is dear."""
    mispricing_volatility: FloatArray
    """Volatility less theoretical volatility, 0.01 = one vol point."""


class ChainExtras(NamedTuple):
    """What was found of an expiry."""

    call: SideExtras
    put: SideExtras
    smile: Smile
    walls: Walls
    gamma_exposure: GammaExposure
    skew: Skew
    skew_is_fitted: bool
    """Read off the smile; else interpolated between quotes."""


def annotate_chain(
    marks: ChainMarks,
    call: SideQuotes,
    put: SideQuotes,
    call_activity: SideActivity,
    put_activity: SideActivity,
    *,
    years: float,
    rate: float,
    lot_size: float,
    tick: float,
    smile: Smile | None = None,
    refit: bool = True,
    settings: ExtrasSettings = DEFAULT_SETTINGS,
) -> ChainExtras:
    """Annotate one marked expiry.

    Args:
        marks: of :func:`~engine.analytics.chain.mark_chain`.
        call: the quotes the marks were made from; **open interest and volume in units**.
        put: the same for puts.
        call_activity: changes and depth of the calls.
        put_activity: the same for puts.
        years: ACT/365 to the expiry instant, as for the marks.
        rate: continuously compounded, as for the marks.
        lot_size: units; the trade size liquidity is measured in.
        tick: index points.
        smile: of an earlier call for this expiry; makes a fit faster, or takes its place.
        refit: false keeps ``smile``, if it is one of grade A, B or C.
        settings: thresholds and scales.
    """
    if smile is None or refit or smile.grade is SmileGrade.NONE:
        fitted = fit_marked(marks, call, put, years=years, previous=smile)
    else:
        fitted = smile
    bid, ask = np.stack((call.bid, put.bid)), np.stack((call.ask, put.ask))
    premium = np.stack((marks.call.price, marks.put.price))
    forward = marks.forward.forward
    parts = price_parts(premium, forward, marks.strikes, years, rate, is_call=_IS_CALL)
    width = spread(bid, ask)
    score = liquidity_score(
        bid,
        ask,
        bid_quantity=np.stack((call_activity.bid_quantity, put_activity.bid_quantity)),
        ask_quantity=np.stack((call_activity.ask_quantity, put_activity.ask_quantity)),
        volume=np.stack((call.volume, put.volume)),
        open_interest=np.stack((call.open_interest, put.open_interest)),
        size=lot_size,
        tick=tick,
        scale=settings.liquidity,
    )
    classes = build_up(
        np.stack((call_activity.price_change, put_activity.price_change)),
        np.stack((call_activity.open_interest_change, put_activity.open_interest_change)),
        price_threshold=settings.price_threshold,
        open_interest_threshold=settings.open_interest_threshold,
    )
    fair = fitted.theoretical_volatility(marks.strikes, forward)
    theoretical = price(forward, marks.strikes, years, rate, fair, is_call=_IS_CALL)
    with np.errstate(all="ignore"):
        mispricing = premium - theoretical
    call_side, put_side = (
        SideExtras(
            intrinsic=parts.intrinsic[row],
            extrinsic=parts.extrinsic[row],
            spread=width.points[row],
            spread_percent=width.percent[row],
            liquidity=score[row],
            build_up=classes[row],
            theoretical=theoretical[row],
            theoretical_volatility=fair,
            mispricing=mispricing[row],
            mispricing_volatility=side.volatility - fair,
        )
        for row, side in enumerate((marks.call, marks.put))
    )
    skew, skew_is_fitted = _skew(marks, fitted, rate, settings.delta)
    return ChainExtras(
        call=call_side,
        put=put_side,
        smile=fitted,
        walls=walls(marks.strikes, forward, call.open_interest, put.open_interest, count=settings.walls),
        gamma_exposure=gamma_exposure(
            forward,
            call_gamma=marks.call.greeks.gamma,
            put_gamma=marks.put.greeks.gamma,
            call_open_interest=call.open_interest,
            put_open_interest=put.open_interest,
        ),
        skew=skew,
        skew_is_fitted=skew_is_fitted,
    )


def fit_marked(
    marks: ChainMarks, call: SideQuotes, put: SideQuotes, *, years: float, previous: Smile | None = None
) -> Smile:
    """Fit the smile of a marked expiry; arguments as in :func:`annotate_chain`."""
    with np.errstate(all="ignore"):
        call_spread = np.where(marks.call.price_input == PriceInput.MID, call.ask - call.bid, np.nan)
        put_spread = np.where(marks.put.price_input == PriceInput.MID, put.ask - put.bid, np.nan)
    quotes = smile_quotes(
        marks.strikes,
        marks.forward.forward,
        call_volatility=marks.call.volatility,
        put_volatility=marks.put.volatility,
        call_vega=marks.call.greeks.vega,
        put_vega=marks.put.greeks.vega,
        call_spread=call_spread,
        put_spread=put_spread,
    )
    return fit_smile(marks.strikes, quotes, forward=marks.forward.forward, years=years, previous=previous)


def _skew(marks: ChainMarks, smile: Smile, rate: float, delta: float) -> tuple[Skew, bool]:
    """Off the smile when it is a good one, else between quotes; and whether it is the former."""
    forward = marks.forward.forward
    if smile.grade in {SmileGrade.A, SmileGrade.B}:
        return skew_on_smile(smile, rate=rate, forward=forward, delta=delta), True
    skew = skew_on_quotes(
        marks.strikes,
        forward,
        call_delta=marks.call.greeks.delta,
        call_volatility=marks.call.volatility,
        put_delta=marks.put.greeks.delta,
        put_volatility=marks.put.volatility,
        atm_volatility=marks.statistics.atm_volatility,
        delta=delta,
    )
    return skew, False
