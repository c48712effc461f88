"""The portfolio over the project's own repositories in memory, which pass the same contract as the database's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from engine.core.accounts import Account
from engine.core.commands import MoveQuantity
from engine.core.errors import StorageError
from engine.core.identifiers import StrategyNumber
from engine.core.vocabulary import Mark, Venue
from engine.portfolio.service import PortfolioService
from engine.portfolio.settings import PortfolioSettings
from storage.memory.repositories import MemoryRepositories
from tests.unit.portfolio.fakes import ACCOUNT, OPENING, Events, FakeMarks, ManualClock, fill

ONE, TWO = StrategyNumber(1), StrategyNumber(2)


class Repositories:
    """Repositories in memory with one account, and services over them."""

    def __init__(self) -> None:
        self.all = MemoryRepositories()
        self.marks = FakeMarks()
        self.clock = ManualClock()
        self._transfers = 0

    async def service(self) -> PortfolioService:
        """A started service that is the writer now."""
        repositories = self.all
        await repositories.accounts.save(
            Account(account_id=ACCOUNT, name="main", venue=Venue.PRACTICE, created_at=OPENING)
        )
        await repositories.writer_lock.release(ACCOUNT)
        epoch = await repositories.writer_lock.acquire(ACCOUNT)
        assert epoch is not None
        service = PortfolioService(
            ACCOUNT,
            ledger=repositories.ledger,
            strategies=repositories.strategies,
            candles=repositories.candles,
            clock=self.clock,
            marks=self.marks,
            on_event=Events(),
            settings=PortfolioSettings(),
            epoch=epoch,
            new_reference=self._reference,
            is_session_open=lambda _: True,
        )
        await service.start()
        return service

    def _reference(self) -> str:
        self._transfers += 1
        return f"transfer-{self._transfers}"


async def test_everything_is_there_again_after_a_restart() -> None:
    """Strategies, legs with their numbers, holdings with endless averages, and the candles."""
    repositories = Repositories()
    first = await repositories.service()
    await first.create("fly-0920")
    await first.on_trades([fill(1, 1, "1"), fill(2, 2, "1.5"), fill(3, -65, "9", token=2, strategy=2)])
    await first.move(MoveQuantity(strategy=ONE, leg=1, to_strategy=TWO))
    repositories.marks.put(1, "2")
    repositories.marks.put(2, "8")
    first.sample()
    await first.stop()
    second = await repositories.service()
    assert second.book.standings(ONE) == first.book.standings(ONE)
    assert second.book.standings(TWO) == first.book.standings(TWO)
    assert second.total() == first.total()
    (candle,) = await second.candles(TWO, OPENING, OPENING + timedelta(minutes=1))
    assert abs(candle.close - second.value(TWO).profit[Mark.LAST]) < Decimal("1e-18")
    assert await second.on_trades([fill(1, 1, "1"), fill(2, 2, "1.5")]) == ()


async def test_an_old_writer_cannot_write_any_more() -> None:
    """Once another engine has the account, fills wait here and nothing is applied."""
    repositories = Repositories()
    old = await repositories.service()
    new = await repositories.service()
    with pytest.raises(StorageError):
        await old.on_trades([fill(1, 65, "100")])
    assert old.book.standings(ONE) == ()
    assert len(await new.on_trades([fill(1, 65, "100")])) == 1
