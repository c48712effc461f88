"""Strategies and their minute candles in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from engine.core.errors import UnknownStrategy
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.strategies import M2mCandle, Strategy, StrategyState
from storage.boundary import aware
from storage.candles import merge, merged_candles
from storage.memory.store import MemoryStore, require, require_finite
from storage.refusals import conflict


class MemoryStrategies:
    """Implements ``StrategyRepository``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def create(self, account: AccountId, name: str, *, is_default: bool, at: datetime, epoch: int) -> Strategy:
        """Write a strategy and give it a number."""
        aware(at)
        self._store.require_writer(account, epoch)
        self._store.require_account(account)
        require(name != "", "strategies_name_check")
        for other in self._store.strategies.values():
            if other.account != account:
                continue
            if other.name == name and other.state is StrategyState.ACTIVE:
                raise conflict("strategies_active_name_key")
            if other.is_default and is_default:
                raise conflict("strategies_default_key")
        number = StrategyNumber(len(self._store.strategies) + 1)
        strategy = Strategy(number=number, account=account, name=name, is_default=is_default, created_at=at)
        self._store.strategies[number] = strategy
        return strategy

    async def archive(self, number: StrategyNumber, *, epoch: int) -> Strategy:
        """Mark as archived; one that is archived stays so."""
        self._store.require_running()
        strategy = self._store.strategies.get(number)
        if strategy is None:
            raise UnknownStrategy(f"There is no strategy #{number}.", field="strategy")
        self._store.require_writer(strategy.account, epoch)
        archived = msgspec.structs.replace(strategy, state=StrategyState.ARCHIVED)
        self._store.strategies[number] = archived
        return archived

    async def all(self, account: AccountId) -> tuple[Strategy, ...]:
        """Active and archived, by number."""
        self._store.require_running()
        found = (strategy for strategy in self._store.strategies.values() if strategy.account == account)
        return tuple(sorted(found, key=lambda strategy: strategy.number))


class MemoryCandles:
    """Implements ``CandleRepository``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        """Insert or merge, all or none: open is kept, high and low widen, close is the newest, samples add up."""
        self._store.require_running()
        merged = merged_candles(candles)
        for candle in merged:
            self._store.require_strategy(candle.strategy)
            require_finite(candle.open, candle.high, candle.low, candle.close)
            require(candle.samples > 0, "strategy_candles_samples_check")
            require(candle.minute.second == candle.minute.microsecond == 0, "strategy_candles_minute_check")
            in_range = candle.low <= min(candle.open, candle.close) and max(candle.open, candle.close) <= candle.high
            require(in_range, "strategy_candles_range_check")
        for candle in merged:
            key = (candle.strategy, candle.minute)
            kept = self._store.candles.get(key)
            self._store.candles[key] = candle if kept is None else merge(kept, candle)

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Candles whose minute lies in [start, end), oldest first; missing minutes are missing."""
        self._store.require_running()
        first, last = aware(start), aware(end)
        found = (
            candle
            for candle in self._store.candles.values()
            if candle.strategy == strategy and first <= candle.minute < last
        )
        return tuple(sorted(found, key=lambda candle: candle.minute))

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment``, of every strategy."""
        self._store.require_running()
        first = aware(moment)
        gone = [key for key, candle in self._store.candles.items() if candle.minute >= first]
        for key in gone:
            del self._store.candles[key]
        return len(gone)
