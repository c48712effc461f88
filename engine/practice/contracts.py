"""The list of instruments: made up for a day, or read from a real Kite dump.

Invariant: a contract's token, symbol and lot never change while it is listed, whatever day the list is made for.
Made-up tokens are built from what the contract *is*, so that a restarted or re-listed exchange gives the same
numbers.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from engine.practice.calendar_facts import TradingCalendar, UnderlyingFacts

CSV_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
SEGMENTS = {"NSE": 1, "NFO": 2, "BSE": 4, "BFO": 5, "INDICES": 9}
FUTURE, CALL, PUT, INDEX = "FUT", "CE", "PE", "EQ"
INDEX_SEGMENT = "INDICES"
VIX_SYMBOL, VIX_TOKEN = "INDIA VIX", 264969
_MONTH_CODES = "123456789OND"
_INDEX_TICK = 0
_PAISE = 100
_EPOCH_WEEK = date(2024, 1, 1)
_WEEKS, _STRIKES = 64, 2048
_TOKEN_BASE = 40_000
_GZIP_MAGIC = b"\x1f\x8b"


class InstrumentsFileError(ValueError):
    """A file of instruments that cannot be used; the message names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One row of the instrument list; strike and tick in paise, lot in units."""

    token: int
    exchange_token: int
    symbol: str
    name: str
    expiry: date | None
    strike: int
    tick: int
    lot: int
    kind: str
    segment: str
    exchange: str

    @property
    def key(self) -> str:
        """``EXCHANGE:SYMBOL``, as quotes are asked for."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def is_option(self) -> bool:
        """True for calls and puts."""
        return self.kind in {CALL, PUT}

    @property
    def is_index(self) -> bool:
        """True for index values, which cannot be traded."""
        return self.segment == INDEX_SEGMENT

    def csv_row(self) -> str:
        """Return the row as the broker's dump writes it."""
        expiry = self.expiry.isoformat() if self.expiry else ""
        return (
            f"{self.token},{self.exchange_token},{self.symbol},{self.name},0.0,{expiry},{_plain(self.strike)},"
            f"{_plain(self.tick)},{self.lot},{self.kind},{self.segment},{self.exchange}"
        )


def _plain(paise: int) -> str:
    return str(paise / _PAISE)


def option_symbol(name: str, expiry: date, strike_paise: int, kind: str, *, monthly: bool) -> str:
    """Return Kite's symbol of an option: ``NIFTY26N1724000CE`` (weekly) or ``NIFTY26NOV24000CE`` (monthly)."""
    strike = f"{strike_paise / _PAISE:g}" if strike_paise % _PAISE else str(strike_paise // _PAISE)
    if monthly:
        return f"{name}{expiry:%y}{expiry:%b}".upper() + f"{strike}{kind}"
    return f"{name}{expiry:%y}{_MONTH_CODES[expiry.month - 1]}{expiry:%d}{strike}{kind}"


def future_symbol(name: str, expiry: date) -> str:
    """Return Kite's symbol of a monthly future: ``NIFTY26NOVFUT``."""
    return f"{name}{expiry:%y}{expiry:%b}FUT".upper()


class TokenMint:
    """Gives made-up contracts tokens that depend only on the contract, avoiding those already taken."""

    def __init__(self, order: Mapping[str, int], taken: Iterable[int] = ()) -> None:
        self._order = order
        self._taken = set(taken)

    def mint(self, facts: UnderlyingFacts, expiry: date, strike: int, kind: str) -> tuple[int, int]:
        """Return (instrument token, exchange token) of a contract of an underlying.

        Args:
            facts: The underlying.
            expiry: Expiry date.
            strike: Strike in paise, 0 for a future.
            kind: ``CE``, ``PE`` or ``FUT``.
        """
        week = (expiry - _EPOCH_WEEK).days // 7 % _WEEKS
        step = strike // (facts.strike_step * _PAISE) % _STRIKES
        number = ((self._order[facts.name] * _WEEKS + week) * _STRIKES + step) * 2 + (kind == PUT)
        exchange_token = _TOKEN_BASE + number
        segment = SEGMENTS[facts.exchange]
        while exchange_token * 256 + segment in self._taken:
            exchange_token += 1
        token = exchange_token * 256 + segment
        self._taken.add(token)
        return token, exchange_token


def token_order(facts: Mapping[str, UnderlyingFacts]) -> dict[str, int]:
    """Number the underlyings within their exchange, in the order of the data file."""
    counts: dict[str, int] = {}
    order: dict[str, int] = {}
    for name, row in facts.items():
        order[name] = counts.get(row.exchange, 0)
        counts[row.exchange] = order[name] + 1
    return order


def index_contracts(facts: Iterable[UnderlyingFacts]) -> list[Contract]:
    """Return the index rows of the underlyings and of the volatility index."""
    rows = [
        Contract(
            row.index_token,
            row.index_token >> 8,
            row.index_symbol,
            row.index_symbol,
            None,
            0,
            _INDEX_TICK,
            0,
            INDEX,
            INDEX_SEGMENT,
            row.index_exchange,
        )
        for row in facts
    ]
    rows.append(
        Contract(
            VIX_TOKEN, VIX_TOKEN >> 8, VIX_SYMBOL, VIX_SYMBOL, None, 0, _INDEX_TICK, 0, INDEX, INDEX_SEGMENT, "NSE"
        )
    )
    return rows


def ladder(low: float, high: float, step: int) -> list[int]:
    """Return all strikes (paise) from one index level to another, both ends rounded outwards to the step."""
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step * _PAISE for number in range(first, last + 1)]


def generated_contracts(
    calendar: TradingCalendar,
    facts: UnderlyingFacts,
    day: date,
    *,
    low: float,
    high: float,
    weeklies: int,
    monthlies: int,
    mint: TokenMint,
) -> list[Contract]:
    """Return the futures and options of one underlying that are listed on a day.

    Args:
        calendar: Gives the expiry dates.
        facts: The underlying.
        day: The trading day.
        low: Index level of the lowest strike.
        high: Index level of the highest strike.
        weeklies: How many nearest expiries of any kind.
        monthlies: How many nearest monthly expiries.
        mint: Gives the tokens.
    """
    expiries, monthly = calendar.listed_expiries(facts, day, weeklies, monthlies)
    rows: list[Contract] = []
    for expiry in monthly:
        token, exchange_token = mint.mint(facts, expiry, 0, FUTURE)
        rows.append(
            Contract(
                token,
                exchange_token,
                future_symbol(facts.name, expiry),
                facts.name,
                expiry,
                0,
                facts.future_tick,
                facts.lot_size,
                FUTURE,
                f"{facts.exchange}-FUT",
                facts.exchange,
            )
        )
    strikes = ladder(low, high, facts.strike_step)
    for expiry in expiries:
        is_monthly = calendar.is_monthly(facts, expiry)
        rows.extend(
            option_contract(facts, expiry, strike, kind, lot=facts.lot_size, mint=mint, monthly=is_monthly)
            for strike in strikes
            for kind in (CALL, PUT)
        )
    return rows


def option_contract(
    facts: UnderlyingFacts,
    expiry: date,
    strike: int,
    kind: str,
    *,
    lot: int,
    mint: TokenMint,
    monthly: bool,
) -> Contract:
    """Return one made-up option contract (strike in paise)."""
    token, exchange_token = mint.mint(facts, expiry, strike, kind)
    return Contract(
        token,
        exchange_token,
        option_symbol(facts.name, expiry, strike, kind, monthly=monthly),
        facts.name,
        expiry,
        strike,
        facts.option_tick,
        lot,
        kind,
        f"{facts.exchange}-OPT",
        facts.exchange,
    )


def read_text(path: Path) -> str:
    """Return the text of a plain or gzip-compressed file.

    Raises:
        InstrumentsFileError: The file is missing, unreadable, or not text.
    """
    try:
        raw = path.read_bytes()
        if raw.startswith(_GZIP_MAGIC):
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InstrumentsFileError(f"{path} cannot be read: {error}") from error


def read_dump(path: Path) -> list[Contract]:
    """Read a Kite instruments dump (plain or gzip).

    Raises:
        InstrumentsFileError: A column is missing or a row does not parse; names the line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)))
    wanted = CSV_HEADER.split(",")
    missing = [column for column in wanted if column not in (reader.fieldnames or ())]
    if missing:
        raise InstrumentsFileError(
            f"{path} is not a Kite instruments dump: columns {', '.join(missing)} are missing; expected {CSV_HEADER}"
        )
    rows: list[Contract] = []
    for number, row in enumerate(reader, start=2):
        try:
            rows.append(
                Contract(
                    int(row["instrument_token"]),
                    int(row["exchange_token"]),
                    row["tradingsymbol"],
                    row["name"],
                    date.fromisoformat(row["expiry"]) if row["expiry"] else None,
                    round(float(row["strike"] or 0) * _PAISE),
                    round(float(row["tick_size"]) * _PAISE),
                    int(float(row["lot_size"])),
                    row["instrument_type"],
                    row["segment"],
                    row["exchange"],
                )
            )
        except (TypeError, ValueError) as error:
            raise InstrumentsFileError(f"{path}, line {number}: {error}") from error
    if not rows:
        raise InstrumentsFileError(f"{path} holds no instruments")
    return rows
