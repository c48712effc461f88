"""The option-chain JSON that the exchange's website serves, in both of its shapes.

Open interest and volume are in lots there, sizes in units; they are kept in those units here and converted where a lot
size is known. A zero price means that there is no such quote; a zero volatility means that none was printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from engine.practice.calendar_facts import IST
from engine.practice.contracts import CALL, PUT, read_text

_PAISE = 100
_TIME_FORMAT = "%d-%b-%Y %H:%M:%S"
_EXPIRY_FORMATS = ("%d-%m-%Y", "%d-%b-%Y")


class SnapshotError(ValueError):
    """A snapshot that cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class SnapshotQuote:
    """One option of a snapshot: prices in paise, sizes in units, open interest and volume in lots."""

    expiry: date
    strike: int
    kind: str
    bid: int
    ask: int
    last: int
    change: int
    bid_size: int
    ask_size: int
    total_buy: int
    total_sell: int
    open_interest_lots: int
    open_interest_change_lots: int
    volume_lots: int
    printed_volatility: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A chain at one moment (epoch seconds); spot in index points."""

    path: str
    moment: float
    underlying: str
    spot: float
    quotes: tuple[SnapshotQuote, ...]


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot file, plain or gzip, of either shape.

    Raises:
        SnapshotError: It is not such a file, or a needed field is missing or ill-typed.
        InstrumentsFileError: The file cannot be read at all.
    """
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise SnapshotError(f"{path} is not JSON: {error}") from error
    return parse_snapshot(document, str(path))


def parse_snapshot(document: object, path: str) -> Snapshot:
    """Turn a decoded document of either shape into a snapshot.

    Raises:
        SnapshotError: A needed field is missing or ill-typed.
    """
    body = document.get("records", document) if isinstance(document, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(body.get("data"), list):
        raise SnapshotError(f'{path} is not an option chain: it has neither "records.data" nor "data"')
    try:
        moment = datetime.strptime(body["timestamp"], _TIME_FORMAT).replace(tzinfo=IST).timestamp()
        spot = float(body["underlyingValue"])
        quotes: list[SnapshotQuote] = []
        names: set[str] = set()
        for row in body["data"]:
            for kind in (CALL, PUT):
                side = row.get(kind)
                if side:
                    names.add(str(side["underlying"]))
                    quotes.append(_quote(row, side, kind))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SnapshotError(f"{path}: a field is missing or unreadable: {error!r}") from error
    if not quotes or spot <= 0.0:
        raise SnapshotError(f"{path} holds no option with an underlying value")
    if len(names) != 1:
        raise SnapshotError(f"{path} mixes underlyings {sorted(names)}; one is expected")
    return Snapshot(path, moment, names.pop(), spot, tuple(quotes))


def _quote(row: Mapping[str, Any], side: Mapping[str, Any], kind: str) -> SnapshotQuote:
    return SnapshotQuote(
        expiry=_expiry(row.get("expiryDates") or row.get("expiryDate") or side["expiryDate"]),
        strike=_paise(row["strikePrice"]),
        kind=kind,
        bid=_paise(_first(side, "buyPrice1", "bidprice", "bidPrice")),
        ask=_paise(_first(side, "sellPrice1", "askPrice", "askprice")),
        last=_paise(side["lastPrice"]),
        change=_paise(side.get("change") or 0),
        bid_size=int(_first(side, "buyQuantity1", "bidQty")),
        ask_size=int(_first(side, "sellQuantity1", "askQty")),
        total_buy=int(side.get("totalBuyQuantity") or 0),
        total_sell=int(side.get("totalSellQuantity") or 0),
        open_interest_lots=int(side["openInterest"]),
        open_interest_change_lots=int(side.get("changeinOpenInterest") or 0),
        volume_lots=int(side["totalTradedVolume"]),
        printed_volatility=float(side.get("impliedVolatility") or 0.0),
    )


def _first(side: Mapping[str, Any], *names: str) -> float:
    for name in names:
        if name in side:
            return float(side[name] or 0)
    raise KeyError(names[0])


def _paise(price: float | str) -> int:
    return round(float(price) * _PAISE)


def _expiry(text: str) -> date:
    for layout in _EXPIRY_FORMATS:
        try:
            return datetime.strptime(text, layout).replace(tzinfo=IST).date()
        except ValueError:
            continue
    raise ValueError(f"expiry {text!r} is in none of the known formats {_EXPIRY_FORMATS}")
