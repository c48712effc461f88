"""Instruments as the broker's daily dump spells them, so that whoever reads dumps reads the instruments of a tape."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from engine.core.instruments import Instrument
from engine.core.vocabulary import InstrumentKind

COLUMNS: Final = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
_NO_PRICE: Final = "0.0"


def instruments_csv(instruments: Iterable[Instrument]) -> bytes:
    """A dump of ``instruments`` in their order: UTF-8, a header, one row each; indices carry no tick and no lot."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in instruments:
        is_index = one.kind is InstrumentKind.INDEX
        writer.writerow(
            (
                one.token,
                one.exchange_token,
                one.tradingsymbol,
                one.name,
                _NO_PRICE,
                "" if one.expiry is None else one.expiry.isoformat(),
                "0.0" if one.strike is None else _plain(one.strike),
                "0.0" if is_index else _plain(one.tick_size),
                0 if is_index else one.lot_size,
                (InstrumentKind.EQUITY if is_index else one.kind).value,
                one.segment,
                one.exchange.value,
            )
        )
    return text.getvalue().encode("utf-8")


def _plain(value: Decimal) -> str:
    """Digits without an exponent, with at least one place, as the dump has them."""
    text = f"{value:f}"
    return text if "." in text else f"{text}.0"
