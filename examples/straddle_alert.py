#!/usr/bin/env python3
"""Wait until the straddle at the money leaves a band, and say so.

``python examples/straddle_alert.py --below 300 --above 340 [UNDERLYING] [--data DIR | --connect URL]``. A straddle is
the call and the put at the strike nearest to the forward, each at the middle of its quote. Only live quotes count:
while one is stale, one-sided or missing nothing is compared and nothing is announced.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from pathlib import Path

from engine.client import EngineClient
from engine.core.errors import WorkstationError
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import QuoteState
from workstation.scripting import connect

LOOK_S = 0.1


def straddle(view: ChainView) -> float:
    """Price of the straddle at the money, index points; NaN while one of its quotes is not live."""
    strike = view.header.atm_strike
    if strike is None:
        return math.nan
    row = view.strikes.tolist().index(strike)
    if any(side.state[row] != QuoteState.LIVE for side in (view.calls, view.puts)):
        return math.nan
    return sum(float(side.bid[row] + side.ask[row]) / 2 for side in (view.calls, view.puts))


async def left_band(engine: EngineClient, key: ChainKey, below: float, above: float) -> tuple[float, float]:
    """Wait until the straddle is at or beyond a bound; its price and its strike."""
    seen = 0
    while True:
        view = engine.chain(key)
        if view is not None and view.sequence != seen:
            seen = view.sequence
            price = straddle(view)
            if view.header.atm_strike is not None and (price <= below or price >= above):
                return price, view.header.atm_strike
        await asyncio.sleep(LOOK_S)


async def run(options: argparse.Namespace) -> None:
    """Everything."""
    async with connect(options.connect, data=options.data) as engine:
        expiry = (await engine.expiries(options.underlying))[0]
        key = ChainKey(options.underlying.upper(), expiry.expiry)
        await engine.watch_chain(key)
        print(f"{key.underlying} {key.expiry}: waiting for a straddle of {options.below:g} or {options.above:g}")
        price, strike = await left_band(engine, key, options.below, options.above)
        print(f"\a{key.underlying} {key.expiry} straddle {strike:.0f} is at {price:.2f}")


def main() -> int:
    """Read the command line and run."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("underlying", nargs="?", default="NIFTY")
    line.add_argument("--below", type=float, default=-math.inf, metavar="POINTS")
    line.add_argument("--above", type=float, default=math.inf, metavar="POINTS")
    line.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the desk's)")
    line.add_argument("--connect", metavar="URL", help="an engine elsewhere")
    options = line.parse_args()
    if options.below == -math.inf and options.above == math.inf:
        line.error("name a bound: --below, --above or both")
    try:
        asyncio.run(run(options))
    except WorkstationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
