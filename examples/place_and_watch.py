#!/usr/bin/env python3
"""Buy one lot at the money on the practice exchange, and read every change of the order until it is done.

``python examples/place_and_watch.py [--key K] [--data DIR | --connect URL]``. Running it again with the same key never
makes a second order: that is what a script does after a crash.
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
from engine.core.vocabulary import Venue
from workstation.scripting import connect, follow_orders

SENTENCE = "buy 1L nifty atm ce w0 @ ask+2"
PATIENCE_S = 20.0


async def placed(engine: EngineClient, sentence: str, key: str) -> OrderRecord:
    """Send one order, once."""
    interpretation = await engine.interpret(sentence)
    if not isinstance(interpretation.command, PlaceOrder):
        raise SystemExit(interpretation.error.message if interpretation.error else f"no order: {sentence}")
    preview = await engine.preview(interpretation.command)
    print(preview.sentence)
    receipt = await engine.submit(msgspec.structs.replace(interpretation.command, idempotency_key=key))
    if not receipt.accepted:
        raise SystemExit(receipt.message)
    if receipt.repeated:
        print("This key was used before: here is the order that it made then.")
    return receipt.orders[0]


async def watched(engine: EngineClient, order: OrderRecord) -> OrderRecord:
    """Print each change of an order until nothing more can happen to it."""
    async with asyncio.timeout(PATIENCE_S):
        async for record in follow_orders(engine):
            if record.number == order.number:
                print(f"o{record.number} {record.state}, {record.filled_quantity} units filled")
                if record.state.is_terminal:
                    return record
    return order


async def run(url: str | None, data: Path | None, key: str) -> None:
    """Everything."""
    async with connect(url, data=data) as engine:
        if engine.desk().status.venue is not Venue.PRACTICE:
            raise SystemExit("This example only trades on the practice exchange.")
        done = await watched(engine, await placed(engine, SENTENCE, key))
        print(f"o{done.number} {done.state}: {done.filled_quantity} units at {done.average_price}")
        for position in await engine.positions():
            print(f"{position.instrument} {position.signed_quantity:+d} at {position.average_price}")


def main() -> int:
    """Read the command line and run."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("--key", default="example", help="idempotency key of the order")
    line.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the desk's)")
    line.add_argument("--connect", metavar="URL", help="an engine elsewhere")
    options = line.parse_args()
    try:
        asyncio.run(run(options.connect, options.data, options.key))
    except WorkstationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
