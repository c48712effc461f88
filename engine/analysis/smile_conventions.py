"""Volatilities of one chain as the exchange's website and the broker's screens would print them, for comparison.

Both look at the price at which each strike's out-of-the-money side is quoted here (the mid, else a recent last trade),
so that only the convention differs from the desk's own figure. The website wants the index to move now; the broker's
screens want the future of the expiry, or the forward by parity where none is listed.

Invariant: nothing else is computed on these conventions, and what one lacks is NaN with the reason in words.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.analytics.kite_style import PERCENT as KITE_PERCENT
from engine.analytics.kite_style import kite_implied_volatility
from engine.analytics.nse_style import PERCENT as NSE_PERCENT
from engine.analytics.nse_style import nse_implied_volatility
from engine.calendar.sessions import SessionCalendar
from engine.core.views import ChainView, Floats
from engine.core.vocabulary import QuoteState
from engine.market.futures_quotes import FuturesQuotes

_DAY: Final = timedelta(days=1)


class ConventionalVolatility(NamedTuple):
    """Annual volatilities of shape (n,), 0.14 is 14 %; NaN where unknown."""

    nse: Floats
    kite: Floats
    reasons: tuple[str, ...]
    """Why a whole column is unknown."""


def conventional_volatility(
    view: ChainView,
    price: Floats,
    is_call: npt.NDArray[np.bool_],
    *,
    futures: FuturesQuotes | None,
    calendar: SessionCalendar,
    now: datetime,
    ends_at: datetime,
) -> ConventionalVolatility:
    """Invert the prices on both conventions.

    Args:
        view: whose strikes, spot and forward count.
        price: of each strike's out-of-the-money side, index points, shape (n,); NaN where there is none.
        is_call: which side that is, shape (n,).
        futures: of the underlying; ``None`` when it is not known which are listed.
        calendar: sessions, for the broker's count of trading days.
        now: market time, aware.
        ends_at: when the contracts stop, aware.
    """
    reasons: list[str] = []
    expiry = view.key.expiry
    nse, kite = np.full(view.strikes.size, np.nan), np.full(view.strikes.size, np.nan)
    spot, days = _moving_spot(view), (expiry - calendar.day_of(now)).days
    if spot is None:
        reasons.append("no volatility on the exchange's convention: the index does not move")
    elif days <= 0:
        reasons.append("no volatility on the exchange's convention: it counts whole days, and this is the last one")
    else:
        nse = nse_implied_volatility(price, spot, view.strikes, days, is_call=is_call).volatility / NSE_PERCENT
    forward, missing = _brokers_forward(view, futures)
    sessions = sessions_left(calendar, now, ends_at)
    if missing:
        reasons.append(f"no volatility on the broker's convention: {missing}")
    elif sessions is None:
        reasons.append(
            f"no volatility on the broker's convention: holidays are known to {calendar.last_day}, and it counts "
            f"trading days to {expiry}"
        )
    else:
        found = kite_implied_volatility(price, forward, view.strikes, sessions, is_call=is_call)
        kite = found.volatility / KITE_PERCENT
    return ConventionalVolatility(nse, kite, tuple(reasons))


def sessions_left(calendar: SessionCalendar, now: datetime, ends_at: datetime) -> float | None:
    """Sessions from ``now`` to ``ends_at``, the running one by the part of it that is left.

    Returns:
        0 from ``ends_at`` on; ``None`` when it is unknown of a day in between whether it is a trading day.
    """
    day, last = calendar.day_of(now), calendar.day_of(ends_at)
    if not (calendar.covers(day) and calendar.covers(last)):
        return None
    left = 0.0
    while day <= last:
        session = calendar.session(day)
        if session is not None:
            # Contracts may stop before the session's own end on their last day.
            close = min(session.close, ends_at)
            left += max((close - max(now, session.open)) / (close - session.open), 0.0)
        day += _DAY
    return left


def _moving_spot(view: ChainView) -> float | None:
    header = view.header
    is_live = header.spot_state is QuoteState.LIVE and header.spot_source == "index"
    return header.spot if is_live else None


def _brokers_forward(view: ChainView, futures: FuturesQuotes | None) -> tuple[float, str]:
    """The listed future of the expiry, else the parity forward; or why there is neither."""
    expiry = view.key.expiry
    if futures is not None and expiry in futures.expiries:
        price = float(futures.price[futures.expiries.index(expiry)])
        words = f"the future of {expiry:%d %b} has no price that can be trusted"
        return price, words if math.isnan(price) else ""
    forward = view.header.forward
    return (math.nan, "there is no forward") if forward is None else (forward, "")
