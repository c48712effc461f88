"""What quantity costs when one strategy hands it to another: its average price, or a mark of now.

Invariant: both sides of a transfer have one price, so the account's money is the same before and after, on every mark.
At the average the giving strategy realises nothing; at a mark it realises what it has gained, and the other begins
there.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from engine.core.errors import InvalidInput, Refused
from engine.core.strategies import Leg
from engine.core.vocabulary import Mark
from engine.portfolio.marks import Marks
from engine.portfolio.valuation import leg_name

MARKS_OF_TRANSFERS = (Mark.MID, Mark.LAST)
"""An exit's price is what leaving costs one side; nobody leaves here."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What a move would do."""

    quantity: int
    """Units, > 0."""
    price: Decimal
    """Rupees per unit."""
    realised: Decimal
    """What the giving strategy would realise by it, rupees, gross; 0 at the average."""


def transfer_of(leg: Leg, quantity: int, price: Decimal) -> Transfer:
    """Handing ``quantity`` units (> 0, at most what is held) of a leg over at ``price``."""
    holding = leg.holding
    signed = quantity if holding.signed_quantity > 0 else -quantity
    return Transfer(quantity=quantity, price=price, realised=signed * (price - holding.average_price))


def transfer_price(leg: Leg, mark: Mark | None, marks: Marks) -> Decimal:
    """Rupees per unit at which a leg changes hands: at ``mark``, or at its average price when that is ``None``.

    Raises:
        InvalidInput: the mark is none that both sides could take.
        Refused: there is no such price now that may become history.
    """
    if mark is None:
        return leg.holding.average_price
    if mark not in MARKS_OF_TRANSFERS:
        raise InvalidInput(f"A leg changes hands at mid, at last or at average, not at {mark}.", field="mark")
    token, held = leg.token, leg.holding.signed_quantity
    (found,) = marks.marks(((token, held),))
    columns = marks.columns(np.array([token], np.int64), np.array([held], np.int64))
    price = found.of(mark)
    if price is None or not columns.trusted[0]:
        why = f" ({found.reason})" if found.reason else ""
        raise Refused(
            f"Leg {leg_name(leg)} {leg.instrument} has no {mark} now that may be written down{why}. Wait for one, or "
            "move it at its average price."
        )
    return price


def price_words(mark: Mark | None) -> str:
    """What the price of a transfer is called."""
    return "average price" if mark is None else str(mark)
