#!/usr/bin/env python3
"""Open a desk on real input and say how well it agrees with what was printed.

``python examples/real_input_report.py INSTRUMENTS SNAPSHOT``: a Kite instruments dump and an option-chain JSON of the
exchange's website (either of its shapes; gzip is fine). The desk opens at the snapshot's moment, with market time
standing still. Implied volatilities are computed, on the website's convention, from the last prices and the spot that
the *desk* shows, and compared with the printed ones; then one order is filled. Nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from engine.analytics.implied_volatility import IvReason
from engine.analytics.nse_style import nse_implied_volatility
from engine.client import EngineClient
from engine.core.commands import PlaceOrder
from engine.core.errors import WorkstationError
from engine.core.orders import OrderRecord
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import QuoteState
from workstation.scripting import connect

AGREES_WITHIN = 0.006
"""Percentage points: the website prints two decimals."""
ZONE = ZoneInfo("Asia/Kolkata")
GZIP_MAGIC = b"\x1f\x8b"
EXPIRY_FORMATS = ("%d-%m-%Y", "%d-%b-%Y")
PATIENCE_S = 30.0
LOOK_S = 0.05


class Printed(msgspec.Struct, frozen=True):
    """One option as the website printed it."""

    expiry: date
    strike: float
    is_call: bool
    last: float
    volatility: float
    """Percent; 0 means that none was printed."""
    bid: float
    ask: float
    open_interest_lots: int

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.strike:.0f} {'CE' if self.is_call else 'PE'}"


class Snapshot(msgspec.Struct, frozen=True):
    """A chain as printed."""

    underlying: str
    spot: float
    moment: datetime
    options: tuple[Printed, ...]


class Difference(msgspec.Struct, frozen=True):
    """A printed volatility that ours does not agree with."""

    option: Printed
    ours: float
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What was found."""

    instruments: str
    session: str
    printed: int
    agreed: int
    differences: tuple[Difference, ...]
    prices_equal: int
    interest_equal: int
    options: int
    order: OrderRecord


def read_snapshot(path: Path) -> Snapshot:
    """Read a file of either shape. Written apart from the exchange's own reader: both would have to be wrong alike."""
    raw = path.read_bytes()
    document = json.loads(gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw)
    body = document.get("records", document)
    options, names = [], set()
    for row in body["data"]:
        for kind in ("CE", "PE"):
            side = row.get(kind)
            if side:
                names.add(side["underlying"])
                options.append(_printed(row, side, is_call=kind == "CE"))
    moment = datetime.strptime(body["timestamp"], "%d-%b-%Y %H:%M:%S").replace(tzinfo=ZONE)
    return Snapshot(names.pop(), float(body["underlyingValue"]), moment, tuple(options))


def _printed(row: dict[str, Any], side: dict[str, Any], *, is_call: bool) -> Printed:
    text = row.get("expiryDates") or row.get("expiryDate") or side["expiryDate"]

    def number(*names: str) -> float:
        return float(next(side[name] for name in names if name in side) or 0)

    return Printed(
        expiry=_expiry(text),
        strike=float(row["strikePrice"]),
        is_call=is_call,
        last=number("lastPrice"),
        volatility=number("impliedVolatility"),
        bid=number("buyPrice1", "bidprice"),
        ask=number("sellPrice1", "askPrice"),
        open_interest_lots=int(number("openInterest")),
    )


def _expiry(text: str) -> date:
    for layout in EXPIRY_FORMATS:
        try:
            return datetime.strptime(text, layout).replace(tzinfo=ZONE).date()
        except ValueError:
            continue
    raise SystemExit(f"the expiry {text} is in none of the formats {EXPIRY_FORMATS}")


async def whole_chain(engine: EngineClient, key: ChainKey) -> ChainView:
    """The chain once every contract of it has been heard of."""
    await engine.watch_chain(key)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            view = engine.chain(key)
            if view is not None and view.header.spot is not None:
                sides = (view.calls, view.puts)
                if all(((side.state != QuoteState.UNKNOWN) | (side.token == 0)).all() for side in sides):
                    return view
            await asyncio.sleep(LOOK_S)


async def report_on(engine: EngineClient, snapshot: Snapshot) -> Report:
    """Compare the desk with the snapshot and fill one order."""
    expiry = min(option.expiry for option in snapshot.options)
    options = [option for option in snapshot.options if option.expiry == expiry]
    view = await whole_chain(engine, ChainKey(snapshot.underlying, expiry))
    session = engine.desk().status.session
    row_of = {strike: row for row, strike in enumerate(view.strikes.tolist())}
    rows = [row_of[option.strike] for option in options]
    sides = [view.calls if option.is_call else view.puts for option in options]
    last = np.array([side.last[row] for side, row in zip(sides, rows, strict=True)])
    days = (expiry - session.market_time.astimezone(ZONE).date()).days
    strikes = np.array([option.strike for option in options])
    is_call = np.array([option.is_call for option in options])
    ours, reasons = nse_implied_volatility(last, view.header.spot or np.nan, strikes, days, is_call=is_call)
    printed = [number for number, option in enumerate(options) if option.volatility > 0]
    differences = [
        Difference(options[number], float(ours[number]), _reason(options[number], float(ours[number]), reasons[number]))
        for number in printed
        if not abs(float(ours[number]) - options[number].volatility) <= AGREES_WITHIN
    ]
    equal = interest = 0
    for option, side, row in zip(options, sides, rows, strict=True):
        shown = (side.bid[row], side.ask[row], side.last[row])
        equal += all(
            _same(ours_, theirs) for ours_, theirs in zip(shown, (option.bid, option.ask, option.last), strict=True)
        )
        interest += int(side.open_interest[row]) == option.open_interest_lots * view.header.lot_size
    doctor = {check.name: check.message for check in (await engine.doctor()).checks}
    order = await one_order(engine, view)
    return Report(
        instruments=doctor["instruments"],
        session=f"{session.market_time.astimezone(ZONE):%a %d %b %Y %H:%M} IST, {session.state}"
        + (", extended" if session.extended else ""),
        printed=len(printed),
        agreed=len(printed) - len(differences),
        differences=tuple(differences),
        prices_equal=equal,
        interest_equal=interest,
        options=len(options),
        order=order,
    )


def _same(shown: float, printed: float) -> bool:
    """Whether a price on the desk is the printed one; no quote is NaN here and 0 there."""
    return bool(np.isnan(shown)) if printed == 0 else abs(shown - printed) < AGREES_WITHIN


def _reason(option: Printed, ours: float, code: int) -> str:
    reason = IvReason(int(code))
    if reason is IvReason.BELOW_INTRINSIC:
        return f"the last price {option.last:,.2f} is below the intrinsic value on this convention"
    if reason is not IvReason.OK:
        return reason.name
    return f"the last price {option.last:,.2f} gives {ours:.2f}"


async def one_order(engine: EngineClient, view: ChainView) -> OrderRecord:
    """Buy one lot at the money at the offered price and follow it to its end."""
    expiry = view.header.labels[0]
    interpretation = await engine.interpret(
        f"buy 1L {view.key.underlying.lower()} {view.header.atm_strike:.0f} ce {expiry} @ ask"
    )
    if not isinstance(interpretation.command, PlaceOrder):
        raise SystemExit(interpretation.error.message if interpretation.error else "no order")
    receipt = await engine.submit(interpretation.command)
    if not receipt.accepted:
        raise SystemExit(receipt.message)
    (record,) = receipt.orders
    async with asyncio.timeout(PATIENCE_S):
        while not record.state.is_terminal:
            await asyncio.sleep(LOOK_S)
            record = next(order for order in await engine.orders() if order.number == record.number)
    return record


def show(report: Report) -> None:
    """Print it."""
    print(f"session      {report.session}")
    print(f"instruments  {report.instruments}")
    print(f"prices       {report.prices_equal} of {report.options} options show bid, ask and last as printed")
    print(f"interest     {report.interest_equal} of {report.options} show the printed lots, in units")
    print(f"volatility   {report.agreed} of {report.printed} printed agree within {AGREES_WITHIN}; the rest:")
    for difference in report.differences:
        print(f"             {difference.option.name}: printed {difference.option.volatility}, {difference.reason}")
    order = report.order
    print(
        f"order        o{order.number} {order.state}: {order.request.side} {order.filled_quantity} "
        f"{order.request.instrument} at {order.average_price}"
    )


async def run(instruments: Path, snapshot: Path) -> None:
    """Open, compare, print."""
    with tempfile.TemporaryDirectory(prefix="ws-report-") as folder:
        async with connect(data=Path(folder) / "data", instruments=instruments, snapshot=snapshot, speed=0.0) as engine:
            show(await report_on(engine, read_snapshot(snapshot)))


def main() -> int:
    """Read the command line and run."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("instruments", type=Path, help="a Kite instruments dump, CSV, plain or gzip")
    line.add_argument("snapshot", type=Path, help="an option-chain JSON, plain or gzip")
    options = line.parse_args()
    try:
        asyncio.run(run(options.instruments, options.snapshot))
    except WorkstationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
