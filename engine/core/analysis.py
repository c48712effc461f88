"""What analysis gives to screens and scripts: payoffs, scenarios, attributions, smiles, series, volatilities, charges.

Arrays are read-only float64 of shape (n,); NaN means unknown. Money is rupees, prices and strikes are index points,
volatilities are annual (0.14 is 14 %), moments are aware UTC. A figure that cannot be had is ``None`` and the reason
stands beside it.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from engine.core.identifiers import StrategyNumber
from engine.core.views import ChainKey, Floats, Integers

POINTS_MAX = 401
"""Points of one axis of a picture or a grid."""


class PositionSensitivities(msgspec.Struct, frozen=True, kw_only=True):
    """How the money of a strategy moves; ``None`` when a leg has no such figure."""

    delta: float | None = None
    """Rupees per index point of the forward."""
    gamma: float | None = None
    """Change of delta per index point."""
    theta: float | None = None
    """Rupees per calendar day."""
    vega: float | None = None
    """Rupees per percentage point of volatility."""
    rho: float | None = None
    """Rupees per percentage point of rate."""
    vanna: float | None = None
    """Change of delta per percentage point of volatility."""
    vomma: float | None = None
    """Change of vega per percentage point of volatility."""


class PayoffView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a strategy makes at each price of the nearest expiry's forward, from its entry on, charges taken off."""

    strategy: StrategyNumber
    at: datetime
    underlying: str
    expiry: date | None
    """The nearest of its legs; ``None`` when there is nothing open."""
    forward: float | None
    """Of that expiry now."""
    prices: Floats
    """The axis: forward of that expiry."""
    at_expiry: Floats
    """Money at that expiry; legs of later ones are valued by the model then."""
    now: Floats
    """Money if the forward were there now, or at the asked moment and shift of volatility."""
    days_ahead: float
    volatility_shift: float
    """As asked; added to every volatility."""
    break_evens: tuple[float, ...]
    """At expiry, ascending; exact while all legs expire together."""
    max_profit: float | None
    """At expiry; ``None`` with ``profit_unlimited``, or when unknown."""
    max_loss: float | None
    """At expiry, negative; ``None`` with ``loss_unlimited``, or when unknown."""
    profit_unlimited: bool
    loss_unlimited: bool
    reward_to_risk: float | None
    probability_of_profit: float | None
    """At expiry, risk neutral, 0 to 1."""
    expected_value: float | None
    """Of the money at expiry, risk neutral."""
    distribution: str
    """What the probabilities were taken from: ``smile``, ``lognormal`` or ``none``."""
    sensitivities: PositionSensitivities
    charges: Decimal | None
    """Paid and to be paid to leave, taken off the money above; ``None`` when unknown, and then nothing was."""
    reason: str = ""
    """Why something is missing; names legs."""


class ScenarioView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Change of a strategy's money against now, over moves of the forward and of volatility, at one moment ahead."""

    strategy: StrategyNumber
    at: datetime
    days_ahead: float
    forward: float | None
    moves: Floats
    """Relative moves of the forward, 0.01 is +1 %; the columns."""
    shifts: Floats
    """Added to every volatility; the rows."""
    profit: tuple[Floats, ...]
    """One array of columns per row: rupees against now, gross."""
    delta: tuple[Floats, ...]
    """Rupees per index point there."""
    reason: str = ""


class AttributionView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a strategy's money on the mid moved since a moment, net of charges.

    The parts, ``unexplained`` and ``residual`` sum to ``total`` exactly.
    """

    strategy: StrategyNumber
    since: datetime
    at: datetime
    total: Decimal
    delta: Decimal
    gamma: Decimal
    theta: Decimal
    vega: Decimal
    vanna: Decimal
    vomma: Decimal
    rate: Decimal
    spread: Decimal
    """Paid against the mid when trading."""
    charges: Decimal | None
    """Paid by fills, negative; ``None`` when not known, and then the total is without them."""
    unexplained: Decimal
    """Change over times when a leg lacked a mark, and what legs moved from other strategies had made there."""
    residual: Decimal
    reason: str = ""


class SmileView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The fitted volatility curve of one expiry, beside what the quotes say."""

    key: ChainKey
    at: datetime
    forward: float | None
    atm_volatility: float | None
    strikes: Floats
    quoted: Floats
    """Volatility of the out-of-the-money side at each strike."""
    nse: Floats
    """Volatility of the same prices on the convention of the exchange's website: Black-Scholes on the moving index,
    10 %, whole calendar days. For comparison alone."""
    kite: Floats
    """The same on the convention of the broker's screens: Black-76 on the expiry's future (without one, the forward by
    parity), no interest, trading days of 252. For comparison alone."""
    fitted: Floats
    theoretical: Floats
    """Volatility there by the curve fitted to all other strikes."""
    call_mispricing: Floats
    """Quoted mid minus theoretical price, index points."""
    put_mispricing: Floats
    grade: str
    """A, B, C or none."""
    rms_residual: float | None
    """Volatility, 0.002 is 0.2 points."""
    risk_reversal: float | None
    """25-delta call minus 25-delta put, volatility."""
    butterfly: float | None
    """Mean of the 25-delta wings minus at the money, volatility."""
    reason: str = ""


class ExpiryVolatility(msgspec.Struct, frozen=True, kw_only=True):
    """One expiry in the term structure."""

    expiry: date
    labels: tuple[str, ...]
    days: float
    atm_volatility: float | None
    forward_volatility: float | None
    """Between the live expiry before and this one; only of expiries that are live."""
    at: datetime | None = None
    """When the volatility was known: now for a live chain, else the last stored minute of today; ``None`` without."""


class RealisedVolatility(msgspec.Struct, frozen=True, kw_only=True):
    """Volatility that the stored forwards have had."""

    estimator: str
    """``close``, ``parkinson``, ``garman-klass``, ``rogers-satchell`` or ``yang-zhang``."""
    window: str
    """How much time it looks at, in words."""
    volatility: float | None
    reason: str = ""


class ConeBand(msgspec.Struct, frozen=True, kw_only=True):
    """How realised volatility (close) of one length of time was spread over the stored bars.

    Windows overlap. The spread is unknown while too few fit side by side; ``current`` may be known before.
    """

    window: str
    """The length, in words: ``1 hour``, ``2 sessions``."""
    lowest: float | None
    lower_quartile: float | None
    median: float | None
    upper_quartile: float | None
    highest: float | None
    current: float | None
    """Of the window that ends with the last stored bar."""
    until: date | None
    """The day of that bar; not always today."""
    reason: str = ""


class VolatilityView(msgspec.Struct, frozen=True, kw_only=True):
    """Where an underlying's volatility stands: across expiries, against its own history, against what was realised."""

    underlying: str
    at: datetime
    terms: tuple[ExpiryVolatility, ...]
    calendar_breaches: tuple[str, ...]
    """Pairs of expiries whose fitted smiles cross, in words."""
    current: float | None
    """ATM volatility of the nearest expiry that is not about to end."""
    rank: float | None
    """0 to 100: place between the lowest and the highest of the stored days."""
    percentile: float | None
    """0 to 100: share of the stored days below."""
    days: int
    """Stored days."""
    realised: tuple[RealisedVolatility, ...]
    cone: tuple[ConeBand, ...]
    """Shortest window first; empty when there is nothing stored, with the reason below."""
    spread: float | None
    """Implied minus realised (close), volatility."""
    basis: float | None
    """Nearest future minus spot, index points."""
    basis_annual: float | None
    build_up: str
    """Of the nearest future: ``long build-up``, ``short covering`` …; empty when unknown."""
    rollover: float | None
    """Percent of the futures' open interest that is not in the nearest."""
    reason: str = ""


class SeriesView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Minutes of an expiry, or of one strike of it, oldest first; a minute nobody saw is not there.

    Without a strike: ``spot``, ``forward``, ``atm_volatility``, ``straddle``, ``pcr_open_interest``, ``pcr_volume``,
    ``max_pain``, ``call_open_interest``, ``put_open_interest``. With one: ``price``, ``volatility``, ``open_interest``,
    ``volume``, ``delta``, ``gamma``, ``theta`` and ``vega`` of calls and puts, each with the prefix ``call_`` or
    ``put_``; volumes are units since the day's start, Greeks those of the price and the forward at the minute's end.
    Indicators asked for stand beside them under their own names, for example ``straddle_ema_20`` (also without the
    column: of the forward, or of both prices of a strike; and without the period) or ``bollinger_upper``.
    """

    key: ChainKey
    strike: float | None
    minute: Integers
    """Start of each, epoch seconds."""
    columns: dict[str, Floats]
