#!/usr/bin/env python3
"""Print the money end of a NIFTY chain, buy one lot on the practice exchange, and follow it to the fill.

``python examples/print_chain_and_order.py [--data DIR]``: uses the desk that runs on the data folder, or opens an
engine for the moment. Nothing here knows where the engine lives.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from engine.client import EngineClient
from engine.core.commands import PlaceOrder
from engine.core.errors import WorkstationError
from engine.core.orders import OrderRecord
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import Venue
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


async def buy(engine: EngineClient, sentence: str, key: str) -> OrderRecord:
    """Send one order, once, and follow it to its end."""
    interpretation = await engine.interpret(sentence)
    if not isinstance(interpretation.command, PlaceOrder):
        raise SystemExit(interpretation.error.message if interpretation.error else f"no order: {sentence}")
    preview = await engine.preview(interpretation.command)
    print(preview.sentence)
    # The key makes it safe to run again after a crash: the same key never makes a second order.
    receipt = await engine.submit(msgspec.structs.replace(interpretation.command, idempotency_key=key))
    if not receipt.accepted:
        raise SystemExit(receipt.message)
    (record,) = receipt.orders
    async with asyncio.timeout(PATIENCE_S):
        while not record.state.is_terminal:
            await asyncio.sleep(LOOK_S)
            record = next(order for order in await engine.orders() if order.number == record.number)
    return record


async def run(data: Path | None, key: str) -> None:
    """Everything."""
    async with connect(data=data) as engine:
        if engine.desk().status.venue is not Venue.PRACTICE:
            raise SystemExit("This example only trades on the practice exchange.")
        expiry = (await engine.expiries("NIFTY"))[0]
        chain = ChainKey("NIFTY", expiry.expiry)
        await engine.watch_chain(chain)
        view = await live_chain(engine, chain)
        show(view)
        record = await buy(engine, f"buy 1L nifty {view.header.atm_strike:.0f} ce {expiry.labels[0]} @ ask+2", key)
        print(f"o{record.number} {record.state}: {record.filled_quantity} units at {record.average_price}")
        for position in await engine.positions():
            print(f"{position.instrument} {position.signed_quantity:+d} at {position.average_price}")
        await engine.unwatch_chain(chain)


def main() -> int:
    """Read the command line and run."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the desk's)")
    line.add_argument("--key", default="example", help="idempotency key of the order")
    options = line.parse_args()
    try:
        asyncio.run(run(options.data, options.key))
    except WorkstationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
