"""A small option chain and instruments dump in the layouts of the real files, all of it computed, nothing copied.

Prices come from Black's formula on a forward with a skewed smile; the "printed" volatility is what the website's
convention (Black-Scholes on the spot, 10 %, whole days) gives for the rounded last price, solved here by bisection with
the standard library alone.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

SPOT = 24_180.35
LOT = 65
STRIKES = tuple(range(23_800, 24_651, 50))
EXPIRY = date(2026, 7, 14)
SESSION = date(2026, 7, 10)
CLOSE = "10-Jul-2026 15:30:00"
MIDDAY = "10-Jul-2026 11:20:00"
CARRY = 0.062
RATE = 0.065
WEBSITE_RATE = 0.10
TICK = 0.05
DAYS = (EXPIRY - SESSION).days
YEARS = DAYS / 365.0
NOT_PRINTED = (23_800, "CE")
"""Its last price is below the intrinsic value of the convention: the website prints 0."""


class Made(msgspec.Struct, frozen=True):
    """One option as it will be printed."""

    strike: int
    kind: str
    bid: float
    ask: float
    last: float
    volatility: float
    open_interest_lots: int
    volume_lots: int


def normal(x: float) -> float:
    """Cumulative normal distribution."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def black(forward: float, strike: float, volatility: float, kind: str, *, rate: float) -> float:
    """Black's formula over the days to the expiry."""
    deviation = volatility * math.sqrt(YEARS)
    d1 = math.log(forward / strike) / deviation + deviation / 2.0
    sign = 1.0 if kind == "CE" else -1.0
    value = forward * normal(sign * d1) - strike * normal(sign * (d1 - deviation))
    return sign * value * math.exp(-rate * YEARS)


def website_volatility(last: float, strike: float, kind: str) -> float:
    """Percent with two decimals; 0 where the price has no time value on the convention."""
    forward = SPOT * math.exp(WEBSITE_RATE * YEARS)
    low, high = 1e-4, 3.0
    if black(forward, strike, low, kind, rate=WEBSITE_RATE) >= last:
        return 0.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if black(forward, strike, middle, kind, rate=WEBSITE_RATE) < last:
            low = middle
        else:
            high = middle
    return round(100.0 * (low + high) / 2.0, 2)


def on_tick(price: float) -> float:
    """The nearest price the exchange knows, at least one tick."""
    return max(round(round(price / TICK) * TICK, 2), TICK)


def chain() -> tuple[Made, ...]:
    """All options of the chain."""
    made = []
    forward = SPOT * math.exp(CARRY * YEARS)
    for place, strike in enumerate(STRIKES):
        distance = (strike - forward) / forward
        volatility = 0.098 - 0.55 * distance + 9.0 * distance * distance
        for kind in ("CE", "PE"):
            fair = on_tick(black(forward, strike, volatility, kind, rate=RATE))
            last = fair
            if (strike, kind) == NOT_PRINTED:
                last = on_tick(SPOT - strike)
            half = max(TICK, on_tick(fair * 0.004))
            made.append(
                Made(
                    strike=strike,
                    kind=kind,
                    bid=round(fair - half, 2) if fair > half else 0.0,
                    ask=round(fair + half, 2),
                    last=last,
                    volatility=website_volatility(last, strike, kind),
                    open_interest_lots=900 + 137 * place,
                    volume_lots=5_000 + 311 * place,
                )
            )
    return tuple(made)


def newer_shape(moment: str) -> dict[str, Any]:
    """The layout of 2026."""
    rows: dict[int, dict[str, Any]] = {}
    for made in chain():
        row = rows.setdefault(made.strike, {"strikePrice": made.strike, "expiryDates": EXPIRY.strftime("%d-%m-%Y")})
        row[made.kind] = {
            **_common(made),
            "buyPrice1": made.bid,
            "sellPrice1": made.ask,
            "buyQuantity1": 4 * LOT if made.bid else 0,
            "sellQuantity1": 6 * LOT,
            "optionType": None,
        }
    return {"data": list(rows.values()), "timestamp": moment, "underlyingValue": SPOT}


def older_shape(moment: str) -> dict[str, Any]:
    """The layout with ``records`` and ``filtered``."""
    rows: dict[int, dict[str, Any]] = {}
    expiry = EXPIRY.strftime("%d-%b-%Y")
    for made in chain():
        row = rows.setdefault(made.strike, {"strikePrice": made.strike, "expiryDate": expiry})
        row[made.kind] = {
            **_common(made),
            "bidprice": made.bid,
            "askPrice": made.ask,
            "bidQty": 4 * LOT if made.bid else 0,
            "askQty": 6 * LOT,
        }
    records = {
        "expiryDates": [expiry],
        "data": list(rows.values()),
        "timestamp": moment,
        "underlyingValue": SPOT,
        "strikePrices": list(STRIKES),
    }
    return {"records": records, "filtered": {"data": []}}


def _common(made: Made) -> dict[str, Any]:
    return {
        "strikePrice": made.strike,
        "underlying": "NIFTY",
        "lastPrice": made.last,
        "change": -1.5,
        "pChange": -1.0,
        "openInterest": made.open_interest_lots,
        "changeinOpenInterest": 17,
        "totalTradedVolume": made.volume_lots,
        "totalBuyQuantity": 500 * LOT,
        "totalSellQuantity": 450 * LOT,
        "impliedVolatility": made.volatility,
        "underlyingValue": SPOT,
    }


SHAPES = {"newer": newer_shape, "older": older_shape}


def write_snapshot(path: Path, shape: str, moment: str) -> Path:
    """Write a chain in one of the shapes."""
    path.write_text(json.dumps(SHAPES[shape](moment)), encoding="utf-8")
    return path


COLUMNS = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,"
    "segment,exchange"
)
STOCK_STRIKES = tuple(range(2_800, 3_201, 20))
DUMPED_FROM = 24_000
"""Contracts of the chain below this strike are left out of the dump: the snapshot has to make them itself."""


def write_dump(path: Path) -> Path:
    """Write a dump: most of the chain, futures of two months, and options of a stock and of another index."""
    lines = [COLUMNS]
    exchange_token = 50_000

    def add(symbol: str, expiry: date, strike: float, lot: int, segment: str) -> None:
        nonlocal exchange_token
        exchange_token += 1
        exchange, name = segment.partition("-")[0], symbol.partition("26")[0]
        kind, tick = ("FUT", 0.1) if symbol.endswith("FUT") else (symbol[-2:], TICK)
        token = exchange_token * 256 + (2 if exchange == "NFO" else 5)
        lines.append(
            f"{token},{exchange_token},{symbol},{name},0.0,{expiry.isoformat()},{strike},{tick},{lot},{kind},"
            f"{segment},{exchange}"
        )

    for strike in STRIKES:
        if strike >= DUMPED_FROM:
            for kind in ("CE", "PE"):
                add(f"NIFTY26714{strike}{kind}", EXPIRY, float(strike), LOT, "NFO-OPT")
    for month, expiry in (("JUL", date(2026, 7, 28)), ("AUG", date(2026, 8, 25))):
        add(f"NIFTY26{month}FUT", expiry, 0.0, LOT, "NFO-FUT")
        for strike in STOCK_STRIKES:
            for kind in ("CE", "PE"):
                add(f"RELIANCE26{month}{strike}{kind}", expiry, float(strike), 500, "NFO-OPT")
    for strike in range(76_000, 80_001, 100):
        for kind in ("CE", "PE"):
            add(f"SENSEX26716{strike}{kind}", date(2026, 7, 16), float(strike), 20, "BFO-OPT")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def moment_of(text: str) -> datetime:
    """The naive local moment of a snapshot's stamp."""
    return datetime.strptime(text, "%d-%b-%Y %H:%M:%S")  # noqa: DTZ007 - compared with local time of the exchange
