"""Where an underlying's volatility stands: across its expiries, in its own history, against what was realised.

Nothing is subscribed for an answer: an expiry that is watched or held counts as it stands now, any other with its last
stored minute of today, and what there is nothing of is named.

Invariant: an old figure never passes for a live one: it carries its moment, and no forward volatility is taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from engine.analysis.forward_bars import Bars, cone, realised
from engine.analysis.stored_volatility import Known, StoredVolatility
from engine.analytics.arrays import DAYS_PER_YEAR
from engine.analytics.futures import mark_futures
from engine.analytics.open_interest import BuildUp
from engine.analytics.realised_volatility import volatility_spread
from engine.analytics.skew import term_structure
from engine.analytics.smile import Smile, SmileGrade
from engine.analytics.smile_arbitrage import check_calendar
from engine.analytics.volatility_history import volatility_standing
from engine.calendar.sessions import years_to_expiry
from engine.chain_desk import ChainDesk
from engine.core.analysis import ConeBand, ExpiryVolatility, RealisedVolatility, VolatilityView
from engine.core.instruments import ExpiryLabel
from engine.core.repositories import ChainSeriesRepository
from engine.core.views import ChainKey
from engine.market.chain_inputs import known
from engine.market.chain_series import is_living
from engine.market_day import MarketDay
from engine.settings import VolatilitySettings

PERCENT: Final = 100.0
BUILD_UP_WORDS: Final = {
    BuildUp.UNKNOWN: "",
    BuildUp.NEUTRAL: "neutral",
    BuildUp.LONG_BUILD_UP: "long build-up",
    BuildUp.SHORT_BUILD_UP: "short build-up",
    BuildUp.LONG_UNWINDING: "long unwinding",
    BuildUp.SHORT_COVERING: "short covering",
}


class _Term(NamedTuple):
    """One expiry as it is known."""

    label: ExpiryLabel
    years: float
    volatility: float
    at: datetime | None
    is_live: bool
    smile: Smile | None


class _Futures(NamedTuple):
    """What the futures say."""

    basis: float | None
    basis_annual: float | None
    build_up: str
    rollover: float | None


class VolatilityReader:
    """Answers about one engine's underlyings.

    Args:
        day: today's market.
        chains: watched and held chains.
        series: stored minutes and days.
        settings: how far back is looked.
    """

    def __init__(
        self, day: MarketDay, chains: ChainDesk, series: ChainSeriesRepository, settings: VolatilitySettings
    ) -> None:
        self._day = day
        self._chains = chains
        self._settings = settings
        self._stored = StoredVolatility(series, day.calendar, day.clock, settings)

    async def view(self, underlying: str) -> VolatilityView:
        """Where it stands now.

        Raises:
            UnknownInstrument: no such underlying; aliases are understood.
        """
        index = self._day.index
        name = index.resolve_underlying(underlying)
        today = self._day.today()
        stored = await self._stored.of(name, [label.expiry for label in index.expiries(name)], today)
        now = self._day.clock.market_now()
        reasons = [stored.trouble] if stored.trouble else []
        terms = self._terms(name, now, stored.latest, reasons)
        current = self._current(terms, today, reasons)
        standing = volatility_standing(
            math.nan if current is None else current, stored.history, minimum=self._settings.rank_days_min
        )
        if standing.reason:
            reasons.append(f"no rank: {standing.reason}")
        estimates, bands = self._realised(stored.sessions, today, reasons)
        past = estimates[-1].volatility if estimates else None
        spread = volatility_spread(_number(current), _number(past))
        futures = self._futures(name, now, reasons)
        return VolatilityView(
            underlying=name,
            at=now,
            terms=_term_views(terms),
            calendar_breaches=_breaches(terms),
            current=current,
            rank=known(standing.rank),
            percentile=known(standing.percentile),
            days=standing.observations,
            realised=estimates,
            cone=bands,
            spread=known(spread.difference.item()),
            basis=futures.basis,
            basis_annual=futures.basis_annual,
            build_up=futures.build_up,
            rollover=futures.rollover,
            reason="; ".join(reasons),
        )

    # -- expiries --------------------------------------------------------------------------------------------------

    def _terms(self, name: str, now: datetime, latest: Mapping[date, Known], reasons: list[str]) -> list[_Term]:
        terms = []
        is_index = self._day.index.rules.is_index(name)
        for label in self._day.index.expiries(name):
            key = ChainKey(name, label.expiry)
            years = years_to_expiry(now, self._day.calendar.expiry_instant(label.expiry, is_index=is_index)).years
            view = self._chains.view(key)
            standing = view.header.atm_volatility if view is not None else None
            if view is not None and standing is not None and is_living(view):
                terms.append(_Term(label, years, standing, now, True, self._chains.smile(key)))
                continue
            last = latest.get(label.expiry)
            # A chain that is watched after the close stands as its last quotes left it.
            if standing is None:
                standing = last.volatility if last is not None else math.nan
            terms.append(_Term(label, years, standing, last.at if last is not None else None, False, None))
        old = [term for term in terms if not term.is_live]
        for words, found in (
            ("not live, as last stored today: ", [term for term in old if term.at is not None]),
            ("nothing known today: ", [term for term in old if math.isnan(term.volatility)]),
        ):
            if found:
                names = (f"{term.label.expiry:%d %b}{self._clock_of(term.at)}" for term in found)
                reasons.append(words + ", ".join(names))
        return terms

    def _clock_of(self, at: datetime | None) -> str:
        return f" {at.astimezone(self._day.calendar.zone):%H:%M}" if at is not None else ""

    def _current(self, terms: Sequence[_Term], today: date, reasons: list[str]) -> float | None:
        """Of the nearest expiry that is far enough away; never that of another one."""
        far = [term for term in terms if (term.label.expiry - today).days >= self._settings.days_to_expiry_min]
        if not far:
            reasons.append(f"no expiry at least {self._settings.days_to_expiry_min} days away is listed")
            return None
        return known(far[0].volatility)

    # -- history ---------------------------------------------------------------------------------------------------

    def _realised(
        self, sessions: Sequence[tuple[date, Bars]], today: date, reasons: list[str]
    ) -> tuple[tuple[RealisedVolatility, ...], tuple[ConeBand, ...]]:
        """Estimates and cone. Of the latest session first, then of all; the close-to-close figure of these is last."""
        if not sessions:
            reasons.append("no realised volatility: no minute is stored")
            return (), ()
        length = self._session_minutes(today)
        if length is None:
            reasons.append("no realised volatility: the length of a session is unknown on this date")
            return (), ()
        latest, bars = sessions[-1]
        of_latest = realised([bars], f"{latest:%d %b}", session_minutes=length)
        count = len(sessions)
        words = f"{count} session{'s' if count > 1 else ''}"
        every = [bars for _, bars in sessions]
        of_all = realised(every, words, session_minutes=length)
        # Close to close is the one that implied volatility is compared with.
        return (*of_latest, *of_all[1:], of_all[0]), cone(every, latest, session_minutes=length)

    def _session_minutes(self, today: date) -> float | None:
        calendar = self._day.calendar
        session = calendar.session(today) if calendar.covers(today) else None
        session = session or calendar.session_before(today) or calendar.session_after(today)
        return (session.close - session.open) / timedelta(minutes=1) if session is not None else None

    # -- futures ---------------------------------------------------------------------------------------------------

    def _futures(self, name: str, now: datetime, reasons: list[str]) -> _Futures:
        quotes = self._chains.futures(name)
        if quotes is None or not quotes.expiries:
            reasons.append(
                "no basis: " + ("no future is listed" if quotes is not None else "no chain of it is watched")
            )
            return _Futures(None, None, "", None)
        is_index = self._day.index.rules.is_index(name)
        instants = [self._day.calendar.expiry_instant(expiry, is_index=is_index) for expiry in quotes.expiries]
        marks = mark_futures(
            quotes.price,
            np.array([years_to_expiry(now, instant).years for instant in instants]),
            spot=quotes.spot,
            price_change=quotes.price_change,
            open_interest=quotes.open_interest,
            open_interest_change=quotes.open_interest_change,
        )
        if math.isnan(quotes.price[0]):
            reasons.append(f"no basis: the future of {quotes.expiries[0]:%d %b} has no price that can be trusted")
        elif math.isnan(quotes.spot):
            reasons.append("no basis: the index does not move")
        if math.isnan(marks.rollover_percent):
            reasons.append("no rollover: not every future's open interest is known")
        return _Futures(
            known(float(marks.basis[0])),
            known(float(marks.annualised_basis[0])),
            BUILD_UP_WORDS[BuildUp(int(marks.build_up[0]))],
            known(marks.rollover_percent),
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _term_views(terms: Sequence[_Term]) -> tuple[ExpiryVolatility, ...]:
    live = [term for term in terms if term.is_live]
    structure = term_structure([term.years for term in live], [term.volatility for term in live])
    between = dict(zip(structure.years.tolist(), structure.forward_volatility.tolist(), strict=True))
    return tuple(
        ExpiryVolatility(
            expiry=term.label.expiry,
            labels=term.label.labels,
            days=term.years * DAYS_PER_YEAR,
            atm_volatility=known(term.volatility),
            forward_volatility=known(between.get(term.years, math.nan)) if term.is_live else None,
            at=term.at,
        )
        for term in terms
    )


def _breaches(terms: Sequence[_Term]) -> tuple[str, ...]:
    """Where the fitted smiles of two live expiries cross."""
    fitted = [
        (term.label.expiry, term.smile)
        for term in terms
        if term.smile is not None and term.smile.grade is not SmileGrade.NONE
    ]
    return tuple(
        f"{fitted[breach.near][0]:%d %b} stands {PERCENT * breach.volatility_gap:.2f} points above "
        f"{fitted[breach.far][0]:%d %b} at {PERCENT * math.expm1(breach.log_moneyness):+.1f} % from the forward: "
        "total variance falls with time"
        for breach in check_calendar([smile.expiry for _, smile in fitted])
    )
