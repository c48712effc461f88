"""The locks of a day on a table of days, and what of an order they block."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.ledger import LedgerEntry, LedgerSource
from engine.core.locks import LockKind
from engine.core.positions import Holding
from engine.core.strategies import Leg
from engine.core.vocabulary import Product
from engine.day_tally import DayTally
from engine.execution.latch import LatchFolder
from engine.execution.locks import DayFigures, judge_day
from engine.execution.locks_book import LockBook
from engine.execution.settings import LockLimits
from engine.portfolio.book import LegStanding
from engine.portfolio.day_bounds import day_bounds
from engine.portfolio.marks import LegMarks
from tests.kit.fake_broker import option
from tests.unit.execution.desk import ACCOUNT, ManualClock

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ENDS = datetime(2026, 11, 25, 18, 30, tzinfo=UTC)
IST = ZoneInfo("Asia/Kolkata")
LOSS = LockLimits(daily_loss=Decimal(75_000))
PROFIT = LockLimits(daily_profit=Decimal(50_000))


def day(low: str | None, high: str | None = "same", **fields: Any) -> DayFigures:
    """A day whose money lies between two figures; one figure is exact."""
    least = None if low is None else Decimal(low)
    most = least if high == "same" else None if high is None else Decimal(high)
    return DayFigures(low=least, high=most, **fields)


@pytest.mark.parametrize(
    ("limits", "figures", "fallen", "blind"),
    [
        (LockLimits(), day("-1000000"), [], False),
        (LOSS, day("-74999.99"), [], False),
        (LOSS, day("-75000"), [LockKind.DAILY_LOSS], False),
        (LOSS, day("-90000", "-76000"), [LockKind.DAILY_LOSS], False),
        (LOSS, day("-90000", "-10"), [], True),
        (LOSS, day("-10", "90000"), [], False),
        (LOSS, day(None, "-75000"), [LockKind.DAILY_LOSS], False),
        (LOSS, day(None, None), [], True),
        (LOSS, day("5", None), [], False),
        (PROFIT, day("49999"), [], False),
        (PROFIT, day("50000"), [LockKind.DAILY_PROFIT], False),
        (PROFIT, day("50000", None), [LockKind.DAILY_PROFIT], False),
        (PROFIT, day("40000", "60000"), [], True),
        (PROFIT, day(None, "60000"), [], True),
        (LockLimits(trades_per_day=5), day("0", trades=4), [], False),
        (LockLimits(trades_per_day=5), day("0", trades=5), [LockKind.TRADE_COUNT], False),
        (LockLimits(losing_exits=3), day("0", losing_run=2, last_exit=Decimal(-1), last_exit_at=NOW), [], False),
        (
            LockLimits(losing_exits=3),
            day("0", losing_run=3, last_exit=Decimal(-1), last_exit_at=NOW - timedelta(seconds=60)),
            [LockKind.COOL_DOWN],
            False,
        ),
        (
            LockLimits(losing_exits=3, cool_down_s=60),
            day("0", losing_run=3, last_exit=Decimal(-1), last_exit_at=NOW - timedelta(seconds=60)),
            [],
            False,
        ),
        (
            LockLimits(losing_exit=Decimal(5000)),
            day("0", losing_run=1, last_exit=Decimal(-5000), last_exit_at=NOW),
            [LockKind.COOL_DOWN],
            False,
        ),
        (LockLimits(losing_exit=Decimal(5000)), day("0", last_exit=Decimal(5000), last_exit_at=NOW), [], False),
    ],
)
def test_a_table_of_days(limits: LockLimits, figures: DayFigures, fallen: list[LockKind], blind: bool) -> None:
    """What falls, and where the limit lies between the bounds: BLIND, never a guess."""
    judged = judge_day(limits, figures, now=NOW, day_ends=ENDS)
    assert [lock.kind for lock in judged.fallen] == fallen
    assert judged.blind.startswith("BLIND") is blind
    for lock in judged.fallen:
        assert lock.until == ENDS or lock.kind is LockKind.COOL_DOWN
        assert lock.until > NOW


def standing(quantity: int, average: str, symbol_kind: str = "CE") -> LegStanding:
    """A leg that was opened today."""
    instrument = option()
    key = instrument.key
    if symbol_kind != "CE":
        key = type(key)(key.exchange, "NIFTY26DECFUT")
    opened = Holding().after_fill(quantity, Decimal(average))
    leg = Leg(strategy=StrategyNumber(2), number=1, instrument=key, token=1, product=Product.NRML, holding=opened)
    return LegStanding(leg=leg)


def test_bounds_of_legs_without_an_exit() -> None:
    """A long option is worth nothing at least, a short one costs nothing at least; a future knows no bound."""
    known = (standing(65, "100"), LegMarks(exit=Decimal(90)))
    assert day_bounds([known], charges=Decimal(50), unknown_charges=()).low == Decimal(-700)
    long_one = day_bounds(
        [known, (standing(65, "10"), LegMarks(reason="no bid"))], charges=Decimal(0), unknown_charges=()
    )
    assert (long_one.low, long_one.high) == (Decimal(-650 - 650), None)
    assert "no bid" in long_one.missing
    short = day_bounds([(standing(-65, "100"), LegMarks())], charges=Decimal(0), unknown_charges=())
    assert (short.low, short.high) == (None, Decimal(6500))
    future = day_bounds([(standing(65, "24000", "FUT"), LegMarks())], charges=Decimal(0), unknown_charges=())
    assert (future.low, future.high) == (None, None)
    dear = day_bounds([known], charges=Decimal(0), unknown_charges=("The rate is not known.",))
    assert (dear.low, dear.high) == (None, Decimal(-650))


def entry(quantity: int, price: str, order: str, minute: int, source: LedgerSource = LedgerSource.TRADE) -> LedgerEntry:
    """One fill of leg 2.1."""
    return LedgerEntry(
        account=AccountId("AB1234"),
        strategy=StrategyNumber(2),
        leg=1,
        instrument=option().key,
        token=1,
        product=Product.NRML,
        signed_quantity=quantity,
        price=Decimal(price),
        at=NOW + timedelta(minutes=minute),
        source=source,
        reference=f"NFO:{order}:{minute}",
    )


def test_fills_are_counted_as_trades_and_exits() -> None:
    """Two fills of one order are one trade; an exit's money is that of all its fills; a win ends the run."""
    tally = DayTally(IST)
    today = NOW.astimezone(IST).date()
    tally.take([entry(-65, "100", "1", 0), entry(-65, "100", "1", 1)])
    assert (tally.trades(today), tally.exits(today)) == (1, ())
    tally.take([entry(65, "110", "2", 2), entry(65, "120", "2", 3)])
    assert [made.profit for made in tally.exits(today)] == [Decimal(-65 * 30)]
    assert tally.losing_run(today) == 1
    tally.take([entry(65, "50", "3", 4), entry(-65, "40", "4", 5)])
    assert (tally.trades(today), tally.losing_run(today)) == (2, 2)
    tally.take([entry(65, "50", "5", 6), entry(-65, "60", "6", 7)])
    assert tally.losing_run(today) == 0
    assert tally.trades(today + timedelta(days=1)) == 0


def test_a_transfer_is_no_trade() -> None:
    """Quantity that another strategy hands over opens nothing."""
    tally = DayTally(IST)
    tally.take([entry(-65, "100", "1", 0, LedgerSource.TRANSFER)])
    assert tally.trades(NOW.astimezone(IST).date()) == 0


def test_a_lock_of_the_day_ends_with_it_and_not_when_the_money_comes_back(tmp_path: Path) -> None:
    """Fallen once it stays, over a restart too, until the exchange's day is over."""
    clock = ManualClock(NOW)
    folder = LatchFolder(tmp_path, secrets.token_bytes)
    book = LockBook(ACCOUNT, folder, clock)
    judged = judge_day(LOSS, day("-80000"), now=NOW, day_ends=ENDS)
    assert [view.kind for view in book.fall(judged.fallen)] == [LockKind.DAILY_LOSS]
    assert book.fall(judged.fallen) == ()
    again = LockBook(ACCOUNT, folder, clock)
    (refusal,) = again.entry_refusals()
    assert "-80,000" in refusal.message
    clock.elapsed = (ENDS - NOW).total_seconds()
    assert again.entry_refusals() == ()
    assert again.blocks_risk is False
    assert [view.kind for view in again.over()] == [LockKind.DAILY_LOSS]
    assert LockBook(ACCOUNT, folder, clock).views() == ()
