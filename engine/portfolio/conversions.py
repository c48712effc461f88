"""What a change of product moves in the ledger: out of a leg at its average price, into its sister in the new product.

No money moves and nothing is realised. Where several strategies hold the contract, the first by number gives first.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.instructions import Conversion
from engine.core.ledger import LedgerEntry, LedgerSource
from engine.portfolio.book import LegKey, PortfolioBook


def conversion_entries(
    book: PortfolioBook, wanted: Conversion, *, at: datetime, reference: str
) -> tuple[tuple[LedgerEntry, ...], int]:
    """The movements, two for each leg that gives, and the units that no leg had to give."""
    entries: list[LedgerEntry] = []
    left = wanted.quantity
    for strategy in book.strategies(archived=True):
        for leg in book.open_legs(strategy.number):
            units = leg.holding.signed_quantity * wanted.side.sign
            if leg.instrument != wanted.instrument or leg.product is not wanted.from_product or units <= 0 or not left:
                continue
            moved = min(units, left)
            left -= moved
            given = LedgerEntry(
                account=strategy.account,
                strategy=leg.strategy,
                leg=leg.number,
                instrument=leg.instrument,
                token=leg.token,
                product=wanted.from_product,
                signed_quantity=-moved * wanted.side.sign,
                price=leg.holding.average_price,
                at=at,
                source=LedgerSource.CONVERSION,
                reference=reference,
            )
            taken = msgspec.structs.replace(
                given,
                leg=book.leg_number(LegKey(leg.strategy, leg.instrument, wanted.to_product)),
                product=wanted.to_product,
                signed_quantity=-given.signed_quantity,
            )
            entries += [given, taken]
    return tuple(entries), left
