"""Index and volatility paths of one session, one value per second, and how sessions follow each other.

A session's path depends only on (seed, session, underlying): its total return is drawn first and the path is a
bridge to it, so that any later day is reached by adding up a few numbers instead of replaying every second before
it. Invariant: evaluating the same instant twice gives the same number, in any order, in any process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.practice.calendar_facts import Session
from engine.practice.noise import FloatArray, IntArray, generator
from engine.practice.settings import MarketSettings, UnderlyingProfile

_DAYS_PER_YEAR = 252.0
_DAY_SECONDS = 22_500.0
_U_SHAPE_DEPTH = 1.4
_MARKET_FACTOR = "market"
_VOL_WOBBLE_SECONDS = 300.0
_VOL_WOBBLE = 0.006
_CLIP = 3.5
_VOL_RANGE = (-0.9, 1.4)


@dataclass(frozen=True, slots=True)
class Level:
    """Where an underlying stands between two sessions: log level and log volatility against its base."""

    log_price: float = 0.0
    log_volatility: float = 0.0
    """At the close of the session before."""


class SessionPaths:
    """The paths of all simulated underlyings over one session.

    Attributes:
        latent: Index level that futures and options follow; shape (underlyings, seconds + 1).
        shown: Index level that is published (frozen while the cash market holds its closing auction).
        volatility: Multiplier of implied volatility; same shape.
    """

    def __init__(
        self,
        session: Session,
        settings: MarketSettings,
        seed: int,
        bases: Sequence[float],
        starts: Sequence[Level],
    ) -> None:
        self.session = session
        self._block = settings.extreme_block_seconds
        count = session.seconds
        profiles = settings.profiles
        shape = _intraday_shape(session, settings)
        common = _bridge(generator(seed, "path", session.key, _MARKET_FACTOR), shape, session.seconds)
        rows, volatilities, self.ends = [], [], []
        for profile, base, start in zip(profiles, bases, starts, strict=True):
            own = generator(seed, "path", session.key, profile.name)
            path = _combine(settings, profile, common, _bridge(own, shape, session.seconds))
            opening = start.log_price + _gap(settings, seed, session, profile)
            log_price = opening + path
            opening_volatility = _opening_volatility(settings, seed, session, profile, start.log_volatility)
            wobble = _wobble(generator(seed, "wobble", session.key, profile.name), count)
            log_volatility = np.clip(
                opening_volatility - settings.leverage * (log_price - start.log_price) + wobble, *_VOL_RANGE
            )
            rows.append(base * np.exp(log_price))
            volatilities.append(np.exp(log_volatility))
            self.ends.append(Level(float(log_price[-1]), float(log_volatility[-1])))
        self.latent: FloatArray = np.array(rows)
        self.volatility: FloatArray = np.array(volatilities)
        self.shown = _published(self.latent, session, settings)
        self._blocks = self._block_extremes()

    def position(self, moment: float) -> float:
        """Return an instant as seconds from the open, held within the session."""
        return min(max(moment - self.session.opens, 0.0), float(self.session.seconds))

    def at(self, rows: FloatArray, position: float) -> FloatArray:
        """Return one column of a path at a position in seconds, between two grid points linearly."""
        left = min(int(position), self.session.seconds - 1)
        weight = position - left
        column: FloatArray = rows[:, left] * (1.0 - weight) + rows[:, left + 1] * weight
        return column

    def sample(self, rows: FloatArray, underlying: IntArray, positions: FloatArray) -> FloatArray:
        """Return a path's value per instrument, each at its own position in seconds."""
        left = np.minimum(positions.astype(np.int64), self.session.seconds - 1)
        weight = positions - left
        values: FloatArray = rows[underlying, left] * (1.0 - weight) + rows[underlying, left + 1] * weight
        return values

    @property
    def block_seconds(self) -> int:
        """Length of the blocks over which extremes are kept."""
        return self._block

    def block(self, index: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return low and high of the latent level and of the volatility in one whole block."""
        low, high, vol_low, vol_high = self._blocks
        return low[:, index], high[:, index], vol_low[:, index], vol_high[:, index]

    def partial(self, position: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the same four columns for the block that is under way, up to a position."""
        begin = int(position) // self._block * self._block
        end = int(position) + 1
        now, vol_now = self.at(self.latent, position), self.at(self.volatility, position)
        levels, vols = self.latent[:, begin:end], self.volatility[:, begin:end]
        return (
            np.minimum(levels.min(axis=1), now),
            np.maximum(levels.max(axis=1), now),
            np.minimum(vols.min(axis=1), vol_now),
            np.maximum(vols.max(axis=1), vol_now),
        )

    def _block_extremes(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        whole = self.session.seconds // self._block
        # A block ends on the grid point that begins the next one: a value between the two belongs to it.
        edges = np.arange(whole) * self._block
        windows = [slice(int(edge), int(edge) + self._block + 1) for edge in edges]

        def reduce(rows: FloatArray, pick: np.ufunc) -> FloatArray:
            if not windows:
                return np.empty((rows.shape[0], 0))
            return np.stack([pick.reduce(rows[:, window], axis=1) for window in windows], axis=1)

        return (
            reduce(self.latent, np.minimum),
            reduce(self.latent, np.maximum),
            reduce(self.volatility, np.minimum),
            reduce(self.volatility, np.maximum),
        )


def next_levels(session: Session, settings: MarketSettings, seed: int, starts: Sequence[Level]) -> list[Level]:
    """Return where each underlying stands after a session, without building its path."""
    common = _total(generator(seed, "path", session.key, _MARKET_FACTOR), session.seconds)
    ends = []
    for profile, start in zip(settings.profiles, starts, strict=True):
        own = _total(generator(seed, "path", session.key, profile.name), session.seconds)
        moved = float(_combine(settings, profile, np.array([common]), np.array([own]))[0])
        moved += _gap(settings, seed, session, profile)
        wobble = _wobble(generator(seed, "wobble", session.key, profile.name), session.seconds)
        log_volatility = (
            _opening_volatility(settings, seed, session, profile, start.log_volatility)
            - settings.leverage * moved
            + float(wobble[-1])
        )
        ends.append(Level(start.log_price + moved, min(max(log_volatility, _VOL_RANGE[0]), _VOL_RANGE[1])))
    return ends


def _combine(settings: MarketSettings, profile: UnderlyingProfile, common: FloatArray, own: FloatArray) -> FloatArray:
    correlation = settings.market_correlation
    scale = profile.realised_volatility / math.sqrt(_DAYS_PER_YEAR)
    moved: FloatArray = scale * (correlation * common + math.sqrt(1.0 - correlation**2) * own)
    return moved


def _total(source: np.random.Generator, seconds: int) -> float:
    """Draw a session's whole move in standard deviations of a full day; always the generator's first number."""
    return float(np.clip(source.standard_normal(), -_CLIP, _CLIP)) * math.sqrt(seconds / _DAY_SECONDS)


def _bridge(source: np.random.Generator, shape: FloatArray, seconds: int) -> FloatArray:
    """Return a path from 0 to the drawn total whose variance follows the shape (fractions that add up to 1)."""
    total = _total(source, seconds)
    walk = np.cumsum(source.standard_normal(seconds) * np.sqrt(shape)) * math.sqrt(seconds / _DAY_SECONDS)
    elapsed = np.cumsum(shape)
    path = np.empty(seconds + 1)
    path[0] = 0.0
    path[1:] = walk + elapsed * (total - walk[-1])
    path[-1] = total
    return path


def _intraday_shape(session: Session, settings: MarketSettings) -> FloatArray:
    """Return each second's share of the session's variance: high at both ends, boosted in a closing auction."""
    position = (np.arange(session.seconds) + 0.5) / session.seconds
    weight = 1.0 + _U_SHAPE_DEPTH * (2.0 * position - 1.0) ** 4
    if session.cash_stops < session.closes:
        moment = session.opens + np.arange(session.seconds)
        auction = (moment >= session.cash_stops) & (
            moment < session.cash_stops + settings.closing_auction_print_seconds
        )
        weight[auction] *= settings.closing_auction_boost**2
    shares: FloatArray = weight / weight.sum()
    return shares


def _gap(settings: MarketSettings, seed: int, session: Session, profile: UnderlyingProfile) -> float:
    if session.from_snapshot:
        return 0.0
    drawn = generator(seed, "gap", session.key, _MARKET_FACTOR).standard_normal()
    return float(
        np.clip(drawn, -_CLIP, _CLIP) * profile.market_beta * settings.overnight_volatility / math.sqrt(_DAYS_PER_YEAR)
    )


def _opening_volatility(
    settings: MarketSettings, seed: int, session: Session, profile: UnderlyingProfile, before: float
) -> float:
    if session.from_snapshot:
        return before
    drawn = generator(seed, "volatility", session.key, profile.name).standard_normal()
    return float(settings.volatility_persistence * before + settings.daily_volatility_of_volatility * drawn)


def _wobble(source: np.random.Generator, seconds: int) -> FloatArray:
    """Return a slow, small walk of log volatility: normal numbers every five minutes, joined by straight lines."""
    knots = max(2, math.ceil(seconds / _VOL_WOBBLE_SECONDS) + 1)
    heights = np.cumsum(source.standard_normal(knots)) * _VOL_WOBBLE
    heights -= heights[0]
    return np.interp(np.arange(seconds + 1), np.arange(knots) * _VOL_WOBBLE_SECONDS, heights)


def _published(latent: FloatArray, session: Session, settings: MarketSettings) -> FloatArray:
    if session.cash_stops >= session.closes:
        return latent
    shown = latent.copy()
    stop = round(session.cash_stops - session.opens)
    if stop <= 0:
        return shown
    printed = min(stop + round(settings.closing_auction_print_seconds), session.seconds)
    shown[:, stop:printed] = shown[:, stop : stop + 1]
    shown[:, printed:] = latent[:, printed : printed + 1]
    return shown
