"""What decides which rates a contract pays: exchange, option or future, and underlying.

A trading symbol is the lasting name of a contract: expired ones are in no dump any more, and their charges were paid
all the same. So the contract can be read from its symbol alone.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind

CHARGED_EXCHANGES: Final = (Exchange.NFO, Exchange.BFO)
"""Where options and futures of NSE and BSE trade; rates of other segments are not kept."""

_SYMBOL: Final = re.compile(
    r"(?P<underlying>.+?)"
    # The century's years 20 to 49: SENSEX5026AUG… is SENSEX50 of 2026, not SENSEX of 2050.
    r"[2-4]\d"
    r"(?:[A-Z]{3}(?P<future>FUT)"
    # A month by name, or a week by its day: a digit or O, N, D for the month, then two digits.
    r"|(?:[A-Z]{3}|[1-9OND](?:0[1-9]|[12]\d|3[01]))\d+(?:\.\d+)?(?P<option>CE|PE))"
)


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """An option or future as the rates see it."""

    exchange: Exchange
    kind: InstrumentKind
    underlying: str
    """As the dump spells it (``NIFTY``)."""

    def __str__(self) -> str:
        """``NIFTY PE on NFO``."""
        return f"{self.underlying} {self.kind} on {self.exchange}"


def contract_of(instrument: InstrumentKey) -> Contract:
    """Read the contract from exchange and trading symbol, today's or one long expired.

    Raises:
        InvalidInput: another segment than NFO and BFO, or a symbol that names no option or future.
    """
    check_exchange(instrument.exchange)
    match = _SYMBOL.fullmatch(instrument.tradingsymbol)
    if match is None:
        raise InvalidInput(
            f"{instrument} names no option or future, such as NFO:NIFTY26DEC24000CE or NFO:NIFTY26DECFUT; "
            "its charges are not known.",
            field="instrument",
        )
    kind = InstrumentKind(match["option"] or match["future"])
    return Contract(exchange=instrument.exchange, kind=kind, underlying=match["underlying"])


def check_exchange(exchange: Exchange) -> None:
    """Refuse segments whose rates are not kept.

    Raises:
        InvalidInput: it is neither NFO nor BFO.
    """
    if exchange not in CHARGED_EXCHANGES:
        kept = " and ".join(CHARGED_EXCHANGES)
        raise InvalidInput(
            f"Charges on {exchange} are not known: rates are kept for {kept}, options and futures of NSE and BSE.",
            field="exchange",
        )
