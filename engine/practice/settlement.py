"""From one session to the next: what expired is settled in cash, the rest is carried at its close."""

from __future__ import annotations

from collections.abc import Iterable

from engine.practice.book import Carried
from engine.practice.contracts import CALL, Contract
from engine.practice.market import MarketDay
from engine.practice.positions import Position

_PAISE = 100


def settlement_value(contract: Contract, index_level: int) -> int:
    """Return what one unit of an expired contract is worth (paise) at the settlement level of its index (paise)."""
    if not contract.is_option:
        return index_level
    distance = index_level - contract.strike if contract.kind == CALL else contract.strike - index_level
    return max(distance, 0)


def settle(
    cash: float, positions: Iterable[Position], ended: MarketDay, following: MarketDay
) -> tuple[float, tuple[Carried, ...]]:
    """Return (opening cash of the next session in rupees, positions carried into it).

    Args:
        cash: Opening cash of the session that ended.
        positions: Its positions, closed ones included (their premium or gain is cash now).
        ended: The session that ended.
        following: The next session; its previous closes value what is carried.
    """
    carried: list[Carried] = []
    for position in positions:
        contract = ended.universe.by_token[position.token]
        row, next_row = ended.universe.row_of[position.token], following.universe.row_of.get(position.token)
        expired = next_row is None
        if next_row is None:
            level = ended.market.settlement(int(ended.universe.table.underlying[row]))
            close = settlement_value(contract, level)
        else:
            close = int(following.market.close[next_row])
        if contract.is_option:
            cash -= position.premium_paid()
            cash += position.quantity * close / _PAISE if expired else 0.0
        else:
            cash += position.m2m(close / _PAISE)
        if position.quantity and not expired:
            carried.append(
                Carried(
                    position.exchange,
                    position.symbol,
                    position.token,
                    position.product,
                    position.quantity,
                    position.average,
                    close,
                )
            )
    return cash, tuple(carried)
