#!/usr/bin/env python3
"""Print the money end of an option chain.

``python examples/print_chain.py [UNDERLYING] [--data DIR | --connect URL]``: uses the desk that runs on the data
folder, opens an engine for the moment, or asks one elsewhere (its token in ``WORKSTATION_TOKEN``). Nothing here knows
which.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from engine.client import EngineClient
from engine.core.errors import WorkstationError
from engine.core.views import ChainKey, ChainView
from workstation.scripting import connect

ROWS_AROUND_MONEY = 4
PATIENCE_S = 20.0
LOOK_S = 0.05


async def live_chain(engine: EngineClient, key: ChainKey) -> ChainView:
    """The chain as soon as it has a forward and a volatility at the money."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            view = engine.chain(key)
            if view is not None and view.header.atm_volatility is not None:
                return view
            await asyncio.sleep(LOOK_S)


def show(view: ChainView) -> None:
    """Print the strikes around the money."""
    header = view.header
    print(
        f"{header.underlying} {header.expiry:%d %b %Y}  spot {header.spot:,.2f}  forward {header.forward:,.2f}  "
        f"PCR {header.pcr_open_interest:.2f}  max pain {header.max_pain:,.0f}"
    )
    middle = view.strikes.tolist().index(header.atm_strike)
    print(
        f"{'bid':>9} {'ask':>9} {'IV %':>7} {'delta':>7}  {'strike':>7}  {'delta':>7} {'IV %':>7} {'bid':>9} {'ask':>9}"
    )
    for row in range(max(0, middle - ROWS_AROUND_MONEY), min(len(view.strikes), middle + ROWS_AROUND_MONEY + 1)):
        call, put = view.calls, view.puts
        print(
            f"{call.bid[row]:9.2f} {call.ask[row]:9.2f} {call.implied_volatility[row] * 100:7.2f} "
            f"{call.delta[row]:+7.3f}  {view.strikes[row]:7.0f}  {put.delta[row]:+7.3f} "
            f"{put.implied_volatility[row] * 100:7.2f} {put.bid[row]:9.2f} {put.ask[row]:9.2f}"
        )


async def run(underlying: str, url: str | None, data: Path | None) -> None:
    """Everything."""
    async with connect(url, data=data) as engine:
        expiry = (await engine.expiries(underlying))[0]
        chain = ChainKey(underlying.upper(), expiry.expiry)
        await engine.watch_chain(chain)
        show(await live_chain(engine, chain))
        await engine.unwatch_chain(chain)


def main() -> int:
    """Read the command line and run."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("underlying", nargs="?", default="NIFTY")
    line.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the desk's)")
    line.add_argument("--connect", metavar="URL", help="an engine elsewhere")
    options = line.parse_args()
    try:
        asyncio.run(run(options.underlying, options.connect, options.data))
    except WorkstationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
