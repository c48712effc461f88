"""The dated charges as rows of the rule pack: the same file the charges are computed from, told in words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Final, TypeVar

import msgspec

from engine.charges.rates import (
    CHARGES_FILE,
    BrokerageRow,
    ChargeTable,
    DatedRow,
    PlainRow,
    StampRow,
    SttRow,
    TransactionRow,
)
from engine.core.rulebook import Certainty, RuleRow

TOPIC: Final = "charges"
_ONE_DAY: Final = timedelta(days=1)
_PERCENT: Final = 100
_ONE_SOURCE: Final = "(one source)"
"""How the file marks a rate of lesser certainty."""

_Row = TypeVar("_Row", bound=DatedRow)


def read_charge_table() -> ChargeTable:
    """The shipped charges as the file has them.

    ``engine.charges.rates.read_charge_rates`` checks the same file with more care, and refuses it with its words.
    """
    source = files("engine.charges") / "data" / CHARGES_FILE
    return msgspec.toml.decode(source.read_bytes(), type=ChargeTable)


def charge_rows(table: ChargeTable, on: date) -> Iterator[RuleRow]:
    """The rates in force on a day; nothing of a day the file does not vouch for."""
    if on > table.last_day:
        return
    yield from _in_force(table, table.brokerage, "brokerage", on, _brokerage_words)
    yield from _in_force(table, table.stt, "securities transaction tax", on, _stt_words)
    places: dict[str, list[TransactionRow]] = {}
    for row in table.transaction:
        names = f" ({', '.join(row.underlyings)})" if row.underlyings else ""
        places.setdefault(f"exchange, {row.exchange} {row.kind}s{names}", []).append(row)
    for subject, rows in places.items():
        yield from _in_force(table, rows, subject, on, _transaction_words)
    yield from _in_force(table, table.sebi, "regulator's fee", on, _plain_words)
    yield from _in_force(table, table.stamp, "stamp duty", on, _stamp_words)
    yield from _in_force(table, table.gst, "goods and services tax", on, _gst_words)


def why_unknown(table: ChargeTable, on: date) -> str:
    """What the file does not vouch for on a day, as a sentence; empty when it does."""
    if on > table.last_day:
        return f"Charges of {on} are not known: rates are stated up to {table.last_day}."
    first = max(min(row.since for row in rows) for rows in (table.brokerage, table.stt, table.sebi, table.gst))
    return f"Some charges of {on} are not known: rates are kept from {first} on." if on < first else ""


def _in_force(
    table: ChargeTable, rows: Sequence[_Row], subject: str, on: date, words: Callable[[_Row], str]
) -> Iterator[RuleRow]:
    ordered = sorted(rows, key=lambda row: row.since)
    place = bisect_right([row.since for row in ordered], on)
    if not place:
        return
    row = ordered[place - 1]
    yield RuleRow(
        topic=TOPIC,
        subject=subject,
        value=words(row),
        since=row.since,
        until=ordered[place].since - _ONE_DAY if place < len(ordered) else table.last_day,
        source=row.source,
        certainty=Certainty.MEDIUM if _ONE_SOURCE in row.source else Certainty.HIGH,
        checked=table.checked,
    )


def _brokerage_words(row: BrokerageRow) -> str:
    return (
        f"options {row.option_order} an order, exercise {row.option_exercise}; "
        f"futures {_percent(row.future_rate)}, at most {row.future_order_most} an order"
    )


def _stt_words(row: SttRow) -> str:
    return (
        f"sold options {_percent(row.option_sell)} of the premium, exercised {_percent(row.option_exercise)} of the "
        f"intrinsic value, sold futures {_percent(row.future_sell)}"
    )


def _transaction_words(row: TransactionRow) -> str:
    return f"{_percent(row.rate)}, investor protection fund {_percent(row.ipft)}"


def _stamp_words(row: StampRow) -> str:
    return f"bought options {_percent(row.option_buy)}, bought futures {_percent(row.future_buy)}"


def _plain_words(row: PlainRow) -> str:
    return _percent(row.rate)


def _gst_words(row: PlainRow) -> str:
    return f"{_percent(row.rate)} of brokerage, exchange charge, fund and regulator's fee"


def _percent(rate: Decimal) -> str:
    return f"{(rate * _PERCENT).normalize():f} %"
