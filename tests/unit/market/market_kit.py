"""Made-up instruments for tests of the market package."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from engine.core.instruments import SEGMENT_INDICES, Instrument
from engine.core.vocabulary import Exchange, InstrumentKind

W0 = date(2026, 12, 1)
W1 = date(2026, 12, 8)
M0 = date(2026, 12, 29)
M1 = date(2027, 1, 26)
Q1 = date(2027, 3, 30)
NIFTY_STRIKES = tuple(range(23_500, 24_501, 50))


class Dump:
    """Collects rows; tokens are given in order, as an exchange would."""

    def __init__(self) -> None:
        self.rows: list[Instrument] = []
        self._exchange_tokens: Iterator[int] = itertools.count(40_000)

    def index(self, symbol: str, token: int, exchange: Exchange = Exchange.NSE) -> Instrument:
        """Add an index row."""
        return self._add(
            Instrument(
                token=token,
                exchange_token=token >> 8,
                tradingsymbol=symbol,
                exchange=exchange,
                name=symbol,
                kind=InstrumentKind.INDEX,
                segment=SEGMENT_INDICES,
            )
        )

    def future(self, name: str, expiry: date, lot_size: int, exchange: Exchange = Exchange.NFO) -> Instrument:
        """Add a future."""
        number = next(self._exchange_tokens)
        return self._add(
            Instrument(
                token=number * 256 + 2,
                exchange_token=number,
                tradingsymbol=f"{name}{expiry:%y%b}FUT".upper(),
                exchange=exchange,
                name=name,
                kind=InstrumentKind.FUTURE,
                segment=f"{exchange}-FUT",
                expiry=expiry,
                lot_size=lot_size,
            )
        )

    def option(
        self,
        name: str,
        expiry: date,
        strike: int | str,
        kind: InstrumentKind,
        lot_size: int,
        *,
        exchange: Exchange = Exchange.NFO,
    ) -> Instrument:
        """Add a call or put."""
        number = next(self._exchange_tokens)
        return self._add(
            Instrument(
                token=number * 256 + 2,
                exchange_token=number,
                tradingsymbol=f"{name}{expiry:%y%m%d}{strike}{kind}",
                exchange=exchange,
                name=name,
                kind=kind,
                segment=f"{exchange}-OPT",
                expiry=expiry,
                strike=Decimal(strike),
                lot_size=lot_size,
            )
        )

    def ladder(
        self, name: str, expiry: date, strikes: Iterable[int], lot_size: int, exchange: Exchange = Exchange.NFO
    ) -> None:
        """Add a call and a put at each strike."""
        for strike in strikes:
            self.option(name, expiry, strike, InstrumentKind.CALL, lot_size, exchange=exchange)
            self.option(name, expiry, strike, InstrumentKind.PUT, lot_size, exchange=exchange)

    def _add(self, row: Instrument) -> Instrument:
        self.rows.append(row)
        return row


def desk_dump() -> Dump:
    """Three indices, one stock and a second lot size in the far expiry."""
    dump = Dump()
    dump.index("NIFTY 50", 256_265)
    dump.index("NIFTY BANK", 260_105)
    dump.index("SENSEX", 265, Exchange.BSE)
    for expiry in (W0, W1, M0):
        dump.ladder("NIFTY", expiry, NIFTY_STRIKES, 65)
    dump.ladder("NIFTY", M1, NIFTY_STRIKES, 75)
    dump.ladder("NIFTY", Q1, range(22_500, 25_501, 500), 75)
    dump.option("NIFTY", W0, 30_000, InstrumentKind.PUT, 65)
    dump.option("NIFTY", W0, 18_000, InstrumentKind.CALL, 65)
    dump.future("NIFTY", M0, 65)
    dump.future("NIFTY", M1, 75)
    dump.ladder("BANKNIFTY", M0, range(56_000, 58_001, 100), 30)
    dump.future("BANKNIFTY", M0, 30)
    dump.future("BANKNIFTY", M1, 30)
    dump.ladder("SENSEX", date(2026, 12, 3), range(79_000, 81_001, 100), 20, Exchange.BFO)
    dump.ladder("BANKBARODA", M0, range(240, 281, 5), 2_925)
    dump.option("BANKBARODA", M0, "242.5", InstrumentKind.CALL, 2_925)
    dump.future("BANKBARODA", M0, 2_925)
    return dump
