"""What is listed on one day, and which of it the market can price.

All contracts can be searched and asked for; those without a price stay unquoted: they are missing in quotes and send no
ticks. Invariant: the rows of the priced table keep their order for the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.contracts import CALL, CSV_HEADER, FUTURE, Contract
from engine.practice.noise import BoolArray, FloatArray, IntArray, KeyArray, name_key

_PAISE = 100.0


@dataclass(frozen=True, slots=True)
class PricedTable:
    """Columns of the contracts that have a price, one row each (strikes in rupees, ticks in paise, lots in units)."""

    token: IntArray
    underlying: IntArray
    strike: FloatArray
    is_call: BoolArray
    is_future: BoolArray
    expires: FloatArray
    tick: IntArray
    lot: IntArray
    key: KeyArray
    monthly: BoolArray
    expiry_group: IntArray
    groups: tuple[tuple[int, date], ...]

    def __len__(self) -> int:
        return int(self.token.size)


class Universe:
    """The instruments of one trading day.

    Args:
        contracts: Everything listed, tradable and index rows alike.
        priced: Those of the tradable ones that the market simulates.
        underlyings: Names of the simulated underlyings, in the order of their paths.
        calendar: Gives expiry instants.
        seed: Seed of the market.
    """

    def __init__(
        self,
        contracts: Sequence[Contract],
        priced: Sequence[Contract],
        underlyings: Sequence[str],
        calendar: TradingCalendar,
        seed: int,
    ) -> None:
        self.contracts = tuple(contracts)
        self.by_token = {contract.token: contract for contract in contracts}
        self.by_key = {contract.key: contract for contract in contracts}
        self.priced = tuple(priced)
        self.row_of = {contract.token: row for row, contract in enumerate(priced)}
        self.index_tokens = {contract.token for contract in contracts if contract.is_index}
        self.table = _table(self.priced, underlyings, calendar, seed)

    def csv(self, exchange: str | None = None) -> bytes:
        """Return the dump of one exchange or of all, as the broker serves it."""
        rows = [CSV_HEADER]
        rows.extend(
            contract.csv_row() for contract in self.contracts if exchange is None or contract.exchange == exchange
        )
        return ("\n".join(rows) + "\n").encode()

    def exchanges(self) -> set[str]:
        """Return the exchanges that have instruments."""
        return {contract.exchange for contract in self.contracts}


def near_expiries(contracts: Iterable[Contract], day: date, any_kind: int, monthly: int) -> set[date]:
    """Return the nearest expiries of one underlying's contracts: so many of any kind and so many monthly.

    An expiry is monthly when no later one lies in its month.
    """
    dates = sorted({contract.expiry for contract in contracts if contract.expiry and contract.expiry >= day})
    last_of_month = {(expiry.year, expiry.month): expiry for expiry in dates}
    return {*dates[:any_kind], *sorted(last_of_month.values())[:monthly]}


def _table(priced: Sequence[Contract], underlyings: Sequence[str], calendar: TradingCalendar, seed: int) -> PricedTable:
    number = {name: index for index, name in enumerate(underlyings)}
    groups: dict[tuple[int, date], int] = {}
    instants: dict[date, float] = {}
    flags: dict[tuple[str, date], bool] = {}
    expires, group_of, is_monthly = [], [], []
    for contract in priced:
        expiry = contract.expiry
        if expiry is None:
            raise ValueError(f"{contract.key} has no expiry date, so it cannot be priced")
        expires.append(instants.setdefault(expiry, calendar.expiry_instant(expiry)))
        group_of.append(groups.setdefault((number[contract.name], expiry), len(groups)))
        flag = (contract.name, expiry)
        if flag not in flags:
            flags[flag] = calendar.is_monthly(calendar.underlyings[contract.name], expiry)
        is_monthly.append(flags[flag])
    salt = np.uint64(name_key(f"instrument/{seed}"))
    return PricedTable(
        token=np.array([contract.token for contract in priced], dtype=np.int64),
        underlying=np.array([number[contract.name] for contract in priced], dtype=np.int64),
        # A future has no strike; any positive number keeps the option arithmetic silent on its row.
        strike=np.array([(contract.strike or 100) / _PAISE for contract in priced], dtype=np.float64),
        is_call=np.array([contract.kind == CALL for contract in priced], dtype=np.bool_),
        is_future=np.array([contract.kind == FUTURE for contract in priced], dtype=np.bool_),
        expires=np.array(expires, dtype=np.float64),
        tick=np.array([contract.tick for contract in priced], dtype=np.int64),
        lot=np.array([contract.lot for contract in priced], dtype=np.int64),
        key=(np.array([contract.token for contract in priced], dtype=np.uint64) << np.uint64(32)) ^ salt,
        monthly=np.array(is_monthly, dtype=np.bool_),
        expiry_group=np.array(group_of, dtype=np.int64),
        groups=tuple(groups),
    )
