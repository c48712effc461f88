"""What orders would block: one by one beside what the account holds, and as a basket with the benefit of its hedges.

``initial`` is what is blocked while the legs of a basket go one after another, ``final`` what stays once all are
filled; invariant: ``initial`` is never less than ``final``, part by part. Money in rupees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.practice import wire
from engine.practice.charges import Charges, Note
from engine.practice.contracts import Contract
from engine.practice.floor import Floor
from engine.practice.funds import Funds, Pending
from engine.practice.margins import Requirement
from engine.practice.wire import input_error

_PAISE = 100.0
_SIDES = (wire.BUY, wire.SELL)
_KIND = "equity"
_HIGHEST = 42_949_672.95
"""The highest price that the ticker can show (rupees)."""


class MarginOrder(msgspec.Struct, frozen=True):
    """An order as the calculators take it: numbers, not text."""

    exchange: str
    tradingsymbol: str
    transaction_type: str
    variety: str
    product: str
    order_type: str
    quantity: int
    price: float = 0.0
    trigger_price: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked order: its contract, side, units and the price it is reckoned at (rupees)."""

    contract: Contract
    side: str
    quantity: int
    price: float

    @property
    def signed(self) -> int:
        """Units, negative for a sale."""
        return self.quantity if self.side == wire.BUY else -self.quantity

    @property
    def premium(self) -> float:
        """Premium in rupees, positive when paid; 0 for a future."""
        return self.signed * self.price if self.contract.is_option else 0.0

    @property
    def pending(self) -> Pending:
        """The same as funds reckon with it."""
        return Pending(self.contract.token, self.side, self.quantity, round(self.price * _PAISE))


@dataclass(frozen=True, slots=True)
class Block:
    """What an order or a basket blocks."""

    span: float = 0.0
    exposure: float = 0.0
    premium: float = 0.0

    @property
    def total(self) -> float:
        """All parts."""
        return self.span + self.exposure + self.premium

    def to_wire(self, contract: Contract | None, note: dict[str, Any], *, compact: bool = False) -> dict[str, Any]:
        """Return the element of the answer; a basket's sums have no contract, a compact one is the total alone."""
        name = {
            "type": _KIND if contract else "",
            "tradingsymbol": contract.symbol if contract else "",
            "exchange": contract.exchange if contract else "",
        }
        if compact:
            return name | {"total": self.total}
        return name | {
            "span": self.span,
            "exposure": self.exposure,
            "option_premium": self.premium,
            "additional": 0,
            "bo": 0,
            "cash": 0,
            "var": 0,
            "pnl": {"realised": 0, "unrealised": 0},
            "leverage": 1 if contract else 0,
            "charges": note,
            "total": self.total,
        }


def read_asked(row: MarginOrder, floor: Floor) -> Asked:
    """Check one order of a calculation.

    Raises:
        KiteError: HTTP 400, what is wrong with which field.
    """
    universe = floor.day.universe
    contract = universe.by_key.get(f"{row.exchange}:{row.tradingsymbol}")
    number = None if contract is None else universe.row_of.get(contract.token)
    if contract is None or contract.is_index or number is None:
        raise input_error(f"Invalid `tradingsymbol`: {row.exchange}:{row.tradingsymbol} is not traded here.")
    for name, allowed in (
        ("transaction_type", _SIDES),
        ("variety", wire.VARIETIES),
        ("product", (wire.NRML, wire.MIS)),
        ("order_type", (wire.MARKET, wire.LIMIT, wire.STOP_LIMIT, wire.STOP_MARKET)),
    ):
        if getattr(row, name) not in allowed:
            raise input_error(f"Invalid `{name}`: {getattr(row, name)}. Allowed are {', '.join(allowed)}.")
    if row.quantity <= 0 or (contract.lot and row.quantity % contract.lot):
        raise input_error(f"Invalid `quantity`. It should be in multiples of the lot size {contract.lot}.")
    if not (0.0 <= row.price <= _HIGHEST and 0.0 <= row.trigger_price <= _HIGHEST):
        raise input_error(f"Invalid `price`. It should lie between 0 and {_HIGHEST:.2f}.")
    last = int(floor.quotes.last[number]) / _PAISE
    price = row.price if row.order_type in {wire.LIMIT, wire.STOP_LIMIT} and row.price else last
    return Asked(contract, row.transaction_type, row.quantity, price)


class MarginCalculator:
    """Answers the margin calculators.

    Args:
        floor: The market now.
        funds: What the account holds and has ordered.
        charges: The contract note's rates.
    """

    def __init__(self, floor: Floor, funds: Funds, charges: Charges) -> None:
        self._floor = floor
        self._funds = funds
        self._charges = charges

    def note(self, asked: Asked) -> Note:
        """Return the charges of an order filled at its price."""
        day = self._floor.day.session.day
        return self._charges.note(asked.contract, asked.side, asked.quantity, asked.price, day)

    def orders(self, asked: Sequence[Asked]) -> list[Block]:
        """Return what each order would block by itself, beside positions and open orders: what its placement needs."""
        day, quotes = self._floor.day, self._floor.quotes
        others = self._funds.open_orders()
        before, reserved = self._funds.blocked(day, quotes, others)
        blocks = []
        for row in asked:
            after, premium = self._funds.blocked(day, quotes, [*others, row.pending])
            blocks.append(_block(after.beyond(before), premium - reserved))
        return blocks

    def basket(self, asked: Sequence[Asked], *, consider_positions: bool) -> tuple[Block, Block, list[Block]]:
        """Return (initial, final, each leg by itself) of a basket."""
        funds = self._funds
        held = funds.held() if consider_positions else {}
        held = {token: units for token, units in held.items() if units}
        tokens = {*held, *(row.contract.token for row in asked)}
        legs = funds.legs(self._floor.day, self._floor.quotes, tokens)
        before = funds.requirement(legs, held)

        def adds(rows: Sequence[Asked]) -> Requirement:
            after: dict[int, int] = dict(held)
            for row in rows:
                after[row.contract.token] = after.get(row.contract.token, 0) + row.signed
            return funds.requirement(legs, after).beyond(before)

        each = [_block(adds([row]), max(row.premium, 0.0)) for row in asked]
        final = _block(adds(asked), sum(row.premium for row in asked))
        initial = Block(
            max(sum(row.span for row in each), final.span),
            max(sum(row.exposure for row in each), final.exposure),
            sum(row.premium for row in each),
        )
        return initial, final, each


def _block(added: Requirement, premium: float) -> Block:
    """Return a block; what lowers the requirement blocks nothing and frees nothing in advance."""
    return Block(max(added.span, 0.0), max(added.exposure, 0.0), premium)


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Read a boolean of the query: ``true`` in any case, or ``1``."""
    return query.get(name, "").lower() in {"true", "1"}
