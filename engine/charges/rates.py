"""The dated rates of charges, read from a data file and handed out for one contract on one day.

Invariant: a file is taken whole or refused whole, with the file, the key and what is allowed there. A day before the
first row of a rate, or after the file's ``last_day``, has no rate: that is said, never filled in from a neighbour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import msgspec

from engine.charges.contracts import CHARGED_EXCHANGES, Contract, check_exchange
from engine.core.errors import InvalidInput, SetupError
from engine.core.money import ZERO
from engine.core.vocabulary import Exchange, InstrumentKind

CHARGES_FILE: Final = "charges.toml"
RATE_LIMIT: Final = Decimal("0.01")
"""No charge on traded value comes near 1 %: a rate at or above it was written in percent."""
TAX_LIMIT: Final = Decimal(1)
"""A tax on charges is a fraction too."""
ORDER_LIMIT: Final = Decimal(1000)
"""Rupees; a brokerage per order above it is a slip of the pen."""

DataFile = Path | Traversable
ContractKind = Literal["option", "future"]


class DatedRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """A row in force from a day until the next row of its list."""

    since: date
    source: str


class BrokerageRow(DatedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the broker takes per executed order, rupees."""

    option_order: Decimal
    option_exercise: Decimal
    """For an in-the-money option that settles at expiry."""
    future_rate: Decimal
    """Fraction of the order's value."""
    future_order_most: Decimal


class SttRow(DatedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Securities transaction tax, fractions."""

    option_sell: Decimal
    """Of the premium."""
    option_exercise: Decimal
    """Of the intrinsic value, paid by the holder."""
    future_sell: Decimal


class TransactionRow(DatedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange's charge and its investor protection fund, fractions, both sides."""

    exchange: Exchange
    kind: ContractKind
    underlyings: tuple[str, ...] = ()
    """Only these; without any, all that no other row of the exchange and kind names."""
    rate: Decimal
    ipft: Decimal


class StampRow(DatedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stamp duty of the buyer, fractions."""

    option_buy: Decimal
    future_buy: Decimal


class PlainRow(DatedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fraction for all."""

    rate: Decimal


class ChargeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of ``charges.toml``."""

    checked: date
    """When a person last compared the rates with their sources."""
    last_day: date
    """Days after it have no rates."""
    brokerage: tuple[BrokerageRow, ...]
    stt: tuple[SttRow, ...]
    transaction: tuple[TransactionRow, ...]
    sebi: tuple[PlainRow, ...]
    stamp: tuple[StampRow, ...]
    gst: tuple[PlainRow, ...]


class LegRates(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one order in one contract pays on one day; fractions of its value unless said otherwise."""

    brokerage_rate: Decimal | None
    """``None`` where the broker takes the flat amount whatever the value."""
    brokerage_most: Decimal
    """Rupees per executed order: the flat amount, or the most that ``brokerage_rate`` comes to."""
    stt_sell: Decimal
    transaction: Decimal
    ipft: Decimal
    sebi: Decimal
    stamp_buy: Decimal
    gst: Decimal
    """Of brokerage, transaction charge, ipft and sebi together."""


class ExerciseRates(msgspec.Struct, frozen=True, kw_only=True):
    """What an in-the-money option pays when it settles at expiry."""

    brokerage: Decimal
    """Rupees per order."""
    stt: Decimal
    """Fraction of the intrinsic value; the holder pays it."""
    gst: Decimal
    """Of the brokerage."""


_Row = TypeVar("_Row", bound=DatedRow)


class _Series(Generic[_Row]):
    """Rows of one rate in order of their day."""

    def __init__(self, name: str, rows: Iterable[_Row]) -> None:
        self.name = name
        self.rows = tuple(sorted(rows, key=lambda row: row.since))
        self._since = tuple(row.since for row in self.rows)

    def on(self, day: date) -> _Row:
        """The row in force on ``day``.

        Raises:
            InvalidInput: the first row begins later.
        """
        place = bisect_right(self._since, day)
        if not place:
            raise InvalidInput(
                f"The {self.name} of {day} is not known: rates are kept from {self._since[0]} on.", field="day"
            )
        return self.rows[place - 1]


class ChargeRates:
    """The rates of a table by contract and day.

    Args:
        table: dated rows, in any order; each list but ``transaction`` has at least one.

    Raises:
        ValueError: rows that contradict each other, or a rate that cannot be one; the words begin with its key.
    """

    def __init__(self, table: ChargeTable) -> None:
        _check(table)
        self.checked = table.checked
        self.last_day = table.last_day
        self._brokerage = _Series("brokerage", table.brokerage)
        self._stt = _Series("securities transaction tax", table.stt)
        self._sebi = _Series("regulator's fee", table.sebi)
        self._stamp = _Series("stamp duty", table.stamp)
        self._gst = _Series("goods and services tax", table.gst)
        self._transaction = {
            place: _Series(f"transaction charge of {_place_words(place)}", rows)
            for place, rows in _by_place(table.transaction).items()
        }

    def leg(self, contract: Contract, day: date) -> LegRates:
        """What one order in ``contract`` pays on ``day``, the exchange's date.

        Raises:
            InvalidInput: the segment, the contract or the day has no rates.
        """
        is_option = self._check_contract(contract, day)
        transaction = self._transaction_of(contract, is_option).on(day)
        brokerage, stt, stamp = self._brokerage.on(day), self._stt.on(day), self._stamp.on(day)
        return LegRates(
            brokerage_rate=None if is_option else brokerage.future_rate,
            brokerage_most=brokerage.option_order if is_option else brokerage.future_order_most,
            stt_sell=stt.option_sell if is_option else stt.future_sell,
            transaction=transaction.rate,
            ipft=transaction.ipft,
            sebi=self._sebi.on(day).rate,
            stamp_buy=stamp.option_buy if is_option else stamp.future_buy,
            gst=self._gst.on(day).rate,
        )

    def exercise(self, contract: Contract, day: date) -> ExerciseRates:
        """What an in-the-money option pays that settles on ``day``, its expiry.

        Raises:
            InvalidInput: it is no option, or the segment or the day has no rates.
        """
        if not self._check_contract(contract, day):
            raise InvalidInput(f"{contract} is a future: only options are exercised.", field="kind")
        brokerage, stt = self._brokerage.on(day), self._stt.on(day)
        return ExerciseRates(brokerage=brokerage.option_exercise, stt=stt.option_exercise, gst=self._gst.on(day).rate)

    def _check_contract(self, contract: Contract, day: date) -> bool:
        """Whether it is an option; anything but options and futures of NSE and BSE is refused."""
        check_exchange(contract.exchange)
        if not (contract.kind.is_option or contract.kind is InstrumentKind.FUTURE):
            raise InvalidInput(
                f"Charges of {contract} are not known: rates are kept for options (CE, PE) and futures (FUT).",
                field="kind",
            )
        if day > self.last_day:
            raise InvalidInput(
                f"The charges of {day} are not known: rates are stated up to {self.last_day}. "
                "Give a newer file of charges.",
                field="day",
            )
        return contract.kind.is_option

    def _transaction_of(self, contract: Contract, is_option: bool) -> _Series[TransactionRow]:
        kind: ContractKind = "option" if is_option else "future"
        named = self._transaction.get((contract.exchange, kind, contract.underlying))
        # An underlying with rows of its own pays by them alone: before they begin its rate is not known.
        series = named or self._transaction.get((contract.exchange, kind, ""))
        if series is None:
            raise InvalidInput(f"The transaction charge of {contract} is not known.", field="underlying")
        return series


_Place = tuple[Exchange, ContractKind, str]
"""Exchange, kind and underlying; an empty underlying stands for all that have no rows of their own."""


def _by_place(rows: Iterable[TransactionRow]) -> dict[_Place, list[TransactionRow]]:
    places: dict[_Place, list[TransactionRow]] = {}
    for row in rows:
        for underlying in row.underlyings or ("",):
            places.setdefault((row.exchange, row.kind, underlying), []).append(row)
    return places


def _place_words(place: _Place) -> str:
    exchange, kind, underlying = place
    return f"{underlying} {kind}s on {exchange}".strip()


def read_charge_rates(file: DataFile | None = None) -> ChargeRates:
    """Read the rates from ``file`` or the one shipped.

    Raises:
        SetupError: the file cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    source = file if file is not None else files("engine.charges") / "data" / CHARGES_FILE
    try:
        table = msgspec.toml.decode(source.read_bytes(), type=ChargeTable)
        return ChargeRates(table)
    except OSError as error:
        raise SetupError(f"{source} cannot be read: {error.strerror or error}.") from error
    except msgspec.ValidationError as error:
        raise SetupError(f"{source}: {str(error).replace('`$.', '`')}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{source} is not TOML: {error}.") from error
    except ValueError as error:
        raise SetupError(f"{source}: {error}.") from error


def _check(table: ChargeTable) -> None:
    """Refuse rates that cannot be ones, and rows that contradict each other."""
    for name in ("brokerage", "stt", "sebi", "stamp", "gst"):
        rows: tuple[DatedRow, ...] = getattr(table, name)
        if not rows:
            raise ValueError(f"`{name}` has no row; each charge needs one")
        _check_days(name, rows, table.last_day)
    for place, rows_there in _by_place(table.transaction).items():
        _check_days(f"transaction ({_place_words(place)})", rows_there, table.last_day)
    for number, row in enumerate(table.transaction):
        if row.exchange not in CHARGED_EXCHANGES:
            allowed = " or ".join(CHARGED_EXCHANGES)
            raise ValueError(f"`transaction[{number}].exchange` is {row.exchange}; it must be {allowed}")
    for key, value, limit in _numbers(table):
        if not (value.is_finite() and ZERO <= value < limit):
            raise ValueError(f"`{key}` is {value}; it must be at least 0 and less than {limit} (0.0015 is 0.15 %)")


def _check_days(name: str, rows: Iterable[DatedRow], last_day: date) -> None:
    days = sorted(row.since for row in rows)
    for earlier, later in pairwise(days):
        if earlier == later:
            raise ValueError(f"`{name}` has two rows with `from` {later}; each day begins one row at most")
    if days[-1] > last_day:
        raise ValueError(f"`last_day` is {last_day}, before the row of `{name}` with `from` {days[-1]}")


def _numbers(table: ChargeTable) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Key, value and limit of every number in the table."""
    amounts = {"option_order", "option_exercise", "future_order_most"}
    for name in ("brokerage", "stt", "transaction", "sebi", "stamp", "gst"):
        for number, row in enumerate(getattr(table, name)):
            for key, value in msgspec.structs.asdict(row).items():
                if isinstance(value, Decimal):
                    limit = TAX_LIMIT if name == "gst" else RATE_LIMIT
                    if name == "brokerage" and key in amounts:
                        limit = ORDER_LIMIT
                    yield f"{name}[{number}].{key}", value, limit
