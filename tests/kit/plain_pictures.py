"""What the plain engine shows: a small market of one underlying, and the pictures made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.core.identifiers import AccountId
from engine.core.instruments import Instrument
from engine.core.views import (
    BudgetGauge,
    ChainColumns,
    ChainHeader,
    ChainKey,
    FeedView,
    SessionView,
    StatusView,
)
from engine.core.vocabulary import Exchange, InstrumentKind, Mark, Mode, QuoteState, Venue

Prices = tuple[float, float, float]
"""Bid, ask, last."""

ACCOUNT = AccountId("PX0001")
UNDERLYING = "NIFTY"
EXPIRIES = (date(2026, 11, 24), date(2026, 12, 29))
STRIKES = tuple(range(23_800, 24_300, 100))
LOT_SIZE = 65
MARKET_TIME = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
SIDES = (InstrumentKind.CALL, InstrumentKind.PUT)


def make_instruments() -> tuple[Instrument, ...]:
    """Every option of both expiries."""
    rows: list[Instrument] = []
    for expiry in EXPIRIES:
        for strike in STRIKES:
            for kind in SIDES:
                token = 1_000_002 + 256 * len(rows)
                rows.append(
                    Instrument(
                        token=token,
                        exchange_token=token >> 8,
                        tradingsymbol=f"{UNDERLYING}{expiry:%y%b%d}{strike}{kind}".upper(),
                        exchange=Exchange.NFO,
                        name=UNDERLYING,
                        kind=kind,
                        segment="NFO-OPT",
                        expiry=expiry,
                        strike=Decimal(strike),
                        lot_size=LOT_SIZE,
                    )
                )
    return tuple(rows)


def chain_columns(tokens: list[int], prices: Mapping[int, Prices], age_s: float) -> ChainColumns:
    """One side of a chain whose bids may be missing."""
    bids, asks, lasts = (np.array([prices[token][place] for token in tokens]) for place in range(3))
    size = len(tokens)
    steady = np.full(size, 0.25)
    missing = np.isnan(bids)
    columns = ChainColumns(
        token=np.array(tokens, dtype=np.int64),
        bid=bids,
        ask=asks,
        last=lasts,
        volume=np.full(size, 5e9),
        open_interest=np.full(size, 65_000.0),
        open_interest_change=np.full(size, math.nan),
        implied_volatility=np.where(missing, math.nan, 0.14),
        iv_reason=missing.astype(np.uint8),
        iv_input=(~missing).astype(np.uint8),
        delta=steady,
        gamma=steady,
        theta=-steady,
        vega=steady,
        state=np.where(missing, QuoteState.ONE_SIDED, QuoteState.LIVE).astype(np.uint8),
        age_s=np.full(size, age_s),
        position=np.zeros(size, dtype=np.int64),
        working=np.zeros(size, dtype=np.int64),
        theoretical=np.where(missing, math.nan, 100.25),
        mispricing=np.where(missing, math.nan, -0.75),
        spread_percent=np.where(missing, math.nan, 0.5),
        liquidity=np.where(missing, math.nan, 82.0),
        build_up=np.where(missing, 0, 2).astype(np.uint8),
        intrinsic=steady,
        extrinsic=np.where(missing, math.nan, 99.25),
    )
    for name in columns.__struct_fields__:
        getattr(columns, name).flags.writeable = False
    return columns


def chain_header(key: ChainKey) -> ChainHeader:
    """The figures above a chain, one of them unknown."""
    return ChainHeader(
        underlying=key.underlying,
        expiry=key.expiry,
        labels=("w0",),
        lot_size=LOT_SIZE,
        exchange=Exchange.NFO,
        seconds_to_expiry=450_000.0,
        spot=None,
        spot_state=QuoteState.FROZEN,
        spot_source="none",
        forward=24_011.4,
        forward_source="parity",
        forward_grade="A",
        atm_strike=24_000.0,
        atm_volatility=0.131,
        straddle=201.0,
        pcr_open_interest=1.0,
        pcr_volume=None,
        max_pain=24_000.0,
        carry=None,
        expected_move=201.0,
        one_sigma_move=251.9,
        smile_grade="B",
        smile_reason="8 strikes, 10 make an A",
        risk_reversal=-0.021,
        butterfly=0.004,
        call_walls=(24_200.0, 24_100.0),
        put_walls=(23_800.0,),
        gamma_exposure=-1.25e9,
        gamma_unknown=1,
    )


def status_view(mode: Mode, unread_events: int) -> StatusView:
    """The status lines of a practice desk."""
    return StatusView(
        venue=Venue.PRACTICE,
        venue_note="practice market, seed 7",
        mode=mode,
        account=ACCOUNT,
        account_name="Practice",
        writer=True,
        session=SessionView(
            state="open",
            extended=False,
            market_time=MARKET_TIME,
            speed=1.0,
            next_event="closes",
            next_event_at=MARKET_TIME + timedelta(hours=4),
        ),
        feed=FeedView(
            state=QuoteState.LIVE,
            age_s=0.2,
            connections=1,
            subscribed=20,
            packets=2**40,
            bad_frames=0,
            reconnects=0,
        ),
        budget=BudgetGauge(second_used=1, second_limit=10, minute_used=1, minute_limit=200, day_used=1, day_limit=3000),
        day_profit={Mark.LAST: Decimal("1274.00"), Mark.MID: Decimal(0), Mark.EXIT: Decimal("1241.50")},
        day_profit_partial={Mark.LAST: (), Mark.MID: ("1.1",), Mark.EXIT: ()},
        margin_utilisation=Decimal("0.0999999"),
        unknown_orders=0,
        unread_events=unread_events,
        degraded=(),
    )
