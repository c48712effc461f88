"""From pictures of a chain to its minutes: what stood at each minute's end, and the way into the database.

A minute's row is the last picture taken within it that showed a living market. A minute without one has no row:
nothing is carried over from the minute before, and the same picture never stands for two minutes. A picture lives when
it has time left and at least one option on a trusted path; a quote that is stale, closed or frozen is recorded as
unknown, whatever its last figures were.

Overload policy: one picture per chain is held while its minute runs; minutes that the database has not taken wait in a
bounded line, and beyond it the oldest are dropped, with a count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.analytics.chain import PriceInput
from engine.core.errors import StorageError
from engine.core.repositories import ChainSeriesRepository
from engine.core.series import MINUTE, ChainMinute, StrikeColumns, minute_of
from engine.core.views import ChainColumns, ChainKey, ChainView, Codes, Floats
from engine.core.vocabulary import QuoteState

logger = logging.getLogger(__name__)

TRUSTED: Final = (QuoteState.LIVE, QuoteState.CROSSED, QuoteState.ONE_SIDED)
"""States of a quote whose path is alive and whose exchange moves it."""

_NO_TOKEN: Final = 0

Flags = npt.NDArray[np.bool_]


class _Held(msgspec.Struct, frozen=True):
    """The last living picture of a chain in its minute."""

    minute: datetime
    view: ChainView


class ChainSampler:
    """Keeps the last living picture of each chain's minute, and gives the minute when it has ended.

    Args:
        day_of: the exchange's date at an aware moment, from the calendar.
        chains_max: chains of which the last recorded picture is remembered; the longest unused leave first.
    """

    def __init__(self, day_of: Callable[[datetime], date], *, chains_max: int) -> None:
        self._day_of = day_of
        self._chains_max = chains_max
        self._held: dict[ChainKey, _Held] = {}
        self._recorded: dict[ChainKey, tuple[datetime, int]] = {}

    @property
    def open_minutes(self) -> int:
        """Minutes that have a picture and have not been given out."""
        return len(self._held)

    def take(self, view: ChainView, at: datetime) -> tuple[ChainMinute, ...]:
        """Look at a picture taken at ``at`` (aware, market time).

        Returns:
            The chain's earlier minute, when this picture begins a later one. A picture of a minute that was given out,
            or of one before the minute that runs, is left out: market time never runs backwards.
        """
        minute = minute_of(at)
        held = self._held.get(view.key)
        if held is not None and minute < held.minute:
            return ()
        ended = self._closed(view.key) if held is not None and minute > held.minute else ()
        if is_living(view) and self._is_new(view, minute):
            self._held[view.key] = _Held(minute, view)
        return ended

    def ended(self, now: datetime) -> tuple[ChainMinute, ...]:
        """Minutes that have ended by ``now`` (aware, market time), each given once, by chain."""
        keys = [key for key, held in self._held.items() if held.minute + MINUTE <= now]
        return tuple(row for key in sorted(keys) for row in self._closed(key))

    def _closed(self, key: ChainKey) -> tuple[ChainMinute]:
        held = self._held.pop(key)
        self._recorded.pop(key, None)
        self._recorded[key] = (held.minute, held.view.sequence)
        while len(self._recorded) > self._chains_max:
            del self._recorded[next(iter(self._recorded))]
        return (chain_minute(held.view, held.minute, self._day_of(held.minute)),)

    def _is_new(self, view: ChainView, minute: datetime) -> bool:
        recorded = self._recorded.get(view.key)
        return recorded is None or (minute > recorded[0] and view.sequence != recorded[1])


class ChainBacklog:
    """Minutes on their way to the database.

    Args:
        series: where they go.
        batch_max: most minutes written at once.
        waiting_max: most minutes that wait; beyond it the oldest are dropped.
    """

    def __init__(self, series: ChainSeriesRepository, *, batch_max: int, waiting_max: int) -> None:
        self._series = series
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: dict[tuple[datetime, ChainKey], ChainMinute] = {}
        self._saving = asyncio.Lock()
        self._dropped = 0
        self._delete_from: datetime | None = None
        self._restarts = 0

    @property
    def waiting(self) -> int:
        """Minutes that are not in the database."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """Minutes lost because the database did not take them in time."""
        return self._dropped

    def add(self, minutes: Iterable[ChainMinute]) -> None:
        """Let minutes wait for the next ``save``."""
        for minute in minutes:
            self._waiting[minute.minute, minute.key] = minute
        self._keep_bound()

    async def save(self) -> int:
        """Write what waits, oldest first; returns how many minutes were written.

        Raises:
            StorageError: the database did not take a batch; it waits on. Writing it again does no harm.
        """
        saved = 0
        async with self._saving:
            await self._delete()
            restarts = self._restarts
            while self._waiting and saved < self._waiting_max:
                batch = {place: self._waiting.pop(place) for place in sorted(self._waiting)[: self._batch_max]}
                try:
                    await self._series.save(tuple(batch.values()))
                except (StorageError, asyncio.CancelledError):
                    if self._restarts == restarts:
                        self._waiting = batch | self._waiting
                        self._keep_bound()
                    raise
                saved += len(batch)
                if self._restarts != restarts:
                    break  # what was just saved is forgotten; the next save deletes it first
        return saved

    def restart(self, moment: datetime) -> None:
        """Forget minutes of ``moment`` and later: at once here, in the database before anything is saved."""
        self._waiting = {place: minute for place, minute in self._waiting.items() if place[0] < moment}
        self._delete_from = moment if self._delete_from is None else min(moment, self._delete_from)
        self._restarts += 1

    async def _delete(self) -> None:
        while (first := self._delete_from) is not None:
            await self._series.delete_from(first)
            if self._delete_from == first:
                self._delete_from = None

    def _keep_bound(self) -> None:
        excess = len(self._waiting) - self._waiting_max
        if excess <= 0:
            return
        for place in sorted(self._waiting)[:excess]:
            del self._waiting[place]
        self._dropped += excess
        logger.error("%d unsaved chain minutes dropped, the oldest first", excess)


def is_living(view: ChainView) -> bool:
    """Whether a picture shows a market: time left, and an option whose quote can be trusted."""
    if view.header.seconds_to_expiry <= 0:
        return False
    return bool(_trusted(view.calls).any() or _trusted(view.puts).any())


def chain_minute(view: ChainView, minute: datetime, day: date) -> ChainMinute:
    """The row of a minute whose last living picture was ``view``.

    Totals, ratios and max pain are unknown while the path of any option is suspect: a sum without its part would look
    like a change of open interest. Options that were never heard of are left out, and ``contracts`` counts the others.
    """
    header = view.header
    trusted = _trusted(view.calls), _trusted(view.puts)
    calls, puts = _interest(view.calls, trusted[0]), _interest(view.puts, trusted[1])
    whole = not (_suspect(view.calls) | _suspect(view.puts)).any()
    counted = [~np.isnan(calls), ~np.isnan(puts)]
    return ChainMinute(
        key=view.key,
        minute=minute,
        day=day,
        spot=header.spot if header.spot_state in TRUSTED else None,
        forward=header.forward,
        atm_strike=header.atm_strike,
        atm_volatility=header.atm_volatility,
        straddle=header.straddle,
        pcr_open_interest=header.pcr_open_interest if whole else None,
        pcr_volume=header.pcr_volume if whole else None,
        max_pain=header.max_pain if whole else None,
        call_open_interest=float(calls[counted[0]].sum()) if whole and counted[0].any() else None,
        put_open_interest=float(puts[counted[1]].sum()) if whole and counted[1].any() else None,
        contracts=int(counted[0].sum() + counted[1].sum()),
        strikes=_strikes(view, *trusted),
    )


def _strikes(view: ChainView, call_trusted: Flags, put_trusted: Flags) -> StrikeColumns:
    """The rows of the strikes of which anything is known."""
    calls, puts = view.calls, view.puts
    rows = np.flatnonzero(call_trusted | put_trusted)
    call_price, call_input = _price(calls, call_trusted)
    put_price, put_input = _price(puts, put_trusted)
    return StrikeColumns(
        strike=view.strikes[rows],
        call_price=call_price[rows],
        put_price=put_price[rows],
        call_input=call_input[rows],
        put_input=put_input[rows],
        call_volatility=np.where(call_trusted, calls.implied_volatility, np.nan)[rows],
        put_volatility=np.where(put_trusted, puts.implied_volatility, np.nan)[rows],
        call_open_interest=_interest(calls, call_trusted)[rows],
        put_open_interest=_interest(puts, put_trusted)[rows],
        call_volume=np.where(call_trusted, calls.volume, np.nan)[rows],
        put_volume=np.where(put_trusted, puts.volume, np.nan)[rows],
    )


def _trusted(side: ChainColumns) -> Flags:
    trusted: Flags = np.isin(side.state, TRUSTED) & (side.token != _NO_TOKEN)
    return trusted


def _suspect(side: ChainColumns) -> Flags:
    """Heard of once, and not to be trusted now."""
    suspect: Flags = (side.token != _NO_TOKEN) & ~np.isin(side.state, (*TRUSTED, QuoteState.UNKNOWN))
    return suspect


def _interest(side: ChainColumns, trusted: Flags) -> Floats:
    return np.where(trusted, side.open_interest, np.nan)


def _price(side: ChainColumns, trusted: Flags) -> tuple[Floats, Codes]:
    """The price that the volatility was taken from, and which it is."""
    code = np.where(trusted, side.iv_input, np.uint8(PriceInput.NONE))
    mid = np.where(code == PriceInput.MID, 0.5 * (side.bid + side.ask), np.nan)
    price = np.where(code == PriceInput.LAST, side.last, mid)
    return price, np.where(np.isnan(price), np.uint8(PriceInput.NONE), code)
