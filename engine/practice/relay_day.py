"""The days of a relay: which session it is, its list of instruments, and what happens to positions between two.

The relay may have been down for days. Each session that has begun meanwhile is gone through: what expired is settled at
the index's own close of that day, the rest is carried at the close that the upstream tells. Invariant: a day is begun
only with a list of instruments and, while there are positions, with the prices that they settle at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from engine.practice.calendar_facts import Session, TradingCalendar, indian
from engine.practice.contracts import Contract
from engine.practice.frame_exchange import FrameExchange
from engine.practice.frame_market import FrameDay, write_dump
from engine.practice.relay_reads import UpstreamError, UpstreamReads

_log = logging.getLogger(__name__)
_LEAD_SECONDS = 1800.0
"""A day begins so long before its session: the broker's list of instruments is new by then."""
_PAISE = 100
_DUMP = "instruments-{}.csv"


def session_of(calendar: TradingCalendar, moment: float) -> Session:
    """Return the session that an instant belongs to: the last one that has begun or is about to."""
    today = calendar.session(indian(moment).date())
    if today is not None and moment >= today.opens - _LEAD_SECONDS:
        return today
    return calendar.session_before(indian(moment).date())


def dump_path(state: Path, day: date) -> Path:
    """Return where the list of instruments of a day is kept."""
    return state / _DUMP.format(day.isoformat())


async def fetch_dump(state: Path, session: Session, reads: UpstreamReads) -> Path:
    """Return the list of instruments of a session: kept from before, else the upstream's.

    Raises:
        UpstreamError: There is none.
    """
    path = dump_path(state, session.day)
    if not path.exists():
        write_dump(path, await reads.instruments())
    return path


def forget_older(state: Path, day: date) -> None:
    """Delete the lists of days before one; nothing refers to them any more."""
    kept = dump_path(state, day).name
    for path in state.glob(_DUMP.format("*")):
        if path.name < kept:
            path.unlink(missing_ok=True)


class Rollover:
    """Takes an exchange from its day to the present one.

    Args:
        state: Folder of the venue.
        calendar: Trading sessions and facts of underlyings.
        reads: Prices that positions settle at.
    """

    def __init__(self, state: Path, calendar: TradingCalendar, reads: UpstreamReads) -> None:
        self._state = state
        self._calendar = calendar
        self._reads = reads

    async def advance(self, exchange: FrameExchange) -> bool:
        """Begin every session that is due; True when one was begun.

        Raises:
            UpstreamError: Instruments or prices are missing; the day stays as it is and may be tried again.
        """
        moved = False
        while True:
            current, due = exchange.floor.day.session, session_of(self._calendar, exchange.floor.now())
            if current.day >= due.day:
                forget_older(self._state, current.day)
                return moved
            following = self._calendar.session_after(current.day)
            is_last = following.day >= due.day
            # A day that has passed already is gone through with the instruments that were listed before it.
            if is_last:
                dump = await fetch_dump(self._state, following, self._reads)
            else:
                content = dump_path(self._state, current.day).read_bytes()
                dump = write_dump(dump_path(self._state, following.day), content)
            await self._begin(exchange, following, dump)
            moved = True

    async def _begin(self, exchange: FrameExchange, session: Session, dump: Path) -> None:
        market, ended = exchange.market, exchange.market.frames
        held = [ended.universe.by_token[token] for token in exchange.held_tokens()]
        following = market.prepare(session, dump)
        await self._tell_levels(ended, (row for row in held if row.expiry is not None and row.expiry < session.day))
        alive = [row for row in held if row.expiry is None or row.expiry >= session.day]
        closes = await self._reads.previous_closes([row.key for row in alive]) if alive else {}
        missing = [row.key for row in alive if row.key not in closes]
        if missing:
            raise UpstreamError(f"the upstream tells no previous close of {', '.join(missing)}, which is held")
        for row in alive:
            following.tell_close(row.token, round(closes[row.key] * _PAISE))
        if not exchange.has_ended:
            exchange.close_session()
        exchange.open_next_session()
        exchange.look_again()
        following.universe.forget_prices()
        _log.info("the session of %s begins", session.day)

    async def _tell_levels(self, ended: FrameDay, expired: Iterable[Contract]) -> None:
        for contract in expired:
            facts = self._calendar.underlyings[contract.name]
            if contract.expiry is None:
                continue
            level = await self._reads.day_close(facts.index_token, contract.expiry.isoformat())
            if level is None:
                raise UpstreamError(f"the upstream tells no close of {facts.index_symbol} on {contract.expiry}")
            underlying = int(ended.table.underlying[ended.universe.row_of[contract.token]])
            ended.levels[underlying] = round(level * _PAISE)
