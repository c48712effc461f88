"""A small made-up market for screens: prices, volatilities and books by simple formulas, the same in every run.

Nothing here claims to be right as finance; it is smooth, has a smile and a spread, and can be checked by hand.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.core.instruments import Instrument, label_expiries
from engine.core.money import decimal_from_float
from engine.core.quotes import DEPTH_LEVELS, DepthLevel, Quote
from engine.core.views import ChainColumns, ChainHeader, ChainKey, ChainView
from engine.core.vocabulary import Exchange, InstrumentKind, QuoteState

TICK = Decimal("0.05")
STRIKES_EACH_SIDE = 20
SECONDS_PER_YEAR = 365 * 86_400
START = datetime(2027, 1, 14, 5, 32, 41, tzinfo=UTC)
"""Thursday 14 January 2027, 11:02:41 in India."""


class FixedClock:
    """A clock that moves only when told; who sleeps wakes when it has been moved far enough."""

    def __init__(self, market: datetime = START) -> None:
        self._market = market
        self._monotonic = 1000.0
        self._moved = asyncio.Event()

    def market_now(self) -> datetime:
        return self._market

    def wall_now(self) -> datetime:
        return self._market

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        end = self._monotonic + seconds
        while self._monotonic < end:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += seconds
        self._market += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()


@dataclass(frozen=True)
class FakeUnderlying:
    """One underlying of the made-up market."""

    name: str
    exchange: Exchange
    spot: float
    step: int
    lot_size: int
    first_token: int
    width: float
    """How fast time value falls away from the money, in points."""
    expiries: tuple[date, ...]


UNDERLYINGS = (
    FakeUnderlying(
        "NIFTY",
        Exchange.NFO,
        24_381.05,
        50,
        65,
        100_000,
        420.0,
        (date(2027, 1, 19), date(2027, 1, 26), date(2027, 2, 2), date(2027, 2, 23), date(2027, 3, 30)),
    ),
    FakeUnderlying(
        "BANKNIFTY", Exchange.NFO, 57_214.60, 100, 30, 200_000, 1100.0, (date(2027, 1, 26), date(2027, 2, 23))
    ),
    FakeUnderlying("SENSEX", Exchange.BFO, 79_934.15, 100, 20, 300_000, 1400.0, (date(2027, 1, 21), date(2027, 1, 28))),
)


@dataclass
class FakeChain:
    """One expiry: its strikes and the state that the formulas start from."""

    underlying: FakeUnderlying
    key: ChainKey
    first_token: int
    carry: float
    spot: float
    state: QuoteState = QuoteState.LIVE
    sequence: int = 1
    shifts: dict[int, float] = field(default_factory=dict)
    """Rupees added to the prices of a row."""
    states: dict[tuple[int, InstrumentKind], QuoteState] = field(default_factory=dict)
    row_sequence: np.ndarray[tuple[int], np.dtype[np.int64]] = field(init=False)
    strikes: np.ndarray[tuple[int], np.dtype[np.float64]] = field(init=False)
    _made: dict[tuple[InstrumentKind, bool], tuple[Hashable, ChainColumns]] = field(default_factory=dict, init=False)
    """The last columns of each side with and without anything held, and all that they were made from."""

    def __post_init__(self) -> None:
        centre = round(self.spot / self.underlying.step) * self.underlying.step
        places = np.arange(-STRIKES_EACH_SIDE, STRIKES_EACH_SIDE + 1)
        self.strikes = (centre + places * self.underlying.step).astype(np.float64)
        self.row_sequence = np.ones(len(self.strikes), dtype=np.int64)

    @property
    def forward(self) -> float:
        return self.spot * (1 + self.carry)

    def token(self, row: int, kind: InstrumentKind) -> int:
        return self.first_token + 2 * row + (kind is InstrumentKind.PUT)

    def mid(self, row: int, kind: InstrumentKind) -> float:
        """Intrinsic value plus a bump around the money."""
        away = float(self.strikes[row]) - self.forward
        time_value = 155.0 * math.exp(-((away / self.underlying.width) ** 2) / 2) + 0.4
        intrinsic = max(-away if kind is InstrumentKind.CALL else away, 0.0)
        return intrinsic + time_value + self.shifts.get(row, 0.0)

    def state_of(self, row: int, kind: InstrumentKind) -> QuoteState:
        return self.states.get((row, kind), self.state)

    def quote(self, row: int, kind: InstrumentKind, age_s: float) -> Quote:
        """Five levels around the mid; a one-sided book has no bids, an unknown one nothing."""
        state = self.state_of(row, kind)
        token = self.token(row, kind)
        if state is QuoteState.UNKNOWN:
            return Quote(token=token, state=state)
        mid = decimal_from_float(round(self.mid(row, kind), 2), TICK)
        half = TICK * (1 + row % 4)
        bids = tuple(DepthLevel(mid - half - TICK * n, 65 * (18 + 7 * n + row), 6 + 2 * n) for n in range(DEPTH_LEVELS))
        asks = tuple(DepthLevel(mid + half + TICK * n, 65 * (15 + 9 * n + row), 5 + 3 * n) for n in range(DEPTH_LEVELS))
        return Quote(
            token=token,
            state=state,
            last=mid,
            bids=() if state is QuoteState.ONE_SIDED else tuple(level for level in bids if level.price > 0),
            asks=asks,
            volume=65 * (9_000 + 310 * row),
            open_interest=65 * (20_000 + 1_900 * ((row * 7) % 23)),
            age_s=age_s,
        )

    def view(
        self,
        since: int,
        *,
        now: datetime,
        age_s: float,
        positions: dict[int, int],
        working: dict[int, int],
        labels: tuple[str, ...],
    ) -> ChainView:
        """The chain as the terminal sees it."""
        known = self.state is not QuoteState.UNKNOWN
        atm = int(abs(self.strikes - self.forward).argmin())
        expires = datetime(self.key.expiry.year, self.key.expiry.month, self.key.expiry.day, 10, 0, tzinfo=UTC)
        calls = self.columns(InstrumentKind.CALL, age_s, positions, working)
        puts = self.columns(InstrumentKind.PUT, age_s, positions, working)
        header = ChainHeader(
            underlying=self.key.underlying,
            expiry=self.key.expiry,
            labels=labels,
            lot_size=self.underlying.lot_size,
            exchange=self.underlying.exchange,
            seconds_to_expiry=(expires - now).total_seconds(),
            spot=self.spot if known else None,
            spot_state=self.state,
            spot_source="index" if known else "none",
            forward=self.forward if known else None,
            forward_source="parity" if known else "none",
            forward_grade="A" if known else "",
            atm_strike=float(self.strikes[atm]) if known else None,
            atm_volatility=float(calls.implied_volatility[atm]) if known else None,
            straddle=float(calls.last[atm] + puts.last[atm]) if known else None,
            pcr_open_interest=0.94 if known else None,
            pcr_volume=1.07 if known else None,
            max_pain=float(self.strikes[atm - 1]) if known else None,
            carry=math.log1p(self.carry) * SECONDS_PER_YEAR / (expires - now).total_seconds() if known else None,
            expected_move=float(calls.last[atm] + puts.last[atm]) if known else None,
            one_sigma_move=1.25 * float(calls.last[atm] + puts.last[atm]) if known else None,
            smile_grade="A" if known else "none",
            smile_reason="" if known else "0 strikes have a usable volatility; 7 are needed",
            risk_reversal=-0.0182 if known else None,
            butterfly=0.0041 if known else None,
            call_walls=self._near(atm, (10, 4, 6)) if known else (),
            put_walls=self._near(atm, (-6, -10, -4)) if known else (),
            gamma_exposure=4.21e9 if known else None,
            gamma_unknown=0,
            reason="" if known else "no price of any strike yet",
        )
        return ChainView(
            key=self.key,
            sequence=self.sequence,
            strikes=self.strikes,
            header=header,
            calls=calls,
            puts=puts,
            changed=np.flatnonzero(self.row_sequence > since),
        )

    def _near(self, row: int, away: tuple[int, ...]) -> tuple[float, ...]:
        """The strikes some rows away."""
        last = len(self.strikes) - 1
        return tuple(float(self.strikes[min(max(row + step, 0), last)]) for step in away)

    def columns(
        self, kind: InstrumentKind, age_s: float, positions: dict[int, int], working: dict[int, int]
    ) -> ChainColumns:
        """One side, made anew only when something in it is another than last time: screens ask for every frame."""
        prices = (self.spot, self.carry, self.state, tuple(self.shifts.items()), tuple(self.states.items()))
        source = (prices, age_s, tuple(positions.items()), tuple(working.items()))
        place = (kind, bool(positions or working))
        made = self._made.get(place)
        if made is None or made[0] != source:
            made = self._made[place] = (source, self._new_columns(kind, age_s, positions, working))
        return made[1]

    def _new_columns(
        self, kind: InstrumentKind, age_s: float, positions: dict[int, int], working: dict[int, int]
    ) -> ChainColumns:
        rows = range(len(self.strikes))
        quotes = [self.quote(row, kind, age_s) for row in rows]
        tokens = [quote.token for quote in quotes]
        away = self.strikes - self.forward
        bids = np.array([float(q.bid) if q.bid is not None else np.nan for q in quotes])
        asks = np.array([float(q.ask) if q.ask is not None else np.nan for q in quotes])
        mids = np.array([self.mid(row, kind) for row in rows])
        dear = np.array([((row * 5) % 7 - 3) * 0.05 for row in rows])
        call_delta = 1 / (1 + np.exp(away / (self.underlying.width * 0.55)))
        known = np.array([quote.state is not QuoteState.UNKNOWN for quote in quotes])
        time_value = np.array(
            [self.mid(row, kind) - max((-away[row] if kind is InstrumentKind.CALL else away[row]), 0) for row in rows]
        )

        def shown(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.where(known, values, np.nan)

        return ChainColumns(
            token=np.array(tokens, dtype=np.int64),
            bid=bids,
            ask=asks,
            last=np.array([float(q.last) if q.last is not None else np.nan for q in quotes]),
            volume=np.array([float(q.volume) if q.volume is not None else np.nan for q in quotes]),
            open_interest=np.array([float(q.open_interest) if q.open_interest is not None else np.nan for q in quotes]),
            open_interest_change=shown(np.array([float((row * 11) % 59 - 22) for row in rows])),
            implied_volatility=shown(0.122 + 0.00003 * np.abs(away) + np.where(away < 0, 0.00002 * np.abs(away), 0)),
            iv_reason=np.where(known, 0, 1).astype(np.uint8),
            iv_input=np.where(known, 1, 0).astype(np.uint8),
            delta=shown(call_delta if kind is InstrumentKind.CALL else call_delta - 1),
            gamma=shown(call_delta * (1 - call_delta) / (self.underlying.width * 0.55)),
            theta=shown(-time_value * 0.071),
            vega=shown(time_value * 0.083),
            state=np.array([quote.state for quote in quotes], dtype=np.uint8),
            age_s=np.array([quote.age_s if quote.age_s is not None else np.nan for quote in quotes]),
            position=np.array([positions.get(token, 0) for token in tokens], dtype=np.int64),
            working=np.array([working.get(token, 0) for token in tokens], dtype=np.int64),
            theoretical=shown(mids - dear),
            mispricing=shown(dear),
            spread_percent=100 * (asks - bids) / (0.5 * (asks + bids)),
            liquidity=np.where(np.isnan(bids), 0.0 * asks, 92.0 - 9.0 * (np.arange(len(rows)) % 4)),
            build_up=np.where(known, 1 + np.arange(len(rows)) % 5, 0).astype(np.uint8),
            intrinsic=shown(mids - time_value),
            extrinsic=shown(time_value),
        )


def make_chains() -> dict[ChainKey, FakeChain]:
    """Every expiry of every underlying."""
    chains = {}
    for underlying in UNDERLYINGS:
        for place, expiry in enumerate(underlying.expiries):
            key = ChainKey(underlying.name, expiry)
            first = underlying.first_token + 1000 * place
            chains[key] = FakeChain(underlying, key, first, 0.00105 * (place + 1), underlying.spot)
    return chains


def make_instruments(chains: dict[ChainKey, FakeChain]) -> dict[int, Instrument]:
    """Every option, by token."""
    found = {}
    for key, chain in chains.items():
        for row, strike in enumerate(chain.strikes):
            for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
                token = chain.token(row, kind)
                found[token] = Instrument(
                    token=token,
                    exchange_token=token >> 8,
                    tradingsymbol=f"{key.underlying}{key.expiry:%y%b%d}".upper() + f"{strike:.0f}{kind.value}",
                    exchange=chain.underlying.exchange,
                    name=key.underlying,
                    kind=kind,
                    segment=f"{chain.underlying.exchange.value}-OPT",
                    expiry=key.expiry,
                    strike=Decimal(f"{strike:.0f}"),
                    tick_size=TICK,
                    lot_size=chain.underlying.lot_size,
                )
    return found


def labels_of(underlying: FakeUnderlying) -> dict[date, tuple[str, ...]]:
    """Names of the expiries."""
    return {item.expiry: item.labels for item in label_expiries(underlying.expiries)}
